//! The harvests of a run on disk: one file a partition, an Arrow stream that ends with a checksum, committed by rename.
//!
//! What an earlier process left counts only where its checksum holds; anything else in the folder is no harvest.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float32Array, RecordBatch, UInt8Array, UInt32Array};
use arrow::datatypes::{DataType, Field, Float32Type, Schema, SchemaRef, UInt8Type, UInt32Type};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::disk::{self, Whole};
use crate::kernel::Distance;
use crate::mine::{Band, Harvest, Reason, Suspect, Tally, Triplet};
use crate::store::Row;

/// Why a harvest could not be committed or read again.
#[derive(Debug, Error)]
pub enum HarvestError {
    #[error("{}: cannot {action}: {source}", path.display())]
    Io { path: PathBuf, action: &'static str, source: io::Error },
    #[error("{}: damaged scratch file: {found}; run again, only this partition is mined anew", path.display())]
    Damaged { path: PathBuf, found: String },
    #[error("cannot choose among the triplets: {0}")]
    Choose(#[from] ArrowError),
}

/// The folder of committed harvests.
#[derive(Debug, Clone)]
pub struct Harvests {
    folder: PathBuf,
    partitions: u32,
    rows: u32,
}

/// What stands beside the triplets of a partition. Distances as bits, so that JSON cannot round them.
#[derive(Serialize, Deserialize)]
struct Aside {
    tally: Tally,
    unmined: Vec<(u32, Reason)>,
    suspects: Vec<(u32, u32, u32)>,
}

const ASIDE: &str = "harvest";
/// Of the name of a file; what follows is the partition's number.
const PREFIX: &str = "partition-";

/// Triplets a record batch; a partition rarely holds more.
const BATCH: usize = 1 << 16;

/// Columns of a harvest file, in this order.
pub(super) static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let field = |name: &str, kind| Field::new(name, kind, false);
    Arc::new(Schema::new(vec![
        field("anchor", DataType::UInt32),
        field("positive", DataType::UInt32),
        field("negative", DataType::UInt32),
        field("d_ap", DataType::Float32),
        field("d_an", DataType::Float32),
        field("band", DataType::UInt8),
        field("fallback", DataType::Boolean),
    ]))
});

impl Harvests {
    /// The harvests of `partitions` partitions over a store of `rows` rows, kept in an existing `folder`.
    pub fn new(folder: impl Into<PathBuf>, partitions: u32, rows: u32) -> Self {
        Self { folder: folder.into(), partitions, rows }
    }

    /// How many partitions there are, committed or not.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Whether this partition needs no more mining: it was committed, and every byte of it is as it was then.
    pub fn is_committed(&self, ordinal: u32) -> bool {
        disk::check(&self.path(ordinal)).is_ok()
    }

