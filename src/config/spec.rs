//! The TOML as written. Doc comments become the descriptions of `miner schema`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kernel::Metric;
use crate::manifest::{Formulas, Layout, Order};
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
    /// Anchors, where they are not rows of the store (question → passage).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queries: Option<QueriesSpec>,
    /// Positives by id, where they are not told by label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<PairsSpec>,
    /// What a reranker says of anchors and rows of the store: for mine.negatives.score_gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<ScoresSpec>,
    #[serde(default)]
    pub prepare: PrepareSpec,
    #[serde(default)]
    pub search: SearchSpec,
    #[serde(default)]
    pub mine: MineSpec,
    #[serde(default)]
    pub balance: BalanceSpec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches: Option<BatchesSpec>,
    #[serde(default)]
    pub output: OutputSpec,
    // What cannot change the result is no part of the resolved pipeline.
    #[serde(default, skip_serializing)]
    pub run: RunSpec,
}

/// The embeddings: the corpus, and the anchors too unless there are queries.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreSpec {
    /// A Parquet file, a glob, or a directory (hive partitions included); or the URL of one. Relative to this file.
    pub path: String,
    /// SQL expression of a unique string or integer. Default: the row number.
    #[serde(default)]
    pub id: Option<String>,
    /// Column of lists of f16, f32 or f64, all of one length. Left out where `vectors` says where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<String>,
    /// The vectors, where they are in arrays beside the table, row by row in its order: a .npy, .npz, .fvecs or .bvecs file, a glob, or
    /// a list of these, or URLs of them; "file.npz:name" for one array of several. Relative to this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<Paths>,
    /// SQL expression of the class: string, integer or boolean; or of a list of these, of which positives share one and negatives
    /// none. Rows where it is null are unlabelled. Left out where [pairs] says which rows are positives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
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

/// The anchors. A query may have the id of a row of the store, which is then never its positive or negative.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueriesSpec {
    /// A Parquet file, a glob, or a directory (hive partitions included); or the URL of one. Relative to this file.
    pub path: String,
    /// SQL expression of a unique string or integer, of the type of the store's. Default: the store's; the row number where
    /// that has none.
    #[serde(default)]
    pub id: Option<String>,
    /// Column of lists of f16, f32 or f64, as long as the store's. Default: the store's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<String>,
    /// The vectors, where they are in arrays beside the table of queries, as in [store].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<Paths>,
    /// SQL expression of the class, or of a list of labels; positives are the store's rows that share one. Default: the store's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// SQL condition: rows to keep.
    #[serde(default, rename = "where")]
    pub filter: Option<String>,
    /// Of the store's groups, those that queries have, too. Default: the store's.
    #[serde(default)]
    pub groups: Option<BTreeMap<String, String>>,
    /// Columns copied into the triplets as anchor_X; positive_X and negative_X are the store's. Default: the store's.
    #[serde(default)]
    pub carry: Option<Vec<String>>,
    /// Default: the store's.
    #[serde(default)]
    pub bad_rows: Option<BadRows>,
}

/// Which rows of the store are whose positives: one pair of ids a row. Every other row of the store is a negative.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PairsSpec {
    /// A Parquet file, a glob, or a directory (hive partitions included); or the URL of one. Relative to this file.
    pub path: String,
    /// SQL expression of the id of a query; without [queries], of a row of the store.
    #[serde(default = "query_id")]
    pub query: String,
    /// SQL expression of the id of a row of the store.
    #[serde(default = "corpus_id")]
    pub positive: String,
    /// What to do with a pair that names no row. Default: the store's.
    #[serde(default)]
    pub bad_rows: Option<BadRows>,
}

/// Scores of anchors and rows of the store, the positives among them: one of each a row.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScoresSpec {
    /// A Parquet file, a glob, or a directory (hive partitions included); or the URL of one. Relative to this file.
    pub path: String,
    /// SQL expression of the id of a query; without [queries], of a row of the store.
    #[serde(default = "query_id")]
    pub anchor: String,
    /// SQL expression of the id of a row of the store.
    #[serde(default = "corpus_id")]
    pub candidate: String,
    /// SQL expression of a number, kept as f32: the larger, the better the two go together.
    #[serde(default = "score")]
    pub score: String,
    /// What to do with a row that names no row, or has no score. Default: the store's.
    #[serde(default)]
    pub bad_rows: Option<BadRows>,
}

/// One path, or several in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a path, or a list of paths")]
pub enum Paths {
    One(String),
    Several(Vec<String>),
}

impl Paths {
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Several(paths) => paths,
        }
    }
}

fn score() -> String {
    "score".to_owned()
}

fn query_id() -> String {
    "query_id".to_owned()
}

fn corpus_id() -> String {
    "corpus_id".to_owned()
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
    /// Positives an anchor. Default: 1; not with pick = "all".
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
    /// Which of the positives chosen for the anchor the two margins are measured from.
    pub reference: Reference,
    /// Leaves out so many nearest negatives of an anchor, before any other guard.
    pub skip_nearest: u32,
    /// Takes from so many nearest negatives of an anchor only, before any other guard.
    #[schemars(range(min = 1))]
    pub window: Option<u32>,
    /// A negative must be farther than this from every positive chosen for the anchor.
    pub near_positive: Option<f64>,
    /// Its score in [scores] must be less than the positive's by at least this; without both scores it is left out.
    pub score_gap: Option<f64>,
    /// Earlier outputs, one or a list: what was an anchor's negative there, by its id, is not taken again. Relative to this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Paths>,
    /// Negatives of one class for one anchor, at most; of several labels a row, with any one of them.
    #[schemars(range(min = 1))]
    pub max_per_class: Option<u32>,
}

