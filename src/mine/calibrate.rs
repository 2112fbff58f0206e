//! How full each band would be for a range of margins and guards, on a sample of anchors: nobody must choose 0.95 blindly,
//! for what suits one store starves another.

use serde::Serialize;

use super::spectrum::{self, Spectrum};
use super::{Ask, Band, Guard, Guards, Params, Quotas};
use crate::kernel::{Distance, Metric};
use crate::store::{Prepared, Row, ScoredPairs};

/// What a sample of anchors shows. Every figure is over (anchor, positive) pairs.
#[derive(Debug, Clone, Serialize)]
pub struct Calibration {
    pub anchors: usize,
    pub pairs: usize,
    /// Of the pairs, those whose positive has a score; absent without scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scored: Option<ScoredPairs>,
    pub margins: Vec<AtMargin>,
    /// Each guard alone, in the bands and with the margin of the pipeline.
    pub guards: Vec<WithGuard>,
}

/// Each band at one margin, without guards.
#[derive(Debug, Clone, Serialize)]
pub struct AtMargin {
    pub margin: f64,
    pub bands: Vec<(Band, Fullness)>,
}

/// The bands asked for behind one guard.
#[derive(Debug, Clone, Serialize)]
pub struct WithGuard {
    pub guard: Guard,
    pub value: f64,
    pub fullness: Fullness,
}

/// How much a band offers.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Fullness {
    /// Of the slots asked for, the share that would be filled; of one slot where the band was not asked for.
    pub filled: f64,
    /// Candidates of the median pair.
    pub median: u64,
}

/// Of the margin asked for.
const MARGINS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];
const ABSOLUTE: [f64; 4] = [0.125, 0.25, 0.5, 1.0];
const RELATIVE: [f64; 5] = [0.01, 0.02, 0.05, 0.1, 0.2];
const SKIPPED: [u32; 4] = [1, 3, 10, 30];
const SCORES: [f64; 5] = [0.98, 0.95, 0.9, 0.8, 0.7];
/// Of the gaps between scores.
const QUANTILES: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 0.9];

/// Looks at a sample of anchors of a store, so many `together` as memory has room for.
pub fn calibrate(store: &Prepared, params: &Params, quotas: &Quotas, together: usize) -> Calibration {
    let (margins, mut trials) = (margins(params), trials(params));
    if let Some(asked) = params.negatives.guards.score_gap {
        let gap = |x| (Guard::ScoreGap, x, Guards { score_gap: Some(x), ..Guards::default() });
        trials.extend(gaps(asked, &spectrum::score_gaps(store, params, quotas)).into_iter().map(gap));
    }
    // Of each anchor and pair: counts by (margin, band), then by trial.
    let look = |spectrum: &Spectrum| counts(spectrum, store, &margins, &trials, params);
    let counted = spectrum::sampled(store, params, quotas, together, look);
    let anchors = counted.len();
    let (scored, pairs): (Vec<bool>, Vec<Vec<u64>>) = counted.into_iter().flatten().unzip();
    let scored = params.negatives.guards.score_gap.map(|_| ScoredPairs {
        pairs: pairs.len() as u64,
        scored: scored.into_iter().filter(|&scored| scored).count() as u64,
    });
    let column = |index: usize, wanted: u32| fullness(pairs.iter().map(|counts| counts[index]).collect(), wanted);
    let at_margin = |(place, &margin): (usize, &f64)| {
        // Of a band that was not asked for: whether there is any.
        let wanted = |band| params.ask.count_of(band).unwrap_or(1);
        let band = |(offset, &band): (usize, &Band)| (band, column(place * Band::ALL.len() + offset, wanted(band)));
        AtMargin { margin, bands: Band::ALL.iter().enumerate().map(band).collect() }
    };
    let first = margins.len() * Band::ALL.len();
    let with_guard = |(place, (guard, value, _)): (usize, &(Guard, f64, Guards))| WithGuard {
        guard: *guard,
        value: *value,
        fullness: column(first + place, params.ask.slots_u32()),
    };
    Calibration {
        anchors,
        pairs: pairs.len(),
        scored,
        margins: margins.iter().enumerate().map(at_margin).collect(),
        guards: trials.iter().enumerate().map(with_guard).collect(),
    }
}

fn margins(params: &Params) -> Vec<f64> {
    let most = if params.metric == Metric::Cosine { 2.0 } else { f64::INFINITY };
    MARGINS.iter().map(|share| share * params.margin).filter(|&margin| margin < most).collect()
}

