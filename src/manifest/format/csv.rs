//! CSV with a header line, RFC 4180 quotes, and nothing between the commas for null.

use std::io::{Read, Write};

use arrow::array::RecordBatch;
use arrow::csv::{ReaderBuilder, Writer, WriterBuilder};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::{Batches, Encode, READ_BATCH, plain, typed};

struct Encoder<W: Write>(Writer<W>);

pub(super) fn encoder<W: Write>(sink: W) -> impl Encode<W> {
    Encoder(WriterBuilder::new().with_header(true).build(sink))
}

impl<W: Write> Encode<W> for Encoder<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.0.write(batch)
    }

    fn finish(self: Box<Self>) -> Result<W, ArrowError> {
        Ok(self.0.into_inner())
    }
}

pub(super) fn decoder(source: impl Read + Send + 'static, schema: &SchemaRef) -> Result<Batches, ArrowError> {
    let reader = ReaderBuilder::new(plain(schema))
        .with_header(true)
        .with_header_validation(true)
        .with_batch_size(READ_BATCH)
        .build(source)?;
    Ok(typed(reader, schema))
}
