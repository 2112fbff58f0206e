//! Every search against the oracle, on stores made to be awkward.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use triplet_miner::kernel::{Distance, Metric};
use triplet_miner::search::lottery::mix;
use triplet_miner::search::{
    Admits, Away, Brute, Cells, Exact, Found, Hnsw, HnswParams, Pick, Quest, Quota, Relation, Rule, Search, Tunable,
    Window,
};
use triplet_miner::store::{self, BadRows, Code, Prepared, Row};

use crate::support::Draw;
use crate::twin::LISTS;

const METRICS: [Metric; 4] = [Metric::Cosine, Metric::Euclidean, Metric::SqEuclidean, Metric::Dot];

/// Writes `n × d` vectors with labels and one group as Parquet, and prepares them.
fn prepared(
    dir: &Path,
    vectors: &[Vec<f32>],
    labels: Vec<Option<String>>,
    groups: Vec<Option<String>>,
    metric: Metric,
) -> Prepared {
    let d = vectors[0].len() as i32;
    let several = labels.iter().flatten().any(|label| label.contains(','));
    let label = if several { LISTS } else { "label" };
    let values = Float32Array::from(vectors.concat());
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(UInt64Array::from_iter_values(0..vectors.len() as u64))),
        ("label", Arc::new(StringArray::from(labels))),
        ("team", Arc::new(StringArray::from(groups))),
        ("embedding", Arc::new(FixedSizeListArray::new(item, d, Arc::new(values), None))),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, n != "embedding"))).unwrap();
    let path = dir.join("store.parquet");
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let params = store::Params {
        section: store::Section::Store,
        path,
        id: Some("id".into()),
        embedding: "embedding".into(),
        label: Some(label.into()),
        filter: None,
        groups: vec![("team".into(), "team".into())],
        carry: vec![],
        bad_rows: BadRows::Error,
        metric,
        fitting: store::Fitting::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let out = dir.join("prepared");
    runtime.block_on(async {
        let survey = store::survey(&params).await.unwrap();
        store::prepare(&params, &survey, &out, 0, &|_| ()).await.unwrap();
    });
    Prepared::open(&out).unwrap()
}

/// `n` rows of a kind that has broken searches before, or could.
fn vectors(kind: &str, n: usize, d: usize, draw: &mut Draw) -> Vec<Vec<f32>> {
    (0..n)
        .map(|row| {
            let mut v: Vec<f32> = (0..d).map(|_| draw.unit()).collect();
            match kind {
                "plain" => {}
                // Equal distances everywhere: ties decide.
                "lattice" => v.iter_mut().for_each(|x| *x = (*x * 1.5).round()),
                "duplicates" => v = vec![(row % 7) as f32 + 1.0; d],
                // One coordinate dwarfs the others: products lose what distances need.
                "huge-coordinate" => v[0] = 1e6,
                "tiny" => v.iter_mut().for_each(|x| *x *= 1e-21),
                "huge" => v.iter_mut().for_each(|x| *x *= 1e17),
                "mixed-norms" => {
                    let scale = 10f32.powi(draw.below(12) as i32 - 6);
                    v.iter_mut().for_each(|x| *x *= scale);
                }
                other => panic!("{other}"),
            }
            if v.iter().all(|x| *x == 0.0) {
                v[0] = if kind == "tiny" { 1e-21 } else { 1.0 };
            }
            v
        })
        .collect()
}

/// What keeps some rows out of a quest's windows.
struct Limits {
    unlabelled: bool,
    except: Vec<Row>,
    only: Option<Vec<Row>>,
    from: Vec<Row>,
    above: Distance,
    away: bool,
    per_class: u32,
    used: [(Code, u32); 1],
}

