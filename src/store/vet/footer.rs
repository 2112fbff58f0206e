//! The footer: looked over before it is decoded, since a decoder sets apart what it claims; and held against itself and the file
//! once it is decoded.

use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::Unsound;
use super::thrift::{Broken, Compact, Kind};

/// Groups inside groups. A list of lists of structures takes six; decoders descend into them.
const DEPTH: usize = 64;
/// Row groups are numbered in 16 bits.
const ROW_GROUPS: usize = i16::MAX as usize;

impl From<Broken> for Unsound {
    fn from(Broken: Broken) -> Self {
        Self::Footer("it ends early, or is no footer".to_owned())
    }
}

/// Walks over the bytes of a footer: the schema is one tree of a sensible depth, no list is longer than its bytes, and chunks have the
/// physical types of the schema's leaves.
pub(super) fn outline(footer: &[u8]) -> Result<(), Unsound> {
    let mut leaves = Vec::new();
    Compact::new(footer).structure(|walk, id, kind| {
        match (id, kind) {
            (2, Kind::List) => leaves = schema(walk)?,
            (4, Kind::List) => row_groups(walk, &leaves)?,
            _ => return Ok(false),
        }
        Ok(true)
    })
}

/// The physical types of the leaves.
fn schema(walk: &mut Compact) -> Result<Vec<Option<i64>>, Unsound> {
    let mut leaves = Vec::new();
    // Of each open group, the children still to come.
    let mut open: Vec<usize> = Vec::new();
    let elements = structures(walk)?;
    for element in 0..elements {
        let (mut physical, mut children) = (None, 0);
        walk.structure(|walk, id, kind| {
            match (id, kind) {
                (1, Kind::Int) => physical = Some(walk.int()?),
                (5, Kind::Int) => children = walk.int()?,
                _ => return Ok(false),
            }
            Ok::<_, Broken>(true)
        })?;
        match open.last_mut() {
            Some(left) => *left -= 1,
            None if element == 0 => {}
            None => return Err(Unsound::Footer("its schema has more than one root".to_owned())),
        }
        let children = usize::try_from(children).unwrap_or(usize::MAX);
        if children > elements - element - 1 {
            return Err(Unsound::Footer(format!(
                "its schema has a group of {children} columns, but only {elements} in all"
            )));
        }
        if children == 0 && element > 0 {
            leaves.push(physical);
        }
        open.push(children);
        while open.last() == Some(&0) {
            open.pop();
        }
        if open.len() > DEPTH {
            return Err(Unsound::Footer(format!("its schema is more than {DEPTH} groups deep")));
        }
    }
    if !open.is_empty() {
        return Err(Unsound::Footer("its schema ends early".to_owned()));
    }
    Ok(leaves)
}

fn row_groups(walk: &mut Compact, leaves: &[Option<i64>]) -> Result<(), Unsound> {
    let groups = structures(walk)?;
    if groups > ROW_GROUPS {
        return Err(Unsound::Footer(format!("it has {groups} row groups, more than the {ROW_GROUPS} of any file")));
    }
    for group in 0..groups {
        walk.structure(|walk, id, kind| {
            if (id, kind) != (1, Kind::List) {
                return Ok(false);
            }
            let chunks = structures(walk)?;
            if chunks != leaves.len() {
                return Err(group_of(group, &format!("it has {chunks} columns, the schema {}", leaves.len())));
            }
            for (column, leaf) in leaves.iter().enumerate() {
                let Chunk { physical: found, encrypted } = chunk(walk)?;
                if encrypted {
                    return Err(Unsound::Encrypted("one of its columns"));
                }
                if found.is_some() && found != *leaf {
                    let (found, expected) = (name(found), name(*leaf));
                    let what = format!("column {column} holds {found}, and {expected} by the schema");
                    return Err(group_of(group, &what));
                }
            }
            Ok(true)
        })?;
    }
    Ok(())
}

/// What is looked at of a column chunk.
#[derive(Default)]
struct Chunk {
    physical: Option<i64>,
    encrypted: bool,
}

