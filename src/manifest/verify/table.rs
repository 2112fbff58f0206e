//! Tables of an output, read without trust and compared cell by cell.

use std::ops::Range;
use std::path::Path;

use arrow::array::{Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;

use super::finding::Findings;
use crate::manifest::Format;
use crate::manifest::format::Batches;
use crate::manifest::sealed::Listed;
use crate::store::{Prepared, Row, shield};

/// A decoder that panics has found something, too.
fn shielded<T>(decode: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    shield::shielded(decode).unwrap_or_else(|panic| Err(ArrowError::ParseError(panic)))
}

/// A listed file, read batch by batch, each with the number of its first row. It ends after the first error, and as soon as it is
/// clear that there are more rows, or fewer, than listed.
pub(in crate::manifest) struct Table {
    batches: Option<Batches>,
    next_row: u64,
    rows: u64,
}

impl Table {
    pub(in crate::manifest) fn open(
        out: &Path,
        listed: &Listed,
        format: Format,
        schema: &SchemaRef,
    ) -> Result<Self, String> {
        let file = listed.open(out).map_err(|refused| refused.to_string())?;
        let batches = shielded(|| format.decoder(file, schema)).map_err(|error| error.to_string())?;
        Ok(Self { batches: Some(batches), next_row: 0, rows: listed.rows })
    }
}

impl Iterator for Table {
    type Item = Result<(u64, RecordBatch), String>;

    fn next(&mut self) -> Option<Self::Item> {
        let batches = self.batches.as_mut()?;
        let first = self.next_row;
        let error = match shielded(|| batches.next().transpose()) {
            Ok(Some(batch)) if batch.num_rows() as u64 <= self.rows - first => {
                self.next_row += batch.num_rows() as u64;
                return Some(Ok((first, batch)));
            }
            Ok(Some(_)) => Some("more rows".to_owned()),
            Ok(None) if first < self.rows => Some(format!("{first} rows")),
            Ok(None) => None,
            Err(error) => Some(error.to_string()),
        };
        self.batches = None;
        error.map(Err)
    }
}

/// The row at a position of the scan, of the corpus or of the anchors.
pub(super) fn row_at(store: &Prepared, among: Range<u32>, place: u64) -> Option<Row> {
    let places = &store.source_rows()[among.start as usize..among.end as usize];
    // Without a filter a row's position is its number.
    let guess = usize::try_from(place).ok().filter(|&guess| places.get(guess) == Some(&place));
    let index = guess.or_else(|| places.binary_search(&place).ok())?;
    u32::try_from(index).ok().map(|index| Row(among.start + index))
}

/// Where the rows of a batch stand in their file.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) file: &'a str,
    pub(super) format: Format,
    pub(super) first: u64,
}

/// Compares the rows `chosen` of a batch with those they should be, of which there are as many, and reports each differing cell.
pub(super) fn compare(
    place: Place<'_>,
    batch: &RecordBatch,
    chosen: &[u32],
    expected: &RecordBatch,
    findings: &mut Findings,
) -> Result<(), ArrowError> {
    let chosen_rows;
    let batch = if chosen.len() == batch.num_rows() {
        batch
    } else {
        chosen_rows = take_record_batch(batch, &UInt32Array::from(chosen.to_vec()))?;
        &chosen_rows
    };
    let mut kept: Option<RecordBatch> = None;
    for (index, field) in expected.schema_ref().fields().iter().enumerate() {
        if batch.column(index) == expected.column(index) {
            continue;
        }
        // Only where something differs is it worth asking what the format can keep of it.
        let kept = match &mut kept {
            Some(kept) => kept,
            None => kept.insert(place.format.round_trip(expected)?),
        };
        let (found, expected) = (batch.column(index), kept.column(index));
        for (i, &row) in chosen.iter().enumerate() {
            if found.slice(i, 1).as_ref() != expected.slice(i, 1).as_ref() {
                let (found, expected) = (shown(found, i)?, shown(expected, i)?);
                findings.value(place.file, place.first + u64::from(row), field.name(), found, expected);
            }
        }
    }
    Ok(())
}

fn shown(column: &dyn Array, row: usize) -> Result<String, ArrowError> {
    if column.is_null(row) { Ok("null".to_owned()) } else { array_value_to_string(column, row) }
}
