//! The TOML as written. Doc comments become the descriptions of `miner schema`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::Metric;
use crate::manifest::{Format, Order};
use crate::mine::{Band, NegativePick, PositivePick, Reference};
use crate::search::{CellsParams, HnswParams, Index};
use crate::store::{BadRows, Transform};

/// A mining job: what to read, what to mine, where to write.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "miner pipeline")]
pub struct Spec {
    /// Shown in reports. Default: the file's stem.
    pub name: Option<String>,
    pub store: StoreSpec,
    #[serde(default)]
    pub prepare: PrepareSpec,
    #[serde(default)]
    pub search: SearchSpec,
    #[serde(default)]
    pub mine: MineSpec,
    #[serde(default)]
    pub output: OutputSpec,
    // What cannot change the result is no part of the resolved pipeline.
    #[serde(default, skip_serializing)]
    pub run: RunSpec,
}

/// The embeddings: corpus and anchors.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreSpec {
    /// A Parquet file, a glob, or a directory (hive partitions included). Relative to this file.
    pub path: String,
    /// SQL expression of a unique string or integer. Default: the row number.
    #[serde(default)]
    pub id: Option<String>,
    /// Column of lists of f16, f32 or f64, all of one length.
    pub embedding: String,
    /// SQL expression of the class: string, integer or boolean. Rows where it is null are unlabelled.
    pub label: String,
    /// SQL condition: rows to keep.
    #[serde(default, rename = "where")]
    pub filter: Option<String>,
    /// Names that constraints can use, each with a SQL expression.
    #[serde(default)]
    pub groups: BTreeMap<String, String>,
    /// Columns copied into the triplets as anchor_X, positive_X, negative_X.
    #[serde(default)]
    pub carry: Vec<String>,
    #[serde(default)]
    pub bad_rows: BadRows,
    #[serde(default)]
    pub unlabelled: Unlabelled,
}

/// What rows without a label are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unlabelled {
    /// Nothing: each may secretly belong to the anchor's class.
    #[default]
    Ignore,
    /// Negatives of every anchor.
    Negative,
}

/// What is learned from the vectors and applied to them before the metric's normalisation: first `standardize`, then `transform`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PrepareSpec {
    /// Each dimension to mean 0 and variance 1 over the store.
    pub standardize: bool,
    /// none, pca-whiten, rca, lda, or a file with a matrix L of k rows (.npy or .parquet; relative to this file), x ↦ L·x.
    pub transform: String,
    /// Dimensions to keep of pca-whiten and lda; 0 keeps all.
    pub dimensions: usize,
}

impl Default for PrepareSpec {
    fn default() -> Self {
        Self { standardize: false, transform: Transform::None.name().to_owned(), dimensions: 0 }
    }
}

/// How candidates are found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SearchSpec {
    pub index: Index,
    /// The recall that an approximate index is tuned to, on a sample of anchors.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub target_recall: f64,
    pub cells: CellsParams,
    pub hnsw: HnswParams,
}

impl Default for SearchSpec {
    fn default() -> Self {
        Self { index: Index::Auto, target_recall: 0.95, cells: CellsParams::default(), hnsw: HnswParams::default() }
    }
}

/// What is mined.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MineSpec {
    pub metric: Metric,
    /// In the metric's own units.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub margin: f64,
    pub bands: BandsSpec,
    /// Which negatives are taken from a band that holds more than asked.
    pub pick: NegativePick,
    /// Bands to fill from, in this order, where an asked band is too small.
    pub fallback: Vec<Band>,
    pub seed: u64,
    pub positives: PositivesSpec,
    pub negatives: NegativesSpec,
}

impl Default for MineSpec {
    fn default() -> Self {
        Self {
            metric: Metric::Cosine,
            margin: 0.2,
            bands: BandsSpec { semi_hard: Some(1), ..BandsSpec::default() },
            pick: NegativePick::Random,
            fallback: Vec::new(),
            seed: 42,
            positives: PositivesSpec::default(),
            negatives: NegativesSpec::default(),
        }
    }
}

/// How many negatives a pair gets from each band; or from the union of all, as `any`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct BandsSpec {
    /// Nearer than the positive.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub hard: Option<u32>,
    /// Farther than the positive, by at most the margin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub semi_hard: Option<u32>,
    /// Farther than the positive by more than the margin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub easy: Option<u32>,
    /// From any band; stands alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub any: Option<u32>,
}

/// Which rows of its class an anchor is paired with.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PositivesSpec {
    pub pick: PositivePick,
    /// Positives an anchor. Default: 1; has no meaning for pick = "all".
    #[schemars(range(min = 1))]
    pub per_anchor: Option<u32>,
    /// Drops copies of the anchor.
    pub min_distance: Option<f64>,
    /// Drops outliers, which are likely label noise.
    pub max_distance: Option<f64>,
    /// Groups on which anchor and positive must agree.
    pub same: Vec<String>,
    /// Groups on which anchor and positive must differ.
    pub different: Vec<String>,
}

/// Which rows of other classes an anchor may meet.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NegativesSpec {
    /// Groups on which anchor and negative must agree.
    pub same: Vec<String>,
    /// Groups on which anchor and negative must differ.
    pub different: Vec<String>,
    /// A negative must be farther than this; nearer ones are listed as suspects.
    pub duplicate_distance: Option<f64>,
    /// Its similarity to the anchor must be at most this. Similarities are 1 − d under cosine, −d otherwise.
    pub max_score: Option<f64>,
    /// Its similarity to the anchor must be at least this.
    pub min_score: Option<f64>,
    /// Its similarity must be less than the positive's by at least this.
    #[schemars(range(min = 0.0))]
    pub absolute_margin: Option<f64>,
    /// Its similarity must be less than the positive's by at least this share of it: 0.05 is "95 % of the positive".
    #[schemars(range(min = 0.0))]
    pub relative_margin: Option<f64>,
    /// Which positive the two margins are measured from.
    pub reference: Reference,
    /// Leaves out so many nearest negatives of an anchor, before any other guard.
    pub skip_nearest: u32,
    /// Takes from so many nearest negatives of an anchor only, before any other guard.
    #[schemars(range(min = 1))]
    pub window: Option<u32>,
    /// A negative must be farther than this from every positive chosen for the anchor.
    pub near_positive: Option<f64>,
    /// Negatives of one class for one anchor, at most.
    #[schemars(range(min = 1))]
    pub max_per_class: Option<u32>,
}

/// Where the result goes, and how it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutputSpec {
    /// A folder of its own. Relative to this file; out/STEM by default.
    pub path: Option<String>,
    pub format: Format,
    pub order: Order,
    /// Triplets a file, at most.
    #[schemars(range(min = 1))]
    pub rows_per_file: u64,
    /// Replace an output that another pipeline, input or version wrote.
    #[serde(skip_serializing)]
    pub overwrite: bool,
}

impl Default for OutputSpec {
    fn default() -> Self {
        let (format, order) = (Format::default(), Order::default());
        Self { path: None, format, order, rows_per_file: 1_000_000, overwrite: false }
    }
}

/// How the work is done; cannot change the result.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunSpec {
    /// 0: all cores.
    #[schemars(range(max = 1024))]
    pub threads: usize,
    /// Anonymous memory of every stage, at most, as in "4GiB"; mapped files do not count. "0": three quarters of the machine's.
    pub memory: String,
    /// Folder for scratch. Default: beside the output.
    pub work: String,
}
