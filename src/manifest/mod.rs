//! Floor 4. *How is a result written, sealed and checked?* Formats, the one seal, and `verify`.
//!
//! `manifest.json` is written last: a folder without it is not finished.

mod params;

pub use params::{Format, Order, Params};
