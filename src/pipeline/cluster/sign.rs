//! Signs of life: a small file for each executor that is at work on a run, written anew every now and then. Whoever drives the run
//! sees from them who works, and that an item which takes long is not forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ground::Ground;
use crate::disk;

/// Between two signs, at most.
const BEAT: Duration = Duration::from_secs(1);

/// What an executor tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    /// Numbers of the items that it has in hand.
    pub at: BTreeSet<u32>,
    /// How many of the order it has done: those that it found done do not count.
    pub done: u64,
    /// And how many it has failed at.
    pub failed: u64,
    /// Bytes of the work folder that it has opened for them.
    pub opened: u64,
    /// Counts up. A clock would have to agree with those of others.
    beat: u64,
}

/// The pulse of one executor's work on one run: it shows signs until it is dropped.
#[derive(Debug)]
pub struct Pulse {
    counts: Arc<Counts>,
    /// Wakes whoever shows them.
    news: mpsc::Sender<()>,
}

#[derive(Debug, Default)]
struct Counts {
    at: Mutex<BTreeSet<u32>>,
    /// One of them is out of hand.
    over: Condvar,
    done: AtomicU64,
    failed: AtomicU64,
    opened: AtomicU64,
}

/// An item in hand, until this is dropped.
pub struct InHand<'a> {
    pulse: &'a Pulse,
    number: u32,
}

impl Pulse {
    /// Shows signs beside an order: when there is news, and every now and then while there is work.
    pub fn begin(ground: &Arc<Ground>, executor: &str) -> Self {
        let (news, heard) = mpsc::channel();
        let counts = Arc::<Counts>::default();
        let (ground, executor, shown) = (ground.clone(), executor.to_owned(), counts.clone());
        let show = move || show(&shown, &heard, &ground, &executor);
        // Without it the work is done all the same.
        let _ = thread::Builder::new().name("signs".to_owned()).spawn(show);
        Self { counts, news }
    }

    /// Whether nothing is in hand.
    pub fn is_idle(&self) -> bool {
        self.counts.at().is_empty()
    }

    /// What the work takes was opened: so many bytes.
    pub fn opened(&self, bytes: u64) {
        self.counts.opened.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes an item in hand, when nobody else here has it: whoever waited for another finds it done.
    pub fn take(&self, number: u32) -> InHand<'_> {
        let mut at = self.counts.at();
        while !at.insert(number) {
            at = self.counts.over.wait(at).unwrap_or_else(PoisonError::into_inner);
        }
        drop(at);
        let _ = self.news.send(());
        InHand { pulse: self, number }
    }

    /// An item was done.
    pub fn done(&self) {
        self.counts.done.fetch_add(1, Ordering::Relaxed);
    }

    /// One could not be.
    pub fn failed(&self) {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.pulse.counts.at().remove(&self.number);
        self.pulse.counts.over.notify_all();
        let _ = self.pulse.news.send(());
    }
}

impl Counts {
    fn at(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn show(counts: &Counts, heard: &mpsc::Receiver<()>, ground: &Ground, executor: &str) {
    for beat in 0.. {
        match heard.recv_timeout(BEAT) {
            Ok(()) => heard.try_iter().for_each(drop),
            Err(mpsc::RecvTimeoutError::Timeout) if counts.at().is_empty() => continue,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        let at = counts.at().clone();
        let [done, failed, opened] =
            [&counts.done, &counts.failed, &counts.opened].map(|count| count.load(Ordering::Relaxed));
        // Whoever cannot write signs cannot commit either, and is told of that.
        let _ = ground.sign(executor, &Sign { at, done, failed, opened, beat });
        // It may have come after all others were cleared away; where the order is still there, that is yet to come.
        if ground.is_withdrawn() {
            ground.forget_sign(executor);
        }
        thread::sleep(ground.between_signs());
    }
}

/// Where executors leave their signs, in the folder of an order.
pub const FOLDER: &str = "executors";

/// The same.
pub fn signs(folder: &Path) -> PathBuf {
    folder.join(FOLDER)
}

/// What the sign of an executor is called in the folder of an order.
pub fn name(executor: &str) -> String {
    format!("{FOLDER}/{executor}.json")
}

/// Whose sign a file or object is.
pub fn executor(name: &Path) -> Option<String> {
    let is_sign = name.extension().is_some_and(|kind| kind == "json");
    Some(name.file_stem().filter(|_| is_sign)?.to_str()?.to_owned())
}

/// The last sign of each executor, by its name. One that is being written counts when it is.
pub fn read(folder: &Path) -> BTreeMap<String, Sign> {
    let entries = fs::read_dir(signs(folder)).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter_map(|path| Some((executor(&path)?, disk::kept(&path).ok()?))).collect()
}
