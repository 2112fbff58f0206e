//! How far gaps have moved, in memory that does not grow with their number.

use std::collections::BTreeMap;

use serde::Serialize;

/// How much larger gaps have become; negative where negatives have come nearer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Drift {
    pub triplets: u64,
    pub mean: Option<f64>,
    /// The largest there is, in either direction.
    pub largest: f64,
    /// Each to within one part in 4,096 of itself.
    pub quantiles: Option<Quantiles>,
}

/// Of all triplets, so many percent have moved by this much or less.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    pub p5: f64,
    pub p25: f64,
    pub p50: f64,
    pub p75: f64,
    pub p95: f64,
}

/// Counts of values that share sign, exponent and the first bits of the mantissa.
#[derive(Debug, Default)]
pub(super) struct Sketch {
    counts: BTreeMap<u32, u64>,
    total: u64,
    sum: f64,
    largest: f64,
}

/// Bits of an f32 that are not looked at: of its mantissa, 12 are.
const DROPPED: u32 = 11;

impl Sketch {
    pub(super) fn add(&mut self, value: f64) {
        // Adding zero makes −0 and 0 one number.
        let bits = (value as f32 + 0.0).to_bits();
        // Numbers that ascend as the values do: those below zero count down.
        let ascending = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
        *self.counts.entry(ascending >> DROPPED).or_default() += 1;
        self.total += 1;
        self.sum += value;
        self.largest = self.largest.max(value.abs());
    }

    pub(super) fn finish(self) -> Drift {
        let quantile = |share: f64| self.quantile(share);
        let quantiles = (self.total > 0).then(|| Quantiles {
            p5: quantile(0.05),
            p25: quantile(0.25),
            p50: quantile(0.5),
            p75: quantile(0.75),
            p95: quantile(0.95),
        });
        let mean = (self.total > 0).then(|| self.sum / self.total as f64);
        Drift { triplets: self.total, mean, largest: self.largest, quantiles }
    }

    /// The value of the smallest rank that at least `share` of all are within, as its bucket has it: the end nearer to zero.
    fn quantile(&self, share: f64) -> f64 {
        let rank = ((share * self.total as f64).ceil() as u64).max(1);
        let mut below = 0;
        let bucket = self.counts.iter().find(|(_, count)| {
            below += **count;
            below >= rank
        });
        bucket.map_or(0.0, |(&bucket, _)| f64::from(nearer_end(bucket)))
    }
}

fn nearer_end(bucket: u32) -> f32 {
    let first = bucket << DROPPED;
    match first >> 31 {
        1 => f32::from_bits(first & !(1 << 31)),
        _ => f32::from_bits(!(first | ((1 << DROPPED) - 1))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_sorted_values_but_for_their_last_bits() {
        let mut values: Vec<f64> =
            (0..5_000u32).map(|i| f64::from(i.wrapping_mul(2_654_435_761) as i32) / 3e9).collect();
        let mut sketch = Sketch::default();
        values.iter().for_each(|&value| sketch.add(value));
        values.sort_unstable_by(f64::total_cmp);
        let drift = sketch.finish();
        let found = drift.quantiles.unwrap();
        for (share, found) in
            [(0.05, found.p5), (0.25, found.p25), (0.5, found.p50), (0.75, found.p75), (0.95, found.p95)]
        {
            let expected = values[(share * 5_000.0) as usize - 1];
            assert!((found - expected).abs() <= expected.abs() / 4_096.0, "{share}: {found}, not {expected}");
        }
        assert!((drift.mean.unwrap() - values.iter().sum::<f64>() / 5_000.0).abs() < 1e-12);
        assert_eq!(drift.largest, values[0].abs().max(values[4_999]));
    }

    #[test]
    fn no_movement_is_zero() {
        let mut sketch = Sketch::default();
        [0.0, -0.0, 0.0].into_iter().for_each(|value| sketch.add(value));
        let Drift { triplets, mean, largest, quantiles } = sketch.finish();
        let Quantiles { p5, p95, .. } = quantiles.unwrap();
        assert_eq!((triplets, mean, largest, p5, p95), (3, Some(0.0), 0.0, 0.0, 0.0));
        assert_eq!(Sketch::default().finish().quantiles, None);
    }
}
