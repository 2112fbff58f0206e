//! Floor 2. *Which rows fill these windows?* One trait, [`Search`]; `exact` is the oracle for all others.
//!
//! Everyone else fetches a fixed top-k and filters what is left, so a big class, or many hard negatives, starves the
//! semi-hard band. Here label, groups and distance windows are tested inside the search.
//! No search ever returns a row outside its window or one that [`Admits`] refuses; only completeness may be approximate.

mod params;

pub use params::{HnswParams, Index, Params};

use crate::kernel::Distance;
use crate::store::{Code, Row};

/// Which rows of a window are wanted when it holds more than `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// The smallest distances; ties by row.
    Nearest,
    /// The first in a pseudo-random order of the whole store that only `key` decides: uniform, without replacement.
    Random { key: u64 },
}

/// Distances in `(above, upto]`, of which `count` rows are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    pub above: Distance,
    pub upto: Distance,
    pub count: u32,
    pub pick: Pick,
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

/// Whom an anchor may meet as a negative, as dense codes.
#[derive(Debug, Clone, Copy)]
pub struct Admits<'a> {
    /// The anchor's own row in the store, never its negative.
    pub own: Option<Row>,
    /// The anchor's label; a negative has another.
    pub label: Code,
    /// Whether rows without a label count as negatives.
    pub unlabelled: bool,
    pub rules: &'a [Rule],
}

/// What one anchor looks for: its vector (`d` values, prepared), whom it may meet, and the windows to fill.
#[derive(Debug, Clone, Copy)]
pub struct Quest<'a> {
    pub vector: &'a [f32],
    pub admits: Admits<'a>,
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
}

/// The fills of one quest, in the order of its windows.
pub type Found = Vec<Fill>;
