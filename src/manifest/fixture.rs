//! A small store with every oddity, mined by brute force: what the tests of this room write, seal and forge.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use datafusion::prelude::{SessionConfig, SessionContext};
use serde_json::json;

use super::{Draft, Facts, Format, Harvests, Input, Order, Params, SearchFacts, fingerprint};
use crate::kernel::Metric;
use crate::mine::{self, Ask, Band, Harvest, NegativePick, Negatives, PositivePick, Positives, Reason, Suspect, Tally};
use crate::search::Index;
use crate::store::{Code, Prepared, Row};

pub(super) fn mine_params() -> mine::Params {
    mine::Params {
        metric: Metric::Cosine,
        margin: 0.2,
        ask: Ask::Bands(vec![(Band::SemiHard, 2), (Band::Hard, 1)]),
        pick: NegativePick::Nearest,
        fallback: vec![Band::Easy],
        seed: 42,
        positives: Positives {
            pick: PositivePick::Nearest,
            per_anchor: 2,
            min_distance: None,
            max_distance: Some(0.9),
            same: vec![],
            different: vec![0],
        },
        negatives: Negatives { same: vec![], different: vec![0], unlabelled: false },
    }
}

/// What the store's rows that are not rejected look like: null is no label.
fn label(row: u64) -> Option<&'static str> {
    match row {
        5 => Some("alone"),
        row if row % 12 == 11 => None,
        row => Some(["x", "y", "z"][row as usize % 3]),
    }
}

fn vector(row: u64) -> Vec<f32> {
    let value = |i: u64| ((row * 31 + i * 17) * 2_654_435_761 % 1_000) as f32 / 500.0 - 0.9;
    let raw: Vec<f32> = (0..4).map(value).collect();
    let norm = raw.iter().map(|v| v * v).sum::<f32>().sqrt();
    raw.iter().map(|v| v / norm).collect()
}

const TEXTS: [Option<&str>; 4] = [None, Some(""), Some("a,\"b\"\nc"), Some("é")];

