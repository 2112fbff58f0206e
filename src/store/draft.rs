//! The files of a prepared store while they are being written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::fitting::FittedHeader;
use super::layout::{self, Files, Header};
use super::links::{Link, Links};
use super::npy::{Element, NpyWriter};
use super::sets::Sets;
use super::table::{self, TableWriter};
use super::{Code, Row};
use crate::disk;
use crate::kernel::linear::Map;

/// A file of the prepared store cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written: {source}", .path.display())]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// One array of the draft, and its place.
struct Column<T> {
    name: String,
    path: PathBuf,
    values: NpyWriter<T>,
}

impl<T: Element> Column<T> {
    fn create(dir: &Path, name: &str) -> Result<Self, WriteError> {
        let path = dir.join(name);
        let values = NpyWriter::create(&path).map_err(|source| WriteError { path: path.clone(), source })?;
        Ok(Self { name: name.to_owned(), path, values })
    }

    fn write(&mut self, values: &[T]) -> Result<(), WriteError> {
        self.values.write(values).map_err(|source| WriteError { path: self.path.clone(), source })
    }

    /// Makes the array durable, and notes its hash among `files`.
    fn finish(self, width: Option<usize>, files: &mut Files) -> Result<(), WriteError> {
        let digest = self.values.finish(width).map_err(|source| WriteError { path: self.path, source })?;
        files.insert(self.name, digest);
        Ok(())
    }
}

/// A prepared store in the making.
pub(super) struct Draft {
    dir: PathBuf,
    vectors: Column<f32>,
    labels: Column<Code>,
    groups: Vec<Column<Code>>,
    keys: Column<u64>,
    source_rows: Column<u64>,
    ids: TableWriter,
    ids_name: &'static str,
    ids_schema: SchemaRef,
    /// Once the queries' turn has come.
    own: Option<Column<Row>>,
    /// Those that are complete.
    files: Files,
}

/// Rows to append, one value of each slice a row; `vectors` is row-major.
pub(super) struct Rows<'a> {
    pub vectors: &'a [f32],
    pub labels: &'a [Code],
    pub groups: &'a [Vec<Code>],
    pub keys: &'a [u64],
    pub source_rows: &'a [u64],
    /// Of queries, the row of the corpus with the same id.
    pub own: &'a [Row],
    /// The id, then the carried columns.
    pub table: Vec<ArrayRef>,
}

impl Draft {
    /// Begins a store in the folder `dir`, which is emptied; `ids` are the id and the carried columns, of `row_bytes` a row.
    pub fn create(dir: &Path, ids: Vec<Field>, row_bytes: u64, groups: usize) -> Result<Self, WriteError> {
        let made = disk::remove_folder(dir).and_then(|()| fs::create_dir_all(dir));
        made.map_err(|source| WriteError { path: dir.to_owned(), source })?;
        let ids_schema = Arc::new(Schema::new(ids));
        Ok(Self {
            dir: dir.to_owned(),
            vectors: Column::create(dir, layout::VECTORS)?,
            labels: Column::create(dir, layout::LABELS)?,
            groups: (0..groups).map(|index| Column::create(dir, &layout::group(index))).collect::<Result<_, _>>()?,
            keys: Column::create(dir, layout::KEYS)?,
            source_rows: Column::create(dir, layout::SOURCE_ROWS)?,
            ids: TableWriter::create(&dir.join(layout::IDS), ids_schema.clone(), row_bytes)
                .map_err(at(dir, layout::IDS))?,
            ids_name: layout::IDS,
            ids_schema,
            own: None,
            files: Files::new(),
        })
    }

    /// What follows are queries; `ids` are the id and the carried columns, of `row_bytes` a row.
    pub fn turn_to_queries(&mut self, ids: Vec<Field>, row_bytes: u64) -> Result<(), WriteError> {
        let (dir, name) = (&self.dir, layout::QUERY_IDS);
        self.ids_schema = Arc::new(Schema::new(ids));
        let queries =
            TableWriter::create(&dir.join(name), self.ids_schema.clone(), row_bytes).map_err(at(dir, name))?;
        let digest = std::mem::replace(&mut self.ids, queries).finish().map_err(at(dir, self.ids_name))?;
        self.files.insert(self.ids_name.to_owned(), digest);
        self.ids_name = name;
        self.own = Some(Column::create(dir, layout::OWN)?);
        Ok(())
    }

