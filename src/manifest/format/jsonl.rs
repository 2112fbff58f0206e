//! JSON Lines: one object a row; a null is written, not left out.

use std::io::{BufRead, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::writer::{LineDelimited, Writer, WriterBuilder};

use super::{Batches, Encode, READ_BATCH, plain, typed};

struct Encoder<W: Write>(Writer<W, LineDelimited>);

pub(super) fn encoder<W: Write>(sink: W) -> impl Encode<W> {
    Encoder(WriterBuilder::new().with_explicit_nulls(true).build(sink))
}

impl<W: Write> Encode<W> for Encoder<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.0.write(batch)
    }

    fn finish(mut self: Box<Self>) -> Result<W, ArrowError> {
        self.0.finish()?;
        Ok(self.0.into_inner())
    }
}

pub(super) fn decoder(source: impl BufRead + Send + 'static, schema: &SchemaRef) -> Result<Batches, ArrowError> {
    let reader = ReaderBuilder::new(plain(schema)).with_strict_mode(true).with_batch_size(READ_BATCH).build(source)?;
    Ok(typed(reader, schema))
}
