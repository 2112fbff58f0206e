//! What holds of all triplets together: none twice, no pair with more than it asked for, and the manifest's counts.

use rayon::prelude::*;

use super::Asked;
use super::finding::Findings;
use crate::manifest::gather;
use crate::manifest::sealed::{BandCounts, RowCounts, Sealed};
use crate::manifest::write::TRIPLETS;
use crate::mine::{self, Ask, Band, Reason, Triplet};
use crate::store::Row;

/// All triplets of an output.
pub(super) struct Run<'a> {
    pub(super) asked: &'a Asked<'a>,
    /// By anchor, positive, negative.
    triplets: Vec<Triplet>,
}

impl<'a> Run<'a> {
    pub(super) fn new(asked: &'a Asked<'a>, mut triplets: Vec<Triplet>) -> Self {
        triplets.par_sort_unstable_by_key(|t| (t.anchor, t.positive, t.negative));
        Self { asked, triplets }
    }

    /// The triplets of one anchor, by positive and negative.
    pub(super) fn of_anchor(&self, anchor: Row) -> &[Triplet] {
        let from = self.triplets.partition_point(|t| t.anchor < anchor);
        let length = self.triplets[from..].partition_point(|t| t.anchor == anchor);
        &self.triplets[from..from + length]
    }

    /// All, by anchor, positive and negative.
    pub(super) fn triplets(&self) -> &[Triplet] {
        &self.triplets
    }

    /// Of each row of the store, the triplets that it is the negative of.
    pub(super) fn uses(&self) -> Vec<u32> {
        let mut uses = vec![0u32; self.asked.store.rows() as usize];
        self.triplets.iter().for_each(|triplet| uses[triplet.negative.index()] += 1);
        uses
    }

    /// How a finding names a row.
    pub(super) fn name(&self, row: Row) -> String {
        let id = gather::ids(self.asked.store, &[row]).ok();
        let id = id.and_then(|ids| arrow::util::display::array_value_to_string(&ids, 0).ok());
        id.unwrap_or_else(|| format!("row {}", row.0))
    }

    pub(super) fn check_pairs(&self, findings: &mut Findings) {
        for anchor in self.triplets.chunk_by(|x, y| x.anchor == y.anchor) {
            let mut pairs = 0;
            for pair in anchor.chunk_by(|x, y| x.positive == y.positive) {
                pairs += 1;
                self.check_pair(pair, findings);
            }
            let most = self.asked.quotas.of(anchor[0].anchor);
            if pairs > most {
                let found = format!("anchor {} with {pairs} positives", self.name(anchor[0].anchor));
                findings.file(TRIPLETS, found, format_args!("at most {most}"));
            }
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
                excess(pair.len(), bands.iter().map(|&(_, most)| most).sum(), "negatives");
            }
        }
    }

    /// `unmined`: the listed reason of each row of the store, if the list could be read.
    pub(super) fn check_counts(&self, sealed: &Sealed, unmined: Option<&[Option<Reason>]>, findings: &mut Findings) {
        let store = self.asked.store;
        let mut equal = |key: &str, found: u64, expected: u64| {
            if found != expected {
                findings.key(key, found, expected);
            }
        };
        let RowCounts { read, anchors, unmined: total, triplets } = sealed.rows;
        let rejected = store.rejected().num_rows() as u64;
        equal("rows.read", read, u64::from(store.rows()) + rejected);
        equal("rows.triplets", triplets, self.triplets.len() as u64);
        let of_band = |band: Band| self.triplets.iter().filter(|t| t.band == band).count() as u64;
        let BandCounts { hard, semi_hard, easy } = sealed.bands;
        for (band, found) in Band::ALL.into_iter().zip([hard, semi_hard, easy]) {
            equal(&format!("bands.{}", band.name()), found, of_band(band));
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
        let searched = u64::from(store.rows()) - never - left_out;
        equal("rows.anchors", anchors, searched);
    }
}
