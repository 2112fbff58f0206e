//! What all harvests together come to, before a row of them is written.

use super::Layout;
use super::harvest::{HarvestError, Harvests, decode};
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
        let aside = harvests.aside(ordinal)?;
        stock.tally += &aside.tally;
        stock.unmined.extend(aside.unmined);
        stock.suspects.extend(aside.suspects);
        if sheet.layout() != Layout::Triplet {
            for triplets in whole_anchors(harvests.batches(ordinal)?) {
                stock.count(sheet, &triplets?);
            }
        }
    }
    if chosen.selects() {
        // What is counted of candidates makes way for what is written.
        (stock.tally.bands, stock.tally.fallback) = ([0; 3], 0);
        for ordinal in 0..harvests.partitions() {
            for batch in chosen.batches(ordinal)? {
                for triplet in decode(&batch?) {
                    stock.tally.bands[triplet.band as usize] += 1;
                    stock.tally.fallback += u64::from(triplet.fallback);
                }
            }
        }
    }
    if sheet.layout() == Layout::Triplet {
        stock.rows = stock.tally.triplets();
    }
    Ok(stock)
}

impl Stock {
    /// Counts the lines of whole anchors, and what they leave out.
    fn count(&mut self, sheet: &Sheet, triplets: &[Triplet]) {
        for anchor in Grain::Anchor.groups(triplets) {
            self.rows += sheet.lines(anchor).len() as u64;
            let mut empty = true;
            for pair in Grain::Pair.groups(anchor) {
                if sheet.keeps(pair) {
                    empty = false;
                    continue;
                }
                self.left_out += pair.len() as u64;
                for triplet in pair {
                    self.tally.bands[triplet.band as usize] -= 1;
                    self.tally.fallback -= u64::from(triplet.fallback);
                }
            }
            if empty {
                self.unmined.push((anchor[0].anchor, Reason::BandEmpty));
            }
        }
    }
}
