//! Labels of which a row may have several: its class is its set of labels, and two rows are akin when their sets share one.
//!
//! ```text
//! sets-offsets.npy  u64  class c holds the labels offsets[c] .. offsets[c + 1], one at least
//! sets-labels.npy   u32  codes of labels, of each class ascending, each once
//! ```
//!
//! The codes of labels ascend with their values, so that nothing depends on which row came first.

use std::cmp::Ordering;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Code;
use super::layout;
use super::npy::{Npy, NpyWriter, Shape};

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SetsHeader {
    /// Distinct labels.
    pub labels: usize,
    /// Of all sets together.
    pub members: usize,
}

/// The labels of each class. Read in place.
pub(super) struct Sets {
    offsets: Npy<u64>,
    labels: Npy<Code>,
}

impl Sets {
    /// Writes the labels of each class, ascending. Gives the files' names and hashes.
    pub fn write(dir: &Path, sets: &[Box<[Code]>]) -> io::Result<[(String, String); 2]> {
        let mut offsets = NpyWriter::create(&dir.join(layout::SET_OFFSETS))?;
        let mut labels = NpyWriter::create(&dir.join(layout::SET_LABELS))?;
        let mut end = 0u64;
        offsets.write(&[end])?;
        for set in sets {
            end += set.len() as u64;
            offsets.write(&[end])?;
            labels.write(set)?;
        }
        let named = |name: &str, digest| (name.to_owned(), digest);
        Ok([named(layout::SET_OFFSETS, offsets.finish(None)?), named(layout::SET_LABELS, labels.finish(None)?)])
    }

    /// Opens the labels of `classes` classes.
    ///
    /// # Errors
    /// When a file cannot be read or is not what [`Sets::write`] wrote: later rooms rely on every code.
    pub fn open(dir: &Path, classes: usize, header: SetsHeader) -> io::Result<Self> {
        let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("labels of classes: {what}"));
        let offsets: Npy<u64> = Npy::open(&dir.join(layout::SET_OFFSETS), Shape { rows: classes + 1, width: None })?;
        let labels = Npy::open(&dir.join(layout::SET_LABELS), Shape { rows: header.members, width: None })?;
        let ends = offsets.values();
        if !ends.is_sorted() || ends.first() != Some(&0) || ends.last() != Some(&(header.members as u64)) {
            return Err(damaged("offsets that do not ascend to their number"));
        }
        let sets = Self { offsets, labels };
        let fits = |class: usize| {
            let labels = sets.of(Code(class as u32));
            labels.is_sorted_by(|a, b| a < b) && labels.last().is_some_and(|label| label.index() < header.labels)
        };
        if !(0..classes).all(fits) {
            return Err(damaged("codes that do not ascend, or of no label"));
        }
        Ok(sets)
    }

    /// The labels of a class, ascending; meaningless for null.
    pub fn of(&self, class: Code) -> &[Code] {
        let ends = &self.offsets.values()[class.index()..class.index() + 2];
        &self.labels.values()[ends[0] as usize..ends[1] as usize]
    }

    /// The first label that two classes share; null shares none.
    #[inline]
    pub fn shared(&self, a: Code, b: Code) -> Option<Code> {
        if a.is_null() || b.is_null() {
            return None;
        }
        first_shared(self.of(a), self.of(b))
    }
}

/// The first value of two ascending lists that both have.
fn first_shared(mut a: &[Code], mut b: &[Code]) -> Option<Code> {
    while let ([first, rest @ ..], [other, others @ ..]) = (a, b) {
        match first.cmp(other) {
            Ordering::Equal => return Some(*first),
            Ordering::Less => a = rest,
            Ordering::Greater => b = others,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn set(labels: &[u32]) -> Box<[Code]> {
        labels.iter().map(|&label| Code(label)).collect()
    }

    #[test]
    fn classes_share_the_first_label_that_both_have() {
        let dir = tempfile::tempdir().unwrap();
        let all = [set(&[0, 2, 5]), set(&[1]), set(&[1, 2, 5]), set(&[3, 4])];
        Sets::write(dir.path(), &all).unwrap();
        let sets = Sets::open(dir.path(), 4, SetsHeader { labels: 6, members: 9 }).unwrap();
        let shared = |a: u32, b: u32| sets.shared(Code(a), Code(b)).map(|code| code.0);
        assert_eq!((shared(0, 2), shared(2, 0), shared(1, 2)), (Some(2), Some(2), Some(1)));
        assert_eq!((shared(0, 1), shared(3, 2), shared(3, 3)), (None, None, Some(3)));
        assert_eq!(sets.shared(Code::NULL, Code::NULL), None);
        assert_eq!(sets.of(Code(2)), [1, 2, 5].map(Code));
    }

    #[test]
    fn damaged_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        Sets::write(dir.path(), &[set(&[0, 2]), set(&[1])]).unwrap();
        let open = |classes, labels, members| Sets::open(dir.path(), classes, SetsHeader { labels, members });
        assert!(open(2, 3, 3).is_ok());
        assert!(open(2, 2, 3).is_err(), "label 2 of two");
        assert!(open(1, 3, 3).is_err(), "another number of classes");
        assert!(open(2, 3, 2).is_err(), "another number of labels");
        for (file, at, byte) in [(layout::SET_OFFSETS, 128 + 8, 9), (layout::SET_LABELS, 128, 2)] {
            let path = dir.path().join(file);
            let honest = fs::read(&path).unwrap();
            let mut bytes = honest.clone();
            bytes[at] = byte;
            fs::write(&path, bytes).unwrap();
            assert!(open(2, 3, 3).is_err(), "{file}");
            fs::write(&path, honest).unwrap();
        }
        Sets::write(dir.path(), &[set(&[0, 2]), set(&[])]).unwrap();
        assert!(open(2, 3, 2).is_err(), "a class without labels");
    }
}
