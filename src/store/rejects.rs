//! Rows that cannot be used: counted, and listed with their places.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, RecordBatch, StringArray, StringBuilder, UInt32Array, UInt64Builder, new_empty_array,
};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;

use super::flaw::Flaw;
use super::scan::Place;
use super::usable::LeftOut;
use super::{BadRows, Section};
use crate::words::{counted, thousands, visible};

/// The first rows that cannot be used, and how many there are.
#[derive(Debug)]
pub struct BadRowsFound {
    /// What the rows are of.
    pub section: Section,
    /// Rows looked at, and rows of these that cannot be used.
    pub rows: u64,
    pub bad: u64,
    /// Rows by kind of flaw.
    pub kinds: BTreeMap<&'static str, u64>,
    /// The first few.
    pub first: Vec<BadRow>,
    /// They may be left out, but a list of them is too long.
    pub beyond_listing: bool,
}

/// One row that cannot be used.
#[derive(Debug, Clone)]
pub struct BadRow {
    pub file: PathBuf,
    /// Position in the file.
    pub row: u64,
    /// `None` for null.
    pub id: Option<String>,
    pub reason: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, row {}", visible(self.file.display()), self.row)?;
        if let Some(id) = &self.id {
            write!(f, ", id {}", visible(id))?;
        }
        write!(f, ": {}", visible(&self.reason))
    }
}

impl fmt::Display for BadRowsFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<String> = self.kinds.iter().map(|(kind, count)| format!("{kind}: {count}")).collect();
        let (rows, kinds) = (counted(self.rows, "row"), kinds.join(", "));
        write!(f, "{} of {rows} cannot be used ({kinds}), rows counted from 0", thousands(self.bad))?;
        for row in &self.first {
            write!(f, "\n  {row}")?;
        }
        let unlisted = self.bad - self.first.len() as u64;
        if unlisted > 0 {
            write!(f, "\n  … and {unlisted} more")?;
        }
        let section = self.section.name();
        match (self.beyond_listing, self.section) {
            (false, _) => write!(f, "\nMend them, or leave them out with {section}.bad_rows = \"skip\""),
            (true, Section::Pairs | Section::Scores) => write!(f, "\nToo many to list each as rejected: mend them"),
            (true, _) => write!(f, "\nToo many to list each as rejected: mend them, or drop them with {section}.where"),
        }
    }
}

/// How many places a refusal names.
const FIRST: usize = 3;

/// The list of what is left out may take this many bytes: it waits in memory.
pub const LARGEST_LIST: u64 = 96 << 20;

/// Of a listed row, beside its texts: two numbers, and where the texts end.
const ROW_BYTES: usize = 24;

/// Collects rejected rows of one table.
pub(super) struct Rejects {
    section: Section,
    /// Whether they are left out, and so listed.
    bad_rows: BadRows,
    list_bytes: u64,
    id_type: DataType,
    kinds: BTreeMap<&'static str, u64>,
    first: Vec<BadRow>,
    files: StringBuilder,
    file_rows: UInt64Builder,
    source_rows: UInt64Builder,
    reasons: StringBuilder,
    ids: Vec<ArrayRef>,
}

impl Rejects {
    pub fn new(section: Section, bad_rows: BadRows, id_type: DataType) -> Self {
        Self {
            section,
            bad_rows,
            list_bytes: 0,
            id_type,
            kinds: BTreeMap::new(),
            first: Vec::new(),
            files: StringBuilder::new(),
            file_rows: UInt64Builder::new(),
            source_rows: UInt64Builder::new(),
            reasons: StringBuilder::new(),
            ids: Vec::new(),
        }
    }

    /// Adds the flawed rows of a stretch that begins at `place`; `ids` are those of all its rows.
    pub fn add(&mut self, place: Place, ids: &ArrayRef, flawed: &[(u32, Flaw)]) -> Result<(), ArrowError> {
        // Not the path: this table goes into an output that must not depend on where the store lies.
        let file = &place.file.name;
        for (row, flaw) in flawed {
            let file_row = place.file_row + u64::from(*row);
            if self.first.len() < FIRST {
                let id = ids.is_valid(*row as usize).then(|| array_value_to_string(ids, *row as usize)).transpose()?;
                let file = place.file.path.clone();
                self.first.push(BadRow { file, row: file_row, id, reason: flaw.to_string() });
            }
            *self.kinds.entry(flaw.kind()).or_default() += 1;
            if self.bad_rows == BadRows::Error {
                continue;
            }
            let reason = flaw.to_string();
            self.list_bytes += (file.len() + reason.len() + ROW_BYTES) as u64;
            self.files.append_value(file);
            self.file_rows.append_value(file_row);
            self.source_rows.append_value(place.source_row() + u64::from(*row));
            self.reasons.append_value(reason);
        }
        if !flawed.is_empty() && self.bad_rows == BadRows::Skip {
            let rows: UInt32Array = flawed.iter().map(|(row, _)| *row).collect();
            let ids = take(ids, &rows, None)?;
            self.list_bytes += ids.get_array_memory_size() as u64;
            self.ids.push(ids);
        }
        Ok(())
    }

    /// By kind of flaw, of several tables together.
    pub fn left_out<'r>(tables: impl Iterator<Item = &'r Self>) -> LeftOut {
        let mut all = LeftOut::default();
        tables.flat_map(|table| &table.kinds).for_each(|(kind, count)| *all.0.entry(kind).or_default() += count);
        all
    }

    pub fn len(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// Rows whose vector has another width than the first, and those that have none.
    pub fn widths(&self) -> (u64, u64) {
        let of = |kind| self.kinds.get(kind).copied().unwrap_or(0);
        (of(Flaw::RAGGED), of(Flaw::NULL) + of(Flaw::EMPTY))
    }

    /// A refusal, of so many rows looked at, where rows may not be left out, or more are left out than can be listed.
    pub fn refusal(&self, rows: u64) -> Option<BadRowsFound> {
        let beyond_listing = self.beyond_listing();
        if self.len() == 0 || (self.bad_rows == BadRows::Skip && !beyond_listing) {
            return None;
        }
        let (kinds, first) = (self.kinds.clone(), self.first.clone());
        Some(BadRowsFound { section: self.section, rows, bad: self.len(), kinds, first, beyond_listing })
    }

    /// Whether there are more to be listed than memory is set apart for.
    pub fn beyond_listing(&self) -> bool {
        self.list_bytes > LARGEST_LIST
    }

    /// As a table: `section`, `file`, `file_row`, `source_row`, `id`, `reason`.
    pub fn into_batch(mut self) -> Result<RecordBatch, ArrowError> {
        let ids = match self.ids.as_slice() {
            [] => new_empty_array(&self.id_type),
            chunks => concat(&chunks.iter().map(|chunk| chunk.as_ref()).collect::<Vec<_>>())?,
        };
        let schema = Schema::new(vec![
            Field::new("section", DataType::Utf8, false),
            Field::new("file", DataType::Utf8, false),
            Field::new("file_row", DataType::UInt64, false),
            Field::new("source_row", DataType::UInt64, false),
            Field::new("id", self.id_type, true),
            Field::new("reason", DataType::Utf8, false),
        ]);
        let files = self.files.finish();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![self.section.name(); files.len()])),
            Arc::new(files),
            Arc::new(self.file_rows.finish()),
            Arc::new(self.source_rows.finish()),
            ids,
            Arc::new(self.reasons.finish()),
        ];
        RecordBatch::try_new(Arc::new(schema), columns)
    }
}
