//! The distance that decides: one fixed-order f32 kernel a metric.

use std::cmp::Ordering;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

#[cfg(target_arch = "x86_64")]
mod wide;

/// A distance between two vectors: smaller is nearer, for every metric; never NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance(f32);

impl Distance {
    /// Below every distance: the open end of a window.
    pub const MIN: Self = Self(f32::NEG_INFINITY);
    /// Above every distance.
    pub const MAX: Self = Self(f32::INFINITY);

    /// Wraps a value that is known not to be NaN.
    pub fn new(value: f32) -> Self {
        debug_assert!(!value.is_nan(), "a distance is never NaN");
        // -0.0 + 0.0 is 0.0: one zero only, so that bits order and compare as values do.
        Self(value + 0.0)
    }

    /// The value, in the metric's own units.
    pub fn get(self) -> f32 {
        self.0
    }

    /// A number that orders as the distance does, and [`Distance::from_ordinal`] turns back.
    pub fn ordinal(self) -> u32 {
        let bits = self.0.to_bits();
        // Negative floats order backwards as integers; positive ones must come after them.
        if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
    }

    /// The inverse of [`Distance::ordinal`].
    pub fn from_ordinal(ordinal: u32) -> Self {
        let bits = if ordinal >> 31 == 1 { ordinal & !(1 << 31) } else { !ordinal };
        Self(f32::from_bits(bits))
    }
}

impl Eq for Distance {}

impl Ord for Distance {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ordinal().cmp(&other.ordinal())
    }
}

impl PartialOrd for Distance {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// How two vectors are compared. Smaller is nearer for each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// `1 − x·y` over L2-normalised vectors, clamped to `0 … 2`.
    #[default]
    Cosine,
    /// `‖x − y‖`.
    Euclidean,
    /// `‖x − y‖²`.
    SqEuclidean,
    /// `−x·y`.
    Dot,
}

impl Metric {
    /// The similarity s(x, y) behind a distance, in f64: 1 − d under cosine, −d otherwise.
    pub fn score(self, distance: Distance) -> f64 {
        let whole = if self == Self::Cosine { 1.0 } else { 0.0 };
        whole - f64::from(distance.get())
    }

    /// The distance between two vectors of the same length, in a fixed order of operations.
    ///
    /// Cosine expects both vectors normalised. Finite vectors whose squared norm is at most
    /// [`Metric::MAX_SQUARED_NORM`] give a finite distance.
    pub fn distance(self, x: &[f32], y: &[f32]) -> Distance {
        Measure::of(self).distance(x, y)
    }

    /// A store with a larger squared norm is refused: `‖x − y‖² ≤ 4·max` and every partial sum must stay finite.
    pub const MAX_SQUARED_NORM: f64 = f32::MAX as f64 / 8.0;

    /// Whether vectors are L2-normalised before they are compared.
    pub fn normalises(self) -> bool {
        self == Self::Cosine
    }

    /// As written in a pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
            Self::SqEuclidean => "sqeuclidean",
            Self::Dot => "dot",
        }
    }
}

/// Left to right in f64, so that it can be repeated anywhere to the bit.
pub fn squared_norm(vector: &[f32]) -> f64 {
    vector.iter().fold(0.0, |sum, &value| sum + f64::from(value) * f64::from(value))
}

/// Divides a vector by its norm in f64, and rounds; its [`squared_norm`] is not 0.
pub fn normalise(vector: &mut [f32], squared_norm: f64) {
    let norm = squared_norm.sqrt();
    for value in vector {
        *value = (f64::from(*value) / norm) as f32;
    }
}

/// Independent partial sums. Sixteen fill one AVX-512 register, two AVX2 or four NEON ones; without a fused multiply-add
/// (which not every machine has) each lane's rounding is the same everywhere, so any of them gives the same bits.
const LANES: usize = 16;

fn fixed_order(x: &[f32], y: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    debug_assert_eq!(x.len(), y.len(), "vectors of one store have one length");
    let mut sums = [0.0f32; LANES];
    let (xs, x_tail) = x.as_chunks::<LANES>();
    let (ys, y_tail) = y.as_chunks::<LANES>();
    for (a, b) in xs.iter().zip(ys) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    for (lane, (&a, &b)) in x_tail.iter().zip(y_tail).enumerate() {
        sums[lane] += term(a, b);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// A metric with its sum for this machine looked up.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    metric: Metric,
    sums: &'static Sums,
}

impl Measure {
    pub fn of(metric: Metric) -> Self {
        let kinds: &[Sums; 2] = &SUMS;
        let [products, differences] = kinds;
        let sums = match metric {
            Metric::Cosine | Metric::Dot => products,
            Metric::Euclidean | Metric::SqEuclidean => differences,
        };
        Self { metric, sums }
    }

    /// [`Metric::distance`].
    #[inline]
    pub fn distance(&self, x: &[f32], y: &[f32]) -> Distance {
        self.of_sum((self.sums.one)(x, y))
    }

    /// The distances of `x` to these rows of `vectors` (row-major, as wide as `x`), in their order.
    ///
    /// # Panics
    /// When a row is not there.
    pub fn distances(&self, x: &[f32], vectors: &[f32], rows: &[u32], distances: &mut Vec<f32>) {
        distances.clear();
        (self.sums.many)(x, vectors, rows, distances);
        distances.iter_mut().for_each(|sum| *sum = self.of_sum(*sum).get());
    }

    #[inline]
    fn of_sum(&self, sum: f32) -> Distance {
        Distance::new(match self.metric {
            Metric::Cosine => (1.0 - sum).clamp(0.0, 2.0),
            Metric::Euclidean => sum.sqrt(),
            Metric::SqEuclidean => sum,
            Metric::Dot => -sum,
        })
    }
}

/// Whether the processor has the registers that [`wide`] needs.
#[cfg(target_arch = "x86_64")]
fn is_wide() -> bool {
    is_x86_feature_detected!("avx512f")
}

/// The instructions that sums use on this machine.
pub(super) fn instructions() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if is_wide() {
        return "avx512f";
    }
    "portable"
}

