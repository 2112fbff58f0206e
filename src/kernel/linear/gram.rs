//! Sums of outer products: covariance and scatter matrices, vector by vector.

use pulp::Arch;
use rayon::prelude::*;

use super::{LANES, Lane, Tile, add_outer_products};

/// Vectors that are summed together before they join the whole: few enough to stay in a cache, eight dimensions of them.
/// Part of the definition of the sum.
pub const CHUNK: usize = 256;

/// `Σ x xᵀ` over vectors of `d` values, in the order in which they come. Holds `d² + 256·d` values.
pub struct Gram {
    d: usize,
    /// Of each eight dimensions, those of up to [`CHUNK`] vectors.
    waiting: Vec<Lane>,
    filled: usize,
    /// Tile (i, j) of the matrix for `i ≤ j`, row-major.
    tiles: Vec<Tile>,
}

impl Gram {
    pub fn new(d: usize) -> Self {
        let panels = d.div_ceil(LANES);
        Self {
            d,
            waiting: vec![[0.0; LANES]; panels * CHUNK],
            filled: 0,
            tiles: vec![[[0.0; LANES]; LANES]; panels * panels],
        }
    }

    /// Adds a vector of `d` values.
    pub fn add(&mut self, vector: impl Iterator<Item = f64>) {
        for (dimension, value) in vector.take(self.d).enumerate() {
            self.waiting[dimension / LANES * CHUNK + self.filled][dimension % LANES] = value;
        }
        self.filled += 1;
        if self.filled == CHUNK {
            self.sum();
        }
    }

    fn sum(&mut self) {
        let (waiting, filled, arch) = (&self.waiting, self.filled, Arch::new());
        let panels = self.d.div_ceil(LANES);
        let panel = |index: usize| &waiting[index * CHUNK..][..filled];
        self.tiles.par_chunks_mut(panels.max(1)).enumerate().for_each(|(i, tiles)| {
            for (j, tile) in tiles.iter_mut().enumerate().skip(i) {
                add_outer_products(arch, panel(i), panel(j), tile);
            }
        });
        self.filled = 0;
    }

    /// The sum times `factor`: `d × d`, symmetric to the bit.
    pub fn finish(mut self, factor: f64) -> Vec<f64> {
        self.sum();
        let (d, panels) = (self.d, self.d.div_ceil(LANES));
        let value = |i: usize, j: usize| {
            let (i, j) = (i.min(j), i.max(j));
            self.tiles[i / LANES * panels + j / LANES][i % LANES][j % LANES] * factor
        };
        (0..d * d).map(|at| value(at / d, at % d)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition_on_any_number_of_threads() {
        for (n, d) in [(0, 3), (1, 1), (7, 5), (600, 19), (256, 8)] {
            let value = |row: usize, i: usize| ((row * 31 + i * 17) % 23) as f64 - 11.0;
            let of = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let mut gram = Gram::new(d);
                    (0..n).for_each(|row| gram.add((0..d).map(|i| value(row, i))));
                    gram.finish(0.5)
                })
            };
            let found = of(1);
            for (at, found) in found.iter().enumerate() {
                // Whole numbers: exact in any order.
                let expected: f64 = (0..n).map(|row| value(row, at / d) * value(row, at % d)).sum();
                assert_eq!(*found, expected * 0.5, "n = {n}, d = {d}, at {at}");
            }
            assert_eq!(of(3), found);
        }
    }
}
