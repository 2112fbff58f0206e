//! The stages of a job on the sample's dictionary definitions: reading, packing, mining with each index.

use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use triplet_miner::search::{Cells, Exact, Search};
use triplet_miner::store::{self, Prepared, Row};
use triplet_miner::{config, mine};

fn stages(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("threads");
    let folder = tempfile::tempdir().expect("a folder");
    let pipeline = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/cells.toml");
    let plan = config::load(&pipeline, &[]).expect("a pipeline of the sample");
    let prepare = |dir: &Path| {
        runtime.block_on(async {
            let survey = store::survey(&plan.store).await.expect("the sample");
            store::prepare(&plan.store, &survey, dir, 0, &|_| ()).await.expect("the sample");
        });
    };
    let dir = folder.path().join("store");
    c.bench_function("stage/read", |b| b.iter(|| prepare(&dir)));
    let store = Prepared::open(&dir).expect("a prepared store");
    c.bench_function("stage/pack", |b| b.iter(|| Exact::new(&store, false).expect("room")));
    c.bench_function("stage/cells", |b| b.iter(|| Cells::new(&store, None, false).expect("room")));
    let (exact, mut cells) = (Exact::new(&store, false).expect("room"), Cells::new(&store, None, false).expect("room"));
    let quotas = mine::Quotas::new(&store, &plan.mine);
    mine::tune(&store, &mut cells, &plan.mine, &quotas, plan.search.target_recall);
    let anchors: Vec<Row> = (0..store.rows().min(1_024)).map(Row).collect();
    let searches: [(&str, &dyn Search); 2] = [("stage/mine/exact", &exact), ("stage/mine/cells", &cells)];
    for (name, search) in searches {
        c.bench_function(name, |b| b.iter(|| mine::mine(&anchors, &store, search, &plan.mine, &quotas)));
    }
}

criterion_group!(name = benches; config = Criterion::default().sample_size(10); targets = stages);
criterion_main!(benches);
