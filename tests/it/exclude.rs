//! Negatives of earlier outputs: never taken again, whatever format tells them and wherever their rows are now.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::equivalence::{awkward, room_of};
use crate::queries::{Case, KINDS};
use crate::support::{Draw, Line, Room, Rows, STORE, copy, instead, manifest, triplets, unmined};
use crate::twin::{Asked, Twin};

const EXCLUDE: &str = "\nmine.negatives.exclude = 'first'\n";

#[test]
fn excluding_is_what_the_definitions_say() {
    let (mut before, mut after) = (0, 0);
    for seed in 0..40 {
        let mut draw = Draw(seed);
        let rows = awkward(&mut draw);
        let asked = Asked::draw(&mut draw, &rows);
        let (room, scores) = room_of(&rows, &mut draw);
        let earlier = triplets(&room.run("first", &asked.pipeline()));
        let out = room.run("second", &(asked.pipeline() + EXCLUDE));
        let found = triplets(&out);
        let twin = Twin::new(&rows, asked.metric()).scored(scores).without(&earlier);
        assert_eq!(twin.check(&asked, &found, &unmined(&out)), Ok(()), "seed {seed}\n{}", asked.pipeline());
        if seed % 8 == 0 {
            room.miner(&["verify", "second", "--full"]).exits(0);
        }
        (before, after) = (before + earlier.len(), after + found.len());
    }
    assert!(before > 2_000 && after > 500, "{before}, then {after} triplets: too few to tell");
}

#[test]
fn anchors_of_another_table_and_positives_by_pairs_are_excluded_by_ids_too() {
    for kind in KINDS {
        for seed in 0..6 {
            let mut draw = Draw(100 + seed * 3 + kind as u64);
            let case = Case::draw(kind, &mut draw);
            let asked = Asked::draw(&mut draw, &case.corpus).without_classes();
            let room = Room::new();
            case.write(&room);
            let pipeline = case.pipeline(&asked.pipeline());
            let earlier = triplets(&room.run("first", &pipeline));
            let out = room.run("second", &(pipeline.clone() + EXCLUDE));
            let verdict = case.twin(&asked).without(&earlier).check(&asked, &triplets(&out), &unmined(&out));
            assert_eq!(verdict, Ok(()), "{kind:?}, seed {seed}\n{pipeline}");
            if seed == 0 {
                room.miner(&["verify", "second", "--full"]).exits(0);
            }
        }
    }
}

#[test]
fn approximate_search_takes_nothing_again() {
    for (seed, index) in (300..306).zip(["cells", "hnsw"].into_iter().cycle()) {
        let mut draw = Draw(seed);
        let rows = awkward(&mut draw);
        let asked = Asked::draw(&mut draw, &rows);
        let (room, scores) = room_of(&rows, &mut draw);
        let pipeline = asked.pipeline().replace("'exact'", &format!("'{index}'"));
        let earlier = triplets(&room.run("first", &pipeline));
        let out = room.run("second", &(pipeline.clone() + EXCLUDE));
        let twin = Twin::new(&rows, asked.metric()).scored(scores).without(&earlier);
        assert_eq!(twin.admits(&asked, &triplets(&out), &unmined(&out)), Ok(()), "seed {seed} {index}\n{pipeline}");
        room.miner(&["verify", "second"]).exits(0);
    }
}

/// Rows of six classes, and a pipeline that takes the nearest negatives of each anchor.
fn rounds() -> (Room, Rows) {
    let (room, mut draw, n) = (Room::new(), Draw(11), 90);
    let rows = Rows {
        vectors: (0..n).map(|_| (0..5).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|row| Some(format!("c{}", row % 6))).collect(),
        teams: vec![None; n],
    };
    rows.write(&room.path("store.parquet"));
    (room, rows)
}

/// `more` is asked for instead of what is asked for otherwise, or beside it.
fn asked(more: &str) -> String {
    instead(&format!("{STORE}mine.bands = {{ any = 3 }}\nmine.pick = 'nearest'\n"), more)
}

/// (id of the anchor, id of the negative), of ids that `id` tells from rows.
fn named(lines: &[Line], id: impl Fn(u64) -> u64) -> BTreeSet<(u64, u64)> {
    lines.iter().map(|line| (id(line.anchor), id(line.negative))).collect()
}

