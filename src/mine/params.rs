//! What a pipeline asks to be mined.

use serde::{Deserialize, Serialize};

use super::{Balance, Band, Batches, Guards};
use crate::kernel::{Distance, Metric};

/// How negatives are taken from a band that holds more than asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NegativePick {
    /// Uniform, without replacement.
    #[default]
    Random,
    /// Smallest distance to the anchor.
    Nearest,
    /// With a probability that falls with the density of distances on the unit sphere (Wu et al. 2017), without
    /// replacement: under cosine only.
    DistanceWeighted,
}

/// How positives are taken from an anchor's class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PositivePick {
    /// Uniform, without replacement.
    #[default]
    Random,
    /// Largest distance to the anchor.
    Hardest,
    /// Smallest distance to the anchor.
    Nearest,
    /// Every admissible one; `per_anchor` does not apply.
    All,
}

/// Which rows an anchor may take as positives, beyond sharing its label.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Positives {
    pub pick: PositivePick,
    /// At most this many an anchor; at least 1.
    pub per_anchor: u32,
    /// Drops copies of the anchor: d(a, p) must be at least this.
    pub min_distance: Option<f32>,
    /// Drops outliers: d(a, p) must be at most this.
    pub max_distance: Option<f32>,
    /// Indices of group columns on which the pair must agree.
    pub same: Vec<usize>,
    /// Indices of group columns on which the pair must differ.
    pub different: Vec<usize>,
}

impl Positives {
    /// Whether a positive at this distance is neither a copy nor an outlier.
    pub(super) fn fits(&self, distance: Distance) -> bool {
        self.min_distance.is_none_or(|min| distance.get() >= min)
            && self.max_distance.is_none_or(|max| distance.get() <= max)
    }
}

/// Which rows an anchor may take as negatives, beyond another label.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Negatives {
    /// Indices of group columns on which the pair must agree.
    pub same: Vec<usize>,
    /// Indices of group columns on which the pair must differ.
    pub different: Vec<usize>,
    /// Whether rows without a label are negatives.
    pub unlabelled: bool,
    pub guards: Guards,
    /// Negatives of one class for one anchor, at most.
    pub max_per_class: Option<u32>,
}

/// What is asked of each (anchor, positive) pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Ask {
    /// This many negatives from each band named, none twice.
    Bands(Vec<(Band, u32)>),
    /// This many from the union of the bands.
    Any(u32),
}

impl Ask {
    /// How many negatives a pair asks for in all.
    pub fn slots(&self) -> u64 {
        match self {
            Self::Bands(bands) => bands.iter().map(|&(_, count)| u64::from(count)).sum(),
            Self::Any(count) => u64::from(*count),
        }
    }

    /// The same where a pair of so many slots is counted; nothing holds more.
    pub fn slots_u32(&self) -> u32 {
        u32::try_from(self.slots()).unwrap_or(u32::MAX)
    }

    /// How many negatives of this band a pair asks for, at most; `None` where the band was not asked for, or only to fall
    /// back on.
    pub fn count_of(&self, band: Band) -> Option<u32> {
        match self {
            Self::Bands(bands) => bands.iter().find(|&&(asked, _)| asked == band).map(|&(_, count)| count),
            Self::Any(count) => Some(*count),
        }
    }

    /// Whether negatives of this band were asked for, and not only to fall back on.
    pub fn wants(&self, band: Band) -> bool {
        self.count_of(band).is_some()
    }
}

/// The whole request, checked: `margin` is positive and finite, counts are at least 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Params {
    pub metric: Metric,
    pub margin: f64,
    pub ask: Ask,
    pub pick: NegativePick,
    /// Bands to fill from, in this order, where an asked band is too small.
    pub fallback: Vec<Band>,
    pub seed: u64,
    pub positives: Positives,
    pub negatives: Negatives,
    pub balance: Balance,
    pub batches: Option<Batches>,
}
