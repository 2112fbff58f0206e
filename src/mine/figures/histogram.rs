//! Histograms whose range nobody knows beforehand, in one pass and constant memory.

use serde::{Deserialize, Serialize};

/// Bins from the lowest to the highest that holds anything, at most.
const BINS: i64 = 128;
/// No bin is narrower: differences of distances below it are rounding.
const FINEST: f64 = 1.0 / (1u64 << 30) as f64;
/// Bins are counted from zero, and a number beyond this would not be exact.
const FARTHEST: f64 = (1u64 << 52) as f64;

/// Counts over bins of one width, of several series side by side. Bin i holds the values in `(width · (first + i), width · (first + i +
/// 1)]`: what ends at zero ends with a bin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// A power of two.
    pub width: f64,
    pub first: i64,
    pub series: Vec<Series>,
}

impl Histogram {
    /// The same counts in bins of twice the width.
    pub fn coarser(&self) -> Self {
        let odd = self.first.rem_euclid(2) as usize;
        let merged = |Series { name, counts }: &Series| {
            let mut merged = vec![0u64; (counts.len() + odd).div_ceil(2)];
            for (at, count) in counts.iter().enumerate() {
                merged[(at + odd) / 2] = merged[(at + odd) / 2].saturating_add(*count);
            }
            Series { name: name.clone(), counts: merged }
        };
        Self {
            width: self.width * 2.0,
            first: self.first.div_euclid(2),
            series: self.series.iter().map(merged).collect(),
        }
    }
}

/// One of them: as many counts as all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    pub name: String,
    pub counts: Vec<u64>,
}

impl Series {
    /// The number of the bin in which a share `q` of the values, 0 … 1, is reached; none without values.
    pub fn quantile(&self, q: f64) -> Option<usize> {
        let total: u128 = self.counts.iter().copied().map(u128::from).sum();
        let wanted = ((total as f64 * q).ceil() as u128).clamp(1, total.max(1));
        let mut reached = 0;
        self.counts.iter().position(|&count| {
            reached += u128::from(count);
            reached >= wanted
        })
    }
}

/// Counts on the finest grid of its kind that has room for all values: widths are powers of two, so that two bins become one of the
/// next grid, and the outcome does not depend on the order of the values.
#[derive(Debug, Clone)]
pub(super) struct Counter<const S: usize> {
    width: f64,
    /// The lowest and the highest bin that holds anything.
    range: Option<(i64, i64)>,
    /// Bin b is at b modulo [`BINS`].
    counts: Vec<[u64; S]>,
}

impl<const S: usize> Counter<S> {
    pub(super) fn new() -> Self {
        Self { width: FINEST, range: None, counts: vec![[0; S]; BINS as usize] }
    }

    /// Counts a value; one that is not finite has no bin.
    pub(super) fn add(&mut self, value: f64, series: usize) {
        if !value.is_finite() {
            return;
        }
        loop {
            let bin = (value / self.width).ceil() - 1.0;
            if bin.abs() <= FARTHEST {
                let bin = bin as i64;
                let (low, high) = self.range.map_or((bin, bin), |(low, high)| (low.min(bin), high.max(bin)));
                if high - low < BINS {
                    self.range = Some((low, high));
                    self.counts[place(bin)][series] += 1;
                    return;
                }
            }
            self.widen();
        }
    }

    /// Of each two bins makes one.
    fn widen(&mut self) {
        let mut wider = vec![[0; S]; BINS as usize];
        if let Some((low, high)) = self.range {
            for bin in low..=high {
                let sums = &mut wider[place(bin.div_euclid(2))];
                sums.iter_mut().zip(self.counts[place(bin)]).for_each(|(sum, count)| *sum += count);
            }
            self.range = Some((low.div_euclid(2), high.div_euclid(2)));
        }
        self.counts = wider;
        self.width *= 2.0;
    }

    /// None without values.
    pub(super) fn finish(self, names: [&str; S]) -> Option<Histogram> {
        let (first, last) = self.range?;
        let counts = |series: usize| (first..=last).map(|bin| self.counts[place(bin)][series]).collect();
        let series = names.iter().enumerate().map(|(at, &name)| Series { name: name.to_owned(), counts: counts(at) });
        Some(Histogram { width: self.width, first, series: series.collect() })
    }
}

fn place(bin: i64) -> usize {
    bin.rem_euclid(BINS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::lottery::mix;

    fn count(values: &[f64]) -> Option<Histogram> {
        let mut counter = Counter::<1>::new();
        values.iter().for_each(|&value| counter.add(value, 0));
        counter.finish(["all"])
    }

    #[test]
    fn every_value_lies_in_its_bin_and_none_is_lost() {
        for scale in [1e-12, 0.3, 2.0, 1e6, 1e30] {
            let values: Vec<f64> = (0..1_000).map(|i| (mix(i) as f64 / u64::MAX as f64 - 0.3) * scale).collect();
            let Histogram { width, first, series } = count(&values).unwrap();
            let counts = &series[0].counts;
            assert!(counts.len() <= BINS as usize && width.log2().fract() == 0.0, "{scale}");
            assert!(counts.len() as i64 > BINS / 2 - 2 || width == FINEST, "{scale}");
            for (bin, &held) in (first..).zip(counts) {
                let (low, high) = (width * bin as f64, width * (bin + 1) as f64);
                let expected = values.iter().filter(|&&value| value > low && value <= high).count();
                assert_eq!(held, expected as u64, "{scale}: {low} … {high}");
            }
        }
    }

    #[test]
    fn the_order_of_the_values_does_not_matter() {
        let mut values: Vec<f64> = (0..200)
            .map(|i| (mix(i) as f64 / u64::MAX as f64).powi(9) * 1e9 - 5.0)
            .chain([1e30, 1.5e30, 0.0])
            .collect();
        let forward = count(&values);
        values.reverse();
        assert_eq!(count(&values), forward);
        assert_eq!(count(&[f64::INFINITY, f64::NAN]), None);
    }

    #[test]
    fn coarser_bins_hold_what_the_finer_ones_did() {
        let series = |counts: &[u64]| vec![Series { name: String::new(), counts: counts.to_vec() }];
        let coarser = |first, counts: &[u64]| Histogram { width: 0.5, first, series: series(counts) }.coarser();
        assert_eq!(coarser(-3, &[1, 2, 3, 4]), Histogram { width: 1.0, first: -2, series: series(&[1, 5, 4]) });
        assert_eq!(coarser(2, &[1, 2, 3]), Histogram { width: 1.0, first: 1, series: series(&[3, 3]) });
    }

    #[test]
    fn zero_ends_a_bin() {
        let Histogram { first, series, .. } = count(&[-1.0, 0.0, 0.0, 1e-9, 1.0]).unwrap();
        let hard: u64 = (first..).zip(&series[0].counts).filter(|(bin, _)| *bin < 0).map(|(_, count)| count).sum();
        assert_eq!(hard, 3);
    }

    #[test]
    fn quantiles() {
        let series = |counts: &[u64]| Series { name: String::new(), counts: counts.to_vec() };
        let told = [0.0, 0.25, 0.26, 0.5, 1.0].map(|q| series(&[0, 1, 0, 1, 2]).quantile(q));
        assert_eq!(told, [Some(1), Some(1), Some(3), Some(3), Some(4)]);
        assert_eq!(series(&[0, 0]).quantile(0.5), None);
    }
}
