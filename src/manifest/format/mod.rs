//! The file formats, one file each: batches in, one part out, and back again.
//!
//! For the same batches each of them writes the same bytes. Every f32 survives: text formats print the shortest decimal that reads
//! back as the same bits.

mod arrow_file;
mod csv;
mod jsonl;
mod npy;
mod parquet;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use thiserror::Error;

use super::Format;
use super::digest::Hashing;
use super::sealed::Listed;
use crate::disk::sync_folder;

/// Rows a batch when a part is read.
const READ_BATCH: usize = 1 << 12;

/// Why a file of the output could not be written.
#[derive(Debug, Error)]
#[error("{}: cannot {action}: {source}", path.display())]
pub struct FormatError {
    pub path: PathBuf,
    pub action: &'static str,
    pub source: ArrowError,
}

/// How much a file will hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Exactly, where it is an array; no other format looks at it.
    pub(super) rows: u64,
    /// How many times larger a row is than one of triplets.
    pub(super) width: u64,
}

impl Extent {
    pub(super) fn of(rows: u64) -> Self {
        Self { rows, width: 1 }
    }
}

/// A format cannot hold a column.
#[derive(Debug, Error)]
#[error(
    "output.format = \"{format}\" cannot hold column '{column}' of type {kind}: {source}; use parquet, or leave it out of store.carry"
)]
pub struct ColumnError {
    pub format: &'static str,
    pub column: String,
    pub kind: DataType,
    pub source: ArrowError,
}

/// Turns batches of one schema into the bytes of one file.
pub(super) trait Encode<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError>;
    /// Cells so far that were written with a mark before them, which readers take away.
    fn escaped(&self) -> u64 {
        0
    }
    /// Writes what ends the file, and hands back what it was written to.
    fn finish(self: Box<Self>) -> Result<W, ArrowError>;
}

/// The batches of one file.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArrowError>> + Send>;

impl Format {
    /// As written in a pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Jsonl => "jsonl",
            Self::Csv(_) => "csv",
            Self::Npy => "npy",
        }
    }

    /// What a part's name ends with.
    pub fn extension(self) -> &'static str {
        self.name()
    }

    pub(super) fn encoder<W: Write + Send + 'static>(
        self,
        sink: W,
        schema: &SchemaRef,
        extent: Extent,
    ) -> Result<Box<dyn Encode<W> + Send>, ArrowError> {
        Ok(match self {
            Self::Parquet => Box::new(parquet::encoder(sink, schema, extent)?),
            Self::Arrow => Box::new(arrow_file::encoder(sink, schema)?),
            Self::Jsonl => Box::new(jsonl::encoder(sink)),
            Self::Csv(formulas) => Box::new(csv::encoder(sink, formulas)),
            Self::Npy => Box::new(npy::encoder(sink, schema, extent.rows)?),
        })
    }

    /// Reads a file that should hold `schema`. Parquet and Arrow carry their own schema, which must be equal to it.
    ///
    /// The file may be hostile: sizes it claims are checked before memory is taken for them.
    pub(super) fn decoder(self, file: File, schema: &SchemaRef) -> Result<Batches, ArrowError> {
        match self {
            Self::Parquet => parquet::decoder(file, schema),
            Self::Arrow => arrow_file::decoder(file, schema),
            Self::Jsonl => jsonl::decoder(BufReader::new(file), schema),
            Self::Csv(formulas) => csv::decoder(file, schema, formulas),
            Self::Npy => npy::decoder(file, schema),
        }
    }

    /// What is left of a batch that was written and read again. Text has no dictionary and no NaN, and CSV cannot tell an empty
    /// string from null; the other formats keep all.
    pub(super) fn round_trip(self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        if matches!(self, Self::Parquet | Self::Arrow | Self::Npy) {
            return Ok(batch.clone());
        }
        let schema = batch.schema();
        let mut encoder = self.encoder(Vec::new(), &schema, Extent::of(batch.num_rows() as u64))?;
        encoder.write(batch)?;
        let text = io::Cursor::new(encoder.finish()?);
        let batches: Vec<_> = match self {
            Self::Csv(formulas) => csv::decoder(text, &schema, formulas),
            _ => jsonl::decoder(text, &schema),
        }?
        .collect::<Result<_, _>>()?;
        // Read leniently, nulls and all: what was lost is the caller's to judge.
        arrow::compute::concat_batches(&nullable(&schema), &batches)
    }

    /// Refuses columns that this format cannot hold, such as a list in CSV.
    pub(super) fn check(self, schema: &Schema) -> Result<(), ColumnError> {
        for field in schema.fields() {
            let alone: SchemaRef = Arc::new(Schema::new(vec![field.clone()]));
            let tried = || {
                let batch = RecordBatch::new_empty(alone.clone());
                let mut encoder = self.encoder(Vec::new(), &alone, Extent::of(0))?;
                encoder.write(&batch)?;
                encoder.finish()?;
                self.round_trip(&batch)
            };
            tried().map_err(|source| ColumnError {
                format: self.name(),
                column: field.name().clone(),
                kind: field.data_type().clone(),
                source,
            })?;
        }
        Ok(())
    }
}

