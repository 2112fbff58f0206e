//! The stages of a job on the sample's dictionary definitions: reading, packing, mining with each index.

use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use triplet_miner::kernel::Metric;
use triplet_miner::mine::{self, Ask, Band, NegativePick, Negatives, Params, PositivePick, Positives};
use triplet_miner::search::{Cells, Exact, Search};
use triplet_miner::store::{self, BadRows, Prepared, Row};

fn store_params() -> store::Params {
    store::Params {
        path: Path::new(env!("CARGO_MANIFEST_DIR")).join("sample_data/glosses.parquet"),
        id: Some("id".into()),
        embedding: "embedding".into(),
        label: "label".into(),
        filter: None,
        groups: Vec::new(),
        carry: Vec::new(),
        bad_rows: BadRows::Error,
        metric: Metric::Cosine,
    }
}

fn mine_params() -> Params {
    Params {
        metric: Metric::Cosine,
        margin: 0.2,
        ask: Ask::Bands(vec![(Band::Hard, 4), (Band::SemiHard, 4)]),
        pick: NegativePick::Nearest,
        fallback: Vec::new(),
        seed: 42,
        positives: Positives {
            pick: PositivePick::Random,
            per_anchor: 1,
            min_distance: None,
            max_distance: None,
            same: Vec::new(),
            different: Vec::new(),
        },
        negatives: Negatives { same: Vec::new(), different: Vec::new(), unlabelled: false, duplicate_distance: None },
    }
}

fn stages(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("threads");
    let (params, folder) = (store_params(), tempfile::tempdir().expect("a folder"));
    let prepare = |dir: &Path| {
        runtime.block_on(async {
            let survey = store::survey(&params).await.expect("the sample");
            store::prepare(&params, &survey, dir, &|_| ()).await.expect("the sample");
        });
    };
    let dir = folder.path().join("store");
    c.bench_function("stage/read", |b| b.iter(|| prepare(&dir)));
    let store = Prepared::open(&dir).expect("a prepared store");
    c.bench_function("stage/pack", |b| b.iter(|| Exact::new(&store, false).expect("room")));
    c.bench_function("stage/cells", |b| b.iter(|| Cells::new(&store, None, false).expect("room")));
    let (exact, cells) = (Exact::new(&store, false).expect("room"), Cells::new(&store, None, false).expect("room"));
    let (anchors, params): (Vec<Row>, Params) = ((0..store.rows().min(1_024)).map(Row).collect(), mine_params());
    let searches: [(&str, &dyn Search); 2] = [("stage/mine/exact", &exact), ("stage/mine/cells", &cells)];
    for (name, search) in searches {
        c.bench_function(name, |b| b.iter(|| mine::mine(&anchors, &store, search, &params)));
    }
}

criterion_group!(name = benches; config = Criterion::default().sample_size(10); targets = stages);
criterion_main!(benches);
