//! A reranker's scores: what `score_gap` keeps, what is said of scores that are missing, and the way from candidates to scores and
//! back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float32Array, Float64Array, Int64Array, StringArray, UInt64Array};
use arrow::datatypes::Float32Type;
use serde_json::{Value, json};

use crate::oracle::python;
use crate::support::{Draw, Room, Rows, STORE, batches, copy, manifest, parts, root, triplets, unmined, write_table};

/// Scores of some anchors and rows.
#[derive(Debug, Clone, Default)]
pub struct Scores(pub BTreeMap<(usize, usize), f32>);

/// What a pipeline says of a table that [`Scores::write`] wrote.
pub const SCORES: &str = "\
scores.path = 'scores.parquet'
scores.anchor = 'a'
scores.candidate = 'c'
scores.score = 'r'
";

impl Scores {
    /// Of most pairs of an anchor and a row, with many ties; some anchors have none.
    pub fn draw(draw: &mut Draw, anchors: usize, rows: usize) -> Self {
        let mut scores = BTreeMap::from([((0, 0), 0.0)]);
        for anchor in (0..anchors).filter(|anchor| anchor % 7 != 3) {
            for row in 0..rows {
                if draw.below(4) > 0 {
                    scores.insert((anchor, row), draw.below(9) as f32 / 4.0 - 1.0);
                }
            }
        }
        Self(scores)
    }

    /// In another order than rows have; `ids` are those of the anchors.
    pub fn write(&self, path: &Path, ids: &[u64]) {
        let rows = || self.0.iter().rev();
        let anchors: ArrayRef = Arc::new(Int64Array::from_iter_values(rows().map(|((a, _), _)| ids[*a] as i64)));
        let candidates: ArrayRef = Arc::new(UInt64Array::from_iter_values(rows().map(|((_, c), _)| *c as u64)));
        let scores: ArrayRef = Arc::new(Float64Array::from_iter_values(rows().map(|(_, score)| f64::from(*score))));
        write_table(path, vec![("a", anchors), ("c", candidates), ("r", scores)]);
    }
}

/// Six rows, two of each class.
fn small(scores: &[((usize, usize), f32)]) -> Room {
    let room = Room::new();
    let angles = [0.0f32, 0.1, 0.2, 0.3, 0.4, 0.5];
    let rows = Rows {
        vectors: angles.iter().map(|a| vec![a.cos(), a.sin()]).collect(),
        labels: ["x", "x", "y", "y", "z", "z"].map(|label| Some(label.to_owned())).to_vec(),
        teams: vec![None; 6],
    };
    rows.write(&room.path("store.parquet"));
    Scores(scores.iter().copied().collect()).write(&room.path("scores.parquet"), &[0, 1, 2, 3, 4, 5]);
    room
}

const SMALL: [((usize, usize), f32); 5] =
    [((0, 1), 0.875), ((0, 2), 0.75), ((0, 3), 0.375), ((0, 4), 0.25), ((1, 4), 0.0)];

fn asked(more: &str) -> String {
    format!("{STORE}{SCORES}mine.bands = {{ any = 9 }}\nmine.pick = 'nearest'\n{more}\n")
}

#[test]
fn only_scored_rows_far_enough_below_the_positive_are_negatives() {
    let room = small(&SMALL);
    for (gap, negatives) in [("0.5", vec![3, 4]), ("0.50001", vec![4]), ("0.1", vec![2, 3, 4]), ("-9", vec![2, 3, 4])] {
        let name = format!("gap{gap}");
        let out = room.run(&name, &asked(&format!("mine.negatives.score_gap = {gap}")));
        let found: Vec<(u64, u64)> = triplets(&out).iter().map(|line| (line.anchor, line.negative)).collect();
        // The anchor 1 has a scored candidate, but its positive has no score.
        assert_eq!(found, negatives.into_iter().map(|row| (0, row)).collect::<Vec<_>>(), "{gap}");
        assert_eq!(unmined(&out), (1..6).map(|row| (row, "guarded".to_owned())).collect(), "{gap}");
        room.miner(&["verify", &name, "--full"]).exits(0);
    }
    let report = room.miner(&["report", "gap0.5"]).exits(0).stdout;
    assert!(report.contains("  scores      there is one for the positives of 1 of 6 pairs"), "{report}");
    let report: Value = serde_json::from_str(&room.miner(&["report", "gap0.5", "--json"]).exits(0).stdout).unwrap();
    assert_eq!(report["scores"], json!({ "pairs": 6, "scored": 1 }));
    // Of 24 candidates, four have a score, and one of those belongs to a pair without.
    assert_eq!(report["guards"]["unscored"], json!({ "pairs": 5, "candidates": 21 }));
    assert_eq!(report["guards"]["refused"], json!([["score_gap", 22]]));
}

