//! `miner verify` refuses whatever was changed after the seal, and says what: by accident, or by a forger who makes the
//! checksums again.

use std::fs::{self, File};
use std::path::Path;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Ran, Room, batches, copy, manifest, sample};

/// A finished output in JSON Lines, which is easy to forge; each test changes a copy of it.
struct Sealed {
    room: Room,
}

const PART: &str = "triplets/part-00000.jsonl";

impl Sealed {
    fn new() -> Self {
        let room = Room::new();
        room.run(
            "out",
            &format!(
                "store.path = '{}'\nstore.id = 'id'\nstore.embedding = 'embedding'\nstore.label = 'label'\n\
                 store.carry = ['text']\nsearch.index = 'exact'\nmine.bands = {{ hard = 1, semi-hard = 1 }}\n\
                 mine.positives.max_distance = 0.5\nmine.negatives.duplicate_distance = 0.15\n\
                 output.format = 'jsonl'\noutput.rows_per_file = 500\n",
                sample("glosses.parquet")
            ),
        );
        room.miner(&["verify", "out", "--full"]).exits(0);
        Self { room }
    }

    /// Verifies a changed copy, which must be refused with all of `told`.
    #[track_caller]
    fn refused(&self, what: &str, told: &[&str], change: impl FnOnce(&Path)) {
        let verdict = self.verify(&["--full"], change).exits(3);
        for told in told {
            assert!(verdict.stdout.contains(told), "{what}: `{told}` is not told:\n{}", verdict.stdout);
        }
    }

    fn verify(&self, options: &[&str], change: impl FnOnce(&Path)) -> Ran {
        let changed = self.room.path("changed");
        if changed.exists() {
            fs::remove_dir_all(&changed).unwrap();
        }
        copy(&self.room.path("out"), &changed);
        change(&changed);
        self.room.miner(&[&["verify", "changed"], options].concat())
    }
}

/// Changes the JSON of a file.
fn edit_manifest(out: &Path, change: impl FnOnce(&mut Value)) {
    let mut sealed = manifest(out);
    change(&mut sealed);
    fs::write(out.join("manifest.json"), serde_json::to_vec(&sealed).unwrap()).unwrap();
}

/// Makes the manifest's length, checksum and row count of a file anew, as a careful forger would.
pub fn reseal(out: &Path, name: &str, rows: usize) {
    let bytes = fs::read(out.join(name)).unwrap();
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    edit_manifest(out, |sealed| {
        for list in ["parts", "files"] {
            for listed in sealed[list].as_array_mut().unwrap().iter_mut().filter(|listed| listed["path"] == name) {
                listed["bytes"] = json!(bytes.len());
                listed["sha256"] = json!(sha256);
                listed["rows"] = json!(rows);
            }
        }
    });
}

