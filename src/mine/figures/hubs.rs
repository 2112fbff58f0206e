//! Hubs: rows that are the negative of many anchors.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::store::{Exhibit, Row};

/// Rows that are named.
const NAMED: usize = 8;

/// How often rows are used as negatives: the k-occurrences N_k of Radovanović et al. (2010), with the mined negatives in the place of
/// the k nearest neighbours.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Hubs {
    /// Rows that could be negatives.
    pub rows: u64,
    pub unused: u64,
    pub most: u64,
    pub mean: f64,
    /// E (N − μ)³ / σ³: 0 where use is symmetric about its mean, large where a few rows are used again and again.
    pub skewness: f64,
    /// Of all uses, the share of the most used hundredth of the rows.
    pub top_share: f64,
    /// Rows that were used 0 times, once, 2 to 3 times, 4 to 7, 8 to 15, …
    pub distribution: Vec<u64>,
    /// The most used ones first.
    pub top: Vec<Hub>,
}

/// A row with how often it was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hub {
    pub row: Exhibit,
    pub uses: u64,
}

/// The rows used most, with how often; of equal ones those that come first.
pub(super) fn most_used(uses: &[u32]) -> Vec<(Row, u64)> {
    let mut top: Vec<(Reverse<u32>, u32)> = Vec::with_capacity(NAMED + 1);
    for (row, &count) in (0..).zip(uses) {
        let entry = (Reverse(count), row);
        if count > 0 && (top.len() < NAMED || top.last().is_some_and(|last| entry < *last)) {
            top.insert(top.partition_point(|other| *other < entry), entry);
            top.truncate(NAMED);
        }
    }
    top.into_iter().map(|(Reverse(count), row)| (Row(row), u64::from(count))).collect()
}

impl Hubs {
    /// Of the uses of each row that could be a negative.
    pub(super) fn of(mut uses: Vec<u32>, top: Vec<Hub>) -> Self {
        let rows = uses.len();
        let total: u64 = uses.iter().copied().map(u64::from).sum();
        let mean = total as f64 / rows.max(1) as f64;
        let mut distribution = Vec::new();
        let (mut squares, mut cubes) = (0.0, 0.0);
        for &count in &uses {
            let bin = (u32::BITS - count.leading_zeros()) as usize;
            if distribution.len() <= bin {
                distribution.resize(bin + 1, 0);
            }
            distribution[bin] += 1;
            let off = f64::from(count) - mean;
            squares += off * off;
            cubes += off * off * off;
        }
        let deviation = (squares / rows.max(1) as f64).sqrt();
        let skewness = if deviation > 0.0 { cubes / rows as f64 / (deviation * deviation * deviation) } else { 0.0 };
        let hundredth = rows.div_ceil(100);
        let of_top: u64 = match rows {
            0 => 0,
            _ => {
                uses.select_nth_unstable_by_key(hundredth - 1, |&count| Reverse(count));
                uses[..hundredth].iter().copied().map(u64::from).sum()
            }
        };
        Self {
            rows: rows as u64,
            unused: distribution.first().copied().unwrap_or(0),
            most: uses.iter().copied().max().unwrap_or(0).into(),
            mean,
            skewness,
            top_share: of_top as f64 / total.max(1) as f64,
            distribution,
            top,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_skews() {
        let mut uses = vec![1u32; 99];
        uses.push(101);
        let hubs = Hubs::of(uses.clone(), Vec::new());
        assert_eq!((hubs.rows, hubs.unused, hubs.most, hubs.mean), (100, 0, 101, 2.0));
        assert_eq!(hubs.distribution, [0, 99, 0, 0, 0, 0, 0, 1]);
        // 1 of 100 is off by 99, the others by −1: m₂ = 99, m₃ = 9702.
        assert!((hubs.skewness - 9_702.0 / 99f64.powf(1.5)).abs() < 1e-9, "{}", hubs.skewness);
        assert!((hubs.top_share - 101.0 / 200.0).abs() < 1e-12);
        assert_eq!(most_used(&uses)[..2], [(Row(99), 101), (Row(0), 1)]);
        assert_eq!(most_used(&uses).len(), NAMED);
        assert_eq!(most_used(&[0, 0]), []);
    }

    #[test]
    fn even_use_and_none_have_no_skew() {
        assert_eq!(Hubs::of(vec![3; 10], Vec::new()).skewness, 0.0);
        assert_eq!(Hubs::of(Vec::new(), Vec::new()), Hubs::default());
    }
}