/// Between classes, and between rows.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BalanceSpec {
    /// Anchors of one class, at most: which ones is drawn by seed. The others may still be positives and negatives.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub anchors_per_class: Option<u32>,
    /// (anchor, positive) pairs that a class gets, as far as it has them: anchors of smaller classes take more positives.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub oversample_to: Option<u32>,
    /// Triplets that one row is the negative of, at most; others take the place of a row that is used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_uses: Option<u32>,
    /// Triplets in all, at most: which ones is drawn by seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub triplets: Option<u64>,
    /// What fills the column weight, by the anchor's class.
    pub weights: WeightsSpec,
    /// For weights = "effective". Default: 0.999.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta: Option<f64>,
}

/// How triplets are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WeightsSpec {
    /// All alike: 1.
    #[default]
    None,
    /// 1 / n, n the triplets of the class.
    Inverse,
    /// (1 − β) / (1 − βⁿ): the effective number of samples (Cui et al. 2019).
    Effective,
}

/// Batches in which no row is a false negative of another.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchesSpec {
    pub kind: BatchKind,
    /// Classes in a batch of kind "pk". Default: 16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub classes: Option<u32>,
    /// Rows of each class in a batch of kind "pk". Default: 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub per_class: Option<u32>,
    /// Triplets in a batch of kind "triplets". Default: 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub size: Option<u32>,
}

/// What a batch is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BatchKind {
    /// Rows of the store: some classes, some rows of each.
    Pk,
    /// Triplets of the output.
    Triplets,
}

impl BatchesSpec {
    /// Fills in what belongs to the kind.
    pub fn fill(&mut self) {
        match self.kind {
            BatchKind::Pk => {
                self.classes.get_or_insert(16);
                self.per_class.get_or_insert(4);
            }
            BatchKind::Triplets => {
                self.size.get_or_insert(256);
            }
        }
    }
}
/// What `output.columns` says unless it names one.
pub const ALL_COLUMNS: &str = "all";
/// Where nothing else is asked for: files of some tens of MiB.
pub const ROWS_PER_FILE: u64 = 1_000_000;

/// The file format of the triplets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FormatSpec {
    #[default]
    Parquet,
    /// Arrow IPC file.
    Arrow,
    /// One JSON object a line.
    Jsonl,
    Csv,
    /// Row indices only, as a numpy array of uint64.
    Npy,
}

/// Where the result goes, and how it is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OutputSpec {
    /// A folder of its own, or the URL of one in a store, as s3://BUCKET/PATH. Relative to this file; out/STEM by default.
    pub path: Option<String>,
    pub format: FormatSpec,
    /// For format = "csv": what becomes of text that a spreadsheet would take for a formula. Default: "escape".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csv_formulas: Option<Formulas>,
    pub layout: Layout,
    pub order: Order,
    /// "all", or a carried column: the files then hold its values alone, under the names that text trainers know.
    pub columns: String,
    /// Rows a file, at most. Default: 1,000,000, unless there are shards.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rows_per_file: Option<u64>,
    /// So many files of equally many rows instead, from easy to hard or from hard to easy: a curriculum.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub shards: Option<u32>,
    /// Replace an output that another pipeline, input or version wrote.
    #[serde(skip_serializing)]
    pub overwrite: bool,
}

impl Default for OutputSpec {
    fn default() -> Self {
        Self {
            path: None,
            format: FormatSpec::default(),
            csv_formulas: None,
            layout: Layout::default(),
            order: Order::default(),
            columns: ALL_COLUMNS.into(),
            rows_per_file: None,
            shards: None,
            overwrite: false,
        }
    }
}

/// How the work is done; cannot change the result.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunSpec {
    /// 0: all cores.
    #[schemars(range(max = 1024))]
    pub threads: usize,
    /// Anonymous memory of every stage, at most, as in "4GiB"; mapped files do not count. "0": three quarters of the machine's.
    pub memory: String,
    /// Folder for scratch. Default: beside the output, or beside this file where the output goes to a store. With a cluster, where
    /// its machines meet: an absolute path under which all of them see the same folder, or a folder in a store (s3://, gs://,
    /// az://); then scratch lies where it would without.
    pub work: String,
    /// "local", or "df://host:port": the Ballista scheduler whose executors mine; its port is 50050 unless said.
    pub engine: String,
    /// Seconds without a sign of life from any executor, after which work is handed out again; three times in vain end the run. So
    /// long a scheduler, or a work folder out of reach, is waited for, too. Default: 120.
    #[schemars(range(min = 1, max = 86400))]
    pub patience: Option<u32>,
    /// Where the scheduler speaks TLS: what is shown to it, and what it is known by.
    pub tls: Option<TlsSpec>,
}

/// Files of PEM. Relative to this file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSpec {
    /// The certificate that is shown to the scheduler.
    pub cert: String,
    /// Its private key.
    pub key: String,
    /// The certificate of the authority that has signed those of the cluster.
    pub ca: String,
}

impl Default for RunSpec {
    fn default() -> Self {
        Self {
            threads: 0,
            memory: String::new(),
            work: String::new(),
            engine: LOCAL.to_owned(),
            patience: None,
            tls: None,
        }
    }
}

/// What `run.engine` says where this machine does all the work.
pub const LOCAL: &str = "local";
