//! Ids: hashes of their values, and which came before.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use arrow::error::ArrowError;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// 128 bits of BLAKE3 over an id's value. Two different ids never share one, short of a broken hash; the low half is the
/// row's key.
pub type Digest = u128;

/// The ids of rows that have none: their positions in the scan.
pub(super) fn positions(first: u64, rows: usize) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(first..first + rows as u64))
}

/// The digest of each value; meaningless for null. Integers of any width count by value.
///
/// # Errors
/// When values are neither text nor integers.
pub fn digests(ids: &ArrayRef) -> Result<Vec<Digest>, ArrowError> {
    let text = |value: &str| digest(value.as_bytes());
    let integer = |value: i128| digest(&value.to_le_bytes());
    Ok(match ids.data_type() {
        DataType::Utf8 => {
            let ids = ids.as_string::<i32>();
            (0..ids.len()).map(|row| text(ids.value(row))).collect()
        }
        DataType::LargeUtf8 => {
            let ids = ids.as_string::<i64>();
            (0..ids.len()).map(|row| text(ids.value(row))).collect()
        }
        DataType::UInt64 => ids.as_primitive::<UInt64Type>().values().iter().map(|&id| integer(id.into())).collect(),
        _ => {
            let ids = cast(ids, &DataType::Int64)?;
            ids.as_primitive::<Int64Type>().values().iter().map(|&id| integer(id.into())).collect()
        }
    })
}

/// 128 bits of BLAKE3.
pub(super) fn digest(bytes: &[u8]) -> Digest {
    let whole = *blake3::hash(bytes).as_bytes();
    Digest::from_le_bytes(std::array::from_fn(|byte| whole[byte]))
}

/// The ids of the rows kept so far, 30 bytes or so a row.
#[derive(Default)]
pub(super) struct Seen {
    rows: HashTable<u32>,
    digests: Vec<Digest>,
    /// Where each was read.
    sources: Vec<u64>,
}

impl Seen {
    /// The row kept under this id, counted from the first kept.
    pub fn row(&self, digest: Digest) -> Option<u32> {
        self.rows.find(key(digest), |&row| self.digests[row as usize] == digest).copied()
    }

    /// The position in the scan where this id was first kept.
    pub fn find(&self, digest: Digest) -> Option<u64> {
        Some(self.sources[self.row(digest)? as usize])
    }

    /// Keeps an id that is not there yet.
    pub fn insert(&mut self, digest: Digest, source_row: u64) {
        let digests = &self.digests;
        let entry =
            self.rows.entry(key(digest), |&row| digests[row as usize] == digest, |&row| key(digests[row as usize]));
        if let Entry::Vacant(vacant) = entry {
            vacant.insert(digests.len() as u32);
            self.digests.push(digest);
            self.sources.push(source_row);
        }
    }
}

/// The 64 bits that random choices are keyed by.
pub(super) fn key(digest: Digest) -> u64 {
    digest as u64
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int8Array, LargeStringArray, StringArray};

    use super::*;

    #[test]
    fn equal_values_of_any_width_have_equal_digests() {
        let of = |ids: ArrayRef| digests(&ids).unwrap();
        assert_eq!(of(Arc::new(Int8Array::from(vec![1, 2, 3]))), of(positions(1, 3)));
        let (text, large) = (StringArray::from(vec!["a", "b"]), LargeStringArray::from(vec!["a", "b"]));
        assert_eq!(of(Arc::new(text)), of(Arc::new(large)));
        assert_ne!(of(Arc::new(Int8Array::from(vec![1])))[0], of(Arc::new(Int8Array::from(vec![-1])))[0]);
    }

    #[test]
    fn the_first_place_of_an_id_is_remembered() {
        let mut seen = Seen::default();
        for (row, digest) in digests(&positions(0, 1000)).unwrap().into_iter().enumerate() {
            assert_eq!(seen.find(digest), None);
            seen.insert(digest, 10 * row as u64);
        }
        let digest = digests(&positions(77, 1)).unwrap()[0];
        assert_eq!((seen.find(digest), seen.row(digest)), (Some(770), Some(77)));
    }
}
