//! Parts that hold a carried column alone name no rows of the store. What the anchors that are mined again yield must stand in them,
//! in this order; if those are all anchors, nothing else may.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use super::Asked;
use super::completeness::Again;
use super::files::Files;
use super::finding::{Checked, Findings, Told};
use super::order::{locate, rank};
use super::table::Table;
use super::triplets::Found;
use crate::manifest::gather::GatherError;
use crate::manifest::layout::{Lines, Sheet};
use crate::store::Prepared;

/// Lines that are made again at once.
const PIECE: usize = 1 << 13;

/// The lines that were mined again, with the rows of those that were found; none if a part could not be read, or if none were mined.
pub(super) fn check(
    files: &Files<'_>,
    asked: &Asked<'_>,
    sheet: &Sheet,
    again: Option<&Again>,
    findings: &mut Findings,
    checked: &mut Checked,
    told: &mut Told,
) -> Option<Found> {
    let Files { out, sealed, intact } = *files;
    let bounds = again.is_some_and(|again| !again.is_sure());
    let again = again.filter(|again| again.is_sure());
    let lines = again.map(|again| sheet.lines(&again.triplets)).unwrap_or_default();
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by_key(|&index| rank(&lines.get(index), sheet, asked));
    let mut search = match Search::new(asked.store, sheet, asked, lines.select(&order)) {
        Ok(search) => search,
        Err(error) => {
            told.unchecked(format_args!("texts, whose rows cannot be compared: {error}"));
            return None;
        }
    };
    let (mut row, mut whole) = (0, true);
    for part in &sealed.parts {
        if !intact.contains(&part.path) {
            whole = false;
            row += part.rows;
            continue;
        }
        let read = Table::open(out, part, asked.output.format, sheet.schema()).and_then(|table| {
            for batch in table {
                let (first, batch) = batch?;
                search.advance(&batch, row + first).map_err(|error| error.to_string())?;
                checked.rows += batch.num_rows() as u64;
            }
            Ok(())
        });
        if let Err(error) = read {
            findings.file(&part.path, error, format_args!("{} rows of the columns listed", part.rows));
            whole = false;
        }
        row += part.rows;
    }
    match again {
        None if bounds => told.unchecked(
            "which rows of the store the texts are of: they name none, and balance chose among all that can be mined; see --full",
        ),
        None => told.unchecked("which rows of the store the texts are of: they name none, and graphs are not built again without --full"),
        Some(again) if !again.all => {
            told.unchecked("texts of anchors that were not mined again: they name no rows; see --full")
        }
        Some(_) => {}
    }
    if !whole {
        return None;
    }
    let Some(again) = again else { return Some(Found::default()) };
    let Search { lines, found, .. } = search;
    if found.len() < lines.len() {
        let (file, at) = locate(sealed, found.last().map_or(0, |row| row + 1));
        let line = sheet.batch(asked.store, &lines.select(&[found.len()]), None).ok();
        let text = line.map(|line| shown(&line)).unwrap_or_default();
        let from = format_args!("{} of {} rows that were mined again", found.len(), lines.len());
        findings.value(file, at, "anchor", from, format_args!("here or later: {text}"));
    } else if again.all && row != lines.len() as u64 {
        findings.key("parts", format_args!("{row} rows"), lines.len());
    }
    // Those that were not found are told of already; what follows from them is no news.
    Some(Found { lines, rows: found })
}

fn shown(batch: &RecordBatch) -> String {
    let cell = |column: &ArrayRef| arrow::util::display::array_value_to_string(column, 0).unwrap_or_default();
    batch.columns().iter().map(cell).collect::<Vec<_>>().join(" | ")
}

/// Lines that are looked for, one after the other.
struct Search<'a> {
    store: &'a Prepared,
    sheet: &'a Sheet,
    asked: &'a Asked<'a>,
    converter: RowConverter,
    lines: Lines,
    /// The next lines as bytes, the first of them at the end.
    next: Vec<Box<[u8]>>,
    /// Where those before them were found.
    found: Vec<u64>,
}

impl<'a> Search<'a> {
    fn new(store: &'a Prepared, sheet: &'a Sheet, asked: &'a Asked<'a>, lines: Lines) -> Result<Self, ArrowError> {
        let fields = sheet.schema().fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(fields.collect())?;
        Ok(Self { store, sheet, asked, converter, lines, next: Vec::new(), found: Vec::new() })
    }

    /// Looks at a batch whose first row is `first`, counted through all parts.
    fn advance(&mut self, batch: &RecordBatch, first: u64) -> Result<(), GatherError> {
        let rows = self.converter.convert_columns(batch.columns())?;
        for (row, here) in (first..).zip(rows.iter()) {
            if self.next.is_empty() && !self.refill()? {
                return Ok(());
            }
            if self.next.last().is_some_and(|next| **next == *here.as_ref()) {
                self.next.pop();
                self.found.push(row);
            }
        }
        Ok(())
    }

    /// Makes the next lines; none is left where this is false.
    fn refill(&mut self) -> Result<bool, GatherError> {
        let (from, to) = (self.found.len(), self.lines.len().min(self.found.len() + PIECE));
        let some = self.sheet.batch(self.store, &self.lines.select(&(from..to).collect::<Vec<_>>()), None)?;
        let some = self.asked.output.format.round_trip(&some)?;
        let rows = self.converter.convert_columns(some.columns())?;
        self.next = rows.iter().rev().map(|row| row.as_ref().into()).collect();
        Ok(from < to)
    }
}