    /// The partitions of which there is a file, whole or not, ascending.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn named(&self) -> Result<Vec<u32>, HarvestError> {
        let read = || -> io::Result<Vec<u32>> {
            let mut ordinals = Vec::new();
            for entry in fs::read_dir(&self.folder)? {
                let name = entry?.file_name();
                let digits = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
                ordinals.extend(digits.and_then(|digits| digits.parse::<u32>().ok()));
            }
            ordinals.retain(|&ordinal| ordinal < self.partitions);
            ordinals.sort_unstable();
            Ok(ordinals)
        };
        read().map_err(|source| HarvestError::Io { path: self.folder.clone(), action: "read", source })
    }

    /// Writes a harvest whole, or not at all.
    pub fn commit(&self, ordinal: u32, harvest: &Harvest) -> Result<(), HarvestError> {
        let path = self.path(ordinal);
        let commit = || {
            let mut file = Whole::create(&path)?;
            encode(&mut file, harvest).map_err(|error| match error {
                ArrowError::IoError(_, source) => source,
                other => io::Error::other(other),
            })?;
            file.commit()
        };
        commit().map_err(|source| HarvestError::Io { path: path.clone(), action: "write", source })
    }

    /// A harvest as it was committed.
    pub fn read(&self, ordinal: u32) -> Result<Harvest, HarvestError> {
        let (aside, batches) = self.open(ordinal)?;
        let mut triplets = Vec::new();
        for batch in batches {
            triplets.extend(decode(&batch?));
        }
        Ok(Harvest { triplets, ..aside })
    }

    /// The counts of a harvest.
    pub fn tally(&self, ordinal: u32) -> Result<Tally, HarvestError> {
        Ok(self.aside(ordinal)?.tally)
    }

    /// Everything of a harvest but its triplets.
    pub(super) fn aside(&self, ordinal: u32) -> Result<Harvest, HarvestError> {
        Ok(self.open(ordinal)?.0)
    }

    /// The triplets of a harvest, streamed, as batches of [`SCHEMA`]; every row and band in them is valid.
    pub(super) fn batches(
        &self,
        ordinal: u32,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, HarvestError>> + Send + use<>, HarvestError> {
        Ok(self.open(ordinal)?.1)
    }

    fn open(
        &self,
        ordinal: u32,
    ) -> Result<(Harvest, impl Iterator<Item = Result<RecordBatch, HarvestError>> + Send + use<>), HarvestError> {
        let path = self.path(ordinal);
        let damaged = {
            let path = path.clone();
            move |found: String| HarvestError::Damaged { path: path.clone(), found }
        };
        let file = File::open(&path).map_err(|source| HarvestError::Io { path, action: "open", source })?;
        // A stream says itself where it ends: the checksum after it is not looked at.
        let reader = StreamReader::try_new(BufReader::new(file), None).map_err(|error| damaged(error.to_string()))?;
        let schema = reader.schema();
        if schema.fields() != SCHEMA.fields() {
            return Err(damaged(format!("its columns are {:?}", schema.fields())));
        }
        let text = schema.metadata().get(ASIDE).map_or("", String::as_str);
        let aside: Aside = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        let aside = aside.into_harvest(self.rows).map_err(&damaged)?;
        let rows = self.rows;
        let batches = reader.map(move |batch| {
            let batch = batch.map_err(|error| damaged(error.to_string()))?;
            check(&batch, rows).map_err(&damaged)?;
            Ok(batch)
        });
        Ok((aside, batches))
    }

    /// What the file of a partition is called.
    pub fn file(ordinal: u32) -> String {
        format!("{PREFIX}{ordinal:05}")
    }

    fn path(&self, ordinal: u32) -> PathBuf {
        self.folder.join(Self::file(ordinal))
    }
}

impl Aside {
    fn into_harvest(self, rows: u32) -> Result<Harvest, String> {
        let row = |row: u32| if row < rows { Ok(Row(row)) } else { Err(outside(row, rows)) };
        let suspect = |(a, b, bits): (u32, u32, u32)| match f32::from_bits(bits) {
            distance if distance.is_nan() => Err("a suspect's distance is NaN".to_owned()),
            distance => Ok(Suspect { a: row(a)?, b: row(b)?, distance: Distance::new(distance) }),
        };
        Ok(Harvest {
            triplets: Vec::new(),
            unmined: self
                .unmined
                .into_iter()
                .map(|(r, reason)| Ok((row(r)?, reason)))
                .collect::<Result<_, String>>()?,
            suspects: self.suspects.into_iter().map(suspect).collect::<Result<_, _>>()?,
            tally: self.tally,
        })
    }
}

fn outside(row: u32, rows: u32) -> String {
    format!("row {row} of a store of {rows} rows")
}

fn encode(file: impl Write, harvest: &Harvest) -> Result<(), ArrowError> {
    let aside = Aside {
        tally: harvest.tally.clone(),
        unmined: harvest.unmined.iter().map(|&(row, reason)| (row.0, reason)).collect(),
        suspects: harvest.suspects.iter().map(|s| (s.a.0, s.b.0, s.distance.get().to_bits())).collect(),
    };
    let aside = serde_json::to_string(&aside).map_err(|error| ArrowError::ExternalError(error.into()))?;
    let schema = SCHEMA.as_ref().clone().with_metadata(HashMap::from([(ASIDE.to_owned(), aside)]));
    let mut writer = StreamWriter::try_new(file, &schema)?;
    for triplets in harvest.triplets.chunks(BATCH) {
        writer.write(&batch(triplets)?)?;
    }
    writer.finish()
}

/// Triplets as a batch of [`SCHEMA`].
pub(super) fn batch(triplets: &[Triplet]) -> Result<RecordBatch, ArrowError> {
    let rows = |of: fn(&Triplet) -> Row| Arc::new(UInt32Array::from_iter_values(triplets.iter().map(|t| of(t).0)));
    let distances =
        |of: fn(&Triplet) -> Distance| Arc::new(Float32Array::from_iter_values(triplets.iter().map(|t| of(t).get())));
    let columns: Vec<ArrayRef> = vec![
        rows(|t| t.anchor),
        rows(|t| t.positive),
        rows(|t| t.negative),
        distances(|t| t.d_ap),
        distances(|t| t.d_an),
        Arc::new(UInt8Array::from_iter_values(triplets.iter().map(|t| t.band as u8))),
        Arc::new(triplets.iter().map(|t| Some(t.fallback)).collect::<BooleanArray>()),
    ];
    RecordBatch::try_new(SCHEMA.clone(), columns)
}

