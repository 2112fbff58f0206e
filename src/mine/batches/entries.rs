//! What batches of triplets are made of.

use crate::store::Row;

/// Rows of an output by their places: of each its anchor, and the rows that stand beside it, the positive first; as many
/// in all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries {
    beside: usize,
    anchors: Vec<Row>,
    /// `beside` a place.
    rows: Vec<Row>,
}

impl Entries {
    /// None yet, of so many rows beside the anchor; 1 at least.
    pub fn new(beside: usize) -> Self {
        Self { beside: beside.max(1), anchors: Vec::new(), rows: Vec::new() }
    }

    /// Adds one; it has as many rows as every other.
    pub fn push(&mut self, anchor: Row, rows: impl IntoIterator<Item = Row>) {
        self.anchors.push(anchor);
        self.rows.extend(rows);
        debug_assert_eq!(self.rows.len(), self.anchors.len() * self.beside);
    }

    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }

    /// The anchor at a place below [`Entries::len`].
    pub fn anchor(&self, place: u64) -> Row {
        self.anchors[place as usize]
    }

    /// The rows beside it.
    pub fn rows(&self, place: u64) -> &[Row] {
        &self.rows[place as usize * self.beside..][..self.beside]
    }
}
