//! From distances to scores, and how far the two may be apart.

use crate::kernel::product::sum_error;
use crate::kernel::{Distance, Metric};
use crate::store::Prepared;

/// Translates distances, which the kernel computes in f32, into true scores.
///
/// A score is s = x·y (cosine, dot), or x·y − ‖y‖²/2 with both vectors seen from the same centre (Euclidean), so that
/// d = 1 − s, −s, ‖x‖² − 2s or √(‖x‖² − 2s). The kernel's d is the true one but for rounding: a dot product is off by at
/// most γ‖x‖‖y‖ with γ from [`sum_error`], a squared distance, whose terms carry two more roundings, by γd²; the final
/// `1 − s` or `√` adds one or two. All is bounded with ‖y‖ ≤ the store's largest norm and a few spare terms, which also
/// cover the f64 sums behind ‖x‖² and ‖y‖². A row whose true score is beyond the bounds given here is not in the window.
pub(super) struct Ruler {
    metric: Metric,
    gamma: f64,
    /// What the model of relative errors leaves out: a product too small for f32 loses up to its smallest step.
    underflow: f64,
    max_norm: f64,
    /// Of f64 sums over as many squares as vectors have.
    squares: f64,
}

/// The relative error of f64 sums over a few thousand squares, many times over; of longer ones it is their length that counts.
const F64_SUMS: f64 = 1e-11;

impl Ruler {
    pub fn new(store: &Prepared) -> Self {
        let terms = store.dims() + 8;
        Self {
            metric: store.metric(),
            gamma: sum_error(terms),
            underflow: terms as f64 * f64::from(f32::from_bits(1)),
            max_norm: store.max_norm() * (1.0 + 1e-6),
            squares: F64_SUMS.max(terms as f64 * f64::EPSILON),
        }
    }

    /// No row at distance `upto` or nearer has a lower score. `squared_norm` is ‖x‖² as scores see it.
    pub fn lowest_score(&self, squared_norm: f64, upto: Distance) -> f64 {
        let upto = f64::from(upto.get());
        let everything = match self.metric {
            Metric::Cosine => upto >= 2.0,
            _ => upto == f64::INFINITY,
        };
        if everything { f64::NEG_INFINITY } else { self.score(squared_norm, upto) - self.slack(squared_norm, upto) }
    }

    /// No row farther than `above` has a higher score.
    pub fn highest_score(&self, squared_norm: f64, above: Distance) -> f64 {
        let above = f64::from(above.get());
        let everything = match self.metric {
            Metric::Dot => above == f64::NEG_INFINITY,
            _ => above < 0.0,
        };
        if everything { f64::INFINITY } else { self.score(squared_norm, above) + self.slack(squared_norm, above) }
    }

    /// The score of a row at distance `d`, but for rounding.
    fn score(&self, squared_norm: f64, d: f64) -> f64 {
        match self.metric {
            Metric::Cosine => 1.0 - d,
            Metric::Dot => -d,
            Metric::SqEuclidean => 0.5 * (squared_norm - d),
            Metric::Euclidean => 0.5 * (squared_norm - d * d.abs()),
        }
    }

    fn slack(&self, squared_norm: f64, d: f64) -> f64 {
        let squares = self.squares * (squared_norm + 4.0 * self.max_norm * self.max_norm);
        let rounding = match self.metric {
            Metric::Cosine => squared_norm.sqrt() * self.max_norm + 2.0,
            Metric::Dot => squared_norm.sqrt() * self.max_norm + d.abs(),
            Metric::SqEuclidean => 2.0 * d.abs(),
            Metric::Euclidean => 2.0 * d * d,
        };
        self.gamma * rounding + squares + 2.0 * self.underflow
    }
}
