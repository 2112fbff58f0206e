//! Why array files cannot hold a table's vectors.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use super::ListError;
use crate::words::counted;

/// Why array files cannot hold a table's vectors.
#[derive(Debug, thiserror::Error)]
pub enum ArrayError {
    #[error(transparent)]
    List(#[from] ListError),
    #[error("{place}: cannot be read: {source}")]
    Io { place: String, source: io::Error },
    #[error("{place}: found {found}, expected {expected}; {cure}")]
    Unfit { place: String, found: String, expected: &'static str, cure: Cow<'static, str> },
    #[error("{first} holds {expected}, but {place} {found}; bring all arrays into one width and type")]
    Differ { first: String, expected: String, place: String, found: String },
    #[error(
        "{place}: {}{}, but {} has {} (before `where`); expected one for each, in the same order",
        counted(*.found, "vector"),
        if *.files > 1 { format!(" in {files} files") } else { String::new() }, .table.display(), counted(*.expected, "row")
    )]
    Rows { place: String, files: usize, found: u64, table: PathBuf, expected: u64 },
}

/// What is wrong with one file, before anyone says which.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Unfit { found: String, expected: &'static str, cure: Cow<'static, str> },
}

impl Fault {
    pub fn unfit(found: impl Into<String>, expected: &'static str, cure: impl Into<Cow<'static, str>>) -> Self {
        Self::Unfit { found: found.into(), expected, cure: cure.into() }
    }

    /// Told of a file, and what in it.
    pub fn at(self, place: String) -> ArrayError {
        match self {
            Self::Io(source) => ArrayError::Io { place, source },
            Self::Unfit { found, expected, cure } => ArrayError::Unfit { place, found, expected, cure },
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
