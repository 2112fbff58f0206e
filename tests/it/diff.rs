//! What `miner diff` says of two outputs, held against loops over their rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use triplet_miner::kernel::{Distance, Metric};

use crate::support::{Draw, Line, Ran, Room, Rows, STORE, copy, instead, manifest, triplets};

const ASKED: &str = "\
mine.metric = 'euclidean'
mine.margin = 0.4
mine.bands = { hard = 1, semi-hard = 2 }
mine.fallback = ['easy']
mine.positives.per_anchor = 2
";

/// Two stores of mostly the same rows, each a little elsewhere; in the second, the ids stand in another order, and some are gone.
struct Rounds {
    room: Room,
    /// Of each store, its rows, and their ids.
    stores: [(Rows, Vec<u64>); 2],
}

impl Rounds {
    fn new(seed: u64) -> Self {
        let (room, mut draw, n) = (Room::new(), Draw(seed), 60usize);
        let label = |row: usize| Some(format!("c{}", row % 5));
        let at = |row: usize, draw: &mut Draw| -> Vec<f32> {
            (0..4).map(|d| if d == row % 5 { 0.4 } else { 0.0 } + 0.5 * draw.unit()).collect()
        };
        let first: Vec<Vec<f32>> = (0..n).map(|row| at(row, &mut draw)).collect();
        let ids: Vec<u64> = (0..n as u64).map(|row| 1_000 + 7 * row).collect();
        let before = Rows { vectors: first.clone(), labels: (0..n).map(label).collect(), teams: vec![None; n] };
        // The last row first, without the first five, and with three new ones.
        let order: Vec<usize> = (5..n).rev().collect();
        let moved = |&row: &usize| first[row].iter().map(|x| x + 0.05).collect();
        let mut vectors: Vec<Vec<f32>> = order.iter().map(moved).collect();
        let drifted = vectors.len() / 2;
        for vector in &mut vectors[..drifted] {
            vector.iter_mut().for_each(|x| *x += 0.15 * draw.unit());
        }
        let mut labels: Vec<Option<String>> = order.iter().map(|&row| label(row)).collect();
        let mut later: Vec<u64> = order.iter().map(|&row| ids[row]).collect();
        for new in 0..3 {
            vectors.push(at(new, &mut draw));
            labels.push(label(new));
            later.push(9_000 + new as u64);
        }
        let m = vectors.len();
        let after = Rows { vectors, labels, teams: vec![None; m] };
        let rounds = Self { room, stores: [(before, ids), (after, later)] };
        for (name, (rows, ids)) in ["a", "b"].iter().zip(&rounds.stores) {
            rows.write_with_ids(&rounds.room.path(&format!("{name}.parquet")), ids.iter().copied());
        }
        rounds
    }

    fn mine(&self, name: &str, store: &str, more: &str) {
        let store = STORE.replace("store.parquet", &format!("{store}.parquet"));
        self.room.run(name, &instead(&(store + ASKED), more));
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.room.miner(&[&["diff"], args, &["--json"]].concat()).exits(0).stdout).unwrap()
    }

    /// The triplets of an output by ids.
    fn told(&self, name: &str, store: usize) -> BTreeMap<[u64; 3], Line> {
        let ids = &self.stores[store].1;
        let named = |line: Line| ([line.anchor, line.positive, line.negative].map(|row| ids[row as usize]), line);
        triplets(&self.room.path(name)).into_iter().map(named).collect()
    }
}

fn gap(line: &Line) -> f64 {
    f64::from(f32::from_bits(line.d_an)) - f64::from(f32::from_bits(line.d_ap))
}

fn overlap<T: Ord>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> Value {
    let (lost, gained) = (a.difference(b).count(), b.difference(a).count());
    json!({ "both": a.intersection(b).count(), "lost": lost, "gained": gained })
}

fn keys<const N: usize>(rows: &BTreeMap<[u64; 3], Line>) -> BTreeSet<[u64; N]> {
    rows.keys().map(|key| std::array::from_fn(|i| key[i])).collect()
}

