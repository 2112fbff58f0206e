//! Guards against false negatives: a negative too like the anchor, or the positive, may be one in truth.
//!
//! Scores are similarities, but for `score_gap`, which compares those of a table. A guard that looks at d(a, n) alone is one more
//! bound of every window; one that looks at a table leaves a list of rows that alone are looked at, and one that looks at earlier
//! outputs a list of exceptions. Each is kept inside the search: what it takes away never starves a band.

use serde::{Deserialize, Serialize};

use super::band::last;
use super::{Band, Params, Quotas, Triplet, positives};
use crate::kernel::{Distance, Metric};
use crate::search::Away;
use crate::store::{Prepared, Row};

/// Which of an anchor's positives the margin guards are measured from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reference {
    /// The pair's own.
    #[default]
    Each,
    /// The nearest that was chosen.
    Nearest,
    /// The farthest that was chosen.
    Farthest,
    /// The mean score of all that were chosen.
    Mean,
}

/// What a negative must keep to; `None` and 0 ask for nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Guards {
    /// s(a, n) is at most this …
    pub max_score: Option<f64>,
    /// … and at least this.
    pub min_score: Option<f64>,
    /// s(a, n) ≤ s(a, p) − x.
    pub absolute_margin: Option<f64>,
    /// s(a, n) ≤ s(a, p) − r·|s(a, p)|.
    pub relative_margin: Option<f64>,
    pub reference: Reference,
    /// Leaves out so many nearest negatives of the anchor, before any other guard.
    pub skip_nearest: u32,
    /// Takes from so many nearest negatives only, in the same order.
    pub window: Option<u32>,
    /// d(a, n) is larger. Labelled rows that are not are listed as suspects.
    pub duplicate_distance: Option<f32>,
    /// d(n, p) is larger, for every chosen positive of the anchor.
    pub near_positive: Option<f32>,
    /// r(a, p) − r(a, n) is at least this, r being a reranker's scores.
    pub score_gap: Option<f64>,
    /// n was not the anchor's negative in an earlier output.
    pub exclude: bool,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    SkipNearest,
    Window,
    DuplicateDistance,
    MaxScore,
    MinScore,
    AbsoluteMargin,
    RelativeMargin,
    NearPositive,
    ScoreGap,
    Exclude,
}

impl Guard {
    pub const ALL: [Self; 10] = [
        Self::SkipNearest,
        Self::Window,
        Self::DuplicateDistance,
        Self::MaxScore,
        Self::MinScore,
        Self::AbsoluteMargin,
        Self::RelativeMargin,
        Self::NearPositive,
        Self::ScoreGap,
        Self::Exclude,
    ];

    /// As written in a pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Self::SkipNearest => "skip_nearest",
            Self::Window => "window",
            Self::DuplicateDistance => "duplicate_distance",
            Self::MaxScore => "max_score",
            Self::MinScore => "min_score",
            Self::AbsoluteMargin => "absolute_margin",
            Self::RelativeMargin => "relative_margin",
            Self::NearPositive => "near_positive",
            Self::ScoreGap => "score_gap",
            Self::Exclude => "exclude",
        }
    }
}

impl Guards {
    /// Those that are set.
    pub fn set(&self) -> impl Iterator<Item = Guard> {
        Guard::ALL.into_iter().filter(|guard| match guard {
            Guard::SkipNearest => self.skip_nearest > 0,
            Guard::Window => self.window.is_some(),
            Guard::DuplicateDistance => self.duplicate_distance.is_some(),
            Guard::MaxScore => self.max_score.is_some(),
            Guard::MinScore => self.min_score.is_some(),
            Guard::AbsoluteMargin => self.absolute_margin.is_some(),
            Guard::RelativeMargin => self.relative_margin.is_some(),
            Guard::NearPositive => self.near_positive.is_some(),
            Guard::ScoreGap => self.score_gap.is_some(),
            Guard::Exclude => self.exclude,
        })
    }

