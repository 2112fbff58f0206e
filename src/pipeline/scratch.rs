//! The scratch folder of a run: locked while a run works in it, named by what it holds.
//!
//! ```text
//! .NAME.miner/            beside the output, or in run.work
//!   lock                  held by the run that works here; released by the system when that process ends
//!   graphs/               search graphs, kept for the next run on the same store
//!   run-FINGERPRINT/      store/, partitions/, sorts/, output/ of this very run; removed when it is sealed
//! ```

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// A folder of its own for one run, exclusively held.
pub struct Scratch {
    root: PathBuf,
    run: PathBuf,
    _lock: File,
}

/// The scratch folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    #[error("{path}: cannot use the scratch folder: {source}; set run.work to a folder that can be written", path = .path.display())]
    Unusable { path: PathBuf, source: io::Error },
    #[error("{path}: another run is working on this output; wait for it, or stop it first", path = .path.display())]
    Busy { path: PathBuf },
}

impl Scratch {
    /// Opens the scratch folder of the output `name` in `work`, for the run that `fingerprint` names. What an
    /// interrupted run with the same fingerprint left is found again; leftovers of any other are removed.
    pub fn open(work: &Path, name: &str, fingerprint: &str) -> Result<Self, ScratchError> {
        let root = root(work, name);
        let unusable = |source| ScratchError::Unusable { path: root.clone(), source };
        fs::create_dir_all(&root).map_err(unusable)?;
        let lock = File::create(root.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ScratchError::Busy { path: root }),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        let run = root.join(format!("run-{}", &fingerprint[..fingerprint.len().min(16)]));
        for entry in fs::read_dir(&root).map_err(unusable)? {
            let path = entry.map_err(unusable)?.path();
            let leftover = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run-"));
            if leftover && path != run {
                fs::remove_dir_all(&path).map_err(unusable)?;
            }
        }
        fs::create_dir_all(run.join("partitions")).map_err(unusable)?;
        Ok(Self { root, run, _lock: lock })
    }

    /// Where the prepared store goes.
    pub fn store(&self) -> PathBuf {
        self.run.join("store")
    }

    /// Where the partitions' harvests go.
    pub fn partitions(&self) -> PathBuf {
        self.run.join("partitions")
    }

    /// Where sorts put what memory cannot hold.
    pub fn sorts(&self) -> PathBuf {
        self.run.join("sorts")
    }

    /// Where the output grows until it is sealed.
    pub fn output(&self) -> PathBuf {
        self.run.join("output")
    }

    /// Where graphs stay between runs.
    pub fn graphs(&self) -> PathBuf {
        self.root.join("graphs")
    }

    /// Removes what only this run needed; the graphs stay if there are any.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove(self) -> Result<(), ScratchError> {
        let unusable = |source| ScratchError::Unusable { path: self.root.clone(), source };
        fs::remove_dir_all(&self.run).map_err(unusable)?;
        if !self.graphs().exists() {
            fs::remove_dir_all(&self.root).map_err(unusable)?;
        }
        Ok(())
    }
}

/// The folder that holds an output's scratch.
pub fn root(work: &Path, name: &str) -> PathBuf {
    work.join(format!(".{name}.miner"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_on_one_output_is_refused_until_the_first_ends() {
        let work = tempfile::tempdir().unwrap();
        let first = Scratch::open(work.path(), "out", "aaaa").unwrap();
        assert!(matches!(Scratch::open(work.path(), "out", "bbbb"), Err(ScratchError::Busy { .. })));
        assert!(Scratch::open(work.path(), "other", "bbbb").is_ok());
        first.remove().unwrap();
        assert!(Scratch::open(work.path(), "out", "bbbb").is_ok());
    }

    #[test]
    fn its_own_leftovers_stay_and_those_of_another_pipeline_go() {
        let work = tempfile::tempdir().unwrap();
        let scratch = Scratch::open(work.path(), "out", "aaaa").unwrap();
        fs::write(scratch.partitions().join("x"), "1").unwrap();
        drop(scratch);
        let scratch = Scratch::open(work.path(), "out", "aaaa").unwrap();
        assert!(scratch.partitions().join("x").exists());
        drop(scratch);
        let scratch = Scratch::open(work.path(), "out", "bbbb").unwrap();
        assert!(!root(work.path(), "out").join("run-aaaa").exists());
        scratch.remove().unwrap();
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0);
    }
}
