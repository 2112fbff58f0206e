//! Rows brought to their cells a stretch at a time, for those who share that work: of all that an index of cells takes, nearly the whole.
//!
//! ```text
//! FOLDER/
//!   centres         of the space where it has one, then of the cells
//!   stretch-00012   u32 each: the cells of a stretch of candidates
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::cluster::{self, CHUNK, Centres};
use super::trained::Trained;
use super::{Cells, Space};
use crate::disk::{self, Whole};
use crate::search::corpus;
use crate::store::{Code, Prepared, Row};

/// Candidates of a stretch: some seconds of work in a store that is worth sharing, …
const STRETCH: usize = 1 << 16;
/// … and never more stretches than this.
const STRETCHES: usize = 4_096;

/// The cells of all candidates of a store, as they become known.
pub struct Assignment<'s> {
    store: &'s Prepared,
    space: Space,
    candidates: Vec<Row>,
    centres: Centres,
    folder: PathBuf,
}

impl<'s> Assignment<'s> {
    /// Whether so many candidates are worth sharing.
    pub fn is_worth(candidates: u64) -> bool {
        candidates > STRETCH as u64
    }

    /// Trains the centres, and keeps them in `folder`; or takes those that are kept there. `count` and `unlabelled` as in
    /// [`Cells::new`].
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn begin(store: &'s Prepared, count: Option<u32>, unlabelled: bool, folder: &Path) -> io::Result<Self> {
        if let Ok(kept) = Self::reopen(store, unlabelled, folder) {
            return Ok(kept);
        }
        fs::create_dir_all(folder)?;
        let candidates: Vec<Row> = corpus::candidates(store, unlabelled).collect();
        let (space, count) = (Space::of(store), Cells::count_of(count, candidates.len()));
        let centres = cluster::train(store, &space, &candidates, count);
        let kept = space.centre().into_iter().chain(&centres.vectors).cloned().collect();
        Trained { centres: kept, codes: Vec::new() }.keep(&folder.join(Self::CENTRES))?;
        Ok(Self { store, space, candidates, centres, folder: folder.to_owned() })
    }

    /// The same with the centres that are kept in `folder`; nothing is trained here.
    ///
    /// # Errors
    /// When they are not there, whole.
    pub fn reopen(store: &'s Prepared, unlabelled: bool, folder: &Path) -> io::Result<Self> {
        let path = folder.join(Self::CENTRES);
        let fits = |kept: &Trained| kept.centres.iter().all(|centre| centre.len() == store.dims());
        let kept =
            Trained::kept(&path, 0).filter(fits).ok_or_else(|| absent(&path, "the centres of this store's cells"))?;
        let mut centres = kept.centres.into_iter();
        let space = Space::around(store, || centres.next().unwrap_or_default());
        let candidates = corpus::candidates(store, unlabelled).collect();
        Ok(Self { store, space, candidates, centres: Centres::new(centres.collect()), folder: folder.to_owned() })
    }

    /// How many cells there are.
    pub fn cells(&self) -> usize {
        self.centres.vectors.len()
    }

    /// How many stretches there are.
    pub fn stretches(&self) -> u32 {
        self.candidates.chunks(self.length()).len() as u32
    }

    /// The rows of a stretch.
    pub fn rows(&self, stretch: u32) -> &[Row] {
        self.candidates.chunks(self.length()).nth(stretch as usize).unwrap_or_default()
    }

    fn length(&self) -> usize {
        self.candidates.len().div_ceil(STRETCHES).next_multiple_of(CHUNK).max(STRETCH)
    }

    /// Of some stretches, those whose cells are known.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn settled(&self, among: &BTreeSet<u32>) -> io::Result<Vec<u32>> {
        let mut settled = Vec::new();
        // One look at the folder costs less than one at each name, where it is on another machine.
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let stretch = name.to_str().and_then(|name| name.strip_prefix(STRETCH_FILE)?.parse().ok());
            settled.extend(stretch.filter(|stretch| among.contains(stretch) && self.is_settled(*stretch)));
        }
        Ok(settled)
    }

    /// Whether the cells of a stretch are known: whole, and not damaged since.
    pub fn is_settled(&self, stretch: u32) -> bool {
        self.codes(stretch).is_ok()
    }

    /// Finds the cells of a stretch on this thread, and keeps them. Another process may be at the same one: it keeps the same bytes.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn settle(&self, stretch: u32) -> io::Result<()> {
        let nearest = |rows| cluster::nearest(self.store, &self.space, rows, &self.centres);
        let codes: Vec<Code> = self.rows(stretch).chunks(CHUNK).flat_map(nearest).collect();
        let mut file = Whole::create(&self.path(stretch))?;
        file.write_all(bytemuck::cast_slice(&codes))?;
        file.commit()
    }

    /// Puts all stretches together into the file that [`Cells::open`] looks for, and removes the folder.
    ///
    /// # Errors
    /// When a stretch is missing, or the file cannot be written.
    pub fn finish(self, kept: &Path) -> io::Result<()> {
        let mut codes = vec![Code::NULL; self.store.rows() as usize];
        for stretch in 0..self.stretches() {
            self.rows(stretch).iter().zip(self.codes(stretch)?).for_each(|(row, code)| codes[row.index()] = code);
        }
        Trained { centres: self.centres.vectors, codes }.keep(kept)?;
        // Whoever is still at a stretch may be writing there; it goes with the run then.
        let _ = disk::remove_folder(&self.folder);
        Ok(())
    }

    fn codes(&self, stretch: u32) -> io::Result<Vec<Code>> {
        let path = self.path(stretch);
        let bytes = disk::read(&path)?;
        let (codes, rest) = bytes.as_chunks();
        let codes: Vec<Code> = codes.iter().map(|bytes| Code(u32::from_le_bytes(*bytes))).collect();
        let is_whole = rest.is_empty() && codes.len() == self.rows(stretch).len();
        let exist = || codes.iter().all(|code| code.index() < self.cells());
        if is_whole && exist() { Ok(codes) } else { Err(absent(&path, "a cell for each row of the stretch")) }
    }

    /// What the file of the centres is called.
    pub const CENTRES: &'static str = "centres";

    /// What the file of a stretch is called.
    pub fn file(stretch: u32) -> String {
        format!("{STRETCH_FILE}{stretch:05}")
    }

    fn path(&self, stretch: u32) -> PathBuf {
        self.folder.join(Self::file(stretch))
    }
}

const STRETCH_FILE: &str = "stretch-";

fn absent(path: &Path, expected: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: expected {expected}, whole", path.display()))
}
