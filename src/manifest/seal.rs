//! The one moment a result appears: `manifest.json` last, then one rename. Where something stands already, the two change places
//! at once. File systems that cannot do that see two renames, and [`restore`] undoes the first where a crash came between them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::destination::{Destination, DestinationError, check_destination};
use super::sealed::{MANIFEST, Sealed};
use crate::disk::{self, sync_folder};
use crate::mine::{Figures, Tally};

/// Why a finished draft could not take its place. The draft's folder is left as it is.
#[derive(Debug, Error)]
pub enum SealError {
    #[error(transparent)]
    Destination(#[from] DestinationError),
    #[error("{}: cannot {action}: {source}", path.display())]
    Io { path: PathBuf, action: &'static str, source: io::Error },
    #[error("{}: cannot move the new output here: {source}; the old one could not be put back either ({put_back}): it lies in {}, and running again puts it back", path.display(), aside.display())]
    Stranded { path: PathBuf, aside: PathBuf, source: io::Error, put_back: io::Error },
    #[error("{}: the output is complete and in its place, but the system cannot say that it would survive a power cut: {source}", path.display())]
    Unsynced { path: PathBuf, source: io::Error },
}

/// What the manifest does not tell of a result, and the report does.
#[derive(Debug)]
pub struct Aside {
    /// Triplets that the layout left out: those of pairs with too few.
    pub left_out: u64,
    /// Cells of CSV with a mark before what a spreadsheet would take for a formula.
    pub escaped: u64,
    pub figures: Figures,
}

/// A result that is complete but for its seal.
#[derive(Debug)]
pub struct Draft {
    staging: PathBuf,
    sealed: Sealed,
    tally: Tally,
    aside: Aside,
}

impl Draft {
    pub(super) fn new(staging: PathBuf, sealed: Sealed, tally: Tally, aside: Aside) -> Self {
        Self { staging, sealed, tally, aside }
    }

    /// The folder to be sealed; files that are put here (a report) come along.
    pub fn folder(&self) -> &Path {
        &self.staging
    }

    /// What the manifest will say.
    pub fn manifest(&self) -> &Sealed {
        &self.sealed
    }

    /// Summed over all partitions, of the triplets that the layout keeps.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What the manifest will not say.
    pub fn aside(&self) -> &Aside {
        &self.aside
    }

    /// Writes the manifest, and makes everything durable: the folder is a whole output then, though not in its place.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn close(self) -> Result<Sealed, SealError> {
        let Self { staging, sealed, .. } = self;
        let path = staging.join(MANIFEST);
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(sealed.to_json()?.as_bytes())?;
            file.sync_all()?;
            sync_folder(&staging)
        };
        write().map_err(|source| SealError::Io { path: path.clone(), action: "write", source })?;
        Ok(sealed)
    }

    /// [Closes](Self::close) the folder, and moves it to `path`. An old output is then where the draft was, and goes with the rest
    /// of the scratch folder; it goes only if it is this run's or may be overwritten.
    ///
    /// # Errors
    /// When the place is not free, or the folder cannot be moved there.
    pub fn seal(self, path: &Path, overwrite: bool) -> Result<Sealed, SealError> {
        let destination = check_destination(path, &self.sealed.fingerprint, overwrite)?;
        let staging = self.staging.clone();
        let sealed = self.close()?;
        let parent = path.parent().unwrap_or(Path::new("."));
        let failed = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| SealError::Io { path, action, source }
        };
        fs::create_dir_all(parent).map_err(failed("create", parent))?;
        match destination {
            Destination::Vacant => {
                // An empty folder gives way; it is not there, as a rule.
                if let Err(error) = fs::remove_dir(path)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    return Err(failed("replace", path)(error));
                }
                fs::rename(&staging, path).map_err(failed("move the new output to", path))?;
            }
            Destination::Current | Destination::Replaceable => replace(&staging, path)?,
        }
        sync_folder(parent).map_err(|source| SealError::Unsynced { path: path.to_path_buf(), source })?;
        Ok(sealed)
    }
}

