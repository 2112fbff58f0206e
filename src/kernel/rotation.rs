//! A fixed orthogonal map that spreads every vector's energy over all coordinates.
//!
//! Quantisation loses what the largest coordinate dictates. Real embeddings have a few coordinates far larger than the
//! rest; after random signs and Hadamard transforms (Ailon, Chazelle 2009) all have about the same size, and products,
//! norms and distances are what they were.

/// Orthogonal map of `d` dimensions: two rounds of signs, a Hadamard transform of the first `2ᵏ ≤ d` coordinates, and
/// one of the last. In f64, so that its own rounding, of relative size 1e-14, disappears beside quantisation's.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// One list of ±1 a round.
    signs: [Vec<f64>; ROUNDS],
    width: usize,
}

const ROUNDS: usize = 2;

/// No coordinate of a rotated vector x is off by more than this times ‖x‖: at most 4·17 additions deep, each with a
/// relative error of 2⁻⁵³ of a partial sum that no norm exceeds.
pub const ROTATION_ERROR: f64 = 1e-13;

impl Rotation {
    pub fn new(d: usize) -> Self {
        let width = 1 << d.max(1).ilog2();
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let signs = std::array::from_fn(|_| {
            let sign = |_| {
                // Any fixed sequence will do: xorshift64 (Marsaglia 2003).
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                if state >> 63 == 0 { 1.0 } else { -1.0 }
            };
            (0..d).map(sign).collect()
        });
        Self { signs, width }
    }

    /// Rotates a vector in place.
    pub fn apply(&self, vector: &mut [f64]) {
        let d = vector.len();
        for signs in &self.signs {
            vector.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
            hadamard(&mut vector[..self.width.min(d)]);
            if self.width < d {
                hadamard(&mut vector[d - self.width..]);
            }
        }
    }
}

/// The orthonormal Walsh–Hadamard transform of a power of two of values.
fn hadamard(values: &mut [f64]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (a, b) in left.iter_mut().zip(right) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let factor = 1.0 / (values.len() as f64).sqrt();
    values.iter_mut().for_each(|value| *value *= factor);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(x: &[f64], y: &[f64]) -> f64 {
        x.iter().zip(y).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn products_stay_and_peaks_spread() {
        for d in [1, 2, 3, 7, 64, 100, 384, 4_096] {
            let rotation = Rotation::new(d);
            let mut x: Vec<f64> = (0..d).map(|i| ((i * 37 + 11) % 101) as f64 - 50.0).collect();
            let mut y = vec![0.0; d];
            y[d / 2] = 1_000.0;
            let before = [dot(&x, &x), dot(&x, &y), dot(&y, &y)];
            rotation.apply(&mut x);
            rotation.apply(&mut y);
            for (before, after) in before.into_iter().zip([dot(&x, &x), dot(&x, &y), dot(&y, &y)]) {
                assert!((before - after).abs() <= 1e-9 * before.abs().max(1.0), "d = {d}: {before} became {after}");
            }
            let peak = y.iter().fold(0.0f64, |peak, value| peak.max(value.abs()));
            assert!(peak <= 1_000.0 * (25.0 / d as f64).sqrt().min(1.0) + 1e-9, "d = {d}: {peak}");
        }
    }
}
