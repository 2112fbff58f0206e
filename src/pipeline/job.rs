//! A job before any of its work: its shape, as far as footers and labels tell it.

use std::path::PathBuf;

use super::budget::{Budget, of_a_row_group, reading_room};
use super::engine::Engine;
use super::{scratch, stages};
use crate::config::{ConfigError, Plan};
use crate::manifest::{self, Layout, Order, Split};
use crate::mine::{Ask, Balance, Batches, PositivePick};
use crate::search::{self, Cells, Choice, Hnsw, Index};
use crate::store::{self, BadRows, Census, Reading, SetCensus, Survey, Surveys};
use crate::words::thousands;

/// Everything that memory and time depend on, but for the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Of the store and the queries.
    pub rows: u64,
    /// Of these, those that are searched.
    pub corpus: u64,
    /// And those that ask.
    pub asking: u64,
    /// Pairs of ids, and scores; and where there are both, the pairs that are looked up among the scores.
    pub links: u64,
    pub compared: u64,
    /// Of all anchors, negatives of earlier outputs that are not taken again, at most; and bytes of the largest row group of these
    /// outputs.
    pub excluded: u64,
    pub excluded_bytes: u64,
    /// Of an anchor, rows that have a score, at most.
    pub scored: u64,
    /// Of the vectors that are compared, and of those that are read.
    pub dims: usize,
    pub read_dims: usize,
    /// What learning a transform of the vectors holds; 0 without.
    pub fitting_bytes: u64,
    /// Of a row in the output: its id, its label and what it carries.
    pub beside_bytes: u64,
    /// Whether rows that cannot be used are left out, and so listed.
    pub skips: bool,
    /// What reading holds at a time, at least; and what it takes of what is given.
    pub reading_bytes: u64,
    pub reading: Reading,
    /// What reading reads.
    pub plain_bytes: u64,
    pub anchors: u64,
    /// Rows that may be negatives.
    pub negatives: u64,
    pub classes: u64,
    pub label_bytes: u64,
    pub largest_class: u64,
    /// Where a row may have several labels.
    pub sets: Option<SetCensus>,
    /// Of all anchors together, the rows that are looked at as positives.
    pub relatives: u64,
    pub groups: u64,
    /// Of an anchor, at most: those that are mined without `oversample_to`, and those there are.
    pub pairs: u64,
    pub most_positives: u64,
    /// Of a pair: windows that are searched, and slots to fill.
    pub windows: u64,
    pub slots: u64,
    /// Whether any guard is set; and of an anchor, nearest negatives that they must know.
    pub guarded: bool,
    pub ranks: u64,
    pub layout: Layout,
    /// Of a pair: negatives mined, spare ones among them.
    pub candidates: u64,
    /// Pairs that a class gets at least; 0 without.
    pub oversample_to: u64,
    pub balance: Balance,
    pub batches: Option<Batches>,
    /// Classes that may have anchors.
    pub pairing_classes: u64,
    /// Whether the order of the output takes a sort, or `max_uses` does.
    pub sorts: bool,
    pub index: Index,
    /// Where the index has them.
    pub cells: u64,
    /// Whether an earlier run left the graphs.
    pub kept: bool,
    pub threads: u64,
}

/// A batch holds as many classes, or anchors, as there are not.
#[derive(Debug, thiserror::Error)]
#[error("{}: {key} = {asked}: a full batch takes {asked} {what} {found}; ask for fewer", .file.display())]
pub struct TooFewClasses {
    file: PathBuf,
    key: &'static str,
    asked: u32,
    what: &'static str,
    found: u64,
    /// The line of the file that asks for it.
    pub excerpt: Option<String>,
}

/// A job with what it was told from.
pub struct Appraisal {
    pub census: Census,
    pub choice: Choice,
    pub job: Job,
}

