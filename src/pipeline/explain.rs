//! `miner plan`: what a run will do, why, and what it will take. Reads labels, not vectors; writes nothing.

use std::fmt;
use std::time::Instant;

use bytesize::ByteSize;
use serde::Serialize;

use super::engine::{Control, Engine};
use super::{scratch, stages};
use crate::config::Plan;
use crate::kernel::quantised::{Aim, Hits, Query, pack, sweep};
use crate::manifest::{self, Destination};
use crate::mine::{self, Ask, PositivePick};
use crate::search::{self, Hnsw, Index};
use crate::store::{self, Census};

/// What `miner plan` says.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub name: String,
    pub store: String,
    pub files: usize,
    pub dimensions: usize,
    pub census: Census,
    /// Of `output.path`: nothing there, already current, or to be replaced.
    pub output: String,
    pub destination: &'static str,
    pub index: Index,
    pub reason: String,
    pub partitions: usize,
    pub threads: usize,
    pub estimates: Estimates,
}

/// What a run will take, as far as the shape of the data tells. Upper ends: a random pick often needs far less search.
#[derive(Debug, Serialize)]
pub struct Estimates {
    pub triplets_at_most: u64,
    pub seconds: f64,
    /// Anonymous memory; the prepared store is mapped and does not count.
    pub memory_bytes: u64,
    pub scratch_bytes: u64,
    pub output_bytes: u64,
}

/// Checks a pipeline against its data and says what `run` would do.
///
/// # Errors
/// Those that `run` would meet before it reads vectors.
pub fn explain(plan: &Plan, control: &Control) -> anyhow::Result<Explanation> {
    let engine = Engine::new(plan.run.threads, control)?;
    engine.install(|| {
        let survey = engine.wait(store::survey(&plan.store))?;
        let census = engine.wait(store::census(&plan.store, &survey))?;
        let fingerprint = manifest::fingerprint(&stages::inputs(plan, &survey), &plan.resolved, stages::PROGRAM);
        let destination = match manifest::check_destination(&plan.output, &fingerprint)? {
            Destination::Vacant => "new",
            Destination::Current => "already there and current: a run has nothing to do",
            Destination::Replaceable => "replaces an older output",
        };
        let choice = search::choose(&plan.search, census.kept, census.anchors, survey.dims());
        let graphs = scratch::root(&plan.run.work, &stages::output_name(plan)).join("graphs");
        let kept = choice.index == Index::Hnsw && Hnsw::is_kept(&graphs, &stages::graph_key(plan, &survey));
        let estimates = estimate(plan, &census, survey.dims(), choice.index, kept, engine.threads());
        Ok(Explanation {
            name: plan.name.clone(),
            store: plan.store.path.display().to_string(),
            files: survey.files.len(),
            dimensions: survey.dims(),
            output: plan.output.path.display().to_string(),
            destination,
            index: choice.index,
            reason: if kept { format!("{}; kept from an earlier run", choice.reason) } else { choice.reason },
            partitions: mine::partitions(census.kept.min(u64::from(u32::MAX)) as u32).len(),
            threads: engine.threads(),
            census,
            estimates,
        })
    })
}

/// Bytes a second that Parquet is decoded and checked at, measured on zstd-compressed f32.
const READ_RATE: f64 = 150e6;
/// Seconds that inserting a row into a graph, and asking it once, take for each dimension of a vector, on one core.
const INSERT_SECONDS: f64 = 9e-6;
const ASK_SECONDS: f64 = 3e-6;
/// What a graph holds for a row beside its vector.
const NODE_BYTES: u64 = 2_600;
/// One triplet in the scratch folder, and (compressed, without carried columns) in the output.
const SCRATCH_TRIPLET: u64 = 22;
const OUTPUT_TRIPLET: u64 = 40;