    /// What keeps negatives away from an anchor's chosen positives.
    pub fn away<'a>(&self, positives: &'a [Row]) -> Option<Away<'a>> {
        self.near_positive.map(|near| Away { from: positives, above: Distance::new(near) })
    }

    /// Whether a negative's score is far enough below the positive's. What has no score is refused: whether the guard would keep
    /// it cannot be told.
    pub fn keeps_scores(&self, positive: Option<f32>, negative: Option<f32>) -> bool {
        self.score_gap.is_none_or(|gap| match (positive, negative) {
            (Some(positive), Some(negative)) => f64::from(positive) - f64::from(negative) >= gap,
            _ => false,
        })
    }

    /// The only rows that scores leave as negatives of a pair, ascending; `None` where no guard looks at scores.
    pub fn scored(&self, store: &Prepared, anchor: Row, positive: Row) -> Option<Vec<Row>> {
        self.score_gap?;
        let of_positive = store.score(anchor, positive);
        let kept = |&(_, score): &(Row, f32)| self.keeps_scores(of_positive, Some(score));
        Some(store.scored(anchor).filter(kept).map(|(row, _)| row).collect())
    }

    /// The rows that an anchor may not have again, ascending; none where no guard looks at earlier outputs.
    pub fn excluded<'s>(&self, store: &'s Prepared, anchor: Row) -> &'s [Row] {
        if self.exclude { store.excluded(anchor) } else { &[] }
    }

    /// Whether a row was not an anchor's negative before.
    pub fn keeps_new(&self, store: &Prepared, anchor: Row, negative: Row) -> bool {
        self.excluded(store, anchor).binary_search(&negative).is_err()
    }

    /// How many nearest negatives of an anchor must be known to tell ranks; 0 where no guard asks for ranks.
    pub fn ranks(&self) -> u32 {
        self.window.unwrap_or(self.skip_nearest)
    }

    /// The score that the margin guards of a pair are measured from; `chosen` are the distances of all of the anchor's positives.
    pub fn reference(&self, metric: Metric, pair: Distance, chosen: &[Distance]) -> f64 {
        let scores = || chosen.iter().map(|&d| metric.score(d));
        match self.reference {
            Reference::Each => metric.score(pair),
            Reference::Nearest => scores().fold(f64::NEG_INFINITY, f64::max),
            Reference::Farthest => scores().fold(f64::INFINITY, f64::min),
            Reference::Mean => scores().sum::<f64>() / chosen.len() as f64,
        }
    }

    /// Whether a guard keeps a negative at distance `d`, as far as that alone tells.
    pub fn keeps(&self, guard: Guard, metric: Metric, d: Distance, reference: f64) -> bool {
        let score = metric.score(d);
        match guard {
            Guard::SkipNearest | Guard::Window | Guard::NearPositive | Guard::ScoreGap | Guard::Exclude => true,
            Guard::DuplicateDistance => self.duplicate_distance.is_none_or(|near| d.get() > near),
            Guard::MaxScore => self.max_score.is_none_or(|most| score <= most),
            Guard::MinScore => self.min_score.is_none_or(|least| score >= least),
            Guard::AbsoluteMargin => self.absolute_margin.is_none_or(|margin| score <= reference - margin),
            Guard::RelativeMargin => {
                self.relative_margin.is_none_or(|margin| score <= reference - margin * reference.abs())
            }
        }
    }

    /// The distances `(above, upto]` that [`Guards::keeps`] keeps for every guard.
    pub fn span(&self, metric: Metric, reference: f64) -> (Distance, Distance) {
        let keeps = |guard, d| self.keeps(guard, metric, d, reference);
        let floors = Guard::ALL.into_iter().filter(|&guard| guard != Guard::MinScore);
        let above = last(|d| !floors.clone().all(|guard| keeps(guard, d)));
        (above, last(|d| keeps(Guard::MinScore, d)))
    }
}

/// The guards that a triplet's negative does not keep, but for those that count ranks.
pub fn refusing(triplet: &Triplet, store: &Prepared, params: &Params, quotas: &Quotas) -> Vec<Guard> {
    let guards = &params.negatives.guards;
    // Only these two look at more than the triplet's own positive.
    let others = guards.near_positive.is_some() || guards.reference != Reference::Each;
    let chosen = others.then(|| positives::choose(triplet.anchor, store, params, quotas.of(triplet.anchor)).ok());
    let chosen = chosen.flatten().unwrap_or_else(|| vec![(triplet.positive, triplet.d_ap)]);
    let (rows, distances): (Vec<Row>, Vec<Distance>) = chosen.into_iter().unzip();
    let reference = guards.reference(params.metric, triplet.d_ap, &distances);
    let keeps = |guard| match guard {
        Guard::NearPositive => guards.away(&rows).is_none_or(|away| away.holds(store, triplet.negative)),
        Guard::ScoreGap => {
            let score = |row| store.score(triplet.anchor, row);
            guards.keeps_scores(score(triplet.positive), score(triplet.negative))
        }
        Guard::Exclude => guards.keeps_new(store, triplet.anchor, triplet.negative),
        _ => guards.keeps(guard, params.metric, triplet.d_an, reference),
    };
    guards.set().filter(|&guard| !keeps(guard)).collect()
}

