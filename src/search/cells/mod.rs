//! k-means cells: rows that are near each other lie together, and each anchor visits only the cells that promise enough.
//!
//! How many rows of a window a cell holds is predicted from the cell's mean and spread (see [`outlook`]). An anchor first
//! visits a few cells that look best; what it finds there draws its windows in, and of the other cells it visits those
//! from which a row still costs less to get than a common bound. One bound for all anchors spends the time where it
//! brings most: it is tuned on a sample of anchors until the recall asked for is reached. Anchors of a partition visit a
//! cell together, in the same tiles as exact search.

#[cfg(feature = "cluster")]
mod assignment;
mod cluster;
mod normal;
mod outlook;
mod trained;

#[cfg(feature = "cluster")]
pub use assignment::Assignment;
pub use cluster::{CHUNK as ASSIGNED, ROUNDS as TRAINING_ROUNDS, SAMPLE};

use std::collections::HashMap;
use std::io;
use std::path::Path;

use rayon::prelude::*;

use super::corpus::{self, Corpus};
use super::exact::Exact;
use super::seeker::{Scratch, Seeker, Slack};
use super::tiles::{Space, Tiles, squared_norm};
use super::{Found, Quest, Search, Tunable};
use crate::store::{Classes, Code, Prepared, Row};
use cluster::Centres;
use outlook::{Cell, Outlook, VISITED};
use trained::Trained;

/// Anchors whose visits are planned together: what is known of each cell and anchor must fit in memory.
pub const ANCHORS: usize = 2_048;
/// Rounds of visits after the first: what each finds shows more precisely what is still missing.
const ROUNDS: usize = 2;

/// Search in cells.
pub struct Cells<'s> {
    exact: Exact<'s>,
    cells: Vec<Cell>,
    outlook: Outlook,
    effort: u32,
    few: bool,
}

/// What cells lie in.
struct Ground<'s> {
    corpus: Corpus<'s>,
    space: Space,
    candidates: Vec<Row>,
}

impl<'s> Ground<'s> {
    fn of(store: &'s Prepared, unlabelled: bool) -> Self {
        let corpus = Corpus::new(store, unlabelled);
        let candidates = corpus.candidates().collect();
        Self { corpus, space: Space::of(store), candidates }
    }
}

impl<'s> Cells<'s> {
    /// How many cells a store of `rows` rows has by default: √n cells of √n rows balance finding a cell with searching it;
    /// twice as many, because all cells are looked at together and their rows are not.
    pub fn count(rows: u32) -> u32 {
        ((2.0 * f64::from(rows).sqrt()) as u32).clamp(1, rows.max(1))
    }

    /// As many as are asked for, or else as many as so many candidates have by default.
    fn count_of(asked: Option<u32>, candidates: usize) -> usize {
        asked.unwrap_or_else(|| Self::count(candidates as u32)) as usize
    }

    /// Trains the cells and packs the store cell by cell. `unlabelled` as in [`Exact::new`].
    ///
    /// # Errors
    /// When the packed rows cannot be kept beside the store.
    pub fn new(store: &'s Prepared, count: Option<u32>, unlabelled: bool) -> io::Result<Self> {
        Self::open(store, count, unlabelled, None)
    }

    /// The same; what training gives is kept in the file `kept`, and taken from there where it is.
    ///
    /// # Errors
    /// When that file, or the packed rows, cannot be written.
    pub fn open(store: &'s Prepared, count: Option<u32>, unlabelled: bool, kept: Option<&Path>) -> io::Result<Self> {
        let ground = Ground::of(store, unlabelled);
        let count = Self::count_of(count, ground.candidates.len());
        let found = kept.and_then(|path| Trained::kept(path, store.rows() as usize));
        let trained = match found {
            Some(trained) => trained,
            None => {
                let Ground { space, candidates, .. } = &ground;
                let centres = cluster::train(store, space, candidates, count);
                let codes = cluster::assign(store, space, candidates, &centres);
                let trained = Trained { centres: centres.vectors, codes };
                kept.map_or(Ok(()), |path| trained.keep(path))?;
                trained
            }
        };
        Self::over(ground, trained)
    }

    /// The cells that were [kept](Cells::open) in a file; they are never trained here.
    ///
    /// # Errors
    /// When it does not hold cells of this store; when the packed rows cannot be written.
    pub fn reopen(store: &'s Prepared, unlabelled: bool, kept: &Path) -> io::Result<Self> {
        let absent = || {
            let message = format!("{}: expected the trained cells of this store, whole", kept.display());
            io::Error::new(io::ErrorKind::InvalidData, message)
        };
        let trained = Trained::kept(kept, store.rows() as usize).ok_or_else(absent)?;
        Self::over(Ground::of(store, unlabelled), trained)
    }

