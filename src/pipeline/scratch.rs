//! The scratch folder of a run: locked while a run works in it, named by what it holds.
//!
//! ```text
//! .NAME.miner/            beside the output
//!   lock                  names the run that works here; released by the system when that process ends
//!   graphs/               search graphs, kept for the next run on the same store
//!   inputs/               copies of inputs that lie in stores, removed with the run
//!   run-KEY/              of this very run, removed when it is sealed
//!     store/ cells notes/ partitions/ sorts/ assignment/ cluster/
//!     output/ parts/      the output as it grows, and notes of the parts that are finished
//! ```
//!
//! With `run.work` all but the last line lies there, in a folder whose name tells outputs of one name apart; the output still
//! grows beside its place, because only within one file system can it be moved there at once. Of an output in a store all of it
//! lies in `run.work`, with notes of what has been sent in `run-KEY/sent/`. Where `run.work` is a folder of a store, in which the
//! machines of a cluster meet, all lies here as if it were not named, and what others need has its like there.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::lock::{Holder, Lock, LockError};
use crate::config::{Plan, Target, resolved};
use crate::{disk, manifest};

/// Folders of its own for one run, exclusively held.
pub struct Scratch {
    /// Beside the output, where that is a folder of this machine.
    beside: Place,
    /// In `run.work`, where that is elsewhere.
    away: Option<Place>,
}

struct Place {
    root: PathBuf,
    run: PathBuf,
    lock: Lock,
}

/// Where an index keeps what took long to make: what training the cells gave, and graphs.
pub struct Kept {
    pub cells: PathBuf,
    pub graphs: PathBuf,
}

/// The scratch folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScratchError {
    #[error("{path}: cannot be used for scratch: {source}; it must be in a folder that can be written: that of output.path (or, for a store, of the pipeline), or run.work", path = .path.display())]
    Unusable { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Lock(#[from] LockError),
    /// In a store where machines meet.
    #[cfg(feature = "cluster")]
    #[error("{0:#}")]
    Store(anyhow::Error),
}

/// What becomes of what other runs left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    /// Those of any other pipeline, input or program go.
    Own,
    /// Nothing is gone on from, not even this run's.
    None,
    /// All stay.
    All,
}

impl Scratch {
    /// Opens the scratch of a plan's output for the run that `key` names. What an interrupted run with the same key left is
    /// found again. An old output that an interrupted run had moved aside is back in its place.
    pub fn open(plan: &Plan, key: &str, leftovers: Leftovers) -> Result<Self, ScratchError> {
        let (beside, away) = roots(plan);
        let beside = Place::open(beside, key)?;
        if let Some(output) = plan.target.folder() {
            manifest::restore(&beside.root, output)
                .map_err(|source| ScratchError::Unusable { path: beside.root.clone(), source })?;
        }
        let scratch = Self { beside, away: away.map(|root| Place::open(root, key)).transpose()? };
        scratch.places().try_for_each(|place| place.clear(leftovers))?;
        for folder in [scratch.partitions(), scratch.notes(), scratch.parts()] {
            fs::create_dir_all(&folder).map_err(|source| ScratchError::Unusable { path: folder, source })?;
        }
        Ok(scratch)
    }

    /// Removes what a run that was sealed could not remove any more, if it is there and nobody works in it.
    pub fn sweep(plan: &Plan, key: impl Fn() -> String) -> Result<(), ScratchError> {
        let (beside, away) = roots(plan);
        if ![Some(beside), away].into_iter().flatten().any(|root| root.exists()) {
            return Ok(());
        }
        match Self::open(plan, &key(), Leftovers::All) {
            Err(ScratchError::Lock(_)) => Ok(()),
            opened => opened?.remove(),
        }
    }

    /// Whether an interrupted run left something to go on from.
    pub fn is_left(plan: &Plan, key: &str) -> bool {
        let (beside, away) = roots(plan);
        [Some(beside), away].into_iter().flatten().any(|root| root.join(run_name(key)).exists())
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.away.iter().chain([&self.beside])
    }

    /// The place for what is large and need not lie beside the output.
    fn work(&self) -> &Place {
        self.away.as_ref().unwrap_or(&self.beside)
    }

    /// The run before this one, where it was killed.
    pub fn left(&self) -> Option<&Holder> {
        self.beside.lock.left()
    }

    /// Names what this run has locked.
    #[cfg(feature = "cluster")]
    pub fn lock_id(&self) -> String {
        self.work().lock.id()
    }

    /// The files that name this run to others.
    pub fn locks(&self) -> impl Iterator<Item = &Path> {
        self.places().map(|place| place.lock.path())
    }

    /// Where the prepared store goes.
    pub fn store(&self) -> PathBuf {
        self.work().run.join("store")
    }

    /// Where the index keeps what it is made of: graphs stay between runs.
    pub fn kept(&self) -> Kept {
        let work = self.work();
        Kept { cells: work.run.join("cells"), graphs: work.root.join(GRAPHS) }
    }

