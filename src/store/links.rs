//! Links from anchors to rows of the corpus, in compressed sparse rows: which rows are an anchor's positives, or what a
//! reranker says of the two.
//!
//! ```text
//! <name>-offsets.npy  u64  anchor i owns the links offsets[i] .. offsets[i + 1]
//! <name>-rows.npy     u32  rows of the corpus, of each anchor ascending, each once
//! <name>-values.npy   f32  a number of each link, where there are any
//! ```

use std::io;
use std::path::{Path, PathBuf};

use super::Row;
use super::npy::{Npy, NpyWriter, Shape};

/// One link: the anchor, counted from the first, the row of the corpus, and a number where the table has one (else 0).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Link {
    pub left: u32,
    pub right: Row,
    pub value: f32,
}

/// The rows that each anchor is linked to. Read in place.
pub struct Links {
    offsets: Npy<u64>,
    rows: Npy<Row>,
    values: Option<Npy<f32>>,
}

fn file(dir: &Path, name: &str, what: &str) -> PathBuf {
    dir.join(file_name(name, what))
}

fn file_name(name: &str, what: &str) -> String {
    format!("{name}-{what}.npy")
}

/// Links in their order, each once. A link that comes again with another number is an error: nobody knows which one holds.
///
/// # Errors
/// The first such link, with both numbers, the smaller first.
pub(super) fn sort(links: &mut Vec<Link>) -> Result<(), [Link; 2]> {
    use rayon::slice::ParallelSliceMut;
    links.par_sort_unstable_by(|a, b| (a.left, a.right).cmp(&(b.left, b.right)).then(a.value.total_cmp(&b.value)));
    links.dedup();
    let again = |pair: &&[Link]| (pair[0].left, pair[0].right) == (pair[1].left, pair[1].right);
    match links.windows(2).find(again) {
        Some(pair) => Err([pair[0], pair[1]]),
        None => Ok(()),
    }
}

