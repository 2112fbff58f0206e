//! Floor 3. *Which triplets?* Bands, positives and negatives of a partition of anchors.
//!
//! No I/O, no clock, no global state: mining a partition is a pure function of (prepared store, search, params, anchors).

mod balance;
mod band;
mod batches;
mod harvest;
mod negatives;
mod params;
mod positives;
mod recall;
mod suspects;

pub use balance::{Balance, Balanced, Claim, Claimant, Quotas, Ration, Spread, Weighting, is_anchor, ticket, weights};
pub use band::Band;
pub use batches::{Batched, Batches, Hardness, Pk, Sides, clash, pk, without_false_negatives};
pub use harvest::{Harvest, Reason, Suspect, Tally, Triplet};
pub use params::{Ask, NegativePick, Negatives, Params, PositivePick, Positives};
pub use recall::{Interval, Recall, measure, tune};
pub use suspects::copies;

use crate::search::Search;
use crate::store::{Prepared, Row};

/// Mines a partition: every triplet its anchors yield, and a reason for each anchor that yields none.
///
/// `anchors` ascend. The result does not depend on which other anchors share the partition. `quotas` are those of (store, params).
/// Under `max_uses` the triplets are candidates, with spare ones among them.
pub fn mine(anchors: &[Row], store: &Prepared, search: &dyn Search, params: &Params, quotas: &Quotas) -> Harvest {
    let mut harvest = Harvest::default();
    let mut asking = Vec::new();
    for &anchor in anchors {
        match positives::choose(anchor, store, params, quotas.of(anchor)) {
            Ok(positives) => asking.push((anchor, positives)),
            Err(reason) => harvest.unmined.push((anchor, reason)),
        }
    }
    negatives::find(asking, store, search, params, &mut harvest);
    harvest.unmined.sort_unstable();
    harvest
}

/// Rows of a partition.
pub fn partition_rows(rows: u32) -> u32 {
    // Enough of them to keep many cores busy and to lose little when interrupted; each large enough for dense blocks.
    (rows / 128).clamp(512, 16_384)
}

/// The partitions of a store: the units of work, of retry and of checkpoint. A function of the row count alone; results
/// do not depend on it.
pub fn partitions(rows: u32) -> Vec<Vec<Row>> {
    let size = partition_rows(rows);
    (0..rows)
        .step_by(size as usize)
        .map(|first| (first..rows.min(first.saturating_add(size))).map(Row).collect())
        .collect()
}
