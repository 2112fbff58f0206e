//! Blocked f32 products, and how far a sum of rounded products may be off.

use gemm::{Parallelism, gemm};

/// Unit roundoff of f32.
pub const ROUNDOFF: f64 = 1.0 / (1u64 << 24) as f64;

/// How far the f32 sum of `terms` rounded products may be from the true one, relative to `Σ|xᵢyᵢ| ≤ ‖x‖‖y‖`, in whatever
/// order it is summed and with or without fused multiply-adds (Higham 2002, *Accuracy and Stability*, lemma 3.1).
/// Infinite where the bound no longer holds (16 million terms).
pub fn sum_error(terms: usize) -> f64 {
    let nu = terms as f64 * ROUNDOFF;
    if nu < 1.0 { nu / (1.0 - nu) } else { f64::INFINITY }
}

/// Adds to `out[q·rows + r]` the product of query `q` and row `r`.
///
/// `queries` is `q × d`, `block` is `rows × d`, `out` is `q × rows`, all row-major. `out` holds the starting values, so
/// that a term of each row (half its squared norm, say) rides along. One thread; callers parallelise over blocks.
///
/// # Panics
/// When the three lengths do not fit each other: a caller's bug, checked because the product writes through pointers.
pub fn add_products(queries: &[f32], block: &[f32], d: usize, out: &mut [f32]) {
    let (q, rows) = (queries.len() / d, block.len() / d);
    assert!(queries.len() == q * d && block.len() == rows * d && out.len() == q * rows, "blocks of {d} dimensions");
    #[allow(unsafe_code)]
    // SAFETY: the assertion above bounds every access; the three slices cannot overlap, as `out` is borrowed mutably.
    // Seen as column-major, `out` is rows × q (unit row stride), `block` its left factor and `queries` its right one.
    unsafe {
        gemm(
            rows,
            q,
            d,
            out.as_mut_ptr(),
            rows as isize,
            1,
            true,
            block.as_ptr(),
            1,
            d as isize,
            queries.as_ptr(),
            d as isize,
            1,
            1.0f32,
            1.0f32,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Metric;

    fn dot(x: &[f32], y: &[f32]) -> f32 {
        -Metric::Dot.distance(x, y).get()
    }

    fn values(n: usize, salt: u64) -> Vec<f32> {
        (0..n as u64).map(|i| ((i * 6_364_136_223 + salt * 1_442_695) % 2_001) as f32 / 1_000.0 - 1.0).collect()
    }

    #[test]
    fn products_stay_within_the_bound_of_the_fixed_order_kernel() {
        for (q, rows, d) in [(1, 1, 1), (3, 5, 3), (7, 33, 17), (16, 64, 100), (2, 9, 4_096)] {
            let (queries, block) = (values(q * d, 1), values(rows * d, 2));
            let mut out = vec![0.5f32; q * rows];
            add_products(&queries, &block, d, &mut out);
            for (i, x) in queries.chunks(d).enumerate() {
                for (j, y) in block.chunks(d).enumerate() {
                    let norms = f64::from(dot(x, x)).sqrt() * f64::from(dot(y, y)).sqrt();
                    let error = (f64::from(out[i * rows + j]) - 0.5 - f64::from(dot(x, y))).abs();
                    let bound = 2.0 * sum_error(d + 1) * (norms + 0.5);
                    assert!(error <= bound, "{q} × {rows} × {d} at ({i}, {j}): {error} > {bound}");
                }
            }
        }
    }
}
