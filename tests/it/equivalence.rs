//! What must not change the result, and what the result must be whatever was asked.

use std::collections::BTreeSet;
use std::fs::File;

use arrow::ipc::reader::FileReader;

use crate::scores::Scores;
use crate::support::{Draw, Line, Room, Rows, STORE, lines, manifest, parts, sample, tree, triplets, unmined};
use crate::twin::{Asked, Twin};

/// A small store made to be awkward: ties, copies under other labels, null labels, singletons, null teams.
pub fn awkward(draw: &mut Draw) -> Rows {
    let n = 20 + draw.below(60) as usize;
    let d = *draw.one_of(&[1, 3, 64]);
    let lattice = draw.below(2) == 0;
    let mut vectors: Vec<Vec<f32>> = (0..n)
        .map(|_| {
            let mut vector: Vec<f32> = (0..d).map(|_| draw.unit()).collect();
            if lattice {
                vector.iter_mut().for_each(|x| *x = (*x * 2.0).round());
            }
            if vector.iter().all(|x| *x == 0.0) {
                vector[0] = 1.0;
            }
            vector
        })
        .collect();
    for _ in 0..n / 5 {
        let (from, to) = (draw.below(n as u64) as usize, draw.below(n as u64) as usize);
        vectors[to] = vectors[from].clone();
    }
    let classes = 2 + draw.below(8);
    let mut names = |prefix: &str, count: u64| {
        (0..n).map(|_| (draw.below(9) > 0).then(|| format!("{prefix}{}", draw.below(count)))).collect::<Vec<_>>()
    };
    let mut labels = names("c", classes);
    // At least one class has two rows, and one has one.
    labels[0] = Some("c0".into());
    labels[1] = Some("c0".into());
    labels[2] = Some("alone".into());
    Rows { vectors, labels, teams: names("t", 3) }
}

/// A room with these rows, and scores of them for whoever asks.
pub fn room_of(rows: &Rows, draw: &mut Draw) -> (Room, Scores) {
    let (room, n) = (Room::new(), rows.vectors.len());
    rows.write(&room.path("store.parquet"));
    let scores = Scores::draw(draw, n, n);
    scores.write(&room.path("scores.parquet"), &(0..n as u64).collect::<Vec<_>>());
    (room, scores)
}

#[test]
fn exact_mining_is_what_the_definitions_say() {
    for seed in 0..80 {
        let mut draw = Draw(seed);
        let rows = awkward(&mut draw);
        let asked = Asked::draw(&mut draw, &rows);
        let (room, scores) = room_of(&rows, &mut draw);
        let out = room.run("out", &asked.pipeline());
        let twin = Twin::new(&rows, asked.metric()).scored(scores);
        let verdict = twin.check(&asked, &triplets(&out), &unmined(&out));
        assert_eq!(verdict, Ok(()), "seed {seed}\n{}", asked.pipeline());
        if seed % 10 == 0 {
            room.miner(&["verify", "out", "--full"]).exits(0);
        }
    }
}

/// Every guard, constraint and metric. So few anchors are all in the sample that recall is measured on.
#[test]
fn approximate_mining_emits_nothing_wrong_and_says_what_it_missed() {
    for seed in 200..220 {
        let mut draw = Draw(seed);
        let rows = awkward(&mut draw);
        let asked = Asked::draw(&mut draw, &rows);
        let (room, scores) = room_of(&rows, &mut draw);
        let twin = Twin::new(&rows, asked.metric()).scored(scores);
        let exact = room.run("exact", &asked.pipeline());
        assert_eq!(
            twin.check(&asked, &triplets(&exact), &unmined(&exact)),
            Ok(()),
            "seed {seed}\n{}",
            asked.pipeline()
        );
        let named = |out: &std::path::Path| -> BTreeSet<_> {
            triplets(out).iter().map(|line| (line.anchor, line.positive, line.negative)).collect()
        };
        let wanted = named(&exact);
        for (index, thin) in [
            ("cells", "cells.cells = 5"),
            ("hnsw", "hnsw = { max_connections = 2, ef_construction = 8, ef_search = 8 }"),
        ] {
            let target = draw.one_of(&["0.2", "0.9"]).to_string();
            let pipeline = asked.pipeline().replace("'exact'", &format!("'{index}'"));
            let pipeline = format!("{pipeline}\nsearch.{thin}\nsearch.target_recall = {target}");
            let out = room.run(index, &pipeline);
            let verdict = twin.admits(&asked, &triplets(&out), &unmined(&out));
            assert_eq!(verdict, Ok(()), "seed {seed}\n{pipeline}");
            // So few are asked about exactly.
            assert!(unmined(&out).values().all(|reason| reason != "search-missed"), "seed {seed}\n{pipeline}");
            let search = &manifest(&out)["search"];
            assert_eq!(search["index"], index);
            let found = named(&out).intersection(&wanted).count() as f64 / wanted.len() as f64;
            match wanted.is_empty() {
                true => assert!(search["recall"].is_null(), "seed {seed}, {index}: {search}"),
                false => {
                    let told = search["recall"]["estimate"].as_f64().unwrap();
                    assert!(
                        (told - found).abs() < 1e-9,
                        "seed {seed}, {index}: {found} found, {told} told\n{pipeline}"
                    );
                }
            }
            if seed % 10 == 0 {
                room.miner(&["verify", index, "--full"]).exits(0);
            }
        }
    }
}

