//! Proportions of clustered trials: how sure one is of a share, and whether two shares can be one.

use serde::{Deserialize, Serialize};

/// A proportion with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

/// A share, and the independent trials that its sample is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proportion {
    pub estimate: f64,
    pub worth: f64,
}

/// Of a standard normal deviate, what 95 % lie within.
const WITHIN_95: f64 = 1.959_964;

/// So many standard errors apart, two samples are not of one proportion. Of normal deviates 6 in 10 million are as far out. Shares
/// near 1 of few anchors with very unequal counts have heavier tails, of which this leaves less than one in ten thousand.
const APART: f64 = 5.0;

impl Proportion {
    /// The ratio Σhits / Σall over clusters `(hits, all)`. Its sample is worth the count of trials divided by the design effect of
    /// clustering (Kish 1965). `None` without a trial.
    pub(super) fn of(clusters: &[(f64, f64)]) -> Option<Self> {
        let trials: f64 = clusters.iter().map(|(_, all)| all).sum();
        if trials == 0.0 {
            return None;
        }
        let estimate = clusters.iter().map(|(hits, _)| hits).sum::<f64>() / trials;
        let count = clusters.len() as f64;
        let binomial = estimate * (1.0 - estimate) / trials;
        let residuals: f64 = clusters.iter().map(|(hits, all)| (hits - estimate * all).powi(2)).sum();
        let clustered = residuals / (trials * trials) * count / (count - 1.0).max(1.0);
        // Without a single failure (or success) there is no variance to compare: each cluster counts once.
        let worth = if binomial > 0.0 { trials / (clustered / binomial).max(1.0) } else { count };
        Some(Self { estimate, worth })
    }

    /// Wilson's interval (1927) of 95 %.
    pub fn interval(&self) -> Interval {
        let [low, high] = self.within(WITHIN_95);
        Interval { estimate: self.estimate, low, high }
    }

    /// The ends of Wilson's interval, `z` standard errors wide.
    fn within(&self, z: f64) -> [f64; 2] {
        let Self { estimate, worth } = *self;
        let centre = (estimate + z * z / (2.0 * worth)) / (1.0 + z * z / worth);
        let half =
            z / (1.0 + z * z / worth) * (estimate * (1.0 - estimate) / worth + z * z / (4.0 * worth * worth)).sqrt();
        [(centre - half).max(0.0), (centre + half).min(1.0)]
    }

    /// Whether two disjoint samples cannot be of one population: the interval of the difference of their shares, put together from
    /// Wilson's two (Newcombe 1998, *Statistics in Medicine* 17, 873–890, method 10) at five standard errors, leaves out 0:
    ///
    /// ```text
    /// |p − q| > √((p − low(p))² + (high(q) − q)²)     where p > q
    /// ```
    ///
    /// An honest pair fails with a probability below 10⁻⁴. Samples that are drawn from few anchors without replacement are no
    /// farther apart than that: what one has more, the other has less.
    pub fn differs(&self, other: &Self) -> bool {
        let [upper, lower] = if self.estimate >= other.estimate { [self, other] } else { [other, self] };
        let (down, up) = (upper.estimate - upper.within(APART)[0], lower.within(APART)[1] - lower.estimate);
        upper.estimate - lower.estimate > down.hypot(up)
    }
}

impl Interval {
    /// Whether both ends can be Wilson's: they are the roots of (estimate − x)² = z² · x(1 − x) / worth for one `worth`.
    pub fn is_plausible(&self) -> bool {
        let Self { estimate, low, high } = *self;
        // Where the estimate is 0 or 1, an end is the same but for rounding.
        let ordered = 0.0 <= low && low <= estimate + 1e-12 && estimate <= high + 1e-12 && high <= 1.0 && low < high;
        let spread = |x: f64, y: f64| x * (1.0 - x) * (estimate - y).powi(2);
        let (a, b) = (spread(low, high), spread(high, low));
        ordered && (a - b).abs() <= 1e-6 * a.max(b).max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::lottery::mix;

    fn interval(clusters: &[(f64, f64)]) -> Option<Interval> {
        Proportion::of(clusters).map(|proportion| proportion.interval())
    }

    #[test]
    fn wilson_on_independent_trials() {
        // 95 of 100: Wilson's interval is 0.8882 to 0.9785.
        let clusters: Vec<(f64, f64)> = (0..100).map(|i| (f64::from(u8::from(i >= 5)), 1.0)).collect();
        let found = interval(&clusters).unwrap();
        assert_eq!(found.estimate, 0.95);
        assert!((found.low - 0.888_2).abs() < 5e-4 && (found.high - 0.978_5).abs() < 5e-4, "{found:?}");
    }

    #[test]
    fn clustered_failures_widen_it() {
        let apart: Vec<(f64, f64)> = (0..100).map(|_| (9.0, 10.0)).collect();
        let together: Vec<(f64, f64)> = (0..100).map(|i| (if i < 10 { 0.0 } else { 10.0 }, 10.0)).collect();
        let (apart, together) = (interval(&apart).unwrap(), interval(&together).unwrap());
        assert_eq!(apart.estimate, together.estimate);
        assert!(together.high - together.low > 2.0 * (apart.high - apart.low), "{apart:?} {together:?}");
    }

    #[test]
    fn perfect_recall_still_has_a_lower_end() {
        let found = interval(&[(1.0, 1.0); 50]).unwrap();
        assert_eq!(found.estimate, 1.0);
        assert!(found.low > 0.92 && found.low < 0.94, "{found:?}");
        assert_eq!(interval(&[]), None);
    }

    /// Anchors with 1 to 9 rows each, of which `missed` in a thousand anchors miss all.
    fn sample(anchors: u64, missed: u64, seed: u64) -> Proportion {
        let clusters: Vec<(f64, f64)> = (0..anchors)
            .map(|anchor| {
                let draw = mix(seed << 32 | anchor);
                let all = (1 + draw % 9) as f64;
                (if (draw >> 20) % 1_000 < missed { 0.0 } else { all }, all)
            })
            .collect();
        Proportion::of(&clusters).unwrap()
    }

    #[test]
    fn samples_of_one_population_do_not_differ_and_others_do() {
        for (missed, other) in [(0, 150), (10, 200), (50, 300)] {
            for seed in 0..200 {
                let one = sample(1_000, missed, 2 * seed);
                assert!(!one.differs(&sample(500, missed, 2 * seed + 1)), "{missed}, seed {seed}");
                let another = sample(500, other, 2 * seed + 1);
                assert!(one.differs(&another) && another.differs(&one), "{missed} and {other}, seed {seed}");
            }
        }
    }

    #[test]
    fn ends_that_no_sample_gives_are_not_plausible() {
        for honest in [sample(1_000, 50, 1), sample(30, 0, 2), sample(300, 400, 3), sample(1_000, 1_000, 4)] {
            let honest = honest.interval();
            assert!(honest.is_plausible(), "{honest:?}");
            let forged = [
                Interval { estimate: honest.estimate + 0.01, ..honest },
                Interval { low: (honest.low + honest.estimate) / 2.0, ..honest },
                Interval { high: honest.estimate + 0.9 * (honest.high - honest.estimate) + 1e-3, ..honest },
            ];
            // Of a share of 1 any lower end is that of some sample, and of 0 any upper end.
            for forged in &forged[..if honest.estimate > 0.0 && honest.estimate < 1.0 { 3 } else { 1 }] {
                assert!(!forged.is_plausible(), "{forged:?} of {honest:?}");
            }
        }
    }
}
