//! The prepared store, opened.
pub struct Prepared {}
