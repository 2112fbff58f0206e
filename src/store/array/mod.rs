//! Vectors in array files beside a table: numpy's `.npy` and `.npz`, and `.fvecs` and `.bvecs`.
//!
//! Row i of all files together belongs to row i of the table's scan. Files are read, never mapped: one that shrinks is an error and
//! not a signal. They enter where a column of vectors would, see [`super::table_scan`].

mod error;
mod file;
mod header;
mod inspect;
mod npz;
mod reader;
mod scalar;

pub use error::ArrayError;
pub use file::{ArrayFile, array_in, names_array};
pub(super) use header::NpyHeader;
pub use inspect::{ArrayFacts, inspect_arrays};
pub(super) use reader::ArrayReader;
pub use scalar::Scalar;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use rayon::prelude::*;

use super::files::{self, ListError};
use super::scan::ScanError;
use super::stamp::Stamp;
use super::survey::{check_unchanged, hash_file};
use crate::disk::untrusted;

/// The arrays of one table, as one of `n × d`.
#[derive(Debug)]
pub struct Arrays {
    sources: Vec<ArraySource>,
    scalar: Scalar,
    dims: usize,
}

/// What one path of a pipeline names: a file, or those of a pattern in name order.
#[derive(Debug)]
pub struct ArraySource {
    /// As the pipeline says, with the name of an array in an `.npz`.
    pub path: PathBuf,
    files: Vec<ArrayFile>,
    /// Of the content of all files, in order: BLAKE3, in hex.
    pub fingerprint: String,
}

impl ArraySource {
    /// Looks at the files that a path names: headers, sizes and content hashes, no values.
    ///
    /// # Errors
    /// A file cannot be read, or holds no array of vectors.
    pub fn look(path: &Path) -> Result<Self, ArrayError> {
        let (pattern, member) = file::split(path);
        let listed = files::list_arrays(&pattern)?;
        let look = |file: PathBuf| ArrayFile::look(file, member.as_deref());
        let files: Vec<ArrayFile> = listed.into_iter().map(look).collect::<Result<_, _>>()?;
        let hashes: Vec<_> = files.par_iter().map(|file| hash_file(&file.path)).collect();
        let mut whole = blake3::Hasher::new();
        for (file, hash) in files.iter().zip(hashes) {
            whole.update(hash.map_err(|source| ArrayError::Io { place: file.place(), source })?.as_bytes());
        }
        Ok(Self { path: path.to_owned(), files, fingerprint: whole.finalize().to_hex().to_string() })
    }

    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.stamp.bytes).sum()
    }

    fn check_unchanged(&self) -> Result<(), ScanError> {
        let path = self.path.clone();
        let listed = match files::list_arrays(&file::split(&path).0) {
            Ok(listed) => listed,
            Err(source) => return Err(ScanError::Gone { path, source }),
        };
        if !listed.iter().eq(self.files.iter().map(|file| &file.path)) {
            return Err(ScanError::OtherFiles { path, before: self.files.len(), now: listed.len() });
        }
        self.files.iter().try_for_each(ArrayFile::check_unchanged)
    }
}

impl ArrayFile {
    fn check_unchanged(&self) -> Result<(), ScanError> {
        check_unchanged(&self.path, self.stamp)
    }
}

impl Arrays {
    /// Looks at the files that some paths name, in this order.
    ///
    /// # Errors
    /// Those of [`ArraySource::look`]; and two files that differ in width or type.
    pub fn look(paths: &[PathBuf]) -> Result<Self, ArrayError> {
        let sources: Vec<ArraySource> = paths.iter().map(|path| ArraySource::look(path)).collect::<Result<_, _>>()?;
        let mut files = sources.iter().flat_map(|source| &source.files);
        let Some(first) = files.next() else {
            let path = paths.first().cloned().unwrap_or_default();
            return Err(ListError::NoMatch { path }.into());
        };
        let (scalar, dims) = (first.scalar, first.dims);
        if let Some(other) = files.find(|file| (file.scalar, file.dims) != (scalar, dims)) {
            let (first, expected) = (first.place(), first.kind());
            return Err(ArrayError::Differ { first, expected, place: other.place(), found: other.kind() });
        }
        Ok(Self { sources, scalar, dims })
    }

    /// Holds the number of vectors against that of a table's rows.
    ///
    /// # Errors
    /// When there are more, or fewer.
    pub(super) fn check_rows(&self, table: &Path, expected: u64) -> Result<(), ArrayError> {
        if self.rows() == expected {
            return Ok(());
        }
        let place = self.sources.iter().map(|source| source.path.display().to_string()).collect::<Vec<_>>().join(", ");
        let (files, table) = (self.files().count(), table.to_owned());
        Err(ArrayError::Rows { place, files, found: self.rows(), table, expected })
    }

    /// What each path names, in the order of the pipeline.
    pub fn sources(&self) -> &[ArraySource] {
        &self.sources
    }

    /// In the order of their rows.
    pub fn files(&self) -> impl Iterator<Item = &ArrayFile> {
        self.sources.iter().flat_map(|source| &source.files)
    }

    /// n.
    pub fn rows(&self) -> u64 {
        self.sources.iter().map(ArraySource::rows).sum()
    }

    /// d.
    pub fn dims(&self) -> usize {
        self.dims
    }

    pub fn scalar(&self) -> Scalar {
        self.scalar
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.sources.iter().map(ArraySource::bytes).sum()
    }

    /// Bytes that reading so many rows at once holds.
    pub(super) fn batch_bytes(&self, rows: u64) -> u64 {
        // Bytes become floats in another place.
        let again = if self.scalar == Scalar::U8 { self.dims * size_of::<f32>() } else { 0 };
        rows * (self.width() + again) as u64
    }

    /// The type of a column that holds the vectors.
    pub(super) fn data_type(&self) -> DataType {
        let (field, dims) = self.list();
        DataType::FixedSizeList(field, dims)
    }

    /// # Errors
    /// The first file that has changed, come or gone.
    pub(super) fn check_unchanged(&self) -> Result<(), ScanError> {
        self.sources.iter().try_for_each(ArraySource::check_unchanged)
    }

    fn list(&self) -> (FieldRef, i32) {
        // Widths are bounded when files are looked at.
        (Arc::new(Field::new("item", self.scalar.data_type(), false)), self.dims as i32)
    }

    /// Bytes of a vector in a file.
    fn width(&self) -> usize {
        self.dims * self.scalar.bytes()
    }
}
