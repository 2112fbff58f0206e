//! Anchors from a table of their own, and positives by pairs of ids: against the definitions, with every index.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, StringArray};
use serde_json::json;

use crate::equivalence::awkward;
use crate::scores::Scores;
use crate::support::{Draw, Room, Rows, batches, manifest, parts, tree, triplets, unmined, write_table};
use crate::twin::{Asked, Twin};

/// What a pipeline reads beside its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    QueriesByLabel,
    QueriesAndPairs,
    Pairs,
}

pub const KINDS: [Kind; 3] = [Kind::QueriesByLabel, Kind::QueriesAndPairs, Kind::Pairs];

/// A small job: a corpus, queries (the corpus itself in [`Kind::Pairs`]), and pairs of ids.
pub struct Case {
    pub kind: Kind,
    pub corpus: Rows,
    pub queries: Rows,
    /// Ids of the queries; rows of the corpus have their numbers for ids.
    pub ids: Vec<u64>,
    pub pairs: Vec<(u64, u64)>,
    pub scores: Scores,
}

impl Case {
    pub fn draw(kind: Kind, draw: &mut Draw) -> Self {
        let corpus = awkward(draw);
        let n = corpus.vectors.len() as u64;
        let own = kind == Kind::Pairs;
        let asking = if own { n } else { 1 + draw.below(30) };
        let mut queries = if own { corpus.clone() } else { Rows::default() };
        let mut ids: Vec<u64> = if own { (0..n).collect() } else { Vec::new() };
        while (ids.len() as u64) < asking {
            // Near rows of the corpus, or copies of them; labels that it has, or not.
            let near = draw.below(n) as usize;
            let mut vector = corpus.vectors[near].clone();
            if draw.below(3) > 0 {
                vector.iter_mut().for_each(|x| *x += draw.unit());
            }
            vector[0] += f32::from(u8::from(vector.iter().all(|x| *x == 0.0)));
            queries.vectors.push(vector);
            let label = corpus.labels[draw.below(n) as usize].clone();
            queries.labels.push(if draw.below(6) == 0 { Some("unheard of".into()) } else { label });
            queries.teams.push(corpus.teams[draw.below(n) as usize].clone());
            let id = if draw.below(2) == 0 { near as u64 } else { 1_000 + draw.below(1_000_000) };
            ids.push(if ids.contains(&id) { 2_000_000 + ids.len() as u64 } else { id });
        }
        if !own {
            // At least one has a class in the corpus.
            queries.labels[0] = Some("c0".into());
        }
        let mut pairs = vec![(ids[0], n - 1)];
        for &id in &ids {
            // Some queries have none; some pairs come twice, and some name the query itself.
            for _ in 0..draw.below(5) {
                pairs.push((id, draw.below(n)));
            }
            if draw.below(8) == 0 {
                pairs.extend(pairs.last().copied());
            }
        }
        let scores = Scores::draw(draw, ids.len(), n as usize);
        Self { kind, corpus, queries, ids, pairs, scores }
    }

    pub fn has_queries(&self) -> bool {
        self.kind != Kind::Pairs
    }

    pub fn write(&self, room: &Room) {
        self.corpus.write(&room.path("store.parquet"));
        if self.has_queries() {
            self.queries.write_with_ids(&room.path("queries.parquet"), self.ids.iter().copied());
        }
        if self.kind != Kind::QueriesByLabel {
            write_pairs(&room.path("pairs.parquet"), &self.pairs);
        }
        self.scores.write(&room.path("scores.parquet"), &self.ids);
    }

    /// The sections of the pipeline beside what [`Asked::pipeline`] says of the store.
    pub fn pipeline(&self, asked: &str) -> String {
        let mut text = asked.to_owned();
        if self.has_queries() {
            text += "\nqueries.path = 'queries.parquet'";
        }
        if self.kind != Kind::QueriesByLabel {
            let told = |line: &&str| !line.starts_with("store.label") && !line.starts_with("store.unlabelled");
            text = text.lines().filter(told).collect::<Vec<_>>().join("\n");
            text += "\npairs.path = 'pairs.parquet'\npairs.query = 'q'\npairs.positive = 'p'";
        }
        text
    }

