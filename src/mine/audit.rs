//! Guard by guard: what each takes from the bands asked for, on a sample of anchors.

use serde::{Deserialize, Serialize};

use super::spectrum::{self, Spectrum};
use super::{Band, Guard, Guards, Params, Quotas};
use crate::kernel::Distance;
use crate::store::{Prepared, Row};

/// What guards take from the candidates of some anchors: the negatives in the bands asked for, pair by pair.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    pub anchors: u64,
    pub pairs: u64,
    pub candidates: u64,
    /// How many of them each guard refuses, whatever the others do.
    pub refused: Vec<(Guard, u64)>,
    /// How many all guards keep.
    pub kept: u64,
    /// Of the refused, those that `score_gap` could not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unscored: Option<Unscored>,
}

/// What has no score in the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unscored {
    /// Pairs whose positive has none.
    pub pairs: u64,
    /// Candidates that have none themselves, or whose pair has none.
    pub candidates: u64,
}

/// Looks at what the guards of `params` do, at so many anchors `together` as memory has room for; `None` where none is set.
pub fn audit(store: &Prepared, params: &Params, quotas: &Quotas, together: usize) -> Option<Audit> {
    let guards = &params.negatives.guards;
    let set: Vec<Guard> = guards.set().collect();
    if set.is_empty() {
        return None;
    }
    let look = |spectrum: &Spectrum| of_anchor(spectrum, &set, guards, store, params);
    let audits = spectrum::sampled(store, params, quotas, together, look);
    let none = Audit::of(&set);
    Some(audits.into_iter().fold(none, |mut sum, audit| {
        sum.anchors += 1;
        sum.pairs += audit.pairs;
        sum.candidates += audit.candidates;
        sum.kept += audit.kept;
        if let (Some(sum), Some(Unscored { pairs, candidates })) = (&mut sum.unscored, audit.unscored) {
            sum.pairs += pairs;
            sum.candidates += candidates;
        }
        for ((_, total), (_, count)) in sum.refused.iter_mut().zip(audit.refused) {
            *total += count;
        }
        sum
    }))
}

impl Audit {
    /// Of nothing yet.
    fn of(set: &[Guard]) -> Self {
        let unscored = set.contains(&Guard::ScoreGap).then(Unscored::default);
        Self { refused: set.iter().map(|&guard| (guard, 0)).collect(), unscored, ..Self::default() }
    }
}

fn of_anchor(spectrum: &Spectrum, set: &[Guard], guards: &Guards, store: &Prepared, params: &Params) -> Audit {
    let mut audit = Audit::of(set);
    let (rows, chosen): (Vec<Row>, Vec<Distance>) = spectrum.positives.iter().copied().unzip();
    // Of each negative once: whether it keeps away from the positives.
    let keeps_away = |&(_, row): &(Distance, Row)| guards.away(&rows).is_none_or(|away| away.holds(store, row));
    let away: Vec<bool> = spectrum.negatives.iter().map(keeps_away).collect();
    let is_new = |&(_, row): &(Distance, Row)| guards.keeps_new(store, spectrum.anchor, row);
    let new: Vec<bool> = spectrum.negatives.iter().map(is_new).collect();
    let score = |row: Row| store.score(spectrum.anchor, row);
    let scores: Vec<Option<f32>> = match audit.unscored {
        Some(_) => spectrum.negatives.iter().map(|&(_, row)| score(row)).collect(),
        None => Vec::new(),
    };
    for (positive, d_ap) in spectrum.pairs() {
        let of_positive = score(positive);
        audit.pairs += 1;
        if let Some(unscored) = &mut audit.unscored {
            unscored.pairs += u64::from(of_positive.is_none());
        }
        let reference = guards.reference(params.metric, d_ap, &chosen);
        for (rank, &(distance, _)) in spectrum.negatives.iter().enumerate() {
            if !params.ask.wants(Band::of(d_ap, distance, params.margin)) {
                continue;
            }
            audit.candidates += 1;
            let mut kept = true;
            for (guard, refused) in &mut audit.refused {
                let keeps = match guard {
                    Guard::SkipNearest => rank >= guards.skip_nearest as usize,
                    Guard::Window => guards.window.is_none_or(|window| rank < window as usize),
                    Guard::NearPositive => away[rank],
                    Guard::Exclude => new[rank],
                    Guard::ScoreGap => guards.keeps_scores(of_positive, scores[rank]),
                    _ => guards.keeps(*guard, params.metric, distance, reference),
                };
                *refused += u64::from(!keeps);
                kept &= keeps;
            }
            audit.kept += u64::from(kept);
            if let Some(unscored) = &mut audit.unscored {
                unscored.candidates += u64::from(of_positive.is_none() || scores[rank].is_none());
            }
        }
    }
    audit
}