    pub fn append(&mut self, rows: Rows) -> Result<(), WriteError> {
        let Self { dir, vectors, labels, groups, keys, source_rows, ids, ids_name, ids_schema, own, .. } = self;
        let beside = || {
            labels.write(rows.labels)?;
            for (group, codes) in groups.iter_mut().zip(rows.groups) {
                group.write(codes)?;
            }
            keys.write(rows.keys)?;
            source_rows.write(rows.source_rows)?;
            if let Some(own) = own {
                own.write(rows.own)?;
            }
            let table = RecordBatch::try_new(ids_schema.clone(), rows.table);
            table.and_then(|table| ids.write(table)).map_err(at(dir, ids_name))
        };
        // Vectors are most of the bytes, and each is hashed.
        let (vectors, beside) = rayon::join(|| vectors.write(rows.vectors), beside);
        vectors.and(beside)
    }

    /// Writes the sorted links of so many anchors.
    pub fn write_links(&mut self, name: &str, anchors: u32, links: &[Link], valued: bool) -> Result<(), WriteError> {
        let failed = |source| WriteError { path: self.dir.join(name), source };
        self.files.extend(Links::write(&self.dir, name, anchors, links, valued).map_err(failed)?);
        Ok(())
    }

    /// Writes the labels of each class, ascending.
    pub fn write_sets(&mut self, sets: &[Box<[Code]>]) -> Result<(), WriteError> {
        let failed = |source| WriteError { path: self.dir.join(layout::SET_LABELS), source };
        self.files.extend(Sets::write(&self.dir, sets).map_err(failed)?);
        Ok(())
    }

    /// Completes the store: everything else, then its header.
    pub fn finish(self, header: Header, labels: ArrayRef, rejected: RecordBatch) -> Result<(), WriteError> {
        let (dir, mut files) = (&self.dir, self.files);
        self.vectors.finish(Some(header.dims), &mut files)?;
        self.labels.finish(None, &mut files)?;
        for group in self.groups {
            group.finish(None, &mut files)?;
        }
        self.keys.finish(None, &mut files)?;
        self.source_rows.finish(None, &mut files)?;
        if let Some(own) = self.own {
            own.finish(None, &mut files)?;
        }
        files.insert(self.ids_name.to_owned(), self.ids.finish().map_err(at(dir, self.ids_name))?);
        let labels = RecordBatch::try_from_iter([("label", labels)]);
        for (name, table) in [(layout::LABEL_VALUES, labels), (layout::REJECTED, Ok(rejected))] {
            let digest = table.and_then(|table| table::write(&dir.join(name), table)).map_err(at(dir, name))?;
            files.insert(name.to_owned(), digest);
        }
        let path = dir.join(layout::HEADER);
        disk::keep(&path, &Header { files, ..header }).map_err(|source| WriteError { path, source })
    }
}

/// What a fit adds to the folder of a prepared store.
pub(super) struct FitDraft {
    dir: PathBuf,
    vectors: Column<f32>,
}

impl FitDraft {
    pub fn create(dir: &Path) -> Result<Self, WriteError> {
        Ok(Self { dir: dir.to_owned(), vectors: Column::create(dir, layout::FITTED_VECTORS)? })
    }

    pub fn append(&mut self, vectors: &[f32]) -> Result<(), WriteError> {
        self.vectors.write(vectors)
    }

    /// Completes the fit: the map, then the header.
    pub fn finish(self, map: &Map, header: FittedHeader) -> Result<(), WriteError> {
        let (dir, mut files) = (&self.dir, Files::new());
        self.vectors.finish(Some(header.dims), &mut files)?;
        for (name, values) in [(layout::MEAN, map.mean()), (layout::MATRIX, map.matrix())] {
            let mut column = Column::create(dir, name)?;
            column.write(values)?;
            column.finish(Some(map.mean().len()), &mut files)?;
        }
        let path = dir.join(layout::FITTED_HEADER);
        disk::keep(&path, &FittedHeader { files, ..header }).map_err(|source| WriteError { path, source })
    }
}

fn at(dir: &Path, name: &str) -> impl FnOnce(ArrowError) -> WriteError {
    let path = dir.join(name);
    move |error| WriteError {
        path,
        source: match error {
            ArrowError::IoError(_, source) => source,
            other => io::Error::other(other),
        },
    }
}
