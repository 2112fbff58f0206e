//! What standard error holds: lines with times, or objects of JSON. Bars and colours need a terminal, and none is here.

use serde_json::Value;

use crate::support::{Room, sample};

fn room() -> Room {
    let room = Room::new();
    let store = sample("digits.parquet");
    room.write("p.toml", &format!("store.path = '{store}'\nstore.embedding = 'embedding'\nstore.label = 'label'\n"));
    room
}

fn objects(stderr: &str) -> Vec<Value> {
    stderr.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// `2026-11-27T12:00:00Z`, with or without parts of a second.
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    ["0000-00-00T00:00:00Z", "0000-00-00T00:00:00.000Z"].contains(&shape.as_str())
}

#[test]
fn a_log_has_a_time_on_each_line_and_no_colours() {
    let room = room();
    for (extra, variables) in [(&[][..], vec![]), (&["--log", "lines"][..], vec![("CLICOLOR_FORCE", "0")])] {
        let args = [&["run", "p.toml", "--fresh", "--overwrite"], extra].concat();
        let ran = room.command(&args).envs(variables).output().unwrap();
        let told = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.success() && !told.contains('\u{1b}'), "{told}");
        let lines: Vec<(&str, &str)> = told.lines().map(|line| line.split_once(' ').unwrap()).collect();
        assert!(lines.iter().all(|(time, _)| is_time(time)), "{told}");
        let begins = lines.iter().filter(|(_, line)| line.starts_with("mine: begins, 1,797 anchors")).count();
        let ends = lines.iter().filter(|(_, line)| line.starts_with("mine: 1,794 triplets (")).count();
        assert_eq!((begins, ends), (1, 1), "{told}");
        std::fs::remove_dir_all(room.path("out")).unwrap();
    }
}

#[test]
fn a_json_log_is_one_object_a_line_with_numbers() {
    let room = room();
    let ran = room.miner(&["run", "p.toml", "--json", "--log", "json"]).exits(0);
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap()["rows"], 1_797);
    let told = objects(&ran.stderr);
    for object in &told {
        assert!(is_time(object["time"].as_str().unwrap()) && object["level"] == "info", "{object}");
        assert!(object["message"].is_string(), "{object}");
    }
    let mine: Vec<&Value> = told.iter().filter(|object| object["stage"] == "mine").collect();
    let (first, last) = (mine[0], mine[mine.len() - 1]);
    assert_eq!((&first["event"], &first["done"], &first["total"]), (&"begin".into(), &0.into(), &1_797.into()));
    assert_eq!((&last["event"], &last["done"], &last["unit"]), (&"end".into(), &1_797.into(), &"anchors".into()));
    assert!(last["elapsed_s"].as_f64() > Some(0.0) && last["rate"].as_f64() > Some(0.0), "{last}");
    let told = objects(&room.miner(&["verify", "out/p", "--log", "json"]).exits(0).stderr);
    assert!(told.iter().any(|object| object["event"] == "end"), "{told:?}");
    let quiet = room.miner(&["run", "p.toml", "--quiet", "--log", "json"]).exits(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn an_error_in_a_json_log_is_an_object_with_the_status() {
    let room = room();
    let failed = |args: &[&str], status: i32| {
        let told = objects(&room.miner(&[&["run", "--log", "json"], args].concat()).exits(status).stderr);
        let last = told.last().unwrap().clone();
        assert_eq!(
            (&last["level"], &last["event"], &last["status"]),
            (&"error".into(), &"error".into(), &status.into())
        );
        last
    };
    let wrong = failed(&["p.toml", "--set", "mine.margin=-1"], 2);
    assert!(wrong["message"].as_str().unwrap().contains("mine.margin = -1"), "{wrong}");
    assert!(wrong["excerpt"].as_str().unwrap().contains("--set"), "{wrong}");
    let refused = failed(&["p.toml", "--set", "store.where=1 > 2"], 3);
    assert!(refused["message"].as_str().unwrap().contains("no row is left"), "{refused}");
    let misspelled = failed(&["p.toml", "--nonsense"], 2);
    assert!(misspelled["message"].as_str().unwrap().contains("--nonsense"), "{misspelled}");
    room.write("q.toml", "store.path = 'a\u{202e}b.parquet'\nstore.embedding = 'e'\nstore.label = 'l'\n");
    let told = room.miner(&["run", "q.toml", "--log", "json"]).exits(3).stderr;
    assert!(told.lines().count() == 1 && !told.contains('\u{202e}'), "{told}");
}