/// One kind of sum, for one kind of machine.
#[derive(Debug)]
struct Sums {
    /// Of two vectors.
    one: fn(&[f32], &[f32]) -> f32,
    many: Many,
}

/// Sums of a vector and some rows of a matrix, appended in their order.
type Many = fn(&[f32], &[f32], &[u32], &mut Vec<f32>);

/// Products and squared differences: the same operations in the same order, on the registers of this machine.
static SUMS: LazyLock<[Sums; 2]> = LazyLock::new(|| {
    #[cfg(target_arch = "x86_64")]
    if is_wide() {
        return wide::SUMS;
    }
    fn each(x: &[f32], vectors: &[f32], rows: &[u32], term: impl Fn(f32, f32) -> f32, sums: &mut Vec<f32>) {
        sums.extend(rows.iter().map(|&row| fixed_order(x, &vectors[row as usize * x.len()..][..x.len()], &term)));
    }
    [
        Sums {
            one: |x, y| fixed_order(x, y, |a, b| a * b),
            many: |x, vectors, rows, sums| each(x, vectors, rows, |a, b| a * b, sums),
        },
        Sums {
            one: |x, y| fixed_order(x, y, |a, b| (a - b) * (a - b)),
            many: |x, vectors, rows, sums| each(x, vectors, rows, |a, b| (a - b) * (a - b), sums),
        },
    ]
});

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract, one operation at a time: lane `i % 16` takes term `i`, then the lanes fold in halves.
    fn reference(x: &[f32], y: &[f32], term: fn(f32, f32) -> f32) -> f32 {
        let mut sums = [0.0f32; 16];
        for i in 0..x.len() {
            sums[i % 16] += term(x[i], y[i]);
        }
        for width in [8, 4, 2, 1] {
            for lane in 0..width {
                sums[lane] += sums[lane + width];
            }
        }
        sums[0]
    }

    #[test]
    fn equals_the_scalar_reference_at_every_length() {
        let value = |i: usize| ((i * 2_654_435_761) % 1_000) as f32 / 7.0 - 70.0;
        for d in 0..140 {
            let x: Vec<f32> = (0..d).map(value).collect();
            let y: Vec<f32> = (0..d).map(|i| value(i + 977)).collect();
            assert_eq!((SUMS[0].one)(&x, &y).to_bits(), reference(&x, &y, |a, b| a * b).to_bits(), "dot, d = {d}");
            let square = |a: f32, b: f32| (a - b) * (a - b);
            assert_eq!((SUMS[1].one)(&x, &y).to_bits(), reference(&x, &y, square).to_bits(), "squared, d = {d}");
        }
    }

    #[test]
    fn many_distances_are_those_of_each() {
        for d in [1, 3, 16, 17, 100] {
            let vectors: Vec<f32> = (0..11 * d).map(|i| ((i * 7_919) % 1_009) as f32 / 500.0 - 1.0).collect();
            let x = &vectors[..d];
            for metric in [Metric::Cosine, Metric::Euclidean, Metric::SqEuclidean, Metric::Dot] {
                for rows in [&[][..], &[3], &[10, 0, 0, 7], &[9, 8, 7, 6, 5, 4, 3]] {
                    let each: Vec<f32> =
                        rows.iter().map(|&r| metric.distance(x, &vectors[r as usize * d..][..d]).get()).collect();
                    let mut many = vec![1.0];
                    Measure::of(metric).distances(x, &vectors, rows, &mut many);
                    assert_eq!(many, each, "{metric:?}, d = {d}, {rows:?}");
                }
            }
        }
    }

    #[test]
    fn every_metric_is_symmetric_and_smaller_is_nearer() {
        let (a, near, far) = ([1.0, 0.0], [0.8, 0.6], [0.0, 1.0]);
        for metric in [Metric::Cosine, Metric::Euclidean, Metric::SqEuclidean, Metric::Dot] {
            assert!(metric.distance(&a, &near) < metric.distance(&a, &far), "{metric:?}");
            assert_eq!(metric.distance(&a, &near), metric.distance(&near, &a), "{metric:?}");
        }
        assert_eq!(Metric::Cosine.distance(&[1.0], &[-1.0]).get(), 2.0);
    }

    #[test]
    fn ordinals_order_as_distances_do_and_turn_back() {
        let values = [f32::NEG_INFINITY, -7.5, -1e-40, -0.0, 0.0, 1e-40, 0.3, 2.0, f32::MAX, f32::INFINITY];
        for pair in values.windows(2) {
            let (a, b) = (Distance::new(pair[0]), Distance::new(pair[1]));
            assert_eq!(a.cmp(&b), pair[0].partial_cmp(&pair[1]).unwrap(), "{pair:?}");
            assert_eq!(Distance::from_ordinal(a.ordinal()), a);
        }
    }

    #[test]
    fn the_largest_admitted_norm_stays_finite() {
        let norm = (Metric::MAX_SQUARED_NORM.sqrt()) as f32 * 0.999;
        assert!(Metric::SqEuclidean.distance(&[norm], &[-norm]).get().is_finite());
        assert!(Metric::Dot.distance(&[norm], &[norm]).get().is_finite());
    }
}
