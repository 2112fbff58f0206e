//! Eigenvalues and eigenvectors of a symmetric matrix.
//!
//! Householder reduction to a tridiagonal matrix, then implicit QL steps: `tred2` and `imtql2` of EISPACK (Martin, Reinsch,
//! Wilkinson 1968; Dubrulle 1970; Smith et al. 1976). The rotations of many steps are kept and applied together, strip by
//! strip of the eigenvectors, so that a strip stays in a cache and strips go to all threads.

use pulp::Arch;
use rayon::prelude::*;

use super::{add_scaled, dot};

/// What [`eigen`] finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Eigen {
    /// Descending.
    pub values: Vec<f64>,
    /// One row each, of norm 1, its largest component positive (of equally large ones the first).
    pub vectors: Vec<f64>,
}

/// The iteration did not end; no finite matrix is known to do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no eigenvalues were found within {STEPS} steps each; a value that is not finite?")]
pub struct NotConverged;

/// EISPACK allows 30 steps an eigenvalue, of which it needs fewer than two.
const STEPS: usize = 60;
/// Rotations that are kept before they are applied.
const KEPT: usize = 1 << 16;
/// Columns of a strip.
const STRIP: usize = 64;

/// All eigenvalues and eigenvectors of a symmetric `n × n` matrix, whose absolute error is a few units of its largest
/// eigenvalue. Takes `O(n³)` time, and three times the matrix's memory.
///
/// # Errors
/// [`NotConverged`]
pub fn eigen(matrix: Vec<f64>, n: usize) -> Result<Eigen, NotConverged> {
    let Tridiagonal { mut diagonal, mut beside, strips } = tridiagonal(matrix, n);
    let mut strips = strips;
    let mut rotations = Vec::new();
    for first in 0..n {
        ql(&mut diagonal, &mut beside, first, &mut rotations, &mut |rotations| rotate(&mut strips, rotations, n))?;
    }
    rotate(&mut strips, &rotations, n);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| diagonal[b].total_cmp(&diagonal[a]));
    let mut vectors = Vec::with_capacity(n * n);
    for &row in &order {
        let start = vectors.len();
        for strip in &strips {
            let width = strip.len() / n;
            vectors.extend_from_slice(&strip[row * width..][..width]);
        }
        let vector = &mut vectors[start..];
        let largest =
            vector.iter().fold(0.0f64, |largest, value| if value.abs() > largest.abs() { *value } else { largest });
        if largest < 0.0 {
            vector.iter_mut().for_each(|value| *value = -*value);
        }
    }
    Ok(Eigen { values: order.iter().map(|&row| diagonal[row]).collect(), vectors })
}

/// `Qᵀ A Q`, and `Qᵀ` in strips of columns, each row-major.
struct Tridiagonal {
    diagonal: Vec<f64>,
    /// `beside[i]` stands between the rows i and i + 1; the last is 0.
    beside: Vec<f64>,
    strips: Vec<Vec<f64>>,
}

/// Reduces the rows from the last to the second: row i is reflected onto its last entry before the diagonal.
fn tridiagonal(mut a: Vec<f64>, n: usize) -> Tridiagonal {
    let arch = Arch::new();
    let mut beside = vec![0.0; n];
    // Of the reflection I − u uᵀ / h that reduced row i: h, or 0 where there was nothing to do. Row i keeps u.
    let mut halves = vec![0.0; n];
    let mut p = vec![0.0; n];
    for i in (1..n).rev() {
        let (above, below) = a.split_at_mut(i * n);
        let u = &mut below[..i];
        let scale = u.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        if i == 1 || scale == 0.0 || u[..i - 1].iter().all(|value| *value == 0.0) {
            beside[i - 1] = u[i - 1];
            continue;
        }
        u.iter_mut().for_each(|value| *value /= scale);
        let squared = dot(arch, u, u);
        let last = u[i - 1];
        let length = if last >= 0.0 { -squared.sqrt() } else { squared.sqrt() };
        beside[i - 1] = scale * length;
        let h = squared - last * length;
        u[i - 1] = last - length;
        halves[i] = h;
        let u = &*u;
        let p = &mut p[..i];
        // Eight rows a task: with less the threads only meet.
        above.par_chunks(8 * n).zip(p.par_chunks_mut(8)).for_each(|(rows, p)| {
            for (row, p) in rows.chunks(n).zip(p) {
                *p = dot(arch, &row[..i], u) / h;
            }
        });
        let k = dot(arch, u, p) / (h + h);
        add_scaled(arch, -k, u, p);
        let p = &*p;
        above.par_chunks_mut(8 * n).zip(u.par_chunks(8).zip(p.par_chunks(8))).for_each(|(rows, (us, ps))| {
            for (row, (u_row, p_row)) in rows.chunks_mut(n).zip(us.iter().zip(ps)) {
                arch.dispatch(|| {
                    for (value, (u, p)) in row[..i].iter_mut().zip(u.iter().zip(p)) {
                        *value -= u_row * p + p_row * u;
                    }
                });
            }
        });
    }
    let diagonal = (0..n).map(|i| a[i * n + i]).collect();
    let transposed = reflections(arch, &a, &halves, n);
    drop(a);
    let strips = (0..n).step_by(STRIP).map(|first| {
        let columns = first..n.min(first + STRIP);
        transposed.chunks_exact(n).flat_map(|row| row[columns.clone()].iter().copied()).collect()
    });
    Tridiagonal { diagonal, beside, strips: strips.collect() }
}

