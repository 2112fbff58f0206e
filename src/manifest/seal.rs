//! The one moment a result appears: `manifest.json` last, then one rename. Where something stands already, the two change places
//! at once. File systems that cannot do that see two renames, and [`restore`] undoes the first where a crash came between them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Params;
use super::batches::{BATCHES, REMAINDER};
use super::parts::TRIPLETS;
use super::sealed::{LoadError, MANIFEST, Sealed};
use super::sides::{SUSPECTS, UNMINED};
use super::transform::TRANSFORM;
use crate::disk::untrusted::Refused;
use crate::disk::{self, sync_folder};
use crate::mine::{Figures, Tally};
use crate::words::{thousands, visible};

/// Whatever a run may leave in its output; anything else there is somebody's, and is never deleted.
const OWN: [&str; 9] =
    [MANIFEST, TRIPLETS, UNMINED, SUSPECTS, BATCHES, REMAINDER, TRANSFORM, "report.json", "report.html"];

/// What stands where the output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// Nothing, or an empty folder.
    Vacant,
    /// The finished output of this very run: nothing is left to do.
    Current,
    /// An output of another run, or the remains of one, that the pipeline allows to be replaced.
    Replaceable,
}

/// Why the output cannot go where it should.
#[derive(Debug, Error)]
pub enum DestinationError {
    #[error("output.path: {}: {found}; to replace it, give --overwrite or output.overwrite = true", path.display())]
    Occupied { path: PathBuf, found: String },
    #[error("output.path: {}: not an output of miner: it holds '{foreign}'; such a folder is never replaced: choose another path, or empty it", path.display())]
    Foreign { path: PathBuf, foreign: String },
    #[error("output.path: {}: {found}; expected a folder, or nothing yet", path.display())]
    NotAFolder { path: PathBuf, found: &'static str },
    #[error("output.path: {}: cannot look into it: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

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

/// Whether `path` holds the finished output of the run with this fingerprint: everything listed is there, at its full length.
pub fn is_current(path: &Path, fingerprint: &str) -> bool {
    Sealed::load(path).is_ok_and(|sealed| sealed.fingerprint == fingerprint && damage(path, &sealed).is_none())
}

/// The first listed file that is not there, or not at its full length.
fn damage(path: &Path, sealed: &Sealed) -> Option<String> {
    sealed.listed().find_map(|listed| match listed.open(path).and_then(|file| Ok(file.metadata()?.len())) {
        Ok(length) if length == listed.bytes => None,
        Ok(length) => Some(format!("{} has {length} of {} bytes", listed.path, listed.bytes)),
        Err(Refused::Absent) => Some(format!("{} is missing", listed.path)),
        Err(refused) => Some(format!("{} is {refused}", listed.path)),
    })
}

/// Looks at `output.path` before any work is done.
pub fn check_destination(output: &Params, fingerprint: &str) -> Result<Destination, DestinationError> {
    let path = &output.path;
    let io = |source| DestinationError::Io { path: path.clone(), source };
    let not_a_folder = |found| DestinationError::NotAFolder { path: path.clone(), found };
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Destination::Vacant),
        Err(error) => return Err(io(error)),
        Ok(found) if found.is_symlink() => return Err(not_a_folder("a symbolic link")),
        Ok(found) if !found.is_dir() => return Err(not_a_folder("a file")),
        Ok(_) => {}
    }
    if is_current(path, fingerprint) {
        return Ok(Destination::Current);
    }
    if fs::read_dir(path).map_err(io)?.next().is_none() {
        return Ok(Destination::Vacant);
    }
    if let Some(foreign) = foreign(path).map_err(io)? {
        return Err(DestinationError::Foreign { path: path.clone(), foreign });
    }
    if output.overwrite {
        return Ok(Destination::Replaceable);
    }
    let found = match Sealed::load(path) {
        Ok(sealed) if sealed.fingerprint == fingerprint => {
            let damage = damage(path, &sealed).unwrap_or_default();
            format!("this pipeline's own output, damaged: {damage}")
        }
        Ok(sealed) => {
            let triplets = thousands(sealed.rows.triplets);
            format!("an output with {triplets} triplets, which another pipeline, input or version wrote")
        }
        Err(LoadError::Absent(_)) => "an output without its manifest, so nobody can tell what wrote it".to_owned(),
        Err(LoadError::Newer { program, .. }) => format!("an output that a newer miner wrote ({})", visible(&program)),
        Err(_) => "an output whose manifest cannot be read, so nobody can tell what wrote it".to_owned(),
    };
    Err(DestinationError::Occupied { path: path.clone(), found })
}

/// The first name, in alphabetical order, that no run writes.
fn foreign(path: &Path) -> io::Result<Option<String>> {
    let names = |path: &Path| -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    };
    let mut foreign: Vec<String> = Vec::new();
    for name in names(path)? {
        if !OWN.iter().any(|own| name == *own) {
            foreign.push(name.to_string_lossy().into_owned());
        }
    }
    let triplets = path.join(TRIPLETS);
    if triplets.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        for name in names(&triplets)? {
            if !name.to_string_lossy().starts_with("part-") {
                foreign.push(format!("{TRIPLETS}/{}", name.to_string_lossy()));
            }
        }
    }
    Ok(foreign.into_iter().min())
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
    output: Params,
    sealed: Sealed,
    tally: Tally,
    aside: Aside,
}

