//! A run as another process sees it: the store opened from what is kept, and items of work done as the run itself would do them.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::order::{Task, WorkOrder};
use crate::mine::Quotas;
use crate::pipeline::partitions::Partitions;
use crate::search::{Assignment, Hnsw, HnswParams};
use crate::store::Prepared;

/// Items of work, by number.
pub trait Work: Sync {
    /// How many there are.
    fn items(&self) -> u32;

    /// Does one on this thread, unless it is done. Another process may be at the same one. Gives what it came to: triplets of a
    /// partition, rows of a graph or of a stretch.
    fn settle(&self, number: u32) -> anyhow::Result<u64>;
}

impl Work for Partitions<'_> {
    fn items(&self) -> u32 {
        self.harvests().partitions()
    }

    fn settle(&self, number: u32) -> anyhow::Result<u64> {
        let harvests = self.harvests();
        let tally = if harvests.is_committed(number) { harvests.tally(number)? } else { self.mine(number)? };
        Ok(tally.filled())
    }
}

/// The graphs of a store.
struct Shards<'a> {
    store: &'a Prepared,
    params: &'a HnswParams,
    folder: PathBuf,
    key: &'a str,
}

impl Work for Shards<'_> {
    fn items(&self) -> u32 {
        Hnsw::shards(self.store.corpus().end)
    }

    fn settle(&self, number: u32) -> anyhow::Result<u64> {
        if !Hnsw::is_built(&self.folder, self.key, number) {
            Hnsw::build_shard(self.store, self.params, &self.folder, self.key, number)?;
        }
        Ok(Hnsw::shard(self.store.corpus().end, number).len() as u64)
    }
}

impl Work for Assignment<'_> {
    fn items(&self) -> u32 {
        self.stretches()
    }

    fn settle(&self, number: u32) -> anyhow::Result<u64> {
        if !self.is_settled(number) {
            Assignment::settle(self, number)?;
        }
        Ok(self.rows(number).len() as u64)
    }
}

/// Opens what the order in `folder` speaks of, on the threads of `pool`, and lends its items to `work`. What a search derives from
/// the store goes to the folder `spills`.
///
/// # Errors
/// When what the run keeps is not there, whole.
pub fn with_work<R>(
    folder: &Path,
    order: &WorkOrder,
    spills: &Path,
    pool: &rayon::ThreadPool,
    work: impl FnOnce(&dyn Work) -> R,
) -> anyhow::Result<R> {
    let store = Prepared::open(&folder.join(&order.store))?.spilling_to(spills);
    match &order.task {
        Task::Build { graphs, key, params } => {
            Ok(work(&Shards { store: &store, params, folder: folder.join(graphs), key }))
        }
        Task::Assign { assignment, unlabelled } => {
            Ok(work(&Assignment::reopen(&store, *unlabelled, &folder.join(assignment))?))
        }
        Task::Mine { index, params, partitions } => {
            let open = || index.open(&store, params.negatives.unlabelled, folder);
            let search = pool.install(open).context("the index of the run cannot be opened")?;
            let quotas = pool.install(|| Quotas::new(&store, params));
            let partitions = folder.join(partitions);
            let partitions = partitions.canonicalize().with_context(|| partitions.display().to_string())?;
            Ok(work(&Partitions::new(&store, search.as_ref(), params, &quotas, partitions)))
        }
    }
}