#[test]
fn threads_and_repetition_change_no_byte() {
    for (seed, index) in [(1, "exact"), (2, "hnsw"), (3, "cells")] {
        let mut draw = Draw(seed);
        let rows = awkward(&mut draw);
        let outputs = ["1", "2", "2"].map(|threads| {
            let room = Room::new();
            rows.write(&room.path("store.parquet"));
            room.write(
                "p.toml",
                &format!("{STORE}search.index = '{index}'\nmine.bands = {{ any = 3 }}\noutput.path = 'out'\n"),
            );
            room.miner(&["run", "p.toml", "--quiet", "--threads", threads]).exits(0);
            tree(&room.path("out"))
        });
        assert!(outputs[0].len() >= 4, "{:?}", outputs[0].keys());
        assert!(outputs[0] == outputs[1], "{index}: 1 thread and 2 threads differ");
        assert!(outputs[1] == outputs[2], "{index}: two runs differ");
    }
}

#[test]
fn threads_change_no_byte_on_the_sample() {
    let pipeline = format!(
        "store.path = '{}'\nstore.id = 'id'\nstore.embedding = 'embedding'\nstore.label = 'label'\nstore.carry = ['text']\n\
         store.groups = {{ family = 'family' }}\nmine.negatives.same = ['family']\nmine.positives.per_anchor = 4\n\
         mine.bands = {{ hard = 2, semi-hard = 2 }}\nmine.fallback = ['easy']\noutput.order = 'random'\noutput.path = 'out'\n",
        sample("glosses.parquet")
    );
    for index in ["exact", "hnsw", "cells"] {
        let outputs = ["1", "2"].map(|threads| {
            let room = Room::new();
            room.write("p.toml", &format!("{pipeline}search.index = '{index}'\n"));
            room.miner(&["run", "p.toml", "--quiet", "--threads", threads]).exits(0);
            assert!(!triplets(&room.path("out")).is_empty());
            tree(&room.path("out"))
        });
        assert!(outputs[0] == outputs[1], "{index}");
    }
}

fn digits(extra: &str) -> String {
    format!(
        "store.path = '{}'\nstore.id = 'id'\nstore.embedding = 'embedding'\nstore.label = 'label'\n\
         mine.bands = {{ hard = 1, semi-hard = 1, easy = 1 }}\n{extra}",
        sample("digits.parquet")
    )
}

fn sorted(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort();
    lines
}

