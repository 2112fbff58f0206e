//! The recall of an approximate run: measured again on the run's own sample, where it must come out the same to the last digit,
//! and on other anchors, where it may differ by chance alone.

use std::collections::HashSet;

use super::Asked;
use super::completeness::{MineAgain, Miner, salt};
use super::finding::{Findings, Told};
use super::whole::Run;
use crate::manifest::layout::Sheet;
use crate::manifest::sealed::{Recall, Sealed};
use crate::manifest::sides::UNMINED;
use crate::mine::{self, Interval, Name, Proportion, Reason, Shares, Triplet};
use crate::store::Row;
use crate::words::thousands;

/// Anchors that are held against exact search at a time.
pub const ANCHORS_AT_A_TIME: usize = 1_024;

/// What a run holds of its anchors.
enum Held<'a> {
    /// Its rows, which tell every triplet that was mined.
    Rows(&'a Run<'a>),
    /// What its search mines again.
    Again(&'a MineAgain<'a>),
}

/// `listed`: the reason of each row in the list of unmined ones.
pub(super) fn check(
    sealed: &Sealed,
    run: &Run<'_>,
    sheet: &Sheet,
    listed: Option<&[Option<Reason>]>,
    findings: &mut Findings,
    told: &mut Told,
) {
    let (asked, claim) = (run.asked, sealed.search.recall.as_ref());
    if !asked.searched.facts.index.is_approximate() {
        if claim.is_some() {
            findings.key("search.recall", "there", "absent: the search is exact");
        }
        return;
    }
    let target = asked.searched.target_recall;
    if let Some(claim) = claim.filter(|claim| claim.target != target) {
        findings.key("search.recall.target", claim.target, target);
    }
    let Some(held) = Held::of(run, sheet) else {
        for (key, interval) in claim.iter().flat_map(|claim| intervals(claim)) {
            if !interval.is_plausible() {
                findings.key(&key, shown(&interval), "an estimate within the interval that it has");
            }
        }
        return told.unchecked(
            "the recall: the rows do not tell all that was mined, and graphs are not built again; see --full",
        );
    };
    let checker = Checker { asked, held, listed };
    if let Err(error) = checker.check(sealed, findings, told) {
        findings.key("search.recall", format_args!("cannot be measured again: {error}"), "a recall");
    }
}

impl<'a> Held<'a> {
    fn of(run: &'a Run<'a>, sheet: &Sheet) -> Option<Self> {
        let layout = sheet.layout();
        let whole = layout.tells_triplets() && !layout.takes_whole_pairs() && !run.asked.mine.balance.selects();
        match sheet.names_rows() && whole {
            true => Some(Self::Rows(run)),
            false => run.asked.completeness.again.map(|again| Self::Again(again.mine)),
        }
    }

    fn names(&self, anchors: &[Row]) -> Result<HashSet<Name>, String> {
        match self {
            Self::Rows(run) => Ok(anchors.iter().flat_map(|&row| run.triplets_of(row)).map(mine::name).collect()),
            Self::Again(again) => Ok(again(anchors)?.triplets.iter().map(mine::name).collect()),
        }
    }

    /// As a sentence begins with it.
    fn name(&self) -> &'static str {
        match self {
            Self::Rows(_) => "the rows of the output",
            Self::Again(_) => "what the search finds again",
        }
    }
}

struct Checker<'a> {
    asked: &'a Asked<'a>,
    held: Held<'a>,
    listed: Option<&'a [Option<Reason>]>,
}

