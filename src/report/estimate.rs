//! What a run was expected to take.

use serde::{Deserialize, Serialize};

use crate::words::roughly;

/// What a run will take, as far as the shape of the data and a moment's measuring tell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimates {
    pub triplets_at_most: u64,
    pub seconds: f64,
    /// The figures of time and output are upper ends: a random pick often needs far less search.
    pub at_most: bool,
    /// Anonymous memory; mapped files do not count.
    pub memory_bytes: u64,
    pub scratch_bytes: u64,
    pub output_bytes: u64,
}

impl Estimates {
    /// `at most 40 s`.
    pub fn time(&self) -> String {
        let about = match self.at_most {
            _ if self.seconds < 1.0 => "",
            true => "at most ",
            false => "about ",
        };
        format!("{about}{}", roughly(self.seconds))
    }
}
