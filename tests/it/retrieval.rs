//! `[balance]`, `[prepare]` and `[batches]` beside queries and pairs: against brute force on random stores.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::UInt64Type;

use crate::balance::{Limit, count, weights};
use crate::batches::read;
use crate::prepare::write_matrix;
use crate::queries::{Case, KINDS, Kind};
use crate::scores::Scores;
use crate::support::{Draw, Line, Room, Rows, STORE, manifest, tree, triplets, unmined};
use crate::twin::Asked;

/// Runs a pipeline and has the program verify all of it, too.
fn mined(case: &Case, room: &Room, name: &str, extra: &str) -> (Vec<Line>, BTreeMap<u64, String>) {
    let out = room.run(name, &case.pipeline(&format!("{STORE}search.index = 'exact'\n{extra}")));
    room.miner(&["verify", name]).exits(0);
    room.miner(&["verify", name, "--full"]).exits(0);
    (triplets(&out), unmined(&out))
}

/// A case whose queries are many, and of few classes.
fn crowded(kind: Kind, draw: &mut Draw) -> Case {
    loop {
        let case = Case::draw(kind, draw);
        if case.ids.len() > 8 {
            return case;
        }
    }
}

/// The rows of the corpus that have a class.
fn members<'a>(case: &'a Case, label: &'a str) -> impl Iterator<Item = u64> + 'a {
    let of = move |(row, other): (u64, &Option<String>)| (other.as_deref() == Some(label)).then_some(row);
    (0..).zip(&case.corpus.labels).filter_map(of)
}

/// The queries of each class that the corpus has.
fn asking(case: &Case) -> BTreeMap<&str, Vec<u64>> {
    let mut classes: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (row, label) in (0..).zip(&case.queries.labels) {
        if let Some(label) = label.as_deref().filter(|label| members(case, label).next().is_some()) {
            classes.entry(label).or_default().push(row);
        }
    }
    classes
}

#[test]
fn no_row_is_a_negative_too_often_and_no_slot_is_empty_without_need() {
    for kind in KINDS {
        for seed in 0..10 {
            let mut draw = Draw(seed * 3 + kind as u64);
            let case = crowded(kind, &mut draw);
            let limit = Limit::draw(&mut draw);
            let room = Room::new();
            case.write(&room);
            let (candidates, _) = mined(&case, &room, "candidates", &limit.asked(limit.spares()));
            let limited = format!("{}balance.max_uses = {}\n", limit.asked(limit.slots), limit.max_uses);
            let (lines, listed) = mined(&case, &room, "out", &limited);
            let told = &manifest(&room.path("out"))["balance"];
            assert_eq!(limit.check(&candidates, &lines, &listed, told), Ok(()), "{kind:?}, seed {seed}");
            // And so many triplets in all.
            let most = lines.len() * 2 / 3;
            if most > 0 {
                let (fewer, _) = mined(&case, &room, "fewer", &format!("{limited}balance.triplets = {most}\n"));
                assert_eq!(fewer.len(), most, "{kind:?}, seed {seed}");
                let mut rest = lines.iter();
                assert!(fewer.iter().all(|line| rest.any(|other| other == line)), "{kind:?}, seed {seed}");
            }
        }
    }
}

#[test]
fn a_class_has_so_many_queries_and_the_rest_are_named() {
    for seed in 0..12 {
        let mut draw = Draw(seed);
        let case = crowded(Kind::QueriesByLabel, &mut draw);
        let most = 1 + draw.below(3) as usize;
        let room = Room::new();
        case.write(&room);
        let asked = format!("mine.bands = {{ any = 1 }}\nbalance.anchors_per_class = {most}\n");
        let (_, listed) = mined(&case, &room, "out", &asked);
        let away =
            |listed: &BTreeMap<u64, String>, row: u64| listed.get(&row).is_some_and(|why| why == "balanced-away");
        let mut told = 0;
        for (label, queries) in asking(&case) {
            let kept = queries.iter().filter(|&&row| !away(&listed, row)).count();
            assert_eq!(kept, most.min(queries.len()), "seed {seed}: {label}");
            told += queries.len() - kept;
        }
        // Those that never could be anchors say why, as ever.
        assert_eq!(listed.values().filter(|why| *why == "balanced-away").count(), told, "seed {seed}");
        assert_eq!(manifest(&room.path("out"))["balance"]["left_out"].as_u64(), Some(told as u64), "seed {seed}");

        // The same ids in another order: the same anchors.
        let turned = Case {
            queries: Rows {
                vectors: case.queries.vectors.iter().rev().cloned().collect(),
                labels: case.queries.labels.iter().rev().cloned().collect(),
                teams: case.queries.teams.iter().rev().cloned().collect(),
            },
            ids: case.ids.iter().rev().copied().collect(),
            corpus: case.corpus.clone(),
            pairs: Vec::new(),
            scores: Scores::default(),
            kind: case.kind,
        };
        turned.write(&room);
        let (_, again) = mined(&turned, &room, "turned", &asked);
        let last = case.ids.len() as u64 - 1;
        assert!((0..=last).all(|row| away(&listed, row) == away(&again, last - row)), "seed {seed}");
    }
}