    /// Where rows are brought to their cells, where a cluster does that.
    #[cfg(feature = "cluster")]
    pub fn assignment(&self) -> PathBuf {
        self.work().run.join("assignment")
    }

    /// Where small results of stages are kept.
    pub fn notes(&self) -> PathBuf {
        self.work().run.join("notes")
    }

    /// Where other machines find what is to be done, where a cluster works.
    #[cfg(feature = "cluster")]
    pub fn order(&self, task: &str) -> PathBuf {
        self.work().run.join("cluster").join(task)
    }

    /// Where the partitions' harvests go.
    pub fn partitions(&self) -> PathBuf {
        self.work().run.join("partitions")
    }

    /// Where sorts put what memory cannot hold.
    pub fn sorts(&self) -> PathBuf {
        self.work().run.join("sorts")
    }

    /// Where the output grows until it is sealed.
    pub fn output(&self) -> PathBuf {
        self.beside.run.join("output")
    }

    /// Where is noted which parts of it are finished.
    pub fn parts(&self) -> PathBuf {
        self.beside.run.join("parts")
    }

    /// Where is noted what a store has got of it.
    pub fn sent(&self) -> PathBuf {
        self.beside.run.join(SENT)
    }

    /// Removes what only this run needed; the graphs stay if there are any.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove(self) -> Result<(), ScratchError> {
        self.places().try_for_each(Place::remove)
    }
}

const GRAPHS: &str = "graphs";
const SENT: &str = "sent";

impl Place {
    fn open(root: PathBuf, key: &str) -> Result<Self, ScratchError> {
        let lock = Lock::acquire(&root)?;
        let run = root.join(run_name(key));
        Ok(Self { root, run, lock })
    }

    fn clear(&self, leftovers: Leftovers) -> Result<(), ScratchError> {
        let clear = || {
            for entry in fs::read_dir(&self.root)? {
                let path = entry?.path();
                let run = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"run-"));
                let goes = match leftovers {
                    Leftovers::Own => run && path != self.run,
                    Leftovers::None => run || path.file_name() == Some(OsStr::new(GRAPHS)),
                    Leftovers::All => false,
                };
                if goes {
                    disk::remove_folder(&path)?;
                }
            }
            // Of no use to anyone but the process that sorted.
            disk::remove_folder(&self.run.join("sorts"))
        };
        clear().map_err(|source| ScratchError::Unusable { path: self.root.clone(), source })
    }

    fn remove(&self) -> Result<(), ScratchError> {
        let remove = || {
            disk::remove_folder(&self.run)?;
            if self.root.join(GRAPHS).exists() {
                return Ok(());
            }
            disk::remove_file(self.lock.path())?;
            match fs::remove_dir(&self.root) {
                // Another run has come meanwhile, or left something that it may still go on from.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                removed => removed,
            }
        };
        remove().map_err(|source| ScratchError::Unusable { path: self.root.clone(), source })
    }
}

/// What the folder of the run that `key` names is called in that of its output.
pub fn run_name(key: &str) -> String {
    format!("run-{}", &key[..key.len().min(16)])
}

/// The folder in which graphs of a plan's store are kept, or would be.
pub fn graphs(plan: &Plan) -> PathBuf {
    let (beside, away) = roots(plan);
    away.unwrap_or(beside).join(GRAPHS)
}

/// Where the run that `key` names has noted, or would note, what a store has got of its output.
pub fn sent(plan: &Plan, key: &str) -> PathBuf {
    roots(plan).0.join(run_name(key)).join(SENT)
}

/// The folder of copies of inputs that lie in stores.
pub fn inputs(plan: &Plan) -> PathBuf {
    let (beside, away) = roots(plan);
    away.unwrap_or(beside).join("inputs")
}

/// The folder beside the output, and the one in `run.work`, where that is elsewhere; the latter alone, where the output goes to a
/// store.
pub fn roots(plan: &Plan) -> (PathBuf, Option<PathBuf>) {
    let work = &plan.run.work;
    let Target::Folder(output) = &plan.target else { return (work.join(apart(plan)), None) };
    let parent = output.parent().unwrap_or(Path::new("."));
    let beside = parent.join(hidden(&plan.target.name(), None));
    let away = resolved(work) != resolved(parent);
    (beside, away.then(|| work.join(apart(plan))))
}

/// What the folder is called where outputs of one name may meet.
pub fn apart(plan: &Plan) -> OsString {
    let whole = match &plan.target {
        Target::Folder(output) => resolved(output),
        Target::Store(address) => address.name().into(),
    };
    hidden(&plan.target.name(), Some(&whole))
}

/// Longer names leave no room for what is added to them: systems take 255 bytes.
const LONGEST: usize = 200;

