//! What rows and row groups hold, as far as footers tell.

use std::collections::BTreeSet;

use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};

use super::InputFile;
use super::session::BATCH_BYTES;

/// Bytes of a row in some columns, before compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowBytes {
    /// Of all rows.
    pub mean: u64,
    /// Of the row group with the widest rows: what decides how many rows are read at once.
    pub widest: u64,
}

impl RowBytes {
    /// `of` tells what a row group holds.
    fn new(files: &[InputFile], of: impl Fn(&RowGroupMetaData) -> u64) -> Self {
        let (mut rows, mut bytes, mut widest) = (0u64, 0u64, 0);
        for group in groups(files) {
            let (of_group, rows_of_group) = (of(group), natural(group.num_rows()));
            // No batch goes over the end of a row group, so one that is no larger than a batch narrows none.
            if of_group > BATCH_BYTES {
                widest = widest.max(of_group / rows_of_group.max(1));
            }
            (rows, bytes) = (rows + rows_of_group, bytes.saturating_add(of_group));
        }
        let mean = bytes / rows.max(1);
        Self { mean, widest: widest.max(mean) }
    }

    pub fn of(files: &[InputFile], columns: &BTreeSet<String>) -> Self {
        Self::new(files, |group| plain_bytes(group, |column| columns.contains(column)))
    }

    /// The same where one of the columns may hold vectors, and each takes `vector_bytes` once it is read, or more: they may be
    /// encoded in less, and lie in no column.
    pub fn with_vectors(
        files: &[InputFile],
        columns: &BTreeSet<String>,
        embedding: Option<&str>,
        vector_bytes: u64,
    ) -> Self {
        let is_embedding = |column: &str| embedding == Some(column);
        Self::new(files, |group| {
            let others = plain_bytes(group, |column| columns.contains(column) && !is_embedding(column));
            let vectors = natural(group.num_rows()).saturating_mul(vector_bytes);
            others.saturating_add(vectors.max(plain_bytes(group, is_embedding)))
        })
    }

    /// With so much more in each row.
    pub fn and(self, bytes: u64) -> Self {
        Self { mean: self.mean + bytes, widest: self.widest + bytes }
    }
}

/// Of some columns, bytes of the largest row group as it lies on the disk.
pub(super) fn row_group_bytes(files: &[InputFile], columns: &BTreeSet<String>) -> u64 {
    let bytes = |group| sum(group, |column| columns.contains(column), |chunk| natural(chunk.compressed_size()));
    groups(files).map(bytes).max().unwrap_or(0)
}

/// Leaf values of a list column divided by rows.
pub(super) fn values_per_row(files: &[InputFile], column: &str) -> usize {
    let (mut values, mut rows) = (0u64, 0u64);
    for file in files {
        let schema = file.metadata().file_metadata().schema_descr();
        let leaf = (0..schema.num_columns()).find(|&leaf| schema.get_column_root(leaf).name() == column);
        for group in file.metadata().row_groups() {
            values += leaf.map_or(0, |leaf| natural(group.column(leaf).num_values()));
        }
        rows += file.rows;
    }
    (values as f64 / rows.max(1) as f64).round() as usize
}

fn groups(files: &[InputFile]) -> impl Iterator<Item = &RowGroupMetaData> {
    files.iter().flat_map(|file| file.metadata().row_groups())
}

fn plain_bytes(group: &RowGroupMetaData, of: impl Fn(&str) -> bool) -> u64 {
    // Texts that repeat are packed even before a codec sees them; some writers say how long they are.
    sum(group, of, |chunk| natural(chunk.uncompressed_size().max(chunk.unencoded_byte_array_data_bytes().unwrap_or(0))))
}

fn sum(group: &RowGroupMetaData, of: impl Fn(&str) -> bool, bytes: impl Fn(&ColumnChunkMetaData) -> u64) -> u64 {
    let chunks = group.columns().iter().filter(|chunk| of(&chunk.column_path().parts()[0]));
    chunks.map(bytes).fold(0, u64::saturating_add)
}

/// A footer with less than nothing is refused.
fn natural(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}