impl Draft {
    pub(super) fn new(staging: PathBuf, output: Params, sealed: Sealed, tally: Tally, aside: Aside) -> Self {
        Self { staging, output, sealed, tally, aside }
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

    /// Writes the manifest, makes everything durable, and moves the folder to `output.path`. An old output is then where the
    /// draft was, and goes with the rest of the scratch folder.
    pub fn seal(self) -> Result<Sealed, SealError> {
        let Self { staging, output, sealed, .. } = self;
        let destination = check_destination(&output, &sealed.fingerprint)?;
        write_manifest(&staging, &sealed)?;
        let path = &output.path;
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
        sync_folder(parent).map_err(|source| SealError::Unsynced { path: path.clone(), source })?;
        Ok(sealed)
    }
}

fn write_manifest(staging: &Path, sealed: &Sealed) -> Result<(), SealError> {
    let path = staging.join(MANIFEST);
    let write = || {
        let mut file = File::create(&path)?;
        file.write_all(sealed.to_json()?.as_bytes())?;
        file.sync_all()?;
        sync_folder(staging)
    };
    write().map_err(|source| SealError::Io { path: path.clone(), action: "write", source })
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
                let output = fixture::output(&folder.path().join("out"), Format::Parquet, order);
                fixture::draft(folder.path(), &store, &output, "a", threads).seal().unwrap();
                assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "staging has become the output");
                tree(&output.path)
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
            let output = fixture::output(&folder.path().join("out"), format, Order::Anchor);
            let draft = fixture::draft_of(folder.path(), &store, &output, "a", 1, |_| crate::mine::Harvest::default());
            let sealed = draft.seal().unwrap();
            assert_eq!((sealed.parts.len(), sealed.parts[0].rows, sealed.rows.triplets), (1, 0, 0), "{format:?}");
            let parts = fixture::read_parts(&output, &sealed);
            assert_eq!((parts.len(), parts[0].num_rows()), (1, 0), "{format:?}");
        }
    }

    #[test]
    fn the_same_run_is_current_until_a_file_is_missing() {
        let (folder, store) = (tempfile::tempdir().unwrap(), fixture::store());
        let output = fixture::output(&folder.path().join("out"), Format::Csv(Formulas::Escape), Order::Anchor);
        let check = |name: &str| check_destination(&output, &fixture::facts(name).fingerprint);
        assert_eq!(check("a").unwrap(), Destination::Vacant);
        fixture::draft(folder.path(), &store, &output, "a", 1).seal().unwrap();
        assert_eq!(check("a").unwrap(), Destination::Current);
        assert!(matches!(check("b"), Err(DestinationError::Occupied { .. })));
        fs::remove_file(output.path.join("triplets/part-00001.csv")).unwrap();
        let refusal = check("a").unwrap_err().to_string();
        assert!(
            refusal.contains("this pipeline's own output, damaged: triplets/part-00001.csv is missing; "),
            "{refusal}"
        );
    }

    #[test]
    fn another_run_s_output_is_replaced_only_with_leave() {
        let (folder, store) = (tempfile::tempdir().unwrap(), fixture::store());
        let mut output = fixture::output(&folder.path().join("out"), Format::Jsonl, Order::Anchor);
        fixture::draft(folder.path(), &store, &output, "a", 1).seal().unwrap();
        let draft = fixture::draft(folder.path(), &store, &output, "b", 1);
        let refusal = draft.seal().unwrap_err().to_string();
        assert!(refusal.contains("--overwrite"), "{refusal}");
        assert_eq!(Sealed::load(&output.path).unwrap().pipeline["name"], "a");
        output.overwrite = true;
        fixture::draft(folder.path(), &store, &output, "b", 1).seal().unwrap();
        assert_eq!(Sealed::load(&output.path).unwrap().pipeline["name"], "b");
    }

    #[test]
    fn somebody_s_files_are_never_replaced() {
        let (folder, store) = (tempfile::tempdir().unwrap(), fixture::store());
        let mut output = fixture::output(&folder.path().join("out"), Format::Arrow, Order::Anchor);
        output.overwrite = true;
        fixture::draft(folder.path(), &store, &output, "a", 1).seal().unwrap();
        fs::write(output.path.join("triplets/notes.txt"), "mine").unwrap();
        let refusal = check_destination(&output, "other").unwrap_err().to_string();
        assert!(refusal.contains("triplets/notes.txt"), "{refusal}");
        output.path = folder.path().join("file");
        fs::write(&output.path, "").unwrap();
        assert!(matches!(check_destination(&output, "other"), Err(DestinationError::NotAFolder { .. })));
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