#[test]
fn files_and_order_do_not_change_the_set() {
    let room = Room::new();
    let whole = room.run("whole", &digits(""));
    let reference = triplets(&whole);
    assert!(reference.is_sorted_by_key(|line| line.anchor), "order = \"anchor\" is the default");
    let split = room.run("split", &digits("output.rows_per_file = 1000"));
    assert_eq!(triplets(&split), reference, "files are split, rows stay where they are");
    let sizes: Vec<u64> =
        manifest(&split)["parts"].as_array().unwrap().iter().map(|part| part["rows"].as_u64().unwrap()).collect();
    let (last, full) = sizes.split_last().unwrap();
    assert!(!full.is_empty() && full.iter().all(|rows| *rows == 1_000) && (1..=1_000).contains(last), "{sizes:?}");

    let gap = |line: &Line| f64::from(f32::from_bits(line.d_an)) - f64::from(f32::from_bits(line.d_ap));
    let hard_first = triplets(&room.run("hard-first", &digits("output.order = 'hard-to-easy'")));
    assert!(hard_first.is_sorted_by(|a, b| gap(a) <= gap(b)));
    let easy_first = triplets(&room.run("easy-first", &digits("output.order = 'easy-to-hard'")));
    assert!(easy_first.is_sorted_by(|a, b| gap(a) >= gap(b)));
    let random = triplets(&room.run("random", &digits("output.order = 'random'")));
    assert!(
        random != reference
            && random != triplets(&room.run("reseeded", &digits("output.order = 'random'\nmine.seed = 7")))
    );
    for shuffled in [hard_first, easy_first, random] {
        assert_eq!(sorted(shuffled), sorted(reference.clone()));
    }
}

#[test]
fn every_format_holds_the_same_bits() {
    let room = Room::new();
    let reference = triplets(&room.run("parquet", &digits("")));
    let arrow = room.run("arrow", &digits("output.format = 'arrow'"));
    let read = |path: &std::path::PathBuf| FileReader::try_new(File::open(path).unwrap(), None).unwrap();
    let found: Vec<Line> = parts(&arrow).iter().flat_map(read).flat_map(|batch| lines(&batch.unwrap())).collect();
    assert_eq!(found, reference, "arrow");

    let jsonl = room.run("jsonl", &digits("output.format = 'jsonl'"));
    let found: Vec<Line> = text(&jsonl).lines().map(|line| of_json(&serde_json::from_str(line).unwrap())).collect();
    assert_eq!(found, reference, "jsonl");

    let csv = room.run("csv", &digits("output.format = 'csv'"));
    let text = text(&csv);
    let mut rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = rows.next().unwrap();
    let found: Vec<Line> = rows
        .map(|row| {
            let value = |name: &str| row[header.iter().position(|column| *column == name).unwrap()];
            let bits = |name: &str| value(name).parse::<f32>().unwrap().to_bits();
            Line {
                anchor: value("anchor_row").parse().unwrap(),
                positive: value("positive_row").parse().unwrap(),
                negative: value("negative_row").parse().unwrap(),
                d_ap: bits("d_ap"),
                d_an: bits("d_an"),
                band: value("band").to_owned(),
                fallback: value("fallback").parse().unwrap(),
            }
        })
        .collect();
    assert_eq!(found, reference, "csv");
}

fn text(out: &std::path::Path) -> String {
    parts(out).iter().map(|part| std::fs::read_to_string(part).unwrap()).collect()
}

fn of_json(row: &serde_json::Value) -> Line {
    let (row_of, bits) =
        (|key: &str| row[key].as_u64().unwrap(), |key: &str| (row[key].as_f64().unwrap() as f32).to_bits());
    Line {
        anchor: row_of("anchor_row"),
        positive: row_of("positive_row"),
        negative: row_of("negative_row"),
        d_ap: bits("d_ap"),
        d_an: bits("d_an"),
        band: row["band"].as_str().unwrap().to_owned(),
        fallback: row["fallback"].as_bool().unwrap(),
    }
}

