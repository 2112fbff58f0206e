//! What a column of vectors holds, good and bad.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use rayon::slice::ParallelSliceMut;

use super::vectors::{Judge, Vectors};
use crate::kernel::Metric;

/// What an embedding column holds.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingFacts {
    /// Values a vector; `None` when no vector is usable.
    pub dims: Option<usize>,
    /// Smallest, median and largest L2 norm of usable vectors.
    pub norms: Option<[f64; 3]>,
    /// Usable vectors of norm 0, which cosine refuses.
    pub zero: u64,
    /// Of the first 4 × 2²⁰ usable vectors, those that equal an earlier one.
    pub repeated: u64,
    /// Vectors that no metric takes, by kind: null, ragged, NaN, …
    pub unusable: BTreeMap<&'static str, u64>,
}

/// Vectors that are compared with each other, 16 bytes each.
const MOST_COMPARED: usize = 4 << 20;
/// Norms that the median is taken of: those of every vector, then of every second, of every fourth, …
const MOST_NORMS: usize = 1 << 20;

/// Counts as vectors come by, in a memory that does not grow with their number.
pub(super) struct EmbeddingCount {
    judge: Judge,
    /// One vector.
    values: Vec<f32>,
    norms: Vec<f64>,
    /// A norm is kept of each of so many vectors.
    every: u64,
    usable: u64,
    zero: u64,
    /// Smallest and largest norm.
    ends: [f64; 2],
    hashes: Vec<u128>,
    unusable: BTreeMap<&'static str, u64>,
}

impl EmbeddingCount {
    pub fn new(data_type: &DataType) -> Self {
        Self {
            judge: Judge::new(data_type),
            values: Vec::new(),
            norms: Vec::new(),
            every: 1,
            usable: 0,
            zero: 0,
            ends: [f64::INFINITY, 0.0],
            hashes: Vec::new(),
            unusable: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, column: &ArrayRef) {
        let Some(vectors) = Vectors::of(column) else { return };
        for row in 0..column.len() {
            // A metric that leaves vectors as they are.
            match self.judge.judge(vectors.look(row, Metric::Dot, &mut self.values)) {
                Ok(squared_norm) => {
                    self.add_norm(squared_norm.sqrt());
                    if self.hashes.len() < MOST_COMPARED {
                        self.hashes.push(super::ids::digest(bytemuck::cast_slice(&self.values)));
                    }
                }
                Err(flaw) => *self.unusable.entry(flaw.kind()).or_default() += 1,
            }
            self.values.clear();
        }
    }

    fn add_norm(&mut self, norm: f64) {
        let [least, largest] = self.ends;
        self.ends = [least.min(norm), largest.max(norm)];
        self.zero += u64::from(norm == 0.0);
        if self.usable.is_multiple_of(self.every) {
            if self.norms.len() == MOST_NORMS {
                let mut ordinal = 0u64;
                self.norms.retain(|_| {
                    ordinal += 1;
                    !ordinal.is_multiple_of(2)
                });
                self.every *= 2;
            }
            if self.usable.is_multiple_of(self.every) {
                self.norms.push(norm);
            }
        }
        self.usable += 1;
    }

    pub fn finish(mut self) -> EmbeddingFacts {
        self.norms.par_sort_unstable_by(f64::total_cmp);
        self.hashes.par_sort_unstable();
        let norms = match self.norms.as_slice() {
            [] => None,
            sorted => Some([self.ends[0], sorted[sorted.len() / 2], self.ends[1]]),
        };
        EmbeddingFacts {
            dims: norms.and(self.judge.dims()),
            norms,
            zero: self.zero,
            repeated: self.hashes.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64,
            unusable: self.unusable,
        }
    }
}
