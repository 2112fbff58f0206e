//! A folder on a disk of this machine for what an executor fetches of runs, and derives from their stores. That of an executor which was
//! killed goes when another one starts beside it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytesize::ByteSize;
use tempfile::TempDir;

use crate::disk;
use crate::pipeline::lock::{Lock, LockError};

/// Of the names of such folders.
const PREFIX: &str = "miner-executor-";

/// A folder that goes when this is dropped.
pub struct Spills {
    /// Says whose it is, and lets go of it first.
    _lock: Lock,
    folder: TempDir,
}

impl Spills {
    /// Makes one in an existing folder.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn begin(within: &Path) -> anyhow::Result<Self> {
        loop {
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(within);
            let folder = folder.with_context(|| within.display().to_string())?;
            match Lock::acquire(folder.path()) {
                // Another executor that starts now wonders whose this is.
                Err(LockError::Busy { .. }) => {}
                lock => {
                    let spills = Self { _lock: lock?, folder };
                    spills.sweep(within);
                    return Ok(spills);
                }
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes those whose processes are gone, as far as that is known; what cannot be removed is in nobody's way.
    fn sweep(&self, within: &Path) {
        for path in fs::read_dir(within).into_iter().flatten().flatten().map(|entry| entry.path()) {
            let is_one = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()));
            if !is_one || path == self.path() || !is_of_one_owner(&path, self.path()) || !path.join("lock").is_file() {
                continue;
            }
            // One that has just begun names nobody yet.
            if let Ok(lock) = Lock::acquire(&path)
                && lock.left().is_some()
            {
                let _ = disk::remove_folder(&path);
            }
        }
    }
}

/// A disk has no room for what an executor needs there.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: there is room for {}, and this run takes {} ({} to be fetched, {} to be packed); make room, or name another disk with --scratch",
    .folder.display(), ByteSize(*.found), ByteSize(.fetched + .packed), ByteSize(*.fetched), ByteSize(*.packed)
)]
pub struct NoRoom {
    folder: PathBuf,
    found: u64,
    fetched: u64,
    packed: u64,
}

/// Whether so many bytes that are to be fetched, and derived from what was, fit on the disk of a folder.
///
/// # Errors
/// When they do not.
pub fn check_room(folder: &Path, fetched: u64, packed: u64) -> anyhow::Result<()> {
    let found = disk::room(folder).with_context(|| folder.display().to_string())?;
    match fetched.saturating_add(packed) {
        needed if needed > found => Err(NoRoom { folder: folder.to_owned(), found, fetched, packed }.into()),
        _ => Ok(()),
    }
}

/// Whether two folders are of one user: what somebody else has put into a folder for everybody is left alone.
#[cfg(unix)]
fn is_of_one_owner(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let owner = |path: &Path| fs::symlink_metadata(path).ok().filter(fs::Metadata::is_dir).map(|found| found.uid());
    owner(a).is_some() && owner(a) == owner(b)
}

/// Elsewhere each user has a folder for such things.
#[cfg(not(unix))]
fn is_of_one_owner(a: &Path, _: &Path) -> bool {
    a.is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_executor_left_goes_and_nothing_else() {
        let room = tempfile::tempdir().unwrap();
        let left = |name: &str, lock: &str| {
            let folder = room.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("lock"), lock).unwrap();
            folder
        };
        let alive = Spills::begin(room.path()).unwrap();
        let holder = fs::read_to_string(alive.path().join("lock")).unwrap();
        let killed = left("miner-executor-killed", &holder);
        let kept = [left("miner-executor-begins", ""), left("of-others", &holder)];
        let next = Spills::begin(room.path()).unwrap();
        assert!(!killed.exists());
        assert!(kept.iter().all(|folder| folder.exists()) && alive.path().exists());
        let place = next.path().to_owned();
        drop(next);
        assert!(!place.exists());
    }

    #[test]
    #[cfg(unix)]
    fn a_link_is_not_followed() {
        let (room, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = Spills::begin(room.path()).unwrap();
        fs::copy(first.path().join("lock"), elsewhere.path().join("lock")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), room.path().join("miner-executor-x")).unwrap();
        Spills::begin(room.path()).unwrap();
        assert!(elsewhere.path().join("lock").exists());
    }
}
