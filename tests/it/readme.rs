//! What the README and its guide tell a stranger to type really works.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Room, copy, root};

/// What the pipelines that are shown take from the environment.
const VARIABLES: [(&str, &str); 2] = [("DATA", "../sample_data"), ("LEFT_OUT", "bay")];

/// The README, and the pages of the guide.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages.insert(0, root().join("README.md"));
    assert!(pages.len() > 10, "{pages:?}");
    pages
}

/// The fenced blocks of a page: their language and their text.
fn blocks(page: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(page).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, body)), None) => *body += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block without an end");
    blocks
}

/// A copy of what a clone has, where a page's commands may write.
fn clone() -> Room {
    let room = Room::new();
    for folder in ["pipelines", "sample_data"] {
        copy(&root().join(folder), &room.path(folder));
    }
    room
}

#[test]
fn the_commands_work_in_the_order_they_are_told() {
    let ran: Vec<usize> = pages().iter().map(|page| follow(page)).collect();
    assert!(ran[0] >= 1, "the README tells at least how to run a pipeline");
}

/// Runs the commands of a page in a clone. Returns how many there were.
fn follow(page: &Path) -> usize {
    let room = clone();
    let mut ran = 0;
    let shells =
        blocks(page).into_iter().filter(|(language, _)| ["sh", "bash", "console"].contains(&language.as_str()));
    for (_, body) in shells {
        for line in body.lines().map(|line| line.trim_start_matches("$ ").split(" #").next().unwrap().trim()) {
            let args = ["cargo run --release -- ", "miner "].iter().find_map(|prefix| line.strip_prefix(prefix));
            match args {
                Some(args) => {
                    // A shell parses quotes as the reader's does.
                    let command = format!("{} {args}", env!("CARGO_BIN_EXE_miner"));
                    let shell = Command::new("sh").args(["-c", &command]).current_dir(room.path(".")).output().unwrap();
                    let told = String::from_utf8_lossy(&shell.stderr);
                    assert!(shell.status.success(), "{}: {line}\n{told}", page.display());
                    ran += 1;
                }
                // Tools of others, and getting here at all, are not ours to test.
                None if line.is_empty()
                    || ["cargo ", "git ", "cd ", "python", "pip "].iter().any(|known| line.starts_with(known)) => {}
                None => panic!("{}: not a command that this test knows: {line}", page.display()),
            }
        }
    }
    ran
}

#[test]
fn the_pipelines_they_show_are_valid() {
    for page in pages() {
        let room = clone();
        for (index, (_, body)) in blocks(&page).into_iter().filter(|(language, _)| language == "toml").enumerate() {
            let name = format!("pipelines/shown-{index}.toml");
            // Nobody has this bucket.
            room.write(&name, &body.replace("s3://bucket/embeddings/2026-11/", "../sample_data/glosses.parquet"));
            let told = room.command(&["plan", &name]).envs(VARIABLES).output().unwrap();
            assert!(told.status.success(), "{}: {}", page.display(), String::from_utf8_lossy(&told.stderr));
        }
    }
}

/// Links between the pages, and from them to files of the repository.
#[test]
fn links_lead_somewhere() {
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for target in targets.filter(|target| !target.is_empty() && !target.starts_with("http")) {
            assert!(page.parent().unwrap().join(target).exists(), "{}: no {target}", page.display());
        }
    }
}