impl Checker<'_> {
    fn check(&self, sealed: &Sealed, findings: &mut Findings, told: &mut Told) -> Result<(), String> {
        let (store, params, completeness) = (self.asked.store, self.asked.mine, &self.asked.completeness);
        let before = findings.total();
        let own = mine::measured(store, params);
        let measured = self.shares(&own, completeness.exact, findings)?;
        let expected = measured.recall(own.len() as u32);
        let expected = expected.map(|recall| Recall::new(self.asked.searched.target_recall, recall));
        compare(sealed.search.recall.as_ref(), expected.as_ref(), findings);
        let Some(recall) = expected else {
            told.proved(findings, before, "no recall, for exact search finds nothing, either");
            return Ok(());
        };
        let (held, anchors) = (self.held.name(), thousands(recall.sample));
        let same =
            format_args!("recall {} on {anchors} anchors: {held} against exact search again", shown(&recall.overall));
        told.proved(findings, before, same);

        let before = findings.total();
        let others = mine::elsewhere(store, params, completeness.others, salt(sealed));
        let elsewhere = self.shares(&others, completeness.oracle, findings)?;
        let Some(overall) = elsewhere.overall() else {
            told.unchecked(
                "the recall on other anchors: the run tuned or measured its search on all that have any triplets",
            );
            return Ok(());
        };
        let both = |band| Some((of_band(&measured, band)?, of_band(&elsewhere, band)?));
        for (band, (claimed, found)) in mine::Band::ALL.into_iter().filter_map(|band| Some((band, both(band)?))) {
            differs(&format!("search.recall.bands.{}", band.name()), &claimed, &found, others.len(), findings);
        }
        if let Some(claimed) = measured.overall() {
            differs("search.recall", &claimed, &overall, others.len(), findings);
        }
        let (anchors, oracle) = (thousands(others.len() as u64), completeness.oracle.name);
        let found = shown(&overall.interval());
        told.proved(
            findings,
            before,
            format_args!("recall {found} on {anchors} other anchors, {oracle}: within what chance allows"),
        );
        Ok(())
    }

    /// How much of what exact mining finds for some anchors is held. None of these can say that there is nothing.
    fn shares(&self, anchors: &[Row], exact: Miner<'_>, findings: &mut Findings) -> Result<Shares, String> {
        let mut shares = Shares::default();
        for anchors in anchors.chunks(ANCHORS_AT_A_TIME) {
            let truth = (exact.mine)(anchors)?.triplets;
            let names = self.held.names(anchors)?;
            shares.add(&truth, |triplet| names.contains(&mine::name(triplet)));
            self.check_reasons(&truth, exact, findings);
        }
        Ok(shares)
    }

    /// An approximate search that finds nothing may say that a band is empty only where it is.
    fn check_reasons(&self, truth: &[Triplet], exact: Miner<'_>, findings: &mut Findings) {
        let (Some(listed), Held::Rows(run)) = (self.listed, &self.held) else { return };
        for anchor in truth.chunk_by(|a, b| a.anchor == b.anchor).map(|triplets| triplets[0].anchor) {
            if listed.get(anchor.index()) == Some(&Some(Reason::BandEmpty)) {
                let found = format!("{} as {}", run.name(anchor), Reason::BandEmpty.name());
                findings.file(UNMINED, found, format_args!("search-missed: mined {}, it has triplets", exact.name));
            }
        }
    }
}

fn of_band(shares: &Shares, band: mine::Band) -> Option<Proportion> {
    shares.by_band().find(|(of, _)| *of == band).map(|(_, share)| share)
}

fn differs(key: &str, claimed: &Proportion, found: &Proportion, anchors: usize, findings: &mut Findings) {
    if claimed.differs(found) {
        let (claimed, found) = (shown(&claimed.interval()), shown(&found.interval()));
        let expected = format_args!("{found}, as on {} other anchors", thousands(anchors as u64));
        findings.key(key, claimed, expected);
    }
}

/// Each interval of a recall, by its key.
fn intervals(recall: &Recall) -> impl Iterator<Item = (String, Interval)> {
    let of_band =
        |(band, interval): (&mine::Band, &Interval)| (format!("search.recall.bands.{}", band.name()), *interval);
    std::iter::once(("search.recall".to_owned(), recall.overall)).chain(recall.bands.iter().map(of_band))
}

/// Compares a recall that is told with what it should be, number by number.
fn compare(claim: Option<&Recall>, expected: Option<&Recall>, findings: &mut Findings) {
    let (Some(claim), Some(expected)) = (claim, expected) else {
        let named = |recall: Option<&Recall>| recall.map_or("absent".to_owned(), |recall| shown(&recall.overall));
        if claim.is_some() != expected.is_some() {
            findings.key("search.recall", named(claim), named(expected));
        }
        return;
    };
    if claim.sample != expected.sample {
        findings.key("search.recall.sample", claim.sample, expected.sample);
    }
    if !claim.bands.keys().eq(expected.bands.keys()) {
        let named = |recall: &Recall| recall.bands.keys().map(|band| band.name()).collect::<Vec<_>>().join(", ");
        findings.key("search.recall.bands", named(claim), named(expected));
        return;
    }
    for ((key, found), (_, expected)) in intervals(claim).zip(intervals(expected)) {
        let numbers = |i: Interval| [("estimate", i.estimate), ("low", i.low), ("high", i.high)];
        for ((name, found), (_, expected)) in numbers(found).into_iter().zip(numbers(expected)) {
            if found != expected {
                findings.key(&format!("{key}.{name}"), found, expected);
            }
        }
    }
}

fn shown(Interval { estimate, low, high }: &Interval) -> String {
    format!("{estimate:.3} (95 %: {low:.3} … {high:.3})")
}
