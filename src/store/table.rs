//! Tables on disk as Arrow IPC files, read in place.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::compute::{BatchCoalescer, concat_batches, interleave};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::root_as_footer;
use arrow::ipc::writer::FileWriter;

use super::Row;
use crate::disk::Hashing;

/// Every batch but the last has the same number of rows, so that a row is found by division: this many, but that …
const BATCH_ROWS: u64 = 8_192;
/// … a batch stays near this size, down to so many rows.
const BATCH_BYTES: u64 = 16 << 20;
const LEAST_ROWS: u64 = 64;

fn batch_rows(row_bytes: u64) -> u64 {
    (BATCH_BYTES / row_bytes.max(1)).clamp(LEAST_ROWS, BATCH_ROWS)
}

/// What a writer of so many rows holds: those of a batch, and the batch.
pub(super) fn gathered_bytes(rows: u64, row_bytes: u64) -> u64 {
    2 * batch_rows(row_bytes).min(rows).saturating_mul(row_bytes)
}

/// Writes batches of any size as batches of one size.
pub(super) struct TableWriter {
    coalescer: BatchCoalescer,
    file: FileWriter<Hashing<BufWriter<File>>>,
}

impl TableWriter {
    /// Of rows of about `row_bytes`.
    pub fn create(path: &Path, schema: SchemaRef, row_bytes: u64) -> Result<Self, ArrowError> {
        let file = Hashing::new(BufWriter::with_capacity(1 << 18, File::create(path)?));
        let file = FileWriter::try_new(file, &schema)?;
        Ok(Self { coalescer: BatchCoalescer::new(schema, batch_rows(row_bytes) as usize), file })
    }

    pub fn write(&mut self, batch: RecordBatch) -> Result<(), ArrowError> {
        self.coalescer.push_batch(batch)?;
        self.drain()
    }

    /// Ends the table, makes it durable, and gives its hash.
    pub fn finish(mut self) -> Result<String, ArrowError> {
        self.coalescer.finish_buffered_batch()?;
        self.drain()?;
        let (file, digest) = self.file.into_inner()?.finish();
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(digest)
    }

    fn drain(&mut self) -> Result<(), ArrowError> {
        while let Some(batch) = self.coalescer.next_completed_batch() {
            self.file.write(&batch)?;
        }
        Ok(())
    }
}

/// A mapped table.
pub(super) struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// Of each batch but the last, which may have fewer.
    batch_rows: usize,
    rows: usize,
}

impl Table {
    /// Maps a table written by [`TableWriter`]; the values stay on disk until they are looked at.
    pub fn open(path: &Path) -> Result<Self, ArrowError> {
        let buffer = Buffer::from(bytes::Bytes::from_owner(super::map(path)?));
        let truncated = || ArrowError::IpcError("the file is truncated".to_owned());
        let (rest, trailer) = buffer.split_last_chunk::<10>().ok_or_else(truncated)?;
        let footer_start = rest.len().checked_sub(read_footer_length(*trailer)?).ok_or_else(truncated)?;
        let footer = root_as_footer(&rest[footer_start..]).map_err(|error| ArrowError::IpcError(error.to_string()))?;
        let schema = Arc::new(fb_to_schema(footer.schema().ok_or_else(truncated)?));
        let decoder = FileDecoder::new(schema.clone(), footer.version());
        let mut batches = Vec::new();
        for block in footer.recordBatches().iter().flatten() {
            let bounds = [block.offset(), block.bodyLength(), i64::from(block.metaDataLength())];
            let [offset, body, head] = bounds.map(|bound| usize::try_from(bound).unwrap_or(usize::MAX));
            let len = body.saturating_add(head);
            if offset.saturating_add(len) > footer_start {
                return Err(truncated());
            }
            batches.extend(decoder.read_record_batch(block, &buffer.slice_with_length(offset, len))?);
        }
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let batch_rows = batches.first().map_or(0, RecordBatch::num_rows).max(1);
        let (last, full) = batches.split_last().map_or((0, &[][..]), |(last, full)| (last.num_rows(), full));
        if last > batch_rows || full.iter().any(|batch| batch.num_rows() != batch_rows) {
            return Err(ArrowError::IpcError(format!("a batch has not {batch_rows} rows")));
        }
        Ok(Self { schema, batches, batch_rows, rows })
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The values of one column at some rows, in that order, repeats allowed.
    pub fn take(&self, column: usize, rows: &[Row]) -> Result<ArrayRef, ArrowError> {
        if column >= self.schema.fields().len() {
            return Err(ArrowError::InvalidArgumentError(format!("there is no column {column}")));
        }
        if let Some(row) = rows.iter().find(|row| row.index() >= self.rows) {
            return Err(ArrowError::InvalidArgumentError(format!(
                "there is no row {}, only {} rows",
                row.0, self.rows
            )));
        }
        let columns: Vec<_> = self.batches.iter().map(|batch| batch.column(column).as_ref()).collect();
        let place = |row: &Row| (row.index() / self.batch_rows, row.index() % self.batch_rows);
        let places: Vec<_> = rows.iter().map(place).collect();
        if columns.is_empty() {
            return Ok(arrow::array::new_empty_array(self.schema.field(column).data_type()));
        }
        interleave(&columns, &places)
    }

    /// Bytes of a row's values.
    pub fn row_bytes(&self, row: usize) -> u64 {
        let batch = self.batches.get(row / self.batch_rows);
        batch.map_or(0, |batch| batch.columns().iter().map(|column| width(column, row % self.batch_rows)).sum())
    }

    /// The whole table as one batch.
    pub fn read(&self) -> Result<RecordBatch, ArrowError> {
        concat_batches(&self.schema, &self.batches)
    }
}

/// Bytes of one value.
fn width(values: &dyn Array, row: usize) -> u64 {
    let below = |values: &dyn Array, start: usize, end: usize| match values.data_type().primitive_width() {
        Some(bytes) => ((end - start) * bytes) as u64,
        None => (start..end).map(|row| width(values, row)).sum(),
    };
    match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().value_length(row) as u64,
        DataType::LargeUtf8 => values.as_string::<i64>().value_length(row) as u64,
        DataType::Utf8View => values.as_string_view().value(row).len() as u64,
        DataType::Binary => values.as_binary::<i32>().value_length(row) as u64,
        DataType::LargeBinary => values.as_binary::<i64>().value_length(row) as u64,
        DataType::BinaryView => values.as_binary_view().value(row).len() as u64,
        DataType::List(_) => {
            let (list, end) = (values.as_list::<i32>(), row + 1);
            below(list.values(), list.value_offsets()[row] as usize, list.value_offsets()[end] as usize)
        }
        DataType::LargeList(_) => {
            let (list, end) = (values.as_list::<i64>(), row + 1);
            below(list.values(), list.value_offsets()[row] as usize, list.value_offsets()[end] as usize)
        }
        DataType::FixedSizeList(_, _) => {
            let list = values.as_fixed_size_list();
            let start = list.value_offset(row) as usize;
            below(list.values(), start, start + list.value_length() as usize)
        }
        DataType::Struct(_) => values.as_struct().columns().iter().map(|column| width(column, row)).sum(),
        other => other.primitive_width().unwrap_or(16) as u64,
    }
}

