//! k-means (Lloyd 1982) over a sample, and every row's nearest centre.
//!
//! Integer products and sums in a fixed order: the cells are the same on every machine and at every thread count.

use rayon::prelude::*;

use crate::kernel::quantised::{PackedBlock, Query, pack, products};
use crate::search::lottery::mix;
use crate::search::tiles::{Space, squared_norm};
use crate::store::{Code, Prepared, Row};

/// Rows of the sample a cell.
pub const SAMPLE: usize = 48;
/// Rounds of training. Cells need not be the best: how well they serve is measured on every run.
pub const ROUNDS: usize = 8;
/// Rows that are assigned together.
pub const CHUNK: usize = 512;
/// A cell with less than this share of an average one gives its centre to the largest cells.
const SMALLEST: f64 = 0.125;

/// Centres in the space of scores, packed to be multiplied.
pub(super) struct Centres {
    pub vectors: Vec<Vec<f64>>,
    pub block: PackedBlock,
    /// −‖μ‖²/2.
    halves: Vec<f64>,
}

impl Centres {
    pub fn new(vectors: Vec<Vec<f64>>) -> Self {
        let columns: Vec<&[f64]> = vectors.iter().map(Vec::as_slice).collect();
        let block = pack(&columns, columns.first().map_or(0, |column| column.len()));
        let halves = columns.iter().map(|column| -0.5 * squared_norm(column)).collect();
        Self { vectors, block, halves }
    }

    /// The centre nearest to each vector, as far as products of integers tell.
    fn nearest(&self, vectors: &[Vec<f64>]) -> Vec<Code> {
        let queries: Vec<Query> = vectors.iter().map(|vector| Query::new(vector)).collect();
        let mut sums = Vec::new();
        products(&queries.iter().collect::<Vec<_>>(), &self.block.bytes, &mut sums);
        let columns = sums.len() / queries.len().max(1);
        let nearest =
            |(query, sums): (&Query, &[i32])| {
                let unit = query.scale * self.block.scale;
                let scores = sums.iter().zip(&self.halves).map(|(&sum, half)| f64::from(sum) * unit + half);
                let best = scores.enumerate().fold((0, f64::NEG_INFINITY), |best, (centre, score)| {
                    if score > best.1 { (centre, score) } else { best }
                });
                Code(best.0 as u32)
            };
        queries.iter().zip(sums.chunks_exact(columns.max(1))).map(nearest).collect()
    }
}

/// Trains `count` centres on a sample that the rows' ids decide.
pub(super) fn train(store: &Prepared, space: &Space, candidates: &[Row], count: usize) -> Centres {
    let mut sample: Vec<(u64, Row)> =
        candidates.iter().map(|&row| (mix(store.keys()[row.index()] ^ SEED), row)).collect();
    let size = (SAMPLE * count).min(sample.len());
    if size < sample.len() {
        sample.select_nth_unstable(size);
        sample.truncate(size);
    }
    sample.sort_unstable();
    let place = |&(_, row): &(u64, Row)| space.place(store.vector(row));
    let vectors: Vec<Vec<f64>> = sample.par_iter().map(place).collect();
    let mut centres = Centres::new(vectors[..count.min(vectors.len())].to_vec());
    for round in 0..ROUNDS {
        let nearest: Vec<Code> = vectors.par_chunks(CHUNK).flat_map_iter(|chunk| centres.nearest(chunk)).collect();
        centres = Centres::new(means(&vectors, &nearest, centres.vectors, round + 1 < ROUNDS));
    }
    centres
}

/// Any constant: which rows train must not depend on anything else drawn from ids.
const SEED: u64 = 0x6365_6c6c_7321;

/// The mean of each centre's vectors. With `share`, centres that nearly nothing is near to move into the largest cells.
fn means(vectors: &[Vec<f64>], nearest: &[Code], mut centres: Vec<Vec<f64>>, share: bool) -> Vec<Vec<f64>> {
    let mut counts = vec![0u32; centres.len()];
    let mut sums: Vec<Vec<f64>> = centres.iter().map(|centre| vec![0.0; centre.len()]).collect();
    for (vector, centre) in vectors.iter().zip(nearest) {
        counts[centre.index()] += 1;
        sums[centre.index()].iter_mut().zip(vector).for_each(|(sum, value)| *sum += value);
    }
    for ((centre, sum), &count) in centres.iter_mut().zip(sums).zip(&counts).filter(|(_, count)| **count > 0) {
        *centre = sum.iter().map(|value| value / f64::from(count)).collect();
    }
    if share {
        let average = vectors.len() as f64 / centres.len() as f64;
        let mut by_size: Vec<usize> = (0..centres.len()).collect();
        by_size.sort_unstable_by_key(|&centre| (counts[centre], centre));
        let small = by_size.iter().take_while(|&&centre| f64::from(counts[centre]) < SMALLEST * average).count();
        for rank in 0..small.min(by_size.len() / 2) {
            let (small, large) = (by_size[rank], Code(by_size[by_size.len() - 1 - rank] as u32));
            // The first vector of the large cell's: as good as any, and always the same.
            if let Some(first) = nearest.iter().position(|centre| *centre == large) {
                centres[small] = vectors[first].clone();
            }
        }
    }
    centres
}

/// The nearest centre of every candidate, as one code a row of the store; null for rows that are none.
pub(super) fn assign(store: &Prepared, space: &Space, candidates: &[Row], centres: &Centres) -> Vec<Code> {
    let chunks = candidates.par_chunks(CHUNK);
    let nearest: Vec<Code> = chunks.flat_map_iter(|rows| nearest(store, space, rows, centres)).collect();
    let mut codes = vec![Code::NULL; store.rows() as usize];
    candidates.iter().zip(nearest).for_each(|(row, code)| codes[row.index()] = code);
    codes
}

/// The centre nearest to each of some rows, at best a [`CHUNK`] of them. It does not depend on the rows beside.
pub(super) fn nearest(store: &Prepared, space: &Space, rows: &[Row], centres: &Centres) -> Vec<Code> {
    let vectors: Vec<Vec<f64>> = rows.iter().map(|&row| space.place(store.vector(row))).collect();
    centres.nearest(&vectors)
}
