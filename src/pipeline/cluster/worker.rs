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

    /// Does one on this thread, unless it is done. Another process may be at the same one.
    fn settle(&self, number: u32) -> anyhow::Result<Settled>;
}

/// An item that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Triplets of a partition, rows of a graph or of a stretch.
    pub came_to: u64,
    /// Nobody had done it before.
    pub is_new: bool,
}

impl Work for Partitions<'_> {
    fn items(&self) -> u32 {
        self.harvests().partitions()
    }

    fn settle(&self, number: u32) -> anyhow::Result<Settled> {
        let (harvests, is_new) = (self.harvests(), !self.harvests().is_committed(number));
        let tally = if is_new { self.mine(number)? } else { harvests.tally(number)? };
        Ok(Settled { came_to: tally.filled(), is_new })
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

    fn settle(&self, number: u32) -> anyhow::Result<Settled> {
        let is_new = !Hnsw::is_built(&self.folder, self.key, number);
        if is_new {
            Hnsw::build_shard(self.store, self.params, &self.folder, self.key, number)?;
        }
        Ok(Settled { came_to: Hnsw::shard(self.store.corpus().end, number).len() as u64, is_new })
    }
}

impl Work for Assignment<'_> {
    fn items(&self) -> u32 {
        self.stretches()
    }

    fn settle(&self, number: u32) -> anyhow::Result<Settled> {
        let is_new = !self.is_settled(number);
        if is_new {
            Assignment::settle(self, number)?;
        }
        Ok(Settled { came_to: self.rows(number).len() as u64, is_new })
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
            let assignment = pool.install(|| Assignment::reopen(&store, *unlabelled, &folder.join(assignment)))?;
            Ok(work(&assignment))
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
