//! What a pipeline says of its output.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The file format of the triplets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    #[default]
    Parquet,
    /// Arrow IPC file.
    Arrow,
    /// One JSON object a line.
    Jsonl,
    Csv,
}

/// The order of the triplets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// By anchor, in scan order of the store.
    #[default]
    Anchor,
    /// By a keyed hash of (seed, ids).
    Random,
    /// By gap, descending.
    EasyToHard,
    /// By gap, ascending.
    HardToEasy,
}

impl Order {
    /// As written in a pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anchor => "anchor",
            Self::Random => "random",
            Self::EasyToHard => "easy-to-hard",
            Self::HardToEasy => "hard-to-easy",
        }
    }
}

/// Where and how the result is written.
#[derive(Debug, Clone)]
pub struct Params {
    /// The output folder; absolute.
    pub path: PathBuf,
    pub format: Format,
    pub order: Order,
    /// At least 1.
    pub rows_per_file: u64,
    /// Whether an existing output of another pipeline may be replaced.
    pub overwrite: bool,
}
