//! The pages of a column chunk, header by header: sizes that fit the chunk and its codec, values that add up, checksums that hold.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::footer::most_bytes;
use super::thrift::{Broken, Compact, Kind};
use super::weigh::is_heavier;

/// What the header of a page says.
#[derive(Default)]
struct Header {
    kind: i64,
    plain: i64,
    packed: i64,
    checksum: Option<u32>,
    /// As many as the header of its kind says.
    values: Option<i64>,
    /// Only told by data pages of version 2.
    rows: Option<i64>,
    /// Bytes in front that are never packed; only in data pages of version 2.
    levels: i64,
    /// Data pages of version 2 may be left as they are.
    unpacked: bool,
    /// Bytes of the header itself.
    bytes: usize,
}

const DATA: i64 = 0;
const DICTIONARY: i64 = 2;
const DATA_2: i64 = 3;

/// A header is as long as the texts of its statistics: first so much is read, then 16 times as much, up to the most.
const FIRST_READ: u64 = 1 << 10;
const LAST_READ: u64 = 16 << 20;

/// Walks over the pages of a chunk whose place in the file is known to be good. Returns the bytes of its largest dictionary and data
/// page, unpacked.
///
/// # Errors
/// Reading failed; or what is wrong, in words.
pub(super) fn check(
    file: &mut File,
    group: &RowGroupMetaData,
    chunk: &ColumnChunkMetaData,
) -> io::Result<Result<u64, String>> {
    let (start, length) = chunk.byte_range();
    let (mut at, mut ordinal) = (0, 0);
    let (mut values, mut rows) = (0i64, None);
    let (mut largest, mut dictionary) = (0, 0);
    while at < length {
        let wrong = |what: String| Ok(Err(format!("page {ordinal} {what}")));
        let Some(header) = header(file, start + at, length - at)? else {
            return wrong("has no header".to_owned());
        };
        let left = length - at - header.bytes as u64;
        let (packed, plain) = match (u64::try_from(header.packed), u64::try_from(header.plain)) {
            (Ok(packed), Ok(plain)) if packed <= left => (packed, plain),
            _ => {
                let Header { packed, plain, .. } = header;
                return wrong(format!("has {packed} bytes ({plain} unpacked), but {left} are left of its column"));
            }
        };
        if most_bytes(chunk.compression(), packed).is_some_and(|most| plain > most) {
            return wrong(format!("claims {plain} bytes that are packed in {packed}"));
        }
        match (header.kind, header.values) {
            (DATA | DATA_2, Some(count @ 0..)) => {
                values = values.saturating_add(count);
                largest = plain.max(largest);
                if let Some(count) = header.rows {
                    rows = Some(rows.unwrap_or(0i64).saturating_add(count));
                }
            }
            (DICTIONARY, Some(0..)) if ordinal == 0 => dictionary = plain,
            (DICTIONARY, Some(0..)) => return wrong("is a dictionary, but not the first page".to_owned()),
            (DATA | DICTIONARY | DATA_2, found) => {
                let found = found.map_or("nothing".to_owned(), |count| count.to_string());
                return wrong(format!("tells of {found} for its number of values"));
            }
            // Indexes, and what later versions of the format may bring, are passed over by every reader.
            _ => {}
        }
        if let Some(expected) = header.checksum {
            let found = checksum(file, start + at + header.bytes as u64, packed)?;
            if found != expected {
                return wrong(format!("has checksum {found:08x}, expected {expected:08x}"));
            }
        }
        let Some(levels) = u64::try_from(header.levels).ok().filter(|levels| *levels <= packed.min(plain)) else {
            return wrong(format!("has levels of {} bytes, but {packed} in all ({plain} unpacked)", header.levels));
        };
        if !header.unpacked {
            let content = section(file, start + at + header.bytes as u64 + levels, packed - levels)?;
            if is_heavier(chunk.compression(), content, plain - levels) {
                return wrong(format!("unpacks to more than the {plain} bytes it claims"));
            }
        }
        at += header.bytes as u64 + packed;
        ordinal += 1;
    }
    if values != chunk.num_values() {
        return Ok(Err(format!("has {values} values in its pages, expected {}", chunk.num_values())));
    }
    match rows {
        Some(rows) if rows != group.num_rows() => {
            Ok(Err(format!("has {rows} rows in its pages, expected {}", group.num_rows())))
        }
        _ => Ok(Ok(largest + dictionary)),
    }
}

/// The header at byte `at`, of which `left` are the chunk's.
fn header(file: &mut File, at: u64, left: u64) -> io::Result<Option<Header>> {
    let mut room = FIRST_READ;
    loop {
        let bytes = read(file, at, room.min(left))?;
        if let Ok(header) = parse(&bytes) {
            return Ok(Some(header));
        }
        if room >= left.min(LAST_READ) {
            return Ok(None);
        }
        room *= 16;
    }
}

fn parse(bytes: &[u8]) -> Result<Header, Broken> {
    let mut header = Header { kind: -1, plain: -1, packed: -1, ..Header::default() };
    let mut walk = Compact::new(bytes);
    walk.structure(|walk, id, kind| {
        match (id, kind) {
            (1, Kind::Int) => header.kind = walk.int()?,
            (2, Kind::Int) => header.plain = walk.int()?,
            (3, Kind::Int) => header.packed = walk.int()?,
            // Signed by the format, unsigned by nature.
            (4, Kind::Int) => header.checksum = Some(walk.int()? as u32),
            (5 | 7 | 8, Kind::Struct) => walk.structure(|walk, inner, kind| {
                match (inner, kind) {
                    (1, Kind::Int) => header.values = Some(walk.int()?),
                    (3, Kind::Int) if id == 8 => header.rows = Some(walk.int()?),
                    (5 | 6, Kind::Int) if id == 8 => header.levels = header.levels.saturating_add(walk.int()?),
                    (7, Kind::False) if id == 8 => {
                        header.unpacked = true;
                        return Ok(false);
                    }
                    _ => return Ok(false),
                }
                Ok::<_, Broken>(true)
            })?,
            _ => return Ok(false),
        }
        Ok::<_, Broken>(true)
    })?;
    header.bytes = bytes.len() - walk.rest();
    Ok(header)
}

fn read(file: &mut File, at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn section(file: &mut File, at: u64, length: u64) -> io::Result<impl BufRead> {
    file.seek(SeekFrom::Start(at))?;
    Ok(BufReader::with_capacity(1 << 18, file.take(length)))
}

fn checksum(file: &mut File, at: u64, length: u64) -> io::Result<u32> {
    let mut content = section(file, at, length)?;
    let mut hasher = crc32fast::Hasher::new();
    loop {
        let bytes = content.fill_buf()?;
        let length = bytes.len();
        if length == 0 {
            return Ok(hasher.finalize());
        }
        hasher.update(bytes);
        content.consume(length);
    }
}