/// Reads labels, and no vectors but the first.
///
/// # Errors
/// Those of preparing that labels alone can tell; and too little memory even to read the labels.
pub fn appraise(plan: &Plan, survey: &Surveys, engine: &Engine) -> anyhow::Result<Appraisal> {
    Budget::check_reading(plan, survey.reading_bytes(), engine.threads() as u64)?;
    let census = engine.wait(store::census(plan.sources(), survey))?;
    let first_dims = engine.wait(store::check_dimensions(plan.sources(), survey, census.classes))?;
    let fitting = &plan.store.fitting;
    let (read_dims, threads) = (first_dims.unwrap_or(survey.store.dims()), engine.threads() as u64);
    let dims = fitting.dims(read_dims, census.classes, survey.store.matrix());
    let choice = search::choose(&plan.search, census.kept, census.anchors, dims);
    let most_positives = census.most_positives;
    let queries = census.queries.as_ref().map(|queries| queries.kept);
    let tables = std::iter::once(&survey.store).chain(&survey.queries);
    let balance = plan.mine.balance;
    // A query needs one row of its class.
    let pairing_classes = census.classes - if queries.is_some() { 0 } else { census.singletons };
    let counts: Vec<u32> = match &plan.mine.ask {
        Ask::Bands(bands) => bands.iter().map(|&(_, count)| count).collect(),
        Ask::Any(count) => vec![*count],
    };
    let sum = |of: &dyn Fn(u32) -> u32| counts.iter().map(|&count| u64::from(of(count))).sum::<u64>().min(census.kept);
    let (graphs, graph_rows) = (scratch::graphs(plan), census.kept as u32);
    let mut job = Job {
        rows: census.kept + queries.unwrap_or(0),
        corpus: census.kept,
        asking: queries.unwrap_or(census.kept),
        links: [&census.pairs, &census.scores].into_iter().flatten().map(|links| links.rows).sum(),
        compared: census.scored_pairs.map_or(0, |pairs| pairs.pairs),
        excluded: survey.excluded.iter().map(|pairs| pairs.most()).sum(),
        excluded_bytes: survey.excluded.iter().map(|pairs| of_a_row_group(pairs.size())).max().unwrap_or(0),
        scored: census.scores.as_ref().map_or(0, |scores| scores.most.min(census.kept)),
        dims,
        read_dims,
        fitting_bytes: fitting.bytes(read_dims as u64, dims as u64, threads),
        beside_bytes: tables.clone().map(Survey::beside_bytes).max().unwrap_or(0) + label_bytes(&census),
        skips: skips(plan),
        reading_bytes: survey.reading_bytes(),
        reading: survey.reading(1, 0),
        plain_bytes: tables.map(|table| table.rows() * table.row_bytes()).sum(),
        anchors: match balance.anchors_per_class {
            Some(most) => census.anchors_of_classes(u64::from(most)),
            None => census.anchors,
        },
        negatives: census.kept - if plan.mine.negatives.unlabelled { 0 } else { census.unlabelled.min(census.kept) },
        classes: census.classes,
        label_bytes: census.label_bytes,
        largest_class: census.largest_class,
        sets: census.sets.clone(),
        relatives: census.relatives,
        groups: plan.store.groups.len() as u64,
        pairs: match plan.mine.positives.pick {
            PositivePick::All => most_positives,
            _ => u64::from(plan.mine.positives.per_anchor).min(most_positives),
        },
        most_positives,
        windows: counts.len() as u64,
        slots: sum(&|count| count),
        candidates: sum(&|count| balance.candidates(count)),
        oversample_to: balance.oversample_to.map_or(0, u64::from),
        balance,
        batches: plan.mine.batches,
        pairing_classes,
        guarded: plan.mine.negatives.guards.set().next().is_some(),
        ranks: u64::from(plan.mine.negatives.guards.ranks()).min(census.kept),
        layout: plan.output.layout,
        sorts: plan.output.order != Order::Anchor || balance.max_uses.is_some(),
        index: choice.index,
        cells: match choice.index {
            Index::Cells => u64::from(plan.search.cells.cells.unwrap_or_else(|| Cells::count(census.kept as u32))),
            _ => 0,
        },
        kept: choice.index == Index::Hnsw && Hnsw::is_kept(&graphs, &stages::graph_key(plan, survey)?, graph_rows),
        threads,
    };
    job.reading = survey.reading(engine.threads(), reading_room(plan, &job));
    Ok(Appraisal { census, choice, job })
}

