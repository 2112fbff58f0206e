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
