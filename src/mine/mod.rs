//! Floor 3. *Which triplets?* Bands, positives and negatives of a partition of anchors.
//!
//! No I/O, no clock, no global state: mining a partition is a pure function of (prepared store, search, params, anchors).

mod asker;
mod audit;
mod balance;
mod band;
mod batches;
mod calibrate;
mod figures;
mod guards;
mod harvest;
mod nearest;
mod negatives;
mod params;
mod positives;
mod recall;
mod spectrum;
mod suspects;

pub use audit::{Audit, Unscored, audit};
pub use balance::{
    Balance, Balanced, Claim, Claimant, LabelCounts, Quotas, Ration, Spread, Weighting, is_anchor, ticket, weights,
};
pub use band::Band;
pub use batches::{Batched, Batches, Entries, Hardness, Pk, clash, pk, without_false_negatives};
pub use calibrate::{AtMargin, Calibration, Fullness, WithGuard, calibrate};
pub use figures::{
    ClassShare, Classes, Confused, Confusion, Evenness, Example, Figures, Histogram, Hub, Hubs, Ledger, Series,
    SuspectPair,
};
pub use guards::{Chosen, Guard, Guards, Reference, refusing};
pub use harvest::{Harvest, Reason, Suspect, Tally, Triplet};
pub use nearest::{NEAREST_VECTORS, NearestAccuracy, nearest_accuracy};
pub use params::{Ask, NegativePick, Negatives, Params, PositivePick, Positives};
pub use positives::has_kin;
pub use recall::{Interval, Name, Proportion, Recall, Shares, Tuned, elsewhere, measure, measured, name, tune};
pub use suspects::copies;

use std::ops::Range;

use crate::search::Search;
use crate::store::{Prepared, Row};

/// Pairs that are mined together: where every member of a class of 10,000 is a positive, a partition has more of them than
/// memory should hold at once.
pub const PAIRS: usize = 1 << 16;

/// Mines a partition: every triplet its anchors yield, and a reason for each anchor that yields none.
///
/// `anchors` ascend. The result does not depend on which other anchors share the partition. `quotas` are those of (store, params).
/// Under `max_uses` the triplets are candidates, with spare ones among them.
pub fn mine(anchors: &[Row], store: &Prepared, search: &dyn Search, params: &Params, quotas: &Quotas) -> Harvest {
    let mut harvest = Harvest::default();
    let ground = negatives::Ground { store, search, params };
    let (mut asking, mut pairs) = (Vec::new(), 0);
    for &anchor in anchors {
        match positives::choose(anchor, store, params, quotas.of(anchor)) {
            Ok(positives) => {
                pairs += positives.len();
                asking.push((anchor, positives));
            }
            Err(reason) => harvest.unmined.push((anchor, reason)),
        }
        if pairs >= PAIRS {
            negatives::find(std::mem::take(&mut asking), ground, &mut harvest);
            pairs = 0;
        }
    }
    negatives::find(asking, ground, &mut harvest);
    harvest.unmined.sort_unstable();
    harvest
}

/// Rows of a partition, of so many rows that ask.
pub fn partition_rows(rows: u32) -> u32 {
    // Enough of them to keep many cores busy and to lose little when interrupted; each large enough for dense blocks.
    (rows / 128).clamp(512, 16_384)
}

/// The partitions of a store's anchors: the units of work, of retry and of checkpoint. A function of their number alone;
/// results do not depend on it.
pub fn partitions(anchors: Range<u32>) -> Vec<Vec<Row>> {
    let size = partition_rows(anchors.len() as u32);
    let end = anchors.end;
    anchors
        .step_by(size as usize)
        .map(|first| (first..end.min(first.saturating_add(size))).map(Row).collect())
        .collect()
}

/// How many rows have anything to be paired with, as far as labels and pairs tell.
pub fn candidates(store: &Prepared) -> usize {
    store.anchors().map(Row).filter(|&anchor| has_kin(anchor, store)).count()
}
