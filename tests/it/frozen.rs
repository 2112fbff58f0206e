//! Outputs of every version of the format, frozen in `tests/frozen` when that version was the latest: they are sound for ever, and what a
//! later program wrote is refused by name.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::support::{Ran, Room, copy, manifest, root};

/// A variable that `arrays.toml` names.
const VARIABLE: (&str, &str) = ("FROZEN_DIGIT", "seven");

/// A copy of all that was frozen, and the outputs in it.
fn thawed() -> (Room, Vec<PathBuf>) {
    let room = Room::new();
    copy(&root().join("tests/frozen"), &room.path("frozen"));
    let files = walkdir::WalkDir::new(room.path("frozen")).into_iter().map(|entry| entry.unwrap());
    let manifests = files.filter(|entry| entry.file_name() == "manifest.json");
    let mut outputs: Vec<PathBuf> = manifests.map(|entry| entry.path().parent().unwrap().to_path_buf()).collect();
    outputs.sort();
    (room, outputs)
}

fn miner(room: &Room, args: &[&str]) -> Ran {
    let output = room.command(args).env(VARIABLE.0, VARIABLE.1).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn every_frozen_output_is_sound_and_reported() {
    let (room, outputs) = thawed();
    let mut held: BTreeSet<String> = BTreeSet::new();
    for out in &outputs {
        let name = out.to_str().unwrap();
        let verdict = miner(&room, &["verify", "--full", name]).exits(0).stdout;
        assert!(
            verdict.contains("made anew from the store") || verdict.contains("in their order"),
            "{name}: {verdict}"
        );
        if out.join("report.json").exists() {
            assert!(miner(&room, &["report", name]).exits(0).stdout.contains("triplets"), "{name}");
            miner(&room, &["report", "--html", name]).exits(0);
            assert!(out.join("report.html").exists(), "{name}");
            held.insert("report".into());
        }
        let sealed = manifest(out);
        let (pipeline, search) = (&sealed["pipeline"], &sealed["search"]);
        let keys = [&pipeline["output"]["format"], &pipeline["output"]["layout"], &search["index"]];
        held.extend(keys.map(|key| key.as_str().unwrap().to_owned()));
        held.extend(
            ["environment", "batches", "balance"]
                .into_iter()
                .filter(|key| sealed.get(key).is_some())
                .map(str::to_owned),
        );
        held.extend(
            sealed["inputs"].as_array().unwrap().iter().map(|input| input["role"].as_str().unwrap().to_owned()),
        );
    }
    let all = "arrow balance batches candidates cells csv environment exact hnsw jsonl labeled-list labeled-pair n-tuple npy pair pairs \
               parquet queries report scores store triplet vectors";
    assert_eq!(held.into_iter().collect::<Vec<_>>(), all.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn every_frozen_pipeline_still_means_the_same_rows() {
    let (room, outputs) = thawed();
    for out in &outputs {
        let (pipeline, again) = (out.with_extension("toml"), out.with_extension("again"));
        let set = format!("output.path={}", again.display());
        miner(&room, &["run", "--quiet", pipeline.to_str().unwrap(), "--set", &set]).exits(0);
        let (then, now) = (manifest(out), manifest(&again));
        for key in ["rows", "bands", "unmined", "columns"] {
            assert_eq!(then[key], now[key], "{}: {key}", out.display());
        }
    }
}

#[test]
fn a_newer_output_is_refused_with_the_cure_and_not_replaced_unasked() {
    let (room, outputs) = thawed();
    let out = outputs.iter().find(|out| out.ends_with("triplets")).unwrap();
    let newer = fs::read_to_string(out.join("manifest.json"))
        .unwrap()
        .replacen("\"version\": 1", "\"version\": 2", 1)
        .replacen(
            &format!("\"program\": \"{}\"", manifest(out)["program"].as_str().unwrap()),
            "\"program\": \"9.1.0\"",
            1,
        );
    fs::write(out.join("manifest.json"), &newer).unwrap();
    let refused = miner(&room, &["verify", out.to_str().unwrap()]).exits(3).stderr;
    for part in ["manifest.json: version 2 of the format, written by miner 9.1.0", "use miner 9.1.0 or a newer one"] {
        assert!(refused.contains(part), "{refused}");
    }
    let occupied = miner(&room, &["run", "--quiet", out.with_extension("toml").to_str().unwrap()]).exits(2).stderr;
    assert!(occupied.contains("an output that a newer miner wrote (9.1.0)"), "{occupied}");
    assert_eq!(fs::read_to_string(out.join("manifest.json")).unwrap(), newer);
}
