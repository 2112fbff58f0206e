//! Signs of life: a small file for each executor that is at work on a run, written anew every now and then. Whoever drives the run
//! sees from them who works, and that a partition which takes long is not forgotten.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::disk;

/// Between two signs.
const BEAT: Duration = Duration::from_secs(1);

/// What an executor tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    /// Partitions that it is asked for and has not answered.
    pub busy: u32,
    /// Those that it mined since it opened the run.
    pub mined: u64,
    /// Counts up. A clock would have to agree with those of others.
    beat: u64,
}

/// The pulse of one executor's work on one run.
#[derive(Debug, Default)]
pub struct Pulse {
    busy: AtomicU32,
    mined: AtomicU64,
}

impl Pulse {
    /// One partition more is asked for.
    pub fn begin(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    /// It was answered.
    pub fn end(&self, mined: bool) {
        self.mined.fetch_add(u64::from(mined), Ordering::Relaxed);
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    /// Writes a sign into the `folder` of a run every now and then, while there is work and until what is returned is dropped.
    pub fn show(self: Arc<Self>, folder: &Path, executor: &str) -> mpsc::Sender<()> {
        let (stop, stopped) = mpsc::channel::<()>();
        let file = signs(folder).join(format!("{executor}.json"));
        let beat = move || {
            let mut last = None;
            for beat in 0.. {
                let (busy, mined) = (self.busy.load(Ordering::Relaxed), self.mined.load(Ordering::Relaxed));
                if busy > 0 || last != Some((busy, mined)) {
                    // Whoever cannot write signs cannot commit either, and is told of that.
                    let _ = disk::keep(&file, &Sign { busy, mined, beat });
                    last = Some((busy, mined));
                }
                if stopped.recv_timeout(BEAT) != Err(mpsc::RecvTimeoutError::Timeout) {
                    break;
                }
            }
        };
        // Without it the work is done all the same.
        let _ = thread::Builder::new().name("signs".to_owned()).spawn(beat);
        stop
    }
}

/// Where executors leave their signs.
pub fn signs(folder: &Path) -> PathBuf {
    folder.join("executors")
}

/// The last sign of each executor, by its name. One that is being written counts when it is.
pub fn read(folder: &Path) -> BTreeMap<String, Sign> {
    let entries = fs::read_dir(signs(folder)).into_iter().flatten().flatten().map(|entry| entry.path());
    let files = entries.filter(|path| path.extension().is_some_and(|kind| kind == "json"));
    files.filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), disk::kept(&path).ok()?))).collect()
}
