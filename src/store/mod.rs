//! Floor 1. *What is in the store?* Reads and checks Parquet with DataFusion, and freezes what passed as a prepared store
//! of memory-mapped arrays: vectors, ids, and labels and groups as dense codes.
//!
//! After [`prepare`] no later room meets a NaN, a ragged vector, a null id, or a label that is not a [`Code`].

mod params;
mod prepared;
mod row;

pub use params::{BadRows, Params};
pub use prepared::Prepared;
pub use row::{Code, Row};
