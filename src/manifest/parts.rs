//! `triplets/part-00000.parquet`, …: as many, and as large, as the output's split says of all rows.
//!
//! Each part is noted with its checksum when it is finished, so that a run that goes on writes only those that are missing. The
//! triplets come in the same order every time, and rows of a finished part are passed over.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};

use super::digest;
use super::format::{Extent, FormatError, Part};
use super::layout::{Lines, Sheet};
use super::sealed::{Gaps, Listed};
use super::write::WriteError;
use super::{Format, Params, Split};
use crate::disk;

/// The folder of the parts.
pub(super) const TRIPLETS: &str = "triplets";

/// Names have five digits, so that they sort as they are numbered; the manifest lists them all.
pub const MOST_PARTS: u64 = 100_000;

/// The name of a part inside the output.
pub(super) fn part_name(ordinal: usize, format: Format) -> String {
    format!("{TRIPLETS}/part-{ordinal:05}.{}", format.extension())
}

pub(super) struct Parts<'a> {
    staging: &'a Path,
    /// Where finished parts are noted.
    notes: &'a Path,
    output: &'a Params,
    sheet: &'a Sheet,
    /// Of the parts to come.
    sizes: Box<dyn Iterator<Item = u64> + Send>,
    open: Option<Open>,
    done: Finished,
}

/// The parts that are whole.
#[derive(Debug, Default)]
pub(super) struct Finished {
    pub(super) listed: Vec<Listed>,
    /// Cells with a mark before them, in all parts.
    pub(super) escaped: u64,
}

/// What is kept of a part when it is finished.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    listed: Listed,
    escaped: u64,
}

/// The part that rows go to.
struct Open {
    kind: Kind,
    /// Rows still to come.
    left: u64,
}

enum Kind {
    /// An earlier process finished it.
    Kept(Note),
    Growing(Part, Option<Gaps>),
}

impl Finished {
    fn add(&mut self, Note { listed, escaped }: Note) {
        self.listed.push(listed);
        self.escaped += escaped;
    }
}

impl<'a> Parts<'a> {
    /// Of an output of `rows` rows.
    pub(super) fn new(staging: &'a Path, notes: &'a Path, output: &'a Params, sheet: &'a Sheet, rows: u64) -> Self {
        let sizes = Box::new(output.split.sizes(rows));
        Self { staging, notes, output, sheet, sizes, open: None, done: Finished::default() }
    }

    /// Writes lines; `batch` is what becomes of them, made only where it is missing.
    pub(super) fn write(
        &mut self,
        lines: &Lines,
        batch: impl Fn() -> Result<RecordBatch, WriteError>,
    ) -> Result<(), WriteError> {
        let (mut made, mut written) = (None, 0);
        while written < lines.len() {
            let Some(mut open) = self.open()? else { return Err(self.wrong("more").into()) };
            let left = lines.len() - written;
            let rows = usize::try_from(open.left).map_or(left, |room| room.min(left));
            if let Kind::Growing(part, gap) = &mut open.kind
                && rows > 0
            {
                let batch = match &made {
                    Some(batch) => batch,
                    None => made.insert(batch()?),
                };
                part.write(&batch.slice(written, rows))?;
                let (first, last) = (lines.get(written).gap, lines.get(written + rows - 1).gap);
                *gap = Some(Gaps { first: gap.map_or(first, |gap| gap.first), last });
            }
            open.left -= rows as u64;
            written += rows;
            self.close(open)?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Finished, FormatError> {
        while let Some(open) = self.open()? {
            if open.left > 0 {
                return Err(self.wrong("fewer"));
            }
            self.close(open)?;
        }
        self.clear_others()?;
        Ok(self.done)
    }

    /// Removes what is no part of this output: where a process was killed between the exchange of two outputs and its end, the folder
    /// is that of the older one.
    fn clear_others(&self) -> Result<(), FormatError> {
        let folder = self.staging.join(TRIPLETS);
        let ours: HashSet<&str> = self.done.listed.iter().map(|part| part.path.as_str()).collect();
        let clear = || -> io::Result<()> {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let name = format!("{TRIPLETS}/{}", entry.file_name().to_string_lossy());
                match entry.file_type()?.is_dir() {
                    true => disk::remove_folder(&entry.path())?,
                    false if ours.contains(name.as_str()) => {}
                    false => disk::remove_file(&entry.path())?,
                }
            }
            Ok(())
        };
        clear().map_err(|source| FormatError { path: folder.clone(), action: "clear", source: source.into() })
    }

    /// The part to write to; none after the last.
    fn open(&mut self) -> Result<Option<Open>, FormatError> {
        if let Some(open) = self.open.take() {
            return Ok(Some(open));
        }
        let Some(rows) = self.sizes.next() else { return Ok(None) };
        if let Some(note) = self.kept(rows) {
            return Ok(Some(Open { kind: Kind::Kept(note), left: rows }));
        }
        let path = self.staging.join(self.name());
        let failed =
            |source: std::io::Error| FormatError { path: path.clone(), action: "replace", source: source.into() };
        disk::remove_file(&path).map_err(failed)?;
        let extent = Extent { rows, width: self.sheet.triplets_a_line() };
        let mut part = Part::create(path, self.output.format, self.sheet.schema(), extent)?;
        if rows == 0 {
            // CSV writes its header with the first batch, even an empty one.
            part.write(&RecordBatch::new_empty(self.sheet.schema().clone()))?;
        }
        Ok(Some(Open { kind: Kind::Growing(part, None), left: rows }))
    }

    /// The next part, where it is finished and every byte is as it was then.
    fn kept(&self, rows: u64) -> Option<Note> {
        let note: Note = disk::kept(&self.note()).ok()?;
        let found = digest::of_reader(File::open(self.staging.join(self.name())).ok()?).ok()?;
        let Listed { bytes, sha256, .. } = &note.listed;
        (found == (*bytes, sha256.clone()) && note.listed.rows == rows).then_some(note)
    }

    /// The next part's.
    fn name(&self) -> String {
        part_name(self.done.listed.len(), self.output.format)
    }

    fn note(&self) -> std::path::PathBuf {
        self.notes.join(format!("part-{:05}.json", self.done.listed.len()))
    }

    /// Keeps a part for more rows, or ends it.
    fn close(&mut self, open: Open) -> Result<(), FormatError> {
        let Open { kind, left } = open;
        self.open = match (kind, left) {
            (Kind::Kept(note), 0) => {
                self.done.add(note);
                None
            }
            (Kind::Growing(part, gap), 0) => {
                let escaped = part.escaped();
                let mut listed = part.finish(self.name())?;
                listed.gap = gap.filter(|_| matches!(self.output.split, Split::Shards(_)));
                let path = self.note();
                let failed =
                    |source: std::io::Error| FormatError { path: path.clone(), action: "write", source: source.into() };
                let note = Note { listed, escaped };
                disk::keep(&path, &note).map_err(failed)?;
                self.done.add(note);
                None
            }
            (kind, left) => Some(Open { kind, left }),
        };
        Ok(())
    }

    /// The harvests' own counts are not those of their triplets.
    fn wrong(&self, how: &str) -> FormatError {
        let source = ArrowError::ComputeError(format!("{how} rows than the partitions' counts tell of"));
        FormatError { path: self.staging.join(TRIPLETS), action: "write", source }
    }
}