/// One file of the output while it is written.
pub(super) struct Part {
    path: PathBuf,
    encoder: Box<dyn Encode<BufWriter<Hashing<File>>> + Send>,
    rows: u64,
}

impl Part {
    pub(super) fn create(
        path: PathBuf,
        format: Format,
        schema: &SchemaRef,
        extent: Extent,
    ) -> Result<Self, FormatError> {
        let opened = File::create_new(&path).map_err(ArrowError::from);
        let encoder = opened.and_then(|file| format.encoder(BufWriter::new(Hashing::new(file)), schema, extent));
        match encoder {
            Ok(encoder) => Ok(Self { path, encoder, rows: 0 }),
            Err(source) => Err(FormatError { path, action: "create", source }),
        }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), FormatError> {
        self.rows += batch.num_rows() as u64;
        self.encoder.write(batch).map_err(|source| FormatError { path: self.path.clone(), action: "write", source })
    }

    /// Cells so far that have a mark before them.
    pub(super) fn escaped(&self) -> u64 {
        self.encoder.escaped()
    }

    /// Ends the file, makes it durable, and says what the manifest lists of it. `name` is its path inside the output.
    pub(super) fn finish(self, name: String) -> Result<Listed, FormatError> {
        let Self { path, encoder, rows } = self;
        let finish = || {
            let sink = encoder.finish()?.into_inner().map_err(|error| error.into_error())?;
            let (file, bytes, sha256) = sink.finish();
            file.sync_all()?;
            sync_folder(path.parent().unwrap_or(Path::new(".")))?;
            Ok(Listed { path: name, rows, bytes, sha256, gap: None })
        };
        finish().map_err(|source| FormatError { path: path.clone(), action: "finish", source })
    }
}

/// The schema a text format is read with: plain values, any of them null.
fn plain(schema: &Schema) -> SchemaRef {
    let plain = |field: &Arc<Field>| match field.data_type() {
        DataType::Dictionary(_, value) => Field::new(field.name(), value.as_ref().clone(), true),
        kind => Field::new(field.name(), kind.clone(), true),
    };
    Arc::new(Schema::new(schema.fields().iter().map(plain).collect::<Vec<_>>()))
}

fn nullable(schema: &Schema) -> SchemaRef {
    let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
    Arc::new(Schema::new(schema.fields().iter().map(nullable).collect::<Vec<_>>()))
}

/// Batches of [`plain`] values as batches of the schema's types.
fn typed(batches: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static, schema: &Schema) -> Batches {
    let schema = nullable(schema);
    Box::new(batches.map(move |batch| {
        let batch = batch?;
        let columns =
            batch.columns().iter().zip(schema.fields()).map(|(column, field)| cast(column, field.data_type()));
        RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)
    }))
}

/// Refuses a file whose columns differ from those expected in name, type, order or nullability.
fn same_columns(found: &Schema, expected: &Schema) -> Result<(), ArrowError> {
    let describe = |field: &Arc<Field>| {
        let nullable = if field.is_nullable() { ", nullable" } else { "" };
        format!("'{}' ({}{nullable})", field.name(), field.data_type())
    };
    for index in 0..found.fields().len().max(expected.fields().len()) {
        let side = |schema: &Schema| schema.fields().get(index).map_or("none".to_owned(), describe);
        let (found, expected) = (side(found), side(expected));
        if found != expected {
            return Err(ArrowError::SchemaError(format!("column {index} is {found}, expected {expected}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
