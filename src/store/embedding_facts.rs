//! What a column of vectors holds, good and bad.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use rayon::slice::ParallelSliceMut;

use super::vectors::{Preparer, Vectors};
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
    /// Usable vectors that equal an earlier one.
    pub repeated: u64,
    /// Vectors that no metric takes, by kind: null, ragged, NaN, …
    pub unusable: BTreeMap<&'static str, u64>,
}

/// Counts as vectors come by, 24 bytes each.
pub(super) struct EmbeddingCount {
    preparer: Preparer,
    norms: Vec<f64>,
    hashes: Vec<u128>,
    unusable: BTreeMap<&'static str, u64>,
}

impl EmbeddingCount {
    pub fn new(data_type: &DataType) -> Self {
        // A metric that leaves vectors as they are.
        let preparer = Preparer::new(Metric::Dot, data_type);
        Self { preparer, norms: Vec::new(), hashes: Vec::new(), unusable: BTreeMap::new() }
    }

    pub fn add(&mut self, column: &ArrayRef) {
        let Some(vectors) = Vectors::of(column) else { return };
        for row in 0..column.len() {
            match self.preparer.push(&vectors, row) {
                Ok(squared_norm) => {
                    self.norms.push(squared_norm.sqrt());
                    self.hashes.push(super::ids::digest(bytemuck::cast_slice(self.preparer.prepared())));
                }
                Err(flaw) => *self.unusable.entry(flaw.kind()).or_default() += 1,
            }
            self.preparer.clear();
        }
    }

    pub fn finish(mut self) -> EmbeddingFacts {
        self.norms.par_sort_unstable_by(f64::total_cmp);
        self.hashes.par_sort_unstable();
        let norms = match self.norms.as_slice() {
            [] => None,
            sorted => Some([sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]]),
        };
        EmbeddingFacts {
            dims: norms.and(self.preparer.dims()),
            norms,
            zero: self.norms.iter().take_while(|&&norm| norm == 0.0).count() as u64,
            repeated: self.hashes.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64,
            unusable: self.unusable,
        }
    }
}
