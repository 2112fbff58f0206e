//! Which batches, and what is in none: made again from the same entries, they must be the same, row by row.

use std::fmt;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{SchemaRef, UInt32Type, UInt64Type};

use super::batches::Subject;
use super::completeness::Again;
use super::files::Files;
use super::finding::Findings;
use super::table::Table;
use super::whole::Run;
use crate::manifest::Format;
use crate::manifest::batches::{BATCHES, Kind, REMAINDER};
use crate::manifest::layout::Sheet;
use crate::mine::{self, Batches, Hardness, Triplet};
use crate::store::{Prepared, Row};

/// Which classes are hard for each other, where all triplets of the run are known: those that its layout left out count, too.
pub(super) fn hardness(run: &Run<'_>, sheet: &Sheet, again: Option<&Again>) -> Option<Hardness> {
    let mined = again.filter(|again| again.all).map(|again| again.chosen.as_deref().unwrap_or(&again.triplets));
    let told = || run.all().filter(|_| !sheet.layout().takes_whole_pairs());
    mined.or_else(told).map(|triplets| of(triplets, run.asked.store))
}

fn of(triplets: &[Triplet], store: &Prepared) -> Hardness {
    let (mut hardness, label) = (Hardness::default(), |row: Row| store.labels()[row.index()]);
    triplets.iter().for_each(|t| hardness.add(label(t.anchor), label(t.negative)));
    hardness
}

/// What stands first where both differ; nothing where that has ended.
struct Different {
    file: &'static str,
    row: u64,
    found: Option<Place>,
    expected: Option<Place>,
}

/// An entry as it is written, and the batch it is in, if it is in one.
#[derive(Clone, Copy, PartialEq)]
struct Place {
    batch: Option<u32>,
    entry: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(batch) = self.batch {
            write!(f, "{batch}, ")?;
        }
        write!(f, "{}", self.entry)
    }
}

/// Compares both files, which could be read, with what making the batches again gives.
pub(super) fn check(files: &Files<'_>, subject: &Subject<'_>, hardness: &Hardness, findings: &mut Findings) {
    let Some(batches) = subject.asked.mine.batches else { return };
    let kind = Kind::of(batches, subject.asked.store);
    if let Err(Different { file, row, found, expected }) = compare(files, subject, batches, hardness) {
        let entry = kind.remainder_schema().fields().iter().last().map_or("", |field| field.name()).to_owned();
        let column = if file == BATCHES { format!("batch, {entry}") } else { entry };
        let shown = |place: Option<Place>| place.map_or("none".to_owned(), |place| place.to_string());
        findings.value(file, row, &column, shown(found), shown(expected));
    }
}

fn compare(files: &Files<'_>, subject: &Subject<'_>, batches: Batches, hardness: &Hardness) -> Result<(), Different> {
    let (store, params) = (subject.asked.store, subject.asked.mine);
    let kind = Kind::of(batches, store);
    let mut written = Written::open(files, BATCHES, &kind.schema());
    let mut number = 0;
    let mut emit = |entries: &mut dyn Iterator<Item = u64>| {
        let batch = Some(number);
        number += 1;
        for entry in entries {
            written.meets(Some(Place { batch, entry }))?;
        }
        Ok(())
    };
    let place = |row: &Row| store.source_rows()[row.index()];
    let left = match batches {
        Batches::Pk(asked) => {
            let anchors = (0..store.rows()).map(Row).filter(|row| subject.is_searched(row.index()));
            let anchors: Vec<Row> = anchors.collect();
            let emit = &mut |rows: &[Row]| emit(&mut rows.iter().map(place));
            mine::pk(store, params, asked, &anchors, hardness, emit)?.iter().map(place).collect()
        }
        Batches::Triplets { size } => {
            let (entries, emit) = (subject.entries.known(), &mut |places: &[u64]| emit(&mut places.iter().copied()));
            // What holds more than there are is never full: a size that somebody claims takes no memory.
            let size = size.min(u32::try_from(entries.len()).unwrap_or(u32::MAX).saturating_add(1));
            mine::without_false_negatives(entries, size, store, params.seed, emit)?
        }
    };
    written.meets(None)?;
    let mut written = Written::open(files, REMAINDER, &kind.remainder_schema());
    left.into_iter().try_for_each(|entry| written.meets(Some(Place { batch: None, entry })))?;
    written.meets(None)
}

/// The rows of a file, one after the other.
struct Written {
    file: &'static str,
    places: Box<dyn Iterator<Item = Place>>,
    row: u64,
}

impl Written {
    fn open(files: &Files<'_>, file: &'static str, schema: &SchemaRef) -> Self {
        let Files { out, sealed, .. } = *files;
        let listed = sealed.files.iter().find(|listed| listed.path == file);
        let table = listed.and_then(|listed| Table::open(out, listed, Format::Parquet, schema).ok());
        let batches = table.into_iter().flatten().map_while(Result::ok);
        let in_batches = file == BATCHES;
        let places = Box::new(batches.flat_map(move |(_, batch)| places(&batch, in_batches)));
        Self { file, places, row: 0 }
    }

    /// Whether the next row is the one expected.
    fn meets(&mut self, expected: Option<Place>) -> Result<(), Different> {
        let (file, row, found) = (self.file, self.row, self.places.next());
        self.row += 1;
        if found == expected { Ok(()) } else { Err(Different { file, row, found, expected }) }
    }
}

fn places(table: &RecordBatch, in_batches: bool) -> Vec<Place> {
    let entries = table.column(table.num_columns() - 1).as_primitive::<UInt64Type>().values();
    let batch = |row: usize| in_batches.then(|| table.column(0).as_primitive::<UInt32Type>().value(row));
    entries.iter().enumerate().map(|(row, &entry)| Place { batch: batch(row), entry }).collect()
}