#[test]
fn every_count_is_that_of_plain_loops() {
    for seed in [3, 4] {
        let rounds = Rounds::new(seed);
        rounds.mine("before", "a", "");
        rounds.mine("after", "b", "mine.seed = 7");
        let (a, b) = (rounds.told("before", 0), rounds.told("after", 1));
        let told = rounds.json(&["before", "after"]);
        assert_eq!(told["compared"], "triplets");
        assert_eq!(told["anchors"], overlap(&keys::<1>(&a), &keys::<1>(&b)), "seed {seed}");
        assert_eq!(told["pairs"], overlap(&keys::<2>(&a), &keys::<2>(&b)), "seed {seed}");
        let (mut kept, mut replaced, mut gone, mut new, mut had) = (0, 0, 0, 0, 0);
        for pair in keys::<2>(&a).intersection(&keys::<2>(&b)) {
            let of = |rows: &BTreeMap<[u64; 3], Line>| -> BTreeSet<u64> {
                rows.keys().filter(|key| key[..2] == pair[..]).map(|key| key[2]).collect()
            };
            let (of_a, of_b) = (of(&a), of(&b));
            let both = of_a.intersection(&of_b).count();
            let (lost, gained) = (of_a.len() - both, of_b.len() - both);
            kept += both;
            replaced += lost.min(gained);
            gone += lost - lost.min(gained);
            new += gained - lost.min(gained);
            had += of_a.len();
        }
        let negatives = &told["negatives"];
        assert_eq!(
            ["kept", "replaced", "gone", "new"].map(|key| negatives[key].as_u64().unwrap() as usize),
            [kept, replaced, gone, new],
            "seed {seed}"
        );
        assert!(kept > 5 && replaced > 5, "seed {seed}: {negatives}");
        assert_eq!(negatives["churn"].as_f64(), Some(1.0 - kept as f64 / had as f64), "seed {seed}");
        assert_eq!(negatives["lost_with_pairs"].as_u64(), Some((a.len() - had) as u64), "seed {seed}");

        let both: Vec<(&Line, &Line)> = a.iter().filter_map(|(key, line)| Some((line, b.get(key)?))).collect();
        let mut drifts: Vec<f64> = both.iter().map(|(a, b)| gap(b) - gap(a)).collect();
        let mean = drifts.iter().sum::<f64>() / drifts.len() as f64;
        drifts.sort_unstable_by(f64::total_cmp);
        let drift = &told["drift"];
        assert_eq!(drift["triplets"].as_u64(), Some(both.len() as u64));
        assert!((drift["mean"].as_f64().unwrap() - mean).abs() < 1e-12, "seed {seed}: {drift}, not {mean}");
        let median = drifts[drifts.len().div_ceil(2) - 1];
        let close = |value: &Value, to: f64| (value.as_f64().unwrap() - to).abs() <= to.abs() / 4_000.0;
        assert!(close(&drift["quantiles"]["p50"], median), "seed {seed}: {drift}, not {median}");
        for transition in told["bands"].as_array().unwrap() {
            let (from, to) = (transition["from"].as_str().unwrap(), transition["to"].as_str().unwrap());
            let count = both.iter().filter(|(a, b)| a.band == from && b.band == to).count();
            assert_eq!(transition["triplets"].as_u64(), Some(count as u64), "seed {seed}: {from} → {to}");
        }
        uses_are_counted(&told, &a, &b);
        classes_are_counted(&rounds, &told, &a, &b);
    }
}

fn uses_are_counted(told: &Value, a: &BTreeMap<[u64; 3], Line>, b: &BTreeMap<[u64; 3], Line>) {
    let uses = |rows: &BTreeMap<[u64; 3], Line>, id: u64| rows.keys().filter(|key| key[2] == id).count();
    let top = |rows: &BTreeMap<[u64; 3], Line>| -> BTreeSet<u64> {
        let all: BTreeSet<u64> = rows.keys().map(|key| key[2]).collect();
        // All ids have four digits, so that they are ordered as texts are.
        let mut ranked: Vec<(usize, u64)> = all.into_iter().map(|id| (uses(rows, id), id)).collect();
        ranked.sort_unstable_by_key(|&(uses, id)| (std::cmp::Reverse(uses), id));
        ranked.into_iter().take(10).map(|(_, id)| id).collect()
    };
    let (in_a, in_b) = (top(a), top(b));
    for (what, expected) in [("stayed", &in_a & &in_b), ("went", &in_a - &in_b), ("came", &in_b - &in_a)] {
        let hubs = told["hubs"][what].as_array().unwrap();
        let found: BTreeSet<u64> = hubs.iter().map(|hub| hub["id"].as_str().unwrap().parse().unwrap()).collect();
        assert_eq!(found, expected, "{what}");
        for hub in hubs {
            let id = hub["id"].as_str().unwrap().parse().unwrap();
            assert_eq!((hub["a"].as_u64(), hub["b"].as_u64()), (Some(uses(a, id) as u64), Some(uses(b, id) as u64)));
        }
    }
}