/// Writes one batch as a table, and gives its hash.
pub(super) fn write(path: &Path, batch: RecordBatch) -> Result<String, ArrowError> {
    let mut writer = TableWriter::create(path, batch.schema(), 0)?;
    writer.write(batch)?;
    writer.finish()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int32Builder, ListBuilder, StringArray, StringBuilder};
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn values_are_taken_across_batches_and_damage_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.arrow");
        let batch = |from: i32, to: i32| {
            let text: StringArray = (from..to).map(|v| (v % 3 > 0).then(|| format!("t{v}"))).collect();
            let columns: [(_, ArrayRef); 2] =
                [("n", Arc::new(Int32Array::from_iter_values(from..to))), ("text", Arc::new(text))];
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
        };
        let mut writer = TableWriter::create(&path, batch(0, 1).schema(), 0).unwrap();
        for (from, to) in [(0, 100), (100, 20_000), (20_000, 20_001)] {
            writer.write(batch(from, to)).unwrap();
        }
        writer.finish().unwrap();
        let table = Table::open(&path).unwrap();
        assert_eq!(table.rows(), 20_001);
        let rows = [20_000, 0, 8_191, 8_192, 8_192, 16_384].map(Row);
        let numbers = table.take(0, &rows).unwrap();
        assert_eq!(numbers.as_primitive::<Int32Type>().values(), &[20_000, 0, 8_191, 8_192, 8_192, 16_384]);
        let text = table.take(1, &rows).unwrap();
        let expected = [Some("t20000"), None, Some("t8191"), Some("t8192"), Some("t8192"), Some("t16384")];
        assert_eq!(text.as_string::<i32>().iter().collect::<Vec<_>>(), expected);
        assert!(table.take(0, &[Row(20_001)]).is_err());
        assert!(table.take(2, &[]).is_err());

        // Of wide rows fewer stand in a batch, and they are found all the same.
        let wide = dir.path().join("wide.arrow");
        let mut writer = TableWriter::create(&wide, batch(0, 1).schema(), 160 << 10).unwrap();
        writer.write(batch(0, 20_001)).unwrap();
        writer.finish().unwrap();
        let wide = Table::open(&wide).unwrap();
        assert_eq!((wide.batch_rows, wide.batches.len(), wide.rows()), (102, 197, 20_001));
        assert_eq!(&wide.take(1, &rows).unwrap(), &text);
        assert_eq!(wide.take(0, &rows).unwrap().as_primitive::<Int32Type>(), numbers.as_primitive::<Int32Type>());
        assert_eq!((gathered_bytes(50, 10_000), gathered_bytes(1 << 30, 1)), (1_000_000, 2 * 8_192));
        assert!(gathered_bytes(1 << 30, 10_000) <= 2 * BATCH_BYTES);

        let bytes = std::fs::read(&path).unwrap();
        for len in [0, 5, 100, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..len]).unwrap();
            assert!(Table::open(&path).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn rows_have_the_bytes_of_their_values() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table");
        let mut lists = ListBuilder::new(StringBuilder::new());
        let mut numbers = ListBuilder::new(Int32Builder::new());
        for row in 0..3_usize {
            lists.append_value((0..row).map(|_| Some("four")));
            numbers.append_value((0..row).map(|number| Some(number as i32)));
        }
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("id", Arc::new(Int32Array::from(vec![1, 2, 3]))),
            ("text", Arc::new(StringArray::from(vec![Some("é"), None, Some("longer")]))),
            ("lists", Arc::new(lists.finish())),
            ("numbers", Arc::new(numbers.finish())),
        ];
        write(&path, RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap())
            .unwrap();
        let table = Table::open(&path).unwrap();
        assert_eq!([0, 1, 2, 3].map(|row| table.row_bytes(row)), [4 + 2, 4 + 4 + 4, 4 + 6 + 8 + 8, 0]);
    }
}