/// Lets the old output and the new one change places.
fn replace(staging: &Path, path: &Path) -> Result<(), SealError> {
    match disk::exchange(staging, path) {
        Ok(()) => Ok(()),
        Err(_) => replace_in_two_steps(staging, path),
    }
}

/// Moves the old output aside, and the new one in.
fn replace_in_two_steps(staging: &Path, path: &Path) -> Result<(), SealError> {
    let failed = |action| move |source| SealError::Io { path: path.to_path_buf(), action, source };
    let aside = staging.with_file_name(ASIDE);
    disk::remove_folder(&aside).map_err(failed("make room for the old output of"))?;
    fs::rename(path, &aside).map_err(failed("move the old output from"))?;
    fs::rename(staging, path).map_err(|source| match fs::rename(&aside, path) {
        Ok(()) => failed("move the new output to")(source),
        Err(put_back) => SealError::Stranded { path: path.to_path_buf(), aside, source, put_back },
    })
}

/// Where an old output waits, beside the draft, between two renames.
const ASIDE: &str = "replaced";

/// Puts an old output back that a crash left aside; `scratch` holds the folders of runs. Nothing else may delete it: somebody
/// computed it, and nothing has come in its place.
///
/// # Errors
/// When it is there and cannot be moved.
pub fn restore(scratch: &Path, output: &Path) -> io::Result<()> {
    for run in fs::read_dir(scratch)? {
        let aside = run?.path().join(ASIDE);
        if aside.is_dir() && output.symlink_metadata().is_err() {
            fs::rename(&aside, output)?;
            sync_folder(output.parent().unwrap_or(Path::new(".")))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::destination::Obstacle;
    use crate::manifest::{Format, Formulas, Order, fixture};

    fn tree(path: &Path) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = walkdir::WalkDir::new(path)
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| {
                let name = entry.path().strip_prefix(path).unwrap().to_string_lossy().into_owned();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn the_bytes_do_not_depend_on_threads_and_nothing_else_is_left() {
        let store = fixture::store();
        for order in [Order::Anchor, Order::Random, Order::EasyToHard, Order::HardToEasy] {
            let outputs = [1, 3].map(|threads| {
                let folder = tempfile::tempdir().unwrap();
                let (output, out) = (fixture::output(Format::Parquet, order), folder.path().join("out"));
                fixture::draft(folder.path(), &store, &output, "a", threads).seal(&out, false).unwrap();
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "staging has become the output");
                tree(&out)
            });
            assert_eq!(outputs[0], outputs[1], "{order:?}");
            let parts = outputs[0].iter().filter(|(name, _)| name.starts_with("triplets/")).count();
            assert!(parts > 2, "{parts} parts");
        }
    }

    #[test]
    fn a_result_without_triplets_has_one_part_without_rows() {
        let store = fixture::store();
        for format in [Format::Parquet, Format::Arrow, Format::Jsonl, Format::Csv(Formulas::Escape)] {
            let folder = tempfile::tempdir().unwrap();
            let (output, out) = (fixture::output(format, Order::Anchor), folder.path().join("out"));
            let draft = fixture::draft_of(folder.path(), &store, &output, "a", 1, |_| crate::mine::Harvest::default());
            let sealed = draft.seal(&out, false).unwrap();
            assert_eq!((sealed.parts.len(), sealed.parts[0].rows, sealed.rows.triplets), (1, 0, 0), "{format:?}");
            let parts = fixture::read_parts(&out, &output, &sealed);
            assert_eq!((parts.len(), parts[0].num_rows()), (1, 0), "{format:?}");
        }
    }

    #[test]
    fn the_same_run_is_current_until_a_file_is_missing() {
        let (folder, store) = (tempfile::tempdir().unwrap(), fixture::store());
        let (output, out) = (fixture::output(Format::Csv(Formulas::Escape), Order::Anchor), folder.path().join("out"));
        let check = |name: &str| check_destination(&out, &fixture::facts(name).fingerprint, false);
        assert_eq!(check("a").unwrap(), Destination::Vacant);
        fixture::draft(folder.path(), &store, &output, "a", 1).seal(&out, false).unwrap();
        assert_eq!(check("a").unwrap(), Destination::Current);
        assert!(matches!(check("b").unwrap_err().obstacle, Obstacle::Occupied(_)));
        fs::remove_file(out.join("triplets/part-00001.csv")).unwrap();
        let refusal = check("a").unwrap_err().to_string();
        assert!(
            refusal.contains("this pipeline's own output, damaged: triplets/part-00001.csv is missing; "),
            "{refusal}"
        );
    }

    #[test]
    fn another_run_s_output_is_replaced_only_with_leave() {
        let (folder, store) = (tempfile::tempdir().unwrap(), fixture::store());
        let (output, out) = (fixture::output(Format::Jsonl, Order::Anchor), folder.path().join("out"));
        fixture::draft(folder.path(), &store, &output, "a", 1).seal(&out, false).unwrap();
        let draft = fixture::draft(folder.path(), &store, &output, "b", 1);
        let refusal = draft.seal(&out, false).unwrap_err().to_string();
        assert!(refusal.contains("--overwrite"), "{refusal}");
        assert_eq!(Sealed::load(&out).unwrap().pipeline["name"], "a");
        fixture::draft(folder.path(), &store, &output, "b", 1).seal(&out, true).unwrap();
        assert_eq!(Sealed::load(&out).unwrap().pipeline["name"], "b");
    }

    #[test]
    fn somebody_s_files_are_never_replaced() {
        let (folder, store) = (tempfile::tempdir().unwrap(), fixture::store());
        let (output, out) = (fixture::output(Format::Arrow, Order::Anchor), folder.path().join("out"));
        fixture::draft(folder.path(), &store, &output, "a", 1).seal(&out, true).unwrap();
        fs::write(out.join("triplets/notes.txt"), "mine").unwrap();
        let refusal = check_destination(&out, "other", true).unwrap_err().to_string();
        assert!(refusal.contains("triplets/notes.txt"), "{refusal}");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(check_destination(&file, "other", true).unwrap_err().obstacle, Obstacle::NotAFolder(_)));
    }

    #[test]
    fn the_old_output_comes_back_when_the_new_one_cannot_be_moved() {
        let folder = tempfile::tempdir().unwrap();
        let (old, missing) = (folder.path().join("out"), folder.path().join("run/missing"));
        for path in [&old, &folder.path().join("run")] {
            fs::create_dir(path).unwrap();
        }
        fs::write(old.join("kept"), "precious").unwrap();
        assert!(matches!(replace(&missing, &old), Err(SealError::Io { .. })));
        assert_eq!(fs::read_to_string(old.join("kept")).unwrap(), "precious");
        assert_eq!(walkdir::WalkDir::new(folder.path()).into_iter().count(), 4);
    }

    #[test]
    fn where_folders_cannot_change_places_a_crash_in_between_is_undone() {
        let folder = tempfile::tempdir().unwrap();
        let (scratch, output) = (folder.path().join("scratch"), folder.path().join("out"));
        let staging = scratch.join("run-1/output");
        for (path, text) in [(&staging, "new"), (&output, "old")] {
            fs::create_dir_all(path).unwrap();
            fs::write(path.join("x"), text).unwrap();
        }
        let found = || fs::read_to_string(output.join("x")).unwrap();
        // As far as a crash would have let it come.
        fs::rename(&output, staging.with_file_name(ASIDE)).unwrap();
        restore(&scratch, &output).unwrap();
        assert_eq!(found(), "old");
        replace_in_two_steps(&staging, &output).unwrap();
        assert_eq!(found(), "new");
        restore(&scratch, &output).unwrap();
        assert_eq!(found(), "new", "what has come in its place stays");
        assert_eq!(fs::read_to_string(staging.with_file_name(ASIDE).join("x")).unwrap(), "old");
    }
}