fn classes_are_counted(rounds: &Rounds, told: &Value, a: &BTreeMap<[u64; 3], Line>, b: &BTreeMap<[u64; 3], Line>) {
    let counts = |rows: &BTreeMap<[u64; 3], Line>, store: usize| {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for line in rows.values() {
            let label = rounds.stores[store].0.labels[line.anchor as usize].clone().unwrap();
            *counts.entry(label).or_default() += 1;
        }
        counts
    };
    let (of_a, of_b) = (counts(a, 0), counts(b, 1));
    let share =
        |counts: &BTreeMap<String, u64>, label: &String| counts[label] as f64 / counts.values().sum::<u64>() as f64;
    let shift = of_a.keys().map(|label| (share(&of_a, label) - share(&of_b, label)).abs()).sum::<f64>() / 2.0;
    let classes = &told["classes"];
    assert_eq!(classes["classes"], 5);
    assert!((classes["shift"].as_f64().unwrap() - shift).abs() < 1e-12, "{classes}, not {shift}");
    for class in classes["moved"].as_array().unwrap() {
        let label = class["label"].as_str().unwrap();
        assert_ne!(class["a"], class["b"], "{label}");
        assert_eq!((class["a"].as_u64(), class["b"].as_u64()), (Some(of_a[label]), Some(of_b[label])));
    }
}

#[test]
fn lost_triplets_lie_where_the_later_store_puts_them() {
    let rounds = Rounds::new(5);
    rounds.mine("before", "a", "");
    rounds.mine("after", "b", "mine.margin = 0.3");
    let (a, b) = (rounds.told("before", 0), rounds.told("after", 1));
    let (rows, ids) = &rounds.stores[1];
    let mut expected = BTreeMap::from([("hard", 0), ("semi-hard", 0), ("easy", 0), ("rows_gone", 0)]);
    for key in a.keys().filter(|key| !b.contains_key(*key)) {
        let places = key.map(|id| ids.iter().position(|&other| other == id));
        let name = match places {
            [Some(anchor), Some(positive), Some(negative)] => {
                let to = |row: usize| Metric::Euclidean.distance(&rows.vectors[anchor], &rows.vectors[row]);
                let gap = |d: Distance, of: Distance| f64::from(d.get()) - f64::from(of.get());
                match gap(to(negative), to(positive)) {
                    gap if gap <= 0.0 => "hard",
                    gap if gap <= 0.3 => "semi-hard",
                    _ => "easy",
                }
            }
            _ => "rows_gone",
        };
        *expected.get_mut(name).unwrap() += 1;
    }
    assert!(expected.values().all(|&count| count > 0), "{expected:?} proves little");
    let told = rounds.json(&["before", "after", "--lost"]);
    assert_eq!(told["lost"], json!(expected));
    assert_eq!(rounds.json(&["before", "after"])["lost"], Value::Null);
    // The store has moved; and the wrong one is told.
    fs::rename(rounds.room.path("b.parquet"), rounds.room.path("moved.parquet")).unwrap();
    let missing = rounds.room.miner(&["diff", "before", "after", "--lost"]).exits(3).stderr;
    assert!(missing.contains("name the place with --store PATH"), "{missing}");
    assert_eq!(rounds.json(&["before", "after", "--store", "moved.parquet"])["lost"], json!(expected));
    let wrong = rounds.room.miner(&["diff", "before", "after", "--store", "a.parquet"]).exits(3).stderr;
    assert!(wrong.contains("after: its inputs are not those that it was mined from"), "{wrong}");
}

