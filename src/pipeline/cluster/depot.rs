//! A folder of runs in a store, for machines that share none. It has the layout of the scratch folder of whoever drives a run, so that
//! the paths of an order hold at both ends:
//!
//! ```text
//! s3://bucket/miner/.NAME-HASH.miner/
//!   driver.json                             whoever drives, see `lease`
//!   graphs/
//!   run-KEY/
//!     store/ cells partitions/
//!     cluster/TASK/work-order.json
//!     cluster/TASK/executors/NAME.json      signs of life
//! ```
//!
//! A file is known by the version that the store made of it: what is the same at both ends is not moved again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::disk;
use crate::remote::{Address, Object, Remote, RemoteError, Version, send_each};

/// A folder here, and its like in a store. Names are seen from either.
pub struct Depot {
    remote: Remote,
    local: PathBuf,
    /// Inside of both, for what is only of use to this one.
    notes: String,
    alike: Mutex<BTreeMap<String, Alike>>,
}

/// A file that is the same here and there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Alike {
    here: Stamp,
    there: Version,
}

/// Which of the contents that a file has had. A file of a run takes its place whole, and is not written to again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    /// Nanoseconds.
    modified: u64,
}

/// A file that is to be sent.
pub struct Unsent {
    name: String,
    pub bytes: u64,
}

impl Depot {
    /// Over a folder of a store and an existing one here; `run` names the folder of the run in both.
    ///
    /// # Errors
    /// A store that the environment does not tell how to reach.
    pub fn new(address: &Address, local: PathBuf, run: &str) -> Result<Self, RemoteError> {
        let notes = format!("{run}/cluster");
        let alike = disk::kept(&local.join(&notes).join(ALIKE)).unwrap_or_default();
        Ok(Self { remote: Remote::open(address)?, local, notes, alike: Mutex::new(alike) })
    }

    pub fn address(&self) -> &Address {
        self.remote.address()
    }

    pub fn local(&self) -> &Path {
        &self.local
    }

    /// The files below some paths here that the store does not have as they are.
    ///
    /// # Errors
    /// A path that cannot be read; a store that refuses or does not answer.
    pub async fn unsent(&self, paths: &[String]) -> anyhow::Result<Vec<Unsent>> {
        let mut unsent = Vec::new();
        for path in paths {
            let found = self.remote.find(path).await?;
            let there: BTreeMap<&str, &Object> = found.iter().map(|object| (object.name.as_str(), object)).collect();
            for name in self.files(path)? {
                if !there.get(name.as_str()).is_some_and(|object| self.is_alike(object)) {
                    let bytes = self.stamp(&name)?.bytes;
                    unsent.push(Unsent { name, bytes });
                }
            }
        }
        Ok(unsent)
    }

    /// Sends files, and notes that they are there. `on_bytes` is told of what has arrived.
    ///
    /// # Errors
    /// A file that cannot be read; a store that refuses or does not answer.
    pub async fn send(&self, files: Vec<Unsent>, on_bytes: &(dyn Fn(u64) + Sync)) -> anyhow::Result<()> {
        let send = async |file: Unsent| {
            self.put(&file.name, on_bytes).await?;
            self.note()
        };
        send_each(files, |file| file.bytes, send).await
    }

    /// Sends one file, unless it is there.
    ///
    /// # Errors
    /// As of [`send`](Self::send).
    pub async fn bring(&self, name: &str) -> anyhow::Result<()> {
        match self.remote.head(name).await? {
            Some(object) if self.is_alike(&object) => Ok(()),
            _ => self.put(name, &|_| ()).await,
        }
    }

    async fn put(&self, name: &str, on_bytes: &(dyn Fn(u64) + Sync)) -> anyhow::Result<()> {
        let here = self.stamp(name)?;
        let there = self.remote.put(name, &self.local.join(name), on_bytes).await?;
        self.learn(name, Alike { here, there });
        Ok(())
    }

