//! What a pipeline says of a store.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Fitting;
use crate::kernel::Metric;

/// What to do with a row that cannot be used (null, ragged or non-finite vector, zero norm under cosine, null or repeated id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BadRows {
    /// Refuse the store at the first ones, with their places.
    #[default]
    Error,
    /// Leave them out, and list each with its reason.
    Skip,
}

/// A store as a checked pipeline describes it: where it is, and SQL expressions over its columns.
#[derive(Debug, Clone)]
pub struct Params {
    /// A file, a glob, or a directory (hive partitions included); absolute.
    pub path: PathBuf,
    /// Expression of a unique string or integer; the row number without one.
    pub id: Option<String>,
    /// Column of FixedSizeList, List or LargeList of f16, f32 or f64.
    pub embedding: String,
    /// Expression of the class.
    pub label: String,
    /// Rows to keep.
    pub filter: Option<String>,
    /// Constraint name and its expression, in the pipeline's order.
    pub groups: Vec<(String, String)>,
    /// Columns copied into the manifest.
    pub carry: Vec<String>,
    pub bad_rows: BadRows,
    /// Decides whether vectors are normalised, and which norms are refused.
    pub metric: Metric,
    /// What is learned from the vectors and applied to them before.
    pub fitting: Fitting,
}

impl Params {
    /// The metric that vectors are read for: one that leaves them as they are, where something is learned from them first.
    pub(super) fn reading_metric(&self) -> Metric {
        if self.fitting.is_set() { Metric::Dot } else { self.metric }
    }
}
