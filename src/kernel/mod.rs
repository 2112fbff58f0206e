//! Floor 0. *How far apart are two vectors?* Distances, quantised tiles, blocked products, learned linear maps and bounded
//! heaps; knows of no other room.
//!
//! Every function here is pure. What decides a result ([`Metric::distance`]) is one fixed-order sum, identical to the
//! bit on every machine and at every vector width; what is merely fast ([`quantised`], [`product`]) carries an error
//! bound and decides nothing.

mod distance;
pub mod linear;
pub mod product;
pub mod quantised;
mod rotation;
mod topk;

pub use distance::{Distance, Measure, Metric, normalise, squared_norm};
pub use rotation::{ROTATION_ERROR, Rotation};
pub use topk::TopK;

/// Which instructions a kernel uses on this machine. They change how long it takes, and never a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instructions {
    /// Of [`Metric::distance`].
    pub distances: &'static str,
    /// Of int8 scans, see [`quantised`].
    pub scans: &'static str,
}

impl Instructions {
    /// As detected, once.
    pub fn of_this_machine() -> Self {
        Self { distances: distance::instructions(), scans: quantised::instructions() }
    }
}
