//! Floor 3. *Which triplets?* Bands, positives and negatives of a partition of anchors.
//!
//! No I/O, no clock, no global state: mining a partition is a pure function of (prepared store, search, params, rows).

mod band;
mod harvest;
mod params;

pub use band::Band;
pub use harvest::{Harvest, Reason, Suspect, Tally, Triplet};
pub use params::{Ask, NegativePick, Negatives, Params, PositivePick, Positives};
