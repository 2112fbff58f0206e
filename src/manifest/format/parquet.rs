//! Parquet, compressed with zstd.

use std::fs::File;
use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{Batches, Encode, Extent, READ_BATCH, same_columns};
use crate::store::Unsound;
use crate::store::vet;

/// Small enough that a reader with many workers has something to share, large enough to compress well.
const ROW_GROUP: u64 = 1 << 17;
/// And however long its values are: it is held until it is whole.
const ROW_GROUP_BYTES: usize = 256 << 20;

struct Encoder<W: Write + Send>(ArrowWriter<W>);

pub(super) fn encoder<W: Write + Send>(
    sink: W,
    schema: &SchemaRef,
    extent: Extent,
) -> Result<impl Encode<W> + use<W>, ArrowError> {
    // A row group is held until it is whole: it may not grow with its rows.
    let rows = (ROW_GROUP / extent.width.max(1)).max(1);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(rows as usize))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .build();
    Ok(Encoder(ArrowWriter::try_new(sink, schema.clone(), Some(properties))?))
}

impl<W: Write + Send> Encode<W> for Encoder<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        Ok(self.0.write(batch)?)
    }

    fn finish(self: Box<Self>) -> Result<W, ArrowError> {
        Ok(self.0.into_inner()?)
    }
}

pub(super) fn decoder(mut file: File, schema: &SchemaRef) -> Result<Batches, ArrowError> {
    let bytes = file.metadata()?.len();
    let unsound = |error: Unsound| ArrowError::ParquetError(error.to_string());
    let footer = vet::footer(&mut file, bytes).map_err(unsound)?;
    same_columns(footer.schema(), schema)?;
    vet::pages(&mut file, footer.metadata(), |_| true).map_err(unsound)?;
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer);
    Ok(Box::new(builder.with_batch_size(READ_BATCH).build()?))
}
