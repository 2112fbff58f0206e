//! Stores with one thing wrong are refused in the words of `tests/bad_data/cases.toml`; odd but good ones are not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float32Builder, ListBuilder, RecordBatch, StringArray};
use serde::Deserialize;

use crate::support::{Draw, Ran, Room, Rows, STORE, batches, copy, root, sample, triplets, unmined, write_table};
use crate::tamper::rewrite;

#[derive(Deserialize)]
struct Cases {
    case: Vec<Case>,
}

/// One store, what is asked of it, and what must be said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Below `stores/`.
    store: String,
    /// As given to `--set`.
    #[serde(default)]
    set: Vec<String>,
    /// Where the fault is that nothing is there.
    #[serde(default)]
    absent: bool,
    /// Exit status: 3, unless the pipeline is to blame.
    #[serde(default = "refused")]
    status: i32,
    /// The whole of standard error after `error: `.
    error: String,
    /// With `bad_rows = "skip"`, for what is wrong with rows: what `unmined.parquet` says of each, in order …
    skipped: Option<Vec<String>>,
    /// … or why there is nothing left.
    refused: Option<String>,
}

fn refused() -> i32 {
    3
}

fn folder() -> PathBuf {
    root().join("tests/bad_data")
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string(folder().join("cases.toml")).unwrap();
    toml::from_str::<Cases>(&text).unwrap().case
}

/// A room with the bad stores and a pipeline that only lacks the store's path.
fn room() -> Room {
    let room = Room::new();
    copy(&folder().join("stores"), &room.path("stores"));
    let text = "[store]\nid = 'id'\nembedding = 'embedding'\nlabel = 'label'\n[mine]\nbands = { any = 1 }\n[output]\npath = 'out'\n";
    room.write("p.toml", text);
    room
}

fn run(room: &Room, case: &Case, more: &[&str]) -> Ran {
    let path = format!("store.path=stores/{}", case.store);
    let mut args = vec!["run", "p.toml", "--quiet", "--set", &path];
    for set in case.set.iter().map(String::as_str).chain(more.iter().copied()) {
        args.extend(["--set", set]);
    }
    room.miner(&args)
}

