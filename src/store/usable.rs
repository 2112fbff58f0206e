//! Whether tables can give triplets at all: counts that preparing and the census both know.

use std::path::PathBuf;

use super::{Params, Sources};

/// Why no triplet can come of the tables.
#[derive(Debug, thiserror::Error)]
pub enum Useless {
    #[error("{}: no row is left of {read}: {}", .path.display(), left_out(*read, *kept, *rejected))]
    NothingLeft { path: PathBuf, read: u64, kept: u64, rejected: u64 },
    #[error("{}: label = {label:?} is null in all {rows} rows; without labels there are no classes", .path.display())]
    NoLabels { path: PathBuf, label: String, rows: u64 },
    #[error(
        "{}: label = {label:?} gives {rows} rows {classes} classes, one row each; a positive is a second row of the same \
         class, so choose a label whose values repeat",
        .path.display()
    )]
    NoPairs { path: PathBuf, label: String, classes: usize, rows: u64 },
    #[error(
        "{}: label = {label:?} gives all {rows} rows the same class; a negative is a row of another class, so choose a label that \
         tells them apart",
        .path.display()
    )]
    OneClass { path: PathBuf, label: String, rows: u64 },
    #[error(
        "{}: label = {label:?} gives {rows} rows {labels} labels, no two rows the same; a positive is a row that shares a \
         label, so choose lists whose values repeat",
        .path.display()
    )]
    NoSharedLabel { path: PathBuf, label: String, labels: usize, rows: u64 },
    #[error(
        "{}: label = {label:?}: no query has a label that a row of the store, {}, has; a positive is a row of the store with \
         the query's label",
        .path.display(), .store.display()
    )]
    NoCommonLabel { path: PathBuf, label: String, store: PathBuf },
    #[error("{}: none of {rows} rows names a row both as {} and as {}", .path.display(), .roles[0], .roles[1])]
    NoLinks { path: PathBuf, roles: [&'static str; 2], rows: u64 },
}

fn left_out(read: u64, kept: u64, rejected: u64) -> String {
    match (read - kept, rejected) {
        (0, rejected) => format!("{rejected} cannot be used"),
        (dropped, 0) => format!("`where` drops {dropped}"),
        (dropped, rejected) => format!("`where` drops {dropped}, and {rejected} cannot be used"),
    }
}

/// Whether a table keeps any row: of `read` rows `where` kept some, and of these some passed.
pub(super) fn check_rows(params: &Params, read: u64, kept: u64, passed: u64) -> Result<(), Useless> {
    match passed {
        0 => Err(Useless::NothingLeft { path: params.path.clone(), read, kept, rejected: kept }),
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
}

/// Whether labels make any pair, where they are to.
pub(super) fn check_labels(sources: &Sources, labels: &Labels) -> Result<(), Useless> {
    let &Labels { rows, labelled, distinct, held, matched } = labels;
    let Some(label) = sources.store.label.clone() else { return Ok(()) };
    let path = sources.store.path.clone();
    if labelled == 0 {
        return Err(Useless::NoLabels { path, label, rows });
    }
    match (matched, sources.queries) {
        (Some(0), Some(queries)) => {
            let label = queries.label.clone().unwrap_or_default();
            Err(Useless::NoCommonLabel { path: queries.path.clone(), label, store: path })
        }
        (None, _) if distinct == 1 && labelled == rows && rows > 1 => Err(Useless::OneClass { path, label, rows }),
        // As many labels as rows have: one row each.
        (None, _) if distinct as u64 == held && held == labelled => {
            Err(Useless::NoPairs { path, label, classes: distinct, rows: labelled })
        }
        (None, _) if distinct as u64 == held => {
            Err(Useless::NoSharedLabel { path, label, labels: distinct, rows: labelled })
        }
        _ => Ok(()),
    }
}