/// The triplets of a checked batch.
pub(super) fn decode(batch: &RecordBatch) -> Vec<Triplet> {
    let (rows, distances) = (
        |column: usize| batch.column(column).as_primitive::<UInt32Type>().values(),
        |column: usize| batch.column(column).as_primitive::<Float32Type>().values(),
    );
    let (bands, fallbacks) = (batch.column(5).as_primitive::<UInt8Type>().values(), batch.column(6).as_boolean());
    let triplet = |i: usize| Triplet {
        anchor: Row(rows(0)[i]),
        positive: Row(rows(1)[i]),
        negative: Row(rows(2)[i]),
        d_ap: Distance::new(distances(3)[i]),
        d_an: Distance::new(distances(4)[i]),
        band: Band::ALL[usize::from(bands[i])],
        fallback: fallbacks.value(i),
    };
    (0..batch.num_rows()).map(triplet).collect()
}

/// What the rest of the room takes for granted, so that a flipped bit on the disk is an error and not a panic.
fn check(batch: &RecordBatch, rows: u32) -> Result<(), String> {
    for column in batch.columns().iter().take(3) {
        if let Some(&row) = column.as_primitive::<UInt32Type>().values().iter().find(|&&row| row >= rows) {
            return Err(outside(row, rows));
        }
    }
    for column in &batch.columns()[3..5] {
        if column.as_primitive::<Float32Type>().values().iter().any(|distance| distance.is_nan()) {
            return Err("a distance is NaN".to_owned());
        }
    }
    match batch
        .column(5)
        .as_primitive::<UInt8Type>()
        .values()
        .iter()
        .find(|&&band| usize::from(band) >= Band::ALL.len())
    {
        Some(band) => Err(format!("band number {band}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn harvest() -> Harvest {
        let triplet = |i: u32| Triplet {
            anchor: Row(i % 50),
            positive: Row(i % 49),
            negative: Row(i % 47),
            d_ap: Distance::new(f32::from_bits(0x3e99_999a + i)),
            d_an: Distance::new(-0.0),
            band: Band::ALL[i as usize % 3],
            fallback: i.is_multiple_of(2),
        };
        Harvest {
            triplets: (0..100_000).map(triplet).collect(),
            unmined: vec![(Row(3), Reason::Singleton), (Row(9), Reason::BandEmpty)],
            suspects: vec![Suspect { a: Row(1), b: Row(2), distance: Distance::new(1.000_000_1e-7) }],
            tally: Tally {
                anchors: 50,
                pairs: 70,
                scored: 60,
                asked: 140,
                bands: [1, 2, 3],
                fallback: 4,
                guarded: 3,
                exhausted: 5,
                missed: 6,
            },
        }
    }

    #[test]
    fn comes_back_as_it_was_committed() {
        let folder = tempfile::tempdir().unwrap();
        let harvests = Harvests::new(folder.path(), 3, 50);
        assert!(!harvests.is_committed(2));
        harvests.commit(2, &harvest()).unwrap();
        assert!(harvests.is_committed(2) && !harvests.is_committed(1));
        assert_eq!(harvests.read(2).unwrap(), harvest());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn rows_outside_the_store_are_refused_and_damaged_harvests_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let harvests = Harvests::new(folder.path(), 1, 50);
        harvests.commit(0, &harvest()).unwrap();
        let smaller = Harvests::new(folder.path(), 1, 49);
        assert!(smaller.read(0).unwrap_err().to_string().contains("row 49 of a store of 49 rows"));
        let path = folder.path().join("partition-00000");
        let bytes = fs::read(&path).unwrap();
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 4;
        fs::write(&path, flipped).unwrap();
        assert!(!harvests.is_committed(0), "a flipped bit that Arrow cannot see");
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(!harvests.is_committed(0));
        assert!(matches!(harvests.read(0), Err(HarvestError::Damaged { .. })));
        fs::write(&path, &bytes).unwrap();
        assert!(harvests.is_committed(0));
    }
}
