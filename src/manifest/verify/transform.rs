//! The learned transform: what fitting the store again gives, to the bit.

use std::path::Path;

use super::Asked;
use super::files::Intact;
use super::finding::Findings;
use super::sides::read;
use super::table::{Place, compare};
use crate::manifest::Format;
use crate::manifest::sealed::Sealed;
use crate::manifest::transform::{self, TRANSFORM};

/// Checks `transform.parquet` against the transform that the store's vectors were made with just now, if there is one. Says whether
/// the file could be read.
pub(super) fn check(
    out: &Path,
    sealed: &Sealed,
    asked: &Asked<'_>,
    intact: &Intact,
    findings: &mut Findings,
) -> Option<bool> {
    let fitted = asked.store.fitted()?;
    let rows = transform::rows(fitted);
    let batches = read(out, sealed, TRANSFORM, rows.len() as u64, &transform::schema(), intact, findings);
    let Some(batches) = batches else { return Some(false) };
    let mut seen = 0;
    for (first, batch) in &batches {
        let place = Place { file: TRANSFORM, format: Format::Parquet, first: *first };
        let all: Vec<u32> = (0..batch.num_rows() as u32).collect();
        // No more rows than listed, which are no more than there should be.
        let expected = &rows[*first as usize..][..all.len()];
        let compared = transform::batch(fitted, expected).and_then(|e| compare(place, batch, &all, &e, findings));
        if let Err(error) = compared {
            findings.file(TRANSFORM, error, "the transform that fitting gives");
        }
        seen += all.len();
    }
    if seen < rows.len() {
        findings.file(TRANSFORM, format_args!("{seen} rows"), format_args!("{}, one for the mean", rows.len()));
    }
    Some(true)
}