/// The positives that were chosen for an anchor, for a negative that does not say which of them it was mined for.
pub struct Chosen {
    anchor: Row,
    rows: Vec<Row>,
    /// The distance of each, and the score that the margin guards are measured from.
    measures: Vec<(Distance, f64)>,
}

impl Chosen {
    /// None at all for what is no anchor.
    pub fn of(anchor: Row, store: &Prepared, params: &Params, quotas: &Quotas) -> Self {
        let chosen = positives::choose(anchor, store, params, quotas.of(anchor)).unwrap_or_default();
        let (rows, distances): (Vec<Row>, Vec<Distance>) = chosen.into_iter().unzip();
        let guards = &params.negatives.guards;
        let reference = |pair| guards.reference(params.metric, pair, &distances);
        let measures = match guards.reference {
            Reference::Each => distances.iter().map(|&d_ap| (d_ap, reference(d_ap))).collect(),
            // One for all of them.
            _ => {
                let common = distances.first().map(|&d_ap| reference(d_ap));
                distances.iter().zip(common.into_iter().cycle()).map(|(&d_ap, common)| (d_ap, common)).collect()
            }
        };
        Self { anchor, rows, measures }
    }

    pub fn anchor(&self) -> Row {
        self.anchor
    }

    /// The guards that a negative does not keep, whichever of them it was mined for; but for those that count ranks.
    pub fn refusing(&self, negative: Row, d_an: Distance, store: &Prepared, params: &Params) -> Vec<Guard> {
        let guards = &params.negatives.guards;
        let keeps = |guard| match guard {
            Guard::NearPositive => guards.away(&self.rows).is_none_or(|away| away.holds(store, negative)),
            Guard::AbsoluteMargin | Guard::RelativeMargin | Guard::ScoreGap => true,
            Guard::Exclude => guards.keeps_new(store, self.anchor, negative),
            _ => guards.keeps(guard, params.metric, d_an, f64::NAN),
        };
        guards.set().filter(|&guard| !keeps(guard)).collect()
    }

    /// Whether a negative can have been mined for one of them: whether it lies in a band that is asked for, or to fall back on, and
    /// the guards that look at the positive keep it.
    pub fn admit(&self, negative: Row, d_an: Distance, store: &Prepared, params: &Params) -> bool {
        let guards = &params.negatives.guards;
        let scored = || store.score(self.anchor, negative);
        self.rows.iter().zip(&self.measures).any(|(&positive, &(d_ap, reference))| {
            let band = Band::of(d_ap, d_an, params.margin);
            let margins = [Guard::AbsoluteMargin, Guard::RelativeMargin];
            (params.ask.wants(band) || params.fallback.contains(&band))
                && margins.into_iter().all(|guard| guards.keeps(guard, params.metric, d_an, reference))
                && (guards.score_gap.is_none() || guards.keeps_scores(store.score(self.anchor, positive), scored()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_end_exactly_where_guards_begin_to_refuse() {
        let guards = [
            Guards { max_score: Some(0.7), ..Guards::default() },
            Guards { max_score: Some(0.7), min_score: Some(0.3), ..Guards::default() },
            Guards { absolute_margin: Some(0.1), min_score: Some(-0.5), ..Guards::default() },
            Guards { relative_margin: Some(0.05), duplicate_distance: Some(0.25), ..Guards::default() },
        ];
        for metric in [Metric::Cosine, Metric::Euclidean, Metric::SqEuclidean, Metric::Dot] {
            for reference in [-0.9, -1e-9, 0.0, 0.4, 0.95] {
                for guards in &guards {
                    let (above, upto) = guards.span(metric, reference);
                    for edge in [above, upto].into_iter().filter(|edge| edge.get().is_finite()) {
                        for d in [edge.get().next_down(), edge.get(), edge.get().next_up()].map(Distance::new) {
                            let kept = Guard::ALL.iter().all(|&guard| guards.keeps(guard, metric, d, reference));
                            assert_eq!(kept, d > above && d <= upto, "{metric:?} {reference} {guards:?} {d:?}");
                        }
                    }
                }
            }
        }
        assert_eq!(Guards::default().span(Metric::Cosine, 0.5), (Distance::MIN, Distance::MAX));
    }

    #[test]
    fn a_negative_reference_moves_away_from_zero() {
        // s(a, p) = −0.5 and 10 %: a negative's score is at most −0.55, not −0.45.
        let guards = Guards { relative_margin: Some(0.1), ..Guards::default() };
        let keeps = |score: f32| guards.keeps(Guard::RelativeMargin, Metric::Dot, Distance::new(-score), -0.5);
        assert!(keeps(-0.56) && !keeps(-0.54) && !keeps(-0.46));
    }
}
