//! Is an output what its manifest says, and is that what the pipeline asks of the store? Nothing is taken on trust: every byte is
//! hashed, every row is made anew from the store, and compared.
//!
//! The output may be hostile. Whatever it holds becomes a finding, never a panic, and its claims are bounded by what the store and
//! the files can hold before any memory is taken for them.

mod completeness;
mod files;
mod finding;
mod sides;
mod table;
mod transform;
mod triplets;
mod whole;

use std::path::Path;

pub use completeness::Completeness;
pub use finding::{Checked, Finding, Verdict};

use finding::Findings;
use whole::Run;

use super::layout::Layout;
use super::sealed::{Column, Input, MANIFEST, Sealed};
use super::{Params, fingerprint};
use crate::mine;
use crate::store::Prepared;

/// What an output is held against: everything here is made anew from the inputs and the manifest's pipeline.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub store: &'a Prepared,
    pub mine: &'a mine::Params,
    pub output: &'a Params,
    /// The inputs as they are now. Their paths may have changed.
    pub inputs: &'a [Input],
    /// Mines a sample of anchors again; without it only what is there is checked, not what is missing.
    pub completeness: Option<Completeness<'a>>,
}

/// Checks the output in folder `out`, whose manifest is `sealed`.
pub fn verify(out: &Path, sealed: &Sealed, asked: &Asked<'_>) -> Verdict {
    let (mut findings, mut checked) = (Findings::default(), Checked::default());
    check_origin(sealed, asked, &mut findings);
    let intact = files::check(out, sealed, asked, &mut findings, &mut checked);

    let layout = match Layout::new(asked.store, asked.mine.negatives.unlabelled) {
        Ok(layout) => layout,
        Err(error) => {
            findings.key("pipeline", error, "columns with different names");
            return findings.into_verdict(checked);
        }
    };
    let columns = Column::of(layout.schema());
    if sealed.columns != columns {
        findings.key("columns", listed(&sealed.columns), listed(&columns));
    }

    if let Some(triplets) = triplets::check(out, sealed, asked, &layout, &intact, &mut findings, &mut checked) {
        let run = Run::new(asked, triplets);
        run.check_pairs(&mut findings);
        let listed = sides::check_unmined(out, sealed, &run, &intact, &mut findings, &mut checked);
        run.check_counts(sealed, listed.as_deref(), &mut findings);
        if let (Some(completeness), Some(listed)) = (&asked.completeness, &listed) {
            completeness::check(completeness, &run, listed, &sealed.fingerprint, &mut findings, &mut checked);
        }
    }
    sides::check_suspects(out, sealed, asked, &intact, &mut findings, &mut checked);
    transform::check(out, sealed, asked, &intact, &mut findings);
    findings.into_verdict(checked)
}

/// The fingerprint is that of what the manifest says it was made from, and the inputs are still those.
fn check_origin(sealed: &Sealed, asked: &Asked<'_>, findings: &mut Findings) {
    let made = fingerprint(&sealed.inputs, &sealed.pipeline, &sealed.program);
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