fn ask(search: &dyn Search, store: &Prepared, seed: u64) -> Vec<Found> {
    let mut draw = Draw(seed);
    let mut quests: Vec<(Row, Vec<Rule>, Vec<Window>, Limits)> = Vec::new();
    for _ in 0..40 {
        let anchor = Row(draw.below(u64::from(store.rows())) as u32);
        let measure = |row: u64| store.metric().distance(store.vector(anchor), store.vector(Row(row as u32)));
        let edge = |draw: &mut Draw| measure(draw.below(u64::from(store.rows())));
        let windows = (0..1 + draw.below(3)).map(|_| {
            let (a, b) = (edge(&mut draw), edge(&mut draw));
            let (above, upto) = match draw.below(4) {
                0 => (Distance::MIN, a),
                1 => (a, Distance::MAX),
                2 => (Distance::MIN, Distance::MAX),
                _ => (a.min(b), a.max(b)),
            };
            let count = [1, 2, 5, 1_000][draw.below(4) as usize];
            let key = draw.next();
            let pick = *draw.one_of(&[Pick::Nearest, Pick::Random { key }, Pick::Weighted { key }]);
            Window { above, upto, count, pick }
        });
        let windows: Vec<Window> = windows.collect();
        let code = store.group(0)[anchor.index()];
        let rules = match draw.below(3) {
            0 => vec![],
            1 => vec![Rule { group: 0, relation: Relation::Same, code }],
            _ => vec![Rule { group: 0, relation: Relation::Different, code }],
        };
        let mut some = |most: u64| {
            let mut rows: Vec<Row> =
                (0..draw.below(most)).map(|_| Row(draw.below(u64::from(store.rows())) as u32)).collect();
            rows.sort_unstable();
            rows.dedup();
            rows
        };
        let (except, only, from) = (some(40), some(300), some(3));
        let only = (draw.below(3) == 0).then_some(only);
        let (above, away, per_class) = (edge(&mut draw), draw.below(3) == 0, draw.below(3) as u32);
        let class = store.labels()[draw.below(u64::from(store.rows())) as usize];
        let used = [(store.labels_in(&class).first().copied().unwrap_or(Code::NULL), 1)];
        let limits = Limits { unlabelled: draw.below(2) == 0, except, only, from, above, away, per_class, used };
        quests.push((anchor, rules, windows, limits));
    }
    let quests: Vec<Quest> = quests
        .iter()
        .map(|(anchor, rules, windows, limits)| Quest {
            vector: store.vector(*anchor),
            admits: Admits {
                own: Some(*anchor),
                except: &limits.except,
                only: limits.only.as_deref(),
                away: limits.away.then_some(Away { from: &limits.from, above: limits.above }),
                label: store.labels()[anchor.index()],
                unlabelled: limits.unlabelled,
                rules,
            },
            quota: (limits.per_class > 0).then_some(Quota { per_class: limits.per_class, used: &limits.used }),
            windows,
        })
        .collect();
    search.find(&quests)
}

fn names(n: usize, classes: u64, nulls: u64, draw: &mut Draw) -> Vec<Option<String>> {
    (0..n).map(|_| (draw.below(nulls) > 0).then(|| format!("c{}", draw.below(classes)))).collect()
}

#[test]
fn exact_search_equals_brute_force_on_awkward_stores() {
    for metric in METRICS {
        for (kind, n, d) in [
            ("plain", 1_500, 1),
            ("plain", 1_100, 3),
            ("plain", 2_100, 64),
            ("plain", 130, 4_096),
            ("lattice", 1_500, 3),
            ("duplicates", 1_300, 5),
            ("huge-coordinate", 1_200, 17),
            ("tiny", 1_100, 8),
            ("huge", 1_100, 8),
            ("mixed-norms", 1_600, 24),
            ("plain", 3, 2),
        ] {
            let seed = mix(n as u64 * 31 + d as u64) ^ metric as u64;
            let mut draw = Draw(seed);
            let dir = tempfile::tempdir().unwrap();
            let vectors = vectors(kind, n, d, &mut draw);
            let mut labels = names(n, 9, 12, &mut draw);
            labels[0] = Some("c0".into());
            labels[1] = Some("c0".into());
            let groups = names(n, 3, 8, &mut draw);
            let store = prepared(dir.path(), &vectors, labels, groups, metric);
            let (exact, brute) = (Exact::new(&store, true).unwrap(), Brute::new(&store));
            for (found, truth) in ask(&exact, &store, seed).iter().zip(ask(&brute, &store, seed)) {
                assert_eq!(*found, truth, "{metric:?} {kind} {n} × {d}, seed {seed}");
            }
        }
    }
}

#[test]
fn searches_of_several_labels_a_row_equal_brute_force() {
    let mut passed_over = 0;
    for metric in METRICS {
        for (kind, n, d) in [("plain", 2_100, 16), ("lattice", 1_500, 3)] {
            let seed = 17 + metric as u64 + n as u64;
            let mut draw = Draw(seed);
            let dir = tempfile::tempdir().unwrap();
            let vectors = vectors(kind, n, d, &mut draw);
            let labels = [names(n, 3, 4, &mut draw), names(n, 40, 4, &mut draw), names(n, 3, 9, &mut draw)];
            let several = |row: usize| {
                let some: Vec<String> = labels.iter().filter_map(|labels| labels[row].clone()).collect();
                (!some.is_empty()).then(|| some.join(","))
            };
            let groups = names(n, 3, 8, &mut draw);
            let store = prepared(dir.path(), &vectors, (0..n).map(several).collect(), groups, metric);
            assert!(store.has_several_labels() && store.classes() > 100);
            let truth = ask(&Brute::new(&store), &store, seed);
            passed_over += truth.iter().flatten().filter(|fill| fill.passed_over).count();
            assert_eq!(ask(&Exact::new(&store, true).unwrap(), &store, seed), truth, "{metric:?} {kind}, seed {seed}");
            let mut cells = Cells::new(&store, None, true).unwrap();
            for (effort, least) in [(10, 0), (cells.efforts() - 1, 999)] {
                cells.set_effort(effort);
                let (hits, all) = compared(&ask(&cells, &store, seed), &truth, &format!("{metric:?} {kind} {effort}"));
                assert!(hits * 1_000 >= all * least, "{metric:?} {kind}: {hits} of {all}");
            }
            let graphs = dir.path().join("graphs");
            let hnsw = Hnsw::open(&store, &HnswParams::default(), true, &graphs, "key", &|_| ()).unwrap();
            compared(&ask(&hnsw, &store, seed), &truth, &format!("{metric:?} {kind} hnsw"));
        }
    }
    assert!(passed_over > 0, "no quota had to pass over a row");
}

