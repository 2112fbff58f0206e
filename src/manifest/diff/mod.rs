//! What changed between two outputs: anchors, negatives, gaps and bands, and what was asked for.
//!
//! Rows of both are sorted together by digests of (anchor, positive, negative), which the query engine does in bounded memory, and
//! then walked once; what is kept on the way does not grow with them, but for a few thousand counts. The same outputs give the same
//! answer, to the last bit.

mod counts;
mod drift;
mod facts;
mod rows;
mod told;
mod walk;

use std::sync::Arc;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::prelude::SessionContext;
use serde::Serialize;
use thiserror::Error;

use super::earlier::{Earlier, EarlierError};
use crate::mine::Band;
use crate::store::IdDigest;

pub use counts::{Class, Classes, Hub, Hubs};
pub use drift::{Drift, Quantiles};
pub use facts::{Change, Changes};

use rows::Subject;

/// What changed from output `a` to output `b`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    pub a: String,
    pub b: String,
    /// What was compared row by row: the most that both layouts tell.
    pub compared: Compared,
    pub anchors: Overlap,
    /// (anchor, positive); absent where layouts do not tell which positive a negative belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairs: Option<Overlap>,
    /// Absent where a layout names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negatives: Option<Negatives>,
    /// Of triplets that are in both, how much the gap d(a, n) − d(a, p) has grown; absent where layouts have no distances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// Of the same, in which band they were and are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bands: Option<Vec<Transition>>,
    /// Where the triplets of `a` that are not in `b` lie now; only where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<Fate>,
    /// Absent where rows have no labels, or count differently in the two layouts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Classes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hubs: Option<Hubs>,
    #[serde(flatten)]
    pub changes: Changes,
}

/// What was held against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compared {
    /// (anchor, positive, negative).
    Triplets,
    /// (anchor, negative).
    Negatives,
    /// (anchor, positive).
    Positives,
}

/// How many are in both outputs, and in one of them only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Overlap {
    pub both: u64,
    pub lost: u64,
    pub gained: u64,
}

/// What became of negatives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Negatives {
    /// Of pairs that are in both (of anchors, where pairs are not told): those that are still there, …
    pub kept: u64,
    /// … those in whose place another one is, …
    pub replaced: u64,
    /// … those in whose place there is none, and those that came beside them.
    pub gone: u64,
    pub new: u64,
    /// Of pairs that are in one output only.
    pub lost_with_pairs: u64,
    pub gained_with_pairs: u64,
    /// Of the negatives that pairs in both had, the share that is no more there.
    pub churn: Option<f64>,
}

/// Triplets by their band in `a` and in `b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Transition {
    pub from: Band,
    pub to: Band,
    pub triplets: u64,
}

/// Where triplets lie that are no more in an output, by the vectors that it was mined from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Fate {
    pub hard: u64,
    #[serde(rename = "semi-hard")]
    pub semi_hard: u64,
    pub easy: u64,
    /// One of the three rows is not there any more.
    pub rows_gone: u64,
}

impl std::ops::AddAssign for Fate {
    fn add_assign(&mut self, other: Self) {
        self.hard += other.hard;
        self.semi_hard += other.semi_hard;
        self.easy += other.easy;
        self.rows_gone += other.rows_gone;
    }
}

/// Tells where triplets lie now, given the digests of the ids of their anchors, positives and negatives.
pub type Judge<'a> = &'a mut dyn FnMut(&[[IdDigest; 3]]) -> Result<Fate, ArrowError>;

/// Why two outputs cannot be compared.
#[derive(Debug, Error)]
pub enum DiffError {
    #[error(transparent)]
    Earlier(#[from] EarlierError),
    #[error("{a}: names rows by {found}, but {b} by {other}; compare outputs whose ids are of one kind")]
    IdsDiffer { a: String, b: String, found: String, other: String },
    #[error("{path}: {why}")]
    NotComparable { path: String, why: String },
    #[error("cannot sort the rows of both outputs: {0}")]
    Sort(DataFusionError),
    #[error("cannot compare the rows of both outputs: {0}")]
    Arrow(#[from] ArrowError),
}

impl From<DataFusionError> for DiffError {
    /// What was wrong with an output is told as that, however deep in the query engine it was met.
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(source) => match source.downcast::<EarlierError>() {
                Ok(earlier) => Self::Earlier(*earlier),
                Err(source) => Self::Sort(DataFusionError::External(source)),
            },
            error => Self::Sort(error),
        }
    }
}

/// Compares two outputs; `session` sorts their rows, and spills what its memory does not hold.
///
/// # Errors
/// Outputs that do not name rows in the same way, or not at all; a part that cannot be read; a full disk.
pub async fn diff(
    a: &Arc<Earlier>,
    b: &Arc<Earlier>,
    judge: Option<Judge<'_>>,
    session: &SessionContext,
) -> Result<Diff, DiffError> {
    let subject = Subject::new(a, b)?;
    if judge.is_some() && !subject.has_gaps() {
        return Err(subject.without_gaps());
    }
    let walked = walk::walk(&subject, judge, session).await?;
    let counted = subject.count_alike();
    let classes = match counted && subject.has_labels() {
        true => Some(counts::classes(&subject, walked.rows, session).await?),
        false => None,
    };
    let hubs = match counted && subject.has_negatives() {
        true => Some(counts::hubs(&subject, session).await?),
        false => None,
    };
    Ok(Diff {
        a: a.path().display().to_string(),
        b: b.path().display().to_string(),
        compared: subject.compared(),
        anchors: walked.anchors,
        pairs: walked.pairs,
        negatives: walked.negatives,
        drift: walked.drift,
        bands: walked.bands,
        lost: walked.lost,
        classes,
        hubs,
        changes: Changes::of(a.manifest(), b.manifest()),
    })
}

impl Diff {
    /// Whether anything differs but where the outputs lie and how they are called.
    pub fn differs(&self) -> bool {
        let apart = |overlap: &Overlap| overlap.lost + overlap.gained > 0;
        let replaced = self.negatives.is_some_and(|n| n.replaced + n.gone + n.new > 0);
        apart(&self.anchors)
            || self.pairs.as_ref().is_some_and(apart)
            || replaced
            || self.drift.as_ref().is_some_and(|drift| drift.largest > 0.0)
            || self.changes.any()
    }
}