fn rows(out: &Path, part: &str) -> Vec<Value> {
    let text = fs::read_to_string(out.join(part)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Rewrites the first part, and the manifest to fit.
fn forge(out: &Path, change: impl FnOnce(&mut Vec<Value>)) {
    let mut rows = rows(out, PART);
    change(&mut rows);
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(out.join(PART), text).unwrap();
    reseal(out, PART, rows.len());
}

#[test]
fn one_byte_of_any_file_is_found() {
    let sealed = Sealed::new();
    for file in [PART, "triplets/part-00001.jsonl", "unmined.parquet", "suspects.parquet"] {
        sealed.refused("a byte", &[file, "sha256"], |out| {
            let mut bytes = fs::read(out.join(file)).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(out.join(file), bytes).unwrap();
        });
        sealed.refused("a byte more", &[file, "bytes"], |out| {
            let mut bytes = fs::read(out.join(file)).unwrap();
            bytes.push(b'\n');
            fs::write(out.join(file), bytes).unwrap();
        });
        sealed.refused("a missing file", &[file], |out| fs::remove_file(out.join(file)).unwrap());
    }
    sealed.refused("a file more", &["triplets/part-99999.jsonl"], |out| {
        fs::copy(out.join(PART), out.join("triplets/part-99999.jsonl")).unwrap();
    });
}

#[test]
fn a_forged_value_is_found_in_its_row_and_column() {
    let sealed = Sealed::new();
    let row_7 = |column: &'static str| ["row 7", PART, column];
    let next = |value: &Value| json!(f64::from((value.as_f64().unwrap() as f32).next_up()));
    sealed.refused("a distance", &row_7("d_an"), |out| forge(out, |rows| rows[7]["d_an"] = next(&rows[7]["d_an"])));
    sealed.refused("a distance", &row_7("d_ap"), |out| forge(out, |rows| rows[7]["d_ap"] = next(&rows[7]["d_ap"])));
    sealed.refused("a band", &row_7("band"), |out| {
        forge(out, |rows| rows[7]["band"] = json!(if rows[7]["band"] == "hard" { "semi-hard" } else { "hard" }));
    });
    for id in ["anchor_id", "positive_id", "negative_id"] {
        sealed.refused("an id", &row_7(id), |out| forge(out, |rows| rows[7][id] = json!("Nobody.n.1")));
    }
    for label in ["anchor_label", "negative_label", "negative_text"] {
        sealed.refused("a text", &row_7(label), |out| forge(out, |rows| rows[7][label] = json!("else")));
    }
    sealed.refused("a row beyond the store", &row_7("negative_row"), |out| {
        forge(out, |rows| rows[7]["negative_row"] = json!(1_320));
    });
    sealed.refused("a weight", &row_7("weight"), |out| forge(out, |rows| rows[7]["weight"] = json!(2.0)));
    sealed.refused("a fallback", &row_7("fallback"), |out| forge(out, |rows| rows[7]["fallback"] = json!(true)));
    sealed.refused("a null", &["row 7", PART], |out| forge(out, |rows| rows[7]["d_an"] = Value::Null));
    sealed.refused("a triplet twice", &["twice"], |out| forge(out, |rows| rows[8] = rows[7].clone()));
    sealed.refused("rows exchanged", &["anchor_row", "order"], |out| forge(out, |rows| rows.swap(3, 9)));
}

#[test]
fn a_forged_count_is_found_by_its_key() {
    let sealed = Sealed::new();
    let keys = [
        "rows.read",
        "rows.anchors",
        "rows.unmined",
        "rows.triplets",
        "bands.hard",
        "bands.semi-hard",
        "bands.easy",
        "unmined.no-positive",
        "unmined.band-empty",
        "unmined.singleton",
    ];
    for key in keys {
        sealed.refused(key, &["manifest.json", key], |out| {
            edit_manifest(out, |sealed| {
                let (section, name) = key.split_once('.').unwrap();
                let count = sealed[section][name].as_u64().unwrap_or_else(|| panic!("{key} is a count"));
                sealed[section][name] = json!(count + 1);
            });
        });
    }
    sealed
        .refused("rows of a part", &[PART], |out| edit_manifest(out, |sealed| sealed["parts"][0]["rows"] = json!(499)));
}

#[test]
fn another_origin_is_found() {
    let sealed = Sealed::new();
    sealed.refused("another margin", &["fingerprint"], |out| {
        edit_manifest(out, |sealed| sealed["pipeline"]["mine"]["margin"] = json!(0.3));
    });
    sealed.refused("another fingerprint", &["fingerprint"], |out| {
        edit_manifest(out, |sealed| sealed["fingerprint"] = json!("0".repeat(64)));
    });
    sealed.refused("another input", &["inputs"], |out| {
        edit_manifest(out, |sealed| sealed["inputs"][0]["bytes"] = json!(1))
    });
    sealed.refused("a path out of the folder", &["manifest.json"], |out| {
        edit_manifest(out, |sealed| sealed["parts"][0]["path"] = json!("../out/triplets/part-00000.jsonl"));
    });
    sealed.verify(&["--store", &sample("digits.parquet")], |_| ()).exits(3);
    for (what, text) in [("no JSON", "{"), ("another format", r#"{"format":"x"}"#)] {
        let ran = sealed.verify(&[], |out| fs::write(out.join("manifest.json"), text).unwrap());
        assert!(ran.status == Some(1) && ran.stderr.contains("manifest.json"), "{what}: {ran:?}");
    }
}

#[test]
fn what_was_left_out_is_found() {
    let sealed = Sealed::new();
    let last = |out: &Path| format!("triplets/part-{:05}.jsonl", manifest(out)["parts"].as_array().unwrap().len() - 1);
    sealed.refused("a triplet dropped, all counts made anew", &["no such triplet"], |out| {
        let part = last(out);
        let mut rows = rows(out, &part);
        let dropped = rows.pop().unwrap();
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(out.join(&part), text).unwrap();
        reseal(out, &part, rows.len());
        edit_manifest(out, |sealed| {
            for (section, key) in [("rows", "triplets"), ("bands", dropped["band"].as_str().unwrap())] {
                sealed[section][key] = json!(sealed[section][key].as_u64().unwrap() - 1);
            }
        });
    });
    sealed.refused("another reason", &["unmined.parquet", "reason"], |out| {
        rewrite(out, "unmined.parquet", |batch| {
            let column = batch.schema().index_of("reason").unwrap();
            let mut columns = batch.columns().to_vec();
            columns[column] = std::sync::Arc::new(StringArray::from(vec!["singleton"; batch.num_rows()])) as ArrayRef;
            RecordBatch::try_new(batch.schema(), columns).unwrap()
        });
    });
    sealed.refused("an unmined row dropped", &["unmined.parquet"], |out| {
        rewrite(out, "unmined.parquet", |batch| batch.slice(1, batch.num_rows() - 1));
    });
}

/// Changes the only batch of a side file, and makes its checksum anew.
fn rewrite(out: &Path, name: &str, change: impl FnOnce(RecordBatch) -> RecordBatch) {
    let mut read = batches(&out.join(name)).into_iter();
    let batch = change(read.next().expect("a file with rows"));
    assert!(read.next().is_none(), "a file of one batch");
    let mut writer = ArrowWriter::try_new(File::create(out.join(name)).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    reseal(out, name, batch.num_rows());
}

#[test]
fn one_byte_of_a_parquet_part_is_found() {
    let room = Room::new();
    let out = room.run(
        "out",
        &format!(
            "store.path = '{}'\nstore.embedding = 'embedding'\nstore.label = 'label'\nmine.bands = {{ any = 1 }}",
            sample("digits.parquet")
        ),
    );
    let part = out.join("triplets/part-00000.parquet");
    let whole = fs::read(&part).unwrap();
    for place in [0, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x80;
        fs::write(&part, bytes).unwrap();
        let verdict = room.miner(&["verify", "out"]).exits(3);
        assert!(verdict.stdout.contains("triplets/part-00000.parquet: found sha256"), "{}", verdict.stdout);
    }
}
