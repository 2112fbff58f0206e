//! Balance between classes and between rows: who is an anchor, how many pairs a class has, how often a row is a negative, how many
//! triplets there are, and what each weighs.
//!
//! What concerns one anchor ([`is_anchor`], [`Quotas`]) is decided before mining; what concerns all triplets together ([`Ration`],
//! [`ticket`], [`weights`]) after it, over the candidates of all partitions.

mod quota;
mod ration;

pub use quota::{Quotas, is_anchor};
pub use ration::{Claim, Claimant, Ration, ticket};
pub(super) use ration::{pick, preference};

use serde::{Deserialize, Serialize};

use crate::store::{Prepared, Row};

/// What a triplet weighs, by the class of its anchor.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub enum Weighting {
    /// 1.
    #[default]
    None,
    /// In proportion to 1 / n, where n is the class's count of triplets.
    Inverse,
    /// In proportion to (1 − β) / (1 − βⁿ): the effective number of samples (Cui et al. 2019).
    Effective { beta: f64 },
}

/// What is balanced; nothing by default. Counts are at least 1, and 0 ≤ β < 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Balance {
    /// Anchors of one class, at most.
    pub anchors_per_class: Option<u32>,
    /// (anchor, positive) pairs that a class gets, as far as it has them; never with every positive asked for.
    pub oversample_to: Option<u32>,
    /// Triplets that one row is the negative of, at most.
    pub max_uses: Option<u32>,
    /// Rows of the output, which are triplets unless its layout is another, at most.
    pub triplets: Option<u64>,
    pub weights: Weighting,
}

impl Balance {
    /// Whether anything is asked for.
    pub fn is_on(&self) -> bool {
        *self != Self::default()
    }

    /// Whether not every triplet that is mined is kept.
    pub fn selects(&self) -> bool {
        self.max_uses.is_some() || self.triplets.is_some()
    }

    /// Negatives to mine where `count` are asked for: under `max_uses` spare ones, to take the place of those that are used up.
    pub fn candidates(&self, count: u32) -> u32 {
        // Twice as many; of a single slot a few more, for the second nearest row of a hub's neighbour is often the next hub.
        if self.max_uses.is_some() { count.saturating_mul(2).max(4) } else { count }
    }
}

/// The weight of the rows of each class, f32 of a sum in f64, such that the mean over all rows is 1; `counts` are the rows of the
/// output by class of their anchor. `None` where every row weighs 1.
pub fn weights(weighting: Weighting, counts: &[u64]) -> Option<Vec<f32>> {
    let raw: Vec<f64> = match weighting {
        Weighting::None => return None,
        Weighting::Inverse => counts.iter().map(|&n| 1.0 / n as f64).collect(),
        Weighting::Effective { beta } => counts.iter().map(|&n| (1.0 - beta) / (1.0 - power(beta, n))).collect(),
    };
    let present = || counts.iter().zip(&raw).filter(|(count, _)| **count > 0);
    let all: u64 = counts.iter().sum();
    let sum: f64 = present().map(|(&count, &raw)| count as f64 * raw).sum();
    let weight = |(&count, &raw): (&u64, &f64)| if count == 0 { 0.0 } else { (raw * (all as f64 / sum)) as f32 };
    Some(counts.iter().zip(&raw).map(weight).collect())
}

/// By squaring: the same bits on every machine, which `powf` does not promise.
fn power(base: f64, mut exponent: u64) -> f64 {
    let (mut power, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            power *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    power
}

/// How evenly something is spread over classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spread {
    /// Classes that have any.
    pub classes: u64,
    pub total: u64,
    /// Of the class that has most.
    pub largest: u64,
}

/// Things that rows are counted for by their labels: for each of several.
pub struct LabelCounts<'s> {
    store: &'s Prepared,
    by_label: Vec<u64>,
    total: u64,
}

impl<'s> LabelCounts<'s> {
    /// Of nothing.
    pub fn new(store: &'s Prepared) -> Self {
        Self { store, by_label: vec![0; store.distinct_labels()], total: 0 }
    }

    /// Counts so many more things of a row; none where it has no label.
    pub fn add(&mut self, row: Row, things: u64) {
        let labels = self.store.labels_in(&self.store.labels()[row.index()]);
        self.total += if labels.is_empty() { 0 } else { things };
        labels.iter().for_each(|label| self.by_label[label.index()] += things);
    }

    /// In the order of the codes of labels.
    pub fn by_label(&self) -> &[u64] {
        &self.by_label
    }

    /// How evenly they are spread.
    pub fn spread(&self) -> Spread {
        Spread {
            classes: self.by_label.iter().filter(|&&count| count > 0).count() as u64,
            total: self.total,
            largest: self.by_label.iter().copied().max().unwrap_or(0),
        }
    }
}

/// What balance did. Where pairs say what is a positive, no row has a class, and the spreads are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Balanced {
    /// Rows that a class makes anchors, and those of them that have triplets.
    pub anchors_before: Spread,
    pub anchors_after: Spread,
    /// Rows of the output.
    pub lines: Spread,
    /// Rows that `anchors_per_class` leaves out.
    pub left_out: u64,
    /// Pairs that `oversample_to` adds.
    pub added_pairs: u64,
    /// Slots whose negative was used up, and that a spare one fills; and those that none does.
    pub refilled: u64,
    pub emptied: u64,
    /// Rows of the output beyond `triplets`.
    pub cut: u64,
}
