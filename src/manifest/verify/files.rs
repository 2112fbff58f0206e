//! Files: those listed are there, whole and unchanged; nothing else poses as a part.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use rayon::prelude::*;

use super::Asked;
use super::finding::{Checked, Findings};
use crate::disk::untrusted::{self, Refused};
use crate::manifest::batches::{BATCHES, REMAINDER};
use crate::manifest::digest;
use crate::manifest::parts::{TRIPLETS, part_name};
use crate::manifest::sealed::{Listed, Sealed};
use crate::manifest::sides::{SUSPECTS, UNMINED};
use crate::manifest::transform::TRANSFORM;

/// The listed files that are what the manifest says, by path. No other file is decoded.
pub(super) type Intact = HashSet<String>;

/// The files of an output.
pub(super) struct Files<'a> {
    pub(super) out: &'a Path,
    pub(super) sealed: &'a Sealed,
    pub(super) intact: &'a Intact,
}

pub(super) fn check(
    out: &Path,
    sealed: &Sealed,
    asked: &Asked<'_>,
    findings: &mut Findings,
    checked: &mut Checked,
) -> Intact {
    check_names(sealed, asked, findings);
    check_unlisted(out, sealed, findings);
    // However often it is named, a file is hashed once.
    let mut names = HashSet::new();
    let (listed, again): (Vec<&Listed>, Vec<&Listed>) =
        sealed.listed().partition(|listed| names.insert(listed.path.as_str()));
    for twice in again {
        findings.file(&twice.path, "listed twice", "each file once");
    }
    let outcomes: Vec<Result<(), (String, String)>> = listed.par_iter().map(|listed| check_file(out, listed)).collect();
    let mut intact = Intact::new();
    for (listed, outcome) in listed.into_iter().zip(outcomes) {
        match outcome {
            Ok(()) => {
                checked.files += 1;
                checked.bytes += listed.bytes;
                intact.insert(listed.path.clone());
            }
            Err((found, expected)) => findings.file(&listed.path, found, expected),
        }
    }
    intact
}

/// Parts are numbered without gaps, and share the rows as the pipeline says.
fn check_names(sealed: &Sealed, asked: &Asked<'_>, findings: &mut Findings) {
    let output = asked.output;
    let total = sealed.parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.rows));
    let mut sizes = output.split.sizes(total);
    for (ordinal, part) in sealed.parts.iter().enumerate() {
        let name = part_name(ordinal, output.format);
        if part.path != name {
            findings.key(&format!("parts[{ordinal}].path"), &part.path, name);
        }
        let size = sizes.next();
        if size != Some(part.rows) {
            let expected = size.map_or("no such part".to_owned(), |size| size.to_string());
            findings.key(&format!("parts[{ordinal}].rows"), part.rows, expected);
        }
    }
    if let Some(size) = sizes.next() {
        let expected = format_args!("another, with {size} rows");
        findings.key("parts", format_args!("{} parts", sealed.parts.len()), expected);
    }
    let names: Vec<&str> = sealed.files.iter().map(|listed| listed.path.as_str()).collect();
    let mut expected = vec![UNMINED, SUSPECTS];
    if asked.mine.batches.is_some() {
        expected.extend([BATCHES, REMAINDER]);
    }
    if asked.store.fitted().is_some() {
        expected.push(TRANSFORM);
    }
    if names != expected {
        findings.key("files", names.join(", "), expected.join(", "));
    }
}

fn check_unlisted(out: &Path, sealed: &Sealed, findings: &mut Findings) {
    let unlisted = "a file that the manifest does not list";
    let listed: HashSet<&str> = sealed.listed().map(|listed| listed.path.as_str()).collect();
    // Trainers open these by their names.
    for name in [UNMINED, SUSPECTS, BATCHES, REMAINDER, TRANSFORM] {
        if !listed.contains(name) && out.join(name).symlink_metadata().is_ok() {
            findings.file(name, unlisted, "none");
        }
    }
    let folder = out.join(TRIPLETS);
    // A link would show the names of somebody else's folder.
    let open = || match folder.symlink_metadata()?.file_type() {
        found if found.is_dir() => fs::read_dir(&folder),
        found => Err(io::Error::other(untrusted::kind(found))),
    };
    let entries = match open() {
        Ok(entries) => entries,
        Err(error) => return findings.file(TRIPLETS, error, "a folder of parts"),
    };
    for entry in entries {
        match entry {
            Ok(entry) => {
                let path = format!("{TRIPLETS}/{}", entry.file_name().to_string_lossy());
                if !listed.contains(path.as_str()) {
                    findings.file(&path, unlisted, "none");
                }
            }
            Err(error) => findings.file(TRIPLETS, error, "a folder of parts"),
        }
    }
}

/// What was found, and what was expected instead.
pub(in crate::manifest) fn check_file(out: &Path, listed: &Listed) -> Result<(), (String, String)> {
    let read = || {
        let file = listed.open(out)?;
        let bytes = file.metadata()?.len();
        // A file of another length is not worth its hash.
        if bytes == listed.bytes { Ok(digest::of_reader(file)?) } else { Ok((bytes, String::new())) }
    };
    let unreadable = |refused: Refused| (refused.to_string(), "a file inside the output".to_owned());
    let (bytes, sha256) = read().map_err(unreadable)?;
    if bytes != listed.bytes {
        return Err((format!("{bytes} bytes"), format!("{} bytes", listed.bytes)));
    }
    if sha256 != listed.sha256 {
        return Err((format!("sha256 {sha256}"), format!("sha256 {}", listed.sha256)));
    }
    Ok(())
}
