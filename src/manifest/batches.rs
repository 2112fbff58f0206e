//! `batches.parquet`, and `remainder.parquet` beside it: what is in no batch.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::Format;
use super::format::{Extent, Part};
use super::gather::{self, GatherError};
use super::layout::{Lines, Sheet};
use super::sealed::Listed;
use super::write::WriteError;
use crate::mine::{self, Batched, Batches, Entries, Hardness, Pk, Triplet};
use crate::store::{Prepared, Row};

pub(super) const BATCHES: &str = "batches.parquet";
pub(super) const REMAINDER: &str = "remainder.parquet";

/// Entries that are written at once.
const CHUNK: usize = 1 << 16;

/// What batches are made from, gathered while triplets are written.
pub(super) enum Gathering {
    Pk(Pk, Hardness),
    Triplets { size: u32, entries: Entries },
}

impl Gathering {
    pub(super) fn new(asked: Batches, sheet: &Sheet) -> Self {
        match asked {
            Batches::Pk(pk) => Self::Pk(pk, Hardness::default()),
            Batches::Triplets { size } => Self::Triplets { size, entries: Entries::new(sheet.beside()) },
        }
    }

    /// Looks at triplets on their way, and at the lines that they become.
    pub(super) fn add(&mut self, store: &Prepared, mined: &[Triplet], lines: &Lines) {
        let label = |row: Row| store.labels()[row.index()];
        match self {
            Self::Pk(_, hardness) => mined.iter().for_each(|t| hardness.add(label(t.anchor), label(t.negative))),
            Self::Triplets { entries, .. } => {
                lines.iter().for_each(|line| entries.push(line.anchor, line.members.iter().map(|member| member.row)));
            }
        }
    }

    /// Makes the batches and writes both files into `staging`. `anchors` are the rows that batches of rows must cover.
    pub(super) fn write(
        self,
        staging: &Path,
        store: &Prepared,
        params: &mine::Params,
        anchors: &[Row],
    ) -> Result<(Batched, Vec<Listed>), WriteError> {
        match self {
            Self::Pk(asked, hardness) => {
                let kind = Kind::Rows(store);
                let mut sink = Sink::new(staging, kind)?;
                let emit = &mut |rows: &[Row]| sink.batch(rows.iter().map(|row| u64::from(row.0)));
                let left = mine::pk(store, params, asked, anchors, &hardness, emit)?;
                sink.finish(staging, left.into_iter().map(|row| u64::from(row.0)).collect())
            }
            Self::Triplets { size, entries } => {
                let mut sink = Sink::new(staging, Kind::Triplets)?;
                let emit = &mut |places: &[u64]| sink.batch(places.iter().copied());
                let left = mine::without_false_negatives(&entries, size, store, params.seed, emit)?;
                sink.finish(staging, left)
            }
        }
    }
}

/// What an entry is.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    /// A row of the store.
    Rows(&'a Prepared),
    /// A triplet, or whatever a line of the layout holds, by its row in the output, counted over all parts.
    Triplets,
}

impl<'a> Kind<'a> {
    pub(super) fn of(asked: Batches, store: &'a Prepared) -> Self {
        match asked {
            Batches::Pk(_) => Self::Rows(store),
            Batches::Triplets { .. } => Self::Triplets,
        }
    }

    fn fields(self) -> Vec<Field> {
        match self {
            Self::Rows(store) => {
                vec![Field::new("id", gather::id_type(store), false), Field::new("row", DataType::UInt64, false)]
            }
            Self::Triplets => vec![Field::new("triplet", DataType::UInt64, false)],
        }
    }

    /// Of entries that are rows of the store, or any triplets.
    fn columns(self, entries: &[u64]) -> Result<Vec<ArrayRef>, GatherError> {
        Ok(match self {
            Self::Rows(store) => {
                let rows: Vec<Row> = entries.iter().map(|&row| Row(row as u32)).collect();
                vec![gather::ids(store, &rows)?, gather::places(store, &rows)]
            }
            Self::Triplets => vec![Arc::new(UInt64Array::from(entries.to_vec()))],
        })
    }

    pub(super) fn remainder_schema(self) -> SchemaRef {
        Arc::new(Schema::new(self.fields()))
    }

    pub(super) fn remainder(self, entries: &[u64]) -> Result<RecordBatch, GatherError> {
        Ok(RecordBatch::try_new(self.remainder_schema(), self.columns(entries)?)?)
    }

    pub(super) fn schema(self) -> SchemaRef {
        let number = |name: &str| Field::new(name, DataType::UInt32, false);
        let mut fields = vec![number("batch"), number("position")];
        fields.extend(self.fields());
        Arc::new(Schema::new(fields))
    }

    pub(super) fn batch(self, batches: &[u32], positions: &[u32], entries: &[u64]) -> Result<RecordBatch, GatherError> {
        let number = |values: &[u32]| -> ArrayRef { Arc::new(UInt32Array::from(values.to_vec())) };
        let mut columns = vec![number(batches), number(positions)];
        columns.extend(self.columns(entries)?);
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }
}

/// Batches on their way into their file.
struct Sink<'a> {
    kind: Kind<'a>,
    part: Part,
    made: u64,
    batches: Vec<u32>,
    positions: Vec<u32>,
    entries: Vec<u64>,
}

impl<'a> Sink<'a> {
    fn new(staging: &Path, kind: Kind<'a>) -> Result<Self, WriteError> {
        let part = Part::create(staging.join(BATCHES), Format::Parquet, &kind.schema(), Extent::of(0))?;
        Ok(Self { kind, part, made: 0, batches: Vec::new(), positions: Vec::new(), entries: Vec::new() })
    }

    fn batch(&mut self, entries: impl Iterator<Item = u64>) -> Result<(), WriteError> {
        for (position, entry) in (0..).zip(entries) {
            // There are no more batches than rows or triplets, of which a batch holds two at least.
            self.batches.push(self.made as u32);
            self.positions.push(position);
            self.entries.push(entry);
        }
        self.made += 1;
        if self.entries.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), WriteError> {
        self.part.write(&self.kind.batch(&self.batches, &self.positions, &self.entries)?)?;
        self.batches.clear();
        self.positions.clear();
        self.entries.clear();
        Ok(())
    }

    fn finish(mut self, staging: &Path, left: Vec<u64>) -> Result<(Batched, Vec<Listed>), WriteError> {
        self.flush()?;
        let name = match self.kind {
            Kind::Rows(_) => "pk",
            Kind::Triplets => "triplets",
        };
        let listed = self.part.finish(BATCHES.to_owned())?;
        let mut part = Part::create(
            staging.join(REMAINDER),
            Format::Parquet,
            &self.kind.remainder_schema(),
            Extent::of(left.len() as u64),
        )?;
        for some in left.chunks(CHUNK) {
            part.write(&self.kind.remainder(some)?)?;
        }
        let remainder = part.finish(REMAINDER.to_owned())?;
        let batched =
            Batched { kind: name.to_owned(), batches: self.made, entries: listed.rows, remainder: remainder.rows };
        Ok((batched, vec![listed, remainder]))
    }
}
