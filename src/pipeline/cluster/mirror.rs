//! What an executor has here of a run whose machines meet in a store, until nobody needs it any more.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use tempfile::TempDir;

use super::depot::Depot;
use super::order::{FILE, WorkOrder, inside};
use super::spills::check_room;
use super::wire::Wire;
use super::worker::{Settled, Work};
use crate::remote::Address;
use crate::store::Prepared;

/// A copy of a run's folder, as far as orders name it.
pub struct Mirror {
    depot: Depot,
    wire: Arc<Wire>,
    run: String,
    /// One order at a time: what is on its way is not fetched twice.
    opening: Mutex<()>,
    /// Goes with this.
    _folder: TempDir,
}

impl Mirror {
    /// An empty one, in a folder of its own in `scratch`, for the run that an order at this address is of.
    ///
    /// # Errors
    /// When that cannot be made.
    pub fn new(order: &Address, scratch: &Path, wire: Arc<Wire>) -> anyhow::Result<Self> {
        let (root, run) = run_of(order);
        let folder = tempfile::Builder::new().prefix("mirror-").tempdir_in(scratch);
        let folder = folder.with_context(|| scratch.display().to_string())?;
        let depot = Depot::new(&root, folder.path().to_owned(), &run)?;
        Ok(Self { depot, wire, run, opening: Mutex::default(), _folder: folder })
    }

    /// Whether an order at this address is of the same run.
    pub fn is_of(&self, order: &Address) -> bool {
        let (root, run) = run_of(order);
        root == *self.depot.address() && run == self.run
    }

    /// Where an order's paths are seen from here.
    pub fn folder(&self, order: &Address) -> PathBuf {
        self.depot.local().join(order.split(DEPTH).1)
    }

    /// Fetches what an order names, but for what is here already, and holds the store against its own hashes.
    ///
    /// # Errors
    /// Without room for it; a store that does not give it, whole.
    pub fn open(&self, at: &Address, order: &WorkOrder) -> anyhow::Result<()> {
        let _alone = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        let place = at.split(DEPTH).1;
        let paths = order.reads().map(|path| inside(&place, &path)).collect::<Result<Vec<_>, _>>()?;
        let missing = self.wire.insist(async || Ok(self.depot.unfetched(&paths).await?))?;
        check_room(self.depot.local(), missing.iter().map(|object| object.bytes).sum(), order.needs.packed)?;
        self.wire.insist(async || self.depot.fetch(&missing, &|_| ()).await)?;
        let (store, results) = (inside(&place, &order.store)?, inside(&place, order.task.results())?);
        if missing.iter().any(|object| object.name.starts_with(&format!("{store}/"))) {
            let folder = self.depot.local().join(&store);
            Prepared::check(&folder).inspect_err(|_| {
                // To be fetched again.
                drop(fs::remove_dir_all(&folder));
            })?;
        }
        for folder in [place.as_str(), results.as_str()] {
            let folder = self.depot.local().join(folder);
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        Ok(())
    }

    /// Whether an order was taken back, as far as the store tells.
    pub fn is_withdrawn(&self, at: &Address) -> bool {
        let name = format!("{}/{FILE}", at.split(DEPTH).1);
        self.wire.ask(async || Ok(self.depot.head(&name).await?)).is_ok_and(|order| order.is_none())
    }

    /// Whether the run of an order is gone from the store, as far as that tells. What has come there since goes, too.
    pub fn is_over(&self, at: &Address, order: &WorkOrder) -> bool {
        let place = at.split(DEPTH).1;
        let sent = order.reads().map(|path| inside(&place, &path)).collect::<Result<Vec<_>, _>>();
        let Ok(sent) = sent else { return true };
        let is_over = self.wire.ask(async || {
            let left = self.depot.list(&self.run, "").await?;
            // Whoever drives a run sends what executors only read, and clears that away in the end.
            let is_over = !left.iter().any(|object| sent.iter().any(|path| object.name.starts_with(path.as_str())));
            if is_over {
                self.depot.delete_all(left).await?;
            }
            Ok(is_over)
        });
        is_over.unwrap_or(false)
    }

    /// Deletes a small object beside an order, as far as the store lets.
    pub fn forget(&self, at: &Address, name: &str) {
        let name = format!("{}/{name}", at.split(DEPTH).1);
        let _ = self.wire.ask(async || Ok(self.depot.delete(&name).await?));
    }

    /// Puts a small object beside an order.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub fn write(&self, at: &Address, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let name = format!("{}/{name}", at.split(DEPTH).1);
        self.wire.ask(async || Ok(self.depot.write(&name, bytes.to_vec()).await?))
    }
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.depot.address(), self.run)
    }
}

/// From an order up to the folder of all runs of an output.
pub const DEPTH: usize = 3;

fn run_of(order: &Address) -> (Address, String) {
    let (root, name) = order.split(DEPTH);
    (root, name.split('/').next().unwrap_or_default().to_owned())
}

/// The run is over: in a store that was cleared a result would be left for ever.
#[derive(Debug, thiserror::Error)]
#[error("its run is over")]
pub struct Withdrawn;

/// Work of which the results go to a store. What is there already is not done again.
pub struct Shipped<'a> {
    mirror: &'a Mirror,
    at: &'a Address,
    order: &'a WorkOrder,
    results: String,
    work: &'a dyn Work,
}

impl<'a> Shipped<'a> {
    /// # Errors
    /// When the order names a folder outside of its run.
    pub fn new(mirror: &'a Mirror, at: &'a Address, order: &'a WorkOrder, work: &'a dyn Work) -> anyhow::Result<Self> {
        let results = inside(&at.split(DEPTH).1, order.task.results())?;
        Ok(Self { mirror, at, order, results, work })
    }
}

impl Work for Shipped<'_> {
    fn items(&self) -> u32 {
        self.work.items()
    }

    fn settle(&self, number: u32) -> anyhow::Result<Settled> {
        let Mirror { depot, wire, .. } = self.mirror;
        let names = self.order.task.leaves(number).into_iter().map(|name| format!("{}/{name}", self.results));
        let names: Vec<String> = names.collect();
        let last = names.last().ok_or_else(|| anyhow!("item {number} leaves nothing"))?;
        wire.insist(async || match depot.head(last).await? {
            Some(_) => depot.fetch(&depot.unfetched(&names).await?, &|_| ()).await,
            None => Ok(()),
        })?;
        // What came whole is not done again; anything else is.
        let settled = self.work.settle(number)?;
        if self.mirror.is_withdrawn(self.at) && self.mirror.is_over(self.at, self.order) {
            return Err(Withdrawn.into());
        }
        wire.insist(async || {
            for name in &names {
                depot.bring(name).await?;
            }
            Ok(())
        })?;
        Ok(settled)
    }
}
