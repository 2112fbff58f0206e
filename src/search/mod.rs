//! Floor 2. *Which rows fill these windows?* One trait, [`Search`]; [`Brute`] is the oracle for all others.
//!
//! Everyone else fetches a fixed top-k and filters what is left, so a big class, or many hard negatives, starves the
//! semi-hard band. Here label, groups and distance windows are tested inside the search.
//! No search ever returns a row outside its window or one that [`Admits`] refuses; only completeness may be approximate.

mod brute;
mod cells;
mod corpus;
mod exact;
mod graphs;
mod hnsw;
pub mod lottery;
mod params;
mod planner;
mod ruler;
mod seeker;
pub mod sizes;
mod taker;
mod tiles;
mod weighted;

pub use brute::Brute;
#[cfg(feature = "cluster")]
pub use cells::Assignment;
pub use cells::Cells;
pub use exact::Exact;
pub use graphs::GraphError;
pub use hnsw::{DEEPEST, Hnsw};
pub use params::{CellsParams, HnswParams, Index, Params};
pub use planner::{Choice, choose};
pub use weighted::weighted_order;

use crate::kernel::Distance;
use crate::store::{Code, Prepared, Row};

/// Which rows of a window are wanted when it holds more than `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// The smallest distances; ties by row.
    Nearest,
    /// The first in a pseudo-random order of the whole store that only `key` decides: uniform, without replacement.
    Random { key: u64 },
    /// Without replacement, each row with a probability that falls with the density of its distance (Wu et al. 2017).
    /// Of unit vectors.
    Weighted { key: u64 },
}

/// Distances in `(above, upto]`, of which `count` rows (at least 1) are wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    pub above: Distance,
    pub upto: Distance,
    pub count: u32,
    pub pick: Pick,
}

impl Window {
    /// Whether a distance lies in it.
    #[inline]
    pub fn holds(&self, distance: Distance) -> bool {
        distance > self.above && distance <= self.upto
    }
}

/// Whether two rows must agree or differ on a group column. Null equals nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Same,
    Different,
}

/// One group constraint: column `group` of the prepared store must stand in `relation` to `code`.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub group: usize,
    pub relation: Relation,
    pub code: Code,
}

impl Rule {
    /// Whether a row of the store keeps it.
    pub fn holds(&self, store: &Prepared, row: Row) -> bool {
        let agrees = self.code.agrees(store.group(self.group)[row.index()]);
        agrees == (self.relation == Relation::Same)
    }
}

/// Rows that must keep away from some others.
#[derive(Debug, Clone, Copy)]
pub struct Away<'a> {
    pub from: &'a [Row],
    /// A row is farther than this from each of them.
    pub above: Distance,
}

/// Whom an anchor may meet as a negative, as dense codes.
#[derive(Debug, Clone, Copy)]
pub struct Admits<'a> {
    /// The anchor's own row in the corpus, never its negative.
    pub own: Option<Row>,
    /// Other rows that are not, ascending: the positives that pairs name, and what guards skip.
    pub except: &'a [Row],
    /// The only rows that are, ascending.
    pub only: Option<&'a [Row]>,
    pub away: Option<Away<'a>>,
    /// The anchor's class; a negative is not akin to it.
    pub label: Code,
    /// Whether rows without a label count as negatives.
    pub unlabelled: bool,
    pub rules: &'a [Rule],
}

impl Away<'_> {
    /// Whether `row` keeps away.
    pub fn holds(&self, store: &Prepared, row: Row) -> bool {
        let far = |&other: &Row| store.metric().distance(store.vector(row), store.vector(other)) > self.above;
        self.from.iter().all(far)
    }
}

impl Admits<'_> {
    /// Whether `row` may be a negative.
    #[inline]
    pub fn admits(&self, store: &Prepared, row: Row) -> bool {
        let label = store.labels()[row.index()];
        let other = if label.is_null() { self.unlabelled } else { !store.akin(label, self.label) };
        other
            && self.own != Some(row)
            && self.rules.iter().all(|rule| rule.holds(store, row))
            && self.except.binary_search(&row).is_err()
            && self.only.is_none_or(|only| only.binary_search(&row).is_ok())
            && self.away.is_none_or(|away| away.holds(store, row))
    }
}

/// At most so many rows with one label in a window: the best row is taken first, and each that follows unless one of its labels is
/// used up. Rows without a label are of no class.
#[derive(Debug, Clone, Copy)]
pub struct Quota<'a> {
    pub per_class: u32,
    /// Of some labels, how many rows other windows have already received.
    pub used: &'a [(Code, u32)],
}

impl Quota<'_> {
    /// How many rows with a label may still be received.
    pub fn room(&self, label: Code) -> u32 {
        let used = self.used.iter().find(|(of, _)| *of == label).map_or(0, |&(_, used)| used);
        self.per_class.saturating_sub(used)
    }
}

/// What one anchor looks for: its vector (`d` values, prepared), whom it may meet, and the windows to fill.
#[derive(Debug, Clone, Copy)]
pub struct Quest<'a> {
    pub vector: &'a [f32],
    pub admits: Admits<'a>,
    /// Of each window for itself.
    pub quota: Option<Quota<'a>>,
    pub windows: &'a [Window],
}

/// One row found, with its exact distance to the anchor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    pub distance: Distance,
    pub row: Row,
}

/// What one window received.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fill {
    /// Ascending by (distance, row); at most the window's `count`.
    pub hits: Vec<Hit>,
    /// True when nothing that belongs here can have been missed.
    pub exhaustive: bool,
    /// True when a quota passed over rows with several labels, and others behind them may fill their places. They are found by
    /// asking again, with what was received in the quota and among the exceptions.
    pub passed_over: bool,
}

/// The fills of one quest, in the order of its windows.
pub type Found = Vec<Fill>;

/// Finds the rows that fill windows, over a frozen store.
///
/// # Contract
/// For each quest, in order, one [`Fill`] a window. Every hit is admitted, lies in its window, and carries
/// [`Metric::distance`](crate::kernel::Metric::distance) to the bit. A fill marked exhaustive is the one [`Brute`] gives.
/// The answer to a quest does not depend on the quests beside it, nor on how many threads ask.
pub trait Search: Send + Sync {
    fn find(&self, quests: &[Quest]) -> Vec<Found>;

    /// The exact search that is asked, too, about an anchor for which this one found nothing; none where this one is exact, or
    /// too many anchors would ask.
    fn settles(&self) -> Option<&dyn Search> {
        None
    }
}

/// A search that trades time for recall.
pub trait Tunable: Search {
    /// How many steps there are: each costs more than the one before, and misses less.
    fn efforts(&self) -> u32;

    /// Takes a step, `0 … efforts − 1`.
    fn set_effort(&mut self, effort: u32);

    /// Says whether anchors for which nothing is found are few.
    fn set_few(&mut self, few: bool);

    /// The search that the same rows are measured against.
    fn exact(&self) -> &dyn Search;
}
