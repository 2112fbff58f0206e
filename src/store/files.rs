//! Which files a store's path names, in scan order.

use std::io;
use std::path::{Component, Path, PathBuf};

use percent_encoding::percent_decode_str;
use walkdir::WalkDir;

use crate::disk::{self, untrusted};
use crate::words::counted;

/// One file, with the `key=value` folders on its way. A hive null is `None`.
pub(super) struct Listed {
    pub path: PathBuf,
    /// The path below the folder that the pipeline names: the same wherever the store lies.
    pub name: String,
    pub hive: Vec<(String, Option<String>)>,
}

/// Why a path names no files to read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("{}: no such file or folder{}", .path.display(), disk::hint(.path))]
    Missing { path: PathBuf },
    #[error("{}: {found}, not a regular file; a store is a Parquet file, a pattern or a folder", .path.display())]
    NotAFile { path: PathBuf, found: &'static str },
    #[error("{}: no file matches this pattern", .path.display())]
    NoMatch { path: PathBuf },
    #[error(
        "{}: the folder holds no *.parquet or *.pq file{found}; names that start with `_` or `.` are ignored", .path.display()
    )]
    Empty { path: PathBuf, found: String },
    #[error("{}: this name is not UTF-8, and no other can be read; rename it, or link to it by another", .path.display())]
    NotText { path: PathBuf },
    #[error("{}: not a valid pattern: {source}", .path.display())]
    Pattern { path: PathBuf, source: glob::PatternError },
    #[error("{}: {found}; vectors are in an array file, or those of a pattern, as in shards/*.npy", .path.display())]
    NoArray { path: PathBuf, found: &'static str },
    #[error("{}: cannot be listed: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(
        "the files have different partition folders: {} is under {first_keys:?}, {} under {keys:?}; every file of a store must lie under the same `key=value` folders",
        .first.display(), .file.display()
    )]
    Hive { first: PathBuf, first_keys: Vec<String>, file: PathBuf, keys: Vec<String> },
}

impl ListError {
    /// What was to be listed, as far as that is what is wrong.
    pub fn path(&self) -> &Path {
        match self {
            Self::Missing { path }
            | Self::NotAFile { path, .. }
            | Self::NoMatch { path }
            | Self::Empty { path, .. }
            | Self::NotText { path }
            | Self::Pattern { path, .. }
            | Self::NoArray { path, .. }
            | Self::Io { path, .. } => path,
            Self::Hive { first, .. } => first,
        }
    }
}

