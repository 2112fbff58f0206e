//! The partitions of a run: what it takes to mine any of them, in whichever process, and where what they yield is committed.

use std::path::PathBuf;

use rayon::prelude::*;

use crate::manifest::{HarvestError, Harvests};
use crate::mine::{self, Params, Quotas, Tally};
use crate::search::Search;
use crate::store::{Prepared, Row};

/// Told of a partition that is committed, and of its counts. Called from several threads.
pub type Done<'a> = &'a (dyn Fn(u32, &Tally) + Sync);

/// The units of work, of retry and of checkpoint. Mining one is a pure function of all that stands here.
pub struct Partitions<'a> {
    store: &'a Prepared,
    search: &'a dyn Search,
    params: &'a Params,
    quotas: &'a Quotas,
    anchors: Vec<Vec<Row>>,
    harvests: Harvests,
}

impl<'a> Partitions<'a> {
    /// Those of a store, committed to an existing `folder`. `quotas` are those of (store, params).
    pub fn new(
        store: &'a Prepared,
        search: &'a dyn Search,
        params: &'a Params,
        quotas: &'a Quotas,
        folder: PathBuf,
    ) -> Self {
        let anchors = mine::partitions(store.anchors());
        let harvests = Harvests::new(folder, anchors.len() as u32, store.rows());
        Self { store, search, params, quotas, anchors, harvests }
    }

    /// The anchors of a partition, ascending.
    pub fn anchors(&self, ordinal: u32) -> &[Row] {
        &self.anchors[ordinal as usize]
    }

    /// The partitions that are not committed yet; `done` is told of the others.
    pub fn pending(&self, done: Done) -> Result<Vec<u32>, HarvestError> {
        let is_pending = |ordinal: u32| match self.harvests.is_committed(ordinal) {
            true => self.harvests.tally(ordinal).map(|tally| {
                done(ordinal, &tally);
                None
            }),
            false => Ok(Some(ordinal)),
        };
        let pending = (0..self.harvests.partitions()).into_par_iter().map(is_pending);
        Ok(pending.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Mines a partition on this thread, and commits it. Another process may be at the same one: it commits the same bytes.
    pub fn mine(&self, ordinal: u32) -> Result<Tally, HarvestError> {
        let harvest = mine::mine(self.anchors(ordinal), self.store, self.search, self.params, self.quotas);
        self.harvests.commit(ordinal, &harvest)?;
        Ok(harvest.tally)
    }

    /// Where they are committed.
    #[cfg(feature = "cluster")]
    pub fn harvests(&self) -> &Harvests {
        &self.harvests
    }

    /// The same, for good.
    pub fn into_harvests(self) -> Harvests {
        self.harvests
    }
}
