//! A small store with every oddity, mined by brute force: what the tests of this room write, seal and forge.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Builder, ListBuilder, RecordBatch, StringArray, UInt64Array};
use serde_json::json;

use super::{Columns, Draft, Facts, Format, Harvests, Input, Layout, Order, Params, SearchFacts, Split, fingerprint};
use crate::kernel::Metric;
use crate::mine::{self, Ask, Band, Guards, Harvest, NegativePick, Negatives, PositivePick, Positives};
use crate::search::{Brute, Index};
use crate::store::{self, BadRows, Prepared, Row};

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
        negatives: Negatives {
            same: vec![],
            different: vec![0],
            unlabelled: false,
            guards: Guards { duplicate_distance: Some(1e-4), ..Guards::default() },
            max_per_class: None,
        },
        balance: mine::Balance::default(),
        batches: None,
    }
}

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

/// Sixty rows of a scan; every tenth is filtered, row 20 is rejected, and row 31 copies row 0 under another label.
pub(super) fn store() -> Arc<Prepared> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.parquet");
    let mut embeddings = ListBuilder::new(Float32Builder::new());
    for row in 0..60 {
        match row {
            20 => embeddings.append_null(),
            31 => embeddings.append_value(vector(0).into_iter().map(Some)),
            _ => embeddings.append_value(vector(row).into_iter().map(Some)),
        }
    }
    let columns: [(&str, ArrayRef); 6] = [
        ("id", Arc::new(StringArray::from_iter_values((0..60).map(|row| format!("r{row:02}"))))),
        ("row", Arc::new(UInt64Array::from_iter_values(0..60))),
        ("label", Arc::new((0..60).map(label).collect::<StringArray>())),
        ("family", Arc::new(UInt64Array::from_iter_values((0..60).map(|row| row % 4)))),
        ("text", Arc::new((0..60).map(|row| TEXTS[row % 4]).collect::<StringArray>())),
        ("embedding", Arc::new(embeddings.finish())),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
    let extent = super::format::Extent::of(60);
    let mut part = super::format::Part::create(path.clone(), Format::Parquet, &batch.schema(), extent).unwrap();
    part.write(&batch).unwrap();
    part.finish(String::new()).unwrap();
    let params = store::Params {
        section: store::Section::Store,
        path,
        id: Some("id".to_owned()),
        embedding: "embedding".into(),
        label: Some("label".to_owned()),
        filter: Some("row % 10 <> 9".to_owned()),
        groups: vec![("family".to_owned(), "family".to_owned())],
        carry: vec!["text".to_owned()],
        bad_rows: BadRows::Skip,
        metric: Metric::Cosine,
        fitting: store::Fitting::default(),
    };
    let dir = folder.path().join("prepared");
    block_on(2, async {
        let survey = store::survey(&params).await.unwrap();
        store::prepare(&params, &survey, &dir, 0, &|_| {}).await.unwrap();
    });
    // Its files are mapped by now, so the folder may go.
    Arc::new(Prepared::open(&dir).unwrap())
}

/// The engine that reads and sorts needs a runtime to live in, which is the caller's to give.
fn block_on<T>(threads: usize, future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().unwrap().block_on(future)
}

pub(super) fn mine(store: &Prepared, anchors: &[Row]) -> Harvest {
    let params = mine_params();
    mine::mine(anchors, store, &Brute::new(store), &params, &mine::Quotas::new(store, &params))
}

/// The store, mined in three partitions.
fn harvests(folder: &Path, store: &Prepared, mine: impl Fn(&[Row]) -> Harvest) -> Harvests {
    let harvests = Harvests::new(folder, 3, store.rows());
    let rows: Vec<Row> = (0..store.rows()).map(Row).collect();
    for (ordinal, anchors) in (0..).zip(rows.chunks(20)) {
        harvests.commit(ordinal, &mine(anchors)).unwrap();
    }
    harvests
}

pub(super) fn output(format: Format, order: Order) -> Params {
    Params { format, layout: Layout::Triplet, columns: Columns::All, order, split: Split::Rows(50) }
}

pub(super) fn inputs() -> Vec<Input> {
    let (role, path) = ("store".to_owned(), "store.parquet".to_owned());
    vec![Input { role, path, bytes: 1_000, rows: 60, fingerprint: "f00d".to_owned(), listing: None }]
}

/// What it says of its search.
pub(super) fn search() -> SearchFacts {
    let index = Index::Exact;
    SearchFacts { index, reason: None, hnsw: None, shards: None, effort: None, few: None, recall: None }
}

/// What the manifest of a run of this fixture says; `name` makes its fingerprint.
pub(super) fn facts(name: &str) -> Facts {
    let pipeline = json!({ "name": name, "mine": { "margin": 0.2 } });
    let search = search();
    let (program, inputs) = ("0.1.0".to_owned(), inputs());
    let environment = BTreeMap::new();
    let fingerprint = fingerprint(&inputs, &pipeline, &environment, &program);
    Facts { fingerprint, program, pipeline, environment, inputs, search }
}

/// Writes the fixture's result in `folder`, sorted by `threads` streams.
pub(super) fn draft(folder: &Path, store: &Arc<Prepared>, output: &Params, name: &str, threads: usize) -> Draft {
    draft_of(folder, store, output, name, threads, |anchors| mine(store, anchors))
}

/// The same, with another yield.
pub(super) fn draft_of(
    folder: &Path,
    store: &Arc<Prepared>,
    output: &Params,
    name: &str,
    threads: usize,
    mined: impl Fn(&[Row]) -> Harvest,
) -> Draft {
    let scratch = tempfile::tempdir().unwrap();
    let means = store::Means { threads, memory: 64 << 20, spill: Some(scratch.path().join("spill")) };
    let session = store::session(&means, super::KEYED_ROW).unwrap();
    let (harvests, mine) = (harvests(scratch.path(), store, mined), mine_params());
    let quotas = mine::Quotas::new(store, &mine);
    let material =
        super::Material { store, harvests: &harvests, mine: &mine, quotas: &quotas, output, session: &session };
    block_on(threads, super::write(&folder.join("staging"), scratch.path(), &material, facts(name), &|_| {})).unwrap()
}

/// Reads all parts of the output in folder `out`, one batch a part.
pub(super) fn read_parts(out: &Path, output: &Params, sealed: &super::Sealed) -> Vec<RecordBatch> {
    let sheet = super::layout::Sheet::new(&store(), &mine_params(), output).unwrap();
    let read = |listed: &super::Listed| {
        let file = std::fs::File::open(out.join(&listed.path)).unwrap();
        let batches: Vec<_> = output.format.decoder(file, sheet.schema()).unwrap().map(Result::unwrap).collect();
        let schema = batches.first().map_or(sheet.schema().clone(), |batch| batch.schema());
        arrow::compute::concat_batches(&schema, &batches).unwrap()
    };
    sealed.parts.iter().map(read).collect()
}
