//! Which rows carry a code.

use super::{Code, Row};

/// The rows of each code, ascending, by counting sort.
pub struct Classes {
    /// Code `c` owns `rows[starts[c]..starts[c + 1]]`.
    starts: Vec<u32>,
    rows: Vec<Row>,
}

impl Classes {
    /// Sorts the rows by their codes, one code a row; null owns none.
    pub fn new(codes: &[Code]) -> Self {
        Self::from(0, codes)
    }

    /// The same of rows from `first` on.
    pub fn from(first: u32, codes: &[Code]) -> Self {
        let coded = || (first..).zip(codes).filter(|(_, code)| !code.is_null());
        let classes = coded().map(|(_, code)| code.index() + 1).max().unwrap_or(0);
        let mut starts = vec![0u32; classes + 1];
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

    /// The same, but `None` when a code is beyond `classes`: looked at first, so that a damaged file takes no memory.
    pub(super) fn within(codes: &[Code], classes: usize) -> Option<Self> {
        codes.iter().all(|code| code.is_null() || code.index() < classes).then(|| Self::new(codes))
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
        let classes = Classes::within(&labels, 3).unwrap();
        assert_eq!(classes.members(Code(0)), [Row(1)]);
        assert_eq!(classes.members(Code(1)), [Row(0), Row(3), Row(5)]);
        assert_eq!(classes.members(Code(2)), [Row(4)]);
        assert_eq!(classes.members(Code::NULL), []);
        assert!(Classes::within(&labels, 2).is_none());
        assert_eq!(Classes::from(7, &labels).members(Code(1)), [Row(7), Row(10), Row(12)]);
    }
}