/// Each guard to be tried, with its value.
fn trials(params: &Params) -> Vec<(Guard, f64, Guards)> {
    let none = || Guards { reference: params.negatives.guards.reference, ..Guards::default() };
    let relative = RELATIVE.map(|r| (Guard::RelativeMargin, r, Guards { relative_margin: Some(r), ..none() }));
    let absolute = ABSOLUTE
        .map(|share| share * params.margin)
        .map(|x| (Guard::AbsoluteMargin, x, Guards { absolute_margin: Some(x), ..none() }));
    let skipped = SKIPPED.map(|k| (Guard::SkipNearest, f64::from(k), Guards { skip_nearest: k, ..none() }));
    let scores = SCORES.map(|s| (Guard::MaxScore, s, Guards { max_score: Some(s), ..none() }));
    // Only cosine similarities have a scale of their own.
    let scores = scores.into_iter().filter(|_| params.metric == Metric::Cosine);
    relative.into_iter().chain(absolute).chain(skipped).chain(scores).collect()
}

/// Gaps to be tried: scores of rerankers have no common scale, so beside what was asked for they are those that the table has.
fn gaps(asked: f64, found: &[f64]) -> Vec<f64> {
    let last = found.len().saturating_sub(1);
    let quantile = |share: f64| found.get((share * last as f64) as usize).map(|&gap| two_digits(gap));
    let mut gaps: Vec<f64> = QUANTILES.into_iter().filter_map(quantile).chain([0.0, asked]).collect();
    gaps.sort_unstable_by(f64::total_cmp);
    gaps.dedup();
    gaps
}

/// Rounded, for people to read and write.
fn two_digits(value: f64) -> f64 {
    // Adding zero makes −0 and 0 one number.
    format!("{value:.1e}").parse().unwrap_or(value) + 0.0
}

/// Of each pair, whether its positive has a score, and how many negatives lie in each band at each margin, and in the bands asked
/// for behind each guard.
fn counts(
    spectrum: &Spectrum,
    store: &Prepared,
    margins: &[f64],
    trials: &[(Guard, f64, Guards)],
    params: &Params,
) -> Vec<(bool, Vec<u64>)> {
    let chosen: Vec<Distance> = spectrum.positives.iter().map(|&(_, distance)| distance).collect();
    let within = |(above, upto): (Distance, Distance), skipped: usize| {
        let upto_count = |bound| spectrum.negatives.partition_point(|&(distance, _)| distance <= bound);
        upto_count(upto).saturating_sub(upto_count(above).max(skipped)) as u64
    };
    let scored = spectrum.scored(store);
    let of_pair = |(positive, d_ap): (Row, Distance)| {
        let of_positive = store.score(spectrum.anchor, positive);
        let behind_scores = |guards: &Guards, (above, upto): (Distance, Distance)| {
            let kept = |&&(d, score): &&(Distance, f32)| {
                d > above && d <= upto && guards.keeps_scores(of_positive, Some(score))
            };
            scored.iter().filter(kept).count() as u64
        };
        let mut counts: Vec<u64> = Vec::with_capacity(margins.len() * Band::ALL.len() + trials.len());
        for &margin in margins {
            counts.extend(Band::ALL.iter().map(|band| within(band.window(d_ap, margin), 0)));
        }
        for (_, _, guards) in trials {
            let (above, upto) = guards.span(params.metric, guards.reference(params.metric, d_ap, &chosen));
            let behind = |window: (Distance, Distance)| match guards.score_gap {
                Some(_) => behind_scores(guards, window),
                None => within((window.0.max(above), window.1.min(upto)), guards.skip_nearest as usize),
            };
            counts.push(match &params.ask {
                Ask::Any(_) => behind((Distance::MIN, Distance::MAX)),
                Ask::Bands(bands) => bands.iter().map(|&(band, _)| behind(band.window(d_ap, params.margin))).sum(),
            });
        }
        (of_positive.is_some(), counts)
    };
    spectrum.pairs().map(of_pair).collect()
}

fn fullness(mut counts: Vec<u64>, wanted: u32) -> Fullness {
    let filled: u64 = counts.iter().map(|&count| count.min(u64::from(wanted))).sum();
    let slots = counts.len() as u64 * u64::from(wanted);
    counts.sort_unstable();
    Fullness { filled: filled as f64 / slots.max(1) as f64, median: counts.get(counts.len() / 2).copied().unwrap_or(0) }
}
