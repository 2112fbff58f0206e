//! How many rows of a window a cell may hold.
//!
//! Seen from a query x, the scores of a cell's rows y = μ + r spread about that of its mean: x·r has a variance of
//! ‖x‖²·E‖r‖² (‖x − μ‖²·E‖r‖² where scores are those of Euclidean metrics) over the number of directions in which the
//! residuals vary. That number is measured, once for the store.
//! Taken as normal, the scores say which share of a cell lies in a window.

use std::borrow::Cow;

use super::cluster::Centres;
use super::normal::below;
use crate::kernel::quantised::{Query, products};
use crate::search::lottery::mix;
use crate::search::seeker::Seeker;
use crate::search::tiles::{Space, squared_norm};
use crate::store::{Code, Prepared, Row};

/// What is known of a cell.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub rows: f32,
    /// What the mean score starts from; 0 where scores have no offsets.
    pub offset: f32,
    /// E‖r‖².
    pub residual: f32,
    /// ‖μ‖².
    pub square: f32,
    /// One over the deviation of scores that a query of norm 1 sees; known once the spread is.
    pub steepness: f32,
}

/// What is needed to look ahead.
pub(super) struct Outlook {
    centres: Centres,
    /// The cell of each row of the store.
    codes: Vec<Code>,
    /// One over the number of directions in which residuals vary.
    spread: f64,
    /// Whether scores are those of Euclidean metrics.
    centred: bool,
}

/// Queries, and rows for each of them, from which the spread is measured.
const QUERIES: usize = 128;
const ROWS: usize = 128;

impl Outlook {
    pub fn new(
        store: &Prepared,
        space: &Space,
        candidates: &[Row],
        codes: Vec<Code>,
        cells: &mut [Cell],
        centres: Centres,
    ) -> Self {
        let mut outlook = Self { centres, codes, spread: 1.0, centred: space.is_centred() };
        outlook.spread = outlook.measure_spread(store, space, candidates, cells);
        for cell in cells {
            // No cell is so dense that all of its rows look alike.
            let deviation = (f64::from(cell.residual) * outlook.spread).sqrt().max(1e-18);
            cell.steepness = (1.0 / deviation) as f32;
        }
        outlook
    }

    /// Σ(score − score of the mean)² over Σ‖x‖²·E‖r‖², on pairs that nothing but their number decides.
    fn measure_spread(&self, store: &Prepared, space: &Space, candidates: &[Row], cells: &[Cell]) -> f64 {
        let pick = |salt: u64| candidates[(mix(salt) % candidates.len().max(1) as u64) as usize];
        let (mut found, mut expected) = (0.0, 0.0);
        if candidates.is_empty() {
            return 1.0;
        }
        for query in 0..QUERIES as u64 {
            let x = space.place(store.vector(pick(query)));
            for row in 0..ROWS as u64 {
                let row = pick(mix(query + 1) ^ row);
                let (y, cell) = (space.place(store.vector(row)), self.codes[row.index()].index());
                let (score, mean) = (dot(&x, &y), dot(&x, &self.centres.vectors[cell]));
                let offset = if self.centred { -0.5 * squared_norm(&y) } else { 0.0 };
                let Cell { offset: start, residual, square, .. } = cells[cell];
                let lost = score + offset - mean - f64::from(start);
                found += lost * lost;
                let norm = squared_norm(&x);
                let reach = if self.centred { norm - 2.0 * mean + f64::from(square) } else { norm };
                expected += reach.max(0.0) * f64::from(residual);
            }
        }
        if expected > 0.0 { (found / expected).max(1e-9) } else { 1.0 }
    }

    /// The products of each seeker with each cell's mean, one row a seeker; [`VISITED`] where a cell is empty.
    pub fn products(&self, seekers: &[Seeker], cells: &[Cell]) -> Vec<i32> {
        let queries: Vec<&Query> = seekers.iter().map(|seeker| seeker.query().0).collect();
        let mut sums = Vec::new();
        products(&queries, &self.centres.block.bytes, &mut sums);
        let columns = (sums.len() / seekers.len().max(1)).max(1);
        for sums in sums.chunks_exact_mut(columns) {
            let empty = sums.iter_mut().zip(cells).filter(|(_, cell)| cell.rows == 0.0);
            empty.for_each(|(sum, _)| *sum = VISITED);
            sums[cells.len()..].fill(VISITED);
        }
        sums
    }