/// Graphs too thin, and cells visited too rarely, to find everything: what the run says it missed is what it missed.
#[test]
fn approximate_search_measures_its_own_recall() {
    let room = Room::new();
    let asked = "mine.bands = { hard = 2, semi-hard = 2 }\nmine.pick = 'nearest'\nmine.margin = 0.02\n\
                 search.hnsw = { max_connections = 2, ef_construction = 8, ef_search = 8 }\n";
    let pipeline = |index: &str, target: f64| {
        let store = format!("store.path = '{}'\nstore.id = 'id'\n", sample("digits.parquet"));
        let search = format!("search.index = '{index}'\nsearch.target_recall = {target}\n");
        format!("{store}store.embedding = 'embedding'\nstore.label = 'label'\n{asked}{search}")
    };
    let exact: BTreeSet<Line> = triplets(&room.run("exact", &pipeline("exact", 0.95))).into_iter().collect();
    for (index, targets) in [("hnsw", [0.2, 0.5]), ("cells", [0.7, 0.97])] {
        let mut efforts = Vec::new();
        for target in targets {
            let name = format!("{index}-{target}");
            let out = room.run(&name, &pipeline(index, target));
            let found: BTreeSet<Line> = triplets(&out).into_iter().collect();
            let truth = exact.intersection(&found).count() as f64 / exact.len() as f64;
            let recall = &manifest(&out)["search"]["recall"];
            let [low, estimate, high] = ["low", "estimate", "high"].map(|key| recall[key].as_f64().unwrap());
            assert!(low < estimate && estimate < high && high <= 1.0, "{name}: {recall}");
            assert!((low..=high).contains(&truth), "{name}: {truth} of all anchors, told of a sample: {recall}");
            assert!(high >= target, "{name}: tuned to less than was asked for: {recall}");
            assert!(truth < 0.9999, "{name}: nothing was missed, so this proves nothing");
            efforts.push(manifest(&out)["search"]["effort"].as_u64().unwrap());
            room.miner(&["verify", &name, "--full"]).exits(0);
        }
        assert!(efforts[0] <= efforts[1], "{index}: more recall takes no less effort: {efforts:?}");
    }
}

/// Only windows that want the nearest rows have cells to begin with; the others need theirs, too.
#[test]
fn cells_reach_the_recall_asked_for_with_every_pick() {
    let room = Room::new();
    for pick in ["nearest", "random", "distance-weighted"] {
        let pipeline = |index: &str| {
            let store = format!("store.path = '{}'\nstore.id = 'id'\n", sample("digits.parquet"));
            let asked = format!("mine.bands = {{ hard = 5 }}\nmine.pick = '{pick}'\nsearch.index = '{index}'\n");
            format!("{store}store.embedding = 'embedding'\nstore.label = 'label'\n{asked}search.target_recall = 0.9\n")
        };
        let named = |index: &str| -> BTreeSet<Line> {
            triplets(&room.run(&format!("{pick}-{index}"), &pipeline(index))).into_iter().collect()
        };
        let (exact, found) = (named("exact"), named("cells"));
        let share = exact.intersection(&found).count() as f64 / exact.len() as f64;
        assert!(share > 0.88, "{pick}: {share} of what exact search finds");
    }
}

/// The order of rows in the store decides ties and nothing else: what is drawn is keyed by ids.
#[test]
fn a_shuffled_store_gives_the_same_triplets_by_id() {
    use arrow::array::AsArray;
    use arrow::datatypes::UInt64Type;
    let mut draw = Draw(11);
    let n = 120;
    let rows = Rows {
        // Continuous values in many dimensions: no ties.
        vectors: (0..n).map(|_| (0..24).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|row| Some(format!("c{}", row % 7))).collect(),
        teams: vec![None; n],
    };
    let pipeline = format!(
        "{STORE}mine.margin = 0.1\nmine.bands = {{ hard = 2, semi-hard = 3 }}\nmine.positives.per_anchor = 2\n"
    );
    let named = |order: &[usize]| {
        let room = Room::new();
        let shuffled = Rows {
            vectors: order.iter().map(|&row| rows.vectors[row].clone()).collect(),
            labels: order.iter().map(|&row| rows.labels[row].clone()).collect(),
            teams: rows.teams.clone(),
        };
        shuffled.write_with_ids(&room.path("store.parquet"), order.iter().map(|&row| row as u64));
        let out = room.run("out", &pipeline);
        let mut named: Vec<[u64; 3]> = Vec::new();
        for batch in parts(&out).iter().flat_map(|part| crate::support::batches(part)) {
            let ids = ["anchor_id", "positive_id", "negative_id"];
            let ids = ids.map(|name| batch.column_by_name(name).unwrap().as_primitive::<UInt64Type>().clone());
            named.extend((0..batch.num_rows()).map(|row| ids.each_ref().map(|ids| ids.value(row))));
        }
        named.sort_unstable();
        named
    };
    let straight: Vec<usize> = (0..n).collect();
    let mut shuffled = straight.clone();
    for last in (1..n).rev() {
        shuffled.swap(last, draw.below(last as u64 + 1) as usize);
    }
    assert_eq!(named(&straight), named(&shuffled));
}
