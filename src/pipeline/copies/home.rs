//! Where copies lie.
//!
//! ```text
//! .NAME.miner/inputs/       in the scratch folder of a run
//!   lock                    names the run that fetches and reads here
//!   KEY/                    of one input, whose URL names it
//! ```
//!
//! Beside the folder of the very run, not in it: which run it is, only the inputs tell.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use walkdir::WalkDir;

use super::error::CopyError;
use crate::config::Plan;
use crate::disk;
use crate::pipeline::lock::{Lock, LockError};
use crate::pipeline::scratch::{self, ScratchError};

/// The folder of all copies.
pub(super) enum Home {
    /// There are none.
    None,
    Scratch(PathBuf, Lock),
    Aside(TempDir),
}

impl Home {
    /// Locks the one of a run. Copies of other inputs go, and all of them where the run begins anew.
    pub fn in_scratch(plan: &Plan, keys: &[String]) -> Result<Self, ScratchError> {
        let folder = scratch::inputs(plan);
        let lock = Lock::acquire(&folder)?;
        let clear = || -> io::Result<()> {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let stays = !plan.run.fresh && keys.iter().any(|key| entry.file_name() == key.as_str());
                if entry.file_type()?.is_dir() && !stays {
                    disk::remove_folder(&entry.path())?;
                }
            }
            Ok(())
        };
        match clear() {
            Ok(()) => Ok(Self::Scratch(folder, lock)),
            Err(source) => Err(ScratchError::Unusable { path: folder, source }),
        }
    }

    /// Removes what is left of the one of a run, if it is there and nobody works in it.
    pub fn sweep(plan: &Plan) -> Result<(), ScratchError> {
        let folder = scratch::inputs(plan);
        if !folder.exists() {
            return Ok(());
        }
        match Lock::acquire(&folder) {
            Err(LockError::Busy { .. } | LockError::Elsewhere { .. }) => Ok(()),
            lock => Self::Scratch(folder, lock?).remove(),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::None => Path::new(""),
            Self::Scratch(path, _) => path,
            Self::Aside(folder) => folder.path(),
        }
    }

    /// Of one input.
    pub fn folder(&self, key: &str) -> PathBuf {
        self.path().join(key)
    }

    /// Whether copies of so many bytes fit, those that are there among them.
    pub fn check_room(&self, bytes: u64) -> Result<(), CopyError> {
        let folder = self.path().to_owned();
        let io = |source| CopyError::Io { path: folder.clone(), source };
        let files = WalkDir::new(&folder).into_iter().flatten().filter(|entry| entry.file_type().is_file());
        let here: u64 = files.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum();
        let (needed, found) = (bytes.saturating_sub(here), disk::room(&folder).map_err(io)?);
        let cure = match self {
            Self::Scratch(..) => "name another disk as run.work",
            Self::None | Self::Aside(_) => "let TMPDIR name a folder on another disk",
        };
        if needed > found { Err(CopyError::NoRoom { folder, needed, found, cure }) } else { Ok(()) }
    }

    pub fn remove(&self) -> Result<(), ScratchError> {
        match self {
            Self::Scratch(path, _lock) => {
                disk::remove_folder(path).map_err(|source| ScratchError::Unusable { path: path.clone(), source })
            }
            Self::None | Self::Aside(_) => Ok(()),
        }
    }
}
