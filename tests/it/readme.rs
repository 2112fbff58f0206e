//! What the README tells a stranger to type really works.

use crate::support::{Room, copy, root};

/// The fenced blocks of the README: their language and their text.
fn blocks() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
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

/// A copy of what a clone has, where the README's commands may write.
fn clone() -> Room {
    let room = Room::new();
    for folder in ["pipelines", "sample_data"] {
        copy(&root().join(folder), &room.path(folder));
    }
    room
}

#[test]
fn the_commands_work_in_the_order_they_are_told() {
    let room = clone();
    let mut ran = 0;
    for (language, body) in blocks() {
        if !["sh", "bash", "console"].contains(&language.as_str()) {
            continue;
        }
        for line in body.lines().map(|line| line.trim_start_matches("$ ").split(" #").next().unwrap().trim()) {
            let args = ["cargo run --release -- ", "miner "].iter().find_map(|prefix| line.strip_prefix(prefix));
            match args {
                Some(args) => {
                    // A shell parses quotes as the reader's does.
                    let command = format!("{} {args}", env!("CARGO_BIN_EXE_miner"));
                    let shell =
                        std::process::Command::new("sh").args(["-c", &command]).current_dir(room.path(".")).output();
                    let shell = shell.unwrap();
                    assert!(shell.status.success(), "{line}\n{}", String::from_utf8_lossy(&shell.stderr));
                    ran += 1;
                }
                // Tools of others, and getting here at all, are not ours to test.
                None if line.is_empty()
                    || ["cargo ", "git ", "cd ", "python", "pip "].iter().any(|known| line.starts_with(known)) => {}
                None => panic!("README: not a command that this test knows: {line}"),
            }
        }
    }
    assert!(ran >= 1, "the README tells at least how to run a pipeline");
}

#[test]
fn the_pipelines_it_shows_are_valid() {
    let room = clone();
    for (index, (_, body)) in blocks().into_iter().filter(|(language, _)| language == "toml").enumerate() {
        let name = format!("pipelines/readme-{index}.toml");
        room.write(&name, &body);
        room.miner(&["plan", &name]).exits(0);
    }
}
