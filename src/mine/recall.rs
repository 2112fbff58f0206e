//! What an approximate search missed: mined again, exactly, on a sample of anchors.

use std::collections::HashSet;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Band, Params, Quotas, Reason, Triplet, mine, positives};
use crate::search::lottery::combine;
use crate::search::{Search, Tunable};
use crate::store::{Prepared, Row};

/// A proportion with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

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
    let anchors = sample(store, params, TRIED, 0x7475_6e65);
    let truth = Mined::new(&anchors, store, search.exact(), params, quotas);
    let (mut low, mut high) = (0, search.efforts() - 1);
    while low < high {
        let middle = low + (high - low) / 2;
        search.set_effort(middle);
        let reached = truth.found_by(&Mined::new(&anchors, store, search, params, quotas).names(), None);
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
    let anchors = sample(store, params, MEASURED, 0x7265_6361_6c6c);
    let truth = Mined::new(&anchors, store, exact, params, quotas);
    let found = Mined::new(&anchors, store, approximate, params, quotas).names();
    let bands = Band::ALL.into_iter().filter_map(|band| Some((band, truth.found_by(&found, Some(band))?))).collect();
    Some(Recall { sample: anchors.len() as u32, overall: truth.found_by(&found, None)?, bands })
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

    /// The share of these triplets, of one band or of all, that another search found.
    fn found_by(&self, found: &HashSet<Name>, band: Option<Band>) -> Option<Interval> {
        let wanted = self.0.iter().filter(|triplet| band.is_none_or(|band| triplet.band == band));
        // An anchor's triplets succeed and fail together, so the anchor is the unit of the sample.
        let mut clusters: Vec<(f64, f64)> = Vec::new();
        let mut last = None;
        for triplet in wanted {
            if last != Some(triplet.anchor) {
                clusters.push((0.0, 0.0));
                last = Some(triplet.anchor);
            }
            if let Some((hits, all)) = clusters.last_mut() {
                *hits += f64::from(u8::from(found.contains(&name(triplet))));
                *all += 1.0;
            }
        }
        interval(&clusters)
    }
}

/// Anchor, positive, negative.
type Name = (Row, Row, Row);

fn name(triplet: &Triplet) -> Name {
    (triplet.anchor, triplet.positive, triplet.negative)
}

/// The anchors whose hashes of (seed, salt, id) are smallest, among those that have a positive.
pub(super) fn sample(store: &Prepared, params: &Params, size: usize, salt: u64) -> Vec<Row> {
    let ticket = |row: Row| combine(&[params.seed, salt, store.keys()[row.index()]]);
    let mut rows: Vec<(u64, Row)> = store.anchors().into_par_iter().map(Row).map(|row| (ticket(row), row)).collect();
    rows.par_sort_unstable();
    let chosen = rows.into_iter().map(|(_, row)| row).filter(|&row| positives::choose(row, store, params, 1).is_ok());
    let mut chosen: Vec<Row> = chosen.take(size).collect();
    chosen.sort_unstable();
    chosen
}

/// The ratio Σhits / Σall over clusters, with Wilson's interval (1927) at the sample size that the clusters are worth:
/// the count of trials divided by the design effect of clustering (Kish 1965).
fn interval(clusters: &[(f64, f64)]) -> Option<Interval> {
    let trials: f64 = clusters.iter().map(|(_, all)| all).sum();
    if trials == 0.0 {
        return None;
    }
    let estimate = clusters.iter().map(|(hits, _)| hits).sum::<f64>() / trials;
    let count = clusters.len() as f64;
    let binomial = estimate * (1.0 - estimate) / trials;
    let residuals: f64 = clusters.iter().map(|(hits, all)| (hits - estimate * all).powi(2)).sum();
    let clustered = residuals / (trials * trials) * count / (count - 1.0).max(1.0);
    // Without a single failure (or success) there is no variance to compare: each cluster counts once.
    let worth = if binomial > 0.0 { trials / (clustered / binomial).max(1.0) } else { count };
    const Z: f64 = 1.959_964;
    let centre = (estimate + Z * Z / (2.0 * worth)) / (1.0 + Z * Z / worth);
    let half = Z / (1.0 + Z * Z / worth) * (estimate * (1.0 - estimate) / worth + Z * Z / (4.0 * worth * worth)).sqrt();
    Some(Interval { estimate, low: (centre - half).max(0.0), high: (centre + half).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_on_independent_trials() {
        // 95 of 100: Wilson's interval is 0.8882 to 0.9785.
        let clusters: Vec<(f64, f64)> = (0..100).map(|i| (f64::from(u8::from(i >= 5)), 1.0)).collect();
        let found = interval(&clusters).unwrap();
        assert_eq!(found.estimate, 0.95);
        assert!((found.low - 0.888_2).abs() < 5e-4 && (found.high - 0.978_5).abs() < 5e-4, "{found:?}");
    }

    #[test]
    fn clustered_failures_widen_it() {
        let apart: Vec<(f64, f64)> = (0..100).map(|_| (9.0, 10.0)).collect();
        let together: Vec<(f64, f64)> = (0..100).map(|i| (if i < 10 { 0.0 } else { 10.0 }, 10.0)).collect();
        let (apart, together) = (interval(&apart).unwrap(), interval(&together).unwrap());
        assert_eq!(apart.estimate, together.estimate);
        assert!(together.high - together.low > 2.0 * (apart.high - apart.low), "{apart:?} {together:?}");
    }

    #[test]
    fn perfect_recall_still_has_a_lower_end() {
        let found = interval(&[(1.0, 1.0); 50]).unwrap();
        assert_eq!(found.estimate, 1.0);
        assert!(found.low > 0.92 && found.low < 0.94, "{found:?}");
        assert_eq!(interval(&[]), None);
    }
}
