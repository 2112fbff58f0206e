//! Every layout holds the facts of the triplets, in every order, and what is changed in it is found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::equivalence::awkward;
use crate::oracle::python;
use crate::support::{Draw, Room, Rows, STORE, manifest, parts, sample, unmined};
use crate::tamper::{edit_manifest, reseal};

pub const ORDERS: [&str; 4] = ["anchor", "random", "easy-to-hard", "hard-to-easy"];
pub const LAYOUTS: [&str; 6] = ["triplet", "n-tuple", "pair", "labeled-pair", "labeled-list", "candidates"];

/// The rows of an output in JSON Lines.
pub fn rows(out: &Path) -> Vec<Value> {
    let text: String = parts(out).iter().map(|part| fs::read_to_string(part).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Six rows on a line: two of class a, two of b, one of c, and one without a label.
fn line_room() -> Room {
    let room = Room::new();
    let (places, labels) = ([0.0, 1.0, 1.5, 3.0, 3.5, 9.0], ["a", "a", "b", "b", "c", ""]);
    let rows = Rows {
        vectors: places.map(|x| vec![x]).into(),
        labels: labels.map(|label| (!label.is_empty()).then(|| label.to_owned())).into(),
        teams: (0..6).map(|row| (row != 3).then(|| format!("t{row}"))).collect(),
    };
    rows.write(&room.path("store.parquet"));
    room
}

fn line_pipeline(layout: &str, columns: &str) -> String {
    format!(
        "{STORE}store.carry = ['team']\nmine.metric = 'euclidean'\nmine.margin = 1.0\nmine.pick = 'nearest'\n\
         mine.bands = {{ hard = 1, semi-hard = 1 }}\noutput.format = 'jsonl'\noutput.layout = '{layout}'\n\
         output.columns = '{columns}'\n"
    )
}

/// From anchor 0 (positive 1 at 1.0) lie 2 at 1.5, 3 at 3.0 and 4 at 3.5; from 1, 2 at 0.5, 3 at 2.0; from 2 (positive 3 at 1.5) 1 at
/// 0.5, 0 at 1.5 and 4 at 2.0; from 3, 4 at 0.5, 1 at 2.0, 0 at 3.0.
#[test]
fn golden_texts() {
    let room = line_room();
    for (layout, expected) in [
        (
            "triplet",
            r#"{"anchor":"t0","positive":"t1","negative":"t2"}
{"anchor":"t1","positive":"t0","negative":"t2"}
{"anchor":"t1","positive":"t0","negative":null}
{"anchor":"t2","positive":null,"negative":"t1"}
{"anchor":"t2","positive":null,"negative":"t4"}
{"anchor":null,"positive":"t2","negative":"t4"}
{"anchor":null,"positive":"t2","negative":"t1"}
"#,
        ),
        (
            "n-tuple",
            r#"{"anchor":"t1","positive":"t0","negative_1":"t2","negative_2":null}
{"anchor":"t2","positive":null,"negative_1":"t1","negative_2":"t4"}
{"anchor":null,"positive":"t2","negative_1":"t4","negative_2":"t1"}
"#,
        ),
        (
            "pair",
            r#"{"anchor":"t0","positive":"t1"}
{"anchor":"t1","positive":"t0"}
{"anchor":"t2","positive":null}
{"anchor":null,"positive":"t2"}
"#,
        ),
        (
            "labeled-pair",
            r#"{"anchor":"t0","candidate":"t1","label":1}
{"anchor":"t0","candidate":"t2","label":0}
{"anchor":"t1","candidate":"t0","label":1}
{"anchor":"t1","candidate":"t2","label":0}
{"anchor":"t1","candidate":null,"label":0}
{"anchor":"t2","candidate":null,"label":1}
{"anchor":"t2","candidate":"t1","label":0}
{"anchor":"t2","candidate":"t4","label":0}
{"anchor":null,"candidate":"t2","label":1}
{"anchor":null,"candidate":"t4","label":0}
{"anchor":null,"candidate":"t1","label":0}
"#,
        ),
        (
            "labeled-list",
            r#"{"anchor":"t0","candidates":["t1","t2"],"labels":[1,0]}
{"anchor":"t1","candidates":["t0","t2",null],"labels":[1,0,0]}
{"anchor":"t2","candidates":[null,"t1","t4"],"labels":[1,0,0]}
{"anchor":null,"candidates":["t2","t4","t1"],"labels":[1,0,0]}
"#,
        ),
        (
            "candidates",
            r#"{"anchor":"t0","candidate":"t1","distance":1.0,"rank":1}
{"anchor":"t0","candidate":"t2","distance":1.5,"rank":2}
{"anchor":"t1","candidate":"t2","distance":0.5,"rank":1}
{"anchor":"t1","candidate":"t0","distance":1.0,"rank":2}
{"anchor":"t1","candidate":null,"distance":2.0,"rank":3}
{"anchor":"t2","candidate":"t1","distance":0.5,"rank":1}
{"anchor":"t2","candidate":null,"distance":1.5,"rank":2}
{"anchor":"t2","candidate":"t4","distance":2.0,"rank":3}
{"anchor":null,"candidate":"t4","distance":0.5,"rank":1}
{"anchor":null,"candidate":"t2","distance":1.5,"rank":2}
{"anchor":null,"candidate":"t1","distance":2.0,"rank":3}
"#,
        ),
    ] {
        let out = room.run(layout, &line_pipeline(layout, "team"));
        let found = fs::read_to_string(&parts(&out)[0]).unwrap();
        assert_eq!(found, expected, "{layout}");
        assert_eq!(manifest(&out)["rows"]["triplets"], if layout == "n-tuple" { 6 } else { 7 }, "{layout}");
        assert_eq!(manifest(&out)["parts"][0]["rows"], expected.lines().count(), "{layout}");
        room.miner(&["verify", layout, "--full"]).exits(0);
        // A pair with fewer negatives than asked for is left out of tuples, and its anchor listed.
        let reason = unmined(&out).get(&0).cloned();
        assert_eq!(reason.as_deref(), (layout == "n-tuple").then_some("band-empty"), "{layout}");
    }
}

#[test]
fn golden_facts() {
    let room = line_room();
    for (layout, expected) in [
        (
            "n-tuple",
            r#"{"anchor_id":1,"positive_id":0,"negative_1_id":2,"negative_2_id":3,"anchor_row":1,"positive_row":0,"negative_1_row":2,"negative_2_row":3,"anchor_label":"a","negative_1_label":"b","negative_2_label":"b","d_ap":1.0,"d_an_1":0.5,"d_an_2":2.0,"band_1":"hard","band_2":"semi-hard","fallback_1":false,"fallback_2":false,"weight":1.0,"anchor_team":"t1","positive_team":"t0","negative_1_team":"t2","negative_2_team":null}"#,
        ),
        (
            "pair",
            r#"{"anchor_id":0,"positive_id":1,"anchor_row":0,"positive_row":1,"anchor_label":"a","d_ap":1.0,"weight":1.0,"anchor_team":"t0","positive_team":"t1"}"#,
        ),
        (
            "labeled-pair",
            r#"{"anchor_id":0,"candidate_id":1,"anchor_row":0,"candidate_row":1,"anchor_label":"a","candidate_label":"a","distance":1.0,"label":1,"weight":1.0,"anchor_team":"t0","candidate_team":"t1"}"#,
        ),
        (
            "labeled-list",
            r#"{"anchor_id":0,"candidates_id":[1,2],"anchor_row":0,"candidates_row":[1,2],"anchor_label":"a","candidates_label":["a","b"],"distances":[1.0,1.5],"labels":[1,0],"bands":[null,"semi-hard"],"fallbacks":[false,false],"weight":1.0,"anchor_team":"t0","candidates_team":["t1","t2"]}"#,
        ),
        (
            "candidates",
            r#"{"anchor_id":0,"candidate_id":1,"anchor_row":0,"candidate_row":1,"anchor_label":"a","candidate_label":"a","distance":1.0,"rank":1,"label":1,"anchor_team":"t0","candidate_team":"t1"}"#,
        ),
    ] {
        let out = room.run(layout, &line_pipeline(layout, "all"));
        let found = fs::read_to_string(&parts(&out)[0]).unwrap();
        assert_eq!(found.lines().next().unwrap(), expected, "{layout}");
    }
}

pub fn number(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}"))
}

/// What a layout must hold, from the rows of the triplets, without their order.
pub fn derived(layout: &str, triplets: &[Value], slots: usize) -> BTreeSet<String> {
    let mut pairs: BTreeMap<(u64, u64), Vec<&Value>> = BTreeMap::new();
    for triplet in triplets {
        pairs.entry((number(triplet, "anchor_row"), number(triplet, "positive_row"))).or_default().push(triplet);
    }
    for negatives in pairs.values_mut() {
        negatives.sort_by(|x, y| {
            let rank = |t: &Value| (t["d_an"].as_f64().unwrap(), number(t, "negative_row"));
            rank(x).partial_cmp(&rank(y)).unwrap()
        });
    }
    let mut found: BTreeMap<u64, BTreeMap<u64, (f64, u64)>> = BTreeMap::new();
    for t in triplets {
        let of_anchor = found.entry(number(t, "anchor_row")).or_default();
        of_anchor.insert(number(t, "positive_row"), (t["d_ap"].as_f64().unwrap(), 1));
        of_anchor.insert(number(t, "negative_row"), (t["d_an"].as_f64().unwrap(), 0));
    }
    let rows: Vec<Value> = match layout {
        "triplet" => triplets.to_vec(),
        "pair" => pairs.iter().map(|((a, p), t)| json!([a, p, t[0]["d_ap"]])).collect(),
        "n-tuple" | "labeled-list" => pairs
            .iter()
            .filter(|(_, negatives)| layout == "labeled-list" || negatives.len() == slots)
            .map(|((a, p), negatives)| {
                let of = |key: &str| negatives.iter().map(|t| t[key].clone()).collect::<Vec<_>>();
                json!([a, p, negatives[0]["d_ap"], of("negative_row"), of("d_an"), of("band"), of("fallback")])
            })
            .collect(),
        _ => {
            let rows =
                found.iter().flat_map(|(a, rows)| rows.iter().map(move |(c, (d, label))| json!([a, c, d, label])));
            rows.collect()
        }
    };
    rows.iter().map(Value::to_string).collect()
}

/// The same, from the rows of the layout itself.
pub fn held(layout: &str, rows: &[Value], slots: usize) -> BTreeSet<String> {
    let told = rows.iter().map(|row| {
        let numbered =
            |what: &str, end: &str| (1..=slots).map(|i| row[format!("{what}_{i}{end}")].clone()).collect::<Vec<_>>();
        let rest = |key: &str| row[key].as_array().unwrap()[1..].to_vec();
        match layout {
            "triplet" => row.clone(),
            "pair" => json!([row["anchor_row"], row["positive_row"], row["d_ap"]]),
            "n-tuple" => json!([
                row["anchor_row"],
                row["positive_row"],
                row["d_ap"],
                numbered("negative", "_row"),
                numbered("d_an", ""),
                numbered("band", ""),
                numbered("fallback", "")
            ]),
            "labeled-list" => {
                let candidates = row["candidates_row"].as_array().unwrap();
                let labels = row["labels"].as_array().unwrap();
                assert!(labels[0] == 1 && labels[1..].iter().all(|label| label == 0), "{row}");
                json!([
                    row["anchor_row"],
                    candidates[0],
                    row["distances"][0],
                    rest("candidates_row"),
                    rest("distances"),
                    rest("bands"),
                    rest("fallbacks")
                ])
            }
            _ => json!([row["anchor_row"], row["candidate_row"], row["distance"], row["label"]]),
        }
    });
    let set: BTreeSet<String> = told.map(|value| value.to_string()).collect();
    assert_eq!(set.len(), rows.len(), "{layout}: a row twice");
    set
}

/// What rows are ordered by: those of a pair, or of an anchor, by the nearest negative and the farthest positive.
fn in_order(layout: &str, order: &str, rows: &[Value], triplets: &[Value]) -> bool {
    let group = |row: &Value| match layout {
        "triplet" => (number(row, "anchor_row"), number(row, "positive_row"), number(row, "negative_row")),
        "n-tuple" | "pair" => (number(row, "anchor_row"), number(row, "positive_row"), 0),
        "labeled-list" => (number(row, "anchor_row"), row["candidates_row"][0].as_u64().unwrap(), 0),
        _ => (number(row, "anchor_row"), 0, 0),
    };
    let mut gaps: BTreeMap<(u64, u64, u64), (f64, f64)> = BTreeMap::new();
    for t in triplets {
        let (a, p, n) = (number(t, "anchor_row"), number(t, "positive_row"), number(t, "negative_row"));
        let key = match layout {
            "triplet" => (a, p, n),
            "n-tuple" | "pair" | "labeled-list" => (a, p, 0),
            _ => (a, 0, 0),
        };
        let entry = gaps.entry(key).or_insert((f64::MAX, f64::MIN));
        *entry = (entry.0.min(t["d_an"].as_f64().unwrap()), entry.1.max(t["d_ap"].as_f64().unwrap()));
    }
    let gap = |row: &Value| {
        let (near, far) = gaps[&group(row)];
        f64::from(near as f32) - f64::from(far as f32)
    };
    let groups: Vec<_> = rows.iter().map(group).collect();
    let mut seen = BTreeSet::new();
    let together = groups.chunk_by(|a, b| a == b).all(|run| seen.insert(run[0]));
    let ascending = layout != "candidates"
        || rows.chunk_by(|a, b| group(a) == group(b)).all(|run| {
            let ranks = run.iter().map(|row| number(row, "rank")).collect::<Vec<_>>();
            ranks == (1..=run.len() as u64).collect::<Vec<_>>()
                && run
                    .is_sorted_by_key(|row| (row["distance"].as_f64().unwrap().to_bits(), number(row, "candidate_row")))
        });
    let sorted = match order {
        "anchor" => rows.is_sorted_by_key(|row| number(row, "anchor_row")),
        "easy-to-hard" => rows.is_sorted_by(|a, b| gap(a) >= gap(b)),
        "hard-to-easy" => rows.is_sorted_by(|a, b| gap(a) <= gap(b)),
        _ => true,
    };
    together && ascending && sorted
}

#[test]
fn every_layout_holds_the_facts_of_the_triplets_in_every_order() {
    for seed in 0..4 {
        let mut draw = Draw(seed);
        let store = awkward(&mut draw);
        let room = Room::new();
        store.write(&room.path("store.parquet"));
        let pipeline = |layout: &str, order: &str, columns: &str, format: &str| {
            format!(
                "{STORE}store.carry = ['team']\nmine.metric = 'euclidean'\nmine.margin = 0.5\nmine.fallback = ['easy']\n\
                 mine.bands = {{ hard = 1, semi-hard = 2 }}\nmine.positives.per_anchor = 3\n\
                 output.layout = '{layout}'\noutput.order = '{order}'\noutput.columns = '{columns}'\n\
                 output.format = '{format}'\noutput.rows_per_file = 37\n"
            )
        };
        let triplets = rows(&room.run("all", &pipeline("triplet", "anchor", "all", "jsonl")));
        assert!(!triplets.is_empty(), "seed {seed}");
        for layout in LAYOUTS {
            let mut orders = Vec::new();
            for order in ORDERS {
                let name = format!("{layout}-{order}");
                let found = rows(&room.run(&name, &pipeline(layout, order, "all", "jsonl")));
                assert_eq!(held(layout, &found, 3), derived(layout, &triplets, 3), "seed {seed}, {name}");
                assert!(in_order(layout, order, &found, &triplets), "seed {seed}, {name}");
                room.miner(&["verify", &name, "--full"]).exits(0);
                orders.push(found);
            }
            assert!(orders[0] != orders[1] && orders[2] != orders[3], "seed {seed}, {layout}");
            for format in ["parquet", "arrow", "csv"] {
                if (layout, format) == ("labeled-list", "csv") {
                    continue;
                }
                for columns in ["all", "team"] {
                    let name = format!("{layout}-{columns}-{format}");
                    room.run(&name, &pipeline(layout, ORDERS[seed as usize], columns, format));
                    room.miner(&["verify", &name, "--full"]).exits(0);
                    room.miner(&["verify", &name]).exits(0);
                }
            }
        }
    }
}

fn glosses(extra: &str) -> String {
    format!(
        "store.path = '{}'\nstore.id = 'id'\nstore.embedding = 'embedding'\nstore.label = 'label'\nsearch.index = 'exact'\n\
         mine.bands = {{ hard = 1, semi-hard = 2 }}\nmine.positives.per_anchor = 2\n{extra}",
        sample("glosses.parquet")
    )
}

#[test]
fn shards_are_quantiles_of_the_gap() {
    let room = Room::new();
    for layout in LAYOUTS {
        for (order, descends) in [("easy-to-hard", true), ("hard-to-easy", false)] {
            let name = format!("{layout}-{order}");
            let output = format!("output.layout = '{layout}'\noutput.order = '{order}'\noutput.shards = 7\n");
            let out = room.run(&name, &glosses(&output));
            let parts = manifest(&out)["parts"].as_array().unwrap().clone();
            let counts: Vec<u64> = parts.iter().map(|part| part["rows"].as_u64().unwrap()).collect();
            assert!(
                counts.len() == 7 && counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1,
                "{counts:?}"
            );
            let ends = |part: &Value| ["first", "last"].map(|end| part["gap"][end].as_f64().unwrap());
            let gaps: Vec<f64> = parts.iter().flat_map(ends).collect();
            assert!(gaps.is_sorted_by(|a, b| if descends { a >= b } else { a <= b }), "{name}: {gaps:?}");
            room.miner(&["verify", &name, "--full"]).exits(0);
            edit_manifest(&out, |sealed| sealed["parts"][3]["gap"]["last"] = json!(0.0));
            let refused = room.miner(&["verify", &name, "--full"]).exits(3);
            assert!(refused.stdout.contains("parts[3].gap"), "{}", refused.stdout);
        }
    }
    let empty = room
        .run("empty", &glosses("output.order = 'easy-to-hard'\noutput.shards = 3\nmine.positives.max_distance = -1"));
    let rows: Vec<u64> =
        manifest(&empty)["parts"].as_array().unwrap().iter().map(|part| part["rows"].as_u64().unwrap()).collect();
    assert_eq!(rows, [0, 0, 0], "as many files as asked for, whatever was found");
    room.miner(&["verify", "empty", "--full"]).exits(0);
}

/// The values of an array of uint64, and how many columns it says to have.
fn array(path: &Path) -> (Vec<u64>, usize) {
    let bytes = fs::read(path).unwrap();
    let head = String::from_utf8_lossy(&bytes[10..128]).into_owned();
    assert!(
        bytes.starts_with(b"\x93NUMPY\x01\x00") && head.contains("'<u8'") && head.contains("'fortran_order': False")
    );
    let shape = head.split('(').nth(1).unwrap().split(')').next().unwrap();
    let (rows, columns) = shape.split_once(", ").unwrap();
    let (rows, columns): (usize, usize) = (rows.parse().unwrap(), columns.parse().unwrap());
    let values: Vec<u64> = bytes[128..].chunks(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap())).collect();
    assert_eq!(values.len(), rows * columns);
    (values, columns)
}

