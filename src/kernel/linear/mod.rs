//! Dense linear algebra in f64 whose bits no machine decides: products, eigenvectors, and the maps learned from scatter.
//!
//! The libraries of this field look at the processor and take other kernels on other ones: sums in another order, or with
//! fused multiply-adds, and so other bits. A transform is part of a result that must be the same everywhere; hence these
//! few loops. Wider registers only take more of the independent sums at once; no sum is ever reordered or fused, and threads
//! share out sums, never the terms of one.

mod eigen;
mod gram;
mod learn;
mod products;

pub use eigen::{Eigen, NotConverged, eigen};
pub use gram::{CHUNK, Gram};
pub use learn::{FLOOR, LearnError, Learned, discriminants, relevant, whitening};
pub use products::Map;

use pulp::Arch;

/// Sums that run side by side.
const LANES: usize = 8;

/// One value of each of eight vectors.
type Lane = [f64; LANES];

/// All products of eight vectors with eight others.
type Tile = [Lane; LANES];

/// Adds `Σₖ a[k]ᵀ b[k]`, summed from the first to the last.
fn add_outer_products(arch: Arch, a: &[Lane], b: &[Lane], tile: &mut Tile) {
    arch.dispatch(|| {
        let mut sums = [[0.0; LANES]; LANES];
        for (x, y) in a.iter().zip(b) {
            for (sums, x) in sums.iter_mut().zip(x) {
                for (sum, y) in sums.iter_mut().zip(y) {
                    *sum += x * y;
                }
            }
        }
        for (whole, part) in tile.iter_mut().flatten().zip(sums.iter().flatten()) {
            *whole += part;
        }
    });
}

/// `x·y`, lane `i mod 8` taking term `i`, then the lanes from the first to the last.
fn dot(arch: Arch, x: &[f64], y: &[f64]) -> f64 {
    arch.dispatch(|| {
        let mut sums = [0.0; LANES];
        let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
        for (x, y) in xs.iter().zip(ys) {
            for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
                *sum += x * y;
            }
        }
        for ((sum, x), y) in sums.iter_mut().zip(x_rest).zip(y_rest) {
            *sum += x * y;
        }
        sums.iter().sum()
    })
}

/// `y += factor · x`.
fn add_scaled(arch: Arch, factor: f64, x: &[f64], y: &mut [f64]) {
    arch.dispatch(|| y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x));
}