/// How many of the oracle's rows were found, and how many there are; every row found is checked.
fn compared(found: &[Found], truth: &[Found], what: &str) -> (usize, usize) {
    let (mut hits, mut all) = (0, 0);
    for (found, truth) in found.iter().flatten().zip(truth.iter().flatten()) {
        assert!(found.hits.is_sorted_by_key(|hit| (hit.distance, hit.row)), "{what}");
        if found.exhaustive {
            assert_eq!(found, truth, "{what}: what is called exhaustive is the oracle's answer");
        }
        hits += found.hits.iter().filter(|hit| truth.hits.contains(hit)).count();
        all += truth.hits.len();
    }
    (hits, all)
}

#[test]
fn cells_emit_nothing_wrong_and_miss_less_with_more_effort() {
    for metric in METRICS {
        for (kind, n, d) in [("plain", 3_000, 12), ("lattice", 1_500, 3), ("duplicates", 900, 5), ("plain", 3, 2)] {
            let seed = 91 + metric as u64;
            let mut draw = Draw(seed);
            let dir = tempfile::tempdir().unwrap();
            let vectors = vectors(kind, n, d, &mut draw);
            let mut labels = names(n, 9, 12, &mut draw);
            labels[..2].fill(Some("c0".into()));
            let groups = names(n, 3, 8, &mut draw);
            let store = prepared(dir.path(), &vectors, labels, groups, metric);
            let truth = ask(&Brute::new(&store), &store, seed);
            let mut cells = Cells::new(&store, None, true).unwrap();
            assert_eq!(ask(cells.exact(), &store, seed), truth, "{metric:?} {kind}: cells hold every row");
            let mut last = 0;
            for effort in [0, 10, 20, cells.efforts() - 1] {
                cells.set_effort(effort);
                let found = ask(&cells, &store, seed);
                let (hits, all) = compared(&found, &truth, &format!("{metric:?} {kind} effort {effort}"));
                assert!(hits * 100 >= last * 99, "{metric:?} {kind}: {hits} after {last} with more effort");
                if effort == cells.efforts() - 1 {
                    assert!(hits * 1_000 >= all * 999, "{metric:?} {kind}: {hits} of {all} with every cell visited");
                }
                last = hits;
            }
        }
    }
}

#[test]
fn a_graph_emits_nothing_wrong_and_finds_most() {
    for metric in METRICS {
        let seed = 77 + metric as u64;
        let mut draw = Draw(seed);
        let dir = tempfile::tempdir().unwrap();
        let vectors = vectors("plain", 3_000, 12, &mut draw);
        let labels = names(3_000, 9, 12, &mut draw);
        let groups = names(3_000, 3, 8, &mut draw);
        let store = prepared(dir.path(), &vectors, labels, groups, metric);
        let graphs = dir.path().join("graphs");
        let hnsw = Hnsw::open(&store, &HnswParams::default(), true, &graphs, "key", &|_| ()).unwrap();
        let (found, truth) = (ask(&hnsw, &store, seed), ask(&Brute::new(&store), &store, seed));
        let (hits, all) = compared(&found, &truth, &format!("{metric:?}"));
        assert!(hits * 100 >= all * 90, "{metric:?}: {hits} of {all}");

        assert!(Hnsw::is_kept(&graphs, "key", 3_000) && !Hnsw::is_kept(&graphs, "another key", 3_000));
        let reloaded = Hnsw::open(&store, &HnswParams::default(), true, &graphs, "key", &|_| ()).unwrap();
        assert_eq!(ask(&reloaded, &store, seed), found, "{metric:?}: a reloaded graph answers as the built one did");
    }
}

#[test]
fn a_damaged_graph_is_built_again_and_not_loaded() {
    let mut draw = Draw(5);
    let dir = tempfile::tempdir().unwrap();
    let vectors = vectors("plain", 500, 6, &mut draw);
    let (labels, groups) = (names(500, 4, 9, &mut draw), names(500, 3, 8, &mut draw));
    let store = prepared(dir.path(), &vectors, labels, groups, Metric::Cosine);
    let graphs = dir.path().join("graphs");
    let open = || Hnsw::open(&store, &HnswParams::default(), true, &graphs, "key", &|_| ()).unwrap();
    let answer = ask(&open(), &store, 3);
    for entry in std::fs::read_dir(&graphs).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() / 2);
        std::fs::write(&path, bytes).unwrap();
        assert!(!Hnsw::is_kept(&graphs, "key", 500), "{}", path.display());
        assert_eq!(ask(&open(), &store, 3), answer);
        assert!(Hnsw::is_kept(&graphs, "key", 500));
    }
}
