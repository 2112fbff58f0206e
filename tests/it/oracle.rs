//! Exact mining against an independent implementation in numpy, to the row and to the bit, on the sample.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::{Room, root, sample, triplets};

/// A Python with what `tests/oracle/requirements.txt` names: `MINER_ORACLE_PYTHON`, or an environment of our own that is
/// made once, beside the build.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| match std::env::var_os("MINER_ORACLE_PYTHON") {
        Some(python) => python.into(),
        None => own_python(),
    })
}

fn own_python() -> PathBuf {
    let requirements = root().join("tests/oracle/requirements.txt");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle");
    fs::create_dir_all(&home).unwrap();
    // Another test process may be making it at this moment.
    let lock = File::create(home.join("lock")).unwrap();
    lock.lock().unwrap();
    let (venv, done) = (home.join("venv"), home.join("requirements.txt"));
    let python = venv.join("bin/python");
    let wanted = fs::read(&requirements).unwrap();
    if fs::read(&done).ok().as_ref() != Some(&wanted) {
        must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        must(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements));
        fs::write(&done, wanted).unwrap();
    }
    python
}

fn must(command: &mut Command) {
    let cure = "the oracle needs Python 3.11 or newer with venv and pip; or set MINER_ORACLE_PYTHON to a Python that has \
                what tests/oracle/requirements.txt names";
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {cure}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}\n{cure}");
}

/// Mines a case and lets the oracle look at the result. `mine` holds what `[mine]` says; `filter` is a condition of the
/// store in SQL, and in Python.
#[track_caller]
fn agree(store: &str, filter: Option<[&str; 2]>, mine: Value) {
    let room = Room::new();
    let toml = toml::to_string(&mine).unwrap();
    let mut head =
        format!("[store]\npath = '{}'\nid = 'id'\nembedding = 'embedding'\nlabel = 'label'\n", sample(store));
    if store == "glosses.parquet" {
        head += "groups = { family = 'family' }\n";
    }
    if let Some([sql, _]) = filter {
        head += &format!("where = {sql:?}\n");
    }
    let tables = toml.replace("[positives]", "[mine.positives]").replace("[negatives]", "[mine.negatives]");
    let tables = tables.replace("[bands]", "[mine.bands]");
    room.write("p.toml", &format!("{head}[search]\nindex = 'exact'\n[output]\npath = 'out'\n[mine]\n{tables}"));
    room.miner(&["run", "p.toml", "--quiet"]).exits(0);
    let out = room.path("out");

    let mut case = mine;
    case["store"] = json!(sample(store));
    case["out"] = json!(out);
    if let Some([_, python]) = filter {
        case["where"] = json!(python);
    }
    room.write("case.json", &case.to_string());
    let oracle = root().join("tests/oracle/oracle.py");
    let checked = Command::new(python()).arg("-B").arg(oracle).arg(room.path("case.json")).output().unwrap();
    let told = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{told}\n{case}");
    let expected = format!("{} triplets agree", triplets(&out).len());
    assert_eq!(String::from_utf8_lossy(&checked.stdout).trim(), expected);
    assert!(!expected.starts_with("0 "), "the case mines nothing, so it proves nothing");
}

/// More than any band holds.
const WHOLE: u32 = 100_000;

/// Every twelfth row with all its positives, and of each pair every negative there is: the whole of the definition.
#[test]
fn whole_bands_of_digits() {
    for (metric, margin) in [("cosine", 0.1), ("euclidean", 0.6), ("sqeuclidean", 2.0), ("dot", 3.0)] {
        agree(
            "digits.parquet",
            Some(["id % 12 = 0", "row % 12 == 0"]),
            json!({
                "metric": metric, "margin": margin, "pick": "nearest",
                "bands": { "hard": WHOLE, "semi-hard": WHOLE, "easy": WHOLE },
                "positives": { "pick": "all" },
            }),
        );
    }
}

#[test]
fn whole_bands_of_glosses() {
    for pick in ["nearest", "hardest"] {
        agree(
            "glosses.parquet",
            None,
            json!({
                "metric": "cosine", "margin": 0.2, "pick": "nearest",
                "bands": { "hard": WHOLE, "semi-hard": WHOLE, "easy": WHOLE },
                "positives": { "pick": pick, "per_anchor": 1 },
            }),
        );
    }
}

#[test]
fn the_nearest_few_of_each_band_of_digits() {
    let all_pairs = (Some(["id % 4 = 1", "row % 4 == 1"]), json!({ "pick": "all" }));
    let whole_store = (None, json!({ "pick": "nearest", "per_anchor": 3 }));
    for (filter, positives) in [all_pairs, whole_store] {
        agree(
            "digits.parquet",
            filter,
            json!({
                "metric": "cosine", "margin": 0.05, "pick": "nearest",
                "bands": { "hard": 2, "semi-hard": 3, "easy": 1 },
                "positives": positives,
            }),
        );
    }
}

#[test]
fn constraints_thresholds_and_fallback_on_glosses() {
    agree(
        "glosses.parquet",
        None,
        json!({
            "metric": "cosine", "margin": 0.1, "pick": "nearest", "fallback": ["easy", "hard"],
            "bands": { "semi-hard": 4 },
            "positives": { "pick": "hardest", "per_anchor": 3, "min_distance": 0.25, "max_distance": 0.5 },
            "negatives": { "same": ["family"] },
        }),
    );
}

#[test]
fn random_picks_are_full_and_legal() {
    agree(
        "digits.parquet",
        None,
        json!({
            "metric": "euclidean", "margin": 0.5, "pick": "random", "seed": 5,
            "bands": { "hard": 3, "semi-hard": 40, "easy": 2 },
            "positives": { "pick": "random", "per_anchor": 4 },
        }),
    );
}
