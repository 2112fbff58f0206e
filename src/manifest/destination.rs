//! What stands where an output goes, and what may become of it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::batches::{BATCHES, REMAINDER};
use super::parts::TRIPLETS;
use super::sealed::{Listed, LoadError, MANIFEST, Sealed};
use super::sides::{SUSPECTS, UNMINED};
use super::transform::TRANSFORM;
use crate::disk::untrusted::Refused;
use crate::words::{counted, visible};

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

/// The output cannot go where it should.
#[derive(Debug, Error)]
#[error("output.path: {}: {obstacle}", path.display())]
pub struct DestinationError {
    pub path: PathBuf,
    pub obstacle: Obstacle,
}

/// What is in the way of an output.
#[derive(Debug, Error)]
pub enum Obstacle {
    #[error("{0}; to replace it, give --overwrite or output.overwrite = true")]
    Occupied(String),
    #[error(
        "not an output of miner: it holds '{0}'; such a folder is never replaced: choose another path, or empty it"
    )]
    Foreign(String),
    #[error("{0}; expected a folder, or nothing yet")]
    NotAFolder(&'static str),
    #[error("cannot look into it: {0}")]
    Io(io::Error),
}

/// How long a listed file is, or why nobody can tell.
type Length<'a> = Box<dyn Fn(&Listed) -> Result<u64, Refused> + 'a>;

/// What is found in a place, a folder or another, as far as the rules ask.
pub struct Standing<'a> {
    /// At its top, and below `triplets/` as `triplets/NAME`; in any order.
    pub names: Vec<String>,
    pub manifest: Result<&'a Sealed, &'a LoadError>,
    pub length: Length<'a>,
}

impl Standing<'_> {
    /// Whether the output of the run with this fingerprint may go to `place`, where this stands.
    ///
    /// # Errors
    /// When it may not: something stands there that is nobody's output, or another's that is not to be replaced.
    pub fn judge(&self, place: &Path, fingerprint: &str, overwrite: bool) -> Result<Destination, DestinationError> {
        let own = self.manifest.ok().filter(|sealed| sealed.fingerprint == fingerprint);
        let damage = own.map(|sealed| self.damage(sealed));
        if let Some(None) = damage {
            return Ok(Destination::Current);
        }
        if self.names.is_empty() {
            return Ok(Destination::Vacant);
        }
        let refuse = |obstacle| Err(DestinationError { path: place.to_path_buf(), obstacle });
        if let Some(foreign) = self.names.iter().filter(|name| is_foreign(name)).min() {
            return refuse(Obstacle::Foreign(foreign.clone()));
        }
        if overwrite {
            return Ok(Destination::Replaceable);
        }
        let found = match (self.manifest, damage.flatten()) {
            (_, Some(damage)) => format!("this pipeline's own output, damaged: {damage}"),
            (Ok(sealed), None) => {
                let triplets = counted(sealed.rows.triplets, "triplet");
                format!("an output with {triplets}, which another pipeline, input or version wrote")
            }
            (Err(LoadError::Absent(_)), _) => {
                "an output without its manifest, so nobody can tell what wrote it".to_owned()
            }
            (Err(LoadError::Newer { program, .. }), _) => {
                format!("an output that a newer miner wrote ({})", visible(program))
            }
            (Err(_), _) => "an output whose manifest cannot be read, so nobody can tell what wrote it".to_owned(),
        };
        refuse(Obstacle::Occupied(found))
    }

    /// The first listed file that is not there, or not at its full length.
    fn damage(&self, sealed: &Sealed) -> Option<String> {
        sealed.listed().find_map(|listed| match (self.length)(listed) {
            Ok(length) if length == listed.bytes => None,
            Ok(length) => Some(format!("{} has {length} of {}", listed.path, counted(listed.bytes, "byte"))),
            Err(Refused::Absent) => Some(format!("{} is missing", listed.path)),
            Err(refused) => Some(format!("{} is {refused}", listed.path)),
        })
    }
}

/// Whether no run writes a file of this name.
fn is_foreign(name: &str) -> bool {
    match name.split_once('/') {
        None => !OWN.contains(&name),
        Some((folder, name)) => folder != TRIPLETS || !name.starts_with("part-") || name.contains('/'),
    }
}

/// Looks at the folder of an output before any work is done.
///
/// # Errors
/// Those of [`Standing::judge`]; what is no folder, or cannot be looked into.
pub fn check_destination(path: &Path, fingerprint: &str, overwrite: bool) -> Result<Destination, DestinationError> {
    let refused = |obstacle| DestinationError { path: path.to_path_buf(), obstacle };
    let io = |error| refused(Obstacle::Io(error));
    let not_a_folder = |found| refused(Obstacle::NotAFolder(found));
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Destination::Vacant),
        Err(error) => return Err(io(error)),
        Ok(found) if found.is_symlink() => return Err(not_a_folder("a symbolic link")),
        Ok(found) if !found.is_dir() => return Err(not_a_folder("a file")),
        Ok(_) => {}
    }
    let length = |listed: &Listed| Ok(listed.open(path)?.metadata()?.len());
    let (names, manifest) = (names(path).map_err(io)?, Sealed::load(path));
    let standing = Standing { names, manifest: manifest.as_ref(), length: Box::new(length) };
    standing.judge(path, fingerprint, overwrite)
}

fn names(path: &Path) -> io::Result<Vec<String>> {
    let inside = |path: &Path| -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect()
    };
    let text = |name: OsString| name.to_string_lossy().into_owned();
    let mut names: Vec<String> = inside(path)?.into_iter().map(text).collect();
    let triplets = path.join(TRIPLETS);
    if triplets.symlink_metadata().is_ok_and(|found| found.is_dir()) {
        names.extend(inside(&triplets)?.into_iter().map(|name| format!("{TRIPLETS}/{}", text(name))));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_run_writes_is_foreign() {
        for own in ["manifest.json", "triplets", "triplets/part-00000.csv", "report.html"] {
            assert!(!is_foreign(own), "{own}");
        }
        for foreign in
            ["notes.txt", "triplets/notes.txt", "more/part-00000.csv", "triplets/part-0/x", "Manifest.json", ""]
        {
            assert!(is_foreign(foreign), "{foreign}");
        }
    }
}