#[test]
fn classes_with_few_queries_get_other_pairs_up_to_the_count() {
    for seed in 0..12 {
        let mut draw = Draw(seed);
        let case = crowded(Kind::QueriesByLabel, &mut draw);
        let target = 1 + draw.below(60) as usize;
        let room = Room::new();
        case.write(&room);
        // Every pair finds a negative, so that it leaves a trace.
        let asked = "mine.bands = { any = 1 }\n";
        let plain = mined(&case, &room, "plain", asked).0;
        let (lines, _) = mined(&case, &room, "out", &format!("{asked}balance.oversample_to = {target}"));
        let pairs = count(lines.iter().map(|line| (line.anchor, line.positive)));
        assert!(pairs.values().all(|&times| times == 1), "seed {seed}: no pair twice");
        let of_anchor = count(pairs.keys().map(|&(anchor, _)| anchor));
        for (label, queries) in asking(&case) {
            let has = |query: u64| members(&case, label).filter(|&row| row != case.ids[query as usize]).count();
            let total = |each: usize| queries.iter().map(|&query| has(query).min(each)).sum::<usize>();
            let found: usize = queries.iter().filter_map(|query| of_anchor.get(query)).sum();
            assert_eq!(found, total(1).max(target.min(total(usize::MAX))), "seed {seed}: pairs of {label}");
            let most = queries.iter().filter_map(|query| of_anchor.get(query)).max().copied().unwrap_or(0);
            for &query in &queries {
                let own = of_anchor.get(&query).copied().unwrap_or(0);
                assert!(own + 1 >= most.min(has(query)), "seed {seed}: query {query} has {own}, another {most}");
            }
        }
        let all: BTreeSet<&Line> = lines.iter().collect();
        assert!(plain.iter().all(|line| all.contains(line)), "seed {seed}: what was there before stays");
    }
}

#[test]
fn weights_go_by_the_label_of_the_query() {
    for seed in 0..6 {
        let mut draw = Draw(seed);
        let case = crowded(Kind::QueriesByLabel, &mut draw);
        let room = Room::new();
        case.write(&room);
        let (lines, _) = mined(&case, &room, "out", "mine.bands = { any = 2 }\nbalance.weights = 'inverse'\n");
        let class = |line: &Line| case.queries.labels[line.anchor as usize].as_deref();
        let of_class = count(lines.iter().map(class));
        let raw = |line: &Line| 1.0 / of_class[&class(line)] as f64;
        let mean = lines.iter().map(raw).sum::<f64>() / lines.len() as f64;
        for (line, weight) in lines.iter().zip(weights(&room.path("out"))) {
            let expected = raw(line) / mean;
            assert!((f64::from(weight) - expected).abs() < 1e-6 * expected, "seed {seed}: {weight}, {expected}");
        }
    }
}

#[test]
fn threads_memory_and_index_change_no_byte_of_a_balanced_output() {
    for kind in KINDS {
        let by_class = match kind {
            Kind::QueriesByLabel => {
                "balance.anchors_per_class = 3\nbalance.oversample_to = 20\nbalance.weights = 'inverse'\n"
            }
            _ => "",
        };
        let case = crowded(kind, &mut Draw(kind as u64));
        for index in ["exact", "cells", "hnsw"] {
            let asked = format!("{STORE}search.index = '{index}'\nmine.bands = {{ any = 3 }}\n{by_class}");
            let asked = format!("{}\nbalance.max_uses = 3\nbalance.triplets = 40\n", case.pipeline(&asked));
            let outputs = [("1", "0"), ("2", "0"), ("2", "64GiB")].map(|(threads, memory)| {
                let room = Room::new();
                case.write(&room);
                room.write("p.toml", &format!("{asked}output.path = 'out'\n"));
                room.miner(&["run", "p.toml", "--quiet", "--threads", threads, "--memory", memory]).exits(0);
                room.miner(&["verify", "out"]).exits(0);
                tree(&room.path("out"))
            });
            assert!(outputs[0] == outputs[1], "{kind:?}, {index}: 1 thread and 2 threads differ");
            assert!(outputs[1] == outputs[2], "{kind:?}, {index}: little and much memory differ");
        }
    }
}