#[test]
fn balance_and_batches_go_with_scores() {
    let mut draw = Draw(5);
    let n = 60;
    let rows = Rows {
        vectors: (0..n).map(|_| (0..8).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|row| Some(format!("c{}", row % 6))).collect(),
        teams: vec![None; n],
    };
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    Scores::draw(&mut draw, n, n).write(&room.path("scores.parquet"), &(0..n as u64).collect::<Vec<_>>());
    let more = "mine.negatives.score_gap = 0.25\nbalance.max_uses = 3\nbatches = { kind = 'triplets', size = 4 }";
    let out = room.run("out", &asked(more).replace("any = 9", "any = 2"));
    assert!(triplets(&out).len() > 50, "{} triplets", triplets(&out).len());
    room.miner(&["verify", "out", "--full"]).exits(0);
}

#[test]
fn a_plan_tells_which_pairs_have_a_score() {
    let room = small(&SMALL);
    let score = "mine.negatives.score_gap = 0.5";
    room.write("p.toml", &asked(score));
    let told = room.miner(&["plan", "p.toml", "--calibrate"]).exits(0).stdout;
    for part in
        ["scores.parquet: 5 of 2 anchors, the most of one 4", "there is a score for the positives of 1 of 6 pairs"]
    {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    // By pairs of ids it is known before anything is read: three pairs, one of them twice.
    let id = |ids: [i64; 4]| -> ArrayRef { Arc::new(Int64Array::from(ids.to_vec())) };
    let pairs = vec![("query_id", id([0, 0, 5, 5])), ("corpus_id", id([1, 2, 4, 4]))];
    write_table(&room.path("pairs.parquet"), pairs);
    room.write("p.toml", &(asked(score).replace("store.label = 'label'\n", "") + "pairs.path = 'pairs.parquet'\n"));
    let told = room.miner(&["plan", "p.toml"]).exits(0).stdout;
    assert!(told.contains("there is one for 2 of 3 pairs"), "{told}");
    let told: Value = serde_json::from_str(&room.miner(&["plan", "p.toml", "--json"]).exits(0).stdout).unwrap();
    assert_eq!(told["census"]["scores"], json!({ "rows": 5, "anchors": 2, "most": 4 }));
    assert_eq!(told["census"]["scored_pairs"], json!({ "pairs": 3, "scored": 2 }));
}

/// What `plan --calibrate` foretells of a gap, and what the audit says of it, are what a run does.
#[test]
fn calibration_and_audit_tell_what_a_run_does() {
    let mut draw = Draw(8);
    let n = 90;
    let rows = Rows {
        vectors: (0..n).map(|_| (0..6).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|_| Some(format!("c{}", draw.below(9)))).collect(),
        teams: vec![None; n],
    };
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    Scores::draw(&mut draw, n, n).write(&room.path("scores.parquet"), &(0..n as u64).collect::<Vec<_>>());
    let bands = |count: u64| format!("{STORE}mine.bands = {{ semi-hard = {count} }}\nmine.pick = 'nearest'\n");
    let asked = |count: u64| format!("{}{SCORES}mine.negatives.score_gap = 0.25\n", bands(count));
    let json = |args: &[&str]| serde_json::from_str::<Value>(&room.miner(args).exits(0).stdout).unwrap();

    let found = triplets(&room.run("few", &asked(3))).len() as f64;
    let told = json(&["plan", "few.toml", "--calibrate", "--json"]);
    let trials: Vec<&Value> = told["calibration"]["guards"].as_array().unwrap().iter().collect();
    let gaps: Vec<&Value> = trials.into_iter().filter(|line| line["guard"] == "score_gap").collect();
    assert!(gaps.len() > 3 && gaps.is_sorted_by(|a, b| a["value"].as_f64() < b["value"].as_f64()), "{gaps:?}");
    let line = gaps.iter().find(|line| line["value"] == 0.25).unwrap();
    let share = found / (3 * told["census"]["anchors"].as_u64().unwrap()) as f64;
    assert!((share - line["fullness"]["filled"].as_f64().unwrap()).abs() < 1e-9, "{share}, foretold {line}");
    assert!(share > 0.05 && share < 0.95, "{share} proves nothing");

    let free = triplets(&room.run("free", &bands(1_000))).len() as u64;
    let kept = triplets(&room.run("all", &asked(1_000))).len() as u64;
    let report = json(&["report", "all", "--json"]);
    assert_eq!(report["guards"]["refused"], json!([["score_gap", free - kept]]));
    assert_eq!(report["guarded"].as_u64(), Some(free - kept));
    assert_eq!(report["guards"]["pairs"], report["scores"]["pairs"], "the sample is all there is");
    let scored = report["scores"]["scored"].as_u64().unwrap();
    assert_eq!(
        report["guards"]["unscored"]["pairs"].as_u64(),
        report["scores"]["pairs"].as_u64().map(|all| all - scored)
    );
    let told = room.miner(&["report", "all"]).exits(0).stdout;
    assert!(told.contains("for want of a score); "), "{told}");
}

/// Rows of an anchor's id, a candidate's and a score, any of them null.
fn write_scores(room: &Room, rows: &[(Option<&str>, Option<&str>, Option<f32>)]) {
    let anchors: ArrayRef = Arc::new(rows.iter().map(|row| row.0).collect::<StringArray>());
    let candidates: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>());
    let scores: ArrayRef = Arc::new(rows.iter().map(|row| row.2).collect::<Float32Array>());
    let columns = vec![("query_id", anchors), ("corpus_id", candidates), ("score", scores)];
    write_table(&room.path("scores.parquet"), columns);
}

