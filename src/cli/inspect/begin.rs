//! The pipeline that an inspection suggests.

use std::fs::File;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use triplet_miner::store::{Inspection, ValueFacts};
use triplet_miner::words::is_hidden;

use super::Beside;

/// Writes a pipeline that runs as it is; `array` holds the vectors where one is given.
pub(super) fn pipeline(
    file: &Path,
    store: &Path,
    inspection: &Inspection,
    array: Option<&Beside>,
) -> anyhow::Result<()> {
    let text = text(file, store, inspection, array)?;
    if file.exists() {
        bail!("{}: is there already; give another name, or remove it", file.display());
    }
    let mut created = File::create_new(file).with_context(|| format!("{}: cannot be written", file.display()))?;
    created.write_all(text.as_bytes()).with_context(|| format!("{}: cannot be written", file.display()))
}

fn text(file: &Path, store: &Path, inspection: &Inspection, array: Option<&Beside>) -> anyhow::Result<String> {
    let guess = &inspection.guess;
    let facts = |name: &String| inspection.columns.iter().find(|column| column.name == *name);
    let column = guess.embedding.as_ref().and_then(facts).and_then(|facts| Some((facts, facts.embedding.as_ref()?)));
    let (key, place, vectors) = match (array, column) {
        (Some(Beside { path, facts }), _) => ("vectors", quoted(&relative(path, file)?), &facts.vectors),
        (None, Some((column, vectors))) => ("embedding", quoted(&column.name), vectors),
        (None, None) => bail!(
            "{}: no column holds vectors (lists of f16, f32 or f64), so there is nothing to mine; where an array holds them, name it \
             with --vectors",
            store.display()
        ),
    };
    let Some(label) = guess.label.as_ref().and_then(facts) else {
        bail!(
            "{}: no column can be a label: strings, integers or booleans that repeat, or lists of them",
            store.display()
        );
    };
    let mut lines = vec![
        format!(
            "# Begun by `miner inspect` on {} rows. `miner plan` says what it will do, `miner run` does it.",
            inspection.rows
        ),
        String::new(),
        "[store]".to_owned(),
        format!("path = {}", quoted(&relative(store, file)?)),
    ];
    lines.push(match &guess.id {
        Some(id) => format!("id = {}", quoted(id)),
        None => "# id: no column is unique and without nulls, so rows go by their number".to_owned(),
    });
    lines.push(format!("{key} = {place}  # {} dimensions", vectors.dims.unwrap_or_default()));
    let classes = match (label.values, label.several) {
        (Some(ValueFacts::Counted { distinct, single, .. }), None) => {
            format!("  # {distinct} classes, {single} of one row")
        }
        (Some(ValueFacts::Counted { distinct, .. }), Some(several)) => {
            format!("  # several labels a row: {several:.1} of {distinct}; sharing one makes a positive")
        }
        _ => String::new(),
    };
    lines.push(format!("label = {}{classes}", quoted(&label.name)));
    if !guess.carry.is_empty() {
        let names: Vec<String> = guess.carry.iter().map(|name| quoted(name)).collect();
        lines.push(format!("carry = [{}]  # copied into the output beside the ids", names.join(", ")));
    }
    let bad = vectors.zero + vectors.unusable.values().sum::<u64>();
    if bad > 0 {
        lines.push(format!("bad_rows = \"skip\"  # {bad} vectors cannot be used; \"error\" refuses the store"));
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    lines.extend([
        String::new(),
        "[mine]".to_owned(),
        "metric = \"cosine\"  # or euclidean, sqeuclidean, dot".to_owned(),
        "margin = 0.2".to_owned(),
        "bands = { semi-hard = 1 }  # negatives for each pair: hard, semi-hard, easy, or any".to_owned(),
        String::new(),
        "[output]".to_owned(),
        format!("path = {}", quoted(&format!("out/{stem}"))),
    ]);
    Ok(lines.join("\n") + "\n")
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

/// The way from the folder of `file` to the store.
fn relative(store: &Path, file: &Path) -> anyhow::Result<String> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Without links, `..` leads where it seems to; a pattern has no real path of its own.
    let folder = folder.canonicalize().with_context(|| format!("{}: no such folder", folder.display()))?;
    let store = store.canonicalize().unwrap_or_else(|_| store.to_owned());
    let shared = folder.components().zip(store.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(store.components().skip(shared)).collect();
    let way = way.into_os_string().into_string();
    way.map_err(|way| anyhow::anyhow!("{}: not valid UTF-8, which TOML needs", way.display()))
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
}