fn chunk(walk: &mut Compact) -> Result<Chunk, Broken> {
    let mut chunk = Chunk::default();
    walk.structure(|walk, id, kind| {
        chunk.encrypted |= id == 8;
        if (id, kind) != (3, Kind::Struct) {
            return Ok(false);
        }
        walk.structure(|walk, id, kind| {
            if (id, kind) == (1, Kind::Int) {
                chunk.physical = Some(walk.int()?);
                return Ok::<_, Broken>(true);
            }
            Ok(false)
        })?;
        Ok::<_, Broken>(true)
    })?;
    Ok(chunk)
}

/// How many structures a list has.
fn structures(walk: &mut Compact) -> Result<usize, Broken> {
    match walk.list()? {
        (Kind::Struct, count) | (_, count @ 0) => Ok(count),
        _ => Err(Broken),
    }
}

/// Of a physical type, its name.
fn name(physical: Option<i64>) -> String {
    const NAMES: [&str; 8] =
        ["BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"];
    let known = physical.and_then(|code| NAMES.get(usize::try_from(code).ok()?));
    known.map_or_else(|| "an unknown type".to_owned(), |name| (*name).to_owned())
}

fn group_of(group: usize, what: &str) -> Unsound {
    Unsound::Footer(format!("row group {group}: {what}"))
}

/// Holds a decoded footer against itself and the file, whose pages end at `end`.
pub(super) fn check(metadata: &ParquetMetaData, end: u64) -> Result<(), Unsound> {
    let mut rows = 0i64;
    for (ordinal, group) in metadata.row_groups().iter().enumerate() {
        let wrong = |what: String| group_of(ordinal, &what);
        rows = match (group.num_rows(), rows.checked_add(group.num_rows())) {
            (0.., Some(sum)) => sum,
            (found, _) => return Err(wrong(format!("it has {found} rows"))),
        };
        for chunk in group.columns() {
            if chunk.compression() == Compression::LZO {
                return Err(Unsound::Lzo(chunk.column_path().string()));
            }
            check_chunk(chunk, group.num_rows(), end)
                .map_err(|what| wrong(format!("column `{}` {what}", chunk.column_path().string())))?;
        }
    }
    let told = metadata.file_metadata().num_rows();
    if rows != told {
        return Err(Unsound::Footer(format!("it tells of {told} rows, its row groups of {rows}")));
    }
    Ok(())
}

/// Says what is wrong with a column chunk.
fn check_chunk(chunk: &ColumnChunkMetaData, rows: i64, end: u64) -> Result<(), String> {
    if let Some(path) = chunk.file_path() {
        return Err(format!("lies in another file, {path:?}"));
    }
    let (values, repeats) = (chunk.num_values(), chunk.column_descr().max_rep_level() > 0);
    // A row of a list has one value at least: an empty or null list counts as one.
    if values < rows || (values > rows && !repeats) {
        return Err(format!("has {values} values in {rows} rows"));
    }
    let (plain, packed) = (chunk.uncompressed_size(), chunk.compressed_size());
    let first = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let place = u64::try_from(first).ok().zip(u64::try_from(packed).ok());
    match place.and_then(|(first, packed)| first.checked_add(packed)) {
        Some(last) if last <= end && plain >= 0 => {}
        _ => {
            return Err(format!(
                "is {packed} bytes from byte {first} on ({plain} unpacked), but the pages end at {end}"
            ));
        }
    }
    match most_bytes(chunk.compression(), packed as u64) {
        Some(most) if plain as u64 > most => Err(format!("claims {plain} bytes that are packed in {packed}")),
        _ => Ok(()),
    }
}

/// What so many packed bytes can hold at most; `None` where a codec has no limit.
pub(super) fn most_bytes(codec: Compression, packed: u64) -> Option<u64> {
    // The most that three bytes of a copy, or one byte of a length, stand for.
    let ratio = match codec {
        Compression::UNCOMPRESSED => 1,
        Compression::SNAPPY => 64,
        Compression::LZ4 | Compression::LZ4_RAW => 256,
        Compression::GZIP(_) => 1_040,
        // A block of 128 KiB in four bytes.
        Compression::ZSTD(_) => 1 << 15,
        _ => return None,
    };
    // Headers of pages, which are never packed, and of the codec itself.
    Some(packed.saturating_mul(ratio).saturating_add(1 << 10))
}