#[test]
fn arrays_hold_the_rows_of_the_tables() {
    let room = Room::new();
    for (layout, columns) in [
        ("triplet", &["anchor_row", "positive_row", "negative_row"][..]),
        ("n-tuple", &["anchor_row", "positive_row", "negative_1_row", "negative_2_row", "negative_3_row"]),
        ("pair", &["anchor_row", "positive_row"]),
        ("labeled-pair", &["anchor_row", "candidate_row", "label"]),
        ("candidates", &["anchor_row", "candidate_row", "rank"]),
    ] {
        let output = |format: &str| {
            let output = format!("output.layout = '{layout}'\noutput.format = '{format}'\noutput.order = 'random'\n");
            glosses(&format!("{output}output.rows_per_file = 1000\n"))
        };
        let table = rows(&room.run(&format!("{layout}-table"), &output("jsonl")));
        let expected: Vec<u64> = table.iter().flat_map(|row| columns.iter().map(|name| number(row, name))).collect();
        let name = format!("{layout}-array");
        let out = room.run(&name, &output("npy"));
        let arrays: Vec<(Vec<u64>, usize)> = parts(&out).iter().map(|part| array(part)).collect();
        assert!(arrays.len() > 1 && arrays.iter().all(|(_, width)| *width == columns.len()), "{layout}");
        assert_eq!(arrays.iter().flat_map(|(values, _)| values.clone()).collect::<Vec<_>>(), expected, "{layout}");
        room.miner(&["verify", &name, "--full"]).exits(0);

        // One index, and the checksum to fit.
        let part = "triplets/part-00001.npy";
        let mut bytes = fs::read(out.join(part)).unwrap();
        let honest = bytes.clone();
        bytes[128 + 8 * columns.len()] ^= 1;
        fs::write(out.join(part), &bytes).unwrap();
        let count = manifest(&out)["parts"][1]["rows"].as_u64().unwrap() as usize;
        reseal(&out, part, count);
        room.miner(&["verify", &name, "--full"]).exits(3);
        // A header that tells of another shape.
        let mut bytes = honest;
        let at = bytes.windows(6).position(|window| window == b"'shape").unwrap() + 10;
        bytes[at] ^= 1;
        fs::write(out.join(part), &bytes).unwrap();
        reseal(&out, part, count);
        let refused = room.miner(&["verify", &name]).exits(3);
        assert!(refused.stdout.contains("not a numpy array"), "{}", refused.stdout);
    }
}

