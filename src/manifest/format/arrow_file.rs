//! Arrow IPC files ("Feather v2"), uncompressed, so that they can be memory-mapped.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, read_footer_length};
use arrow::ipc::writer::FileWriter;
use arrow::ipc::{Block, root_as_footer};

use super::{Batches, Encode, same_columns};

struct Encoder<W: Write>(FileWriter<W>);

pub(super) fn encoder<W: Write>(sink: W, schema: &SchemaRef) -> Result<impl Encode<W> + use<W>, ArrowError> {
    Ok(Encoder(FileWriter::try_new(sink, schema)?))
}

impl<W: Write> Encode<W> for Encoder<W> {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        self.0.write(batch)
    }

    fn finish(self: Box<Self>) -> Result<W, ArrowError> {
        self.0.into_inner()
    }
}

pub(super) fn decoder(mut file: File, schema: &SchemaRef) -> Result<Batches, ArrowError> {
    check_blocks(&mut file)?;
    let reader = FileReader::try_new_buffered(file, None)?;
    same_columns(&reader.schema(), schema)?;
    Ok(Box::new(reader))
}

/// The reader takes as much memory as the footer claims; a forged footer must not claim more than the file has.
pub(super) fn check_blocks(file: &mut File) -> Result<(), ArrowError> {
    let length = file.metadata()?.len();
    let forged = |what: &str| ArrowError::IpcError(format!("{what} does not lie within the file's {length} bytes"));
    let mut tail = [0; 10];
    let tail_at = length.checked_sub(tail.len() as u64).ok_or_else(|| forged("the footer's length"))?;
    file.seek(SeekFrom::Start(tail_at))?;
    file.read_exact(&mut tail)?;
    let footer_length = read_footer_length(tail)?;
    let footer_at = tail_at.checked_sub(footer_length as u64).ok_or_else(|| forged("the footer"))?;
    let mut footer = vec![0; footer_length];
    file.seek(SeekFrom::Start(footer_at))?;
    file.read_exact(&mut footer)?;
    let footer = root_as_footer(&footer).map_err(|error| ArrowError::IpcError(error.to_string()))?;
    let within = |block: &Block| {
        let parts = [block.offset(), i64::from(block.metaDataLength()), block.bodyLength()];
        parts
            .iter()
            .try_fold(0u64, |end, &part| end.checked_add(u64::try_from(part).ok()?))
            .is_some_and(|end| end <= length)
    };
    let blocks = footer.dictionaries().into_iter().chain(footer.recordBatches()).flatten();
    if blocks.into_iter().all(within) { Ok(()) } else { Err(forged("a block")) }
}
