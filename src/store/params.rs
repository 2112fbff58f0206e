//! What a pipeline says of the tables that a job reads.

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

/// The section of a pipeline that names a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The corpus, and the anchors too unless there are queries.
    Store,
    /// The anchors.
    Queries,
    /// Which rows of the corpus are an anchor's positives.
    Pairs,
    /// What a reranker says of an anchor and a row of the corpus.
    Scores,
    /// Earlier outputs, whose negatives are not taken again.
    Exclude,
}

impl Section {
    /// As written in pipelines, and as an input's role in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Queries => "queries",
            Self::Pairs => "pairs",
            Self::Scores => "scores",
            Self::Exclude => "exclude",
        }
    }

    /// What it names, in a sentence.
    pub fn told(self) -> &'static str {
        match self {
            Self::Exclude => "earlier output",
            others => others.name(),
        }
    }

    /// Begins a sentence about what it has.
    pub(super) fn has(self) -> &'static str {
        match self {
            Self::Store => "the store has",
            Self::Queries => "the queries have",
            Self::Pairs => "the pairs have",
            Self::Scores => "the scores have",
            Self::Exclude => "the earlier output has",
        }
    }
}

/// Where the vectors of a table are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Embedding {
    /// Column of FixedSizeList, List or LargeList of f16, f32 or f64.
    Column(String),
    /// Files, or patterns of them, with arrays of as many vectors as the table has rows, in the order of its scan: see
    /// [`super::Arrays`].
    Arrays(Vec<PathBuf>),
}

impl From<&str> for Embedding {
    /// A name is that of a column.
    fn from(column: &str) -> Self {
        Self::Column(column.to_owned())
    }
}

/// A table of embeddings as a checked pipeline describes it: where it is, and SQL expressions over its columns.
#[derive(Debug, Clone)]
pub struct Params {
    pub section: Section,
    /// A file, a glob, or a directory (hive partitions included); absolute.
    pub path: PathBuf,
    /// Expression of a unique string or integer; the row number without one.
    pub id: Option<String>,
    pub embedding: Embedding,
    /// Expression of the class; none where pairs say which rows are positives.
    pub label: Option<String>,
    /// Rows to keep.
    pub filter: Option<String>,
    /// Constraint name and its expression, in the pipeline's order; queries have those of the store.
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

/// A table of links as a checked pipeline describes it: each row names an anchor and a row of the corpus by their ids.
#[derive(Debug, Clone)]
pub struct LinkParams {
    pub section: Section,
    pub path: PathBuf,
    /// Expression of the anchor's id, and the key that says so.
    pub left: (&'static str, String),
    /// The same for the row of the corpus.
    pub right: (&'static str, String),
    /// A number that belongs to the two.
    pub value: Option<(&'static str, String)>,
    pub bad_rows: BadRows,
}

/// All tables that a job reads.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    pub store: &'a Params,
    pub queries: Option<&'a Params>,
    pub pairs: Option<&'a LinkParams>,
    pub scores: Option<&'a LinkParams>,
}

impl<'a> Sources<'a> {
    /// The tables of links, in the order in which they are read.
    pub fn links(&self) -> impl Iterator<Item = &'a LinkParams> {
        self.pairs.into_iter().chain(self.scores)
    }
}

impl<'a> From<&'a Params> for Sources<'a> {
    fn from(store: &'a Params) -> Self {
        Self { store, queries: None, pairs: None, scores: None }
    }
}
