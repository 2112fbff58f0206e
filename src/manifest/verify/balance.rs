//! Balance: nothing beyond what it allows, and what the manifest says of it.

use super::Asked;
use super::finding::{Findings, Told};
use super::whole::Run;
use crate::manifest::cut::ticket_of;
use crate::manifest::layout::{Grain, Sheet};
use crate::manifest::parts::TRIPLETS;
use crate::manifest::sealed::Sealed;
use crate::manifest::select::{after, before};
use crate::mine::{self, Balanced, Claimant, LabelCounts, Ration, Triplet};
use crate::store::Row;

/// Checks the lines of a run against the caps that they must keep to.
pub(super) fn check(sealed: &Sealed, run: &Run<'_>, findings: &mut Findings, told: &mut Told) {
    let (store, params) = (run.asked.store, run.asked.mine);
    let balance = params.balance;
    for anchor in run.anchors().filter(|&anchor| !mine::is_anchor(anchor, store, params)) {
        let found = format!("anchor {}", run.name(anchor));
        findings.file(TRIPLETS, found, "only rows that anchors_per_class makes anchors");
    }
    if let Some(most) = balance.max_uses {
        for (row, uses) in (0..).map(Row).zip(run.uses()) {
            if uses > most {
                let found = format!("{} as the negative of {uses} triplets", run.name(row));
                findings.file(TRIPLETS, found, format_args!("at most {most}"));
            }
        }
        if run.all().is_none() {
            told.unchecked("how often a row is a negative: the rows do not tell all triplets, and not all anchors were mined again");
        }
    }
    let rows = sealed.parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.rows));
    if let Some(most) = balance.triplets.filter(|&most| rows > most) {
        findings.file(TRIPLETS, format_args!("{rows} rows"), format_args!("at most {most}"));
    }
    let Some(balanced) = sealed.balance.filter(|_| balance.is_on()) else {
        if sealed.balance.is_some() || balance.is_on() {
            let named = |is: bool| if is { "what balance did" } else { "nothing" };
            findings.key("balance", named(sealed.balance.is_some()), named(balance.is_on()));
        }
        return;
    };
    // What was filled again, emptied and cut is known only where all is mined again.
    let (anchors_before, left_out) = before(store, params);
    let mut expected = Balanced { anchors_before, left_out, added_pairs: run.asked.quotas.added(), ..balanced };
    if run.knows_all() {
        let mut of_class = LabelCounts::new(store);
        run.lines().for_each(|line| of_class.add(line.anchor, 1));
        expected.anchors_after = after(store, |row| run.yields(row) == Some(true));
        expected.lines = of_class.spread();
    } else {
        told.unchecked("what balance left of each class: the rows do not tell, and not all anchors were mined again");
    }
    if balanced != expected {
        findings.key("balance", format_args!("{balanced:?}"), format_args!("{expected:?}"));
    }
}

/// What balance leaves of all candidates of a run, in the order they are mined, in plain sight: sorted in memory.
pub(super) fn choose(candidates: Vec<Triplet>, asked: &Asked<'_>, sheet: &Sheet) -> (Vec<Triplet>, [u64; 3]) {
    let (store, params) = (asked.store, asked.mine);
    let whole_pairs = sheet.layout().takes_whole_pairs();
    let (mut chosen, mut refilled, mut spared) = (candidates, 0, 0);
    if let Some(most) = params.balance.max_uses {
        let mut claimant = Claimant::new(whole_pairs, 0);
        let mut claims: Vec<_> = chosen.iter().map(|triplet| claimant.claim(triplet, store, params)).collect();
        claims.sort_unstable();
        let granted = |most: u32| {
            let (mut ration, mut granted) = (Ration::new(store, params, whole_pairs, most), Vec::new());
            let mut grant = |candidate: u64| granted.push(candidate);
            claims.iter().for_each(|claim| ration.hear(claim, &mut grant));
            ration.end(&mut grant);
            (ration.refilled(), granted)
        };
        let (again, mut kept) = granted(most);
        // Without a limit nothing would have been refused.
        (refilled, spared) = (again, (granted(u32::MAX).1.len() - kept.len()) as u64);
        kept.sort_unstable();
        chosen = kept.into_iter().map(|place| chosen[place as usize]).collect();
    }
    let mut cut = 0;
    if let Some(most) = params.balance.triplets {
        let grain = sheet.grain();
        let mut groups: Vec<&[Triplet]> = grain.groups(&chosen).collect();
        let all: u64 = groups.iter().map(|group| sheet.lines_of(group)).sum();
        groups.sort_by_key(|group| ticket_of(&group[0], grain, store, params));
        let mut lines = 0;
        let fitting = groups.iter().take_while(|group| {
            let fits = lines + sheet.lines_of(group) <= most;
            lines += if fits { sheet.lines_of(group) } else { 0 };
            fits
        });
        let kept = fitting.count();
        groups.truncate(kept);
        // Back in the order they are mined.
        groups.sort_by_key(|group| group.as_ptr());
        cut = all - lines;
        chosen = groups.concat();
    }
    (chosen, [refilled, spared, cut])
}

/// Of the candidates of some anchors, in the order they are mined, those that must be in the output whatever the others are, as far
/// as can be told: all, but for such as were cut, or used up, or had no slot left.
pub(super) fn must_be_there(candidates: &[Triplet], run: &Run<'_>, sheet: &Sheet) -> Vec<Triplet> {
    let (store, params) = (run.asked.store, run.asked.mine);
    let grain = sheet.grain();
    let ticket = |triplet: &Triplet| ticket_of(triplet, grain, store, params);
    let last = match params.balance.triplets {
        Some(most) if run.lines().len() as u64 >= most => run.all().unwrap_or_default().iter().map(ticket).max(),
        _ => None,
    };
    let Some(most) = params.balance.max_uses else {
        let kept = Grain::Pair.groups(candidates).filter(|pair| sheet.keeps(pair)).flatten();
        return kept.filter(|triplet| last.is_none_or(|last| ticket(triplet) <= last)).copied().collect();
    };
    // What a whole pair takes depends on each of its negatives.
    if last.is_some() || sheet.layout().takes_whole_pairs() {
        return Vec::new();
    }
    let uses = run.uses();
    let labels = |row: Row| store.labels_in(&store.labels()[row.index()]);
    // With a label that gave the anchor all it may there is no more to be had.
    let given_all = |triplet: &Triplet| {
        let given = |label| {
            run.triplets_of(triplet.anchor).iter().filter(|other| labels(other.negative).contains(label)).count()
        };
        let full = |most: u32| labels(triplet.negative).iter().any(|label| given(label) >= most as usize);
        params.negatives.max_per_class.is_some_and(full)
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