    pub fn twin(&self, asked: &Asked) -> Twin<'_> {
        let anchors = if self.has_queries() { &self.queries } else { &self.corpus };
        let n = self.corpus.vectors.len();
        let own = self.ids.iter().map(|&id| Some(id as usize).filter(|&row| row < n)).collect();
        let of = |id: &u64| self.pairs.iter().filter(|(query, _)| query == id).map(|&(_, row)| row as usize).collect();
        let pairs: Vec<BTreeSet<usize>> = self.ids.iter().map(of).collect();
        let pairs = (self.kind != Kind::QueriesByLabel).then_some(pairs);
        Twin::asking(anchors, &self.corpus, asked.metric(), own, pairs).scored(self.scores.clone())
    }
}

/// As the columns `q` and `p`, in another width of integer than the ids.
fn write_pairs(path: &Path, pairs: &[(u64, u64)]) {
    let column = |of: fn(&(u64, u64)) -> u64| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values(pairs.iter().map(|pair| of(pair) as i32)))
    };
    write_table(path, vec![("q", column(|pair| pair.0)), ("p", column(|pair| pair.1))]);
}

#[test]
fn exact_mining_is_what_the_definitions_say() {
    for kind in KINDS {
        for seed in 0..15 {
            let mut draw = Draw(seed * 3 + kind as u64);
            let case = Case::draw(kind, &mut draw);
            let asked = Asked::draw(&mut draw, &case.corpus).without_classes();
            let room = Room::new();
            case.write(&room);
            let pipeline = case.pipeline(&asked.pipeline());
            let out = room.run("out", &pipeline);
            let verdict = case.twin(&asked).check(&asked, &triplets(&out), &unmined(&out));
            assert_eq!(verdict, Ok(()), "{kind:?}, seed {seed}\n{pipeline}");
            if seed % 5 == 0 {
                room.miner(&["verify", "out", "--full"]).exits(0);
            }
        }
    }
}

#[test]
fn approximate_mining_emits_nothing_wrong() {
    for kind in KINDS {
        for (seed, index) in [(1, "cells"), (2, "hnsw")] {
            let mut draw = Draw(seed * 7 + kind as u64);
            let case = Case::draw(kind, &mut draw);
            let asked = Asked::draw(&mut draw, &case.corpus).without_classes();
            let room = Room::new();
            case.write(&room);
            let pipeline = case.pipeline(&asked.pipeline()).replace("'exact'", &format!("'{index}'"));
            let out = room.run("out", &pipeline);
            let verdict = case.twin(&asked).admits(&asked, &triplets(&out), &unmined(&out));
            assert_eq!(verdict, Ok(()), "{kind:?}, seed {seed}, {index}\n{pipeline}");
            assert_eq!(manifest(&out)["search"]["index"], index);
            room.miner(&["verify", "out"]).exits(0);
        }
    }
}

#[test]
fn threads_and_repetition_change_no_byte() {
    for (kind, index) in KINDS.into_iter().zip(["exact", "hnsw", "cells"]) {
        let case = Case::draw(kind, &mut Draw(kind as u64));
        let outputs = ["1", "2", "2"].map(|threads| {
            let room = Room::new();
            case.write(&room);
            let asked = format!("{}search.index = '{index}'\nmine.bands = {{ any = 3 }}", crate::support::STORE);
            room.write("p.toml", &format!("{}\noutput.path = 'out'\n", case.pipeline(&asked)));
            room.miner(&["run", "p.toml", "--quiet", "--threads", threads]).exits(0);
            tree(&room.path("out"))
        });
        assert!(outputs[0] == outputs[1], "{kind:?}: 1 thread and 2 threads differ");
        assert!(outputs[1] == outputs[2], "{kind:?}: two runs differ");
    }
}

