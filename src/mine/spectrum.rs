//! All distances of a seeded sample of anchors: what the store holds, whatever is asked of it.

use rayon::prelude::*;

use super::asker::everyone;
use super::{Params, Quotas, positives, recall};
use crate::kernel::{Distance, Measure};
use crate::store::{Prepared, Row};

/// Anchors in a sample, at most; fewer where the store is so large that they would take more than a few seconds.
const ANCHORS: usize = 128;
const MULTIPLICATIONS: usize = 20_000_000_000;
/// Pairs of one anchor that are looked at: anchors with a hundred positives are not worth a hundred times as much.
const PAIRS: usize = 4;

/// All of an anchor's chosen positives, ascending by row, and all of its negatives.
pub(super) struct Spectrum {
    pub anchor: Row,
    pub positives: Vec<(Row, Distance)>,
    /// Ascending by (distance, row). Constraints hold; guards are not looked at.
    pub negatives: Vec<(Distance, Row)>,
}

impl Spectrum {
    /// The pairs that are looked at: p and d(a, p).
    pub fn pairs(&self) -> impl Iterator<Item = (Row, Distance)> {
        self.positives.iter().take(PAIRS).copied()
    }

    /// The negatives that have a score, with it; as they are ordered.
    pub fn scored(&self, store: &Prepared) -> Vec<(Distance, f32)> {
        let score = |&(distance, row): &(Distance, Row)| Some((distance, store.score(self.anchor, row)?));
        self.negatives.iter().filter_map(score).collect()
    }
}

/// Looks at each anchor of the sample, and gives what came of it; the anchors ascend. Of each that is looked at, all negatives are
/// in memory: only so many are `together`.
pub(super) fn sampled<T: Send>(
    store: &Prepared,
    params: &Params,
    quotas: &Quotas,
    together: usize,
    look: impl Fn(&Spectrum) -> T + Sync,
) -> Vec<T> {
    let look = |&anchor: &Row| Some(look(&spectrum(anchor, store, params, quotas)?));
    let anchors = anchors(store, params);
    anchors
        .chunks(together.max(1))
        .flat_map(|anchors| anchors.par_iter().filter_map(look).collect::<Vec<T>>())
        .collect()
}

/// The sample.
fn anchors(store: &Prepared, params: &Params) -> Vec<Row> {
    let size = (MULTIPLICATIONS / (store.rows() as usize * store.dims()).max(1)).clamp(16, ANCHORS);
    recall::sample(store, params, size, 0x7370_6563)
}

/// Of the pairs that the sample looks at, the gaps between the positive's score and those of the anchor's negatives, where both
/// have one; ascending.
pub(super) fn score_gaps(store: &Prepared, params: &Params, quotas: &Quotas) -> Vec<f64> {
    let mut gaps: Vec<f64> = Vec::new();
    for anchor in anchors(store, params) {
        let Ok(positives) = positives::choose(anchor, store, params, quotas.of(anchor)) else { continue };
        let rules = positives::rules(anchor, store, &params.negatives.same, &params.negatives.different);
        let admits = everyone(anchor, &rules, store, params);
        let negatives: Vec<f32> =
            store.scored(anchor).filter(|&(row, _)| admits.admits(store, row)).map(|(_, score)| score).collect();
        let scores = positives.iter().take(PAIRS).filter_map(|&(row, _)| store.score(anchor, row));
        gaps.extend(scores.flat_map(|score| negatives.iter().map(move |&other| f64::from(score) - f64::from(other))));
    }
    gaps.sort_unstable_by(f64::total_cmp);
    gaps
}

fn spectrum(anchor: Row, store: &Prepared, params: &Params, quotas: &Quotas) -> Option<Spectrum> {
    let positives = positives::choose(anchor, store, params, quotas.of(anchor)).ok()?;
    let rules = positives::rules(anchor, store, &params.negatives.same, &params.negatives.different);
    let admits = everyone(anchor, &rules, store, params);
    let mut rows: Vec<u32> = Vec::with_capacity(store.corpus().len());
    rows.extend(store.corpus().filter(|&row| admits.admits(store, Row(row))));
    let mut distances = Vec::new();
    Measure::of(store.metric()).distances(store.vector(anchor), store.vectors(), &rows, &mut distances);
    let mut negatives: Vec<(Distance, Row)> =
        distances.into_iter().zip(rows).map(|(distance, row)| (Distance::new(distance), Row(row))).collect();
    negatives.sort_unstable();
    Some(Spectrum { anchor, positives, negatives })
}
