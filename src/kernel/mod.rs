//! Floor 0. *How far apart are two vectors?* Distances, blocked products and bounded heaps; knows of no other room.
//!
//! Every function here is pure. What decides a result ([`Metric::distance`]) is one fixed-order sum, identical to the
//! bit on every machine and at every vector width; what is merely fast ([`tile`]) carries an error bound and decides nothing.

mod distance;
pub mod tile;
mod topk;

pub use distance::{Distance, Metric};
pub use topk::TopK;