/// A corpus of texts, queries of whom two have ids of the corpus, and their pairs.
struct Small(Room);

const SMALL: &str = "\
store.path = 'store.parquet'
store.id = \"concat('d', id)\"
store.embedding = 'embedding'
queries.path = 'queries.parquet'
pairs.path = 'pairs.parquet'
mine.bands = { any = 2 }
mine.positives.pick = 'all'
output.path = 'out'
";

impl Small {
    /// Eight rows, d0 … d7, and four queries, d1, d2, d3 and d9.
    fn new(pairs: &[(&str, &str)]) -> Self {
        let room = Room::new();
        let rows = |angles: &[f32]| Rows {
            vectors: angles.iter().map(|a| vec![a.cos(), a.sin()]).collect(),
            labels: angles.iter().map(|a| Some(format!("text {a}"))).collect(),
            teams: vec![None; angles.len()],
        };
        rows(&[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]).write(&room.path("store.parquet"));
        rows(&[0.05, 0.15, 0.25, 0.35]).write_with_ids(&room.path("queries.parquet"), [1, 2, 3, 9].into_iter());
        let small = Self(room);
        small.pairs(pairs);
        small.0.write("p.toml", SMALL);
        small
    }

    fn pairs(&self, pairs: &[(&str, &str)]) {
        let text = |text: &str| (text != "∅").then(|| text.to_owned());
        let queries: ArrayRef = Arc::new(pairs.iter().map(|pair| text(pair.0)).collect::<StringArray>());
        let positives: ArrayRef = Arc::new(pairs.iter().map(|pair| text(pair.1)).collect::<StringArray>());
        let columns = vec![("query_id", queries), ("corpus_id", positives)];
        write_table(&self.0.path("pairs.parquet"), columns);
    }

    fn set(&self, set: &[&str]) -> Vec<String> {
        let mut args = vec!["run".to_owned(), "p.toml".to_owned(), "--quiet".to_owned(), "--overwrite".to_owned()];
        args.extend(set.iter().flat_map(|set| ["--set".to_owned(), set.to_string()]));
        args
    }

