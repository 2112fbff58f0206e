//! CSV with a header line, RFC 4180 quotes, and nothing between the commas for null.
//!
//! A spreadsheet takes a cell that begins with one of `= + - @`, a tab or a carriage return for a formula. Unless such cells are to be
//! kept, an apostrophe is put before text that begins so, or with an apostrophe, and taken away when it is read: every text survives.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, LargeStringArray, RecordBatch};
use arrow::compute::cast;
use arrow::csv::{ReaderBuilder, Writer, WriterBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::{Batches, Encode, READ_BATCH, plain, typed};
use crate::manifest::Formulas;

const MARK: char = '\'';

/// Whether a text has to have a mark before it.
fn needs_mark(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r', MARK])
}

struct Encoder<W: Write> {
    writer: Writer<W>,
    formulas: Formulas,
    marked: u64,
}

pub(super) fn encoder<W: Write>(sink: W, formulas: Formulas) -> impl Encode<W> {
    Encoder { writer: WriterBuilder::new().with_header(true).build(sink), formulas, marked: 0 }
}

impl<W: Write> Encode<W> for Encoder<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        match self.formulas {
            Formulas::Keep => self.writer.write(batch),
            Formulas::Escape => self.writer.write(&mark(batch, &mut self.marked)?),
        }
    }

    fn escaped(&self) -> u64 {
        self.marked
    }

    fn finish(self: Box<Self>) -> Result<W, ArrowError> {
        Ok(self.writer.into_inner())
    }
}

pub(super) fn decoder(
    source: impl Read + Send + 'static,
    schema: &SchemaRef,
    formulas: Formulas,
) -> Result<Batches, ArrowError> {
    let reader = ReaderBuilder::new(plain(schema))
        .with_header(true)
        .with_header_validation(true)
        .with_batch_size(READ_BATCH)
        .build(source)?;
    let mut first = 0;
    let read = move |batch: Result<RecordBatch, ArrowError>| {
        let batch = batch?;
        let row = first;
        first += batch.num_rows();
        if formulas == Formulas::Escape { unmark(&batch, row) } else { Ok(batch) }
    };
    Ok(typed(reader.map(read), schema))
}

/// Puts marks before the texts that need one, and counts them.
fn mark(batch: &RecordBatch, marked: &mut u64) -> Result<RecordBatch, ArrowError> {
    each_text(batch, |_, _, text| {
        let needed = needs_mark(text);
        *marked += u64::from(needed);
        Ok(if needed { Cow::Owned(format!("{MARK}{text}")) } else { Cow::Borrowed(text) })
    })
}

/// Takes the marks away; `first` is the place of the batch's first row in its file.
///
/// # Errors
/// At a text that needs a mark and has none, or has one and needs none: no run writes these.
fn unmark(batch: &RecordBatch, first: usize) -> Result<RecordBatch, ArrowError> {
    each_text(batch, |row, name, text| match text.strip_prefix(MARK) {
        Some(rest) if needs_mark(rest) => Ok(Cow::Borrowed(rest)),
        None if !needs_mark(text) => Ok(Cow::Borrowed(text)),
        found => {
            let what = if found.is_some() { "a mark that it does not need" } else { "a formula without a mark" };
            Err(ArrowError::ParseError(format!("row {}, {name}: {what}: {text}", first + row)))
        }
    })
}

/// A batch whose texts are changed, given by row and the column's name. Texts may come out of a dictionary as plain ones.
fn each_text(
    batch: &RecordBatch,
    mut change: impl for<'a> FnMut(usize, &str, &'a str) -> Result<Cow<'a, str>, ArrowError>,
) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        let kind = match field.data_type() {
            DataType::Dictionary(_, values) => values.as_ref(),
            kind => kind,
        };
        if !matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
            fields.push(field.clone());
            columns.push(column.clone());
            continue;
        }
        let texts = cast(column, &DataType::LargeUtf8)?;
        let texts = texts.as_string::<i64>().iter().enumerate();
        let changed = texts.map(|(row, text)| text.map(|text| change(row, field.name(), text)).transpose());
        let changed: ArrayRef = Arc::new(changed.collect::<Result<LargeStringArray, _>>()?);
        fields.push(Arc::new(Field::new(field.name(), kind.clone(), field.is_nullable())));
        columns.push(cast(&changed, kind)?);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