#[test]
fn each_bad_store_is_refused_in_the_words_expected() {
    let room = room();
    let mut wrong = Vec::new();
    for case in cases() {
        let name = format!("{} {}", case.store, case.set.join(" "));
        let mut hold = |ran: Ran, expected: &str| {
            let expected = format!("error: {}\n", expected.trim_end());
            // Below it stands where a key came from: its line in the pipeline, or `--set`.
            let below = ["\n  |\n", "\n  = by --set "].iter().filter_map(|mark| ran.stderr.find(mark)).min();
            let told = below.map_or(ran.stderr.as_str(), |end| &ran.stderr[..=end]);
            if ran.status != Some(case.status) || told != expected || !ran.stdout.is_empty() {
                wrong.push(format!(
                    "{name}: status {:?}\n--- found\n{}--- expected\n{expected}",
                    ran.status, ran.stderr
                ));
            }
            assert!(!room.path("out").exists(), "{name}: left an output");
        };
        hold(run(&room, &case, &[]), &case.error);
        if let Some(refused) = &case.refused {
            hold(run(&room, &case, &["store.bad_rows=skip"]), refused);
        }
    }
    assert!(wrong.is_empty(), "{} cases\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn bad_rows_can_be_skipped_and_are_listed() {
    for case in cases() {
        let Some(skipped) = &case.skipped else { continue };
        let room = room();
        run(&room, &case, &["store.bad_rows=skip"]).exits(0);
        let out = room.path("out");
        let mut details = Vec::new();
        for batch in batches(&out.join("unmined.parquet")) {
            let texts = batch.column_by_name("detail").unwrap().as_string::<i32>().clone();
            details.extend(texts.iter().flatten().map(str::to_owned));
        }
        assert_eq!(&details, skipped, "{}", case.store);
        let rejected: Vec<u64> =
            unmined(&out).into_iter().filter(|(_, reason)| reason == "rejected").map(|(row, _)| row).collect();
        assert_eq!(rejected.len(), skipped.len(), "{}", case.store);
        let used: BTreeSet<u64> =
            triplets(&out).iter().flat_map(|line| [line.anchor, line.positive, line.negative]).collect();
        assert!(!used.is_empty() && rejected.iter().all(|row| !used.contains(row)), "{}", case.store);
        room.miner(&["verify", "out", "--full"]).exits(0);
        let store = room.path("stores").join(&case.store);
        if store.is_file() {
            fs::rename(store, room.path("renamed.parquet")).unwrap();
            room.miner(&["verify", "out", "--store", "renamed.parquet"]).exits(0);
        }
    }
}

#[test]
fn files_of_a_folder_may_be_renamed_and_not_be_taken_for_each_other() {
    let (room, mut draw) = (Room::new(), Draw(7));
    let mut file = |name: &str, ids: Vec<u64>| {
        let mut rows = Rows {
            vectors: (0..80).map(|_| (0..6).map(|_| draw.unit()).collect()).collect(),
            labels: (0..80).map(|_| Some(format!("class-{}", draw.below(9)))).collect(),
            teams: vec![None; 80],
        };
        [3, 30].iter().for_each(|&row: &usize| rows.vectors[row].fill(0.0));
        fs::create_dir_all(room.path("store")).unwrap();
        rows.write_with_ids(&room.path(&format!("store/{name}")), ids.into_iter());
    };
    file("one.parquet", (0..80).collect());
    // Its first row has the id of row 5 of the other.
    file("two.parquet", [5].into_iter().chain(81..160).collect());
    let asked = STORE.replace("store.parquet", "store") + "store.bad_rows = 'skip'\n";
    room.run("folder", &asked);
    room.run("pattern", &asked.replace("'store'", "'store/*.parquet'"));
    let sound = |options: &[&str]| {
        for out in ["folder", "pattern"] {
            room.miner(&[&["verify", out], options].concat()).exits(0);
        }
    };
    let forged = |from: &str, to: &str| {
        for out in ["folder", "pattern"] {
            copy(&room.path(out), &room.path("forged"));
            let mut changed = 0;
            rewrite(&room.path("forged"), "unmined.parquet", |batch| {
                let at = batch.schema().index_of("detail").unwrap();
                let mut forge = |text: &str| {
                    changed += u32::from(text == from);
                    if text == from { to.to_owned() } else { text.to_owned() }
                };
                let details = batch.column(at).as_string::<i32>().iter();
                let details: StringArray = details.map(|text| text.map(&mut forge)).collect();
                let mut columns = batch.columns().to_vec();
                columns[at] = Arc::new(details);
                RecordBatch::try_new(batch.schema(), columns).unwrap()
            });
            assert_eq!(changed, 1, "{from}");
            let verdict = room.miner(&["verify", "forged"]).exits(3).stdout;
            let told =
                verdict.starts_with("NOT SOUND: 1 finding\n  unmined.parquet, row ") && verdict.contains("detail");
            assert!(told, "{from} as {to}:\n{verdict}");
        }
    };
    let zero = "the vector is zero, and has no direction for cosine";
    let none_is_taken_for_another = || {
        forged(&format!("two.parquet, row 30: {zero}"), &format!("one.parquet, row 30: {zero}"));
        forged(&format!("two.parquet, row 30: {zero}"), &format!("else.parquet, row 30: {zero}"));
        forged(&format!("two.parquet, row 30: {zero}"), &format!("two.parquet, row 31: {zero}"));
        let same = "two.parquet, row 0: the id is that of one.parquet, row 5";
        forged(same, "two.parquet, row 0: the id is that of two.parquet, row 5");
        forged(same, "two.parquet, row 0: the id is that of one.parquet, row 6");
    };
    sound(&[]);
    none_is_taken_for_another();
    // Each has a name that the other had, or that says as much as a detail does.
    fs::rename(room.path("store/two.parquet"), room.path("store/two.parquet, row 0: the id.parquet")).unwrap();
    fs::rename(room.path("store/one.parquet"), room.path("store/a.parquet")).unwrap();
    sound(&[]);
    none_is_taken_for_another();
    fs::rename(room.path("store/two.parquet, row 0: the id.parquet"), room.path("store/one.parquet")).unwrap();
    sound(&["--full"]);
    fs::rename(room.path("store"), room.path("moved")).unwrap();
    sound(&["--store", "moved"]);
}

/// The first part of the path of each file below a folder.
fn stores(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn every_bad_store_has_its_words_and_every_case_its_store() {
    let there = stores(&folder().join("stores"));
    let told: BTreeSet<String> = cases().iter().filter(|case| !case.absent).map(|case| case.store.clone()).collect();
    assert_eq!(there, told, "stores of tests/bad_data/stores, and cases of tests/bad_data/cases.toml");
    for case in cases() {
        assert!(!case.error.is_empty(), "{}: no message is expected", case.store);
        let of_rows = case.error.contains("rows cannot be used");
        let skip = case.skipped.is_some() || case.refused.is_some();
        assert_eq!(
            of_rows, skip,
            "{}: what happens with bad_rows = \"skip\" must be said where it applies",
            case.store
        );
    }
}

#[test]
fn odd_but_good_stores_all_give_the_same_triplets() {
    let room = Room::new();
    copy(&root().join("tests/odd_data/stores"), &room.path("stores"));
    let mine = |store: &str, name: &str| {
        let asked = "store.embedding = 'embedding'\nstore.label = 'label'\nmine.bands = { hard = 2, semi-hard = 2 }\n\
                     mine.pick = 'nearest'\nmine.positives.pick = 'all'\nmine.margin = 0.1\nstore.id = 'id'\n";
        triplets(&room.run(name, &format!("store.path = 'stores/{store}'\n{asked}")))
    };
    let reference = mine("list-f32.parquet", "reference");
    assert!(reference.len() > 50, "{}", reference.len());
    let all = stores(&room.path("stores"));
    assert!(all.len() > 40, "{}", all.len());
    let patterns = ["several/part-*.parquet", "several/part-[012].parquet", "*/label=*/*.parquet"];
    for (index, store) in all.iter().map(String::as_str).chain(patterns).enumerate() {
        assert_eq!(mine(store, &format!("out-{index}")), reference, "{store}");
    }
}

/// A first row that is wrong does not make all others so.
#[test]
fn a_store_most_of_whose_rows_have_another_width_than_the_first_is_refused_though_bad_rows_may_be_left_out() {
    let room = Room::new();
    let (mut vectors, mut labels) = (ListBuilder::new(Float32Builder::new()), Vec::new());
    for row in 0..40_u8 {
        let values = (0..if row < 6 { 3 } else { 8 }).map(|at| Some(f32::from(row) + f32::from(at as u8)));
        vectors.append_value(values);
        labels.push(format!("c{}", row % 2));
    }
    let columns: Vec<(&str, ArrayRef)> =
        vec![("label", Arc::new(StringArray::from(labels))), ("embedding", Arc::new(vectors.finish()))];
    write_table(&room.path("store.parquet"), columns);
    let text = "[store]\npath = 'store.parquet'\nembedding = 'embedding'\nlabel = 'label'\nbad_rows = 'skip'\n\
        [mine]\nbands = { any = 1 }\n[output]\npath = 'out'\n";
    room.write("p.toml", text);
    let told = room.miner(&["run", "p.toml", "--quiet"]).exits(3).stderr;
    assert!(told.contains("store.parquet: the first vector has 3 values, and so have 6 of 40 in all"), "{told}");
    assert!(told.contains("where = \"array_length(embedding) = N\""), "{told}");
    room.miner(&["run", "p.toml", "--quiet", "--set", "store.where='array_length(embedding) = 8'"]).exits(0);
    room.miner(&["verify", "out", "--full"]).exits(0);
}

#[test]
fn more_files_than_names_have_room_for_are_refused() {
    let room = Room::new();
    let text = format!(
        "[store]\npath = '{}'\nembedding = 'embedding'\nlabel = 'label'\n[mine]\nbands = {{ any = 60 }}\n[output]\npath = 'out'\n\
         rows_per_file = 1\n",
        sample("digits.parquet")
    );
    room.write("p.toml", &text);
    for command in ["run", "plan"] {
        let told = room.miner(&[command, "p.toml"]).exits(2).stderr;
        let expected = "p.toml:9:17: output.rows_per_file = 1: 107,820 rows may come out, in 107,820 files, and at most 100,000 are \
            written; give 2 or more";
        assert!(told.contains(expected), "{told}");
    }
}
