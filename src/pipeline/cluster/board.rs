//! Where whoever drives a run puts up an order, and where word of it comes in: the folder of the order, which executors see, too, or its
//! like in a store. What comes into a store is fetched into the folder here, where it counts as if it had been committed there.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytesize::ByteSize;

use super::depot::Depot;
use super::driver::Cluster;
use super::lease::{self, Lease};
use super::order::{FILE, WorkOrder, inside};
use super::sign::{self, Sign};
use super::wire::may_pass;
use crate::disk;
use crate::pipeline::engine::Engine;
use crate::remote::{Address, Object, Version};
use crate::report::Unit;
use crate::words::counted;

/// An order, and where it is put up.
pub struct Board<'a> {
    engine: &'a Engine<'a>,
    /// How long a store may be away.
    patience: Duration,
    /// Leave to drive there.
    lease: Option<&'a Lease>,
    order: &'a WorkOrder,
    /// Of the order, here.
    folder: PathBuf,
    there: Option<There>,
}

/// The same in a store.
struct There {
    depot: Depot,
    /// Of the order's folder.
    place: String,
    results: String,
    /// The last of each executor.
    signs: RefCell<BTreeMap<String, (Version, Sign)>>,
    /// Items whose results were listed and not fetched yet.
    listed: RefCell<VecDeque<(u32, Vec<Object>)>>,
}

/// From the folder of an order up to that of all runs of an output.
const UP: usize = 3;
/// For what is taken down when a run ends.
const PARTING: Duration = Duration::from_millis(600);
/// Between two tries.
const RETRY: Duration = Duration::from_millis(500);
/// Items whose results are fetched at a time; those that were listed with them come next.
const AT_ONCE: usize = 64;
/// Bytes of a sign, at most.
const MOST: u64 = 1 << 16;

impl<'a> Board<'a> {
    /// Over the existing folder of an order, for a cluster.
    ///
    /// # Errors
    /// A folder that cannot be used; a store that the environment does not tell how to reach.
    pub fn new(cluster: &Cluster<'a>, order: &'a WorkOrder, folder: &Path) -> anyhow::Result<Self> {
        let Cluster { engine, patience, store, lease, .. } = cluster;
        let folder = folder.canonicalize()?;
        let there = store.as_ref().map(|address| There::new(address, order, &folder)).transpose()?;
        Ok(Self { engine, patience: *patience, lease: *lease, order, folder, there })
    }

