//! `miner verify` refuses whatever was changed after the seal, and says what: by accident, or by a forger who makes the
//! checksums again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array, UInt64Array};
use arrow::compute::{cast, concat_batches, take_record_batch};
use arrow::datatypes::{DataType, UInt64Type};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Draw, Ran, Room, Rows, STORE, batches, copy, manifest, sample};

/// A finished output in JSON Lines, which is easy to forge; each test changes a copy of it.
struct Sealed {
    room: Room,
}

const PART: &str = "triplets/part-00000.jsonl";

impl Sealed {
    fn new() -> Self {
        Self::with("")
    }

    fn with(extra: &str) -> Self {
        let room = Room::new();
        room.run(
            "out",
            &format!(
                "{extra}store.path = '{}'\nstore.id = 'id'\nstore.embedding = 'embedding'\nstore.label = 'label'\n\
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
pub fn edit_manifest(out: &Path, change: impl FnOnce(&mut Value)) {
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
fn what_cannot_be_read_is_not_told_as_proved() {
    let sealed = Sealed::with("prepare.standardize = true\nbatches = { kind = 'triplets', size = 4 }\n");
    for (gone, told, claim) in [
        ("unmined.parquet", "not checked: rows without a triplet", "unmined rows, each"),
        ("unmined.parquet", "not checked: batches", "batches: full"),
        (PART, "not checked: rows, counts", "unmined rows, each"),
        ("suspects.parquet", "not checked: suspects", "every copy"),
        ("transform.parquet", "not checked: the transform", "learned again"),
        ("batches.parquet", "not checked: batches", "batches: full"),
        ("remainder.parquet", "not checked: batches", "batches: full"),
    ] {
        let honest = sealed.verify(&[], |_| ()).exits(0).stdout;
        assert!(honest.contains(claim), "{gone}:\n{honest}");
        let verdict = sealed.verify(&[], |out| fs::remove_file(out.join(gone)).unwrap()).exits(3).stdout;
        assert!(verdict.contains(told) && !verdict.contains(claim), "{gone}:\n{verdict}");
        let verdict = sealed.verify(&[], |out| {
            let mut bytes = fs::read(out.join(gone)).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(out.join(gone), bytes).unwrap();
        });
        let verdict = verdict.exits(3).stdout;
        assert!(verdict.contains(told) && !verdict.contains(claim), "{gone}:\n{verdict}");
    }
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
    for (key, told) in [("margn", "pipeline.mine.margn"), ("pick", "pipeline.mine.pick")] {
        sealed.refused(key, &["manifest.json", told, "a pipeline that this version writes"], |out| {
            edit_manifest(out, |sealed| sealed["pipeline"]["mine"][key] = json!(7));
        });
    }
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
        assert!(ran.status == Some(3) && ran.stderr.contains("manifest.json"), "{what}: {ran:?}");
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

#[test]
fn forged_balance_is_found() {
    let balance = "balance = { anchors_per_class = 15, max_uses = 3, oversample_to = 30, triplets = 1500, weights = 'inverse' }\n";
    let sealed = Sealed::with(balance);
    sealed.refused("a weight", &["row 7", PART, "weight"], |out| {
        forge(out, |rows| rows[7]["weight"] = json!(rows[7]["weight"].as_f64().unwrap() * 1.5));
    });
    sealed.refused("weights of one class, all of them", &[PART, "weight"], |out| {
        forge(out, |rows| rows.iter_mut().for_each(|row| row["weight"] = json!(1.0)));
    });
    for key in ["left_out", "added_pairs", "refilled", "emptied", "cut"] {
        sealed.refused(key, &["manifest.json", "balance"], |out| {
            edit_manifest(out, |sealed| sealed["balance"][key] = json!(sealed["balance"][key].as_u64().unwrap() + 1));
        });
    }
    for key in ["anchors_before", "anchors_after", "lines"] {
        sealed.refused(key, &["manifest.json", "balance"], |out| {
            edit_manifest(out, |sealed| sealed["balance"][key]["largest"] = json!(1));
        });
    }
    sealed.refused("what balance did is left out", &["manifest.json", "balance"], |out| {
        edit_manifest(out, |sealed| drop(sealed.as_object_mut().unwrap().remove("balance")));
    });

    // The pipeline says less than was mined: the same rows are too many now.
    let fewer = |key: &'static str, count: u64| {
        move |out: &Path| edit_manifest(out, |sealed| sealed["pipeline"]["balance"][key] = json!(count))
    };
    sealed.refused("a smaller limit", &["as the negative of 3 triplets, expected at most 2"], fewer("max_uses", 2));
    sealed.refused("fewer anchors", &["only rows that anchors_per_class makes anchors"], fewer("anchors_per_class", 3));
    sealed.refused("fewer triplets", &["parts", "at most 1000"], fewer("triplets", 1_000));
    sealed.refused("fewer pairs", &["positives, expected at most 1"], fewer("oversample_to", 1));
    sealed.refused("more triplets", &["no such triplet"], fewer("triplets", 1_600));
    // In a sample, too, what a larger limit would have left is missed.
    let sample = sealed.verify(&[], fewer("triplets", 100_000)).exits(3);
    assert!(sample.stdout.contains("no such triplet"), "{}", sample.stdout);
}

#[test]
fn forged_batches_are_found() {
    let refused = |sealed: &Sealed, what: &str, told: &[&str], file: &str, change: &dyn Fn(&mut Vec<Vec<u64>>)| {
        sealed.refused(what, told, |out| {
            rewrite(out, file, |batch| {
                let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
                let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
                let numbers: Vec<usize> = (0..names.len()).filter(|&i| names[i] != "id").collect();
                let mut values: Vec<Vec<u64>> = numbers.iter().map(|&i| as_numbers(&columns[i])).collect();
                change(&mut values);
                for (&i, values) in numbers.iter().zip(values) {
                    let kind = batch.schema().field(i).data_type().clone();
                    columns[i] = cast(&UInt64Array::from(values), &kind).unwrap();
                }
                RecordBatch::try_new(batch.schema(), columns).unwrap()
            });
        });
    };
    let file = "batches.parquet";
    let pk = Sealed::with("batches = { kind = 'pk', classes = 4, per_class = 3 }\n");
    refused(&pk, "a row twice", &["twice", "each row once"], file, &|values| values[2][1] = values[2][0]);
    refused(&pk, "another row's id", &["row 1", "id"], file, &|values| values[2].swap(1, 20));
    refused(&pk, "a row that is not there", &["a row of the store"], file, &|values| values[2][5] = 99_999);
    refused(&pk, "a gap", &["all in order, without gaps"], file, &|values| values[1][4] = 77);
    refused(&pk, "two batches in one", &["batch 0: 24 entries, expected at most 12"], file, &|values| {
        let second = values[0].iter().filter(|&&batch| batch == 0).count();
        let [batches, positions, _] = &mut values[..] else { panic!("three columns of numbers") };
        batches[second..2 * second].fill(0);
        positions[second..2 * second].iter_mut().zip(second as u64..).for_each(|(place, next)| *place = next);
    });
    pk.refused("a count", &["manifest.json", "batches"], |out| {
        edit_manifest(out, |sealed| sealed["batches"]["remainder"] = json!(5));
    });
    pk.refused("the last rows dropped", &["nothing of row", "a batch with it, or the remainder"], |out| {
        rewrite(out, file, |batch| batch.slice(0, batch.num_rows() - 12));
    });

    let triplets = Sealed::with("batches = { kind = 'triplets', size = 4 }\n");
    refused(&triplets, "a triplet twice", &["anchors of one class"], file, &|values| values[2][1] = values[2][0]);
    refused(&triplets, "a triplet of another batch", &["which an earlier one has"], file, &|values| {
        values[2][5] = values[2][0]
    });
    refused(&triplets, "no triplet", &["a row of the triplets"], file, &|values| values[2][5] = 99_999);
    refused(&triplets, "batches of eight", &["batch 0: 8 entries, expected at most 4"], file, &|values| {
        for i in 0..values[0].len() {
            (values[0][i], values[1][i]) = (i as u64 / 8, i as u64 % 8);
        }
    });
    // Sorted, neighbours share an anchor or its class.
    refused(&triplets, "triplets in another order", &["of one class"], file, &|values| values[2].sort_unstable());
}

/// What is done to an output, and what it is called.
type Forged<'a> = (&'a str, &'a dyn Fn(&Path));

#[test]
fn batches_that_could_be_and_are_not_those_of_the_run_are_found() {
    // Leaves the first so many rows in batches, and lists everything that is in none then.
    let thinned = |out: &Path, kept: usize, batches_left: u64| {
        let whole = |name: &str, columns: &[usize]| {
            let read = batches(&out.join(name));
            let some = read.iter().map(|batch| batch.project(columns).unwrap()).collect::<Vec<_>>();
            some.first().map(|first| concat_batches(&first.schema(), &some).unwrap())
        };
        let width = batches(&out.join("batches.parquet"))[0].num_columns();
        let made = whole("batches.parquet", &(0..width).collect::<Vec<_>>()).unwrap();
        let entries = whole("batches.parquet", &(2..width).collect::<Vec<_>>()).unwrap();
        let rest = whole("remainder.parquet", &(0..width - 2).collect::<Vec<_>>());
        let all = concat_batches(&entries.schema(), [&entries].into_iter().chain(&rest)).unwrap();
        let numbers = as_numbers(all.column(width - 3));
        let placed: BTreeSet<u64> = numbers[..kept].iter().copied().collect();
        let left: BTreeMap<u64, u32> =
            numbers.iter().copied().zip(0..).filter(|(entry, _)| !placed.contains(entry)).collect();
        let remainder = take_record_batch(&all, &left.values().copied().collect::<UInt32Array>()).unwrap();
        write(out, "batches.parquet", &made.slice(0, kept));
        write(out, "remainder.parquet", &remainder);
        edit_manifest(out, |sealed| {
            sealed["batches"]["batches"] = json!(batches_left);
            sealed["batches"]["entries"] = json!(kept);
            sealed["batches"]["remainder"] = json!(remainder.num_rows());
        });
        fs::remove_file(out.join("report.json")).unwrap();
    };
    for batched in ["kind = 'pk', classes = 4, per_class = 3", "kind = 'triplets', size = 4"] {
        let sealed = Sealed::with(&format!("batches = {{ {batched} }}\n"));
        let count = manifest(&sealed.room.path("out"))["batches"]["batches"].as_u64().unwrap();
        let last = |out: &Path| {
            let read = batches(&out.join("batches.parquet"));
            let numbers: Vec<u64> = read.iter().flat_map(|batch| as_numbers(batch.column(0))).collect();
            numbers.partition_point(|&number| number + 1 < count)
        };
        for options in [&[][..], &["--full"]] {
            let thin: [Forged; 2] = [
                ("none left", &|out| thinned(out, 0, 0)),
                ("all but the last", &|out| thinned(out, last(out), count - 1)),
            ];
            for (what, thin) in thin {
                let verdict = sealed.verify(options, thin).exits(3).stdout;
                let told = verdict.contains("NOT SOUND: 1 finding\n  batches.parquet, row ");
                assert!(told && !verdict.contains("batches: full"), "{batched}, {what}:\n{verdict}");
            }
        }
    }
    // A size that no batch can have takes no memory.
    for (batched, key) in
        [("kind = 'pk', classes = 4, per_class = 3", "classes"), ("kind = 'triplets', size = 4", "size")]
    {
        let absurd = Sealed::with(&format!("batches = {{ {batched} }}\n"));
        absurd.refused(key, &["NOT SOUND: 1 finding\n  manifest.json, fingerprint", "made again, the same"], |out| {
            thinned(out, 0, 0);
            edit_manifest(out, |sealed| sealed["pipeline"]["batches"][key] = json!(4_000_000_000u32));
        });
    }
    // Batches of the run, in another order.
    let sealed = Sealed::with("batches = { kind = 'triplets', size = 4 }\n");
    sealed.refused("regrouped", &["NOT SOUND: 1 finding\n  batches.parquet, row 0, batch, triplet: "], |out| {
        rewrite(out, "batches.parquet", |batch| {
            let rows = (4..8).chain(0..4).chain(8..batch.num_rows() as u32).collect::<UInt32Array>();
            let mut columns = batch.columns().to_vec();
            columns[2] = arrow::compute::take(&columns[2], &rows, None).unwrap();
            RecordBatch::try_new(batch.schema(), columns).unwrap()
        });
    });
}

fn as_numbers(column: &ArrayRef) -> Vec<u64> {
    cast(column, &DataType::UInt64).unwrap().as_primitive::<UInt64Type>().values().to_vec()
}

/// Changes the rows of a side file, and makes its checksum anew.
pub fn rewrite(out: &Path, name: &str, change: impl FnOnce(RecordBatch) -> RecordBatch) {
    let read = batches(&out.join(name));
    let batch = change(concat_batches(&read.first().expect("a file with rows").schema(), &read).unwrap());
    write(out, name, &batch);
}

/// Writes a side file, and makes its checksum anew.
fn write(out: &Path, name: &str, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(out.join(name)).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    reseal(out, name, batch.num_rows());
}

#[test]
fn a_pair_that_mining_does_not_list_is_no_suspect_however_true() {
    let (room, mut draw) = (Room::new(), Draw(8));
    let mut rows = Rows {
        vectors: (0..150).map(|_| (0..6).map(|_| draw.unit()).collect()).collect(),
        labels: (0..150).map(|_| Some(format!("class-{}", draw.below(9)))).collect(),
        teams: vec![None; 150],
    };
    // Of a copy one pair is listed: with the first row.
    for (row, label) in ["a", "a", "b"].into_iter().enumerate() {
        (rows.vectors[row], rows.labels[row]) = (rows.vectors[0].clone(), Some(label.to_owned()));
    }
    rows.write(&room.path("store.parquet"));
    let out = room.run("out", &format!("{STORE}mine.bands = {{ any = 1 }}\n"));
    let honest = room.miner(&["verify", "out"]).exits(0).stdout;
    assert!(honest.contains("proved: 1 suspect: every copy, and the near-duplicates of every anchor"), "{honest}");
    rewrite(&out, "suspects.parquet", |batch| {
        let twice = concat_batches(&batch.schema(), [&batch, &batch]).unwrap();
        let mut columns = twice.columns().to_vec();
        for name in ["a_id", "a_row"] {
            let at = batch.schema().index_of(name).unwrap();
            columns[at] = cast(&UInt64Array::from(vec![0, 1]), columns[at].data_type()).unwrap();
        }
        RecordBatch::try_new(twice.schema(), columns).unwrap()
    });
    let verdict = room.miner(&["verify", "out"]).exits(3).stdout;
    let told = "NOT SOUND: 1 finding\n  suspects.parquet, row 1, a_row, b_row: found 1, 2, expected one of the pairs";
    assert!(verdict.contains(told), "{verdict}");
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

#[test]
fn a_report_that_contradicts_the_manifest_is_found() {
    let sealed = Sealed::new();
    for (key, forged) in [
        ("triplets", json!(19_951)),
        ("anchors", json!(1)),
        ("unmined", json!({})),
        ("index", json!("cells")),
        ("recall", json!({ "target": 0.9 })),
        ("pipeline", json!({ "name": "another" })),
    ] {
        sealed.refused(key, &["NOT SOUND: 1 finding", &format!("report.json, {key}: found ")], |out| {
            let path = out.join("report.json");
            let mut report: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert_ne!(report[key], forged);
            report[key] = forged;
            fs::write(&path, report.to_string()).unwrap();
        });
    }
    sealed.refused("no report", &["report.json: found ", "expected the figures of the run"], |out| {
        fs::write(out.join("report.json"), "{").unwrap();
    });
    let told = sealed.verify(&[], |out| fs::remove_file(out.join("report.json")).unwrap()).exits(0).stdout;
    assert!(told.contains("not checked: report.json and report.html: "), "{told}");
}

#[test]
fn a_file_that_trainers_would_open_and_no_manifest_lists_is_found() {
    let sealed = Sealed::new();
    for name in ["batches.parquet", "transform.parquet"] {
        sealed.refused(name, &["NOT SOUND: 1 finding", &format!("{name}: found a file that the manifest")], |out| {
            fs::copy(out.join("unmined.parquet"), out.join(name)).unwrap();
        });
    }
}
