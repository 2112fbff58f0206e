//! The prepared store, opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use serde::de::DeserializeOwned;

use super::fitting::{Fitted, FittedHeader};
use super::layout::{self, Header};
use super::npy::{Element, Npy, Shape};
use super::table::Table;
use super::{Classes, Code, Row};
use crate::kernel::Metric;

/// A frozen store: `n` rows of `d` values, with ids, classes and groups. Read in place, so cheap to open and to share.
pub struct Prepared {
    dir: PathBuf,
    header: Header,
    vectors: Npy<f32>,
    labels: Npy<Code>,
    groups: Vec<Npy<Code>>,
    keys: Npy<u64>,
    source_rows: Npy<u64>,
    ids: Table,
    label_values: ArrayRef,
    rejected: RecordBatch,
    classes: Classes,
    ranked: OnceLock<Classes>,
    fit: Option<Fit>,
}

/// What a fit made of the vectors.
struct Fit {
    header: FittedHeader,
    vectors: Npy<f32>,
    fitted: Fitted,
}

/// Why a prepared store cannot be opened, or a column of it not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{}: cannot be read: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: not the header of a prepared store: {source}", .path.display())]
    Header { path: PathBuf, source: serde_json::Error },
    #[error("{}: format {found_format} version {found_version}, expected {} version {}; prepare the store again", .path.display(), layout::FORMAT, layout::VERSION)]
    Version { path: PathBuf, found_format: String, found_version: u32 },
    #[error("{}: cannot be read: {source}", .path.display())]
    Table { path: PathBuf, source: ArrowError },
    #[error("{}: {what}: found {found}, expected {expected}; prepare the store again", .path.display())]
    Disagrees { path: PathBuf, what: &'static str, found: u64, expected: u64 },
}

impl Prepared {
    /// Opens the folder that [`super::prepare`] wrote, and [`super::fit`] where it has been there.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let header = read_header(&dir.join(layout::HEADER))?;
        let rows = header.rows as usize;
        let table = |name: &str| open_table(&dir.join(name));
        let ids = table(layout::IDS)?;
        agree(dir, layout::IDS, "rows", ids.rows(), rows)?;
        let label_values = table(layout::LABEL_VALUES)?;
        agree(dir, layout::LABEL_VALUES, "classes", label_values.rows(), header.classes)?;
        let whole =
            |name: &str, table: Table| table.read().map_err(|source| OpenError::Table { path: dir.join(name), source });
        let labels: Npy<Code> = array(dir, layout::LABELS, rows)?;
        Ok(Self {
            vectors: open_array(&dir.join(layout::VECTORS), Shape { rows, width: Some(header.dims) })?,
            classes: Classes::within(labels.values(), header.classes).ok_or_else(|| OpenError::Disagrees {
                path: dir.join(layout::LABELS),
                what: "a code beyond the classes",
                found: labels.values().iter().filter(|c| !c.is_null()).map(|c| u64::from(c.0)).max().unwrap_or(0),
                expected: header.classes as u64,
            })?,
            labels,
            groups: (0..header.groups.len()).map(|g| array(dir, &layout::group(g), rows)).collect::<Result<_, _>>()?,
            keys: array(dir, layout::KEYS, rows)?,
            source_rows: array(dir, layout::SOURCE_ROWS, rows)?,
            ids,
            label_values: whole(layout::LABEL_VALUES, label_values)?.column(0).clone(),
            rejected: whole(layout::REJECTED, table(layout::REJECTED)?)?,
            ranked: OnceLock::new(),
            fit: Fit::open(dir, rows, header.dims)?,
            dir: dir.to_owned(),
            header,
        })
    }

    /// The folder it lies in.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// n.
    pub fn rows(&self) -> u32 {
        self.header.rows
    }

    /// d.
    pub fn dims(&self) -> usize {
        self.fit.as_ref().map_or(self.header.dims, |fit| fit.header.dims)
    }

    pub fn metric(&self) -> Metric {
        self.fit.as_ref().map_or(self.header.metric, |fit| fit.header.metric)
    }

    /// n × d, row-major; normalised under cosine.
    pub fn vectors(&self) -> &[f32] {
        self.fit.as_ref().map_or(&self.vectors, |fit| &fit.vectors).values()
    }

    /// What a fit made the vectors with.
    pub fn fitted(&self) -> Option<&Fitted> {
        self.fit.as_ref().map(|fit| &fit.fitted)
    }

    /// A vector as it was read, where a fit made others of them; not normalised.
    pub fn raw(&self, row: Row) -> &[f32] {
        let d = self.header.dims;
        &self.vectors.values()[row.index() * d..][..d]
    }

    /// d values.
    pub fn vector(&self, row: Row) -> &[f32] {
        let start = row.index() * self.dims();
        &self.vectors()[start..start + self.dims()]
    }

    /// Largest L2 norm of a vector.
    pub fn max_norm(&self) -> f64 {
        self.fit.as_ref().map_or(self.header.max_norm, |fit| fit.header.max_norm)
    }

    /// The class of each row.
    pub fn labels(&self) -> &[Code] {
        self.labels.values()
    }

    /// How many classes there are; their codes are `0 … classes − 1`.
    pub fn classes(&self) -> usize {
        self.header.classes
    }

    /// The rows of a class, ascending; none for [`Code::NULL`].
    pub fn members(&self, label: Code) -> &[Row] {
        self.classes.members(label)
    }

    /// The same rows in an order that their ids alone decide.
    pub fn ranked_members(&self, label: Code) -> &[Row] {
        self.ranked.get_or_init(|| self.classes.ranked(self.keys())).members(label)
    }

    /// Constraint names, in the pipeline's order.
    pub fn group_names(&self) -> &[String] {
        &self.header.groups
    }

    /// The group of each row; `index` as in [`Prepared::group_names`].
    pub fn group(&self, index: usize) -> &[Code] {
        self.groups[index].values()
    }

    /// A 64-bit hash of each row's id, by value: the base of keyed random choices.
    pub fn keys(&self) -> &[u64] {
        self.keys.values()
    }

    /// Position of each row in the scan, before `where`; ascending.
    pub fn source_rows(&self) -> &[u64] {
        self.source_rows.values()
    }

    /// The id, then the carried columns.
    pub fn schema(&self) -> &SchemaRef {
        self.ids.schema()
    }

    /// The values of a column of [`Prepared::schema`] at some rows, in that order, repeats allowed.
    pub fn take(&self, column: usize, rows: &[Row]) -> Result<ArrayRef, OpenError> {
        self.ids.take(column, rows).map_err(|source| OpenError::Table { path: self.dir.join(layout::IDS), source })
    }

    /// The label of each class, in the label's own type.
    pub fn label_values(&self) -> &ArrayRef {
        &self.label_values
    }

    /// Rows left out as unusable, in scan order: `file`, `file_row` (position in the file), `source_row` (position in the
    /// scan), `id` (null where it was), `reason`.
    pub fn rejected(&self) -> &RecordBatch {
        &self.rejected
    }

    /// Of the survey that was prepared, see [`super::Survey::fingerprint`].
    pub fn fingerprint(&self) -> &str {
        &self.header.fingerprint
    }
}

