//! Where an output says it came from: told by itself without contradiction, and the inputs are still those.

use super::Verdict;
use super::finding::{Checked, Findings, Told};
use crate::manifest::fingerprint;
use crate::manifest::sealed::{Input, Sealed};
use crate::words::thousands;

/// The fingerprint is that of what the manifest says it was made from, and the inputs are still those.
pub(super) fn check(sealed: &Sealed, inputs: &[Input], findings: &mut Findings, told: &mut Told) {
    let before = findings.total();
    check_fingerprint(sealed, findings);
    if sealed.inputs.len() != inputs.len() {
        findings.key("inputs", format_args!("{} files", sealed.inputs.len()), inputs.len());
    }
    for (index, (listed, actual)) in sealed.inputs.iter().zip(inputs).enumerate() {
        if listed.role != actual.role {
            findings.key(&format!("inputs[{index}].role"), &listed.role, &actual.role);
        }
        for (key, found, expected) in [("bytes", listed.bytes, actual.bytes), ("rows", listed.rows, actual.rows)] {
            if found != expected {
                findings.key(&format!("inputs[{index}].{key}"), found, format_args!("{expected} ({})", actual.path));
            }
        }
        check_content(index, listed, actual, findings);
    }
    let names = inputs.iter().map(|input| input.role.as_str()).collect::<Vec<_>>().join(", ");
    told.proved(findings, before, format_args!("it tells of this content of {names}, this pipeline and its program"));
}

/// Of all that the manifest says it was made from.
fn made(sealed: &Sealed) -> String {
    fingerprint(&sealed.inputs, &sealed.pipeline, &sealed.environment, &sealed.program)
}

fn check_fingerprint(sealed: &Sealed, findings: &mut Findings) {
    let made = made(sealed);
    if sealed.fingerprint != made {
        findings.key("fingerprint", &sealed.fingerprint, format_args!("{made}, that of inputs, pipeline and program"));
    }
}

/// Names an input whose content is not that of the run.
fn check_content(index: usize, listed: &Input, actual: &Input, findings: &mut Findings) {
    if listed.fingerprint != actual.fingerprint {
        // The first digits will do: the whole ones are in the manifest.
        let shown = |input: &Input| {
            let start: String = input.fingerprint.chars().take(16).collect();
            format!("{} rows, {} bytes, fingerprint {start}…", thousands(input.rows), thousands(input.bytes))
        };
        let found = format!("another {}: {}", actual.role, shown(actual));
        findings.key(
            &format!("inputs[{index}].fingerprint"),
            found,
            format_args!("that of the run: {}", shown(listed)),
        );
    }
}

/// The verdict where any of these inputs, as far as they are known, is another than that of the run: nothing else is worth a look.
pub fn another(sealed: &Sealed, inputs: &[Input]) -> Option<Verdict> {
    let mut findings = Findings::default();
    for (index, listed) in sealed.inputs.iter().enumerate() {
        // Arrays of one table have one role, and so do earlier outputs.
        let of_role = |input: &&Input| input.role == listed.role;
        let before = sealed.inputs[..index].iter().filter(of_role).count();
        if let Some(actual) = inputs.iter().filter(of_role).nth(before) {
            check_content(index, listed, actual, &mut findings);
        }
    }
    (findings.total() > 0).then(|| early(sealed, findings))
}

/// The verdict on an output whose manifest cannot be followed, since `key` holds something else than expected.
pub fn refuted(sealed: &Sealed, key: &str, found: &str, expected: &str) -> Verdict {
    let mut findings = Findings::default();
    findings.key(key, found, expected);
    early(sealed, findings)
}

fn early(sealed: &Sealed, mut findings: Findings) -> Verdict {
    check_fingerprint(sealed, &mut findings);
    let mut told = Told::default();
    told.unchecked("files, rows and counts: there is nothing to hold them against");
    findings.into_verdict(Checked::default(), told)
}

/// Whether a manifest contradicts itself: its fingerprint is not that of what it tells.
pub fn is_forged(sealed: &Sealed) -> bool {
    sealed.fingerprint != made(sealed)
}