#[test]
fn no_negative_comes_again_in_three_rounds_though_rows_move() {
    let (room, rows) = rounds();
    let first = named(&triplets(&room.run("one", &asked(""))), |row| row);
    // The rows in reverse, and all but the last ten.
    let turned = |values: &[Option<String>]| values.iter().rev().skip(10).cloned().collect::<Vec<_>>();
    let after = Rows {
        vectors: rows.vectors.iter().rev().skip(10).cloned().collect(),
        labels: turned(&rows.labels),
        teams: turned(&rows.teams),
    };
    after.write_with_ids(&room.path("store.parquet"), (0..80u64).rev());
    let id = |row: u64| 79 - row;
    let out = room.run("two", &asked("mine.negatives.exclude = 'one'"));
    let second = named(&triplets(&out), id);
    let out = room.run("three", &asked("mine.negatives.exclude = ['one', 'two']"));
    let third = named(&triplets(&out), id);
    assert_eq!((first.len(), second.len(), third.len()), (270, 240, 240), "no anchor is short of negatives");
    assert!(first.is_disjoint(&second) && first.is_disjoint(&third) && second.is_disjoint(&third));
    room.miner(&["verify", "three", "--full"]).exits(0);

    let there = first.iter().filter(|(anchor, negative)| *anchor < 80 && *negative < 80).count();
    let report: Value = serde_json::from_str(&room.miner(&["report", "three", "--json"]).exits(0).stdout).unwrap();
    assert_eq!(report["excluded"], json!({ "pairs": there + 240, "gone": 270 - there }));
    assert_eq!(report["guards"]["refused"][0][0], "exclude");
    let text = room.miner(&["report", "three"]).exits(0).stdout;
    let line =
        |why: &str| format!("{} negatives of earlier outputs{why}; rows that are gone: {}", there + 240, 270 - there);
    assert!(text.contains(&line("")), "{text}");
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains(&line(", kept away by mine.negatives.exclude")), "{page}");
    let told = room.miner(&["plan", "three.toml"]).exits(0).stdout;
    assert!(told.contains("two: the negatives of 240 rows are not taken again"), "{told}");
    let inputs = manifest(&out)["inputs"].clone();
    let roles: Vec<&str> = inputs.as_array().unwrap().iter().map(|input| input["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["store", "exclude", "exclude"]);
    assert_eq!((&inputs[1]["path"], &inputs[1]["rows"]), (&json!("../one"), &json!(270)));
}

#[test]
fn every_format_and_layout_with_ids_excludes_the_same() {
    let (room, _) = rounds();
    room.run("one", &asked(""));
    let expected = triplets(&room.run("two", &asked("mine.negatives.exclude = 'one'")));
    for (format, layout) in [
        ("arrow", "triplet"),
        ("jsonl", "n-tuple"),
        ("csv", "labeled-pair"),
        ("parquet", "labeled-list"),
        ("parquet", "candidates"),
    ] {
        let name = format!("{format}-{layout}");
        room.run(
            &name,
            &asked(&format!("output.format = '{format}'\noutput.layout = '{layout}'\noutput.order = 'random'")),
        );
        let out = room.run(&format!("after-{name}"), &asked(&format!("mine.negatives.exclude = '{name}'")));
        assert_eq!(triplets(&out), expected, "{name}");
    }
}

#[test]
fn an_anchor_whose_negatives_are_all_excluded_is_guarded() {
    let room = Room::new();
    let rows = Rows {
        vectors: [0.0f32, 0.1, 0.2, 0.3].iter().map(|a| vec![a.cos(), a.sin()]).collect(),
        labels: ["x", "x", "y", "y"].map(|label| Some(label.to_owned())).to_vec(),
        teams: vec![None; 4],
    };
    rows.write(&room.path("store.parquet"));
    room.run("one", &asked("").replace("any = 3", "any = 2"));
    let out = room.run("two", &asked("mine.negatives.exclude = 'one'"));
    assert_eq!(triplets(&out), []);
    assert_eq!(unmined(&out), (0..4).map(|row| (row, "guarded".to_owned())).collect());
    room.miner(&["verify", "two", "--full"]).exits(0);
}

#[test]
fn an_earlier_output_is_an_input_that_is_found_and_checked_again() {
    let (room, _) = rounds();
    room.run("one", &asked(""));
    room.run("other", &asked("mine.seed = 5\nmine.pick = 'random'"));
    let out = room.run("two", &asked("mine.negatives.exclude = 'one'"));
    let again = room.miner(&["run", "two.toml", "--quiet"]).exits(0).stdout;
    assert!(again.contains("already complete and current"), "{again}");
    // Elsewhere.
    fs::rename(room.path("one"), room.path("moved")).unwrap();
    let told = room.miner(&["verify", "two"]).exits(3).stderr;
    assert!(
        told.contains("the earlier output is not where the manifest says") && told.contains("--exclude PATH"),
        "{told}"
    );
    room.miner(&["verify", "two", "--exclude", "moved", "--full"]).exits(0);
    let told = room.miner(&["verify", "two", "--exclude", "moved", "--exclude", "other"]);
    assert!(told.stderr.contains("--exclude names 2 places, but the run read 1 of this role"), "{told:?}");
    // Another one in its place.
    let told = room.miner(&["verify", "two", "--exclude", "other"]).exits(3).stdout;
    assert!(told.contains("another exclude: "), "{told}");
    copy(&room.path("other"), &room.path("one"));
    let told = room.miner(&["run", "two.toml", "--quiet"]).exits(2).stderr;
    assert!(told.contains("which another pipeline, input or version wrote"), "{told}");
    // A forger who leaves the exclusion out is found out: the pipeline says what was asked.
    let mut forged = manifest(&out);
    forged["inputs"].as_array_mut().unwrap().truncate(1);
    fs::write(out.join("manifest.json"), forged.to_string()).unwrap();
    let told = room.miner(&["verify", "two"]).exits(3).stdout;
    let expected = "pipeline.mine.negatives.exclude: found names 1 earlier outputs, and the inputs list 0, expected ";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_negative_that_comes_again_is_a_finding() {
    let (room, _) = rounds();
    room.run("one", &asked(""));
    // Mined without the exclusion, and given out as mined with it.
    let honest = manifest(&room.run("two", &asked("mine.negatives.exclude = 'one'")));
    let out = room.run("three", &asked(""));
    let mut forged = manifest(&out);
    for key in ["pipeline", "inputs", "fingerprint"] {
        forged[key] = honest[key].clone();
    }
    fs::write(out.join("manifest.json"), forged.to_string()).unwrap();
    let told = room.miner(&["verify", "three"]).exits(3).stdout;
    assert!(told.contains("found a negative that the anchor had in an earlier output, expected another"), "{told}");
}

#[test]
fn outputs_that_cannot_be_excluded_are_refused_by_name() {
    let (room, _) = rounds();
    room.run("one", &asked(""));
    room.run("rows", &asked("output.format = 'npy'"));
    room.run("pairs", &asked("output.layout = 'pair'"));
    room.run("text", &asked("store.carry = ['label']\noutput.columns = 'label'"));
    room.run("names", &asked("store.id = \"concat('d', id)\""));
    copy(&room.path("one"), &room.path("forged"));
    let part = room.path("forged/triplets/part-00000.parquet");
    let mut bytes = fs::read(&part).unwrap();
    bytes[100] ^= 1;
    fs::write(&part, bytes).unwrap();
    for (exclude, status, expected) in [
        (
            "'rows'",
            3,
            "rows: output.format = \"npy\" names rows by their numbers only, and rows may move; mine it again",
        ),
        ("'pairs'", 3, "pairs: layout \"pair\" names no negatives; choose an output of another layout"),
        ("'text'", 3, "text: output.columns = \"label\" leaves ids out; mine it again with output.columns = \"all\""),
        ("'names'", 3, "names: names anchors by text (Utf8), but their ids are "),
        ("'nowhere'", 3, "nowhere: no manifest.json here: not a finished output of miner"),
        ("'forged'", 3, "forged: triplets/part-00000.parquet: found sha256 "),
        ("'out'", 2, "would replace the earlier output, "),
        ("['one', './one']", 2, "twice"),
        ("[]", 2, "names no earlier output; leave it out, or name one"),
        ("''", 2, "is empty; expected a path"),
        ("7", 2, "expected a path, or a list of paths"),
        ("['one', 7]", 2, "expected a path, or a list of paths"),
    ] {
        room.write("p.toml", &asked(&format!("mine.negatives.exclude = {exclude}\noutput.path = 'out'")));
        let told = room.miner(&["run", "p.toml", "--quiet", "--overwrite"]).exits(status).stderr;
        assert!(told.contains(expected), "{exclude}: {expected} is not in\n{told}");
        assert!(!room.path("out").exists(), "{exclude}");
    }
}
