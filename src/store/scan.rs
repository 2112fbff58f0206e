//! Reads the rows of a survey, file after file, through DataFusion.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, prep_null_mask_filter};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::object_store::{ObjectMeta, path::Path as ObjectPath};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::common::spawn_buffered;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::prelude::SessionContext;
use futures::StreamExt;

use super::files::ListError;
use super::session::{Means, batch_rows, session};
use super::shield::shielded_future;
use super::survey::InputFile;
use crate::words::counted;

/// A stretch of rows of one file.
pub(super) struct Stretch<'a> {
    pub file: &'a InputFile,
    /// Position of its first row in the file.
    pub file_row: u64,
    /// One column for each expression of the scan.
    pub batch: RecordBatch,
}

impl Stretch<'_> {
    /// Position of its first row in the whole scan.
    pub fn first_source_row(&self) -> u64 {
        self.file.first_row + self.file_row
    }

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
    #[error("{}: its footer tells of {told} rows, but {found} were found; write or copy it again", .path.display())]
    Rows { path: PathBuf, told: u64, found: String },
    #[error("the query engine cannot be started: {}", .0.strip_backtrace())]
    Engine(DataFusionError),
    #[error("{}: the file has changed since it was first looked at; run again when it rests", .path.display())]
    Changed { path: PathBuf },
    #[error("{}: {} at first, {now} now, or others; run again when they rest", .path.display(), counted(*.before as u64, "file"))]
    OtherFiles { path: PathBuf, before: usize, now: usize },
    #[error("{}: the files that were here at first are gone: {source}", .path.display())]
    Gone { path: PathBuf, source: ListError },
}

/// The rows of some files in order. A file is decoded in its own task, one file ahead of the reader.
pub(super) struct Scan<'a> {
    context: SessionContext,
    expressions: Vec<Expr>,
    waiting: std::slice::Iter<'a, InputFile>,
    open: VecDeque<(&'a InputFile, u64, SendableRecordBatchStream)>,
}

/// Batches decoded ahead of the reader, for each open file.
const AHEAD: usize = 2;
/// The file being read, and the next.
const OPEN_FILES: usize = 2;

/// What a scan of `files` files holds at most: of each open one, the batches ahead, one being made and one being read.
pub(super) fn in_flight(files: usize, row_bytes: u64) -> u64 {
    open_files(files) * (AHEAD as u64 + 2) * batch_rows(row_bytes) * row_bytes
}

/// Of `files` files, those open at a time.
pub(super) fn open_files(files: usize) -> u64 {
    files.min(OPEN_FILES) as u64
}

impl<'a> Scan<'a> {
    /// `row_bytes` only decides how many rows are read at once.
    pub fn new(files: &'a [InputFile], expressions: Vec<Expr>, row_bytes: u64) -> Result<Self, ScanError> {
        let context = session(&Means::SCAN, row_bytes).map_err(ScanError::Engine)?;
        Ok(Self { context, expressions, waiting: files.iter(), open: VecDeque::new() })
    }

    /// The next rows, or `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Stretch<'a>>, ScanError> {
        loop {
            while self.open.len() < OPEN_FILES
                && let Some(file) = self.waiting.next()
            {
                file.check_unchanged()?;
                let stream = self.start(file).map_err(|source| ScanError::Read { path: file.path.clone(), source })?;
                self.open.push_back((file, 0, spawn_buffered(stream, AHEAD)));
            }
            let Some((file, position, stream)) = self.open.front_mut() else { return Ok(None) };
            let (file, file_row) = (*file, *position);
            let path = || file.path.clone();
            let damaged = |found| ScanError::Damaged { path: path(), row: file_row, found };
            match shielded_future(stream.next()).await.map_err(damaged)? {
                Some(Ok(batch)) => {
                    *position += batch.num_rows() as u64;
                    match *position > file.rows {
                        true => return Err(wrong_rows(file, format!("{position} or more"))),
                        false => return Ok(Some(Stretch { file, file_row, batch })),
                    }
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
                    if file_row != file.rows {
                        return Err(wrong_rows(file, file_row.to_string()));
                    }
                    self.open.pop_front();
                }
            }
        }
    }

    fn start(&self, file: &InputFile) -> Result<SendableRecordBatchStream, DataFusionError> {
        let (hive_fields, hive_values): (Vec<FieldRef>, Vec<ScalarValue>) = file
            .hive_columns()
            .map(|(field, value)| (Arc::new(field), ScalarValue::Utf8(value.map(str::to_owned))))
            .unzip();
        let schema = TableSchema::builder(file.schema.clone()).with_table_partition_cols(hive_fields).build();
        let mut used: Vec<usize> = Vec::new();
        for column in self.expressions.iter().flat_map(|expr| expr.column_refs()) {
            used.push(schema.table_schema().index_of(&column.name)?);
        }
        used.sort_unstable();
        used.dedup();
        let source =
            FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), Arc::new(ParquetSource::new(schema)))
                .with_projection_indices(Some(used))?
                .with_file(partitioned(file)?.with_partition_values(hive_values))
                .build();
        let source = DataSourceExec::from_data_source(source);
        let (state, columns) = (self.context.state(), DFSchema::try_from(source.schema())?);
        let project = |(ordinal, expr): (usize, &Expr)| {
            let expr = state.create_physical_expr(expr.clone(), &columns)?;
            Ok(ProjectionExpr { expr, alias: ordinal.to_string() })
        };
        let projection =
            self.expressions.iter().enumerate().map(project).collect::<Result<Vec<_>, DataFusionError>>()?;
        ProjectionExec::try_new(projection, source)?.execute(0, self.context.task_ctx())
    }
}

fn wrong_rows(file: &InputFile, found: String) -> ScanError {
    ScanError::Rows { path: file.path.clone(), told: file.rows, found }
}

/// What a decoder found wrong with the file; `None` where the error is not a decoder's.
fn of_the_decoder(error: &DataFusionError) -> Option<String> {
    match error.find_root() {
        DataFusionError::ParquetError(error) => Some(error.to_string()),
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::ParquetError(told) => Some(told.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Names the file to DataFusion by its real path, so that no character in it is special.
fn partitioned(file: &InputFile) -> Result<PartitionedFile, DataFusionError> {
    let location = ObjectPath::from_absolute_path(fs::canonicalize(&file.path)?)?;
    let (size, last_modified) = (file.bytes, file.modified().into());
    Ok(PartitionedFile::new_from_meta(ObjectMeta { location, last_modified, size, e_tag: None, version: None }))
}
