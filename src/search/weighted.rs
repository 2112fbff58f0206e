//! Distance-weighted sampling (Wu, Manmatha, Smola, Krähenbühl 2017): on the unit sphere most rows lie near √2 from an anchor,
//! so that a uniform choice hardly ever meets a near one. Here a row is chosen with a probability ∝ 1/q(d), where
//! `q(d) ∝ dⁿ⁻²·(1 − d²/4)^((n−3)/2)` is the density of distances between random points.
//!
//! Without replacement: of exponential variates with rate 1/q(d), the smallest (Efraimidis, Spirakis 2006).

use super::lottery::combine;
use crate::kernel::Distance;
use crate::store::{Prepared, Row};

/// Nearer than 0.5 and farther than 1.4, in Euclidean terms, weights stay as they are there, as in the authors' program:
/// they would outgrow all others. In cosine terms d²/2.
const NEAREST: f64 = 0.125;
const FARTHEST: f64 = 0.98;

/// Where a row stands in the random order that `key` decides: smaller comes first. `id` is a hash of the row's id, `distance`
/// its cosine distance to the anchor, `dims` n.
///
/// Logarithms are libm's own, which are the same on every machine.
pub(super) fn rank(key: u64, id: u64, distance: Distance, dims: usize) -> u32 {
    let (n, c) = (dims as f64, f64::from(distance.get()).clamp(NEAREST, FARTHEST));
    let density = (n - 2.0) / 2.0 * libm::log(2.0 * c) + (n - 3.0) / 2.0 * libm::log1p(-c / 2.0);
    // In (0, 1).
    let uniform = ((combine(&[key, id]) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    Distance::new((libm::log(-libm::log(uniform)) + density) as f32).ordinal()
}

/// The order of [`Pick::Weighted`](super::Pick::Weighted): a row at this distance from the anchor comes before those that have
/// larger ones.
pub fn weighted_order(key: u64, store: &Prepared, row: Row, distance: Distance) -> u64 {
    let rank = rank(key, store.keys()[row.index()], distance, store.dims());
    u64::from(rank) << 32 | u64::from(row.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of two rows the one with twice the weight comes first two times out of three.
    #[test]
    fn rows_come_first_as_often_as_their_weights_say() {
        let dims = 16;
        let density = |c: f64| (2.0 * c).powf(7.0) * (1.0 - c / 2.0).powf(6.5);
        for (a, b) in [(0.5f32, 0.6f32), (0.9, 0.8), (0.01, 0.125), (1.5, 0.98)] {
            let weight = |c: f32| 1.0 / density(f64::from(c).clamp(NEAREST, FARTHEST));
            let expected = weight(a) / (weight(a) + weight(b));
            let trials = 100_000;
            let of = |key: u64, id: u64, c: f32| rank(key, id, Distance::new(c), dims);
            let first = (0..trials).filter(|&key| of(key, 1, a) < of(key, 2, b)).count() as f64 / trials as f64;
            let deviation = (expected * (1.0 - expected) / trials as f64).sqrt();
            assert!((first - expected).abs() < 4.0 * deviation, "{a} {b}: {first}, expected {expected}");
        }
    }
}