    /// The objects below some paths that are not here as they are there.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn unfetched(&self, paths: &[String]) -> Result<Vec<Object>, RemoteError> {
        let mut unfetched = Vec::new();
        for path in paths {
            let found = self.remote.find(path).await?;
            unfetched.extend(found.into_iter().filter(|object| !self.is_alike(object)));
        }
        Ok(unfetched)
    }

    /// Fetches objects, each of which takes its place whole.
    ///
    /// # Errors
    /// An object that has changed since it was listed; a store that refuses or does not answer; a full disk.
    pub async fn fetch(&self, objects: &[Object], on_bytes: &(dyn Fn(u64) + Sync)) -> anyhow::Result<()> {
        let Some(first) = objects.first() else { return Ok(()) };
        let aside = format!("arriving-{}", &blake3::hash(first.name.as_bytes()).to_hex()[..16]);
        let aside = self.local.join(&self.notes).join(aside);
        self.remote.fetch(objects, &aside, on_bytes).await?;
        for object in objects {
            let path = self.local.join(&object.name);
            let put = || {
                fs::create_dir_all(path.parent().unwrap_or(&self.local))?;
                fs::rename(aside.join(&object.name), &path)
            };
            put().with_context(|| path.display().to_string())?;
            self.learn(&object.name, Alike { here: self.stamp(&object.name)?, there: object.version.clone() });
        }
        disk::remove_folder(&aside).with_context(|| aside.display().to_string())
    }

    /// The object of a name, if there is one.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn head(&self, name: &str) -> Result<Option<Object>, RemoteError> {
        self.remote.head(name).await
    }

    /// Objects in a folder that come after a name.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn list(&self, folder: &str, after: &str) -> Result<Vec<Object>, RemoteError> {
        self.remote.list_below(folder, after).await
    }

    /// A small object, if it is there.
    ///
    /// # Errors
    /// More than `most` bytes; a store that refuses or does not answer.
    pub async fn read(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, RemoteError> {
        self.remote.read(name, most).await
    }

    /// Puts a small object.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn write(&self, name: &str, bytes: Vec<u8>) -> Result<(), RemoteError> {
        self.remote.write(name, bytes).await
    }

    /// Deletes an object, if it is there.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn delete(&self, name: &str) -> Result<(), RemoteError> {
        self.remote.delete(name).await
    }

    /// Deletes objects.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn delete_all(&self, objects: Vec<Object>) -> Result<(), RemoteError> {
        self.remote.delete_all(objects).await
    }

    /// Deletes what is there below a path.
    ///
    /// # Errors
    /// A store that refuses or does not answer.
    pub async fn clear(&self, path: &str) -> Result<(), RemoteError> {
        self.delete_all(self.list(path, "").await?).await
    }

    /// Names of the files below a path here; those that are being written are none.
    fn files(&self, path: &str) -> anyhow::Result<Vec<String>> {
        let mut names = Vec::new();
        let is_being_written =
            |name: &str| name.starts_with('.') || Path::new(name).extension().is_some_and(|kind| kind == "tmp");
        let entries = WalkDir::new(self.local.join(path)).sort_by_file_name().into_iter();
        let entries =
            entries.filter_entry(|entry| entry.depth() == 0 || !is_being_written(&entry.file_name().to_string_lossy()));
        for entry in entries {
            let entry = entry?;
            if entry.file_type().is_file() {
                let name = entry.path().strip_prefix(&self.local)?;
                names.push(name.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/"));
            }
        }
        Ok(names)
    }

    fn is_alike(&self, object: &Object) -> bool {
        let alike = self.alike.lock().unwrap_or_else(PoisonError::into_inner).get(&object.name).cloned();
        alike.is_some_and(|Alike { here, there }| {
            here.bytes == object.bytes
                && there.is_telling()
                && there == object.version
                && self.stamp(&object.name).is_ok_and(|stamp| stamp == here)
        })
    }

    fn learn(&self, name: &str, alike: Alike) {
        self.alike.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), alike);
    }

    /// What is alike, for whoever goes on.
    fn note(&self) -> anyhow::Result<()> {
        let path = self.local.join(&self.notes).join(ALIKE);
        let alike = self.alike.lock().unwrap_or_else(PoisonError::into_inner);
        disk::keep(&path, &*alike).with_context(|| path.display().to_string())
    }

    fn stamp(&self, name: &str) -> anyhow::Result<Stamp> {
        let path = self.local.join(name);
        let stamp = || -> io::Result<Stamp> {
            let file = fs::metadata(&path)?;
            let since = file.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            Ok(Stamp { bytes: file.len(), modified: since.as_nanos() as u64 })
        };
        stamp().with_context(|| path.display().to_string())
    }
}

const ALIKE: &str = "alike.json";