#[test]
fn numpy_maps_an_array() {
    let room = Room::new();
    let out = room.run("out", &glosses("output.format = 'npy'\noutput.layout = 'n-tuple'\n"));
    let (values, columns) = array(&parts(&out)[0]);
    let sum = values.iter().fold(0u64, |sum, value| sum.wrapping_add(*value));
    let script = "import sys, numpy; a = numpy.load(sys.argv[1], mmap_mode='r'); print(a.shape[1], a.dtype, a.sum())";
    let told = Command::new(python()).args(["-c", script]).arg(&parts(&out)[0]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&told.stdout).trim(), format!("{columns} uint64 {sum}"));
}

/// Rewrites the first part, and the manifest to fit.
fn forge(out: &Path, change: impl FnOnce(&mut Vec<Value>)) {
    let part = "triplets/part-00000.jsonl";
    let text = fs::read_to_string(out.join(part)).unwrap();
    let mut rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    change(&mut rows);
    fs::write(out.join(part), rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    reseal(out, part, rows.len());
}

#[test]
fn what_is_changed_in_a_layout_is_found() {
    type Forge = fn(&mut Vec<Value>);
    let forgeries: [(&str, &str, Forge, &str); 22] = [
        ("n-tuple", "all", |rows| rows[5]["negative_2_id"] = json!("x"), "row 5, negative_2_id"),
        ("n-tuple", "all", |rows| rows[5]["d_an_3"] = json!(0.5), "row 5, d_an_3"),
        ("n-tuple", "all", |rows| rows[5]["band_1"] = json!("easy"), "row 5, band_1"),
        (
            "n-tuple",
            "all",
            |rows| rows[5]["negative_1_row"] = rows[5]["negative_2_row"].clone(),
            "row 5, negative_2_row",
        ),
        ("n-tuple", "all", |rows| rows[5] = rows[6].clone(), "twice"),
        ("n-tuple", "all", |rows| drop(rows.remove(5)), "no such tuple"),
        ("pair", "all", |rows| rows[5]["positive_row"] = rows[5]["anchor_row"].clone(), "the anchor itself"),
        ("pair", "all", |rows| rows[5]["d_ap"] = json!(0.25), "row 5, d_ap"),
        ("pair", "all", |rows| rows.swap(2, 9), "belongs before"),
        ("pair", "all", |rows| drop(rows.remove(5)), "no such pair"),
        (
            "labeled-pair",
            "all",
            |rows| rows[5]["label"] = json!(1 - rows[5]["label"].as_i64().unwrap()),
            "row 5, label",
        ),
        ("labeled-pair", "all", |rows| rows.swap(0, 1), "belongs before"),
        ("labeled-pair", "all", |rows| rows[5] = rows[6].clone(), "twice"),
        ("labeled-list", "all", |rows| rows[5]["labels"] = json!([0, 1]), "row 5, labels"),
        ("labeled-list", "all", |rows| rows[5]["candidates_row"] = json!([]), "a positive and its negatives"),
        ("labeled-list", "all", |rows| drop(rows.pop()), "no such list"),
        ("candidates", "all", |rows| rows[5]["rank"] = json!(77), "row 5, rank"),
        ("candidates", "all", |rows| drop(rows.remove(5)), "no such candidate"),
        ("triplet", "text", |rows| rows[5]["negative"] = json!("x"), "row 5, anchor"),
        ("n-tuple", "text", |rows| rows.swap(5, 6), "row 7, anchor"),
        ("labeled-list", "text", |rows| rows[5]["labels"] = json!([1, 1]), "row 5, anchor"),
        ("pair", "text", |rows| drop(rows.pop()), "rows that were mined again"),
    ];
    let room = Room::new();
    for (layout, columns, forgery, told) in forgeries {
        let name = format!("{layout}-{columns}");
        let out = room.path(&name);
        if !out.exists() {
            let output = format!("output.layout = '{layout}'\noutput.columns = '{columns}'\noutput.format = 'jsonl'\n");
            room.run(&name, &glosses(&format!("store.carry = ['text']\n{output}")));
            room.miner(&["verify", &name, "--full"]).exits(0);
        }
        crate::support::copy(&out, &room.path("changed"));
        forge(&room.path("changed"), forgery);
        let refused = room.miner(&["verify", "changed", "--full"]).exits(3);
        assert!(refused.stdout.contains(told), "{name}: `{told}` is not told:\n{}", refused.stdout);
        fs::remove_dir_all(room.path("changed")).unwrap();
    }
}

#[test]
fn what_cannot_be_checked_is_said() {
    let room = Room::new();
    room.run("texts", &glosses("store.carry = ['text']\noutput.columns = 'text'\n"));
    room.run("pairs", &glosses("output.layout = 'pair'\noutput.order = 'hard-to-easy'\n"));
    for (name, told) in [("texts", "they name no rows"), ("pairs", "the order of pairs")] {
        let verdict = room.miner(&["verify", name]).exits(0);
        assert!(verdict.stdout.contains("not checked: ") && verdict.stdout.contains(told), "{}", verdict.stdout);
        let whole = room.miner(&["verify", name, "--full"]).exits(0);
        let unchecked: Vec<&str> = whole.stdout.lines().filter(|line| line.contains("not checked")).collect();
        assert!(matches!(unchecked[..], [line] if line.contains("report.json")), "{}", whole.stdout);
    }
    let approximate = glosses("store.carry = ['text']\noutput.columns = 'text'\n").replace("'exact'", "'cells'");
    room.run("cells", &approximate);
    let verdict = room.miner(&["verify", "cells", "--full"]).exits(0);
    assert!(
        verdict.stdout.contains("proved: 1,320 of 1,320 anchors mined again by the search of the run"),
        "{}",
        verdict.stdout
    );
    room.run("graphs", &approximate.replace("'cells'", "'hnsw'"));
    let verdict = room.miner(&["verify", "graphs"]).exits(0);
    assert!(verdict.stdout.contains("not checked: the recall: the rows do not tell"), "{}", verdict.stdout);
}
