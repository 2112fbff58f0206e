//! Is an output what its manifest says, and is that what the pipeline asks of the store? Nothing is taken on trust: every byte is
//! hashed, every row is made anew from the store, and compared.
//!
//! The output may be hostile. Whatever it holds becomes a finding, never a panic, and its claims are bounded by what the store and
//! the files can hold before any memory is taken for them.

mod balance;
mod batches;
mod batches_again;
mod completeness;
mod files;
mod finding;
mod order;
mod origin;
mod recall;
mod renamed;
mod rules;
mod search;
mod sides;
mod table;
mod texts;
mod transform;
mod triplets;
mod whole;

use std::path::Path;

pub use completeness::{Completeness, MineAgain, Miner};
pub use finding::{Checked, Finding, Verdict};
pub use origin::{another, is_forged, refuted};
pub use recall::ANCHORS_AT_A_TIME;
pub use search::Searched;

pub(super) use files::check_file;
pub(super) use table::Table;

use batches::Entries;
use completeness::Again;
use files::{Files, Intact};
use finding::{Findings, Told};
use whole::Run;

use super::layout::Sheet;
use super::sealed::{Column, Input, MANIFEST, Sealed};
use super::{Layout, Params};
use crate::mine::{self, Quotas};
use crate::store::Prepared;
use crate::words::{counted, thousands};

/// What an output is held against: everything here is made anew from the inputs and the manifest's pipeline.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub store: &'a Prepared,
    pub mine: &'a mine::Params,
    /// Of store and request.
    pub quotas: &'a Quotas,
    pub output: &'a Params,
    /// The inputs as they are now. Their paths may have changed.
    pub inputs: &'a [Input],
    pub searched: &'a Searched,
    /// Mines a sample of anchors again; without it only what is there is checked, not what is missing.
    pub completeness: Completeness<'a>,
    /// The version of the program that checks.
    pub program: &'a str,
}

/// Checks the output in folder `out`, whose manifest is `sealed`.
pub fn verify(out: &Path, sealed: &Sealed, asked: &Asked<'_>) -> Verdict {
    let mut course = Course::default();
    check(out, sealed, asked, &mut course);
    course.findings.into_verdict(course.checked, course.told)
}

/// What a check has come to so far.
#[derive(Default)]
struct Course {
    findings: Findings,
    checked: Checked,
    told: Told,
}

fn check(out: &Path, sealed: &Sealed, asked: &Asked<'_>, course: &mut Course) {
    let Course { findings, checked, told } = course;
    origin::check(sealed, asked.inputs, findings, told);
    if sealed.program != asked.program {
        let other = format_args!("that version {} gives these very rows: this is {}", sealed.program, asked.program);
        told.unchecked(other);
    }
    search::check(sealed, asked, findings, told);
    let before = findings.total();
    let intact = files::check(out, sealed, asked, findings, checked);
    let (files, bytes) = (counted(checked.files, "file"), counted(checked.bytes, "byte"));
    told.proved(findings, before, format_args!("{files}, {bytes}: whole, and as they were sealed"));

    let sheet = match Sheet::new(asked.store, asked.mine, asked.output) {
        Ok(sheet) => sheet,
        Err(error) => return findings.key("pipeline", error, "columns with different names"),
    };
    let columns = Column::of(sheet.schema());
    if sealed.columns != columns {
        findings.key("columns", listed(&sealed.columns), listed(&columns));
    }
    if triplets::claims_are_possible(sealed, asked, findings) {
        check_rows(out, sealed, asked, &sheet, &intact, course);
    }
    let Course { findings, told, .. } = course;
    let before = findings.total();
    match transform::check(out, sealed, asked, &intact, findings) {
        Some(true) => told.proved(findings, before, "the transform of the vectors: learned again, the same"),
        Some(false) => told.unchecked("the transform of the vectors: transform.parquet is not what was sealed"),
        None => {}
    }
}

