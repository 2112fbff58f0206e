//! Floor 3. *Which triplets?* Bands, positives and negatives of a partition of anchors.
//!
//! No I/O, no clock, no global state: mining a partition is a pure function of (prepared store, search, params, anchors).

mod asker;
mod audit;
mod band;
mod calibrate;
mod guards;
mod harvest;
mod nearest;
mod negatives;
mod params;
mod positives;
mod recall;
mod spectrum;
mod suspects;

pub use audit::{Audit, audit};
pub use band::Band;
pub use calibrate::{AtMargin, Calibration, Fullness, WithGuard, calibrate};
pub use guards::{Guard, Guards, Reference, refusing};
pub use harvest::{Harvest, Reason, Suspect, Tally, Triplet};
pub use nearest::{NEAREST_VECTORS, NearestAccuracy, nearest_accuracy};
pub use params::{Ask, NegativePick, Negatives, Params, PositivePick, Positives};
pub use recall::{Interval, Recall, measure, tune};
pub use suspects::copies;

use crate::search::Search;
use crate::store::{Prepared, Row};

/// Pairs that are mined together: where every member of a class of 10,000 is a positive, a partition has more of them than
/// memory should hold at once.
pub const PAIRS: usize = 1 << 16;

/// Mines a partition: every triplet its anchors yield, and a reason for each anchor that yields none.
///
/// `anchors` ascend. The result does not depend on which other anchors share the partition.
pub fn mine(anchors: &[Row], store: &Prepared, search: &dyn Search, params: &Params) -> Harvest {
    let mut harvest = Harvest::default();
    let ground = negatives::Ground { store, search, params };
    let (mut asking, mut pairs) = (Vec::new(), 0);
    for &anchor in anchors {
        match positives::choose(anchor, store, params) {
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
