//! Signs of life: a small file for each executor that is at work on a run, written anew every now and then. Whoever drives the run
//! sees from them who works, and that an item which takes long is not forgotten.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
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
    /// Items that it is asked for and has not answered.
    pub busy: u32,
    /// Those of the order that it has done.
    pub done: u64,
    /// And those that it has failed at.
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
    busy: AtomicU32,
    done: AtomicU64,
    failed: AtomicU64,
    opened: AtomicU64,
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

    /// Whether nothing is asked for.
    pub fn is_idle(&self) -> bool {
        self.counts.busy.load(Ordering::Relaxed) == 0
    }

    /// What the work takes was opened: so many bytes.
    pub fn opened(&self, bytes: u64) {
        self.counts.opened.fetch_add(bytes, Ordering::Relaxed);
    }

    /// One item more is asked for.
    pub fn asked(&self) {
        self.counts.busy.fetch_add(1, Ordering::Relaxed);
        let _ = self.news.send(());
    }

    /// It was answered.
    pub fn answered(&self, done: bool) {
        let count = if done { &self.counts.done } else { &self.counts.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.counts.busy.fetch_sub(1, Ordering::Relaxed);
        let _ = self.news.send(());
    }
}

fn show(counts: &Counts, heard: &mpsc::Receiver<()>, ground: &Ground, executor: &str) {
    for beat in 0.. {
        match heard.recv_timeout(BEAT) {
            Ok(()) => heard.try_iter().for_each(drop),
            Err(mpsc::RecvTimeoutError::Timeout) if counts.busy.load(Ordering::Relaxed) == 0 => continue,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        let busy = counts.busy.load(Ordering::Relaxed);
        let [done, failed, opened] =
            [&counts.done, &counts.failed, &counts.opened].map(|count| count.load(Ordering::Relaxed));
        // Whoever cannot write signs cannot commit either, and is told of that.
        let _ = ground.sign(executor, &Sign { busy, done, failed, opened, beat });
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