    /// What an item of the order is, for people.
    pub fn item(&self) -> &'static str {
        self.order.task.item()
    }

    /// The folder of the order, as executors know it.
    pub fn place(&self) -> String {
        match &self.there {
            None => self.folder.display().to_string(),
            Some(there) => there.depot.address().join(&there.place).to_string(),
        }
    }

    /// Puts the order up, after all that it names.
    ///
    /// # Errors
    /// A folder that cannot be written; a store that refuses or does not answer.
    pub fn put_up(&self) -> anyhow::Result<()> {
        lease::check(self.lease)?;
        let Some(There { depot, place, .. }) = &self.there else {
            return self.order.write(&self.folder).with_context(|| self.folder.display().to_string());
        };
        let paths = self.order.reads().map(|path| inside(place, &path)).collect::<Result<Vec<_>, _>>()?;
        self.ask(async || {
            let unsent = depot.unsent(&paths).await?;
            if !unsent.is_empty() {
                let (files, bytes) = (unsent.len() as u64, unsent.iter().map(|file| file.bytes).sum());
                let stage = self.engine.progress().stage("send", Some(bytes), Unit::Bytes);
                depot.send(unsent, &|bytes| stage.advance(bytes)).await?;
                stage.finish(&format!("{}, {}, to {}", counted(files, "file"), ByteSize(bytes), depot.address()));
            }
            Ok(())
        })?;
        let order = serde_json::to_vec_pretty(self.order)?;
        self.ask(async || Ok(depot.write(&format!("{place}/{FILE}"), order.clone()).await?))
    }

    /// Puts the order up again where somebody may have cleared a store, or lost half of a folder. A folder that cannot be used is told
    /// of by the next look, and nothing is made where it is out of reach.
    ///
    /// # Errors
    /// As of [`put_up`](Self::put_up), of a store.
    pub fn renew(&self) -> anyhow::Result<()> {
        if self.there.is_some() {
            return self.put_up();
        }
        let signs = sign::signs(&self.folder);
        if self.folder.is_dir() && !signs.is_dir() {
            let _ = fs::create_dir(signs);
        }
        if self.folder.is_dir() && !self.folder.join(FILE).exists() {
            let _ = self.order.write(&self.folder);
        }
        Ok(())
    }

    /// Fetches those results of `missing` items that are there. Gives the items.
    ///
    /// # Errors
    /// A store that refuses or does not answer; a full disk.
    pub fn collect(&self, missing: &BTreeSet<u32>) -> anyhow::Result<Vec<u32>> {
        let Some(There { depot, results, listed, .. }) = &self.there else { return Ok(Vec::new()) };
        let names = |item: u32| self.order.task.leaves(item).into_iter().map(move |name| format!("{results}/{name}"));
        // What is here already is not listed again, as far as names tell.
        let Some(mut before) = missing.iter().flat_map(|&item| names(item)).min() else { return Ok(Vec::new()) };
        before.pop();
        self.ask(async || {
            if listed.borrow().is_empty() {
                let found = depot.list(results, &before).await?;
                let found: BTreeMap<&str, &Object> =
                    found.iter().map(|object| (object.name.as_str(), object)).collect();
                let of_item = |&item: &u32| -> Option<(u32, Vec<Object>)> {
                    let objects: Option<_> =
                        names(item).map(|name| found.get(name.as_str()).copied().cloned()).collect();
                    Some((item, objects?))
                };
                listed.replace(missing.iter().filter_map(of_item).collect());
            }
            let next: Vec<(u32, Vec<Object>)> = {
                let mut listed = listed.borrow_mut();
                let end = AT_ONCE.min(listed.len());
                listed.drain(..end).filter(|(item, _)| missing.contains(item)).collect()
            };
            let (items, objects): (Vec<u32>, Vec<Vec<Object>>) = next.into_iter().unzip();
            // What has changed since it was listed is listed again.
            depot.fetch(&objects.concat(), &|_| ()).await.inspect_err(|_| listed.borrow_mut().clear())?;
            Ok(items)
        })
    }

    /// Removes what was collected of an item and is not whole, so that it is made again.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub fn reject(&self, item: u32) -> anyhow::Result<()> {
        let Some(There { depot, results, .. }) = &self.there else { return Ok(()) };
        for name in self.order.task.leaves(item) {
            let name = format!("{results}/{name}");
            disk::remove_file(&depot.local().join(&name)).with_context(|| name.clone())?;
            self.ask(async || Ok(depot.delete(&name).await?))?;
        }
        Ok(())
    }

    /// The last sign of life of each executor, by its name.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub fn signs(&self) -> anyhow::Result<BTreeMap<String, Sign>> {
        let Some(There { depot, place, signs, .. }) = &self.there else { return Ok(sign::read(&self.folder)) };
        let folder = format!("{place}/{}", sign::FOLDER);
        let known =
            |object: &Object| signs.borrow().get(&object.name).is_some_and(|(known, _)| *known == object.version);
        self.ask(async || {
            for object in depot.list(&folder, "").await? {
                if !known(&object)
                    && let Some(bytes) = depot.read(&object.name, MOST).await?
                    && let Ok(sign) = serde_json::from_slice(&bytes)
                {
                    signs.borrow_mut().insert(object.name, (object.version, sign));
                }
            }
            Ok(())
        })?;
        let signs = signs.borrow();
        Ok(signs
            .iter()
            .filter_map(|(name, (_, sign))| Some((sign::executor(Path::new(name))?, sign.clone())))
            .collect())
    }

    /// Asks a store, and again while it may go better and patience lasts.
    fn ask<T>(&self, work: impl AsyncFn() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let (begun, mut told) = (Instant::now(), false);
        loop {
            match self.engine.wait(work()) {
                Err(error) if may_pass(&error) && begun.elapsed() < self.patience => {
                    if !told {
                        let within = self.patience.as_secs();
                        self.engine.progress().note(&format!("{error:#}; tried again for {within} s"));
                    }
                    told = true;
                    sleep(RETRY);
                }
                done => return done,
            }
        }
    }

    /// Forgets signs of the past.
    ///
    /// # Errors
    /// A folder that cannot be made; a store that refuses or does not answer.
    pub fn begin(&self) -> anyhow::Result<()> {
        lease::check(self.lease)?;
        let signs = sign::signs(&self.folder);
        // Whoever is still at work for a run that was killed may be writing one.
        let _ = disk::remove_folder(&signs);
        fs::create_dir_all(&signs).with_context(|| signs.display().to_string())?;
        match &self.there {
            None => Ok(()),
            Some(There { depot, place, .. }) => self.engine.wait(depot.clear(&format!("{place}/{}", sign::FOLDER))),
        }
    }
}

impl There {
    fn new(address: &Address, order: &WorkOrder, folder: &Path) -> anyhow::Result<Self> {
        let root = folder.ancestors().nth(UP).unwrap_or(folder);
        let place: Vec<_> = folder.strip_prefix(root)?.iter().map(|part| part.to_string_lossy()).collect();
        let run = place.first().map(|run| run.to_string()).unwrap_or_default();
        let place = place.join("/");
        let results = inside(&place, order.task.results())?;
        Ok(Self {
            depot: Depot::new(address, root.to_owned(), &run)?,
            place,
            results,
            signs: RefCell::default(),
            listed: RefCell::default(),
        })
    }
}

/// An order is taken down when its board goes: whoever still has work of it leaves it undone.
impl Drop for Board<'_> {
    fn drop(&mut self) {
        let _ = disk::remove_file(&self.folder.join(FILE));
        // Another's order may lie there now.
        let is_ours = lease::check(self.lease).is_ok();
        if let Some(There { depot, place, .. }) = self.there.as_ref().filter(|_| is_ours) {
            self.engine.part(PARTING, depot.delete(&format!("{place}/{FILE}")));
        }
    }
}
