//! Is a Parquet file what it says? Asked before a decoder trusts it: decoders set apart what a footer claims, descend as deep as its
//! schema goes, and give what they happen to find where counts do not add up.
//!
//! What damage is left, inside pages, is theirs to find; see [`super::shield`].

mod footer;
mod pages;
mod thrift;
mod weigh;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::shield::shielded;

/// Why a file is not what it says.
#[derive(Debug, thiserror::Error)]
pub enum Unsound {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("not a Parquet file: found {found}, expected {expected}; write or copy it again")]
    Frame { found: String, expected: &'static str },
    #[error("{0} is encrypted; decrypt it first")]
    Encrypted(&'static str),
    #[error("column `{0}` is packed with LZO, which is not read here; write it with zstd or snappy")]
    Lzo(String),
    #[error(
        "its footer has {0} bytes, and the largest that is read has {LARGEST_FOOTER}; write fewer columns, or larger row groups"
    )]
    LargeFooter(u64),
    #[error("not a sound Parquet file: in its footer, {0}; write or copy it again")]
    Footer(String),
    #[error("not a sound Parquet file: {0}; write or copy it again")]
    Parquet(ParquetError),
    #[error("not a sound Parquet file: row group {group}, column `{column}`: {what}; write or copy it again")]
    Page { group: usize, column: String, what: String },
}

const MAGIC: &[u8; 4] = b"PAR1";
const ENCRYPTED: &[u8; 4] = b"PARE";
/// The magic twice, and the length of the footer.
const LEAST_BYTES: u64 = 12;
/// Decoded it takes some twenty times as much. That of a hundred thousand columns has 30 MiB.
const LARGEST_FOOTER: u64 = 64 << 20;

/// Reads the footer of a file of `bytes` bytes, and holds it against itself and the file.
pub fn footer(file: &mut File, bytes: u64) -> Result<ArrowReaderMetadata, Unsound> {
    let frame = |found: String, expected| Unsound::Frame { found, expected };
    if bytes < LEAST_BYTES {
        return Err(frame(format!("{bytes} bytes"), "12 at least"));
    }
    let (mut first, mut last) = ([0; 4], [0; 8]);
    file.rewind()?;
    file.read_exact(&mut first)?;
    file.seek(SeekFrom::Start(bytes - 8))?;
    file.read_exact(&mut last)?;
    let ([a, b, c, d], magic) = ([last[0], last[1], last[2], last[3]], &last[4..]);
    if magic == ENCRYPTED {
        return Err(Unsound::Encrypted("its footer"));
    }
    if magic != MAGIC {
        return Err(frame(format!("\"{}\" at its end", magic.escape_ascii()), "\"PAR1\""));
    }
    if &first != MAGIC {
        return Err(frame(format!("\"{}\" at its beginning", first.escape_ascii()), "\"PAR1\""));
    }
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    if length > bytes - LEAST_BYTES {
        let found = format!("a footer of {length} bytes in a file of {bytes}");
        return Err(frame(found, "one that fits"));
    }
    if length > LARGEST_FOOTER {
        return Err(Unsound::LargeFooter(length));
    }
    let end = bytes - 8 - length;
    let mut content = vec![0; length as usize];
    file.seek(SeekFrom::Start(end))?;
    file.read_exact(&mut content)?;
    footer::outline(&content)?;
    let decode = || {
        let metadata = Arc::new(ParquetMetaDataReader::decode_metadata(&content)?);
        ArrowReaderMetadata::try_new(metadata, ArrowReaderOptions::new())
    };
    let decoded = shielded(decode).unwrap_or_else(|panic| Err(ParquetError::General(panic)));
    let decoded = decoded.map_err(Unsound::Parquet)?;
    footer::check(decoded.metadata(), end)?;
    Ok(decoded)
}

/// Walks over the pages of some columns. Returns the bytes of their largest pages together, unpacked.
pub fn pages(file: &mut File, metadata: &ParquetMetaData, used: impl Fn(&str) -> bool) -> Result<u64, Unsound> {
    let mut largest = vec![0; metadata.file_metadata().schema_descr().num_columns()];
    for (ordinal, group) in metadata.row_groups().iter().enumerate() {
        let chunks = group.columns().iter().zip(&mut largest);
        for (chunk, largest) in chunks.filter(|(chunk, _)| used(&chunk.column_path().parts()[0])) {
            let wrong = |what| Unsound::Page { group: ordinal, column: chunk.column_path().string(), what };
            *largest = pages::check(file, group, chunk)?.map_err(wrong)?.max(*largest);
        }
    }
    Ok(largest.iter().sum())
}
