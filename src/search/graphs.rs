//! The graphs of hnsw_rs, fenced: built reproducibly, kept on disk under checksums, never handed anything it would
//! panic on.
//!
//! hnsw_rs panics on NaN, infinities and negative distances, and ends the process on a damaged dump. The prepared store
//! holds none of the former, [`Nearness`] is never negative, and a dump is loaded only if its checksums are the ones
//! written beside it.

use std::fs;
use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use hnsw_rs::hnswio::HnswIo;
use hnsw_rs::prelude::{AnnT, Hnsw};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use serde::{Deserialize, Serialize};

use super::HnswParams;
use crate::disk;
use crate::kernel::Metric;
use crate::store::{Prepared, Row};

/// A graph of one shard: consecutive rows, under their own row numbers.
pub(super) type Graph = Hnsw<'static, f32, Nearness>;

/// Layers allowed; hnsw_rs's own maximum.
const LAYERS: usize = 16;
/// A shard is built by one thread, so that the graph does not depend on thread timing; several are built at once.
const SHARD_ROWS: u32 = 131_072;
/// Below this a second shard would save no time that anyone notices.
const SMALLEST_SPLIT: u32 = 16_384;

/// Graphs could not be built, kept or reused.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    #[error("{path}: cannot keep the search graphs: {source}", path = path.display())]
    Keep { path: PathBuf, source: io::Error },
    #[error("{path}: cannot keep the search graphs: {message}", path = path.display())]
    Dump { path: PathBuf, message: String },
    #[error("{path}: expected the search graph of shard {shard}, whole and of this store; none is there", path = path.display())]
    Absent { path: PathBuf, shard: u32 },
    #[error("{path}: cannot reload the search graphs: {message}; delete the folder and run again", path = path.display())]
    Reload { path: PathBuf, message: String },
}

/// A distance as hnsw_rs wants it: never negative, never NaN.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nearness {
    metric: Metric,
    /// Added to −x·y, which has no lower bound of its own: the largest dot product the store can hold.
    shift: f32,
}

impl Nearness {
    fn of(store: &Prepared) -> Self {
        let shift = if store.metric() == Metric::Dot { (store.max_norm() * store.max_norm()) as f32 } else { 0.0 };
        Self { metric: store.metric(), shift }
    }
}

impl anndists::dist::Distance<f32> for Nearness {
    fn eval(&self, x: &[f32], y: &[f32]) -> f32 {
        (self.metric.distance(x, y).get() + self.shift).max(0.0)
    }
}

/// How many shards a store of `rows` has: a function of the data alone, so that results are the same everywhere.
pub(super) fn shards(rows: u32) -> u32 {
    if rows <= SMALLEST_SPLIT { 1 } else { rows.div_ceil(SHARD_ROWS).max(2) }
}

/// Those of one shard.
pub(super) fn shard_rows(rows: u32, shard: u32) -> Range<u32> {
    let edge = |shard: u32| (u64::from(rows) * u64::from(shard) / u64::from(shards(rows))) as u32;
    edge(shard)..edge(shard + 1)
}

/// Written when a shard's dumps are complete.
#[derive(Serialize, Deserialize, PartialEq)]
struct Receipt {
    /// What the graph was made from and with.
    key: String,
    /// File name and blake3 of each dump.
    files: Vec<(String, String)>,
}

/// The graphs of a store: those kept in `dir` when they were made under the same `key`, else built and kept there, shard by
/// shard.
///
/// `key` names everything that shapes a graph: the store's content and the parameters.
pub(super) fn open(
    store: &Prepared,
    params: &HnswParams,
    dir: &Path,
    key: &str,
    on_rows: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Graph>, GraphError> {
    let keep = |source| GraphError::Keep { path: dir.into(), source };
    let count = shards(store.corpus().end);
    forget_others(dir, key)?;
    fs::create_dir_all(dir).map_err(keep)?;
    sweep(dir).map_err(keep)?;
    let graphs = (0..count).into_par_iter().map(|shard| -> Result<Graph, GraphError> {
        if is_whole(dir, shard, key) {
            let graph = reload(dir, shard, Nearness::of(store))?;
            on_rows(graph.get_nb_point() as u64);
            return Ok(graph);
        }
        build_and_keep(store, params, dir, key, shard, on_rows)
    });
    graphs.collect()
}

/// Removes graphs that were made under another key.
pub(super) fn forget_others(dir: &Path, key: &str) -> Result<(), GraphError> {
    match receipts(dir).any(|receipt| receipt.key != key) {
        true => disk::remove_folder(dir).map_err(|source| GraphError::Keep { path: dir.into(), source }),
        false => Ok(()),
    }
}

/// Builds the graph of a shard, and keeps it. Another process may be at the same one: it keeps the same bytes.
pub(super) fn build_and_keep(
    store: &Prepared,
    params: &HnswParams,
    dir: &Path,
    key: &str,
    shard: u32,
    on_rows: &(dyn Fn(u64) + Sync),
) -> Result<Graph, GraphError> {
    let graph = build(store, params, shard, on_rows);
    dump(&graph, dir, shard)?;
    commit(dir, shard, key).map_err(|source| GraphError::Keep { path: dir.into(), source })?;
    Ok(graph)
}

/// The graphs of a store that were kept in `dir` under this `key`; they are never built here.
pub(super) fn reopen(store: &Prepared, dir: &Path, key: &str) -> Result<Vec<Graph>, GraphError> {
    let graphs = (0..shards(store.corpus().end)).into_par_iter().map(|shard| match is_whole(dir, shard, key) {
        true => reload(dir, shard, Nearness::of(store)),
        false => Err(GraphError::Absent { path: dir.into(), shard }),
    });
    graphs.collect()
}

/// Whether `dir` holds undamaged graphs of a store of `rows` rows, made under `key`.
pub(super) fn is_kept(dir: &Path, key: &str, rows: u32) -> bool {
    (0..shards(rows)).all(|shard| is_whole(dir, shard, key))
}

/// Of all shards that are there, whatever they were made of.
fn receipts(dir: &Path) -> impl Iterator<Item = Receipt> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|kind| kind == "json")).flat_map(|path| disk::kept(&path))
}

