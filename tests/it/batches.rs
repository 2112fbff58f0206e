//! `[batches]`: what every batch must be, looked at in plain loops.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt64Type};

use crate::balance::uneven;
use crate::support::{Draw, Room, Rows, STORE, batches, manifest, sample, triplets, unmined};

/// A column of a file as integers.
fn column(path: &Path, name: &str) -> Vec<u64> {
    let values = |batch: arrow::array::RecordBatch| {
        let column = cast(batch.column_by_name(name).unwrap(), &DataType::UInt64).unwrap();
        column.as_primitive::<UInt64Type>().values().to_vec()
    };
    batches(path).into_iter().flat_map(values).collect()
}

/// The batches of an output, and what is in none.
pub fn read(out: &Path, entry: &str) -> (Vec<Vec<u64>>, Vec<u64>) {
    let file = out.join("batches.parquet");
    let (numbers, positions) = (column(&file, "batch"), column(&file, "position"));
    let mut all: Vec<Vec<u64>> = Vec::new();
    for ((number, position), entry) in numbers.into_iter().zip(positions).zip(column(&file, entry)) {
        if number == all.len() as u64 {
            all.push(Vec::new());
        }
        assert_eq!((number, position), (all.len() as u64 - 1, all.last().unwrap().len() as u64), "in order, no gaps");
        all.last_mut().unwrap().push(entry);
    }
    let remainder = column(&out.join("remainder.parquet"), entry);
    let told = &manifest(out)["batches"];
    assert_eq!(told["batches"], all.len());
    assert_eq!(told["entries"], all.iter().map(Vec::len).sum::<usize>());
    assert_eq!(told["remainder"], remainder.len());
    (all, remainder)
}

/// Cosine distance, in plain words.
fn distance(rows: &Rows, a: u64, b: u64) -> f64 {
    let [x, y] = [a, b].map(|row| rows.vectors[row as usize].iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| a * b).sum::<f64>();
    1.0 - dot(&x, &y) / (dot(&x, &x) * dot(&y, &y)).sqrt()
}

#[test]
fn batches_of_rows_are_full_cover_every_anchor_and_hold_no_false_negative() {
    let mut made = 0;
    for seed in 0..40 {
        let mut draw = Draw(seed);
        let rows = uneven(&mut draw);
        let (p, k) = (2 + draw.below(3) as usize, 2 + draw.below(4) as usize);
        let near = (draw.below(2) == 0).then_some(0.01);
        let mut class_sizes: BTreeMap<&str, usize> = BTreeMap::new();
        rows.labels.iter().flatten().for_each(|label| *class_sizes.entry(label).or_default() += 1);
        let room = Room::new();
        rows.write(&room.path("store.parquet"));
        let near_text = near.map_or(String::new(), |near| format!("mine.negatives.duplicate_distance = {near}\n"));
        let capped = if draw.below(3) == 0 { "balance.anchors_per_class = 5\n" } else { "" };
        let asked = format!(
            "{STORE}{near_text}{capped}batches = {{ kind = 'pk', classes = {p}, per_class = {k} }}\noutput.path = 'out'\n"
        );
        room.write("p.toml", &asked);
        if class_sizes.values().filter(|&&size| size > 1).count() < p {
            let refused = room.miner(&["run", "p.toml", "--quiet"]).exits(2);
            assert!(refused.stderr.contains("batches.classes"), "{}", refused.stderr);
            continue;
        }
        room.miner(&["run", "p.toml", "--quiet"]).exits(0);
        room.miner(&["verify", "out"]).exits(0);
        let out = room.path("out");
        let (all, remainder) = read(&out, "row");
        made += all.len();
        let label = |row: u64| rows.labels[row as usize].as_deref().expect("only labelled rows");
        for batch in &all {
            let mut classes: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
            for &row in batch {
                assert!(classes.entry(label(row)).or_default().insert(row), "seed {seed}: row {row} twice");
            }
            assert_eq!(classes.len(), p, "seed {seed}");
            for (label, members) in &classes {
                assert_eq!(members.len(), k.min(class_sizes[label]), "seed {seed}: {label}");
            }
            for &a in batch {
                for &b in batch.iter().filter(|&&b| label(b) != label(a)) {
                    assert!(
                        rows.vectors[a as usize] != rows.vectors[b as usize],
                        "seed {seed}: {a} and {b} are copies"
                    );
                    let d = distance(&rows, a, b);
                    assert!(near.is_none_or(|near| d > near - 1e-6), "seed {seed}: {a} and {b} at {d}");
                }
            }
        }
        let placed: BTreeSet<u64> = all.concat().into_iter().collect();
        let listed = unmined(&out);
        let searched =
            |row: &u64| !matches!(listed.get(row).map(String::as_str), Some(reason) if reason != "band-empty");
        let anchors: BTreeSet<u64> = (0..rows.labels.len() as u64).filter(searched).collect();
        let left: BTreeSet<u64> = remainder.iter().copied().collect();
        assert!(left.is_disjoint(&placed), "seed {seed}");
        assert!(left.is_subset(&anchors), "seed {seed}");
        assert!(anchors.iter().all(|row| placed.contains(row) || left.contains(row)), "seed {seed}: every anchor");
        if near.is_none() && seed % 2 == 0 {
            let copies = |a: usize| (0..a).any(|b| rows.vectors[a] == rows.vectors[b]);
            let clean = !(0..rows.vectors.len()).any(copies);
            assert!(!clean || left.is_empty(), "seed {seed}: without copies nothing is left");
        }
    }
    assert!(made > 100, "{made} batches: too few to tell");
}