    fn run(&self, set: &[&str]) -> crate::support::Ran {
        let args = self.set(set);
        self.0.miner(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

const GOOD: [(&str, &str); 5] = [("d1", "d4"), ("d1", "d5"), ("d1", "d4"), ("d9", "d0"), ("d3", "d3")];

#[test]
fn pairs_columns_and_reasons() {
    let small = Small::new(&GOOD);
    small.run(&["store.carry=['label', 'team']", "queries.carry=['label']"]).exits(0);
    let out = small.0.path("out");
    let names: Vec<String> = batches(&parts(&out)[0])[0].schema().fields().iter().map(|f| f.name().clone()).collect();
    let expected = "anchor_id positive_id negative_id anchor_row positive_row negative_row d_ap d_an band fallback weight \
                    anchor_label positive_label negative_label positive_team negative_team";
    assert_eq!(names.join(" "), expected, "labels here are what was carried");
    let mined: Vec<(u64, u64, u64)> = triplets(&out).iter().map(|t| (t.anchor, t.positive, t.negative)).collect();
    for (query, positives, own) in [(0u64, &[4u64, 5][..], 1u64), (3, &[0], 9)] {
        for &positive in positives {
            let negatives: Vec<u64> = mined.iter().filter(|t| (t.0, t.1) == (query, positive)).map(|t| t.2).collect();
            assert_eq!(negatives.len(), 2, "{mined:?}");
            assert!(negatives.iter().all(|row| !positives.contains(row) && *row != own), "{mined:?}");
        }
    }
    assert_eq!(mined.len(), 6);
    // One query has no pair, and one only itself.
    let reasons = unmined(&out).into_iter().collect::<Vec<_>>();
    assert_eq!(reasons, [(1, "no-positive".to_owned()), (2, "no-positive".to_owned())]);
    let sealed = manifest(&out);
    let roles: Vec<_> = sealed["inputs"].as_array().unwrap().iter().map(|input| input["role"].clone()).collect();
    assert_eq!(roles, ["store", "queries", "pairs"]);
    assert_eq!(sealed["rows"], json!({ "read": 12, "anchors": 2, "unmined": 2, "triplets": 6 }));
    small.0.miner(&["verify", "out", "--full"]).exits(0);
    // Moved inputs are found where they are said to be.
    fs::rename(small.0.path("queries.parquet"), small.0.path("q.parquet")).unwrap();
    fs::rename(small.0.path("pairs.parquet"), small.0.path("x.parquet")).unwrap();
    small.0.miner(&["verify", "out"]).exits(3);
    small.0.miner(&["verify", "out", "--queries", "q.parquet", "--pairs", "x.parquet"]).exits(0);
}

#[test]
fn a_plan_tells_of_queries_and_pairs() {
    let small = Small::new(&GOOD);
    let told = small.0.miner(&["plan", "p.toml"]).exits(0).stdout;
    for part in ["queries.parquet: 4 of 4 kept", "pairs.parquet: 5 of 3 queries, the most of one 3", "anchors     3"] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    let json = small.0.miner(&["plan", "p.toml", "--json", "--set", "queries.where=id < 9"]).exits(0).stdout;
    let census = serde_json::from_str::<serde_json::Value>(&json).unwrap()["census"].clone();
    assert_eq!(census["queries"], json!({ "rows": 4, "kept": 3 }));
    assert_eq!(census["pairs"], json!({ "rows": 5, "anchors": 3, "most": 3 }));
}

#[test]
fn pairs_that_name_no_row_are_refused_or_listed() {
    let bad = [("d1", "d4"), ("d1", "nowhere"), ("nobody", "d2"), ("∅", "d2"), ("d9", "∅"), ("d9", "d0")];
    let small = Small::new(&bad);
    let told = small.run(&[]).exits(3).stderr;
    for part in [
        "4 of 6 rows cannot be used (null id: 2, unknown id: 2), rows counted from 0",
        "pairs.parquet, row 1, id d1: no row of the store has the positive's id \"nowhere\"",
        "pairs.parquet, row 2, id nobody: no row of the queries has the query's id \"nobody\"",
        "pairs.parquet, row 3: the query is null",
        "or leave them out with pairs.bad_rows = \"skip\"",
    ] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    assert!(!small.0.path("out").exists());
    for key in ["pairs.bad_rows=skip", "store.bad_rows=skip"] {
        small.run(&[key]).exits(0);
        let out = small.0.path("out");
        let rejected: Vec<(String, String)> = batches(&out.join("unmined.parquet"))
            .iter()
            .flat_map(|batch| {
                let text = |name: &str| {
                    batch[name].as_string::<i32>().iter().map(|v| v.unwrap_or("∅").to_owned()).collect::<Vec<_>>()
                };
                text("id").into_iter().zip(text("detail")).filter(|(_, detail)| detail != "∅").collect::<Vec<_>>()
            })
            .collect();
        let expected = [
            ("d1", "pairs: pairs.parquet, row 1: no row of the store has the positive's id \"nowhere\""),
            ("nobody", "pairs: pairs.parquet, row 2: no row of the queries has the query's id \"nobody\""),
            ("∅", "pairs: pairs.parquet, row 3: the query is null"),
            ("d9", "pairs: pairs.parquet, row 4: the positive is null"),
        ];
        assert_eq!(rejected, expected.map(|(id, detail)| (id.to_owned(), detail.to_owned())));
        assert_eq!(manifest(&out)["unmined"]["rejected"], 4);
        assert_eq!(manifest(&out)["rows"]["read"], 12, "pairs are no rows of a store");
        small.0.miner(&["verify", "out", "--full"]).exits(0);
    }
    small.pairs(&[("nobody", "d2")]);
    let told = small.run(&["pairs.bad_rows=skip"]).exits(3).stderr;
    assert!(told.contains("none of 1 row names a row both as query and as positive"), "{told}");
}

#[test]
fn bad_rows_of_both_sides_are_listed_with_their_tables() {
    let small = Small::new(&GOOD);
    let rows = |angles: &[Option<f32>]| Rows {
        vectors: angles.iter().map(|a| a.map_or(vec![0.0, 0.0], |a| vec![a.cos(), a.sin()])).collect(),
        labels: vec![Some("c".into()); angles.len()],
        teams: vec![None; angles.len()],
    };
    let corpus = [Some(0.0), Some(0.1), None, Some(0.3), Some(0.4), Some(0.5), None];
    rows(&corpus).write(&small.0.path("store.parquet"));
    let queries = [None, Some(0.2), Some(0.3), Some(0.4)];
    rows(&queries).write_with_ids(&small.0.path("queries.parquet"), [7, 1, 3, 9].into_iter());
    let told = small.run(&["store.bad_rows=skip", "queries.bad_rows=error"]).exits(3).stderr;
    assert!(told.contains("queries.bad_rows = \"skip\""), "{told}");
    small.run(&["store.bad_rows=skip"]).exits(0);
    let lines: Vec<String> = batches(&small.0.path("out/unmined.parquet"))
        .iter()
        .flat_map(|batch| {
            let text = |name: &str| batch[name].as_string::<i32>().clone();
            let (reasons, details) = (text("reason"), text("detail"));
            (0..batch.num_rows())
                .map(move |row| {
                    let place = batch["row"].as_primitive::<arrow::datatypes::UInt64Type>().value(row);
                    let detail =
                        details.iter().nth(row).flatten().unwrap_or("–").split(": the").next().unwrap().to_owned();
                    format!("{} {place} {detail}", reasons.value(row))
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let expected = [
        "rejected 0 queries: queries.parquet, row 0",
        "no-positive 2 –",
        "rejected 2 store: store.parquet, row 2",
        "rejected 6 store: store.parquet, row 6",
    ];
    assert_eq!(lines, expected);
    small.0.miner(&["verify", "out", "--full"]).exits(0);
}

#[test]
fn tables_that_do_not_go_together_are_refused() {
    let small = Small::new(&GOOD);
    for (set, told) in [
        (
            &["queries.id=id"][..],
            "queries.id = \"id\": ./queries.parquet: its type must be that of the store's; found one integer a row (UInt64)",
        ),
        (
            &["store.id=id"],
            "pairs.query = \"query_id\": ./pairs.parquet: it must name rows by their ids; found text (Utf8)",
        ),
        (
            &["pairs.positive=corpus"],
            "pairs.positive = \"corpus\": ./pairs.parquet: the pairs have no column `corpus`; nearest: `corpus_id`",
        ),
        (&["queries.carry=['txt']"], "queries.carry = [\"txt\"]: ./queries.parquet: the queries have no column `txt`"),
        (&["queries.where=id > 99"], "queries.parquet: no row is left of 4: `where` drops 4"),
    ] {
        for command in ["run", "plan"] {
            let mut args = small.set(set);
            args[0] = command.into();
            args.retain(|arg| command == "run" || !["--quiet", "--overwrite"].contains(&arg.as_str()));
            // What a key says of columns is the pipeline's fault, what lies in them the data's.
            let status = if told.contains("no row is left") { 3 } else { 2 };
            let ran = small.0.miner(&args.iter().map(String::as_str).collect::<Vec<_>>()).exits(status);
            assert!(ran.stderr.contains(told), "{set:?}: {told} is not in\n{}", ran.stderr);
        }
    }
    // By label, and no query has a label of the store.
    small.0.write("p.toml", &SMALL.replace("pairs.path = 'pairs.parquet'", "store.label = 'team'"));
    let told = small.run(&["store.label=\"'x'\"", "queries.label=\"'y'\""]);
    assert!(told.stderr.contains("no query has a label that a row of the store"), "{}", told.stderr);
    // Vectors of another length.
    small.0.write("p.toml", SMALL);
    let wide = Rows { vectors: vec![vec![1.0, 2.0, 3.0]], labels: vec![None], teams: vec![None] };
    wide.write_with_ids(&small.0.path("queries.parquet"), [1].into_iter());
    let told = small.run(&[]).exits(3).stderr;
    assert!(told.contains("the queries' vectors have 3 values, but those of the store,"), "{told}");
    assert!(told.contains("have 2; embed both with one model"), "{told}");
}

/// Row numbers of two tables have nothing to do with each other, so they make nobody anyone's own row.
#[test]
fn without_ids_nothing_is_one_s_own_row() {
    let small = Small::new(&GOOD);
    write_pairs(&small.0.path("pairs.parquet"), &[(0, 0), (1, 0), (2, 2)]);
    small.0.write(
        "p.toml",
        &SMALL.replace("store.id = \"concat('d', id)\"\n", "pairs.query = 'q'\npairs.positive = 'p'\n"),
    );
    small.run(&["mine.bands={ any = 100 }"]).exits(0);
    let mined: BTreeSet<(u64, u64, u64)> =
        triplets(&small.0.path("out")).iter().map(|t| (t.anchor, t.positive, t.negative)).collect();
    let expected = [(0, 0), (1, 0), (2, 2)];
    let expected = expected.iter().flat_map(|&(q, p)| (0..8).filter(move |n| *n != p).map(move |n| (q, p, n)));
    assert_eq!(mined, expected.collect());
}

#[test]
fn a_forged_negative_that_is_a_positive_is_found() {
    let small = Small::new(&GOOD);
    small.run(&["output.format=jsonl"]).exits(0);
    let part = small.0.path("out/triplets/part-00000.jsonl");
    let honest = fs::read_to_string(&part).unwrap();
    // The other positive of the first query, with all that follows from it.
    let mut rows: Vec<serde_json::Value> = honest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (first, other) = (rows[0].clone(), rows.iter().find(|row| row["positive_id"] == "d5").unwrap().clone());
    assert_eq!(first["positive_id"], "d4");
    for what in ["id", "row"] {
        rows[0][format!("negative_{what}")] = other[format!("positive_{what}")].clone();
    }
    rows[0]["d_an"] = other["d_ap"].clone();
    fs::write(&part, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    crate::tamper::reseal(&small.0.path("out"), "triplets/part-00000.jsonl", rows.len());
    let told = small.0.miner(&["verify", "out"]).exits(3).stdout;
    assert!(
        told.contains("row 0, negative_row: found a positive of the anchor, expected a row that no pair names"),
        "{told}"
    );
    // And other pairs than those of the run.
    fs::write(&part, honest).unwrap();
    crate::tamper::reseal(&small.0.path("out"), "triplets/part-00000.jsonl", rows.len());
    small.0.miner(&["verify", "out"]).exits(0);
    small.pairs(&[("d1", "d4"), ("d1", "d6"), ("d9", "d0")]);
    let told = small.0.miner(&["verify", "out"]).exits(3).stdout;
    assert!(
        told.contains("inputs[2].fingerprint: found another pairs: 3 rows") && told.contains("not checked: files"),
        "{told}"
    );
}

/// Graphs are made of the corpus alone, so other queries use them again.
#[test]
fn graphs_outlive_queries() {
    let small = Small::new(&GOOD);
    small.run(&["search.index=hnsw"]).exits(0);
    let plan = |set: &str| {
        small
            .0
            .miner(&["plan", "p.toml", "--set", "search.index=hnsw", "--set", "output.overwrite=true", "--set", set])
            .exits(0)
            .stdout
    };
    assert!(plan("queries.where=id < 4").contains("kept from an earlier run"));
    assert!(!plan("store.where=id < 7").contains("kept from an earlier run"));
}