const TEXT_IDS: &str = "\
store.path = 'store.parquet'
store.id = \"concat('d', id)\"
store.embedding = 'embedding'
store.label = 'label'
scores.path = 'scores.parquet'
mine.bands = { any = 9 }
mine.negatives.score_gap = 0.5
output.path = 'out'
";

#[test]
fn scores_that_cannot_be_used_are_refused_or_listed() {
    let room = small(&SMALL);
    room.write("p.toml", TEXT_IDS);
    write_scores(
        &room,
        &[
            (Some("d0"), Some("d1"), Some(1.0)),
            (Some("d0"), Some("nowhere"), Some(0.5)),
            (Some("nobody"), Some("d2"), Some(0.5)),
            (Some("d0"), Some("d2"), None),
            (Some("d0"), Some("d3"), Some(f32::NAN)),
            (None, Some("d3"), Some(0.0)),
            (Some("d0"), Some("d4"), Some(0.25)),
        ],
    );
    let told = room.miner(&["run", "p.toml", "--quiet"]).exits(3).stderr;
    for part in [
        "5 of 7 rows cannot be used (no number: 2, null id: 1, unknown id: 2), rows counted from 0",
        "scores.parquet, row 1, id d0: no row of the store has the candidate's id \"nowhere\"",
        "scores.parquet, row 2, id nobody: no row of the store has the anchor's id \"nobody\"",
        "scores.parquet, row 3, id d0: the score is null",
        "or leave them out with scores.bad_rows = \"skip\"",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    assert!(!room.path("out").exists());
    for key in ["scores.bad_rows=skip", "store.bad_rows=skip"] {
        room.miner(&["run", "p.toml", "--quiet", "--overwrite", "--set", key]).exits(0);
        let out = room.path("out");
        let found: Vec<(u64, u64)> = triplets(&out).iter().map(|line| (line.anchor, line.negative)).collect();
        assert_eq!(found, [(0, 4)]);
        let details: Vec<String> = batches(&out.join("unmined.parquet"))
            .iter()
            .flat_map(|batch| {
                batch["detail"].as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        let expected = [
            "scores: scores.parquet, row 1: no row of the store has the candidate's id \"nowhere\"",
            "scores: scores.parquet, row 2: no row of the store has the anchor's id \"nobody\"",
            "scores: scores.parquet, row 3: the score is null",
            "scores: scores.parquet, row 4: the score is NaN",
            "scores: scores.parquet, row 5: the anchor is null",
        ];
        assert_eq!(details, expected);
        assert_eq!(manifest(&out)["rows"]["read"], 6, "scores are no rows of a store");
        room.miner(&["verify", "out", "--full"]).exits(0);
    }
    write_scores(&room, &[(Some("nobody"), Some("d2"), Some(0.5))]);
    let told =
        room.miner(&["run", "p.toml", "--quiet", "--overwrite", "--set", "scores.bad_rows=skip"]).exits(3).stderr;
    assert!(told.contains("scores.parquet: none of 1 row names a row both as anchor and as candidate"), "{told}");
}

#[test]
fn scores_that_contradict_each_other_or_are_none_are_refused() {
    let room = small(&SMALL);
    room.write("p.toml", TEXT_IDS);
    let twice = [("d0", "d1", 1.0), ("d0", "d3", 0.5), ("d0", "d1", 1.0), ("d5", "d1", 0.5), ("d0", "d3", 0.75)];
    write_scores(&room, &twice.map(|(a, c, score)| (Some(a), Some(c), Some(score))));
    let told = room.miner(&["run", "p.toml", "--quiet", "--set", "store.bad_rows=skip"]).exits(3).stderr;
    let expected = "error: ./scores.parquet: anchor \"d0\" and candidate \"d3\" have more than one score: 0.5 in ./scores.parquet, \
                    row 1, 0.75 in ./scores.parquet, row 4; keep one of them\n";
    assert_eq!(told.replace(&format!("{}/", room.path(".").display()), "./"), expected);
    for (set, expected) in [
        (
            "scores.score=corpus_id",
            "scores.score = \"corpus_id\": ./scores.parquet: one number a row is needed; found text (Utf8)",
        ),
        (
            "scores.score=scor",
            "scores.score = \"scor\": ./scores.parquet: the scores have no column `scor`; nearest: `score`",
        ),
        ("scores.anchor=score", "scores.anchor = \"score\": ./scores.parquet: an id is a string or an integer; found"),
        (
            "store.id=id",
            "scores.anchor = \"query_id\": ./scores.parquet: it must name rows by their ids; found text (Utf8)",
        ),
    ] {
        for command in [&["run", "p.toml", "--quiet"][..], &["plan", "p.toml"]] {
            let told = room.miner(&[command, &["--set", set]].concat()).exits(2).stderr;
            assert!(told.contains(expected), "{set}: {expected} is not in\n{told}");
        }
    }
}

#[test]
fn verify_finds_other_scores_and_negatives_that_they_refuse() {
    let room = small(&SMALL);
    let out = room.run("out", &asked("mine.negatives.score_gap = 0.5\noutput.format = 'jsonl'"));
    let roles: Vec<Value> =
        manifest(&out)["inputs"].as_array().unwrap().iter().map(|input| input["role"].clone()).collect();
    assert_eq!(roles, ["store", "scores"]);
    // A negative that names no positive is held against all of the anchor.
    let pairs = "mine.negatives.score_gap = 0.5\noutput.format = 'jsonl'\noutput.layout = 'labeled-pair'";
    let pairs = room.run("pairs", &asked(pairs));
    room.miner(&["verify", "pairs"]).exits(0);
    crate::tamper::edit_manifest(&pairs, |sealed| sealed["pipeline"]["mine"]["negatives"]["score_gap"] = 5.0.into());
    let told = room.miner(&["verify", "pairs"]).exits(3).stdout;
    assert!(told.contains("a negative that bands and guards admit for a positive of the anchor"), "{told}");
    fs::rename(room.path("scores.parquet"), room.path("moved.parquet")).unwrap();
    room.miner(&["verify", "out"]).exits(3);
    room.miner(&["verify", "out", "--scores", "moved.parquet"]).exits(0);
    // Row 2 instead of row 3: a negative like any other but for its score.
    let part = out.join("triplets/part-00000.jsonl");
    let honest = fs::read_to_string(&part).unwrap();
    let free = room.run("free", &asked("output.format = 'jsonl'").replace(SCORES, ""));
    let others = fs::read_to_string(free.join("triplets/part-00000.jsonl")).unwrap();
    let of = |row: u64, text: &str| {
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.find(|line| line["anchor_row"] == 0 && line["negative_row"] == row).unwrap().to_string()
    };
    let forged = format!("{}\n{}\n", of(2, &others), of(4, &honest));
    fs::write(&part, forged).unwrap();
    crate::tamper::reseal(&out, "triplets/part-00000.jsonl", 2);
    let told = room.miner(&["verify", "out", "--scores", "moved.parquet"]).exits(3).stdout;
    let expected = "row 0, negative_row: found score 0.75 beside a positive of score 0.875, expected a negative that score_gap keeps";
    assert!(told.contains(expected), "{told}");
}

/// A copy of the sample and its pipelines.
fn sample_room() -> Room {
    let room = Room::new();
    for folder in ["pipelines", "sample_data"] {
        copy(&root().join(folder), &room.path(folder));
    }
    room
}

fn scored_rows(path: &Path) -> BTreeMap<(String, String), f32> {
    let mut rows = BTreeMap::new();
    for batch in batches(path) {
        let id = |name: &str| batch[name].as_string::<i32>().clone();
        let (anchors, candidates) = (id("anchor_id"), id("candidate_id"));
        let scores = batch["score"].as_primitive::<Float32Type>();
        let row = |row| ((anchors.value(row).to_owned(), candidates.value(row).to_owned()), scores.value(row));
        rows.extend((0..batch.num_rows()).map(row));
    }
    rows
}

/// As a user goes it: candidates, scores of them, negatives by scores.
#[test]
fn from_candidates_to_scores_to_negatives() {
    let room = sample_room();
    room.miner(&["run", "--quiet", "pipelines/question-passage-candidates.toml"]).exits(0);
    let made: PathBuf = room.path("made.parquet");
    let script = Command::new(python())
        .arg(room.path("sample_data/scores.py"))
        .args([&room.path("out/question-passage-candidates"), &made])
        .output()
        .unwrap();
    assert!(script.status.success(), "{}", String::from_utf8_lossy(&script.stderr));
    let (made, kept) = (scored_rows(&made), scored_rows(&room.path("sample_data/scores.parquet")));
    assert!(made == kept, "{} rows of sample_data/scores.parquet, {} made anew", kept.len(), made.len());

    room.miner(&["run", "--quiet", "pipelines/question-passage-scored.toml"]).exits(0);
    let out = room.path("out/question-passage-scored");
    let mut negatives = BTreeSet::new();
    for batch in parts(&out).iter().flat_map(|part| batches(part)) {
        let id = |name: &str| batch[name].as_string::<i32>().clone();
        let (anchors, positives, others) = (id("anchor_id"), id("positive_id"), id("negative_id"));
        for row in 0..batch.num_rows() {
            let score = |of: &StringArray| kept[&(anchors.value(row).to_owned(), of.value(row).to_owned())];
            assert!(score(&positives) - score(&others) >= 0.5);
            negatives.insert((anchors.value(row).to_owned(), others.value(row).to_owned()));
        }
    }
    assert!(negatives.len() > 1_000, "{}", negatives.len());
    // Every index finds the same: few rows have a score, and all of those are looked at.
    for index in ["cells", "hnsw"] {
        let args = ["run", "--quiet", "--overwrite", "pipelines/question-passage-scored.toml", "--set"];
        let exact = triplets(&out);
        room.miner(&[&args[..], &[&format!("search.index={index}")]].concat()).exits(0);
        assert_eq!(triplets(&out), exact, "{index}");
        assert_eq!(manifest(&out)["search"]["index"], index);
    }
}
