//! How a run is stopped in the middle of anything.
//!
//! A file of a run is whole under its name or not there, so that a run may end anywhere and the same command goes on from
//! there. It is asked to stop first, and does so where the next partition or the next rows would begin. Where that takes too
//! long (eigenvectors of thousands of dimensions, a graph, a sort), the process may end; but not while an output takes its place.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tempfile::TempDir;

/// The run was asked to stop. What is committed stays, and the same command goes on from there.
#[derive(Debug, thiserror::Error)]
#[error("interrupted; finished partitions are kept, and the same command goes on from there")]
pub struct Interrupted;

/// Stops a run from outside.
#[derive(Debug, Default)]
pub struct Brake {
    /// Set from a signal handler.
    pub asked: AtomicBool,
    /// Who was first: the output taking its place, or the process about to end.
    state: AtomicU8,
    /// Files and folders that go with the process.
    passing: Mutex<Vec<PathBuf>>,
    locks: Mutex<Vec<PathBuf>>,
}

const RUNNING: u8 = 0;
const SEALING: u8 = 1;
const ENDING: u8 = 2;

impl Brake {
    pub const fn new() -> Self {
        Self {
            asked: AtomicBool::new(false),
            state: AtomicU8::new(RUNNING),
            passing: Mutex::new(Vec::new()),
            locks: Mutex::new(Vec::new()),
        }
    }

    /// # Errors
    /// When the run was asked to stop.
    pub fn go_on(&self) -> Result<(), Interrupted> {
        if self.asked.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }

    /// Whether the process may end now, whatever a run is doing; the temporary files and folders of the run are gone then, and its locks
    /// name nobody. Not once its output takes its place.
    pub fn may_end(&self) -> bool {
        let first = self.state.compare_exchange(RUNNING, ENDING, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if first && let Ok(passing) = self.passing.lock() {
            for path in passing.iter() {
                let remove = || fs::remove_dir_all(path).or_else(|_| fs::remove_file(path));
                // A thread may put something into a folder meanwhile.
                let _ = (0..3).any(|_| remove().is_ok() || !path.exists());
            }
        }
        if first && let Ok(locks) = self.locks.lock() {
            // The system keeps them until the process has ended.
            let empty = |lock: &PathBuf| File::options().write(true).open(lock).and_then(|file| file.set_len(0));
            locks.iter().for_each(|lock| drop(empty(lock)));
        }
        first
    }

    /// From here on nothing stops the run.
    pub(super) fn seal(&self) -> Result<(), Interrupted> {
        self.go_on()?;
        let running = self.state.compare_exchange(RUNNING, SEALING, Ordering::SeqCst, Ordering::SeqCst);
        running.map(|_| ()).map_err(|_| Interrupted)
    }

    /// The run's lock ends with the process as if it had been let go of: whoever comes next need not wonder.
    pub(super) fn lets_go_of(&self, lock: &Path) {
        if let Ok(mut locks) = self.locks.lock() {
            locks.push(lock.to_owned());
        }
    }

    /// A folder that goes when it is dropped, or with the process.
    pub(super) fn folder(&self) -> std::io::Result<TempDir> {
        let folder = tempfile::tempdir()?;
        self.removes(folder.path());
        Ok(folder)
    }

    /// A file or folder goes with the process.
    pub fn removes(&self, path: &Path) {
        if let Ok(mut passing) = self.passing.lock() {
            passing.push(path.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_ends_or_the_output_takes_its_place() {
        let brake = Brake::new();
        let folder = brake.folder().unwrap();
        fs::write(folder.path().join("rows"), "1").unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        brake.removes(file.path());
        let lock = tempfile::NamedTempFile::new().unwrap();
        fs::write(lock.path(), "process 7").unwrap();
        brake.lets_go_of(lock.path());
        assert!(brake.go_on().is_ok() && brake.may_end());
        assert!(!folder.path().exists() && !file.path().exists());
        assert_eq!(fs::read(lock.path()).unwrap(), b"", "it names nobody");
        assert!(brake.seal().is_err(), "the process is about to end");

        let brake = Brake::new();
        brake.seal().unwrap();
        brake.asked.store(true, Ordering::Relaxed);
        assert!(!brake.may_end(), "the output takes its place");

        let brake = Brake::new();
        brake.asked.store(true, Ordering::Relaxed);
        assert!(brake.go_on().is_err() && brake.seal().is_err());
    }
}
