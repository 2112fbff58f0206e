//! Every pair, in blocked products: the result is the one of brute force, to the row.
//!
//! A block of anchors meets a block of rows in one matrix product. Its scores are within a known bound of the kernel
//! that decides, so the windows are tested on the scores first, widened by that bound; only what passes is measured
//! exactly. Nothing a window holds can be missed, and nothing else enters it.

use super::corpus::Corpus;
use super::taker::Taker;
use super::{Found, Quest, Search};
use crate::kernel::tile::{ROUNDOFF, add_products, scan, sum_error};
use crate::kernel::{Distance, Metric};
use crate::store::{Prepared, Row};

/// Anchors × rows of one product: half a megabyte of scores stays in a core's second-level cache.
const ANCHORS: usize = 128;
const ROWS: usize = 1024;

/// Exhaustive search over the whole store.
pub struct Exact<'s> {
    pub(super) corpus: Corpus<'s>,
    ruler: Ruler,
    /// What each row's score starts from: −‖y‖²/2 for the Euclidean metrics, else nothing.
    offsets: Vec<f32>,
}

impl<'s> Exact<'s> {
    pub fn new(store: &'s Prepared) -> Self {
        let offsets = match store.metric() {
            Metric::Cosine | Metric::Dot => Vec::new(),
            Metric::Euclidean | Metric::SqEuclidean => {
                store.vectors().chunks_exact(store.dims()).map(|y| (-0.5 * squared_norm(y)) as f32).collect()
            }
        };
        Self { corpus: Corpus::new(store), ruler: Ruler::new(store), offsets }
    }

    /// Fills what is pending of up to [`ANCHORS`] quests by one pass over the store.
    fn pass(&self, quests: &[Quest], pending: &mut [Pending]) {
        let d = self.corpus.store.dims();
        let vectors: Vec<f32> = pending.iter().flat_map(|p| quests[p.quest].vector).copied().collect();
        let mut scores = vec![0.0f32; pending.len() * ROWS];
        for (block_index, block) in self.corpus.store.vectors().chunks(ROWS * d).enumerate() {
            let first = block_index * ROWS;
            let rows = block.len() / d;
            let scores = &mut scores[..pending.len() * rows];
            if self.offsets.is_empty() {
                scores.fill(0.0);
            } else {
                scores.chunks_exact_mut(rows).for_each(|s| s.copy_from_slice(&self.offsets[first..first + rows]));
            }
            add_products(&vectors, block, d, scores);
            for (pending, scores) in pending.iter_mut().zip(scores.chunks_exact(rows)) {
                pending.take(&quests[pending.quest], self, scores, first);
            }
        }
    }
}

impl Search for Exact<'_> {
    fn find(&self, quests: &[Quest]) -> Vec<Found> {
        let mut found: Vec<Found> = Vec::with_capacity(quests.len());
        let mut pending = Vec::new();
        for (index, quest) in quests.iter().enumerate() {
            if let Some(pooled) = self.corpus.scan_pool(quest) {
                found.push(pooled);
                continue;
            }
            let fills = self.corpus.draw_front(quest);
            if fills.iter().any(Option::is_none) {
                pending.push(Pending::new(index, quest, &fills, self));
            }
            found.push(fills.into_iter().map(Option::unwrap_or_default).collect());
        }
        for block in pending.chunks_mut(ANCHORS) {
            self.pass(quests, block);
        }
        for pending in pending {
            let quest = &quests[pending.quest];
            for (window, taker) in pending.takers {
                found[pending.quest][window] = taker.fill(quest, &self.corpus, true);
            }
        }
        found
    }
}

/// The windows of one quest that need the scan.
struct Pending<'a> {
    quest: usize,
    takers: Vec<(usize, Taker<'a>)>,
    squared_norm: f64,
    /// Scores in `lo ..= hi` may belong to a window.
    lo: f32,
    hi: f32,
}

impl<'a> Pending<'a> {
    fn new(index: usize, quest: &Quest, fills: &[Option<super::Fill>], exact: &'a Exact) -> Self {
        let takers: Vec<(usize, Taker)> = (0..fills.len())
            .filter(|&window| fills[window].is_none())
            .map(|window| (window, Taker::new(quest.windows[window], &exact.corpus)))
            .collect();
        let squared_norm = squared_norm(quest.vector);
        let above = takers.iter().map(|(_, taker)| taker.window.above).min().unwrap_or(Distance::MAX);
        let hi = exact.ruler.highest_score(squared_norm, above);
        let mut pending = Self { quest: index, takers, squared_norm, lo: 0.0, hi };
        pending.lo = pending.threshold(&exact.ruler);
        pending
    }