    fn over(ground: Ground<'s>, trained: Trained) -> io::Result<Self> {
        let Ground { corpus, space, candidates } = ground;
        let Trained { centres, codes } = trained;
        let store = corpus.store;
        let members = Classes::new(&codes);
        let described: Vec<(Cell, Vec<f64>)> = centres
            .into_par_iter()
            .enumerate()
            .map(|(cell, centre)| describe(members.members(Code(cell as u32)), centre, store, &space))
            .collect();
        let (mut cells, means): (Vec<Cell>, Vec<Vec<f64>>) = described.into_iter().unzip();
        let outlook = Outlook::new(store, &space, &candidates, codes, &mut cells, Centres::new(means));
        let runs = (0..cells.len()).map(|cell| members.members(Code(cell as u32)));
        let tiles = Tiles::new(store, space, runs, true)?;
        Ok(Self { exact: Exact::over(corpus, tiles), cells, outlook, effort: 0, few: false })
    }

    /// How many cells there are.
    pub fn cells(&self) -> usize {
        self.cells.len()
    }

    /// Expected rows for each row looked at, below which a cell is not visited.
    fn bound(&self) -> f32 {
        if self.effort >= Self::MOST {
            return 0.0;
        }
        let rows: f32 = self.cells.iter().map(|cell| cell.rows).sum();
        // Half as much with every second step.
        let half = if self.effort.is_multiple_of(2) { 1.0 } else { std::f32::consts::FRAC_1_SQRT_2 };
        64.0 / rows * half / (1u32 << (self.effort / 2)) as f32
    }

    /// The effort at which every cell is visited.
    const MOST: u32 = 32;

    /// Lets the seekers visit cells.
    fn visit(&self, seekers: &mut [Seeker]) {
        let mut sums = self.outlook.products(seekers, &self.cells);
        let columns = (sums.len() / seekers.len().max(1)).max(1);
        let store = self.exact.corpus.store;
        let mut by_label: HashMap<Code, Vec<(u32, f32)>> = HashMap::new();
        let (mut scratch, mut views, bound) = (Scratch::default(), Vec::new(), self.bound());
        for round in 0..=ROUNDS {
            // Of each cell, who visits it.
            let mut visitors: Vec<Vec<u32>> = vec![Vec::new(); self.cells.len()];
            for (index, (seeker, sums)) in seekers.iter().zip(sums.chunks_exact_mut(columns)).enumerate() {
                self.outlook.view(seeker, &self.cells, sums, &mut views);
                let class = seeker.label();
                let labels = store.labels_in(&class);
                for &label in labels {
                    by_label.entry(label).or_insert_with(|| self.outlook.by_cell(store.members(label)));
                }
                let chosen = match round {
                    0 => outlook::best(seeker, &views, sums),
                    _ => {
                        let own = outlook::kin(labels.iter().map(|label| by_label[label].as_slice()));
                        outlook::promising(seeker, &self.cells, &views, sums, &own, bound)
                    }
                };
                for cell in chosen {
                    sums[cell as usize] = VISITED;
                    visitors[cell as usize].push(index as u32);
                }
            }
            // In the first round only windows that want the nearest rows have anything to begin with.
            if round > 0 && visitors.iter().all(Vec::is_empty) {
                break;
            }
            for (cell, visitors) in visitors.iter().enumerate().filter(|(_, visitors)| !visitors.is_empty()) {
                for block in self.exact.tiles.run(cell) {
                    self.exact.show(block, seekers, visitors, &mut scratch);
                }
            }
        }
    }
}

/// A cell and the mean of its rows.
fn describe(rows: &[Row], centre: Vec<f64>, store: &Prepared, space: &Space) -> (Cell, Vec<f64>) {
    if rows.is_empty() {
        let square = squared_norm(&centre) as f32;
        return (Cell { rows: 0.0, offset: 0.0, residual: 0.0, square, steepness: 0.0 }, centre);
    }
    let count = rows.len() as f64;
    let (mut mean, mut squares) = (vec![0.0; centre.len()], 0.0);
    for &row in rows {
        let vector = space.place(store.vector(row));
        squares += squared_norm(&vector);
        mean.iter_mut().zip(&vector).for_each(|(sum, value)| *sum += value);
    }
    mean.iter_mut().for_each(|sum| *sum /= count);
    let (mean_square, square) = (squares / count, squared_norm(&mean));
    let offset = if space.is_centred() { -0.5 * mean_square } else { 0.0 };
    let residual = (mean_square - square).max(0.0) as f32;
    (Cell { rows: count as f32, offset: offset as f32, residual, square: square as f32, steepness: 0.0 }, mean)
}

impl Search for Cells<'_> {
    fn find(&self, quests: &[Quest]) -> Vec<Found> {
        let (mut found, open) = self.exact.corpus.without_scan(quests);
        for open in open.chunks(ANCHORS) {
            let mut seekers = self.exact.seekers(quests, &found, open, Slack::Likely);
            self.visit(&mut seekers);
            self.exact.collect(seekers, false, &mut found);
        }
        corpus::settled(found)
    }

    fn settles(&self) -> Option<&dyn Search> {
        if self.few { Some(&self.exact) } else { None }
    }
}

impl Tunable for Cells<'_> {
    fn efforts(&self) -> u32 {
        Self::MOST + 1
    }

    fn set_effort(&mut self, effort: u32) {
        self.effort = effort;
    }

    fn set_few(&mut self, few: bool) {
        self.few = few;
    }

    fn exact(&self) -> &dyn Search {
        &self.exact
    }
}
