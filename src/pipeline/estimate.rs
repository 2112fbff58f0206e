//! What a run will take. Constants were measured on two AVX-512 cores, but for the speed of the scan, which is measured
//! on the machine that is asked.

use super::budget::{Budget, NODE};
use super::job::Job;
use super::machine;
use crate::config::Plan;
use crate::mine::{self, Ask, Band, NegativePick, Negatives, PositivePick};
use crate::report::Estimates;
use crate::search::sizes::{SAMPLE_OF_A_CELL, TRAINING_ROUNDS};
use crate::search::{Hnsw, Index};
use crate::store::Transform;

/// Counting labels, and beginning and ending each stage.
const START_SECONDS: f64 = 0.05;
/// Bytes a second of zstd-compressed f32 in Parquet: that one thread decodes, that one checks and prepares, and that are taken up in
/// order, which no more than one thread does: ids seen, labels coded, vectors hashed and written. Taken from the processor time of
/// one and two threads (2026-11-27, two Xeon cores, 10⁶ × 128); more threads are reckoned.
const DECODE_RATE: f64 = 240e6;
const CHECK_RATE: f64 = 1_100e6;
const ORDER_RATE: f64 = 850e6;
/// Seconds that inserting a row into a graph takes on one core, at all and for each dimension; and asking it once.
const INSERT_SECONDS: f64 = 740e-6;
const INSERT_DIMENSION_SECONDS: f64 = 3.2e-6;
const ASK_SECONDS: f64 = 300e-6;
const ASK_DIMENSION_SECONDS: f64 = 0.6e-6;
/// Seconds that a window of an anchor, beside its first, takes for each row that the anchor meets: windows of several pairs together
/// hold many rows, and each of them is offered to each window. So it is for random picks, and up to three times less for nearest ones.
const WINDOW_SECONDS: f64 = 0.7e-9;
/// Seconds that a row of an anchor's class takes to be measured as its positive.
const POSITIVE_SECONDS: f64 = 1e-8;
/// Triplets written in a second, and bytes of what is carried along.
const WRITE_RATE: f64 = 1.5e6;
const CARRY_RATE: f64 = 600e6;
/// One triplet in the scratch folder, and (compressed, without what stands beside the vectors) in the output.
const SCRATCH_TRIPLET: f64 = 22.0;
const OUTPUT_TRIPLET: f64 = 26.0;

/// The share of all pairs that cells leave to be looked at in a store of [`MEASURED_ROWS`], where the nearest rows are
/// asked for and where a band begins behind them. It falls as stores grow. Between data of one shape it varies by about
/// two, for reasons that only searching tells.
const NEAREST_VISITED: f64 = 0.3;
const BAND_VISITED: f64 = 0.55;
const MEASURED_ROWS: f64 = 341_479.0;
/// Seconds that training and planning take for each product of a vector and a cell's mean.
const CELL_SECONDS: f64 = 2e-9;

/// Seconds that it takes to train cells on their sample.
fn train(job: &Job) -> f64 {
    assign(job, (SAMPLE_OF_A_CELL * TRAINING_ROUNDS) as f64 * job.cells as f64)
}

/// The same of bringing so many rows to their cells: each meets every one.
fn assign(job: &Job, rows: f64) -> f64 {
    rows * job.dims as f64 / 100.0 * job.cells as f64 * CELL_SECONDS
}

/// And beside what is looked at in them: an anchor meets every cell when its visits are planned.
fn visit(job: &Job) -> f64 {
    8.0 * job.anchors as f64 * job.cells as f64 * CELL_SECONDS
}

/// Work that may be shared out, in seconds of one thread.
struct Shared {
    seconds: f64,
    /// It is done item by item, each on one thread.
    items: u64,
}

impl Shared {
    /// Seconds with so many slots: of items that do not come out even, the last ones have some of the slots to themselves.
    fn among(&self, slots: u64) -> f64 {
        let items = self.items.max(1);
        self.seconds / items as f64 * items.div_ceil(slots.max(1)) as f64
    }
}

/// How often an anchor with so many windows asks the search: for all of them together, or one after the other where what one receives
/// leaves less for the next; and before for what its guards must know of the nearest rows, and behind for near-duplicates.
fn passes(Negatives { guards, max_per_class, .. }: &Negatives, windows: f64) -> f64 {
    let asked = if max_per_class.is_some() { windows.max(1.0) } else { 1.0 };
    asked + f64::from(guards.ranks().min(1)) + f64::from(u8::from(guards.duplicate_distance.is_some()))
}

/// The share of all pairs that cells look at.
fn share_visited(plan: &Plan, candidates: f64) -> f64 {
    let nearest = match &plan.mine.ask {
        Ask::Any(_) => true,
        Ask::Bands(bands) => bands.iter().all(|&(band, _)| band == Band::Hard),
    };
    let share = if nearest { NEAREST_VISITED } else { BAND_VISITED };
    // Time grew with n^1.4 from 100,000 to 1 million rows, and with n^1.5 to 10 million.
    (share * (MEASURED_ROWS / candidates.max(1.0)).sqrt()).min(1.0)
}

/// Multiplications and additions in f64 that one thread does in a second, of matrices that no cache holds.
const FIT_RATE: f64 = 2e9;
/// Of the d³ that finding eigenvectors takes, and inverting a root or whitening twice.
const FIT_CUBES: f64 = 12.0;

