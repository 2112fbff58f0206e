//! Matrix products, and maps `x ↦ L·(x − m)`.

use pulp::Arch;
use rayon::prelude::*;

use super::{LANES, Lane, add_outer_products};

/// `n × k` products of the rows of `a` (`n × d`) with the rows of `b` (`k × d`): `a·bᵀ`, each summed from the first
/// dimension to the last.
pub(super) fn products(a: &[f64], b: &[f64], d: usize) -> Vec<f64> {
    let (b, k) = (panels(b, d), b.len() / d.max(1));
    let mut out = vec![0.0; a.len() / d.max(1) * k];
    let (rows, targets) = (a.par_chunks(LANES * d.max(1)), out.par_chunks_mut(LANES * k.max(1)));
    rows.zip(targets).for_each(|(rows, out)| multiply(Arch::new(), &panels(rows, d), &b, d, k, out));
    out
}

/// Eight rows of `vectors` (`n × d`) side by side, value by value, then the next eight; zeros fill the last.
fn panels(vectors: &[f64], d: usize) -> Vec<Lane> {
    let mut panels = vec![[0.0; LANES]; vectors.len().div_ceil(LANES * d.max(1)) * d];
    for (row, vector) in vectors.chunks_exact(d.max(1)).enumerate() {
        for (lanes, value) in panels[row / LANES * d..].iter_mut().zip(vector) {
            lanes[row % LANES] = *value;
        }
    }
    panels
}

/// Writes the products of the rows of two lists of panels into `out` (`n × k`), which ends where the rows do.
fn multiply(arch: Arch, a: &[Lane], b: &[Lane], d: usize, k: usize, out: &mut [f64]) {
    for (a, out) in a.chunks_exact(d.max(1)).zip(out.chunks_mut(LANES * k.max(1))) {
        for (j, b) in b.chunks_exact(d.max(1)).enumerate() {
            let mut tile = [[0.0; LANES]; LANES];
            add_outer_products(arch, a, b, &mut tile);
            for (sums, out) in tile.iter().zip(out.chunks_exact_mut(k)) {
                out[j * LANES..].iter_mut().zip(sums).for_each(|(place, sum)| *place = *sum);
            }
        }
    }
}

/// The map `x ↦ L·(x − m)` of `d` values to `k`.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// `m`, `d` values.
    mean: Vec<f64>,
    /// `L`, `k × d`, row-major.
    matrix: Vec<f64>,
    shape: Shape,
}

/// How products with the matrix are taken.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    /// Nothing but zeros beside the diagonal: no sums at all.
    Diagonal,
    Dense(Vec<Lane>),
}

impl Map {
    /// `mean` has `d ≥ 1` values, `matrix` a multiple of that.
    pub fn new(mean: Vec<f64>, matrix: Vec<f64>) -> Self {
        let d = mean.len();
        let beside = |(at, value): (usize, &f64)| at / d != at % d && *value != 0.0;
        let diagonal = matrix.len() == d * d && !matrix.iter().enumerate().any(beside);
        let shape = if diagonal { Shape::Diagonal } else { Shape::Dense(panels(&matrix, d)) };
        Self { mean, matrix, shape }
    }

    /// `m`.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// `L`, `k × d`, row-major.
    pub fn matrix(&self) -> &[f64] {
        &self.matrix
    }

    /// k.
    pub fn dims(&self) -> usize {
        self.matrix.len() / self.mean.len()
    }

    /// Maps `vectors` (`n × d`) to `n × k`, on one thread; callers share out rows. A result that is nothing but what rounding
    /// leaves of a zero is zero.
    pub fn apply(&self, vectors: &[f32]) -> Vec<f64> {
        let (d, k) = (self.mean.len(), self.dims());
        let centred: Vec<f64> = vectors
            .chunks_exact(d)
            .flat_map(|vector| vector.iter().zip(&self.mean).map(|(&value, mean)| f64::from(value) - mean))
            .collect();
        let n = centred.len() / d;
        let mut mapped = match &self.shape {
            Shape::Diagonal => {
                let scales = self.matrix.iter().step_by(d + 1);
                centred
                    .chunks_exact(d)
                    .flat_map(|vector| vector.iter().zip(scales.clone()).map(|(x, s)| x * s))
                    .collect()
            }
            Shape::Dense(matrix) => {
                let mut mapped = vec![0.0; n * k];
                multiply(Arch::new(), &panels(&centred, d), matrix, d, k, &mut mapped);
                mapped
            }
        };
        let reach: Vec<f64> = self.matrix.chunks_exact(d).map(|row| norm(row) * ROUNDING).collect();
        let offset = norm(&self.mean);
        for (vector, mapped) in vectors.chunks_exact(d).zip(mapped.chunks_exact_mut(k)) {
            let length = vector.iter().fold(0.0, |sum, &value| sum + f64::from(value) * f64::from(value)).sqrt();
            if mapped.iter().zip(&reach).all(|(value, reach)| value.abs() <= reach * (length + offset)) {
                mapped.fill(0.0);
            }
        }
        mapped
    }
}

/// Of ‖l‖·(‖x‖ + ‖m‖), l a row of L, what rounding may leave of a zero: some hundred units of f64, far below what f32 resolves.
const ROUNDING: f64 = 1e-14;

fn norm(vector: &[f64]) -> f64 {
    vector.iter().fold(0.0, |sum, value| sum + value * value).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_maps_are_what_they_say() {
        for (n, k, d) in [(1, 1, 1), (9, 3, 5), (17, 20, 8), (3, 8, 31)] {
            let values =
                |count: usize, salt: usize| (0..count).map(|i| ((i * 7 + salt) % 13) as f64 - 6.0).collect::<Vec<_>>();
            let (a, b, mean) = (values(n * d, 1), values(k * d, 5), values(d, 3));
            let entry = |x: &[f64], row: &[f64]| x.iter().zip(row).map(|(x, y)| x * y).sum::<f64>();
            let expected: Vec<f64> = a.chunks(d).flat_map(|x| b.chunks(d).map(move |row| entry(x, row))).collect();
            assert_eq!(products(&a, &b, d), expected);
            let vectors: Vec<f32> =
                a.chunks(d).flat_map(|x| x.iter().zip(&mean).map(|(x, m)| (x + m) as f32)).collect();
            let map = Map::new(mean, b);
            assert_eq!(map.dims(), k);
            assert_eq!(map.apply(&vectors), expected);
        }
    }

    #[test]
    fn a_diagonal_is_no_other_map() {
        let map = Map::new(vec![1.0, 2.0], vec![3.0, 0.0, 0.0, -0.5]);
        assert_eq!(map.shape, Shape::Diagonal);
        assert_eq!(map.apply(&[2.0, 0.0, 1.0, 4.0]), [3.0, 1.0, 0.0, -1.0]);
    }

    #[test]
    fn what_rounding_leaves_of_zero_is_zero() {
        // 0.1 + 0.2 − 0.3 is not zero in f64.
        let map = Map::new(vec![0.0; 3], vec![0.1, 0.2, -0.3]);
        assert_eq!(map.apply(&[1.0, 1.0, 1.0]), [0.0]);
        assert_ne!(map.apply(&[1.0, 1.0, 1.000001]), [0.0]);
        // A row of other size says nothing about this one.
        let map = Map::new(vec![0.0; 3], vec![0.1, 0.2, -0.3, 1e30, 1e30, -2e30]);
        assert_ne!(map.apply(&[1.0, 1.0, 1.000001])[0], 0.0);
        assert_eq!(map.apply(&[1.0, 1.0, 1.0]), [0.0, 0.0]);
    }
}