/// `P₁ P₂ … Pₙ₋₁`: each row is a unit vector reflected by all of them in turn.
fn reflections(arch: Arch, a: &[f64], halves: &[f64], n: usize) -> Vec<f64> {
    let mut rows = vec![0.0; n * n];
    // Eight rows a task share each reflection that they read.
    rows.par_chunks_mut(8 * n.max(1)).enumerate().for_each(|(chunk, rows)| {
        for (offset, row) in rows.chunks_mut(n).enumerate() {
            row[chunk * 8 + offset] = 1.0;
        }
        for i in (1..n).filter(|&i| halves[i] != 0.0) {
            let u = &a[i * n..][..i];
            for (offset, row) in rows.chunks_mut(n).enumerate() {
                // A reflection of the first i coordinates leaves a later unit vector alone.
                if chunk * 8 + offset < i {
                    let factor = -dot(arch, &row[..i], u) / halves[i];
                    add_scaled(arch, factor, u, &mut row[..i]);
                }
            }
        }
    });
    rows
}

/// The rotation of rows `row` and `row + 1` by this cosine and sine.
struct Rotation {
    row: usize,
    cos: f64,
    sin: f64,
}

/// Takes QL steps until `beside[first]` vanishes: `diagonal[first]` then is an eigenvalue.
fn ql(
    diagonal: &mut [f64],
    beside: &mut [f64],
    first: usize,
    rotations: &mut Vec<Rotation>,
    apply: &mut dyn FnMut(&[Rotation]),
) -> Result<(), NotConverged> {
    let n = diagonal.len();
    for _ in 0..STEPS {
        let splits =
            |&m: &usize| m + 1 == n || beside[m].abs() <= f64::EPSILON * (diagonal[m].abs() + diagonal[m + 1].abs());
        let Some(last) = (first..n).find(splits) else { return Err(NotConverged) };
        if last == first {
            return Ok(());
        }
        // Wilkinson's shift.
        let ratio = (diagonal[first + 1] - diagonal[first]) / (2.0 * beside[first]);
        let root = length(ratio, 1.0);
        let mut g =
            diagonal[last] - diagonal[first] + beside[first] / (ratio + if ratio >= 0.0 { root } else { -root });
        let (mut sin, mut cos, mut shift) = (1.0, 1.0, 0.0);
        let mut vanished = false;
        for row in (first..last).rev() {
            let (f, b) = (sin * beside[row], cos * beside[row]);
            let r = length(f, g);
            beside[row + 1] = r;
            if r == 0.0 {
                diagonal[row + 1] -= shift;
                beside[last] = 0.0;
                vanished = true;
                break;
            }
            (sin, cos) = (f / r, g / r);
            g = diagonal[row + 1] - shift;
            let r = (diagonal[row] - g) * sin + 2.0 * cos * b;
            shift = sin * r;
            diagonal[row + 1] = g + shift;
            g = cos * r - b;
            rotations.push(Rotation { row, cos, sin });
        }
        if !vanished {
            diagonal[first] -= shift;
            beside[first] = g;
            beside[last] = 0.0;
        }
        if rotations.len() >= KEPT {
            apply(rotations);
            rotations.clear();
        }
    }
    Err(NotConverged)
}