/// Vectors through a matrix whose products and sums are exact, in whatever order they are made.
fn mapped(rows: &Rows, matrix: &[Vec<f32>]) -> Rows {
    let product = |vector: &Vec<f32>| {
        let sum = |row: &Vec<f32>| row.iter().zip(vector).map(|(l, x)| f64::from(*l) * f64::from(*x)).sum::<f64>();
        matrix.iter().map(|row| sum(row) as f32).collect()
    };
    Rows { vectors: rows.vectors.iter().map(product).collect(), ..rows.clone() }
}

#[test]
fn both_tables_are_transformed_before_they_are_compared() {
    for kind in KINDS {
        for seed in 0..10 {
            let mut draw = Draw(seed * 3 + kind as u64);
            let case = Case::draw(kind, &mut draw);
            let d = case.corpus.vectors[0].len();
            // Its diagonal leaves nothing zero.
            let mut matrix = vec![vec![0.0; d]; d];
            for (i, row) in matrix.iter_mut().enumerate() {
                row[i] = (1 + draw.below(3)) as f32;
                (0..i).for_each(|j| row[j] = draw.below(5) as f32 - 2.0);
            }
            let room = Room::new();
            case.write(&room);
            let mut values = matrix.concat().into_iter();
            write_matrix(&room.path("m.npy"), d, d, || values.next().unwrap());
            let [corpus, queries] = [&case.corpus, &case.queries].map(|rows| mapped(rows, &matrix));
            let (ids, pairs, scores) = (case.ids.clone(), case.pairs.clone(), case.scores.clone());
            let turned = Case { corpus, queries, ids, pairs, scores, kind };
            let asked = Asked::draw(&mut draw, &turned.corpus).without_classes();
            let pipeline = case.pipeline(&format!("{}\nprepare.transform = 'm.npy'", asked.pipeline()));
            let out = room.run("out", &pipeline);
            let verdict = turned.twin(&asked).check(&asked, &triplets(&out), &unmined(&out));
            assert_eq!(verdict, Ok(()), "{kind:?}, seed {seed}\n{pipeline}");
            room.miner(&["verify", "out", "--full"]).exits(0);

            let report: serde_json::Value =
                serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
            let told = &report["prepare"]["nearest"];
            let [before, after] = [&case, &turned].map(|case| case.twin(&asked).nearest());
            if before.0 == 0 {
                assert!(told.is_null(), "{kind:?}, seed {seed}: {told}");
                continue;
            }
            assert_eq!(told["queries"].as_u64(), Some(before.0), "{kind:?}, seed {seed}");
            for (name, (asking, right)) in [("before", before), ("after", after)] {
                let share = right as f64 / asking as f64;
                assert_eq!(told[name].as_f64(), Some(share), "{kind:?}, seed {seed}: {name}");
            }
        }
    }
}

#[test]
fn a_transform_is_learned_from_the_corpus_alone() {
    let learns =
        [("standardize", "true"), ("transform", "'pca-whiten'"), ("transform", "'rca'"), ("transform", "'lda'")];
    for kind in KINDS {
        let mut draw = Draw(kind as u64);
        let case = loop {
            let case = crowded(kind, &mut draw);
            if case.corpus.vectors[0].len() == 3 {
                break case;
            }
        };
        let by_label = kind == Kind::QueriesByLabel;
        for (key, value) in &learns[..if by_label { 4 } else { 2 }] {
            let asked =
                format!("{STORE}prepare.{key} = {value}\nmine.metric = 'euclidean'\nmine.bands = {{ any = 1 }}\n");
            let outputs = ["1", "3"].map(|threads| {
                let room = Room::new();
                case.write(&room);
                room.write("p.toml", &format!("{}\noutput.path = 'out'\n", case.pipeline(&asked)));
                room.miner(&["run", "p.toml", "--quiet", "--threads", threads]).exits(0);
                room.miner(&["verify", "out", "--full"]).exits(0);
                room.run("alone", &asked);
                let learned = |name: &str| fs::read(room.path(name).join("transform.parquet")).unwrap();
                assert!(learned("out") == learned("alone"), "{kind:?}, {key} = {value}");
                if kind == Kind::QueriesByLabel {
                    let told = room.miner(&["report", "out"]).exits(0).stdout;
                    assert!(told.contains(" queries in "), "{told}");
                }
                tree(&room.path("out"))
            });
            assert!(outputs[0] == outputs[1], "{kind:?}, {key} = {value}: 1 thread and 3 threads differ");
        }
    }
}

