//! Every claim of a manifest is checked: each leaf of a real `manifest.json` is forged in turn, so that a new key cannot be
//! forgotten. Once as it is, and once with the fingerprint made anew, as a careful forger would.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use triplet_miner::manifest;

use crate::support::{Draw, Ran, Room, Rows, STORE, copy, manifest};
use crate::tamper::edit_manifest;

/// Leaves that may be forged under a fingerprint made anew, and why nobody can tell: `*` is any number.
const EXCUSED: [(&str, &str); 7] = [
    ("/program", "another version may have written it; that it gives the same rows is told as not checked"),
    ("/pipeline/name", "a name for people"),
    ("/pipeline/store/path", "as it was typed; where the store was is told by the inputs"),
    ("/pipeline/output/path", "where the output was written; it may have been moved"),
    ("/pipeline/output/overwrite", "says nothing of what was written"),
    ("/pipeline/search/hnsw/*", "graphs that this search has none of"),
    ("/pipeline/search/target_recall", "an exact search is not tuned"),
];

/// The leaves of a JSON value as pointers; a list or table without any is one itself.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Array(values) => (0..).map(|place: usize| place.to_string()).zip(values).collect(),
        Value::Object(values) => values.iter().map(|(key, value)| (key.clone(), value)).collect(),
        _ => Vec::new(),
    };
    if inner.is_empty() {
        found.push(at.to_owned());
    }
    inner.into_iter().for_each(|(key, value)| leaves(value, &format!("{at}/{key}"), found));
}

/// Another value of the same kind.
fn forged(value: &Value) -> Value {
    match value {
        Value::Null => json!("x"),
        Value::Bool(is) => json!(!is),
        Value::Number(number) => match number.as_u64() {
            Some(count) => json!(count + 1),
            None => json!(number.as_f64().unwrap() + 0.0625),
        },
        Value::String(text) => json!(format!("{text}x")),
        Value::Array(_) => json!(["x"]),
        Value::Object(_) => json!({ "x": "x" }),
    }
}

fn refingerprint(sealed: &mut Value) {
    let inputs: Vec<manifest::Input> = serde_json::from_value(sealed["inputs"].clone()).unwrap();
    let program = sealed["program"].as_str().unwrap().to_owned();
    sealed["fingerprint"] = json!(manifest::fingerprint(&inputs, &sealed["pipeline"], &BTreeMap::new(), &program));
}

fn is_excused(leaf: &str) -> bool {
    EXCUSED.iter().any(|(name, _)| match name.strip_suffix('*') {
        Some(start) => leaf.starts_with(start),
        None => leaf == *name,
    })
}

/// A small store with an oddity or two.
fn room(seed: u64) -> Room {
    let (room, mut draw) = (Room::new(), Draw(seed));
    let n = 150;
    let rows = Rows {
        vectors: (0..n).map(|_| (0..6).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|_| (draw.below(12) > 0).then(|| format!("class-{}", draw.below(9)))).collect(),
        teams: (0..n).map(|_| Some(format!("team-{}", draw.below(3)))).collect(),
    };
    rows.write(&room.path("store.parquet"));
    room
}

fn verify(room: &Room, out: &Path, change: impl FnOnce(&mut Value)) -> Ran {
    let changed = room.path("changed");
    if changed.exists() {
        fs::remove_dir_all(&changed).unwrap();
    }
    copy(out, &changed);
    // What it says again would give the manifest away, and it may be deleted.
    fs::remove_file(changed.join("report.json")).unwrap();
    edit_manifest(&changed, change);
    room.miner(&["verify", "changed", "--full"])
}

/// Forges every leaf: none goes unnoticed, but for those that are excused.
#[track_caller]
fn no_leaf_can_be_forged(room: &Room, pipeline: &str) {
    let out = room.run("out", pipeline);
    room.miner(&["verify", "out", "--full"]).exits(0);
    let mut all = Vec::new();
    leaves(&manifest(&out), "", &mut all);
    assert!(all.len() > 80, "{} leaves", all.len());
    let mut unnoticed = Vec::new();
    for leaf in &all {
        let change = |sealed: &mut Value| {
            let value = sealed.pointer_mut(leaf).unwrap();
            *value = forged(value);
        };
        let ran = verify(room, &out, change).exits(3);
        let told = ran.stdout.contains("NOT SOUND") || ran.stderr.contains("manifest.json");
        assert!(told, "{leaf}: {ran:?}");
        if leaf == "/fingerprint" || leaf == "/format" || leaf == "/version" {
            continue;
        }
        let careful = verify(room, &out, |sealed| {
            change(sealed);
            refingerprint(sealed);
        });
        match careful.status {
            Some(0) => unnoticed.push(leaf.as_str()),
            Some(3) => assert!(!careful.stderr.contains("this is a bug"), "{leaf}: {careful:?}"),
            _ => panic!("{leaf}: {careful:?}"),
        }
    }
    let unexpected: Vec<&&str> = unnoticed.iter().filter(|leaf| !is_excused(leaf)).collect();
    assert!(unexpected.is_empty(), "forged and not found: {unexpected:?}");
    for (name, why) in EXCUSED.iter().filter(|(name, _)| all.iter().any(|leaf| leaf == name)) {
        let needed = unnoticed.contains(name) || *name == "/pipeline/search/target_recall";
        assert!(needed, "{name} ({why}) is found out: it needs no excuse");
    }
}