    /// How many of these rows each cell holds, ascending by cell.
    pub fn by_cell(&self, rows: &[Row]) -> Vec<(u32, f32)> {
        let codes = rows.iter().map(|row| self.codes[row.index()]).filter(|code| !code.is_null());
        let mut cells: Vec<u32> = codes.map(|code| code.0).collect();
        cells.sort_unstable();
        cells.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as f32)).collect()
    }

    /// The cells as one seeker sees them.
    pub fn view(&self, seeker: &Seeker, cells: &[Cell], sums: &[i32], views: &mut Vec<View>) {
        let (query, squared_norm) = seeker.query();
        let unit = (query.scale * self.centres.block.scale) as f32;
        let (squared_norm, spread) = (squared_norm as f32, self.spread as f32);
        // Where scores are products, all cells share the query's part of the deviation.
        let steepness = 1.0 / squared_norm.sqrt().max(f32::MIN_POSITIVE);
        let steep = |product: f32, cell: &Cell| match self.centred {
            false => steepness * cell.steepness,
            true => {
                let reach = (squared_norm - 2.0 * product + cell.square).max(0.0);
                1.0 / (reach * cell.residual * spread).sqrt().max(f32::MIN_POSITIVE)
            }
        };
        views.clear();
        views.extend(cells.iter().zip(sums).map(|(cell, &sum)| {
            let product = sum as f32 * unit;
            View { mean: product + cell.offset, steepness: steep(product, cell) }
        }));
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

/// In the place of a product: this cell is not to be visited any more.
pub(super) const VISITED: i32 = i32::MIN;

/// A cell as one seeker sees it: the score of its mean, and one over the standard deviation of its scores.
pub(super) struct View {
    mean: f32,
    steepness: f32,
}

/// Cells that each window visits first.
const FIRST: usize = 4;
/// So many deviations from the mean nothing is expected.
const FAR: f32 = 5.0;

/// The cells that are densest where a window begins, ascending.
pub(super) fn best(seeker: &Seeker, views: &[View], sums: &[i32]) -> Vec<u32> {
    let mut chosen: Vec<u32> = Vec::new();
    for (_, hi, _, nearest) in seeker.open() {
        if !nearest {
            continue;
        }
        let mut first = [(f32::NEG_INFINITY, u32::MAX); FIRST];
        for (cell, (view, &sum)) in views.iter().zip(sums).enumerate() {
            // The farthest outliers of a cell, or the density at the edge: both on a scale of deviations.
            let rank = match hi == f64::INFINITY {
                true => view.mean + 2.0 / view.steepness,
                false => -((hi as f32 - view.mean) * view.steepness).abs(),
            };
            if rank > first[FIRST - 1].0 && sum != VISITED {
                first[FIRST - 1] = (rank, cell as u32);
                first.sort_by(|a, b| b.0.total_cmp(&a.0));
            }
        }
        chosen.extend(first.iter().map(|&(_, cell)| cell).filter(|&cell| cell != u32::MAX));
    }
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// How many rows with any of some labels each cell holds at least, ascending by cell: as many as have the label that most have.
/// Labels may lie within one another, so that their sum could say that nothing else is there. `counts` are by label.
pub(super) fn kin<'c>(mut counts: impl Iterator<Item = &'c [(u32, f32)]>) -> Cow<'c, [(u32, f32)]> {
    let first = Cow::Borrowed(counts.next().unwrap_or_default());
    counts.fold(first, |kin, more| {
        let mut cells = [kin.as_ref(), more].concat();
        // The larger count of a cell first.
        cells.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        cells.dedup_by_key(|(cell, _)| *cell);
        Cow::Owned(cells)
    })
}

/// The cells in which a row that the seeker will keep costs less than one over `bound` looked at, ascending. `own` are
/// the rows of its class by cell.
pub(super) fn promising(
    seeker: &Seeker,
    cells: &[Cell],
    views: &[View],
    sums: &[i32],
    own: &[(u32, f32)],
    bound: f32,
) -> Vec<u32> {
    let open = |cell: &u32| sums[*cell as usize] != VISITED;
    if bound == 0.0 {
        return (0..cells.len() as u32).filter(open).collect();
    }
    // Of each cell in which anything is expected: how much.
    let mut gains: Vec<(u32, f32)> = Vec::new();
    for (lo, hi, wanted, _) in seeker.open() {
        let (lo, hi, begin) = (lo as f32, hi as f32, gains.len());
        let near = |(_, view): &(usize, &View)| {
            (lo - view.mean) * view.steepness < FAR && (hi - view.mean) * view.steepness > -FAR
        };
        let mut own = own.iter().peekable();
        for (cell, view) in views.iter().enumerate().filter(near) {
            while own.next_if(|&&(other, _)| (other as usize) < cell).is_some() {}
            let mine = own.peek().filter(|&&&(other, _)| other as usize == cell).map_or(0.0, |&&(_, count)| count);
            let share = below((hi - view.mean) * view.steepness) - below((lo - view.mean) * view.steepness);
            if sums[cell] != VISITED {
                gains.push((cell as u32, share * (cells[cell].rows - mine)));
            }
        }
        // Of the rows still to be found as many will stay as are wanted, and as good are those known already.
        let expected: f32 = gains[begin..].iter().map(|(_, gain)| gain).sum();
        let stays = wanted as f32 / (wanted as f32 + expected);
        gains[begin..].iter_mut().for_each(|(_, gain)| *gain *= stays);
    }
    gains.sort_unstable_by_key(|&(cell, _)| cell);
    let worth = |gains: &[(u32, f32)]| {
        let gain: f32 = gains.iter().map(|(_, gain)| gain).sum();
        gain >= bound * cells[gains[0].0 as usize].rows
    };
    gains.chunk_by(|a, b| a.0 == b.0).filter(|gains| worth(gains)).map(|gains| gains[0].0).collect()
}
