//! What an approximate search missed: mined again, exactly, on a sample of anchors.

mod proportion;

pub use proportion::{Interval, Proportion};

use std::collections::HashSet;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Band, Params, Quotas, Reason, Triplet, mine, positives};
use crate::search::lottery::combine;
use crate::search::{Search, Tunable};
use crate::store::{Prepared, Row};

/// The share of the triplets of exact mining that approximate mining found too, over a sample of anchors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// Anchors in the sample.
    pub sample: u32,
    pub overall: Interval,
    /// By band that exact mining found anything in.
    pub bands: Vec<(Band, Interval)>,
}

/// Anchors measured after a run, at most, and tried while tuning. Two samples: what was tuned on one is measured on another.
const MEASURED: usize = 1_000;
const TRIED: usize = 512;

/// What an approximate search was tuned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tuned {
    pub effort: u32,
    /// Whether anchors that are left with nothing are few enough to be asked about exactly.
    pub few: bool,
}

impl Tuned {
    /// Sets a search so.
    pub fn apply(self, search: &mut dyn Tunable) {
        search.set_effort(self.effort);
        search.set_few(self.few);
    }
}

/// The least effort at which `search` reaches the target on a seeded sample of anchors, or its greatest one; what counts are the
/// rows that the pipeline asks for. The search is left at some effort: [`Tuned::apply`] sets it.
pub fn tune(store: &Prepared, search: &mut dyn Tunable, params: &Params, quotas: &Quotas, target: f64) -> Tuned {
    let anchors = tried(store, params);
    let truth = Mined::new(&anchors, store, search.exact(), params, quotas);
    let (mut low, mut high) = (0, search.efforts() - 1);
    while low < high {
        let middle = low + (high - low) / 2;
        search.set_effort(middle);
        let found = Mined::new(&anchors, store, search, params, quotas).names();
        let mut shares = Shares::default();
        shares.add(&truth.0, |triplet| found.contains(&name(triplet)));
        let reached = shares.overall().map(|share| share.interval());
        // On the safe side by a standard error, for the next sample is another one.
        let enough = reached.is_none_or(|share| share.estimate - 0.5 * (share.estimate - share.low) >= target);
        (low, high) = if enough { (low, middle) } else { (middle + 1, high) };
    }
    search.set_effort(low);
    let missed = missed(&anchors, store, search, params, quotas) as f64 / anchors.len().max(1) as f64;
    let pairs = missed * store.anchors().len() as f64 * store.corpus().len() as f64;
    Tuned { effort: low, few: missed <= FEW || pairs <= FEW_PAIRS }
}

/// Of all anchors, those for which nothing is found: so few that exact search about them costs little beside the rest …
const FEW: f64 = 0.01;
/// … or so few that it looks at no more pairs than it can in about a second.
const FEW_PAIRS: f64 = 2e9;

/// How many of these anchors a search finds nothing for, without knowing that there is nothing.
fn missed(anchors: &[Row], store: &Prepared, search: &dyn Search, params: &Params, quotas: &Quotas) -> usize {
    let unmined = anchors.par_chunks(128).flat_map_iter(|anchors| mine(anchors, store, search, params, quotas).unmined);
    unmined.filter(|(_, reason)| *reason == Reason::SearchMissed).count()
}

/// Mines a seeded sample of anchors with both searches and compares, triplet by triplet: what counts are the rows the
/// pipeline asked for, not some generic top-k. `None` when exact mining finds nothing to compare with.
pub fn measure(
    store: &Prepared,
    approximate: &dyn Search,
    exact: &dyn Search,
    params: &Params,
    quotas: &Quotas,
) -> Option<Recall> {
    let anchors = measured(store, params);
    let truth = Mined::new(&anchors, store, exact, params, quotas);
    let found = Mined::new(&anchors, store, approximate, params, quotas).names();
    let mut shares = Shares::default();
    shares.add(&truth.0, |triplet| found.contains(&name(triplet)));
    shares.recall(anchors.len() as u32)
}

/// The anchors that the recall of a run is measured on, ascending.
pub fn measured(store: &Prepared, params: &Params) -> Vec<Row> {
    sample(store, params, MEASURED, 0x7265_6361_6c6c)
}

/// The anchors that a search is tuned on, ascending.
fn tried(store: &Prepared, params: &Params) -> Vec<Row> {
    sample(store, params, TRIED, 0x7475_6e65)
}

