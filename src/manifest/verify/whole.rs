//! What holds of all rows together: none twice, no pair with more than it asked for, and the manifest's counts.

use std::collections::BTreeMap;

use super::Asked;
use super::completeness::Again;
use super::finding::{Findings, Told};
use crate::manifest::Layout;
use crate::manifest::gather;
use crate::manifest::layout::{Line, Lines, Role, Sheet};
use crate::manifest::parts::TRIPLETS;
use crate::manifest::sealed::{BandCounts, RowCounts, Sealed};
use crate::manifest::sides;
use crate::mine::{self, Ask, Band, Reason, Triplet};
use crate::store::{Code, Row};

/// All lines of an output that are known, and what they tell.
pub(super) struct Run<'a> {
    pub(super) asked: &'a Asked<'a>,
    lines: Lines,
    /// Indices of lines, by anchor.
    order: Vec<usize>,
    /// Anchors whose lines are known, ascending; none where all are.
    known: Option<&'a [Row]>,
    /// All triplets, by anchor, positive and negative, where they can be told.
    triplets: Option<Vec<Triplet>>,
}

impl<'a> Run<'a> {
    /// Of lines that were read from the files where those name rows, else of those that were mined again and found.
    pub(super) fn new(asked: &'a Asked<'a>, sheet: &Sheet, lines: Lines, again: Option<&'a Again>) -> Self {
        let mut order: Vec<usize> = (0..lines.len()).collect();
        order.sort_by_key(|&index| lines.get(index).anchor);
        let mut triplets = match again {
            _ if sheet.names_rows() && sheet.layout().tells_triplets() => Some(triplets_of(&lines)),
            Some(again) if again.all => Some(again.triplets.clone()),
            _ => None,
        };
        if let Some(triplets) = &mut triplets {
            triplets.sort_unstable_by_key(|t| (t.anchor, t.positive, t.negative));
        }
        let known = if sheet.names_rows() { None } else { Some(again.map_or(&[][..], |again| &again.sample)) };
        Self { asked, lines, order, known, triplets }
    }

    /// The lines of one anchor.
    pub(super) fn of_anchor(&self, anchor: Row) -> Lines {
        let of = |index: &usize| self.lines.get(*index).anchor;
        let from = self.order.partition_point(|index| of(index) < anchor);
        let length = self.order[from..].partition_point(|index| of(index) == anchor);
        self.lines.select(&self.order[from..from + length])
    }

