//! Rows of a prepared store by their ids.

use std::ops::Range;

use arrow::error::ArrowError;
use rayon::slice::ParallelSliceMut;

use super::ids::{self, Digest};
use super::{OpenError, Prepared, Row};

/// Some rows of a store in the order of their keys: four bytes a row.
pub struct Lookup<'s> {
    store: &'s Prepared,
    rows: Vec<Row>,
}

impl<'s> Lookup<'s> {
    /// Of the rows `among`: those of the corpus, or those of the anchors.
    pub fn new(store: &'s Prepared, among: Range<u32>) -> Self {
        let mut rows: Vec<Row> = among.map(Row).collect();
        rows.par_sort_unstable_by_key(|row| (store.keys()[row.index()], *row));
        Self { store, rows }
    }

    /// The row of each id, where there is one, given the digests of ids.
    ///
    /// # Errors
    /// When the ids of the store cannot be read.
    pub fn rows(&self, digests: &[Digest]) -> Result<Vec<Option<Row>>, LookupError> {
        let key = |row: &Row| self.store.keys()[row.index()];
        // Nearly always one row or none has a key; whether its id is the one that is looked for, only that tells.
        let mut candidates = Vec::new();
        for (place, digest) in digests.iter().enumerate() {
            let wanted = ids::key(*digest);
            let first = self.rows.partition_point(|row| key(row) < wanted);
            candidates.extend(self.rows[first..].iter().take_while(|row| key(row) == wanted).map(|row| (place, *row)));
        }
        let (places, rows): (Vec<usize>, Vec<Row>) = candidates.into_iter().unzip();
        if rows.is_empty() {
            return Ok(vec![None; digests.len()]);
        }
        let found = ids::digests(&self.store.take(0, &rows)?)?;
        let mut named = vec![None; digests.len()];
        for ((place, row), digest) in places.into_iter().zip(rows).zip(found) {
            if digests[place] == digest {
                named[place] = Some(row);
            }
        }
        Ok(named)
    }
}

/// Why rows could not be looked up.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error("ids of the store cannot be read: {0}")]
    Ids(#[from] ArrowError),
    #[error(transparent)]
    Store(#[from] OpenError),
}