/// Of a row of the store, its labels: as many as rows have on average, each as long as labels are.
fn label_bytes(census: &Census) -> u64 {
    let each = census.label_bytes.div_ceil(census.classes.max(1));
    each * census.sets.as_ref().map_or(1, |sets| sets.held.div_ceil(census.kept.max(1)))
}

fn skips(plan: &Plan) -> bool {
    let sources = plan.sources();
    let tables = std::iter::once(sources.store).chain(sources.queries).map(|table| table.bad_rows);
    tables.chain(sources.links().map(|links| links.bad_rows)).any(|bad_rows| bad_rows == BadRows::Skip)
}

impl Job {
    /// Pairs of so many anchors, at most.
    pub fn pairs_of(&self, anchors: u64) -> u64 {
        let each = self.pairs.max(self.oversample_to.min(self.most_positives));
        let oversampled = anchors.min(self.classes).saturating_mul(self.oversample_to);
        anchors.saturating_mul(self.pairs).saturating_add(oversampled).min(anchors.saturating_mul(each))
    }

    /// Triplets that are mined, spare ones among them, at most.
    pub fn mined(&self) -> u64 {
        self.pairs_of(self.anchors).saturating_mul(self.candidates)
    }

    /// Triplets of the output, at most.
    pub fn triplets(&self) -> u64 {
        let slots = self.pairs_of(self.anchors).saturating_mul(self.slots);
        let a_row = match self.layout {
            Layout::Triplet => 1,
            Layout::NTuple | Layout::Pair | Layout::LabeledList => self.slots,
            // What an anchor has for several positives is one row.
            Layout::LabeledPair | Layout::Candidates => self.slots.saturating_mul(self.pairs.max(self.oversample_to)),
        };
        slots.min(self.balance.triplets.unwrap_or(u64::MAX).saturating_mul(a_row))
    }

    /// Rows of the output, at most.
    fn lines(&self) -> u64 {
        let pairs = self.pairs_of(self.anchors);
        let lines = match self.layout {
            Layout::Triplet => self.triplets(),
            Layout::NTuple | Layout::Pair | Layout::LabeledList => pairs,
            Layout::LabeledPair | Layout::Candidates => self.triplets().saturating_add(pairs),
        };
        lines.min(self.balance.triplets.unwrap_or(u64::MAX))
    }

    /// Rows of the store that a triplet puts beside each other in the output, at most.
    pub fn beside(&self) -> u64 {
        // Of (anchor, candidate) there are two to a triplet.
        if matches!(self.layout, Layout::LabeledPair | Layout::Candidates) { 4 } else { 3 }
    }

    /// # Errors
    /// When more files could come of it than names and the manifest have room for.
    pub fn check_files(&self, plan: &Plan) -> Result<(), ConfigError> {
        let (most, all) = (manifest::MOST_PARTS, self.lines());
        match plan.output.split {
            Split::Rows(rows) if all.div_ceil(rows) > most => {
                let least = all.div_ceil(most);
                let message = format!(
                    "{} rows may come out, in {} files, and at most {} are written; give {} or more",
                    thousands(all),
                    thousands(all.div_ceil(rows)),
                    thousands(most),
                    thousands(least)
                );
                Err(plan.refuse("output.rows_per_file", message))
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// When not even one batch could be full.
    pub fn check_batches(&self, plan: &Plan) -> Result<(), TooFewClasses> {
        let Some((key, asked)) = self.batches.map(|batches| batches.classes()) else { return Ok(()) };
        let (what, found) = match (&plan.pairs, &plan.queries) {
            (Some(_), _) => ("anchors, and pairs name", self.anchors),
            (None, Some(_)) => ("classes, and the store has", self.pairing_classes),
            (None, None) => ("classes with two rows or more, and the store has", self.pairing_classes),
        };
        match found < u64::from(asked) {
            true => {
                let excerpt = plan.excerpt(key);
                Err(TooFewClasses { file: plan.file.clone(), key, asked, what, found, excerpt })
            }
            false => Ok(()),
        }
    }
}