/// Lists a file, a pattern or a folder. What exists under the very name given is never taken for a pattern.
pub(super) fn list(path: &Path) -> Result<Vec<Listed>, ListError> {
    if path.to_str().is_none() {
        return Err(ListError::NotText { path: path.to_owned() });
    }
    // Partition folders count below the part of the path that was spelled out.
    let (mut files, spelled_out) = if path.is_dir() {
        (walk(path)?, path.to_owned())
    } else if let Ok(found) = path.metadata() {
        if !found.is_file() {
            return Err(ListError::NotAFile { path: path.to_owned(), found: untrusted::kind(found.file_type()) });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(vec![Listed { path: path.to_owned(), name, hive: Vec::new() }]);
    } else if is_pattern(path) {
        // What matches comes without the `./` of a pattern.
        let parts = path.components().filter(|part| *part != Component::CurDir);
        (expand(path)?, parts.take_while(|part| !is_pattern(part.as_ref())).collect())
    } else {
        return Err(ListError::Missing { path: path.to_owned() });
    };
    files.sort();
    if let Some(path) = files.iter().find(|path| path.to_str().is_none()) {
        return Err(ListError::NotText { path: path.clone() });
    }
    let listed = |path: PathBuf| {
        let name = path.strip_prefix(&spelled_out).unwrap_or(&path).to_string_lossy().into_owned();
        Listed { hive: hive_values(&path, &spelled_out), name, path }
    };
    let files: Vec<Listed> = files.into_iter().map(listed).collect();
    check_hive_keys(&files)?;
    Ok(files)
}

/// The array files that a path names: itself, or those of a pattern in name order.
pub(super) fn list_arrays(path: &Path) -> Result<Vec<PathBuf>, ListError> {
    match path.metadata() {
        Ok(found) if !found.is_file() => {
            Err(ListError::NoArray { path: path.to_owned(), found: untrusted::kind(found.file_type()) })
        }
        _ => Ok(list(path)?.into_iter().map(|listed| listed.path).collect()),
    }
}

fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?', '['])
}

/// Whether a store that is named by its folder has this file; `name` leads to it from there.
pub fn is_of_folder(name: &Path) -> bool {
    !name.iter().any(is_hidden) && is_parquet(name)
}

/// Whether a store that is named by a pattern has this file, which fits it.
pub fn is_of_pattern(name: &Path) -> bool {
    !name.file_name().is_some_and(is_hidden)
}

fn is_parquet(name: &Path) -> bool {
    name.extension().is_some_and(|ending| ending == "parquet" || ending == "pq")
}

fn is_hidden(name: &std::ffi::OsStr) -> bool {
    matches!(name.as_encoded_bytes().first(), Some(b'_' | b'.'))
}

fn walk(folder: &Path) -> Result<Vec<PathBuf>, ListError> {
    let mut files = Vec::new();
    let mut others = Vec::new();
    let entries = WalkDir::new(folder)
        .follow_links(true)
        .into_iter()
        .filter_entry(|e| e.depth() == 0 || !is_hidden(e.file_name()));
    for entry in entries {
        let entry = entry.map_err(|error| ListError::Io {
            path: error.path().unwrap_or(folder).to_owned(),
            source: error.into_io_error().unwrap_or_else(|| io::Error::other("a link leads back to its own folder")),
        })?;
        match entry.file_type().is_file() {
            true if is_parquet(entry.path()) => files.push(entry.into_path()),
            true => others.push(entry.into_path()),
            false => {}
        }
    }
    if files.is_empty() {
        let example = others.iter().min().and_then(|path| path.file_name());
        let found = example.map_or_else(String::new, |name| {
            let (count, them) = (counted(others.len() as u64, "other"), if others.len() == 1 { "it" } else { "them" });
            format!(", but {count}, as {}; write {them} as Parquet", name.display())
        });
        return Err(ListError::Empty { path: folder.to_owned(), found });
    }
    Ok(files)
}

fn expand(pattern: &Path) -> Result<Vec<PathBuf>, ListError> {
    let path = || pattern.to_owned();
    let matches =
        glob::glob(&pattern.to_string_lossy()).map_err(|source| ListError::Pattern { path: path(), source })?;
    let mut files = Vec::new();
    for found in matches {
        let found = found.map_err(|error| ListError::Io { path: error.path().to_owned(), source: error.into() })?;
        if found.is_file() && is_of_pattern(&found) {
            files.push(found.strip_prefix(".").map(Path::to_owned).unwrap_or(found));
        }
    }
    if files.is_empty() {
        return Err(ListError::NoMatch { path: path() });
    }
    Ok(files)
}

/// What hive writes for null.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

fn hive_values(file: &Path, root: &Path) -> Vec<(String, Option<String>)> {
    let folders = file.strip_prefix(root).ok().and_then(Path::parent).unwrap_or(Path::new(""));
    let names = folders.components().filter_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    names
        .filter_map(|name| name.split_once('='))
        .map(|(key, value)| {
            let decode = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
            (decode(key), (value != HIVE_NULL).then(|| decode(value)))
        })
        .collect()
}

fn check_hive_keys(files: &[Listed]) -> Result<(), ListError> {
    let keys = |file: &Listed| file.hive.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let Some(first) = files.first() else { return Ok(()) };
    match files.iter().find(|file| keys(file) != keys(first)) {
        None => Ok(()),
        Some(file) => Err(ListError::Hive {
            first: first.path.clone(),
            first_keys: keys(first),
            file: file.path.clone(),
            keys: keys(file),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn touch(root: &Path, name: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }

    fn names(root: &Path, listed: &[Listed]) -> Vec<String> {
        listed.iter().map(|f| f.path.strip_prefix(root).unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_folder_is_walked_in_name_order_without_hidden_names() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.parquet", "a/z.pq", ".cache/x.parquet", "_tmp.parquet", "notes.txt"] {
            touch(dir.path(), name);
        }
        assert_eq!(names(dir.path(), &list(dir.path()).unwrap()), ["a/z.pq", "b.parquet"]);
    }

    #[test]
    fn partition_folders_become_values() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), "lang=en/city=a%2Fb/x.parquet");
        touch(dir.path(), "lang=__HIVE_DEFAULT_PARTITION__/city=c/x.parquet");
        for path in [dir.path().to_owned(), dir.path().join("lang=*/*/x.parquet")] {
            let files = list(&path).unwrap();
            assert_eq!(files[0].hive, [("lang".into(), None), ("city".into(), Some("c".into()))]);
            assert_eq!(files[1].hive, [("lang".into(), Some("en".into())), ("city".into(), Some("a/b".into()))]);
        }
        touch(dir.path(), "lang=de/x.parquet");
        assert!(matches!(list(dir.path()), Err(ListError::Hive { .. })));
    }

    #[test]
    fn an_existing_name_with_brackets_is_no_pattern() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), "a[1].parquet");
        assert_eq!(list(&dir.path().join("a[1].parquet")).unwrap().len(), 1);
        assert!(matches!(list(&dir.path().join("b[1].parquet")), Err(ListError::NoMatch { .. })));
        assert!(matches!(list(&dir.path().join("gone")), Err(ListError::Missing { .. })));
    }
}