/// What becomes zero is named by its own table.
#[test]
fn a_query_that_becomes_zero_is_refused_with_its_place() {
    let rows = |vectors: &[[f32; 3]]| Rows {
        vectors: vectors.iter().map(|vector| vector.to_vec()).collect(),
        labels: vec![Some("a".to_owned()); vectors.len()],
        teams: vec![None; vectors.len()],
    };
    let around = [[1.0, 0.0, 2.0], [-1.0, 0.0, -2.0], [0.0, 3.0, 1.0], [0.0, -3.0, -1.0]];
    let centre = [0.0; 3];
    for (corpus, queries, told) in [
        (
            rows(&around),
            rows(&[around[0], centre]),
            ["queries.parquet, row 1: after [prepare]", "out with queries.where"],
        ),
        (
            rows(&[around[0], around[1], centre]),
            rows(&around),
            ["store.parquet, row 2: after [prepare]", "out with store.where"],
        ),
    ] {
        let room = Room::new();
        corpus.write(&room.path("store.parquet"));
        queries.write(&room.path("queries.parquet"));
        let asked = "prepare.standardize = true\nqueries.path = 'queries.parquet'\noutput.path = 'out'\n";
        room.write("p.toml", &format!("{STORE}{asked}"));
        let ran = room.miner(&["run", "--quiet", "p.toml"]).exits(3).stderr;
        assert!(told.iter().all(|told| ran.contains(told)), "{told:?}: {ran}");
    }
}

#[test]
fn batches_of_triplets_are_full_and_hold_no_false_negative() {
    for kind in KINDS {
        let mut made = 0;
        for seed in 0..20 {
            let mut draw = Draw(seed * 3 + kind as u64);
            let case = crowded(kind, &mut draw);
            let size = 2 + draw.below(3);
            let order = *draw.one_of(&["anchor", "random", "hard-to-easy"]);
            let asked = format!(
                "{STORE}mine.bands = {{ any = 3 }}\noutput.order = '{order}'\nmine.positives.per_anchor = 2\n\
                 output.rows_per_file = 17\nbatches = {{ kind = 'triplets', size = {size} }}\n"
            );
            let room = Room::new();
            case.write(&room);
            room.write("p.toml", &format!("{}\noutput.path = 'out'\n", case.pipeline(&asked)));
            let ran = room.miner(&["run", "p.toml", "--quiet"]);
            if ran.status == Some(2) {
                assert!(ran.stderr.contains("batches.size"), "{}", ran.stderr);
                continue;
            }
            ran.exits(0);
            room.miner(&["verify", "out"]).exits(0);
            let lines = triplets(&room.path("out"));
            let (all, remainder) = read(&room.path("out"), "triplet");
            made += all.len();
            let relates = |anchor: u64, row: u64| {
                let (id, anchors) = (case.ids[anchor as usize], &case.queries);
                let by_pair = || case.pairs.contains(&(id, row));
                let by_label = || case.corpus.labels[row as usize] == anchors.labels[anchor as usize];
                id == row || if kind == Kind::QueriesByLabel { by_label() } else { by_pair() }
            };
            for batch in &all {
                assert_eq!(batch.len() as u64, size, "{kind:?}, seed {seed}");
                for &x in batch {
                    for &y in batch.iter().filter(|&&y| y != x) {
                        let (anchor, other) = (lines[x as usize].anchor, &lines[y as usize]);
                        assert!(!relates(anchor, other.positive), "{kind:?}, seed {seed}: {x} and {y}");
                        assert!(!relates(anchor, other.negative), "{kind:?}, seed {seed}: {x} and {y}");
                    }
                }
            }
            let mut named: Vec<u64> = all.concat();
            named.extend(&remainder);
            named.sort_unstable();
            assert!(named.into_iter().eq(0..lines.len() as u64), "{kind:?}, seed {seed}: each triplet once");
        }
        assert!(made > 50, "{kind:?}: {made} batches: too few to tell");
    }
}

/// Forged batches are found: triplets of different batches that may not meet, in one.
#[test]
fn a_forged_false_negative_is_found() {
    for (kind, expected) in [
        (Kind::QueriesAndPairs, "which has a positive of the anchor of"),
        (Kind::QueriesByLabel, "with anchors of one class"),
    ] {
        let mut draw = Draw(kind as u64);
        let case = crowded(kind, &mut draw);
        let room = Room::new();
        case.write(&room);
        let asked = format!("{STORE}mine.bands = {{ any = 3 }}\nbatches = {{ kind = 'triplets', size = 2 }}\n");
        let out = room.run("out", &case.pipeline(&asked));
        let lines = triplets(&out);
        let twins = (0..lines.len()).find(|&i| i > 0 && lines[i].anchor == lines[i - 1].anchor).unwrap() as u64;
        crate::tamper::rewrite(&out, "batches.parquet", |batch| {
            let mut columns = batch.columns().to_vec();
            let mut entries = columns[2].as_primitive::<UInt64Type>().values().to_vec();
            (entries[0], entries[1]) = (twins - 1, twins);
            columns[2] = Arc::new(UInt64Array::from(entries));
            RecordBatch::try_new(batch.schema(), columns).unwrap()
        });
        let told = room.miner(&["verify", "out"]).exits(3).stdout;
        assert!(told.contains(expected), "{told}");
    }
}
