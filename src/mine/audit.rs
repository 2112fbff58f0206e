//! Guard by guard: what each takes from the bands asked for, on a sample of anchors.

use serde::{Deserialize, Serialize};

use super::spectrum::{self, Spectrum};
use super::{Ask, Guard, Guards, Params, Quotas};
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
    let chosen: Vec<Distance> = spectrum.positives.iter().map(|&(_, distance)| distance).collect();
    // Of each negative once: whether it lies near a positive.
    let near: Vec<bool> = spectrum.negatives.iter().map(|&(_, row)| is_near(row, spectrum, guards, store)).collect();
    for d_ap in spectrum.pairs() {
        audit.pairs += 1;
        let reference = guards.reference(params.metric, d_ap, &chosen);
        for (rank, &(distance, _)) in spectrum.negatives.iter().enumerate() {
            if !is_asked(params, d_ap, distance) {
                continue;
            }
            audit.candidates += 1;
            let mut kept = true;
            for (guard, refused) in &mut audit.refused {
                let keeps = match guard {
                    Guard::SkipNearest => rank >= guards.skip_nearest as usize,
                    Guard::Window => guards.window.is_none_or(|window| rank < window as usize),
                    Guard::NearPositive => !near[rank],
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

fn is_near(row: Row, spectrum: &Spectrum, guards: &Guards, store: &Prepared) -> bool {
    guards.near_positive.is_some_and(|near| {
        let distance = |other| store.metric().distance(store.vector(row), store.vector(other)).get();
        spectrum.positives.iter().any(|&(positive, _)| distance(positive) <= near)
    })
}

/// Whether a negative lies in a band asked for.
fn is_asked(params: &Params, d_ap: Distance, distance: Distance) -> bool {
    match &params.ask {
        Ask::Any(_) => true,
        Ask::Bands(bands) => bands.iter().any(|&(band, _)| {
            let (above, upto) = band.window(d_ap, params.margin);
            distance > above && distance <= upto
        }),
    }
}