impl Links {
    /// Writes the [`sort`]ed links of `lefts` anchors. Gives the files' names and hashes.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(super) fn write(
        dir: &Path,
        name: &str,
        lefts: u32,
        links: &[Link],
        valued: bool,
    ) -> io::Result<Vec<(String, String)>> {
        let mut files = Vec::new();
        let mut offsets = NpyWriter::create(&file(dir, name, "offsets"))?;
        let mut end = 0;
        offsets.write(&[0u64])?;
        for left in 0..lefts {
            end += links[end..].iter().take_while(|link| link.left == left).count();
            offsets.write(&[end as u64])?;
        }
        files.push((file_name(name, "offsets"), offsets.finish(None)?));
        let mut rows = NpyWriter::create(&file(dir, name, "rows"))?;
        links.iter().try_for_each(|link| rows.write(&[link.right]))?;
        files.push((file_name(name, "rows"), rows.finish(None)?));
        if valued {
            let mut values = NpyWriter::create(&file(dir, name, "values"))?;
            links.iter().try_for_each(|link| values.write(&[link.value]))?;
            files.push((file_name(name, "values"), values.finish(None)?));
        }
        Ok(files)
    }

    /// Opens `count` links of `lefts` anchors to a corpus of `rights` rows.
    ///
    /// # Errors
    /// When a file cannot be read or is not what [`Links::write`] wrote: later rooms rely on every row.
    pub(super) fn open(dir: &Path, name: &str, lefts: u32, rights: u32, count: u64, valued: bool) -> io::Result<Self> {
        let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{name}: {what}"));
        let rows = usize::try_from(count).map_err(|_| damaged("too many links"))?;
        let (lefts, shape) = (lefts as usize + 1, Shape { rows, width: None });
        let offsets: Npy<u64> = Npy::open(&file(dir, name, "offsets"), Shape { rows: lefts, width: None })?;
        let links = Self {
            rows: Npy::open(&file(dir, name, "rows"), shape)?,
            values: valued.then(|| Npy::open(&file(dir, name, "values"), shape)).transpose()?,
            offsets,
        };
        let offsets = links.offsets.values();
        if !offsets.is_sorted() || offsets.first() != Some(&0) || offsets.last() != Some(&count) {
            return Err(damaged("offsets that do not ascend to the number of links"));
        }
        let fits = |left: usize| {
            let rows = links.of(left as u32);
            rows.is_sorted_by(|a, b| a < b) && rows.last().is_none_or(|row| row.0 < rights)
        };
        if !(0..lefts - 1).all(fits) {
            return Err(damaged("rows that do not ascend, or are not of the corpus"));
        }
        Ok(links)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.values().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn span(&self, left: u32) -> std::ops::Range<usize> {
        let offsets = self.offsets.values();
        offsets[left as usize] as usize..offsets[left as usize + 1] as usize
    }

    /// The rows that an anchor, counted from the first, is linked to, ascending.
    pub fn of(&self, left: u32) -> &[Row] {
        &self.rows.values()[self.span(left)]
    }

    /// The same with the number of each; none where links have none.
    pub fn valued(&self, left: u32) -> impl Iterator<Item = (Row, f32)> {
        let values = self.values.as_ref().map_or(&[][..], |values| &values.values()[self.span(left)]);
        self.of(left).iter().copied().zip(values.iter().copied())
    }

    /// The number of a link; `None` where there is no such link, or none has a number.
    pub fn value(&self, left: u32, right: Row) -> Option<f32> {
        let place = self.of(left).binary_search(&right).ok()?;
        Some(self.values.as_ref()?.values()[self.span(left).start + place])
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn link(left: u32, right: u32, value: f32) -> Link {
        Link { left, right: Row(right), value }
    }

    #[test]
    fn links_come_back_by_anchor_ascending_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut links = vec![link(3, 9, 0.5), link(1, 4, -1.0), link(3, 0, 2.0), link(3, 9, 0.5), link(0, 4, 7.0)];
        sort(&mut links).unwrap();
        for valued in [false, true] {
            Links::write(dir.path(), "x", 5, &links, valued).unwrap();
            let found = Links::open(dir.path(), "x", 5, 10, 4, valued).unwrap();
            let all: Vec<Vec<u32>> = (0..5).map(|left| found.of(left).iter().map(|row| row.0).collect()).collect();
            assert_eq!(all, [vec![4], vec![4], vec![], vec![0, 9], vec![]]);
            assert_eq!(found.len(), 4);
            assert_eq!(found.value(3, Row(9)), valued.then_some(0.5));
            assert_eq!(found.value(3, Row(1)), None);
            let numbers: Vec<(Row, f32)> = found.valued(3).collect();
            assert_eq!(numbers, if valued { vec![(Row(0), 2.0), (Row(9), 0.5)] } else { vec![] });
        }
    }

    #[test]
    fn one_link_with_two_numbers_is_an_error() {
        let mut links = vec![link(2, 1, 3.0), link(0, 1, 3.0), link(2, 1, 1.0)];
        assert_eq!(sort(&mut links), Err([link(2, 1, 1.0), link(2, 1, 3.0)]));
    }

    #[test]
    fn damaged_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let links = [link(0, 3, 0.0), link(0, 5, 0.0), link(1, 2, 0.0)];
        let open = |rights| Links::open(dir.path(), "x", 2, rights, 3, false);
        Links::write(dir.path(), "x", 2, &links, false).unwrap();
        assert!(open(6).is_ok());
        assert!(open(5).is_err(), "row 5 of five rows");
        assert!(Links::open(dir.path(), "x", 2, 6, 2, false).is_err(), "another number of links");
        assert!(Links::open(dir.path(), "x", 3, 6, 3, false).is_err(), "another number of anchors");
        assert!(Links::open(dir.path(), "x", 2, 6, 3, true).is_err(), "no numbers were written");
        for (what, at, byte) in [("offsets", 128 + 8, 9), ("rows", 128 + 4, 3)] {
            let path = file(dir.path(), "x", what);
            let honest = fs::read(&path).unwrap();
            let mut bytes = honest.clone();
            bytes[at] = byte;
            fs::write(&path, bytes).unwrap();
            assert!(open(6).is_err(), "{what}");
            fs::write(&path, honest).unwrap();
        }
        assert!(open(6).is_ok());
    }
}
