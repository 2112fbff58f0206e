//! Floor 4. *How is a result written, sealed, checked and compared?* Formats, the one seal, `verify`, and `diff`.
//!
//! `manifest.json` is written last: a folder without it is not finished. The same harvests give the same bytes: every order is
//! total, no file knows the time, and no number is rounded on its way into text.

mod batches;
mod candidates;
mod cut;
mod destination;
mod diff;
mod digest;
mod earlier;
mod fingerprint;
mod format;
mod gather;
mod groups;
mod harvest;
mod layout;
mod order;
mod params;
mod parts;
mod seal;
mod sealed;
mod select;
mod sides;
mod stock;
mod transform;
mod verify;
mod write;

#[cfg(test)]
mod fixture;

pub use destination::{Destination, DestinationError, Obstacle, Standing, check_destination};
pub use diff::{
    Change, Changes, Class, Classes, Diff, DiffError, Drift, Fate, Hub, Hubs, Judge, Negatives, Overlap, Quantiles,
    Transition, diff,
};
pub use earlier::{Earlier, EarlierError, Exclusions};
pub use fingerprint::fingerprint;
pub use format::{ColumnError, FormatError};
pub use gather::GatherError;
pub use harvest::{HarvestError, Harvests};
pub use layout::NameError;
pub use order::{KEYED_ROW, OrderError};
pub use params::{Columns, Format, Formulas, Layout, Order, Params, Split};
pub use parts::MOST_PARTS;
pub use seal::{Aside, Draft, SealError, restore};
pub use sealed::{
    BandCounts, Column, Gaps, Input, Listed, LoadError, MANIFEST, MANIFEST_BYTES, Recall, RowCounts, Sealed,
    SearchFacts, VERSION,
};
pub use sides::SUSPECTS;
pub use verify::{
    ANCHORS_AT_A_TIME, Asked, Checked, Completeness, Finding, MineAgain, Miner, Searched, Verdict, another, is_forged,
    refuted, verify,
};
pub use write::{ColumnsError, Facts, Material, WriteError, check_columns, write};