#[test]
fn an_epoch_of_rows_is_short_and_hard_classes_meet() {
    let room = Room::new();
    let store = format!(
        "store.path = '{}'\nstore.id = 'id'\nstore.embedding = 'embedding'\nstore.label = 'label'\n\
         store.carry = ['family']\nmine.pick = 'nearest'\n",
        sample("glosses.parquet")
    );
    let out = room.run("out", &format!("{store}batches = {{ kind = 'pk', classes = 8, per_class = 4 }}"));
    let (all, remainder) = read(&out, "row");
    assert_eq!(remainder, [0u64; 0]);
    let rows: BTreeSet<u64> = all.concat().into_iter().collect();
    assert_eq!(rows.len(), 1_320, "every row is an anchor here");
    // 66 classes of 11 to 39 rows: the largest needs ten batches, all together at least 1,320 / 32.
    assert!(all.len() <= 1_320 / 32 * 3 / 2, "{} batches", all.len());
    // Most negatives of this sample are of the anchor's own family, so families should meet.
    let families = {
        let file = std::path::PathBuf::from(sample("glosses.parquet"));
        let text = |batch: arrow::array::RecordBatch| {
            let column = cast(batch.column_by_name("family").unwrap(), &DataType::Utf8).unwrap();
            column.as_string::<i32>().iter().map(|value| value.unwrap().to_owned()).collect::<Vec<_>>()
        };
        batches(&file).into_iter().flat_map(text).collect::<Vec<_>>()
    };
    let pairs = |batch: &Vec<u64>| {
        let (mut same, mut all) = (0u32, 0u32);
        for &a in batch {
            for &b in batch {
                all += 1;
                same += u32::from(families[a as usize] == families[b as usize]);
            }
        }
        f64::from(same) / f64::from(all)
    };
    let share = all.iter().map(pairs).sum::<f64>() / all.len() as f64;
    let everyone = pairs(&(0..1_320).collect());
    assert!(share > 2.0 * everyone, "{share} of the pairs in a batch are of one family, {everyone} of all pairs");
}