/// Whatever tells the same triplets is compared as the same.
#[test]
fn formats_and_layouts_tell_the_same() {
    let rounds = Rounds::new(6);
    rounds.mine("before", "a", "");
    rounds.mine("plain", "b", "");
    let figures = |told: &Value| {
        ["anchors", "pairs", "negatives", "drift", "bands", "classes", "hubs"].map(|key| told[key].clone())
    };
    let expected = figures(&rounds.json(&["before", "plain"]));
    for (format, layout) in [
        ("arrow", "triplet"),
        ("jsonl", "triplet"),
        ("csv", "triplet"),
        ("parquet", "labeled-list"),
        ("jsonl", "labeled-list"),
    ] {
        let name = format!("{format}-{layout}");
        rounds.mine(
            &name,
            "b",
            &format!("output.format = '{format}'\noutput.layout = '{layout}'\noutput.order = 'random'"),
        );
        assert_eq!(figures(&rounds.json(&["before", &name])), expected, "{name}");
    }
    let anchors = |told: &Value| [told["anchors"].clone(), told["compared"].clone()];
    for layout in ["labeled-pair", "candidates"] {
        rounds.mine(layout, "b", &format!("output.layout = '{layout}'"));
        let told = rounds.json(&["before", layout]);
        assert_eq!(anchors(&told), [expected[0].clone(), "negatives".into()], "{layout}");
        assert_eq!((&told["pairs"], &told["drift"], &told["hubs"]), (&Value::Null, &Value::Null, &Value::Null));
        let (a, b) = (rounds.told("before", 0), rounds.told("plain", 1));
        let of = |rows: &BTreeMap<[u64; 3], Line>| rows.keys().map(|key| (key[0], key[2])).collect::<BTreeSet<_>>();
        let both = of(&a).intersection(&of(&b)).count() as u64;
        assert_eq!(told["negatives"]["kept"].as_u64(), Some(both), "{layout}");
        let lost = rounds.room.miner(&["diff", "before", layout, "--lost"]).exits(3).stderr;
        assert!(lost.contains(&format!("layout \"{layout}\" does not tell which triplets there are")), "{lost}");
    }
    rounds.mine("pairs", "b", "output.layout = 'pair'");
    let told = rounds.json(&["before", "pairs"]);
    assert_eq!((&told["compared"], &told["pairs"]), (&json!("positives"), &expected[1]));
    assert_eq!(told["negatives"], Value::Null);
    rounds.mine("tuples", "b", "output.layout = 'n-tuple'");
    rounds.mine("lists", "b", "output.layout = 'labeled-list'");
    let told = rounds.json(&["lists", "tuples"]);
    assert_eq!(told["drift"]["largest"], 0.0, "{told}");
    assert_eq!(told["negatives"]["churn"], 0.0, "{told}");
}

#[test]
fn row_numbers_are_compared_where_they_mean_the_same() {
    let rounds = Rounds::new(7);
    rounds.mine("before", "a", "");
    rounds.mine("again", "a", "mine.seed = 8");
    rounds.mine("numbers", "a", "mine.seed = 8\noutput.format = 'npy'");
    let (by_ids, by_rows) = (rounds.json(&["before", "again"]), rounds.json(&["before", "numbers"]));
    assert_eq!(
        ["anchors", "pairs", "negatives"].map(|key| &by_ids[key]),
        ["anchors", "pairs", "negatives"].map(|key| &by_rows[key])
    );
    rounds.mine("elsewhere", "b", "");
    let told = rounds.room.miner(&["diff", "elsewhere", "numbers"]).exits(3).stderr;
    assert!(told.contains("names rows by their numbers, and this one was mined from other tables"), "{told}");
    let told = rounds.room.miner(&["diff", "before", "numbers", "--lost"]).exits(3).stderr;
    assert!(told.contains("numbers: format \"npy\" does not tell which triplets there are, by ids"), "{told}");
}