impl Fit {
    fn open(dir: &Path, rows: usize, d: usize) -> Result<Option<Self>, OpenError> {
        let path = dir.join(layout::FITTED_HEADER);
        if !path.exists() {
            return Ok(None);
        }
        let header: FittedHeader = read_json(&path)?;
        let shape = |rows, width| Shape { rows, width: Some(width) };
        let mean: Npy<f64> = open_array(&dir.join(layout::MEAN), shape(1, d))?;
        let matrix: Npy<f64> = open_array(&dir.join(layout::MATRIX), shape(header.dims, d))?;
        let vectors = open_array(&dir.join(layout::FITTED_VECTORS), shape(rows, header.dims))?;
        let fitted = Fitted { mean, matrix, name: header.name.clone(), floored: header.floored };
        Ok(Some(Self { vectors, fitted, header }))
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, OpenError> {
    let text = fs::read(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| OpenError::Header { path: path.to_owned(), source })
}

fn read_header(path: &Path) -> Result<Header, OpenError> {
    let header: Header = read_json(path)?;
    if header.format != layout::FORMAT || header.version != layout::VERSION {
        let (found_format, found_version) = (header.format, header.version);
        return Err(OpenError::Version { path: path.to_owned(), found_format, found_version });
    }
    Ok(header)
}

fn array<T: Element>(dir: &Path, name: &str, rows: usize) -> Result<Npy<T>, OpenError> {
    open_array(&dir.join(name), Shape { rows, width: None })
}

fn open_array<T: Element>(path: &Path, shape: Shape) -> Result<Npy<T>, OpenError> {
    Npy::open(path, shape).map_err(|source| OpenError::Io { path: path.to_owned(), source })
}

fn open_table(path: &Path) -> Result<Table, OpenError> {
    Table::open(path).map_err(|source| OpenError::Table { path: path.to_owned(), source })
}

fn agree(dir: &Path, name: &str, what: &'static str, found: usize, expected: usize) -> Result<(), OpenError> {
    if found == expected {
        return Ok(());
    }
    Err(OpenError::Disagrees { path: dir.join(name), what, found: found as u64, expected: expected as u64 })
}
