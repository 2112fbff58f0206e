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
}

/// Looks at what the guards of `params` do; `None` where none is set.
pub fn audit(store: &Prepared, params: &Params, quotas: &Quotas) -> Option<Audit> {
    let guards = &params.negatives.guards;
    let set: Vec<Guard> = guards.set().collect();
    if set.is_empty() {
        return None;
    }
    let audits = spectrum::sampled(store, params, quotas, |spectrum| of_anchor(spectrum, &set, guards, store, params));
    let none = Audit { refused: set.iter().map(|&guard| (guard, 0)).collect(), ..Audit::default() };
    Some(audits.into_iter().fold(none, |mut sum, audit| {
        sum.anchors += 1;
        sum.pairs += audit.pairs;
        sum.candidates += audit.candidates;
        sum.kept += audit.kept;
        for ((_, total), (_, count)) in sum.refused.iter_mut().zip(audit.refused) {
            *total += count;
        }
        sum
    }))
}

fn of_anchor(spectrum: &Spectrum, set: &[Guard], guards: &Guards, store: &Prepared, params: &Params) -> Audit {
    let mut audit = Audit { refused: set.iter().map(|&guard| (guard, 0)).collect(), ..Audit::default() };
    let (rows, chosen): (Vec<Row>, Vec<Distance>) = spectrum.positives.iter().copied().unzip();
    // Of each negative once: whether it keeps away from the positives.
    let keeps_away = |&(_, row): &(Distance, Row)| guards.away(&rows).is_none_or(|away| away.holds(store, row));
    let away: Vec<bool> = spectrum.negatives.iter().map(keeps_away).collect();
    for d_ap in spectrum.pairs() {
        audit.pairs += 1;
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
                    _ => guards.keeps(*guard, params.metric, distance, reference),
                };
                *refused += u64::from(!keeps);
                kept &= keeps;
            }
            audit.kept += u64::from(kept);
        }
    }
    audit
}