/// `.NAME.miner`; with a hash of the whole path where outputs of one name may meet, or the name is too long.
fn hidden(name: &OsStr, whole: Option<&Path>) -> OsString {
    let long = name.len() > LONGEST;
    let hashed = whole.map(Path::as_os_str).or(long.then_some(name));
    let mut hidden = OsString::from(".");
    hidden.push(if long { OsStr::new("output") } else { name });
    if let Some(hashed) = hashed {
        hidden.push(format!("-{}", &blake3::hash(hashed.as_encoded_bytes()).to_hex()[..16]));
    }
    hidden.push(".miner");
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn plan(folder: &Path, output: &str, work: &str) -> Plan {
        let file = folder.join("p.toml");
        let text = "store = { path = 's.parquet', embedding = 'e', label = 'l' }\n";
        fs::write(&file, format!("{text}output.path = '{output}'\nrun.work = '{work}'\n")).unwrap();
        config::load(&file, &[]).unwrap()
    }

    #[test]
    fn a_second_run_on_one_output_is_refused_until_the_first_ends() {
        let room = tempfile::tempdir().unwrap();
        let out = plan(room.path(), "out", "");
        let first = Scratch::open(&out, "aaaa", Leftovers::Own).unwrap();
        for second in [plan(room.path(), "out", ""), plan(room.path(), "out", "elsewhere")] {
            let refused = Scratch::open(&second, "bbbb", Leftovers::Own);
            assert!(matches!(refused, Err(ScratchError::Lock(LockError::Busy { .. }))));
        }
        assert!(Scratch::open(&plan(room.path(), "other", ""), "bbbb", Leftovers::Own).is_ok());
        first.remove().unwrap();
        assert!(Scratch::open(&out, "bbbb", Leftovers::Own).is_ok());
    }

    #[test]
    fn its_own_leftovers_stay_and_those_of_another_pipeline_go() {
        let room = tempfile::tempdir().unwrap();
        for work in ["", "elsewhere"] {
            let plan = plan(room.path(), "out", work);
            let opened = |key: &str, leftovers| Scratch::open(&plan, key, leftovers).unwrap();
            let left = opened("aaaa", Leftovers::Own).partitions().join("x");
            let leave = || fs::write(&left, "1").unwrap();
            leave();
            assert!(Scratch::is_left(&plan, "aaaa") && !Scratch::is_left(&plan, "bbbb"));
            for (key, leftovers, stays) in [
                ("aaaa", Leftovers::Own, true),
                ("bbbb", Leftovers::All, true),
                ("bbbb", Leftovers::Own, false),
                ("aaaa", Leftovers::None, false),
            ] {
                drop(opened(key, leftovers));
                assert_eq!(left.exists(), stays, "{key} {leftovers:?}");
                opened("aaaa", Leftovers::Own);
                leave();
            }
            Scratch::sweep(&plan, || "bbbb".into()).unwrap();
            assert!(left.exists(), "somebody else's");
            Scratch::sweep(&plan, || "aaaa".into()).unwrap();
            let files: Vec<_> =
                walkdir::WalkDir::new(room.path()).into_iter().map(|e| e.unwrap().into_path()).collect();
            assert!(!files.iter().any(|path| path.to_string_lossy().ends_with(".miner")), "{files:?}");
        }
    }

    #[test]
    fn an_output_in_a_store_is_put_together_here() {
        let room = tempfile::tempdir().unwrap();
        let [at, elsewhere] = ["s3://b/x/out", "s3://c/x/out"].map(|output| plan(room.path(), output, ""));
        let [first, second] = [&at, &elsewhere].map(|plan| Scratch::open(plan, "aaaa", Leftovers::Own).unwrap());
        assert!(first.output().starts_with(room.path()) && first.store().starts_with(room.path()));
        assert_ne!(first.output(), second.output(), "of one name in two stores");
        assert_eq!(first.sent(), sent(&at, "aaaa"));
        drop(first);
        let moved = Scratch::open(&plan(room.path(), "s3://b/x/out", "work"), "aaaa", Leftovers::Own).unwrap();
        assert!(moved.output().starts_with(room.path().join("work")));
    }

    #[test]
    fn outputs_of_one_name_do_not_meet_where_they_work_in_one_folder() {
        let room = tempfile::tempdir().unwrap();
        let plans = ["a/out", "b/out"].map(|output| plan(room.path(), output, "w"));
        let both = plans.each_ref().map(|plan| Scratch::open(plan, "aaaa", Leftovers::Own).unwrap());
        assert_ne!(both[0].store(), both[1].store());
        assert!(both[0].output().starts_with(room.path().join("a")), "it must be moved within one file system");
        assert!(both[0].store().starts_with(room.path().join("w")));
    }

    #[test]
    fn names_are_kept_where_they_can_be() {
        assert_eq!(hidden(OsStr::new("out"), None), ".out.miner");
        let long = "x".repeat(255);
        let hidden = hidden(OsStr::new(&long), None);
        assert!(hidden.len() < 64 && hidden.to_string_lossy().starts_with(".output-"), "{hidden:?}");
    }
}