/// Removes what processes that were killed had not finished.
fn sweep(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() && path.extension().is_some_and(|kind| kind == "tmp") {
            disk::remove_folder(&path)?;
        }
    }
    Ok(())
}

/// Whether the graph of a shard lies undamaged in `dir`, made under `key`.
pub(super) fn is_whole(dir: &Path, shard: u32, key: &str) -> bool {
    disk::kept::<Receipt>(&receipt_path(dir, shard)).is_ok_and(|receipt| {
        let whole = |(name, sum): &(String, String)| disk::digest(&dir.join(name), 0).is_ok_and(|found| found == *sum);
        receipt.key == key && receipt.files.iter().all(whole)
    })
}

/// Makes the dumps of a shard durable, and says so.
fn commit(dir: &Path, shard: u32, key: &str) -> io::Result<()> {
    let mut files = Vec::new();
    for name in dumps(shard) {
        let path = dir.join(&name);
        disk::sync_file(&path)?;
        files.push((name, disk::digest(&path, 0)?));
    }
    disk::keep(&receipt_path(dir, shard), &Receipt { key: key.into(), files })
}

fn receipt_path(dir: &Path, shard: u32) -> PathBuf {
    dir.join(receipt(shard))
}

fn receipt(shard: u32) -> String {
    format!("{}.json", basename(shard))
}

/// The files of a shard, in the order in which they are written.
pub(super) fn files(shard: u32) -> [String; 3] {
    let [graph, data] = dumps(shard);
    [graph, data, receipt(shard)]
}

fn build(store: &Prepared, params: &HnswParams, shard: u32, on_rows: &(dyn Fn(u64) + Sync)) -> Graph {
    let rows = shard_rows(store.corpus().end, shard);
    let graph = Hnsw::new(
        usize::from(params.max_connections),
        rows.len(),
        LAYERS,
        usize::from(params.ef_construction),
        Nearness::of(store),
    );
    for row in rows {
        graph.insert((store.vector(Row(row)), row as usize));
        on_rows(1);
    }
    graph
}

fn basename(shard: u32) -> String {
    format!("shard-{shard:05}")
}

fn dumps(shard: u32) -> [String; 2] {
    ["graph", "data"].map(|part| format!("{}.hnsw.{part}", basename(shard)))
}

/// Dumps a graph in a folder of its own first: another process may be reading, or writing, what is there under these names.
fn dump(graph: &Graph, dir: &Path, shard: u32) -> Result<(), GraphError> {
    let failed = |message: String| GraphError::Dump { path: dir.into(), message };
    let keep = |source| GraphError::Keep { path: dir.into(), source };
    let aside = tempfile::Builder::new().prefix(&basename(shard)).suffix(".tmp").tempdir_in(dir).map_err(keep)?;
    for name in dumps(shard) {
        // hnsw_rs panics where it cannot create them, and does not say why.
        let path = aside.path().join(name);
        fs::File::create(&path).map_err(|source| GraphError::Keep { path, source })?;
    }
    // Between here and there the disk may have filled up. The graph is only read, so nothing is left half changed.
    let written = catch_unwind(AssertUnwindSafe(|| graph.file_dump(aside.path(), &basename(shard))))
        .map_err(|_| failed("their files cannot be created".to_owned()))?
        .map_err(|error| failed(error.to_string()))?;
    if written != basename(shard) {
        return Err(failed(format!("dumped as {written}")));
    }
    dumps(shard).iter().try_for_each(|name| fs::rename(aside.path().join(name), dir.join(name))).map_err(keep)
}

fn reload(dir: &Path, shard: u32, nearness: Nearness) -> Result<Graph, GraphError> {
    // The loader's signature ties the graph to the loader, which it borrows from only when memory-mapping. Leaking the
    // few hundred bytes of a path and its options frees the graph from that tie.
    let loader: &'static HnswIo = Box::leak(Box::new(HnswIo::new(dir, &basename(shard))));
    loader
        .load_hnsw_with_dist(nearness)
        .map_err(|error| GraphError::Reload { path: dir.into(), message: error.to_string() })
}
