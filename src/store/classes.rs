//! Which rows carry a code.

use std::slice;

use super::{Code, Row};

/// The rows of each code, ascending, by counting sort.
pub struct Classes {
    /// Code `c` owns `rows[starts[c]..starts[c + 1]]`.
    starts: Vec<u64>,
    rows: Vec<Row>,
}

impl Classes {
    /// Sorts the rows by their codes, one code a row; null owns none.
    pub fn new(codes: &[Code]) -> Self {
        Self::from(0, codes)
    }

    /// The same of rows from `first` on.
    pub fn from(first: u32, codes: &[Code]) -> Self {
        let of = |row: usize| if codes[row].is_null() { &[][..] } else { slice::from_ref(&codes[row]) };
        Self::of_each(first, codes.len(), of)
    }

    /// The same of so many rows from `first` on that carry any number of codes each, every one once.
    pub(super) fn of_each<'c>(first: u32, rows: usize, codes: impl Fn(usize) -> &'c [Code]) -> Self {
        let coded = || (first..).zip(0..rows).flat_map(|(row, index)| codes(index).iter().map(move |code| (row, code)));
        let classes = coded().map(|(_, code)| code.index() + 1).max().unwrap_or(0);
        let mut starts = vec![0u64; classes + 1];
        for (_, code) in coded() {
            starts[code.index() + 1] += 1;
        }
        for class in 0..classes {
            starts[class + 1] += starts[class];
        }
        let mut next = starts.clone();
        let mut rows = vec![Row(0); starts[classes] as usize];
        for (row, code) in coded() {
            let place = &mut next[code.index()];
            rows[*place as usize] = Row(row);
            *place += 1;
        }
        Self { starts, rows }
    }

    /// The same rows, of each code in the order of their keys, ties by row.
    pub(super) fn ranked(&self, keys: &[u64]) -> Self {
        let mut rows = self.rows.clone();
        for bounds in self.starts.windows(2) {
            rows[bounds[0] as usize..bounds[1] as usize].sort_unstable_by_key(|&row| (keys[row.index()], row));
        }
        Self { starts: self.starts.clone(), rows }
    }

    /// The rows that carry `code`; none for null or a code that no row carries.
    pub fn members(&self, code: Code) -> &[Row] {
        match (self.starts.get(code.index()), self.starts.get(code.index() + 1)) {
            (Some(&start), Some(&end)) => &self.rows[start as usize..end as usize],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_the_rows_of_a_class_ascending() {
        let labels = [1, 0, u32::MAX, 1, 2, 1].map(Code);
        let classes = Classes::new(&labels);
        assert_eq!(classes.members(Code(0)), [Row(1)]);
        assert_eq!(classes.members(Code(1)), [Row(0), Row(3), Row(5)]);
        assert_eq!(classes.members(Code(2)), [Row(4)]);
        assert_eq!(classes.members(Code::NULL), []);
        let several = [&[Code(0), Code(2)][..], &[], &[Code(2)]];
        let classes = Classes::of_each(7, 3, |row| several[row]);
        assert_eq!(classes.members(Code(0)), [Row(7)]);
        assert_eq!(classes.members(Code(2)), [Row(7), Row(9)]);
        assert_eq!(Classes::from(7, &labels).members(Code(1)), [Row(7), Row(10), Row(12)]);
    }
}
