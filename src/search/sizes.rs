//! How much is in hand at a time: what the memory of a search depends on, beside the store's shape.

pub use super::cells::{ANCHORS as PLANNED_ANCHORS, ASSIGNED, SAMPLE as SAMPLE_OF_A_CELL, TRAINING_ROUNDS};
pub use super::exact::ANCHORS as SHOWN_ANCHORS;
pub use super::tiles::{BLOCK, STRETCH, WRITE};
