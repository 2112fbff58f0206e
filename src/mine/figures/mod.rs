//! What the triplets of a run are like as a whole. However many there are, the figures are of one size: counts in bins, and the
//! foremost of a kind by name.

mod confusion;
mod evenness;
mod histogram;
mod hubs;
mod ledger;

pub use confusion::{Confused, Confusion};
pub use evenness::Evenness;
pub use histogram::{Histogram, Series};
pub use hubs::{Hub, Hubs};
pub use ledger::Ledger;

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{Band, Triplet};
use crate::kernel::Metric;
use crate::store::Exhibit;

/// The figures of all triplets that a run wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// What distances are measured in.
    pub metric: Metric,
    pub margin: f64,
    /// Of each triplet d(a, p), in the series `positive`, and d(a, n) in that of its band. Absent without triplets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distances: Option<Histogram>,
    /// Of each triplet d(a, n) − d(a, p), in the series of its band.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gaps: Option<Histogram>,
    /// Triplets from a fallback band: hard, semi-hard, easy.
    pub fallback: [u64; 3],
    /// Absent where pairs say what is a positive: then no row has a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Classes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    pub hubs: Hubs,
    /// The triplets with the smallest gaps, one an anchor.
    pub hardest: Vec<Example>,
    /// The nearest of the suspects.
    pub suspects: Vec<SuspectPair>,
}

/// Balance between classes, before and after.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Classes {
    /// Rows that could be anchors.
    pub before: Evenness,
    /// Anchors that have triplets; over the same classes.
    pub anchors: Evenness,
    /// Triplets by the class of their anchor; over the same classes.
    pub triplets: Evenness,
    /// The classes with most rows that could be anchors.
    pub largest: Vec<ClassShare>,
}

/// What one class has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassShare {
    pub label: String,
    /// Rows that could be anchors, and of these, those with triplets.
    pub before: u64,
    pub anchors: u64,
    pub triplets: u64,
}

/// A triplet to look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    pub anchor: Exhibit,
    pub positive: Exhibit,
    pub negative: Exhibit,
    pub d_ap: f32,
    pub d_an: f32,
    pub band: Band,
}

/// Two near-identical rows of different classes, or that no pair names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuspectPair {
    pub a: Exhibit,
    pub b: Exhibit,
    pub distance: f32,
}

impl Triplet {
    /// The harder is the less: by gap, then by anchor, positive and negative.
    fn hardness(&self, other: &Self) -> Ordering {
        let rows = |t: &Self| (t.anchor, t.positive, t.negative);
        self.gap().total_cmp(&other.gap()).then_with(|| rows(self).cmp(&rows(other)))
    }
}
