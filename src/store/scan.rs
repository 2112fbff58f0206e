//! Reads the rows of a survey, file after file, through DataFusion.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, prep_null_mask_filter};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::common::spawn_buffered;
use futures::StreamExt;

use super::decode::Decoder;
use super::files::ListError;
use super::pace::Pace;
use super::session::batch_rows;
use super::shield::{shielded_batches, told_of_panic};
use super::survey::InputFile;
use super::units::{Unit, units};
use crate::words::counted;

/// Where some rows lie, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub file: &'a InputFile,
    /// Position of the first in the file.
    pub file_row: u64,
}

impl Place<'_> {
    /// Position of the first in the whole scan.
    pub fn source_row(self) -> u64 {
        self.file.first_row + self.file_row
    }
}

/// A stretch of rows of one file.
pub(super) struct Stretch<'a> {
    pub place: Place<'a>,
    /// One column for each expression of the scan.
    pub batch: RecordBatch,
}

impl Stretch<'_> {
    /// Column `ordinal` as a condition that keeps rows where it is true, and not where it is null. `None` without it.
    pub fn keeps(&self, ordinal: usize) -> Result<Option<BooleanArray>, ArrowError> {
        let Some(condition) = self.batch.columns().get(ordinal) else { return Ok(None) };
        // A constant null has a type of its own.
        let condition = cast(condition, &DataType::Boolean)?;
        let condition = condition.as_boolean();
        Ok(Some(if condition.null_count() == 0 { condition.clone() } else { prep_null_mask_filter(condition) }))
    }
}

/// Why a file cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error("{}: cannot be read: {}", .path.display(), .source.strip_backtrace())]
    Read { path: PathBuf, source: DataFusionError },
    #[error("{}: cannot be read: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: damaged at row {row} or soon after: {found}; write or copy it again", .path.display())]
    Damaged { path: PathBuf, row: u64, found: String },
    #[error("{}: its footer tells of {told}, but {found} were found; write or copy it again", .path.display())]
    Rows { path: PathBuf, told: String, found: String },
    #[error("the query engine cannot be started: {}", .0.strip_backtrace())]
    Engine(DataFusionError),
    #[error("{}: the file has changed since it was first looked at; run again when it rests", .path.display())]
    Changed { path: PathBuf },
    #[error("{}: {} at first, {now} now, or others; run again when they rest", .path.display(), counted(*.before as u64, "file"))]
    OtherFiles { path: PathBuf, before: usize, now: usize },
    #[error("{}: the files that were here at first are gone: {source}", .path.display())]
    Gone { path: PathBuf, source: ListError },
}

/// The rows of some files in order. Several [units](units) are decoded at a time, each in its own task.
pub(super) struct Scan<'a> {
    decoder: Decoder,
    pace: Pace,
    waiting: Box<dyn Iterator<Item = Unit<'a>> + Send + 'a>,
    open: VecDeque<Open<'a>>,
}

/// A unit being decoded.
struct Open<'a> {
    unit: Unit<'a>,
    /// Rows of it that came.
    rows: u64,
    /// What failed ahead of its turn is told when that comes.
    batches: Result<SendableRecordBatchStream, ScanError>,
}

impl<'a> Scan<'a> {
    /// `row_bytes` only decides how many rows are read at once.
    pub fn new(files: &'a [InputFile], expressions: Vec<Expr>, row_bytes: u64, pace: Pace) -> Result<Self, ScanError> {
        let decoder = Decoder::new(expressions, row_bytes).map_err(ScanError::Engine)?;
        let waiting = files.iter().flat_map(move |file| units(file, batch_rows(row_bytes)));
        Ok(Self { decoder, pace, waiting: Box::new(waiting), open: VecDeque::new() })
    }

    /// The next rows, or `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Stretch<'a>>, ScanError> {
        loop {
            while self.open.len() < self.pace.units
                && let Some(unit) = self.waiting.next()
            {
                let batches = self.start(&unit);
                self.open.push_back(Open { unit, rows: 0, batches });
            }
            let Some(Open { unit, rows, batches }) = self.open.pop_front() else { return Ok(None) };
            let (file, mut batches) = (unit.file, batches?);
            let place = Place { file, file_row: unit.first + rows };
            let path = || file.path.clone();
            let damaged = |found| ScanError::Damaged { path: path(), row: place.file_row, found };
            match batches.next().await {
                Some(Ok(batch)) => {
                    let rows = rows + batch.num_rows() as u64;
                    if rows > unit.rows {
                        return Err(wrong_rows(&unit, format!("{rows} or more")));
                    }
                    self.open.push_front(Open { unit, rows, batches: Ok(batches) });
                    return Ok(Some(Stretch { place, batch }));
                }
                Some(Err(source)) => {
                    file.check_unchanged()?;
                    return Err(match of_the_decoder(&source) {
                        Some(found) => damaged(found),
                        None => ScanError::Read { path: path(), source },
                    });
                }
                None => {
                    file.check_unchanged()?;
                    if rows != unit.rows {
                        return Err(wrong_rows(&unit, rows.to_string()));
                    }
                }
            }
        }
    }

    fn start(&self, unit: &Unit) -> Result<SendableRecordBatchStream, ScanError> {
        unit.file.check_unchanged()?;
        let failed = |source| ScanError::Read { path: unit.file.path.clone(), source };
        // Within the task: what was decoded before a panic is handed on before it.
        Ok(spawn_buffered(shielded_batches(self.decoder.start(unit).map_err(failed)?), self.pace.ahead))
    }
}

fn wrong_rows(unit: &Unit, found: String) -> ScanError {
    ScanError::Rows { path: unit.file.path.clone(), told: unit.told(), found }
}

/// What a decoder found wrong with the file; `None` where the error is not a decoder's.
fn of_the_decoder(error: &DataFusionError) -> Option<String> {
    match error.find_root() {
        DataFusionError::ParquetError(error) => Some(error.to_string()),
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::ParquetError(told) => Some(told.clone()),
            _ => None,
        },
        DataFusionError::External(error) => told_of_panic(error.as_ref()),
        _ => None,
    }
}
