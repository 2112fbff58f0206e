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

/// Of an anchor: all of its chosen positives, ascending by row, and all of its negatives.
pub(super) struct Spectrum {
    pub positives: Vec<(Row, Distance)>,
    /// Ascending by (distance, row). Constraints hold; guards are not looked at.
    pub negatives: Vec<(Distance, Row)>,
}

impl Spectrum {
    /// d(a, p) of the pairs that are looked at.
    pub fn pairs(&self) -> impl Iterator<Item = Distance> {
        self.positives.iter().take(PAIRS).map(|&(_, distance)| distance)
    }
}

/// Looks at each anchor of the sample, and gives what came of it; the anchors ascend.
pub(super) fn sampled<T: Send>(
    store: &Prepared,
    params: &Params,
    quotas: &Quotas,
    look: impl Fn(&Spectrum) -> T + Sync,
) -> Vec<T> {
    let size = (MULTIPLICATIONS / (store.rows() as usize * store.dims()).max(1)).clamp(16, ANCHORS);
    let anchors = recall::sample(store, params, size, 0x7370_6563);
    anchors.par_iter().filter_map(|&anchor| Some(look(&spectrum(anchor, store, params, quotas)?))).collect()
}

fn spectrum(anchor: Row, store: &Prepared, params: &Params, quotas: &Quotas) -> Option<Spectrum> {
    let positives = positives::choose(anchor, store, params, quotas.of(anchor)).ok()?;
    let rules = positives::rules(anchor, store, &params.negatives.same, &params.negatives.different);
    let admits = everyone(anchor, &rules, store, params);
    let rows: Vec<u32> = store.corpus().filter(|&row| admits.admits(store, Row(row))).collect();
    let mut distances = Vec::new();
    Measure::of(store.metric()).distances(store.vector(anchor), store.vectors(), &rows, &mut distances);
    let mut negatives: Vec<(Distance, Row)> =
        distances.into_iter().zip(rows).map(|(distance, row)| (Distance::new(distance), Row(row))).collect();
    negatives.sort_unstable();
    Some(Spectrum { positives, negatives })
}
