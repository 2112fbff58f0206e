//! Linear maps learned from scatter matrices: PCA whitening, RCA, LDA.

use super::products::products;
use super::{Eigen, Gram, NotConverged, eigen};

/// Variances below this share of the largest count as this share: a direction in which nothing varies is not stretched
/// beyond measure, at most ten thousand times as much as the widest.
pub const FLOOR: f64 = 1e-8;

/// What was learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// `k × d`, row-major.
    pub matrix: Vec<f64>,
    /// Directions, among those used, whose variance was lifted to [`FLOOR`].
    pub floored: usize,
}

/// Why nothing can be learned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    #[error("nothing varies")]
    Flat,
    #[error(transparent)]
    NotConverged(#[from] NotConverged),
}

/// The directions of a covariance, each with its deviation: the square root of its variance, lifted.
struct Axes {
    eigen: Eigen,
    deviations: Vec<f64>,
    floored: usize,
}

fn axes(covariance: Vec<f64>, d: usize, keep: usize) -> Result<Axes, LearnError> {
    let eigen = eigen(covariance, d)?;
    let floor = FLOOR * eigen.values.first().copied().unwrap_or(0.0);
    if floor <= 0.0 {
        return Err(LearnError::Flat);
    }
    let deviations = eigen.values.iter().map(|variance| variance.max(floor).sqrt()).collect();
    let floored = eigen.values[..keep].iter().filter(|variance| **variance < floor).count();
    Ok(Axes { eigen, deviations, floored })
}

impl Axes {
    /// The first `keep` directions, each divided by its deviation.
    fn whitening(&self, d: usize, keep: usize) -> Vec<f64> {
        let axes = self.eigen.vectors.chunks_exact(d).zip(&self.deviations).take(keep);
        axes.flat_map(|(axis, deviation)| axis.iter().map(move |value| value / deviation)).collect()
    }
}

/// PCA whitening: the `keep` directions of largest variance, each divided by its standard deviation, so that the covariance
/// becomes the identity. `covariance` is `d × d`.
///
/// # Errors
/// When all vectors are one.
pub fn whitening(covariance: Vec<f64>, d: usize, keep: usize) -> Result<Learned, LearnError> {
    let axes = axes(covariance, d, keep)?;
    Ok(Learned { matrix: axes.whitening(d, keep), floored: axes.floored })
}

/// Relevant component analysis (Bar-Hillel, Hertz, Shental, Weinshall 2003): the symmetric inverse square root of the
/// covariance within chunklets, which becomes the identity. `within` is `d × d`.
///
/// # Errors
/// When no two vectors of one chunklet differ.
pub fn relevant(within: Vec<f64>, d: usize) -> Result<Learned, LearnError> {
    let Axes { eigen, deviations, floored } = axes(within, d, d)?;
    let mut matrix = Gram::new(d);
    for (axis, deviation) in eigen.vectors.chunks_exact(d).zip(&deviations) {
        let root = deviation.sqrt();
        matrix.add(axis.iter().map(|value| value / root));
    }
    Ok(Learned { matrix: matrix.finish(1.0), floored })
}

/// Linear discriminant analysis (Fisher 1936; Rao 1948): the `keep` directions in which the scatter between classes is
/// largest relative to that within, scaled so that the covariance within classes becomes the identity. Solved as two
/// symmetric problems: `within` is whitened, then `between` is diagonalised there. Both are `d × d`.
///
/// # Errors
/// When no two vectors of one class differ.
pub fn discriminants(within: Vec<f64>, between: &[f64], d: usize, keep: usize) -> Result<Learned, LearnError> {
    let axes = axes(within, d, d)?;
    let white = axes.whitening(d, d);
    let half = products(&white, between, d);
    let whole = products(&half, &white, d);
    // Symmetric but for rounding.
    let between = (0..d * d).map(|at| 0.5 * (whole[at] + whole[at % d * d + at / d])).collect();
    drop((half, whole));
    let directions = eigen(between, d)?.vectors;
    let transposed: Vec<f64> = (0..d * d).map(|at| white[at % d * d + at / d]).collect();
    Ok(Learned { matrix: products(&directions[..keep * d], &transposed, d), floored: axes.floored })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `L C Lᵀ`.
    fn image(matrix: &[f64], covariance: &[f64], d: usize) -> Vec<f64> {
        products(&products(matrix, covariance, d), matrix, d)
    }

    #[track_caller]
    fn near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() < 1e-12, "at {at}: {found}, expected {expected}");
        }
    }

    #[test]
    fn whitening_of_a_known_covariance() {
        // Variances 9 along (1, 1)/√2 and 1 along (1, −1)/√2.
        let covariance = vec![5.0, 4.0, 4.0, 5.0];
        let half = 0.5f64.sqrt();
        let found = whitening(covariance.clone(), 2, 2).unwrap();
        near(&found.matrix[..2], &[half / 3.0, half / 3.0]);
        near(&image(&found.matrix, &covariance, 2), &[1.0, 0.0, 0.0, 1.0]);
        near(&whitening(covariance.clone(), 2, 1).unwrap().matrix, &[half / 3.0, half / 3.0]);
        // The symmetric root: (1/3 + 1)/2 on the diagonal, (1/3 − 1)/2 beside it.
        near(&relevant(covariance, 2).unwrap().matrix, &[2.0 / 3.0, -1.0 / 3.0, -1.0 / 3.0, 2.0 / 3.0]);
    }

    #[test]
    fn what_does_not_vary_is_lifted_and_counted() {
        let found = whitening(vec![4.0, 0.0, 0.0, 0.0], 2, 2).unwrap();
        assert_eq!(found.floored, 1);
        near(&found.matrix, &[0.5, 0.0, 0.0, 1.0 / (4.0 * FLOOR).sqrt()]);
        assert_eq!(whitening(vec![4.0, 0.0, 0.0, 0.0], 2, 1).unwrap().floored, 0, "it is not used");
        assert_eq!(whitening(vec![0.0; 4], 2, 2), Err(LearnError::Flat));
        assert_eq!(relevant(vec![0.0; 4], 2), Err(LearnError::Flat));
    }

    #[test]
    fn the_discriminant_of_two_classes_is_fisher_s() {
        // Means (0, 0) and (2, 0) of as many rows, within-class covariance [[2, 1], [1, 2]]: S_w⁻¹ (2, 0) ∝ (2, −1).
        let (within, between) = (vec![2.0, 1.0, 1.0, 2.0], [1.0, 0.0, 0.0, 0.0]);
        let found = discriminants(within.clone(), &between, 2, 1).unwrap().matrix;
        near(&[found[1] / found[0]], &[-0.5]);
        near(&image(&found, &within, 2), &[1.0]);
        // Separation in units of the deviation within: (1, 0) S_w⁻¹ (1, 0)ᵀ.
        near(&image(&found, &between, 2), &[2.0 / 3.0]);
    }
}
