//! A job before any of its work: its shape, as far as footers and labels tell it.

use super::engine::Engine;
use super::{scratch, stages};
use crate::config::Plan;
use crate::manifest::{Layout, Order};
use crate::mine::{Ask, PositivePick};
use crate::search::{self, Cells, Choice, Hnsw, Index};
use crate::store::{self, Census, PrepareError, Surveys};

/// Everything that memory and time depend on, but for the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Of the store and the queries.
    pub rows: u64,
    /// Of these, those that are searched.
    pub corpus: u64,
    /// And those that ask.
    pub asking: u64,
    /// Pairs of ids.
    pub links: u64,
    pub dims: usize,
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
    /// Of all anchors together, the rows that are looked at as positives.
    pub relatives: u64,
    pub groups: u64,
    /// Of an anchor, at most.
    pub pairs: u64,
    /// Of a pair: windows that are searched, and slots to fill.
    pub windows: u64,
    pub slots: u64,
    /// Of an anchor, nearest negatives that its guards must know.
    pub ranks: u64,
    /// Rows of the store that a triplet puts beside each other in the output, at most.
    pub beside: u64,
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
pub fn appraise(plan: &Plan, survey: &Surveys, engine: &Engine) -> Result<Appraisal, PrepareError> {
    let census = engine.wait(store::census(plan.sources(), survey))?;
    let dims = survey.store.dims();
    let choice = search::choose(&plan.search, census.kept, census.anchors, dims);
    let others = census.most_positives;
    let queries = census.queries.as_ref().map(|queries| queries.kept);
    let tables = std::iter::once(&survey.store).chain(&survey.queries);
    let asked = match &plan.mine.ask {
        Ask::Bands(bands) => bands.len() as u64,
        Ask::Any(_) => 1,
    };
    let graphs = scratch::root(&plan.run.work, &stages::output_name(plan)).join("graphs");
    let job = Job {
        rows: census.kept + queries.unwrap_or(0),
        corpus: census.kept,
        asking: queries.unwrap_or(census.kept),
        links: census.pairs.as_ref().map_or(0, |pairs| pairs.rows),
        dims,
        beside_bytes: tables
            .clone()
            .map(|table| table.row_bytes().saturating_sub((table.dims() * size_of::<f32>()) as u64))
            .max()
            .unwrap_or(0),
        reading_bytes: survey.reading_bytes(),
        plain_bytes: tables.map(|table| table.rows() * table.row_bytes()).sum(),
        anchors: census.anchors,
        candidates: census.kept - if plan.mine.negatives.unlabelled { 0 } else { census.unlabelled.min(census.kept) },
        classes: census.classes,
        label_bytes: census.label_bytes,
        largest_class: census.largest_class,
        relatives: census.relatives,
        groups: plan.store.groups.len() as u64,
        pairs: match plan.mine.positives.pick {
            PositivePick::All => others,
            _ => u64::from(plan.mine.positives.per_anchor).min(others),
        },
        windows: asked.max(u64::from(!plan.mine.fallback.is_empty())),
        ranks: u64::from(plan.mine.negatives.guards.ranks()).min(census.kept),
        slots: plan.mine.ask.slots().min(census.kept),
        // Of (anchor, candidate) there are two to a triplet.
        beside: if matches!(plan.output.layout, Layout::LabeledPair | Layout::Candidates) { 4 } else { 3 },
        sorts: plan.output.order != Order::Anchor,
        index: choice.index,
        cells: match choice.index {
            Index::Cells => u64::from(plan.search.cells.cells.unwrap_or_else(|| Cells::count(census.kept as u32))),
            _ => 0,
        },
        kept: choice.index == Index::Hnsw && Hnsw::is_kept(&graphs, &stages::graph_key(plan, survey)),
        threads: engine.threads() as u64,
    };
    Ok(Appraisal { census, choice, job })
}

impl Job {
    /// Triplets, at most.
    pub fn triplets(&self) -> u64 {
        self.anchors.saturating_mul(self.pairs).saturating_mul(self.slots)
    }
}