#[test]
fn of_an_approximate_run_with_batches_and_shards() {
    let pipeline = format!(
        "{STORE}store.groups = {{ team = 'team' }}\nstore.carry = ['team']\nprepare.standardize = true\nsearch.index = 'cells'\n\
         mine.bands = {{ hard = 1, semi-hard = 2 }}\nmine.fallback = ['easy']\nmine.negatives.max_per_class = 1\n\
         mine.negatives.duplicate_distance = 0.05\nbatches = {{ kind = 'triplets', size = 4 }}\n\
         output.order = 'easy-to-hard'\noutput.shards = 3\n"
    );
    no_leaf_can_be_forged(&room(1), &pipeline);
}

#[test]
fn of_an_exact_run_with_balance_and_batches_of_rows() {
    let pipeline = format!(
        "{STORE}search.index = 'exact'\nmine.bands = {{ any = 2 }}\nmine.pick = 'nearest'\nmine.margin = 0.05\nmine.positives.pick = 'nearest'\nmine.negatives.skip_nearest = 2\n\
         balance = {{ anchors_per_class = 12, max_uses = 2, weights = 'effective' }}\n\
         batches = {{ kind = 'pk', classes = 3, per_class = 2 }}\noutput.format = 'jsonl'\noutput.rows_per_file = 100\n"
    );
    no_leaf_can_be_forged(&room(2), &pipeline);
}

#[test]
fn a_pipeline_that_is_none_is_a_finding() {
    let room = room(3);
    let out = room.run("out", &format!("{STORE}mine.bands = {{ semi-hard = 1 }}\n"));
    type Forge = fn(&mut Value);
    let forgeries: [(&str, &str, Forge); 6] = [
        ("an unknown key", "pipeline.mine", |pipeline| pipeline["mine"]["marign"] = json!(0.2)),
        ("a wrong type", "pipeline.mine.margin", |pipeline| pipeline["mine"]["margin"] = json!("wide")),
        ("a margin below 0", "pipeline.mine.margin", |pipeline| pipeline["mine"]["margin"] = json!(-1.0)),
        ("a contradiction", "pipeline", |pipeline| pipeline["pairs"] = json!({ "path": "store.parquet" })),
        ("a column that is not there", "pipeline", |pipeline| pipeline["store"]["label"] = json!("lable")),
        ("no pipeline at all", "pipeline", |pipeline| *pipeline = json!([1])),
    ];
    for (what, key, forge) in forgeries {
        for careful in [false, true] {
            let ran = verify(&room, &out, |sealed| {
                forge(&mut sealed["pipeline"]);
                if careful {
                    refingerprint(sealed);
                }
            });
            let ran = ran.exits(3);
            assert!(ran.stdout.starts_with("NOT SOUND") && ran.stdout.contains(key), "{what}: {ran:?}");
        }
    }
}

#[test]
fn another_store_is_named_as_such_and_nothing_else_is_looked_at() {
    let (room, other) = (room(4), self::room(5));
    room.run("out", &format!("{STORE}mine.bands = {{ semi-hard = 1 }}\n"));
    let digits = crate::support::sample("digits.parquet");
    let others = [other.path("store.parquet").display().to_string(), digits];
    for store in &others {
        let verdict = room.miner(&["verify", "out", "--store", store]).exits(3).stdout;
        assert!(verdict.starts_with("NOT SOUND: 1 finding\n") && verdict.contains("another store: "), "{verdict}");
    }
    fs::rename(room.path("store.parquet"), room.path("moved.parquet")).unwrap();
    room.miner(&["verify", "out", "--store", "moved.parquet"]).exits(0);
    let missing = room.miner(&["verify", "out"]).exits(3).stderr;
    assert!(missing.contains("name the place with --store PATH"), "{missing}");
}