/// Sixty rows of a scan; every tenth is filtered, and row 20 is rejected.
pub(super) fn store() -> Arc<Prepared> {
    use arrow::datatypes::{DataType, Field, Schema};
    let kept: Vec<u64> = (0..60).filter(|row| row % 10 != 9 && *row != 20).collect();
    let mut names: Vec<&str> = Vec::new();
    let mut members: Vec<Vec<Row>> = Vec::new();
    let mut labels = Vec::new();
    for (row, place) in (0..).zip(&kept) {
        let code = label(*place).map(|label| {
            names.iter().position(|name| *name == label).unwrap_or_else(|| {
                names.push(label);
                members.push(Vec::new());
                names.len() - 1
            })
        });
        if let Some(code) = code {
            members[code].push(Row(row));
        }
        labels.push(code.map_or(Code::NULL, |code| Code(code as u32)));
    }
    let ids = StringArray::from_iter_values(kept.iter().map(|place| format!("r{place:02}")));
    let texts = StringArray::from_iter(kept.iter().map(|place| TEXTS[*place as usize % 4]));
    let schema =
        Arc::new(Schema::new(vec![Field::new("id", DataType::Utf8, false), Field::new("text", DataType::Utf8, true)]));
    let table = RecordBatch::try_new(schema.clone(), vec![Arc::new(ids), Arc::new(texts)]).unwrap();
    let rejected = RecordBatch::try_from_iter_with_nullable([
        ("file", Arc::new(StringArray::from(vec!["store.parquet"])) as _, false),
        ("file_row", Arc::new(arrow::array::UInt64Array::from(vec![20])) as _, false),
        ("source_row", Arc::new(arrow::array::UInt64Array::from(vec![20])) as _, false),
        ("id", Arc::new(StringArray::from(vec![None::<&str>])) as _, true),
        ("reason", Arc::new(StringArray::from(vec!["its vector is null"])) as _, false),
    ])
    .unwrap();
    Arc::new(Prepared {
        dims: 4,
        metric: Metric::Cosine,
        vectors: kept.iter().flat_map(|place| vector(*place)).collect(),
        labels,
        members,
        group_names: vec!["family".to_owned()],
        groups: vec![kept.iter().map(|place| Code((place % 4) as u32)).collect()],
        keys: kept.iter().map(|place| place.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect(),
        source_rows: kept,
        table,
        schema,
        label_values: Arc::new(StringArray::from(names)),
        rejected,
    })
}

/// Brute force over the definitions, for what [`mine_params`] asks.
pub(super) fn mine(store: &Prepared, params: &mine::Params, anchors: &[Row]) -> Harvest {
    let mut harvest = Harvest::default();
    let family = |row: Row| store.group(0)[row.index()];
    let apart = |a: Row, b: Row| !family(a).agrees(family(b));
    let distance = |a: Row, b: Row| params.metric.distance(store.vector(a), store.vector(b));
    let Ask::Bands(bands) = &params.ask else { unreachable!("the fixture asks for bands") };
    for &a in anchors {
        let label = store.labels()[a.index()];
        let rows = || (0..store.rows()).map(Row).filter(|&row| row != a && apart(a, row));
        let nearest = |mut rows: Vec<Row>| {
            rows.sort_by_key(|&row| (distance(a, row), row));
            rows
        };
        let far = params.positives.max_distance.unwrap();
        let positives = rows().filter(|&p| label.agrees(store.labels()[p.index()]) && distance(a, p).get() <= far);
        let mut positives = nearest(positives.collect());
        positives.truncate(params.positives.per_anchor as usize);
        let before = harvest.triplets.len();
        for &p in &positives {
            let negatives = rows().filter(|&n| {
                let other = store.labels()[n.index()];
                !other.is_null() && !other.agrees(label)
            });
            let negatives = nearest(negatives.collect());
            let of = |band: Band| {
                negatives
                    .iter()
                    .copied()
                    .filter(move |&n| Band::of(distance(a, p), distance(a, n), params.margin) == band)
            };
            let mut empty = 0;
            let mut take = |band: Band, count: usize, fallback: bool| {
                let taken: Vec<Row> = of(band).take(count).collect();
                harvest.triplets.extend(taken.iter().map(|&n| mine::Triplet {
                    anchor: a,
                    positive: p,
                    negative: n,
                    d_ap: distance(a, p),
                    d_an: distance(a, n),
                    band,
                    fallback,
                }));
                harvest.tally.bands[band as usize] += taken.len() as u64;
                count - taken.len()
            };
            for &(band, count) in bands {
                empty += take(band, count as usize, false);
            }
            take(params.fallback[0], empty, true);
        }
        let reason = if label.is_null() {
            Reason::Unlabelled
        } else if store.members(label).len() == 1 {
            Reason::Singleton
        } else if positives.is_empty() {
            Reason::NoPositive
        } else {
            harvest.tally.anchors += 1;
            Reason::BandEmpty
        };
        if harvest.triplets.len() == before {
            harvest.unmined.push((a, reason));
        }
    }
    harvest
}

/// The store mined in three partitions, with one pair suspected twice.
pub(super) fn harvests(folder: &Path, store: &Prepared) -> Harvests {
    let harvests = Harvests::new(folder, 3, store.rows());
    let rows: Vec<Row> = (0..store.rows()).map(Row).collect();
    for (ordinal, anchors) in (0..).zip(rows.chunks(20)) {
        let mut harvest = mine(store, &mine_params(), anchors);
        let (a, b) = (Row(0), Row(1));
        let distance = Metric::Cosine.distance(store.vector(a), store.vector(b));
        harvest.suspects.push(if ordinal == 0 { Suspect { a, b, distance } } else { Suspect { a: b, b: a, distance } });
        harvests.commit(ordinal, &harvest).unwrap();
    }
    harvests
}

pub(super) fn output(path: &Path, format: Format, order: Order) -> Params {
    Params { path: path.to_path_buf(), format, order, rows_per_file: 50, overwrite: false }
}

pub(super) fn inputs() -> Vec<Input> {
    let (role, path) = ("store".to_owned(), "store.parquet".to_owned());
    vec![Input { role, path, bytes: 1_000, rows: 60, fingerprint: "f00d".to_owned() }]
}

/// What the manifest of a run of this fixture says; `name` makes its fingerprint.
pub(super) fn facts(name: &str) -> Facts {
    let pipeline = json!({ "name": name, "mine": { "margin": 0.2 } });
    let search = SearchFacts { index: Index::Exact, reason: None, hnsw: None, shards: None, ef: None, recall: None };
    let (program, inputs) = ("0.1.0".to_owned(), inputs());
    Facts { fingerprint: fingerprint(&inputs, &pipeline, &program), program, pipeline, inputs, search }
}

/// Writes the fixture's result in `folder`, sorted by `threads` streams.
pub(super) fn draft(folder: &Path, store: &Arc<Prepared>, output: &Params, name: &str, threads: usize) -> Draft {
    let scratch = tempfile::tempdir().unwrap();
    let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(threads));
    let (harvests, mine) = (harvests(scratch.path(), store), mine_params());
    let material = super::Material { store, harvests: &harvests, mine: &mine, output, session: &session };
    // The engine that sorts needs a runtime to live in, which is the caller's to give.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().unwrap();
    runtime.block_on(super::write(&folder.join("staging"), &material, facts(name), &|_| {})).unwrap()
}

/// Reads all parts of an output, one batch a part.
pub(super) fn read_parts(out: &Path, format: Format, sealed: &super::Sealed) -> Vec<RecordBatch> {
    let store = store();
    let layout = super::layout::Layout::new(&store, false).unwrap();
    let read = |listed: &super::Listed| {
        let file = std::fs::File::open(out.join(&listed.path)).unwrap();
        let batches: Vec<_> = format.decoder(file, layout.schema()).unwrap().map(Result::unwrap).collect();
        let schema = batches.first().map_or(layout.schema().clone(), |batch| batch.schema());
        arrow::compute::concat_batches(&schema, &batches).unwrap()
    };
    sealed.parts.iter().map(read).collect()
}
