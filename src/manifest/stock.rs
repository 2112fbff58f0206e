//! What all harvests together come to, before a row of them is written.

use super::Layout;
use super::harvest::{HarvestError, Harvests};
use super::layout::{Grain, Sheet};
use super::order::whole_anchors;
use super::select::Chosen;
use crate::mine::{Reason, Suspect, Tally, Triplet};
use crate::store::Row;

/// Sums over all partitions.
#[derive(Debug, Default)]
pub(super) struct Stock {
    /// Of the triplets that the layout keeps.
    pub(super) tally: Tally,
    /// Triplets that it leaves out.
    pub(super) left_out: u64,
    /// Rows of the output.
    pub(super) rows: u64,
    pub(super) unmined: Vec<(Row, Reason)>,
    pub(super) suspects: Vec<Suspect>,
}

/// Reads every harvest, and what was chosen of it.
pub(super) fn take(harvests: &Harvests, chosen: &Chosen, sheet: &Sheet) -> Result<Stock, HarvestError> {
    let mut stock = Stock::default();
    for ordinal in 0..harvests.partitions() {
        let mut aside = harvests.aside(ordinal)?;
        if chosen.selects() {
            // What is counted of candidates makes way for what is written.
            (aside.tally.bands, aside.tally.fallback) = ([0; 3], 0);
        }
        stock.tally += &aside.tally;
        stock.unmined.extend(aside.unmined);
        stock.suspects.extend(aside.suspects);
        if sheet.layout() == Layout::Triplet && !chosen.selects() {
            stock.rows += aside.tally.triplets();
            continue;
        }
        for triplets in whole_anchors(chosen.batches(ordinal)?) {
            stock.count(sheet, &triplets?, chosen.selects());
        }
    }
    Ok(stock)
}

impl Stock {
    /// Counts the lines of whole anchors, and what they leave out; where balance chose them, their triplets, too: it has told what
    /// it left without any.
    fn count(&mut self, sheet: &Sheet, triplets: &[Triplet], chosen: bool) {
        for anchor in Grain::Anchor.groups(triplets) {
            self.rows += sheet.grain().groups(anchor).map(|group| sheet.lines_of(group)).sum::<u64>();
            let mut empty = true;
            for pair in Grain::Pair.groups(anchor) {
                let keeps = sheet.keeps(pair);
                empty &= !keeps;
                self.left_out += if keeps { 0 } else { pair.len() as u64 };
                for triplet in pair {
                    let (band, fallback) = (&mut self.tally.bands[triplet.band as usize], u64::from(triplet.fallback));
                    match (chosen, keeps) {
                        (true, true) => {
                            *band += 1;
                            self.tally.fallback += fallback;
                        }
                        (false, false) => {
                            *band -= 1;
                            self.tally.fallback -= fallback;
                        }
                        (true, false) | (false, true) => {}
                    }
                }
            }
            if empty && !chosen {
                self.unmined.push((anchor[0].anchor, Reason::BandEmpty));
            }
        }
    }
}
