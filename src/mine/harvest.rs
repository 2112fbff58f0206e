//! What mining yields.

use serde::{Deserialize, Serialize};

use super::Band;
use crate::kernel::Distance;
use crate::store::{Prepared, Row};

/// One mined triplet, in rows of the prepared store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Triplet {
    pub anchor: Row,
    pub positive: Row,
    pub negative: Row,
    pub d_ap: Distance,
    pub d_an: Distance,
    pub band: Band,
    /// True where the asked band was too small and this row fills its place from another.
    pub fallback: bool,
}

impl Triplet {
    /// g = d(a, n) − d(a, p), exact for all but absurdly different magnitudes.
    pub fn gap(&self) -> f64 {
        f64::from(self.d_an.get()) - f64::from(self.d_ap.get())
    }
}

/// Why a row of the input yields no triplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Its label is null.
    Unlabelled,
    /// It is the only row of its class.
    Singleton,
    /// No row is its positive: constraints left none, or no pair or label names one.
    NoPositive,
    /// No admissible negative lies in any band asked for.
    BandEmpty,
    /// Some lie there, and guards kept them all away.
    Guarded,
    /// An approximate search found none, and cannot say that there is none.
    SearchMissed,
    /// Bad data, skipped because the pipeline allows it.
    Rejected,
    /// Balance left it without: its class has anchors enough, or what it could have had went to others.
    BalancedAway,
}

impl Reason {
    pub const ALL: [Self; 8] = [
        Self::Unlabelled,
        Self::Singleton,
        Self::NoPositive,
        Self::BandEmpty,
        Self::Guarded,
        Self::SearchMissed,
        Self::Rejected,
        Self::BalancedAway,
    ];

    /// Whether a row that mining lists with this reason was searched for.
    pub fn was_searched(self) -> bool {
        !matches!(self, Self::Unlabelled | Self::Singleton | Self::NoPositive | Self::Rejected | Self::BalancedAway)
    }

    /// As written in `unmined.parquet` and the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unlabelled => "unlabelled",
            Self::Singleton => "singleton",
            Self::NoPositive => "no-positive",
            Self::BandEmpty => "band-empty",
            Self::Guarded => "guarded",
            Self::SearchMissed => "search-missed",
            Self::Rejected => "rejected",
            Self::BalancedAway => "balanced-away",
        }
    }
}

/// Two near-identical rows of different classes, or that no pair names: likely label noise, or a missing pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Suspect {
    /// The query of the two, or else the row that comes first.
    pub a: Row,
    pub b: Row,
    pub distance: Distance,
}

impl Suspect {
    /// An anchor and a row of the corpus.
    pub fn of(store: &Prepared, anchor: Row, row: Row, distance: Distance) -> Self {
        let (a, b) = if store.has_queries() { (anchor, row) } else { (anchor.min(row), anchor.max(row)) };
        Self { a, b, distance }
    }
}

/// Counts over anchors, pairs and band slots. Sums of tallies are tallies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows that had a label, a positive, and were searched for.
    pub anchors: u64,
    /// (anchor, positive) pairs.
    pub pairs: u64,
    /// Of these, those whose positive has a score; 0 without scores.
    pub scored: u64,
    /// Slots asked for, summed over pairs.
    pub asked: u64,
    /// Triplets by band: hard, semi-hard, easy.
    pub bands: [u64; 3],
    /// Of these, taken from a fallback band.
    pub fallback: u64,
    /// Slots left empty that guards kept something from.
    pub guarded: u64,
    /// Slots left empty although the search was exhaustive: the band holds no more.
    pub exhausted: u64,
    /// Slots left empty by an approximate search that cannot tell.
    pub missed: u64,
}

impl Tally {
    /// Slots that were filled. Spare candidates fill none.
    pub fn filled(&self) -> u64 {
        self.asked - self.guarded - self.exhausted - self.missed
    }

    /// Triplets in all.
    pub fn triplets(&self) -> u64 {
        self.bands.iter().sum()
    }
}

impl std::ops::AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, other: &Tally) {
        self.anchors += other.anchors;
        self.pairs += other.pairs;
        self.scored += other.scored;
        self.asked += other.asked;
        for (sum, count) in self.bands.iter_mut().zip(other.bands) {
            *sum += count;
        }
        self.fallback += other.fallback;
        self.guarded += other.guarded;
        self.exhausted += other.exhausted;
        self.missed += other.missed;
    }
}

/// The yield of one partition of anchors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Harvest {
    /// By anchor, then positive, then the order of the bands asked for, then (distance, row).
    pub triplets: Vec<Triplet>,
    /// Rows of the partition without a triplet, ascending.
    pub unmined: Vec<(Row, Reason)>,
    pub suspects: Vec<Suspect>,
    pub tally: Tally,
}
