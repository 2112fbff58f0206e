//! The files of a prepared store's folder.
//!
//! ```text
//! vectors.npy    f32  rows × dims, normalised under cosine
//! labels.npy     u32  class of each row: its label, or its set of labels; u32::MAX is null
//! sets-*.npy          of each class, its labels, where a row may have several, see `sets`
//! group-<i>.npy  u32  the same for each group column
//! keys.npy       u64  hash of each row's id
//! rows.npy       u64  position of each row in the scan of its table, before `where`
//! ids.arrow           id, then the carried columns, of the corpus
//! queries.arrow       the same of the queries, where there are any: their rows come after those of the corpus
//! own.npy        u32  of each query, the row of the corpus with the same id; u32::MAX is none
//! pairs-*.npy         of each anchor, the rows that pairs name, see `links`
//! scores-*.npy        of each anchor, the rows that have a score for it, and the scores
//! exclude-*.npy       of each anchor, the rows that were its negatives before, where earlier outputs are read
//! labels.arrow        the values of labels
//! rejected.arrow      rows left out, with reasons: of the queries, the corpus, the pairs, the scores
//! store.json          written last, with the hash of every file: without it the folder is not complete
//! ```
//!
//! Where `[prepare]` learns from the vectors, `vectors.npy` holds them as read, and a fit adds:
//!
//! ```text
//! fitted.npy     f32  rows × dimensions, transformed, then normalised under cosine
//! mean.npy       f64  1 × dims
//! matrix.npy     f64  dimensions × dims
//! fitted.json         written last, with their hashes: without it the fit is not complete
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::prepared::Excluded;
use super::sets::SetsHeader;
use crate::kernel::Metric;

pub(super) const VECTORS: &str = "vectors.npy";
pub(super) const LABELS: &str = "labels.npy";
pub(super) const KEYS: &str = "keys.npy";
pub(super) const SOURCE_ROWS: &str = "rows.npy";
pub(super) const IDS: &str = "ids.arrow";
pub(super) const QUERY_IDS: &str = "queries.arrow";
pub(super) const OWN: &str = "own.npy";
pub(super) const LABEL_VALUES: &str = "labels.arrow";
pub(super) const SET_OFFSETS: &str = "sets-offsets.npy";
pub(super) const SET_LABELS: &str = "sets-labels.npy";
pub(super) const REJECTED: &str = "rejected.arrow";
pub(super) const HEADER: &str = "store.json";
pub(super) const FITTED_VECTORS: &str = "fitted.npy";
pub(super) const MEAN: &str = "mean.npy";
pub(super) const MATRIX: &str = "matrix.npy";
pub(super) const FITTED_HEADER: &str = "fitted.json";

pub(super) fn group(index: usize) -> String {
    format!("group-{index}.npy")
}

pub(super) const FORMAT: &str = "miner-store";
pub(super) const VERSION: u32 = 4;

/// Names of files with their hashes: of arrays, see [`super::npy`], those of the values.
pub(super) type Files = BTreeMap<String, String>;

/// `store.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    pub format: String,
    pub version: u32,
    pub rows: u32,
    /// Of these, at the end, the queries; none where the corpus asks for itself.
    pub queries: Option<u32>,
    /// How many links there are between anchors and rows of the corpus; none where labels tell.
    pub pairs: Option<u64>,
    /// How many of these two have a score; none where no table gives any.
    pub scores: Option<u64>,
    /// Negatives that are not taken again; none where no earlier output was read.
    pub excluded: Option<Excluded>,
    pub dims: usize,
    pub metric: Metric,
    /// Largest L2 norm of a prepared vector.
    pub max_norm: f64,
    pub classes: usize,
    /// Where a row may have several labels.
    pub sets: Option<SetsHeader>,
    pub groups: Vec<String>,
    /// Of the store's survey.
    pub fingerprint: String,
    pub files: Files,
}
