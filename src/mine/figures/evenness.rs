//! How evenly things are spread: over classes, or over rows.

use serde::{Deserialize, Serialize};

/// Steps of a [`Evenness::lorenz`] curve.
const STEPS: usize = 50;

/// How evenly something is spread over classes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Evenness {
    /// Classes that could have any; those that have none among them.
    pub classes: u64,
    /// Of these, those that have none.
    pub empty: u64,
    pub total: u64,
    /// Of the class that has most.
    pub largest: u64,
    /// 0: all alike; towards 1: one has everything (Gini 1912).
    pub gini: f64,
    /// What the smallest 0, 2, 4, … 100 % of the classes have together, as a share of all (Lorenz 1905).
    pub lorenz: Vec<f64>,
}

impl Evenness {
    /// Of the counts of all classes.
    pub(super) fn of(mut counts: Vec<u64>) -> Self {
        counts.sort_unstable();
        let (n, total) = (counts.len(), counts.iter().sum::<u64>());
        let (mut reached, mut sums) = (0, vec![0]);
        for &count in &counts {
            reached += count;
            sums.push(reached);
        }
        let share = |step: usize| sums[n * step / STEPS] as f64 / total.max(1) as f64;
        // Σ (2i − n − 1) x_i / (n Σ x), in whole numbers up to the one division.
        let weighted: i128 = (1..).zip(&counts).map(|(i, &x)| (2 * i - n as i128 - 1) * i128::from(x)).sum();
        Self {
            classes: n as u64,
            empty: counts.iter().take_while(|&&count| count == 0).count() as u64,
            total,
            largest: counts.last().copied().unwrap_or(0),
            gini: weighted as f64 / (n as f64 * total as f64).max(1.0),
            lorenz: if n == 0 { Vec::new() } else { (0..=STEPS).map(share).collect() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_shares_have_no_inequality_and_one_owner_has_almost_all_of_it() {
        let equal = Evenness::of(vec![7; 10]);
        assert_eq!((equal.gini, equal.empty, equal.largest, equal.total), (0.0, 0, 7, 70));
        assert!(
            equal.lorenz.iter().zip(0..).all(|(share, step)| (share - (10 * step / 50) as f64 / 10.0).abs() < 1e-12)
        );
        let mut counts = vec![0; 9];
        counts.push(5);
        let owned = Evenness::of(counts);
        assert!((owned.gini - 0.9).abs() < 1e-12 && owned.empty == 9, "{owned:?}");
        assert_eq!((owned.lorenz[49], owned.lorenz[50]), (0.0, 1.0));
        // Of 1, 3 the mean difference is 2, the mean 2: G = 2 · 2 / (2 · 2² · 2).
        assert!((Evenness::of(vec![3, 1]).gini - 0.25).abs() < 1e-12);
        assert_eq!(Evenness::of(Vec::new()), Evenness::default());
        assert_eq!(Evenness::of(vec![0, 0]).gini, 0.0);
    }
}
