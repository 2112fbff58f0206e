//! Arrays of row indices: n × columns of uint64, row-major, that `numpy.load` opens in place (`mmap_mode="r"`).

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, SchemaRef, UInt64Type};
use arrow::error::ArrowError;

use super::{Batches, Encode, READ_BATCH};
use crate::store::npy::{HEADER, Shape, header};

struct Encoder<W> {
    sink: W,
    /// Rows that the header tells of, and that are still to come.
    left: u64,
}

/// The header comes first and tells the number of rows, so that must be known.
pub(super) fn encoder<W: Write>(
    mut sink: W,
    schema: &SchemaRef,
    rows: u64,
) -> Result<impl Encode<W> + use<W>, ArrowError> {
    sink.write_all(&head(schema, rows)?)?;
    Ok(Encoder { sink, left: rows })
}

fn head(schema: &SchemaRef, rows: u64) -> Result<[u8; HEADER], ArrowError> {
    if let Some(other) = schema.fields().iter().find(|field| field.data_type() != &DataType::UInt64) {
        let message = format!("an array of uint64 cannot hold '{}' of type {}", other.name(), other.data_type());
        return Err(ArrowError::SchemaError(message));
    }
    let rows = usize::try_from(rows).map_err(|_| ArrowError::ComputeError(format!("{rows} rows in one array")))?;
    Ok(header::<u64>(Shape { rows, width: Some(schema.fields().len()) }))
}

impl<W: Write> Encode<W> for Encoder<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let rows = batch.num_rows();
        self.left = self.left.checked_sub(rows as u64).ok_or_else(|| wrong_count("more"))?;
        let columns: Vec<&[u64]> =
            batch.columns().iter().map(|column| column.as_primitive::<UInt64Type>().values().as_ref()).collect();
        let values = (0..rows).flat_map(|row| columns.iter().map(move |column| column[row]));
        let bytes: Vec<u8> = values.flat_map(u64::to_le_bytes).collect();
        Ok(self.sink.write_all(&bytes)?)
    }

    fn finish(self: Box<Self>) -> Result<W, ArrowError> {
        if self.left == 0 { Ok(self.sink) } else { Err(wrong_count("fewer")) }
    }
}

fn wrong_count(how: &str) -> ArrowError {
    ArrowError::ComputeError(format!("{how} rows than the array's header tells of"))
}

pub(super) fn decoder(file: File, schema: &SchemaRef) -> Result<Batches, ArrowError> {
    let length = file.metadata()?.len();
    let row_bytes = schema.fields().len() as u64 * 8;
    let mut source = BufReader::new(file);
    let mut found = [0; HEADER];
    source.read_exact(&mut found)?;
    let bytes = length.saturating_sub(HEADER as u64);
    // The shape follows from the length, so there is only one header that fits.
    let rows = bytes / row_bytes.max(1);
    if bytes != rows * row_bytes || found != head(schema, rows)? {
        let columns = schema.fields().len();
        return Err(ArrowError::ParseError(format!("not a numpy array of uint64 with {columns} columns")));
    }
    let (schema, mut left) = (schema.clone(), rows);
    Ok(Box::new(std::iter::from_fn(move || {
        let rows = left.min(READ_BATCH as u64);
        left -= rows;
        (rows > 0).then(|| read(&mut source, &schema, rows as usize))
    })))
}

fn read(source: &mut impl Read, schema: &SchemaRef, rows: usize) -> Result<RecordBatch, ArrowError> {
    let width = schema.fields().len();
    let mut bytes = vec![0; rows * width * 8];
    source.read_exact(&mut bytes)?;
    let (values, _) = bytes.as_chunks::<8>();
    let column = |index: usize| -> ArrayRef {
        let of_column = values.iter().skip(index).step_by(width);
        Arc::new(UInt64Array::from_iter_values(of_column.map(|bytes| u64::from_le_bytes(*bytes))))
    };
    RecordBatch::try_new(schema.clone(), (0..width).map(column).collect())
}
