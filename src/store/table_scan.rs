//! The rows of a table of embeddings with their vectors, wherever those are.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{Field, FieldRef, Schema};
use arrow::error::ArrowError;

use super::array::ArrayReader;
use super::pace::Pace;
use super::scan::{Scan, ScanError, Stretch};
use super::survey::Survey;

/// Reads what a survey selects. Of each stretch the vectors are column 0, be it the table's or made of arrays beside it.
pub(super) struct TableScan<'a> {
    scan: Scan<'a>,
    arrays: Option<ArrayReader<'a>>,
    /// What ended the last wave.
    failed: Option<ScanError>,
}

impl<'a> TableScan<'a> {
    pub fn new(survey: &'a Survey, pace: Pace) -> Result<Self, ScanError> {
        let scan = Scan::new(&survey.files, survey.selection.expressions(), survey.widest_row(), pace)?;
        Ok(Self { scan, arrays: survey.arrays().map(ArrayReader::new), failed: None })
    }

    /// The next `most` stretches, or those that are left; none after the last.
    pub async fn wave(&mut self, most: usize) -> Result<Vec<Stretch<'a>>, ScanError> {
        let mut wave = Vec::with_capacity(most);
        while self.failed.is_none() && wave.len() < most {
            match self.next().await {
                Ok(Some(stretch)) => wave.push(stretch),
                Ok(None) => break,
                Err(failed) => self.failed = Some(failed),
            }
        }
        match self.failed.take_if(|_| wave.is_empty()) {
            Some(failed) => Err(failed),
            None => Ok(wave),
        }
    }

    async fn next(&mut self) -> Result<Option<Stretch<'a>>, ScanError> {
        let Some(mut stretch) = self.scan.next().await? else { return Ok(None) };
        if let Some(arrays) = &mut self.arrays {
            let vectors = arrays.next(stretch.batch.num_rows())?;
            stretch.batch = with_vectors(&stretch.batch, vectors).map_err(|source| {
                let path = stretch.place.file.path.clone();
                ScanError::Read { path, source: source.into() }
            })?;
        }
        Ok(Some(stretch))
    }
}

/// A batch with its first column exchanged.
fn with_vectors(batch: &RecordBatch, vectors: ArrayRef) -> Result<RecordBatch, ArrowError> {
    let first: FieldRef = Arc::new(Field::new("vectors", vectors.data_type().clone(), false));
    let fields: Vec<FieldRef> = std::iter::once(first).chain(batch.schema().fields().iter().skip(1).cloned()).collect();
    let columns = std::iter::once(vectors).chain(batch.columns().iter().skip(1).cloned()).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}
