//! Units of files through DataFusion: decoded, and expressions evaluated over their rows.

use std::fs;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::FieldRef;
use bytes::Bytes;
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, ParquetFileReaderFactory};
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::object_store::path::Path as ObjectPath;
use datafusion::object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion::prelude::SessionContext;
use futures::FutureExt;
use futures::future::BoxFuture;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ParquetMetaData;

use super::session::{Means, session};
use super::survey::InputFile;
use super::units::Unit;

/// Decodes units for one scan.
pub(super) struct Decoder {
    context: SessionContext,
    expressions: Vec<Expr>,
}

impl Decoder {
    /// `row_bytes` only decides how many rows a batch has.
    pub fn new(expressions: Vec<Expr>, row_bytes: u64) -> Result<Self, DataFusionError> {
        Ok(Self { context: session(&Means::SCAN, row_bytes)?, expressions })
    }

    /// The rows of a unit, one column for each expression.
    pub fn start(&self, unit: &Unit) -> Result<SendableRecordBatchStream, DataFusionError> {
        let file = unit.file;
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
        let files = ObjectStoreUrl::local_filesystem();
        let surveyed =
            Surveyed { files: self.context.runtime_env().object_store(&files)?, footer: file.metadata().clone() };
        let source = ParquetSource::new(schema).with_parquet_file_reader_factory(Arc::new(surveyed));
        let mut groups = ParquetAccessPlan::new_none(file.group_rows().len());
        unit.groups.clone().for_each(|group| groups.scan(group));
        let part = partitioned(file)?.with_partition_values(hive_values).with_extension(groups);
        let source = FileScanConfigBuilder::new(files, Arc::new(source))
            .with_projection_indices(Some(used))?
            .with_file(part)
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

/// Names the file to DataFusion by its real path, so that no character in it is special.
fn partitioned(file: &InputFile) -> Result<PartitionedFile, DataFusionError> {
    let location = ObjectPath::from_absolute_path(fs::canonicalize(&file.path)?)?;
    let (size, last_modified) = (file.bytes, file.modified().into());
    Ok(PartitionedFile::new_from_meta(ObjectMeta { location, last_modified, size, e_tag: None, version: None }))
}

/// A file with the footer that the survey read: each unit would decode it again, and hold it.
#[derive(Debug, Clone)]
struct Surveyed {
    files: Arc<dyn ObjectStore>,
    footer: Arc<ParquetMetaData>,
}

impl ParquetFileReaderFactory for Surveyed {
    fn create_reader(
        &self,
        _partition: usize,
        file: PartitionedFile,
        _footer_bytes: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>, DataFusionError> {
        Ok(Box::new(Reader { surveyed: self.clone(), location: file.object_meta.location }))
    }
}

struct Reader {
    surveyed: Surveyed,
    location: ObjectPath,
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let bytes = self.surveyed.files.get_range(&self.location, range);
        bytes.map(|bytes| bytes.map_err(|error| ParquetError::External(error.into()))).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        let Self { surveyed, location } = self;
        async move {
            let bytes = surveyed.files.get_ranges(location, &ranges).await;
            bytes.map_err(|error| ParquetError::External(error.into()))
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        futures::future::ready(Ok(self.surveyed.footer.clone())).boxed()
    }
}
