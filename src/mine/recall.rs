//! What an approximate search missed: mined again, exactly, on a sample of anchors.

use std::collections::HashSet;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Band, Params, Triplet, mine, positives};
use crate::search::Search;
use crate::search::lottery::combine;
use crate::store::{Prepared, Row};

/// A proportion with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

/// The share of the triplets of exact mining that approximate mining found too, over a sample of anchors.
#[derive(Debug, Clone, PartialEq)]
pub struct Recall {
    /// Anchors in the sample.
    pub sample: u32,
    pub overall: Interval,
    /// By band that exact mining found anything in.
    pub bands: Vec<(Band, Interval)>,
}

/// Anchors measured, at most.
const SAMPLE: usize = 1_000;

/// Mines a seeded sample of anchors with both searches and compares, triplet by triplet: what counts are the rows the
/// pipeline asked for, not some generic top-k. `None` when exact mining finds nothing to compare with.
pub fn measure(store: &Prepared, approximate: &dyn Search, exact: &dyn Search, params: &Params) -> Option<Recall> {
    let anchors = sample(store, params);
    let compared: Vec<(Vec<Triplet>, HashSet<Name>)> = anchors
        .par_chunks(128)
        .map(|anchors| {
            let found = mine(anchors, store, approximate, params).triplets.iter().map(name).collect();
            (mine(anchors, store, exact, params).triplets, found)
        })
        .collect();
    let share = |band: Option<Band>| {
        // An anchor's triplets succeed and fail together, so the anchor is the unit of the sample.
        let mut clusters: Vec<(f64, f64)> = Vec::new();
        for (truth, found) in &compared {
            let wanted = truth.iter().filter(|triplet| band.is_none_or(|band| triplet.band == band));
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
        }
        interval(&clusters)
    };
    let bands = Band::ALL.into_iter().filter_map(|band| Some((band, share(Some(band))?))).collect();
    Some(Recall { sample: anchors.len() as u32, overall: share(None)?, bands })
}

/// Anchor, positive, negative.
type Name = (Row, Row, Row);

fn name(triplet: &Triplet) -> Name {
    (triplet.anchor, triplet.positive, triplet.negative)
}

/// The anchors whose hashes of (seed, id) are smallest, among those that have a positive.
fn sample(store: &Prepared, params: &Params) -> Vec<Row> {
    let ticket = |row: Row| combine(&[params.seed, 0x7265_6361_6c6c, store.keys()[row.index()]]);
    let mut rows: Vec<(u64, Row)> = (0..store.rows()).map(Row).map(|row| (ticket(row), row)).collect();
    rows.par_sort_unstable();
    let chosen = rows.into_iter().map(|(_, row)| row).filter(|&row| positives::choose(row, store, params).is_ok());
    let mut chosen: Vec<Row> = chosen.take(SAMPLE).collect();
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
