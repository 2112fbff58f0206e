//! The house: dependencies point down, the lower floors are pure, files stay short.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::root;

/// Rooms and their floors. A room may use what is below it, and what stands beside it only where [`BESIDE`] says so.
const FLOORS: [(&str, u8); 14] = [
    ("disk", 0),
    ("kernel", 0),
    ("words", 0),
    ("store", 1),
    ("search", 2),
    ("mine", 3),
    ("manifest", 4),
    ("remote", 4),
    ("report", 4),
    ("config", 5),
    ("pipeline", 6),
    ("cluster", 6),
    ("cli", 7),
    ("main", 7),
];

/// (room, neighbour on its own floor that it may use).
const BESIDE: [(&str, &str); 2] = [("cluster", "pipeline"), ("main", "cli")];

/// The floors without runtime, clock or printing.
const PURE: u8 = 3;

/// Lines of a file, at most.
const LONGEST: usize = 600;

struct Source {
    path: PathBuf,
    room: String,
    /// Folders and files between the crate's root and this module.
    depth: usize,
    /// Without comments, and without the tests at the end.
    code: String,
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let files = rust_files(&src);
    let tests_only = files.iter().flat_map(|path| test_modules(path)).collect::<BTreeSet<_>>();
    let library = files.into_iter().filter(|path| *path != src.join("lib.rs"));
    library
        .filter(|path| {
            !tests_only.iter().any(|module| path.starts_with(module) || *path == module.with_extension("rs"))
        })
        .map(|path| {
            let inside = path.strip_prefix(&src).unwrap().with_extension("");
            let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            let depth = parts.len() - usize::from(parts.last().is_some_and(|last| last == "mod"));
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let code = code.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
            Source { room: parts[0].clone(), path, depth, code }
        })
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(|entry| entry.unwrap().into_path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Where the modules lie that a file declares for tests alone, without extension.
fn test_modules(path: &Path) -> Vec<PathBuf> {
    let home = if path.file_name().is_some_and(|name| name == "mod.rs" || name == "lib.rs") {
        path.parent().unwrap().to_owned()
    } else {
        path.with_extension("")
    };
    let text = fs::read_to_string(path).unwrap();
    let declared = text.split("#[cfg(test)]\n").skip(1).filter_map(|rest| {
        let mut lines = rest.lines();
        let line = lines.next()?;
        match line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix(".rs\"]")) {
            Some(elsewhere) => Some(path.with_file_name(elsewhere)),
            None => line.strip_suffix(';')?.split_once("mod ").map(|(_, name)| home.join(name)),
        }
    });
    declared.collect()
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// The rooms that a piece of code names: `crate::a::b` and `use crate::{a::b, c}`, and the same by the library's name.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for prefix in ["crate::", "triplet_miner::"] {
        for rest in code.split(prefix).skip(1) {
            match rest.strip_prefix('{') {
                Some(group) => rooms.extend(group_heads(group)),
                None => rooms.extend([head(rest)]),
            }
        }
    }
    rooms
}

/// The first names of the paths in `a::{b, c}, d}`, up to the brace that closes the group.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut expecting, mut heads) = (0, true, Vec::new());
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expecting = true,
            _ if expecting && !letter.is_whitespace() => {
                heads.push(head(&group[at..]));
                expecting = false;
            }
            _ => {}
        }
    }
    heads
}

fn head(path: &str) -> String {
    path.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

#[test]
fn rooms_are_found_in_any_form_of_path() {
    let code =
        "use crate::kernel::Metric; use crate::{\n  store::{self, Row},\n mine, };\n fn f() { crate::search::x() }";
    assert_eq!(rooms_named(code).into_iter().collect::<Vec<_>>(), ["kernel", "mine", "search", "store"]);
}

#[test]
fn dependencies_point_down() {
    let sources = sources();
    assert!(sources.len() > 30, "only {} files found", sources.len());
    let mut wrong = Vec::new();
    for Source { path, room, depth, code } in &sources {
        let Some(own) = floor(room) else {
            wrong.push(format!("{}: the room `{room}` has no floor", path.display()));
            continue;
        };
        for used in rooms_named(code).iter().filter(|used| *used != room) {
            let fits = match floor(used) {
                Some(below) => below < own || BESIDE.contains(&(room.as_str(), used.as_str())),
                // A name that is no room: what `lib.rs` itself exports, or a macro's hygiene.
                None => true,
            };
            if !fits {
                wrong.push(format!("{}: `{room}` uses `{used}`, which is not below it", path.display()));
            }
        }
        if code.contains(&"super::".repeat(*depth)) {
            wrong.push(format!("{}: leaves its room by `super`; say `crate::`", path.display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_lower_floors_have_no_runtime_and_no_clock() {
    let mut wrong = Vec::new();
    for Source { path, room, code, .. } in sources().iter().filter(|source| floor(&source.room) <= Some(PURE)) {
        for word in ["tokio", "Instant", "::now(", "std::env", "thread::sleep"] {
            if code.contains(word) {
                wrong.push(format!("{}: `{word}` on a floor of pure functions (`{room}`)", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn only_the_command_line_prints() {
    let mut wrong = Vec::new();
    for Source { path, code, .. } in sources().iter().filter(|source| floor(&source.room) < floor("cli")) {
        for word in ["print!(", "println!(", "dbg!(", "io::stdout", "io::stderr"] {
            if code.contains(word) {
                wrong.push(format!("{}: `{word}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn files_stay_short() {
    let files = ["src", "tests"].into_iter().flat_map(|folder| rust_files(&root().join(folder)));
    let long: Vec<String> = files
        .map(|path| (fs::read_to_string(&path).unwrap().lines().count(), path))
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, path)| format!("{}: {lines} lines, at most {LONGEST}", path.display()))
        .collect();
    assert!(long.is_empty(), "\n{}", long.join("\n"));
}