/// Seconds that learning a transform (twice where it knows labels, see [`crate::mine::nearest_accuracy`]) and applying it takes on
/// one thread, and bytes of a row's vector as it was read.
fn fit(plan: &Plan, job: &Job) -> (f64, f64) {
    let (rows, read, d) = (job.rows as f64, job.read_dims as f64, job.dims as f64);
    let operations = match plan.store.fitting.transform {
        Transform::None if !plan.store.fitting.is_set() => return (0.0, 0.0),
        Transform::None => rows * read * 4.0,
        Transform::Matrix(_) => rows * read * d,
        Transform::PcaWhiten | Transform::Rca | Transform::Lda => {
            let learn = rows * read * read / 2.0 + FIT_CUBES * read * read * read;
            let learned = if plan.store.fitting.knows_labels() { 2.0 } else { 1.0 };
            learned * learn + rows * read * d
        }
    };
    (operations / FIT_RATE, 4.0 * read)
}

/// Seconds that reading takes. Decoding has a thread of its own even where there is one to compute.
fn read(job: &Job) -> f64 {
    let [decode, check, order] = [DECODE_RATE, CHECK_RATE, ORDER_RATE].map(|rate| job.plain_bytes as f64 / rate);
    let shared = (decode + check + order) / job.threads.max(2) as f64;
    shared.max(decode / job.reading.decoders as f64).max(order)
}

/// Bytes that executors need of a run: the prepared store, and what the index keeps.
pub fn needed_bytes(plan: &Plan, job: &Job) -> u64 {
    let (rows, corpus, d) = (job.rows as f64, job.corpus as f64, job.dims as f64);
    let (_, kept_raw) = fit(plan, job);
    let index = match job.index {
        Index::Exact | Index::Auto => 0.0,
        Index::Cells => rows * size_of::<u32>() as f64,
        Index::Hnsw => corpus * (4.0 * d + NODE as f64),
    };
    (rows * (4.0 * d + kept_raw + 32.0 + job.beside_bytes as f64) + index) as u64
}

/// Estimates a job's time, memory and disk; `slots` are those of a cluster that builds and mines in place of this machine.
pub fn estimate(plan: &Plan, job: &Job, slots: Option<u64>) -> Estimates {
    let (rows, anchors, threads, d) = (job.rows as f64, job.anchors as f64, job.threads as f64, job.dims as f64);
    let candidates = job.negatives as f64;
    let windows = job.pairs_of(job.anchors).min(job.relatives).saturating_mul(job.windows) as f64;
    let passes = passes(&plan.mine.negatives, windows / anchors.max(1.0));
    let scan = |share: f64| {
        let once = anchors * machine::pair_seconds(job.dims);
        // Windows that are asked for together.
        let beside = if plan.mine.negatives.max_per_class.is_some() { 0.0 } else { (windows - anchors).max(0.0) };
        (once * passes + beside * WINDOW_SECONDS) * candidates * share
    };
    // To train, to build what is searched, and to search; and what is kept of it.
    let (train, build, search, kept) = match job.index {
        Index::Exact | Index::Auto => (0.0, 0.0, scan(1.0), 0.0),
        Index::Cells => (
            train(job),
            assign(job, rows),
            passes * visit(job) + scan(share_visited(plan, candidates)),
            candidates * 4.0 * d,
        ),
        Index::Hnsw => {
            let insert = if job.kept { 0.0 } else { INSERT_SECONDS + d * INSERT_DIMENSION_SECONDS };
            let ask = ASK_SECONDS + d * ASK_DIMENSION_SECONDS;
            (0.0, job.corpus as f64 * insert, anchors * ask * passes, rows * (4.0 * d + NODE as f64))
        }
    };
    let (fit, kept_raw) = fit(plan, job);
    let triplets = job.triplets() as f64;
    // What stands beside the vectors of three rows, or four; it repeats from triplet to triplet, and compresses well.
    let carried = triplets * (job.beside() * job.beside_bytes) as f64;
    let output = triplets * OUTPUT_TRIPLET + carried / 8.0;
    // The prepared store and the packed rows, harvests, and the output before it is sealed.
    let scratch = rows * (5.0 * d + kept_raw + 32.0 + job.beside_bytes as f64)
        + job.mined() as f64 * SCRATCH_TRIPLET
        + output
        + kept;
    let positives = match plan.mine.positives.pick {
        PositivePick::Random => 0.0,
        _ => job.relatives as f64 * POSITIVE_SECONDS,
    };
    let within = |rows: u64| rows.min(u64::from(u32::MAX)) as u32;
    let build = Shared {
        seconds: build,
        items: if job.index == Index::Hnsw { Hnsw::shards(within(job.corpus)).into() } else { job.corpus },
    };
    let mine = Shared { seconds: positives + search, items: mine::partitions(0..within(job.asking)).len() as u64 };
    let shared = match slots {
        None => (build.seconds + mine.seconds) / threads,
        Some(slots) => build.among(slots) + mine.among(slots),
    };
    let write = triplets / WRITE_RATE + carried / CARRY_RATE;
    Estimates {
        triplets_at_most: job.triplets(),
        seconds: START_SECONDS + read(job) + (fit + train) / threads + shared + write,
        at_most: plan.mine.pick == NegativePick::Random,
        memory_bytes: Budget::of(job).taken(job),
        scratch_bytes: scratch as u64,
        output_bytes: output as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mine::Guards;

    #[test]
    fn anchors_ask_once_and_again_for_guards_and_quotas() {
        let asking = |guards, max_per_class| {
            let negatives = Negatives { same: vec![], different: vec![], unlabelled: true, guards, max_per_class };
            passes(&negatives, 8.0)
        };
        let guards = Guards { skip_nearest: 10, ..Guards::default() };
        assert_eq!(asking(Guards::default(), None), 1.0);
        assert_eq!(asking(guards.clone(), None), 2.0);
        assert_eq!(asking(Guards { duplicate_distance: Some(0.01), ..guards }, None), 3.0);
        assert_eq!(asking(Guards::default(), Some(1)), 8.0);
    }
}