    /// The lowest score that may still interest one of the windows.
    fn threshold(&self, ruler: &Ruler) -> f32 {
        let upto = self.takers.iter().map(|(_, taker)| taker.upto()).max().unwrap_or(Distance::MIN);
        ruler.lowest_score(self.squared_norm, upto)
    }

    fn take(&mut self, quest: &Quest, exact: &Exact, scores: &[f32], first: usize) {
        let corpus = &exact.corpus;
        let (lo, hi) = (self.lo, self.hi);
        scan(scores, lo, hi, |column| {
            let row = Row((first + column) as u32);
            if quest.admits.admits(corpus.store, row) && self.takers.iter().any(|(_, taker)| taker.wants(row)) {
                let distance = corpus.distance(quest.vector, row);
                self.takers.iter_mut().for_each(|(_, taker)| taker.offer(row, distance));
                self.lo = self.threshold(&exact.ruler);
            }
            self.lo
        });
    }
}

/// Translates distances into scores, and how far a score may be off.
///
/// A score is s = x·y (cosine, dot) or x·y − ‖y‖²/2 (Euclidean), so that d = 1 − s, −s, ‖x‖² − 2s or √(‖x‖² − 2s).
/// Two errors stand between a score and the kernel's distance. The product: at most γ(‖x‖‖y‖ + ‖y‖²/2) with γ from
/// [`sum_error`], the offset being one more term. The kernel: at most γ‖x‖‖y‖ for a dot product and γd for a squared
/// distance, whose terms carry two more roundings, and one or two more for the final `1 − s` or `√`. Both are
/// bounded with ‖y‖ ≤ the store's largest norm and a few spare terms; a score beyond their sum cannot be in the window.
struct Ruler {
    metric: Metric,
    gamma: f64,
    /// What the model of relative errors leaves out: a product too small for f32 loses up to its smallest step.
    underflow: f64,
    max_norm: f64,
}

impl Ruler {
    fn new(store: &Prepared) -> Self {
        // f64 norms are themselves rounded: the spare terms and the factor cover that many times over.
        let terms = store.dims() + 8;
        Self {
            metric: store.metric(),
            gamma: sum_error(terms),
            underflow: terms as f64 * f64::from(f32::from_bits(1)),
            max_norm: store.max_norm() * (1.0 + 1e-6),
        }
    }

    /// No row at distance `upto` or nearer has a lower score.
    fn lowest_score(&self, squared_norm: f64, upto: Distance) -> f32 {
        let upto = f64::from(upto.get());
        let everything = match self.metric {
            Metric::Cosine => upto >= 2.0,
            _ => upto == f64::INFINITY,
        };
        if everything {
            return f32::NEG_INFINITY;
        }
        self.outward(self.score(squared_norm, upto) - self.slack(squared_norm, upto)).0
    }

    /// No row farther than `above` has a higher score.
    fn highest_score(&self, squared_norm: f64, above: Distance) -> f32 {
        let above = f64::from(above.get());
        let everything = match self.metric {
            Metric::Dot => above == f64::NEG_INFINITY,
            _ => above < 0.0,
        };
        if everything {
            return f32::INFINITY;
        }
        self.outward(self.score(squared_norm, above) + self.slack(squared_norm, above)).1
    }

    /// The score of a row at distance `d`, but for rounding.
    fn score(&self, squared_norm: f64, d: f64) -> f64 {
        match self.metric {
            Metric::Cosine => 1.0 - d,
            Metric::Dot => -d,
            Metric::SqEuclidean => 0.5 * (squared_norm - d),
            Metric::Euclidean => 0.5 * (squared_norm - d * d.abs()),
        }
    }

    /// Bound of the distance between a score and what the kernel's `d` stands for.
    fn slack(&self, squared_norm: f64, d: f64) -> f64 {
        let product = squared_norm.sqrt() * (1.0 + 1e-6) * self.max_norm;
        // The last term is the rounding of the f64 sum behind ‖x‖².
        let euclidean = product + self.max_norm * self.max_norm + squared_norm * ROUNDOFF;
        let relative = match self.metric {
            Metric::Cosine => 2.0 * product + 2.0,
            Metric::Dot => 2.0 * product,
            Metric::SqEuclidean => euclidean + 2.0 * d.abs(),
            Metric::Euclidean => euclidean + 2.0 * d * d,
        };
        self.gamma * relative + 2.0 * self.underflow
    }

    /// The f32 neighbours around a bound, so that rounding it loses nothing.
    fn outward(&self, bound: f64) -> (f32, f32) {
        if bound.is_nan() {
            return (f32::NEG_INFINITY, f32::INFINITY);
        }
        ((bound as f32).next_down(), (bound as f32).next_up())
    }
}

fn squared_norm(x: &[f32]) -> f64 {
    x.iter().map(|&v| f64::from(v) * f64::from(v)).sum()
}
