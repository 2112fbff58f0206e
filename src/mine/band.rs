//! The three bands of the gap g = d(a, n) − d(a, p).

use serde::{Deserialize, Serialize};

use crate::kernel::Distance;

/// Where a negative lies, seen from an (anchor, positive) pair with margin m. Every negative is in exactly one band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Band {
    /// g ≤ 0: nearer than the positive.
    Hard,
    /// 0 < g ≤ m: FaceNet's band (Schroff et al. 2015).
    SemiHard,
    /// g > m: zero triplet loss.
    Easy,
}

impl Band {
    pub const ALL: [Self; 3] = [Self::Hard, Self::SemiHard, Self::Easy];

    /// As written in pipelines and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::SemiHard => "semi-hard",
            Self::Easy => "easy",
        }
    }

    /// The band of a negative. The gap of two f32 distances is formed in f64, where it is exact for all but absurdly
    /// different magnitudes, and compared with the margin as written.
    pub fn of(d_ap: Distance, d_an: Distance, margin: f64) -> Self {
        let gap = f64::from(d_an.get()) - f64::from(d_ap.get());
        if gap <= 0.0 {
            Self::Hard
        } else if gap <= margin {
            Self::SemiHard
        } else {
            Self::Easy
        }
    }

    /// The distances `(above, upto]` of this band for a pair: exactly those that [`Band::of`] puts in it.
    pub fn window(self, d_ap: Distance, margin: f64) -> (Distance, Distance) {
        match self {
            Self::Hard => (Distance::MIN, d_ap),
            Self::SemiHard => (d_ap, last_within(d_ap, margin)),
            Self::Easy => (last_within(d_ap, margin), Distance::MAX),
        }
    }
}

/// The largest f32 distance whose gap to `d_ap` is at most `margin`.
fn last_within(d_ap: Distance, margin: f64) -> Distance {
    last(|d| f64::from(d.get()) - f64::from(d_ap.get()) <= margin)
}

/// The largest distance for which a condition holds that holds up to some distance; [`Distance::MIN`] for none.
pub(super) fn last(holds: impl Fn(Distance) -> bool) -> Distance {
    // By halves: around zero there are a thousand million of them, and no gap tells one from another.
    let (mut low, mut high) = (Distance::MIN.ordinal(), Distance::MAX.ordinal());
    while low < high {
        let middle = high - (high - low) / 2;
        if holds(Distance::from_ordinal(middle)) { low = middle } else { high = middle - 1 }
    }
    Distance::from_ordinal(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_bands_agree_at_every_edge() {
        for d_ap in [-3.0f32, -1.0, -0.5, -0.2, 0.0, 1e-30, 0.1, 0.3, 0.7, 1.999_999_9, 77.0, 1e20] {
            for margin in [1e-9f64, 0.1, 0.2, f64::from(0.2f32), 0.5, 1.0, 3.0, 1e25] {
                let d_ap = Distance::new(d_ap);
                for band in Band::ALL {
                    let (above, upto) = band.window(d_ap, margin);
                    for edge in [above.get(), upto.get()].into_iter().filter(|v| v.is_finite()) {
                        for d in [edge.next_down(), edge, edge.next_up()] {
                            let d = Distance::new(d);
                            let inside = d > above && d <= upto;
                            assert_eq!(inside, Band::of(d_ap, d, margin) == band, "{d_ap:?} {margin} {band:?} {d:?}");
                        }
                    }
                }
            }
        }
    }
}