/// `√(x² + y²)` without overflow on the way, from operations that every machine rounds alike.
fn length(x: f64, y: f64) -> f64 {
    let (x, y) = (x.abs(), y.abs());
    let (large, small) = if x >= y { (x, y) } else { (y, x) };
    if large == 0.0 {
        return 0.0;
    }
    let ratio = small / large;
    large * (1.0 + ratio * ratio).sqrt()
}

fn rotate(strips: &mut [Vec<f64>], rotations: &[Rotation], n: usize) {
    let arch = Arch::new();
    strips.par_iter_mut().for_each(|strip| {
        let width = strip.len() / n;
        arch.dispatch(|| {
            for &Rotation { row, cos, sin } in rotations {
                let (upper, lower) = strip[row * width..][..2 * width].split_at_mut(width);
                for (x, y) in upper.iter_mut().zip(lower) {
                    let (before_x, before_y) = (*x, *y);
                    *y = sin * before_x + cos * before_y;
                    *x = cos * before_x - sin * before_y;
                }
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symmetric(n: usize, value: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        (0..n * n).map(|at| value((at / n).min(at % n), (at / n).max(at % n))).collect()
    }

    /// Of `A v = λ v`, `V Vᵀ = 1` and the order, the largest error relative to the largest eigenvalue.
    #[track_caller]
    fn check(matrix: &[f64], n: usize) -> Eigen {
        let found = eigen(matrix.to_vec(), n).unwrap();
        let arch = Arch::new();
        let largest = found.values.iter().fold(1e-300f64, |most, value| most.max(value.abs()));
        assert!(found.values.is_sorted_by(|a, b| a >= b));
        for (i, (v, value)) in found.vectors.chunks(n).zip(&found.values).enumerate() {
            for (row, x) in matrix.chunks(n).zip(v) {
                assert!((dot(arch, row, v) - value * x).abs() <= 1e-13 * n as f64 * largest, "n = {n}, λ = {value}");
            }
            for (j, w) in found.vectors.chunks(n).enumerate() {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((dot(arch, v, w) - expected).abs() <= 1e-13 * n as f64, "n = {n}: {i}, {j}");
            }
            let largest = v.iter().fold(0.0f64, |most, x| if x.abs() > most.abs() { *x } else { most });
            assert!(largest > 0.0);
        }
        found
    }

    #[test]
    fn known_eigenvalues_are_found() {
        let found = check(&[2.0, 1.0, 1.0, 2.0], 2);
        assert!((found.values[0] - 3.0).abs() < 1e-15 && (found.values[1] - 1.0).abs() < 1e-15, "{found:?}");
        // The second difference: 2 − 2 cos(π k / (n + 1)).
        let n = 40;
        let matrix = symmetric(n, |i, j| {
            if i == j {
                2.0
            } else if i + 1 == j {
                -1.0
            } else {
                0.0
            }
        });
        for (k, value) in check(&matrix, n).values.iter().rev().enumerate() {
            let expected = 2.0 - 2.0 * libm::cos(std::f64::consts::PI * (k + 1) as f64 / (n + 1) as f64);
            assert!((value - expected).abs() < 1e-13, "{k}: {value}, {expected}");
        }
    }

    #[test]
    fn any_symmetric_matrix_is_decomposed() {
        for n in [1, 2, 3, 7, 8, 65, 130] {
            check(&symmetric(n, |i, j| ((i * 37 + j * 101 + i * j) % 97) as f64 - 48.0), n);
            check(&vec![0.0; n * n], n);
            check(&symmetric(n, |i, j| f64::from(u8::from(i == j))), n);
            // Of rank one, and of sizes that squares would not hold.
            check(&symmetric(n, |i, j| (i + 1) as f64 * (j + 1) as f64), n);
            check(&symmetric(n, |i, j| ((i * 5 + j * 3) % 11) as f64 * 1e-200), n);
            check(&symmetric(n, |i, j| ((i * 5 + j * 3) % 11) as f64 * 1e150), n);
            // Blocks that never meet.
            check(&symmetric(n, |i, j| if i / 3 == j / 3 { (i + j) as f64 } else { 0.0 }), n);
        }
    }

    #[test]
    fn threads_change_no_bit() {
        let n = 150;
        let matrix = symmetric(n, |i, j| ((i * 37 + j * 101 + i * j) % 97) as f64 / 7.0);
        let of = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| eigen(matrix.clone(), n).unwrap())
        };
        assert!(of(1) == of(3));
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        assert_eq!(eigen(vec![1.0, f64::NAN, f64::NAN, 1.0], 2), Err(NotConverged));
    }
}
