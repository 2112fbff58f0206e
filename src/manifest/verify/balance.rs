//! Balance: nothing beyond what it allows, and what the manifest says of it.

use super::Asked;
use super::finding::Findings;
use super::whole::Run;
use crate::manifest::sealed::Sealed;
use crate::manifest::select::{after, before};
use crate::manifest::write::TRIPLETS;
use crate::mine::{self, Balanced, Claimant, Ration, Spread, Triplet};
use crate::store::Row;

/// Checks all triplets of a run against the caps that they must keep to.
pub(super) fn check(sealed: &Sealed, run: &Run<'_>, findings: &mut Findings) {
    let (store, params) = (run.asked.store, run.asked.mine);
    let balance = params.balance;
    // Where the rows do not tell all triplets, balance chooses among none, see config.
    let all = run.all().unwrap_or_default();
    for anchor in all.chunk_by(|x, y| x.anchor == y.anchor).map(|triplets| triplets[0].anchor) {
        if !mine::is_anchor(anchor, store, params) {
            let found = format!("anchor {}", run.name(anchor));
            findings.file(TRIPLETS, found, "only rows that anchors_per_class makes anchors");
        }
    }
    if let Some(most) = balance.max_uses {
        for (row, uses) in (0..).map(Row).zip(run.uses()) {
            if uses > most {
                let found = format!("{} as the negative of {uses} triplets", run.name(row));
                findings.file(TRIPLETS, found, format_args!("at most {most}"));
            }
        }
    }
    if let Some(most) = balance.triplets.filter(|&most| all.len() as u64 > most) {
        findings.file(TRIPLETS, format_args!("{} triplets", all.len()), format_args!("at most {most}"));
    }
    let Some(balanced) = sealed.balance.filter(|_| balance.is_on()) else {
        if sealed.balance.is_some() || balance.is_on() {
            let told = |is: bool| if is { "what balance did" } else { "nothing" };
            findings.key("balance", told(sealed.balance.is_some()), told(balance.is_on()));
        }
        return;
    };
    // What was filled again, emptied and cut is known only where all is mined again.
    let (anchors_before, left_out) = before(store, params);
    let anchors_after = after(store, |row| run.yields(row) == Some(true));
    let mut of_class = vec![0u64; store.classes()];
    for triplet in all {
        if let Some(count) = of_class.get_mut(store.labels()[triplet.anchor.index()].index()) {
            *count += 1;
        }
    }
    let added_pairs = run.asked.quotas.added();
    let told =
        Balanced { anchors_before, anchors_after, triplets: Spread::of(&of_class), left_out, added_pairs, ..balanced };
    if balanced != told {
        findings.key("balance", format_args!("{balanced:?}"), format_args!("{told:?}"));
    }
}

/// What balance leaves of all candidates of a run, in the order they are mined, in plain sight: sorted in memory.
pub(super) fn choose(candidates: Vec<Triplet>, asked: &Asked<'_>) -> (Vec<Triplet>, [u64; 3]) {
    let (store, params) = (asked.store, asked.mine);
    let (mut chosen, mut refilled, mut spared) = (candidates, 0, 0);
    if let Some(most) = params.balance.max_uses {
        let mut claimant = Claimant::default();
        let mut claims: Vec<_> = chosen.iter().map(|triplet| claimant.claim(triplet, store, params)).collect();
        claims.sort_unstable();
        let mut ration = Ration::new(store, params, most);
        let mut kept: Vec<u64> =
            claims.iter().filter(|claim| ration.takes(claim)).map(|claim| claim.candidate).collect();
        // Without a limit nothing would have been refused.
        let mut plenty = Ration::new(store, params, u32::MAX);
        spared = claims.iter().filter(|claim| plenty.takes(claim)).count() as u64 - kept.len() as u64;
        refilled = ration.refilled();
        kept.sort_unstable();
        chosen = kept.into_iter().map(|place| chosen[place as usize]).collect();
    }
    let mut cut = 0;
    if let Some(most) = params.balance.triplets.map(|most| usize::try_from(most).unwrap_or(usize::MAX)) {
        cut = chosen.len().saturating_sub(most) as u64;
        chosen.sort_by_key(|triplet| ticket(triplet, asked));
        chosen.truncate(most);
    }
    (chosen, [refilled, spared, cut])
}

/// What decides whether a triplet is among the first.
fn ticket(triplet: &Triplet, asked: &Asked<'_>) -> u64 {
    let rows = [triplet.anchor, triplet.positive, triplet.negative];
    mine::ticket(asked.mine.seed, rows.map(|row| asked.store.keys()[row.index()]))
}

/// Of the candidates of some anchors, in the order they are mined, those that must be in the output whatever the others are, as far
/// as can be told: all, but for such as were cut, or used up, or had no slot left.
pub(super) fn must_be_there(candidates: &[Triplet], run: &Run<'_>) -> Vec<Triplet> {
    let (store, params) = (run.asked.store, run.asked.mine);
    let all = run.all().unwrap_or_default();
    let last = match params.balance.triplets {
        Some(most) if all.len() as u64 >= most => all.iter().map(|triplet| ticket(triplet, run.asked)).max(),
        _ => None,
    };
    let Some(most) = params.balance.max_uses else {
        let kept = |triplet: &&Triplet| last.is_none_or(|last| ticket(triplet, run.asked) <= last);
        return candidates.iter().filter(kept).copied().collect();
    };
    if last.is_some() {
        return Vec::new();
    }
    let uses = run.uses();
    let class = |row: Row| store.labels()[row.index()];
    // Of a class that gave the anchor all it may there is no more to be had.
    let given_all = |triplet: &Triplet| {
        let class_of = class(triplet.negative);
        let alike = run.triplets_of(triplet.anchor).iter().filter(|other| class(other.negative) == class_of);
        params.negatives.max_per_class.is_some_and(|most| !class_of.is_null() && alike.count() >= most as usize)
    };
    let mut claimant = Claimant::default();
    let claims: Vec<_> = candidates.iter().map(|triplet| (claimant.claim(triplet, store, params), triplet)).collect();
    let mut must = Vec::new();
    for window in claims.chunk_by(|(x, _), (y, _)| x.window == y.window) {
        let there = |triplet: &Triplet| run.triplets_of(triplet.anchor).contains(triplet);
        let full = window.iter().filter(|(_, triplet)| there(triplet)).count() >= window[0].0.room as usize;
        let spare = |triplet: &Triplet| !full && uses[triplet.negative.index()] < most && !given_all(triplet);
        must.extend(window.iter().map(|(_, triplet)| **triplet).filter(|triplet| there(triplet) || spare(triplet)));
    }
    must
}