/// Up to `size` anchors, ascending, that a run neither tuned nor measured its search on; `salt` decides which.
pub fn elsewhere(store: &Prepared, params: &Params, size: usize, salt: u64) -> Vec<Row> {
    let known: HashSet<Row> = measured(store, params).into_iter().chain(tried(store, params)).collect();
    // So many more, for all that are known may be among them.
    let mut others = drawn(store, params, size.saturating_add(known.len()), salt);
    others.retain(|row| !known.contains(row));
    others.truncate(size);
    others.sort_unstable();
    others
}

/// Of each anchor how many triplets exact mining gives, and how many of them another mining has: in all, and band by band.
#[derive(Debug, Default)]
pub struct Shares {
    all: Vec<(f64, f64)>,
    bands: [Vec<(f64, f64)>; Band::ALL.len()],
}

impl Shares {
    /// Adds anchors that exact mining gives these triplets, which lie together by anchor.
    pub fn add(&mut self, truth: &[Triplet], has: impl Fn(&Triplet) -> bool) {
        let hits: Vec<(&Triplet, f64)> =
            truth.iter().map(|triplet| (triplet, f64::from(u8::from(has(triplet))))).collect();
        // An anchor's triplets succeed and fail together, so the anchor is the unit of the sample.
        for anchor in hits.chunk_by(|(a, _), (b, _)| a.anchor == b.anchor) {
            let share = |band: Option<Band>| {
                let some = anchor.iter().filter(|(triplet, _)| band.is_none_or(|band| triplet.band == band));
                some.fold((0.0, 0.0), |(hits, all), (_, hit)| (hits + hit, all + 1.0))
            };
            self.all.push(share(None));
            for (band, shares) in Band::ALL.into_iter().zip(&mut self.bands) {
                shares.extend(Some(share(Some(band))).filter(|(_, all)| *all > 0.0));
            }
        }
    }

    /// Of all triplets; `None` where exact mining gives none.
    pub fn overall(&self) -> Option<Proportion> {
        Proportion::of(&self.all)
    }

    /// The same by band that exact mining found anything in.
    pub fn by_band(&self) -> impl Iterator<Item = (Band, Proportion)> {
        Band::ALL.into_iter().zip(&self.bands).filter_map(|(band, shares)| Some((band, Proportion::of(shares)?)))
    }

    /// As a recall that was measured on so many anchors.
    pub fn recall(&self, sample: u32) -> Option<Recall> {
        let bands = self.by_band().map(|(band, share)| (band, share.interval())).collect();
        Some(Recall { sample, overall: self.overall()?.interval(), bands })
    }
}

/// What a search yields for some anchors, by anchor.
struct Mined(Vec<Triplet>);

impl Mined {
    fn new(anchors: &[Row], store: &Prepared, search: &dyn Search, params: &Params, quotas: &Quotas) -> Self {
        let triplets =
            anchors.par_chunks(128).flat_map_iter(|anchors| mine(anchors, store, search, params, quotas).triplets);
        Self(triplets.collect())
    }

    fn names(&self) -> HashSet<Name> {
        self.0.iter().map(name).collect()
    }
}

/// Anchor, positive, negative.
pub type Name = (Row, Row, Row);

/// What tells a triplet from all others.
pub fn name(triplet: &Triplet) -> Name {
    (triplet.anchor, triplet.positive, triplet.negative)
}

/// The anchors whose hashes of (seed, salt, id) are smallest, among those that have a positive; ascending.
pub(super) fn sample(store: &Prepared, params: &Params, size: usize, salt: u64) -> Vec<Row> {
    let mut chosen = drawn(store, params, size, salt);
    chosen.sort_unstable();
    chosen
}

/// The same in the order of their hashes.
fn drawn(store: &Prepared, params: &Params, size: usize, salt: u64) -> Vec<Row> {
    let ticket = |row: Row| combine(&[params.seed, salt, store.keys()[row.index()]]);
    let mut rows: Vec<(u64, Row)> = store.anchors().into_par_iter().map(Row).map(|row| (ticket(row), row)).collect();
    rows.par_sort_unstable();
    let chosen = rows.into_iter().map(|(_, row)| row).filter(|&row| positives::choose(row, store, params, 1).is_ok());
    chosen.take(size).collect()
}