fn estimate(plan: &Plan, census: &Census, d: usize, index: Index, kept: bool, threads: usize) -> Estimates {
    let positives = match plan.mine.positives.pick {
        PositivePick::All => census.largest_class.saturating_sub(1),
        _ => u64::from(plan.mine.positives.per_anchor).min(census.largest_class.saturating_sub(1)),
    };
    let slots: u64 = match &plan.mine.ask {
        Ask::Bands(bands) => bands.iter().map(|&(_, count)| u64::from(count)).sum(),
        Ask::Any(count) => u64::from(*count),
    };
    let (rows, anchors, width) = (census.kept, census.anchors, d as u64);
    let triplets = anchors.saturating_mul(positives).saturating_mul(slots.min(rows));
    let search = match index {
        Index::Hnsw => {
            let build = if kept { 0.0 } else { rows as f64 * INSERT_SECONDS };
            (build + anchors as f64 * ASK_SECONDS) * d as f64 / threads as f64
        }
        Index::Exact | Index::Auto | Index::Cells => anchors as f64 * rows as f64 / (product_rate(d) * threads as f64),
    };
    let graphs = if index == Index::Hnsw { rows * (4 * width + NODE_BYTES) } else { 0 };
    Estimates {
        triplets_at_most: triplets,
        seconds: 0.2 + (census.rows * width * 4) as f64 / READ_RATE + search + triplets as f64 / 2e6,
        // Keyed orders, codes by class, and a block of scores a thread; readers and writers beside.
        memory_bytes: (64 << 20) + rows * 16 + threads as u64 * (1 << 20) + graphs,
        scratch_bytes: rows * (4 * width + 32) + triplets * SCRATCH_TRIPLET + graphs,
        output_bytes: triplets * OUTPUT_TRIPLET,
    }
}

/// Pairs a second that one thread looks at in quantised tiles, measured here and now.
fn product_rate(d: usize) -> f64 {
    const ANCHORS: usize = 96;
    let vector: Vec<f64> = (0..d).map(|i| (i % 7) as f64 - 3.0).collect();
    let columns = vec![vector.as_slice(); (1 << 16) / d.max(1) + 64];
    let (block, query, mut hits) = (pack(&columns, d), Query::new(&vector), Hits::default());
    let aim = Aim { query: &query, lo: i32::MAX, hi: i32::MAX, gap_lo: 1, gap_hi: 0, offset_scale: 0.0 };
    let aims = [aim; ANCHORS];
    let (start, mut blocks) = (Instant::now(), 0u64);
    while blocks < 3 || start.elapsed().as_millis() < 30 {
        sweep(&aims, &block.bytes, &[], &mut hits);
        blocks += 1;
    }
    (blocks * (ANCHORS * columns.len()) as u64) as f64 / start.elapsed().as_secs_f64()
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { census, estimates, .. } = self;
        let mut line = |key: &str, value: String| writeln!(f, "  {key:<11} {value}");
        line("pipeline", self.name.clone())?;
        let files = if self.files == 1 { String::new() } else { format!(" ({} files)", self.files) };
        line("store", format!("{}{files}", self.store))?;
        line("rows", format!("{} of {} kept, {} dimensions", census.kept, census.rows, self.dimensions))?;
        line(
            "classes",
            format!(
                "{}, the largest {} rows; {} rows alone in theirs, {} without a label",
                census.classes, census.largest_class, census.singletons, census.unlabelled
            ),
        )?;
        line("anchors", census.anchors.to_string())?;
        line("index", format!("{}: {}", self.index.name(), self.reason))?;
        line("partitions", format!("{} on {} threads", self.partitions, self.threads))?;
        line("triplets", format!("at most {}", estimates.triplets_at_most))?;
        line("time", format!("about {}", duration(estimates.seconds)))?;
        line(
            "space",
            format!(
                "{} memory, {} scratch, {} output",
                ByteSize(estimates.memory_bytes),
                ByteSize(estimates.scratch_bytes),
                ByteSize(estimates.output_bytes)
            ),
        )?;
        write!(f, "  {:<11} {} ({})", "output", self.output, self.destination)
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 600.0 => format!("{s:.0} s"),
        s if s < 36_000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3_600.0),
    }
}
