//! Is an output what its manifest says, and is that what the pipeline asks of the store? Nothing is taken on trust: every byte is
//! hashed, every row is made anew from the store, and compared.
//!
//! The output may be hostile. Whatever it holds becomes a finding, never a panic, and its claims are bounded by what the store and
//! the files can hold before any memory is taken for them.

mod balance;
mod batches;
mod completeness;
mod files;
mod finding;
mod order;
mod rules;
mod sides;
mod table;
mod texts;
mod transform;
mod triplets;
mod whole;

use std::path::Path;

pub use completeness::Completeness;
pub use finding::{Checked, Finding, Verdict};

use batches::Entries;
use completeness::Again;
use finding::{Findings, Unchecked};
use whole::Run;

use super::layout::Sheet;
use super::sealed::{Column, Input, MANIFEST, Sealed};
use super::{Params, fingerprint};
use crate::mine::{self, Quotas};
use crate::store::Prepared;

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
    /// Mines a sample of anchors again; without it only what is there is checked, not what is missing.
    pub completeness: Option<Completeness<'a>>,
}

/// Checks the output in folder `out`, whose manifest is `sealed`.
pub fn verify(out: &Path, sealed: &Sealed, asked: &Asked<'_>) -> Verdict {
    let (mut findings, mut checked, mut unchecked) = (Findings::default(), Checked::default(), Unchecked::default());
    check_origin(sealed, asked, &mut findings);
    let intact = files::check(out, sealed, asked, &mut findings, &mut checked);

    let sheet = match Sheet::new(asked.store, asked.mine, asked.output) {
        Ok(sheet) => sheet,
        Err(error) => {
            findings.key("pipeline", error, "columns with different names");
            return findings.into_verdict(checked, unchecked);
        }
    };
    let columns = Column::of(sheet.schema());
    if sealed.columns != columns {
        findings.key("columns", listed(&sealed.columns), listed(&columns));
    }

    if triplets::claims_are_possible(sealed, asked, &mut findings) {
        let again = Again::mine(asked, &sheet, sealed, &mut findings, &mut checked);
        let again = again.as_ref();
        let sure = again.filter(|again| again.is_sure());
        let found = if sheet.names_rows() {
            let found = triplets::check(out, sealed, asked, &sheet, &intact, &mut findings, &mut checked);
            found.map(|mut found| {
                order::check(&mut found, sealed, &sheet, asked, sure, &mut findings, &mut unchecked);
                found
            })
        } else {
            let files = texts::Files { out, sealed, intact: &intact };
            let found = texts::check(&files, asked, &sheet, again, &mut findings, &mut checked, &mut unchecked);
            found.inspect(|found| order::check_gaps(found, sealed, asked, &mut findings))
        };
        if let Some(found) = found {
            let entries = Entries::of(asked, &sheet, sealed, &found);
            if !entries.all_known() && !sheet.names_rows() {
                unchecked.add("false negatives in batches, but for anchors that were mined again: the rows name no rows of the store");
            }
            let run = Run::new(asked, &sheet, found.lines, sure);
            checked.triplets = run.triplets().unwrap_or(0);
            balance::check(sealed, &run, &mut findings, &mut unchecked);
            run.check_groups(&mut findings);
            let listed = sides::check_unmined(out, sealed, &run, &intact, &mut findings, &mut checked);
            run.check_counts(sealed, listed.as_deref(), &mut findings, &mut unchecked);
            if let (Some(again), Some(listed)) = (again, &listed) {
                if sheet.names_rows() {
                    again.compare(&run, &sheet, &mut findings);
                }
                again.compare_unmined(&run, listed, &mut findings);
            }
            if let Some(unmined) = &listed {
                let subject = batches::Subject { asked, entries: &entries, unmined };
                batches::check(out, sealed, &subject, &intact, &mut findings, &mut checked);
            }
        }
    }
    sides::check_suspects(out, sealed, asked, &intact, &mut findings, &mut checked);
    transform::check(out, sealed, asked, &intact, &mut findings);
    findings.into_verdict(checked, unchecked)
}

/// The fingerprint is that of what the manifest says it was made from, and the inputs are still those.
fn check_origin(sealed: &Sealed, asked: &Asked<'_>, findings: &mut Findings) {
    let made = fingerprint(&sealed.inputs, &sealed.pipeline, &sealed.environment, &sealed.program);
    if sealed.fingerprint != made {
        findings.key("fingerprint", &sealed.fingerprint, format_args!("{made}, that of inputs, pipeline and program"));
    }
    if sealed.inputs.len() != asked.inputs.len() {
        findings.key("inputs", format_args!("{} files", sealed.inputs.len()), format_args!("{}", asked.inputs.len()));
    }
    for (index, (listed, actual)) in sealed.inputs.iter().zip(asked.inputs).enumerate() {
        let facts = |input: &Input| {
            let Input { role, bytes, rows, fingerprint, .. } = input;
            format!("{role} of {bytes} bytes, {rows} rows, fingerprint {fingerprint}")
        };
        if facts(listed) != facts(actual) {
            findings.key(
                &format!("inputs[{index}]"),
                facts(listed),
                format_args!("{} ({})", facts(actual), actual.path),
            );
        }
    }
}

fn listed(columns: &[Column]) -> String {
    let column = |c: &Column| format!("{} {}{}", c.name, c.kind, if c.nullable { " nullable" } else { "" });
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
