//! Whether tables can give triplets at all: counts that preparing and the census both know.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::{Embedding, Params, Sources};
use crate::words::{counted, thousands};

/// Why no triplet can come of the tables.
#[derive(Debug, thiserror::Error)]
pub enum Useless {
    #[error("{}: no row is left of {}: {}", .path.display(), thousands(*.read), left_out(*read, *kept, *rejected))]
    NothingLeft { path: PathBuf, read: u64, kept: u64, rejected: u64 },
    #[error(
        "{}: the first vector has {expected} values, and so have {} of {} in all; a store holds vectors of one width: keep those \
         with `where`, as in where = \"array_length({embedding}) = N\"",
        .path.display(), thousands(*.alike), thousands(*.kept)
    )]
    MostlyRagged { path: PathBuf, embedding: String, expected: usize, alike: u64, kept: u64 },
    #[error("{}: label = {label:?} is null in {}{rejected}; without labels there are no classes", .path.display(), all(*.rows))]
    NoLabels { path: PathBuf, label: String, rows: u64, rejected: LeftOut },
    #[error(
        "{}: label = {label:?} gives {} {}, one row each{rejected}; a positive is a second row of the same class, so choose \
         a label whose values repeat",
        .path.display(), counted(*.rows, "row"), counted(*.rows, "class")
    )]
    NoPairs { path: PathBuf, label: String, rows: u64, rejected: LeftOut },
    #[error(
        "{}: label = {label:?} gives {} the same class{rejected}; a negative is a row of another class, so choose a label that \
         tells them apart",
        .path.display(), all(*.rows)
    )]
    OneClass { path: PathBuf, label: String, rows: u64, rejected: LeftOut },
    #[error(
        "{}: label = {label:?} gives {} {}, no two rows the same{rejected}; a positive is a row that shares a label, so \
         choose lists whose values repeat",
        .path.display(), counted(*.rows, "row"), counted(*.labels, "label")
    )]
    NoSharedLabel { path: PathBuf, label: String, labels: u64, rows: u64, rejected: LeftOut },
    #[error(
        "{}: label = {label:?}: no query has a label that a row of the store, {}, has{rejected}; a positive is a row of the store \
         with the query's label",
        .path.display(), .store.display()
    )]
    NoCommonLabel { path: PathBuf, label: String, store: PathBuf, rejected: LeftOut },
    #[error("{}: none of {} names a row both as {} and as {}", .path.display(), counted(*.rows, "row"), .roles[0], .roles[1])]
    NoLinks { path: PathBuf, roles: [&'static str; 2], rows: u64 },
}

/// `all 7 rows`, `the only row`.
fn all(rows: u64) -> String {
    if rows == 1 { "the only row".to_owned() } else { format!("all {}", counted(rows, "row")) }
}

/// Rows that are left out before labels are looked at, by kind of flaw; nothing in words where there are none.
#[derive(Debug, Clone, Default)]
pub struct LeftOut(pub BTreeMap<&'static str, u64>);

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let kinds: Vec<String> = self.0.iter().map(|(kind, count)| format!("{kind}: {}", thousands(*count))).collect();
        match kinds.is_empty() {
            true => Ok(()),
            false => {
                let rows = counted(self.0.values().sum(), "row");
                write!(f, ", when {rows} that cannot be used ({}) are left out", kinds.join(", "))
            }
        }
    }
}

fn left_out(read: u64, kept: u64, rejected: u64) -> String {
    match (read - kept, rejected) {
        (0, rejected) => format!("{} cannot be used", thousands(rejected)),
        (dropped, 0) => format!("`where` drops {}", thousands(dropped)),
        (dropped, rejected) => {
            format!("`where` drops {}, and {} cannot be used", thousands(dropped), thousands(rejected))
        }
    }
}

/// Whether a table keeps any row: of `read` rows `where` kept some, and of these some passed.
pub(super) fn check_rows(params: &Params, read: u64, kept: u64, passed: u64) -> Result<(), Useless> {
    match passed {
        0 => Err(Useless::NothingLeft { path: params.path.clone(), read, kept, rejected: kept }),
        _ => Ok(()),
    }
}

/// Whether the width that the first vector has is that of the store: where more rows have another, it is that one which is wrong.
pub(super) fn check_width(
    params: &Params,
    dims: Option<usize>,
    (ragged, without): (u64, u64),
    kept: u64,
) -> Result<(), Useless> {
    let alike = kept.saturating_sub(ragged + without);
    match (&params.embedding, dims) {
        (Embedding::Column(embedding), Some(expected)) if ragged > alike => {
            let (path, embedding) = (params.path.clone(), embedding.clone());
            Err(Useless::MostlyRagged { path, embedding, expected, alike, kept })
        }
        _ => Ok(()),
    }
}

/// What there is of labels.
pub(super) struct Labels {
    /// Rows of the corpus, and those of them with a label.
    pub rows: u64,
    pub labelled: u64,
    /// Distinct labels of the corpus, and how many its rows have, all together.
    pub distinct: usize,
    pub held: u64,
    /// With queries: those whose label is one of these.
    pub matched: Option<u64>,
    /// Of all tables, rows that are left out.
    pub rejected: LeftOut,
}

/// Whether labels make any pair, where they are to.
pub(super) fn check_labels(sources: &Sources, labels: Labels) -> Result<(), Useless> {
    let Labels { rows, labelled, distinct, held, matched, rejected } = labels;
    let distinct = distinct as u64;
    let Some(label) = sources.store.label.clone() else { return Ok(()) };
    let path = sources.store.path.clone();
    if labelled == 0 {
        return Err(Useless::NoLabels { path, label, rows, rejected });
    }
    match (matched, sources.queries) {
        (Some(0), Some(queries)) => {
            let label = queries.label.clone().unwrap_or_default();
            Err(Useless::NoCommonLabel { path: queries.path.clone(), label, store: path, rejected })
        }
        (None, _) if distinct == 1 && labelled == rows && rows > 1 => {
            Err(Useless::OneClass { path, label, rows, rejected })
        }
        // As many labels as rows have: one row each.
        (None, _) if distinct == held && held == labelled => {
            Err(Useless::NoPairs { path, label, rows: labelled, rejected })
        }
        (None, _) if distinct == held => {
            Err(Useless::NoSharedLabel { path, label, labels: distinct, rows: labelled, rejected })
        }
        _ => Ok(()),
    }
}