/// Checks the rows of all parts, and what is told of them and of what is not among them.
fn check_rows(
    out: &Path,
    sealed: &Sealed,
    asked: &Asked<'_>,
    sheet: &Sheet,
    intact: &Intact,
    Course { findings, checked, told }: &mut Course,
) {
    let files = Files { out, sealed, intact };
    let again = Again::mine(asked, sheet, sealed, findings, checked);
    let again = again.as_ref();
    let sure = again.filter(|again| again.is_sure());
    let before = findings.total();
    let near = again.map_or((&[][..], false), |again| (&again.suspects, again.all));
    if sides::check_suspects(out, sealed, asked, near, intact, findings, checked) {
        let suspects = counted(checked.suspects, "suspect");
        let which = match again {
            Some(again) if again.all => "every copy, and the near-duplicates of every anchor",
            Some(_) => "such pairs, with every copy, and the near-duplicates of anchors that were mined again",
            None => "such pairs, with every copy",
        };
        told.proved(findings, before, format_args!("{suspects}: {which}"));
    } else {
        told.unchecked("suspects: suspects.parquet is not what was sealed");
    }
    let before = findings.total();
    let found = if sheet.names_rows() {
        let found = triplets::check(out, sealed, asked, sheet, intact, findings, checked);
        found.map(|mut found| {
            order::check(&mut found, sealed, sheet, asked, sure, findings, told);
            found
        })
    } else {
        let found = texts::check(&files, asked, sheet, again, findings, checked, told);
        found.inspect(|found| order::check_gaps(found, sealed, asked, findings))
    };
    let Some(found) = found else {
        return told.unchecked("rows, counts and unmined rows: not every part is what was sealed");
    };
    let entries = Entries::of(asked, sheet, sealed, &found);
    let run = Run::new(asked, sheet, found.lines, sure);
    checked.triplets = run.triplets().unwrap_or(0);
    balance::check(sealed, &run, findings, told);
    run.check_groups(findings);
    let (rows, distances) = (counted(checked.rows, "row"), thousands(checked.distances));
    if sheet.names_rows() {
        let ranked = asked.mine.negatives.guards.ranks() > 0 && !sure.is_some_and(|again| again.all);
        let made = match sheet.layout() {
            // What its negatives were is not told.
            Layout::Pair => "distances, classes and order",
            _ if ranked => "distances, bands, classes and order",
            _ => "distances, bands, classes, guards and order",
        };
        told.proved(findings, before, format_args!("{rows}: {distances} {made}, made anew from the store"));
        if ranked {
            told.unchecked(match again {
                Some(_) => {
                    "the ranks that skip_nearest and window count, but for anchors that were mined again; see --full"
                }
                None => "the ranks that skip_nearest and window count: graphs are not built again without --full",
            });
        }
    } else if sure.is_some() {
        told.proved(findings, before, format_args!("{rows}: those of anchors that were mined again, in their order"));
    }
    let before = findings.total();
    let listed = sides::check_unmined(out, sealed, &run, intact, findings, checked);
    run.check_counts(sealed, listed.as_deref(), findings, told);
    let unmined = counted(checked.unmined, "unmined row");
    let counts = if run.triplets().is_some() { "all counts, and " } else { "" };
    match listed {
        Some(_) => {
            let each = format_args!("{counts}{unmined}, each with a reason that it can have");
            told.proved(findings, before, each);
        }
        None => told.unchecked("rows without a triplet, and their reasons: unmined.parquet is not what was sealed"),
    }
    if let (Some(again), Some(listed)) = (again, &listed) {
        let before = findings.total();
        if sheet.names_rows() {
            again.compare(&run, sheet, findings);
        }
        again.compare_unmined(&run, listed, findings);
        let all = counted(asked.store.anchors().len() as u64, "anchor");
        let again = thousands(checked.mined_again);
        let name = asked.completeness.again.map_or("", |again| again.name);
        let same = if sure.is_some() { "the same yield" } else { "no more and no less than balance can leave of it" };
        told.proved(findings, before, format_args!("{again} of {all} mined again {name}: {same}"));
    }
    recall::check(sealed, &run, sheet, listed.as_deref(), findings, told);
    if let Some(unmined) = &listed {
        let subject = batches::Subject { asked, entries: &entries, unmined };
        let hardness = || batches_again::hardness(&run, sheet, sure);
        batches::check(&files, &subject, hardness, findings, checked, told);
    } else if asked.mine.batches.is_some() {
        told.unchecked(batches::UNREAD);
    }
}

fn listed(columns: &[Column]) -> String {
    let column = |c: &Column| format!("{} {}{}", c.name, c.kind, if c.nullable { " nullable" } else { "" });
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
