//! What the machine gives: the quantised sweep, the distances that decide, packing. Throughput is in pairs or rows.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use triplet_miner::kernel::quantised::{Aim, Hits, Query, pack, sweep};
use triplet_miner::kernel::{Measure, Metric, Rotation};

/// Values in −1 … 1, the same on every run.
fn values(n: usize) -> Vec<f64> {
    (0..n as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / (1u64 << 23) as f64 - 1.0).collect()
}

/// 96 queries by a block of 512 rows, of which none, or about one in forty, passes the test.
fn sweeps(c: &mut Criterion) {
    let mut group = c.benchmark_group("sweep");
    for d in [96, 128, 384, 768] {
        let (store, asked) = (values(512 * d), values(96 * d));
        let rows: Vec<&[f64]> = store.chunks_exact(d).collect();
        let (block, mut hits) = (pack(&rows, d), Hits::default());
        let queries: Vec<Query> = asked.chunks_exact(d).map(Query::new).collect();
        // Two standard deviations of a sum of products of integers evenly spread over −127 … 127.
        let rare = (2.0 * 127.0 * 127.0 / 3.0 * (d as f64).sqrt()) as i32;
        for (name, lo) in [("none", i32::MAX), ("some", rare)] {
            let aim = |query| Aim { lo, ..Aim::everything(query) };
            let aims: Vec<Aim> = queries.iter().map(aim).collect();
            group.throughput(Throughput::Elements((rows.len() * aims.len()) as u64));
            group.bench_function(BenchmarkId::new(name, d), |b| b.iter(|| sweep(&aims, &block.bytes, &[], &mut hits)));
        }
    }
}

fn distances(c: &mut Criterion) {
    let mut group = c.benchmark_group("distances");
    for d in [96, 128, 384, 768] {
        let store: Vec<f32> = values(512 * d).iter().map(|&v| v as f32).collect();
        let rows: Vec<u32> = (0..512).map(|i| i * 7 % 512).collect();
        let mut found = Vec::new();
        group.throughput(Throughput::Elements(rows.len() as u64));
        for metric in [Metric::Cosine, Metric::Euclidean] {
            let measure = Measure::of(metric);
            group.bench_function(BenchmarkId::new(metric.name(), d), |b| {
                b.iter(|| measure.distances(&store[..d], &store, &rows, &mut found));
            });
        }
    }
}

fn preparation(c: &mut Criterion) {
    let mut group = c.benchmark_group("prepare");
    for d in [96, 128, 384, 768] {
        let store = values(512 * d);
        let rows: Vec<&[f64]> = store.chunks_exact(d).collect();
        group.throughput(Throughput::Elements(rows.len() as u64));
        group.bench_function(BenchmarkId::new("pack", d), |b| b.iter(|| pack(&rows, d)));
        let rotation = Rotation::new(d);
        group.bench_function(BenchmarkId::new("rotate", d), |b| {
            b.iter_batched_ref(
                || store.clone(),
                |store| store.chunks_exact_mut(d).for_each(|row| rotation.apply(row)),
                criterion::BatchSize::LargeInput,
            );
        });
    }
}

criterion_group!(kernels, sweeps, distances, preparation);
criterion_main!(kernels);
