//! What of a file is decoded in one go.

use std::ops::Range;

use super::survey::InputFile;

/// Some row groups of a file, one after the other.
pub(super) struct Unit<'a> {
    pub file: &'a InputFile,
    pub groups: Range<usize>,
    /// Position of its first row in the file.
    pub first: u64,
    /// As the footer tells.
    pub rows: u64,
}

/// Batches of a unit, at least: fewer are not worth opening a file for.
const BATCHES: u64 = 8;

/// The units of a file: the shortest runs of row groups with so many batches. They depend on nothing but the file and the rows of a
/// batch, so nor does anything that they decide. A file without row groups is a unit, too, and looked at.
pub(super) fn units(file: &InputFile, batch_rows: u64) -> Vec<Unit<'_>> {
    let from = |group, first| Unit { file, groups: group..group, first, rows: 0 };
    let (mut units, mut unit) = (Vec::new(), from(0, 0));
    for rows in file.group_rows() {
        if unit.rows >= BATCHES * batch_rows {
            let next = from(unit.groups.end, unit.first + unit.rows);
            units.push(std::mem::replace(&mut unit, next));
        }
        unit.groups.end += 1;
        unit.rows += rows;
    }
    units.push(unit);
    units
}

impl Unit<'_> {
    /// How many batches of at most so many rows it has: none goes over the end of a row group.
    pub fn batches(&self, batch_rows: u64) -> usize {
        let rows = self.file.group_rows().skip(self.groups.start).take(self.groups.len());
        rows.map(|rows| rows.div_ceil(batch_rows) as usize).sum()
    }

    /// What the footer says that is in it.
    pub fn told(&self) -> String {
        let Range { start, end } = self.groups;
        match (start, end == self.file.group_rows().len()) {
            (0, true) => format!("{} rows", self.rows),
            _ => format!("{} rows in row groups {start} to {}", self.rows, end.saturating_sub(1)),
        }
    }
}
