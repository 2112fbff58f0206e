//! How a pipeline is written so that it reads as it was meant: comments stay comments, names keep their quotes, paths lead from its folder.

use std::path::{Component, Path, PathBuf};

use triplet_miner::remote::Address;
use triplet_miner::words::{is_hidden, visible};

use crate::cli::status;

/// A pipeline file while it is written. What comes from the store is made visible, so that comments stay comments.
#[derive(Default)]
pub(super) struct Page(pub String);

/// Columns of a comment.
const COLUMNS: usize = 110;
/// Columns that a comment names.
const NAMED: usize = 5;

impl Page {
    pub fn section(&mut self, header: &str) {
        self.0 += &format!("\n{header}\n");
    }

    /// A comment, in as many lines as it takes.
    pub fn why(&mut self, text: &str) {
        let text = visible(text).to_string();
        let mut line = String::from("#");
        for word in text.split(' ') {
            if line.len() > 1 && line.chars().count() + 1 + word.chars().count() > COLUMNS {
                self.0 += &format!("{line}\n");
                line = String::from("#");
            }
            line += &format!(" {word}");
        }
        self.0 += &format!("{line}\n");
    }

    /// A comment that names some of the columns.
    pub fn others(&mut self, what: &str, names: &[&str]) {
        if !names.is_empty() {
            let named: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
            let more =
                names.len().checked_sub(NAMED + 1).map_or(String::new(), |more| format!(" and {} more", more + 1));
            self.why(&format!("{what}: {}{more}.", named.join(", ")));
        }
    }

    pub fn key(&mut self, key: &str, value: &str) {
        self.0 += &format!("{key} = {value}\n");
    }

    /// A key for whoever takes the # away.
    pub fn offer(&mut self, key: &str, value: &str, why: &str) {
        let why = if why.is_empty() { String::new() } else { format!("  # {why}") };
        self.0 += &format!("# {key} = {value}{why}\n");
    }
}

/// As a TOML string, on one line, in which nothing is hidden or an environment variable.
pub(super) fn quoted(text: &str) -> String {
    let character = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        // All have four digits at most.
        hidden if is_hidden(hidden) => format!("\\u{:04x}", u32::from(hidden)),
        plain => plain.to_string(),
    };
    let text: String = text.replace("${", "$${").chars().map(character).collect();
    format!("\"{text}\"")
}

/// Where `file` is to lie; without links, so that `..` leads where it seems to.
pub(super) fn folder_of(file: &Path) -> anyhow::Result<PathBuf> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    folder.canonicalize().map_err(|error| status::wrong(format!("{}: no such folder: {error}", folder.display())))
}

/// The way from the folder of `file` to the store; a URL is the same from everywhere.
pub(super) fn relative(store: &Path, file: &Path) -> anyhow::Result<String> {
    if Address::at(store).is_some() {
        return Ok(store.display().to_string());
    }
    let folder = folder_of(file)?;
    // A pattern has no real path of its own.
    let store = store.canonicalize().unwrap_or_else(|_| store.to_owned());
    let shared = folder.components().zip(store.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(store.components().skip(shared)).collect();
    let way = way.into_os_string().into_string();
    let way = way.map_err(|way| status::wrong(format!("{}: not valid UTF-8, which TOML needs", way.display())))?;
    // The folder itself.
    Ok(if way.is_empty() { ".".to_owned() } else { way })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_name_stays_on_its_line_and_is_read_as_it_was() {
        for name in ["plain", "a \"b\" \\ c", "two\nlines\t", "\u{1b}[2J\u{9b}\u{202e}", "''", ""] {
            let text = quoted(name);
            assert!(!text.chars().any(is_hidden), "{text}");
            let table: toml::Table = format!("name = {text}").parse().unwrap();
            assert_eq!(table["name"].as_str(), Some(name));
        }
        assert_eq!(quoted("${HOME}"), "\"$${HOME}\"");
    }

    #[test]
    fn a_comment_stays_one_whatever_it_tells() {
        let mut page = Page::default();
        page.why(&format!("a column `x\nmetric = 1\u{7f}` {}", "and more words ".repeat(20)));
        page.others("Others", &["a", "b\r\nlabel = 2", "c", "d", "e", "f", "g"]);
        assert!(page.0.parse::<toml::Table>().unwrap().is_empty(), "{}", page.0);
        assert!(page.0.lines().all(|line| line.chars().count() <= COLUMNS), "{}", page.0);
        assert!(page.0.contains(" and 2 more."), "{}", page.0);
    }
}