    /// All that are known, in the order of the output.
    pub(super) fn lines(&self) -> impl ExactSizeIterator<Item = Line<'_>> {
        self.lines.iter()
    }

    /// Those that have lines, ascending.
    pub(super) fn anchors(&self) -> impl Iterator<Item = Row> + '_ {
        let of = |&index: &usize| self.lines.get(index).anchor;
        self.order.chunk_by(move |a, b| of(a) == of(b)).map(move |some| of(&some[0]))
    }

    /// Whether all lines are known.
    pub(super) fn knows_all(&self) -> bool {
        self.known.is_none_or(|known| known.len() == self.asked.store.anchors().len())
    }

    /// Whether an anchor has lines, where that can be told.
    pub(super) fn yields(&self, anchor: Row) -> Option<bool> {
        if self.known.is_some_and(|known| known.binary_search(&anchor).is_err()) {
            return None;
        }
        Some(self.order.binary_search_by_key(&anchor, |&index| self.lines.get(index).anchor).is_ok())
    }

    pub(super) fn triplets(&self) -> Option<u64> {
        self.triplets.as_ref().map(|triplets| triplets.len() as u64)
    }

    /// All, by anchor, positive and negative, where they can be told.
    pub(super) fn all(&self) -> Option<&[Triplet]> {
        self.triplets.as_deref()
    }

    /// Those of one anchor.
    pub(super) fn triplets_of(&self, anchor: Row) -> &[Triplet] {
        let all = self.triplets.as_deref().unwrap_or_default();
        &all[all.partition_point(|t| t.anchor < anchor)..all.partition_point(|t| t.anchor <= anchor)]
    }

    /// Of each row of the store, the triplets that it is the negative of; where these are not told, at least so many.
    pub(super) fn uses(&self) -> Vec<u32> {
        let mut uses = vec![0u32; self.asked.store.rows() as usize];
        if let Some(triplets) = &self.triplets {
            triplets.iter().for_each(|triplet| uses[triplet.negative.index()] += 1);
            return uses;
        }
        let members = self.lines.iter().flat_map(|line| line.members);
        members.filter(|member| member.role != Role::Positive).for_each(|member| uses[member.row.index()] += 1);
        uses
    }

    /// How a finding names a row.
    pub(super) fn name(&self, row: Row) -> String {
        let id = gather::ids(self.asked.store, &[row]).ok();
        let id = id.and_then(|ids| arrow::util::display::array_value_to_string(&ids, 0).ok());
        id.unwrap_or_else(|| format!("row {}", row.0))
    }

    /// No row twice, and no more positives or negatives than asked for.
    pub(super) fn check_groups(&self, findings: &mut Findings) {
        if let (Some(triplets), None) = (&self.triplets, self.known) {
            for pair in triplets.chunk_by(|x, y| (x.anchor, x.positive) == (y.anchor, y.positive)) {
                self.check_pair(pair, findings);
            }
            for anchor in triplets.chunk_by(|x, y| x.anchor == y.anchor) {
                self.check_classes(anchor[0].anchor, anchor.iter().map(|t| t.negative), findings);
            }
        }
        let layout = self.asked.output.layout;
        for group in self.order.chunk_by(|&x, &y| self.lines.get(x).anchor == self.lines.get(y).anchor) {
            let anchor = self.lines.get(group[0]).anchor;
            // What names a line of this anchor: its first row, but for triplets, of which a pair has many.
            let mut firsts: Vec<(Row, Role)> = Vec::new();
            for &index in group {
                firsts.extend(self.lines.get(index).members.first().map(|member| (member.row, member.role)));
            }
            firsts.sort_unstable_by_key(|&(row, _)| row);
            if layout != Layout::Triplet && self.known.is_none() {
                for twin in firsts.windows(2).filter(|w| w[0].0 == w[1].0) {
                    let found = format!("anchor {} with {} twice", self.name(anchor), self.name(twin[0].0));
                    findings.file(TRIPLETS, found, "each once");
                }
            }
            firsts.dedup_by_key(|&mut (row, _)| row);
            let others = firsts.iter().filter(|(_, role)| *role == Role::Other).map(|&(row, _)| row);
            self.check_classes(anchor, others, findings);
            let positives = firsts.iter().filter(|(_, role)| *role == Role::Positive).count() as u64;
            let others = firsts.len() as u64 - positives;
            let mut excess = |found: u64, most: u64, what: &str| {
                if found > most {
                    let found = format!("anchor {} with {found} {what}", self.name(anchor));
                    findings.file(TRIPLETS, found, format_args!("at most {most}"));
                }
            };
            excess(positives, u64::from(self.asked.quotas.of(anchor)), "positives");
            excess(others, positives.saturating_mul(self.asked.mine.ask.slots()), "negatives");
        }
    }

    /// No class gives an anchor more negatives than it may.
    fn check_classes(&self, anchor: Row, negatives: impl Iterator<Item = Row>, findings: &mut Findings) {
        let Some(most) = self.asked.mine.negatives.max_per_class else { return };
        let (store, mut labels) = (self.asked.store, BTreeMap::<Code, u32>::new());
        for &label in negatives.flat_map(|row| store.labels_in(&store.labels()[row.index()])) {
            *labels.entry(label).or_default() += 1;
        }
        if let Some(count) = labels.into_values().find(|&count| count > most) {
            let found = format!("anchor {} with {count} negatives of one class", self.name(anchor));
            findings.file(TRIPLETS, found, format_args!("at most {most}"));
        }
    }

    fn check_pair(&self, pair: &[Triplet], findings: &mut Findings) {
        let named = |t: &Triplet| format!("anchor {} with positive {}", self.name(t.anchor), self.name(t.positive));
        for twin in pair.windows(2).filter(|w| w[0].negative == w[1].negative) {
            let found = format!("{} and negative {} twice", named(&twin[0]), self.name(twin[0].negative));
            findings.file(TRIPLETS, found, "each triplet once");
        }
        let mut excess = |count: usize, most: u32, what: &str| {
            if count > most as usize {
                let found = format!("{} and {count} {what}", named(&pair[0]));
                findings.file(TRIPLETS, found, format_args!("at most {most}"));
            }
        };
        match &self.asked.mine.ask {
            Ask::Any(most) => excess(pair.len(), *most, "negatives"),
            Ask::Bands(bands) => {
                for &(band, most) in bands {
                    let count = pair.iter().filter(|t| t.band == band && !t.fallback).count();
                    excess(count, most, &format!("{} negatives", band.name()));
                }
                excess(pair.len(), self.asked.mine.ask.slots() as u32, "negatives");
            }
        }
    }

    /// `unmined`: the listed reason of each row of the store, if the list could be read.
    pub(super) fn check_counts(
        &self,
        sealed: &Sealed,
        unmined: Option<&[Option<Reason>]>,
        findings: &mut Findings,
        told: &mut Told,
    ) {
        let store = self.asked.store;
        let mut equal = |key: &str, found: u64, expected: u64| {
            if found != expected {
                findings.key(key, found, expected);
            }
        };
        let RowCounts { read, anchors, unmined: total, triplets } = sealed.rows;
        let rejected = store.rejected().num_rows() as u64;
        if let Ok(expected) = sides::rows_read(store) {
            equal("rows.read", read, expected);
        }
        if let Some(all) = &self.triplets {
            equal("rows.triplets", triplets, all.len() as u64);
            let of_band = |band: Band| all.iter().filter(|t| t.band == band).count() as u64;
            for (band, found) in Band::ALL.into_iter().zip(<[u64; 3]>::from(sealed.bands)) {
                equal(&format!("bands.{}", band.name()), found, of_band(band));
            }
        } else {
            let BandCounts { hard, semi_hard, easy } = sealed.bands;
            equal("rows.triplets", triplets, [hard, semi_hard, easy].into_iter().fold(0, u64::saturating_add));
            told.unchecked("how many triplets there are, and of which bands: the rows do not tell, and not all anchors were mined again");
        }
        let Some(unmined) = unmined else { return };
        let mut counts = [0u64; Reason::ALL.len()];
        for reason in unmined.iter().flatten() {
            counts[*reason as usize] += 1;
        }
        counts[Reason::Rejected as usize] += rejected;
        for (reason, count) in Reason::ALL.into_iter().zip(counts) {
            equal(&format!("unmined.{}", reason.name()), sealed.unmined.get(&reason).copied().unwrap_or(0), count);
        }
        equal("rows.unmined", total, counts.iter().sum());
        let never = [Reason::Unlabelled, Reason::Singleton, Reason::NoPositive];
        let left_out = |(row, reason): (Row, &Option<Reason>)| {
            *reason == Some(Reason::BalancedAway) && !mine::is_anchor(row, store, self.asked.mine)
        };
        let left_out = (0..).map(Row).zip(unmined).filter(|&listed| left_out(listed)).count() as u64;
        let never = never.iter().map(|&reason| counts[reason as usize]).sum::<u64>();
        // A list that was tampered with may name more rows than there are.
        let searched = (store.anchors().len() as u64).saturating_sub(never + left_out);
        equal("rows.anchors", anchors, searched);
    }
}

/// The triplets of lines that begin with their positive.
fn triplets_of(lines: &Lines) -> Vec<Triplet> {
    let mut triplets = Vec::with_capacity(lines.len());
    for line in lines.iter() {
        let Some((positive, negatives)) = line.members.split_first() else { continue };
        for negative in negatives {
            let Role::Negative { band, fallback } = negative.role else { continue };
            let (positive, d_ap) = (positive.row, positive.distance);
            let (anchor, negative, d_an) = (line.anchor, negative.row, negative.distance);
            triplets.push(Triplet { anchor, positive, negative, d_ap, d_an, band, fallback });
        }
    }
    triplets
}
