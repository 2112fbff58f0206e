//! A job before any of its work: its shape, as far as footers and labels tell it.

use super::engine::Engine;
use super::{scratch, stages};
use crate::config::Plan;
use crate::manifest::Order;
use crate::mine::{Ask, PositivePick};
use crate::search::{self, Cells, Choice, Hnsw, Index};
use crate::store::{self, Census, PrepareError, Survey};

/// Everything that memory and time depend on, but for the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub rows: u64,
    /// Of the vectors that are compared, and of those that are read.
    pub dims: usize,
    pub read_dims: usize,
    /// What learning a transform of the vectors holds; 0 without.
    pub fitting_bytes: u64,
    /// Of a row's columns in memory, those beside its vector.
    pub beside_bytes: u64,
    /// What reading holds at a time.
    pub reading_bytes: u64,
    /// What reading reads.
    pub plain_bytes: u64,
    pub anchors: u64,
    /// Rows that may be negatives.
    pub candidates: u64,
    pub classes: u64,
    pub label_bytes: u64,
    pub largest_class: u64,
    /// Of all anchors together, the rows of their classes.
    pub same_class: u64,
    pub groups: u64,
    /// Of an anchor, at most.
    pub pairs: u64,
    /// Of a pair: windows that are searched, and slots to fill.
    pub windows: u64,
    pub slots: u64,
    /// Of an anchor, nearest negatives that its guards must know.
    pub ranks: u64,
    /// Whether the order of the output takes a sort.
    pub sorts: bool,
    pub index: Index,
    /// Where the index has them.
    pub cells: u64,
    /// Whether an earlier run left the graphs.
    pub kept: bool,
    pub threads: u64,
}

/// A job with what it was told from.
pub struct Appraisal {
    pub census: Census,
    pub choice: Choice,
    pub job: Job,
}

/// Reads labels, no vectors.
///
/// # Errors
/// Those of preparing that labels alone can tell.
pub fn appraise(plan: &Plan, survey: &Survey, engine: &Engine) -> Result<Appraisal, PrepareError> {
    let census = engine.wait(store::census(&plan.store, survey))?;
    let fitting = &plan.store.fitting;
    let (read_dims, threads) = (survey.dims(), engine.threads() as u64);
    let dims = fitting.dims(read_dims, census.classes, survey.matrix());
    let choice = search::choose(&plan.search, census.kept, census.anchors, dims);
    let others = census.largest_class.saturating_sub(1);
    let (asked, slots) = match &plan.mine.ask {
        Ask::Bands(bands) => (bands.len() as u64, bands.iter().map(|&(_, count)| u64::from(count)).sum()),
        Ask::Any(count) => (1, u64::from(*count)),
    };
    let graphs = scratch::root(&plan.run.work, &stages::output_name(plan)).join("graphs");
    let job = Job {
        rows: census.kept,
        dims,
        read_dims,
        fitting_bytes: fitting.bytes(read_dims as u64, dims as u64, threads),
        beside_bytes: survey.row_bytes().saturating_sub((read_dims * size_of::<f32>()) as u64),
        reading_bytes: survey.reading_bytes(),
        plain_bytes: survey.rows() * survey.row_bytes(),
        anchors: census.anchors,
        candidates: census.kept - if plan.mine.negatives.unlabelled { 0 } else { census.unlabelled.min(census.kept) },
        classes: census.classes,
        label_bytes: census.label_bytes,
        largest_class: census.largest_class,
        same_class: census.same_class,
        groups: plan.store.groups.len() as u64,
        pairs: match plan.mine.positives.pick {
            PositivePick::All => others,
            _ => u64::from(plan.mine.positives.per_anchor).min(others),
        },
        windows: asked.max(u64::from(!plan.mine.fallback.is_empty())),
        slots: slots.min(census.kept),
        ranks: u64::from(plan.mine.negatives.guards.ranks()).min(census.kept),
        sorts: plan.output.order != Order::Anchor,
        index: choice.index,
        cells: match choice.index {
            Index::Cells => u64::from(plan.search.cells.cells.unwrap_or_else(|| Cells::count(census.kept as u32))),
            _ => 0,
        },
        kept: choice.index == Index::Hnsw && Hnsw::is_kept(&graphs, &stages::graph_key(plan, survey)),
        threads,
    };
    Ok(Appraisal { census, choice, job })
}

impl Job {
    /// Triplets, at most.
    pub fn triplets(&self) -> u64 {
        self.anchors.saturating_mul(self.pairs).saturating_mul(self.slots)
    }
}
