//! Why there is no copy of an input.

use std::io;
use std::path::PathBuf;

use bytesize::ByteSize;

use crate::manifest::MANIFEST;
use crate::remote::{AddressError, RemoteError};
use crate::words::counted;

/// An input that lies in a store cannot be copied here.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("{}: {source}", .path.display())]
    Address { path: PathBuf, source: AddressError },
    #[error("{url}: no object matches this pattern")]
    NoMatch { url: String },
    #[error("{url}: no output of miner: there is no {MANIFEST} in it")]
    NoOutput { url: String },
    #[error("{url}: not a valid pattern: {source}")]
    Pattern { url: String, source: glob::PatternError },
    #[error(
        "{url}: the folder holds no *.parquet or *.pq object, but {}; names that start with `_` or `.` are ignored",
        counted(*.others as u64, "other")
    )]
    Empty { url: String, others: usize },
    #[error(
        "{}: what matches {url} cannot be read from a folder whose own name has *, ? or [ in it; choose another run.work",
        .folder.display()
    )]
    Folder { folder: PathBuf, url: String },
    #[error(
        "{}: {} of what lies in stores are still to be fetched, and there is room for {}; make room, or {cure}",
        .folder.display(), ByteSize(*.needed), ByteSize(*.found)
    )]
    NoRoom { folder: PathBuf, needed: u64, found: u64, cure: &'static str },
    #[error(
        "{url}: {} would be fetched for a look, and at most {} are; look at one of its files, or at a copy here (`miner run` fetches \
         all of it)",
        ByteSize(*.bytes), ByteSize(*.most)
    )]
    TooLarge { url: String, bytes: u64, most: u64 },
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}