#[test]
fn batches_of_triplets_are_full_and_hold_no_false_negative() {
    let mut made = 0;
    for seed in 0..40 {
        let mut draw = Draw(seed);
        let mut rows = uneven(&mut draw);
        // Fewer rows of one class only, so that there is something to fill batches from.
        for label in rows.labels.iter_mut().flatten().filter(|label| *label == "c0") {
            *label = format!("d{}", draw.below(6));
        }
        let size = 2 + draw.below(3);
        let room = Room::new();
        rows.write(&room.path("store.parquet"));
        let order = *draw.one_of(&["anchor", "random", "hard-to-easy"]);
        let unlabelled = *draw.one_of(&["ignore", "negative"]);
        let asked = format!(
            "{STORE}store.unlabelled = '{unlabelled}'\nmine.bands = {{ any = 2 }}\noutput.order = '{order}'\n\
             output.rows_per_file = 17\nbatches = {{ kind = 'triplets', size = {size} }}\n"
        );
        let out = room.run("out", &asked);
        room.miner(&["verify", "out"]).exits(0);
        let lines = triplets(&out);
        let (all, remainder) = read(&out, "triplet");
        made += all.len();
        let label = |row: u64| rows.labels[row as usize].as_deref();
        for batch in &all {
            assert_eq!(batch.len() as u64, size, "seed {seed}");
            for (i, &x) in batch.iter().enumerate() {
                for (j, &y) in batch.iter().enumerate().filter(|&(j, _)| j != i) {
                    let anchor = label(lines[x as usize].anchor);
                    let other = &lines[y as usize];
                    assert_ne!(label(other.positive), anchor, "seed {seed}: {i} and {j}");
                    assert_ne!(label(other.negative), anchor, "seed {seed}: {i} and {j}");
                }
            }
        }
        let mut named: Vec<u64> = all.concat();
        named.extend(&remainder);
        named.sort_unstable();
        assert!(named.into_iter().eq(0..lines.len() as u64), "seed {seed}: each triplet once");
    }
    assert!(made > 100, "{made} batches: too few to tell");
}

#[test]
fn nearly_all_triplets_of_the_sample_find_a_batch() {
    let room = Room::new();
    let store = format!(
        "store.path = '{}'\nstore.id = 'id'\nstore.embedding = 'embedding'\nstore.label = 'label'\n",
        sample("glosses.parquet")
    );
    let out =
        room.run("out", &format!("{store}mine.bands = {{ any = 4 }}\nbatches = {{ kind = 'triplets', size = 16 }}"));
    let (all, remainder) = read(&out, "triplet");
    let triplets = triplets(&out).len();
    assert_eq!(all.len() * 16 + remainder.len(), triplets);
    assert!(remainder.len() * 20 < triplets, "{} of {triplets} in no batch", remainder.len());
}

#[test]
fn what_is_told_of_batches_is_what_the_rows_let_know() {
    let room = Room::new();
    let store = format!(
        "store.path = '{}'\nstore.id = 'id'\nstore.embedding = 'embedding'\nstore.label = 'label'\nstore.carry = ['text']\n\
         search.index = 'exact'\n",
        sample("glosses.parquet")
    );
    let proved = "batches: full, without false negatives, made again, the same";
    let triplets = "batches = { kind = 'triplets', size = 4 }\n";
    let pk = "batches = { kind = 'pk', classes = 4, per_class = 3 }\n";
    for (name, asked, proved_at_once, unchecked) in [
        ("triplets", triplets.to_owned(), proved, None),
        ("pk", pk.to_owned(), proved, None),
        (
            "texts",
            format!("{triplets}output.columns = 'text'\n"),
            "batches: full, nothing lost between them and the remainder",
            Some("which batches, and false negatives in them, but for anchors that were mined again"),
        ),
        (
            "tuples",
            format!("{pk}output.layout = 'n-tuple'\nmine.bands = {{ hard = 2, semi-hard = 1 }}\n"),
            "batches: full, without false negatives, nothing lost between them and the remainder",
            Some("which batches, and what else could be in one"),
        ),
    ] {
        room.run(name, &format!("{store}{asked}"));
        let verdict = room.miner(&["verify", name]).exits(0).stdout;
        assert!(verdict.contains(proved_at_once), "{name}:\n{verdict}");
        assert_eq!(verdict.contains("not checked: which batches"), unchecked.is_some(), "{name}:\n{verdict}");
        assert!(unchecked.is_none_or(|unchecked| verdict.contains(unchecked)), "{name}:\n{verdict}");
        let verdict = room.miner(&["verify", name, "--full"]).exits(0).stdout;
        assert!(verdict.contains(proved) && !verdict.contains("not checked: which batches"), "{name}:\n{verdict}");
    }
}