#[test]
fn keys_that_differ_are_told_and_nothing_else() {
    let rounds = Rounds::new(8);
    rounds.mine("before", "a", "");
    let same = rounds.json(&["before", "before"]);
    for key in ["pipeline", "inputs", "results"] {
        assert_eq!(same[key], json!([]), "{key}");
    }
    assert_eq!((&same["negatives"]["churn"], &same["classes"]["shift"]), (&json!(0.0), &json!(0.0)));
    rounds.room.miner(&["diff", "before", "before", "--exit-code"]).exits(0);
    rounds.mine("after", "a", "mine.margin = 0.5\nmine.bands = { hard = 2 }");
    let told = rounds.json(&["before", "after"]);
    let keys: Vec<&str> = told["pipeline"].as_array().unwrap().iter().map(|key| key["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["mine.bands.hard", "mine.bands.semi-hard", "mine.margin", "name", "output.path"]);
    assert_eq!(told["pipeline"][2], json!({ "key": "mine.margin", "a": 0.4, "b": 0.5 }));
    assert_eq!((&told["pipeline"][1]["a"], &told["pipeline"][1]["b"]), (&json!(2), &Value::Null));
    assert_eq!(told["inputs"], json!([]));
    let text = rounds.room.miner(&["diff", "before", "after"]).exits(0).stdout;
    for part in ["  mine.margin: 0.4 → 0.5\n", "  mine.bands.semi-hard: 2 → –\n", "  anchors ", "; churn "] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    rounds.room.miner(&["diff", "before", "after", "--exit-code"]).exits(1);
    // Elsewhere, and called otherwise, but the same.
    rounds.mine("copy", "a", "");
    let told = rounds.json(&["before", "copy"]);
    assert_eq!(told["pipeline"].as_array().unwrap().len(), 2, "{told}");
    rounds.room.miner(&["diff", "before", "copy", "--exit-code"]).exits(0);
}

fn refused(ran: Ran, part: &str) {
    let told = ran.exits(3).stderr;
    assert!(told.contains(part), "{part} is not in\n{told}");
}

#[test]
fn what_cannot_be_compared_is_refused_by_name() {
    let rounds = Rounds::new(9);
    let room = &rounds.room;
    rounds.mine("before", "a", "store.carry = ['team']");
    rounds.mine("text", "a", "store.carry = ['team']\noutput.columns = 'team'");
    refused(room.miner(&["diff", "before", "text"]), "text: output.columns = \"team\" leaves ids out; mine it again");
    rounds.mine("names", "a", "store.id = \"concat('d', id)\"");
    refused(room.miner(&["diff", "before", "names"]), "before: names rows by UInt64, but names by Utf8; compare");
    refused(
        room.miner(&["diff", "before", "nowhere"]),
        "nowhere: no manifest.json here: not a finished output of miner",
    );
    let unsealed = |name: &str| {
        copy(&room.path("before"), &room.path(name));
        room.path(name)
    };
    fs::remove_file(unsealed("open").join("manifest.json")).unwrap();
    refused(room.miner(&["diff", "open", "before"]), "open: no manifest.json here");
    let part = unsealed("forged").join("triplets/part-00000.parquet");
    let mut bytes = fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&part, bytes).unwrap();
    refused(room.miner(&["diff", "before", "forged"]), "forged: triplets/part-00000.parquet: found sha256 ");
    fs::remove_file(&part).unwrap();
    refused(room.miner(&["diff", "before", "forged"]), "forged: triplets/part-00000.parquet: found no such file");
    claims(&unsealed("claims"), |manifest| manifest["pipeline"]["output"]["layout"] = "triple".into());
    refused(
        room.miner(&["diff", "claims", "before"]),
        "pipeline.output.layout: found \"triple\", expected the name of a layout",
    );
    claims(&unsealed("types"), |manifest| manifest["columns"][0]["type"] = "Int129".into());
    refused(room.miner(&["diff", "types", "before"]), "columns[0].type: found \"Int129\"");
    claims(&unsealed("rows"), |manifest| manifest["parts"][0]["rows"] = 7.into());
    refused(
        room.miner(&["diff", "rows", "before"]),
        "rows: triplets/part-00000.parquet: found more rows, expected 7 rows",
    );
    let little = room.miner(&["diff", "before", "before", "--memory", "32MiB"]).exits(2).stderr;
    assert!(little.contains("--memory 32MiB: this job needs at least 104 MiB (comparing: "), "{little}");
}

/// Forges a manifest.
fn claims(out: &Path, forge: impl FnOnce(&mut Value)) {
    let mut told = manifest(out);
    forge(&mut told);
    fs::write(out.join("manifest.json"), told.to_string()).unwrap();
}
