//! What the report of an output says again of what its manifest says.

use std::path::Path;

use serde_json::{Map, Value};

use crate::disk::untrusted::{self, Refused};
use crate::manifest::{Finding, Sealed, Verdict};
use crate::pipeline::stages::Repeated;
use crate::report::{REPORT, REPORT_BYTES};

/// What a report says of one run, and nobody can know later.
const OF_ONE_RUN: &str =
    "report.json and report.html: times, memory, slots that were asked for and figures are those of one run";

/// Holds the report in an output against its manifest. A report may be deleted.
pub(super) fn check(out: &Path, sealed: &Sealed, verdict: &mut Verdict) {
    let mut find = |column: Option<&str>, found: String, expected: String| {
        let (file, column) = (REPORT.to_owned(), column.map(str::to_owned));
        verdict.findings.push(Finding { file, row: None, column, found, expected });
        verdict.total += 1;
    };
    match untrusted::read_inside(out, REPORT, REPORT_BYTES) {
        Err(Refused::Absent) => {}
        Err(found) => find(None, found.to_string(), "the figures of the run".to_owned()),
        Ok(text) => match serde_json::from_slice::<Value>(&text) {
            Err(error) => find(None, error.to_string(), "the figures of the run".to_owned()),
            // What an earlier version did not write is not there.
            Ok(report) => said(sealed).iter().for_each(|(key, expected)| match report.get(key) {
                Some(found) if found != expected => find(Some(key), found.to_string(), expected.to_string()),
                _ => {}
            }),
        },
    }
    verdict.unchecked.push(OF_ONE_RUN.to_owned());
}

/// What the manifest says, by the keys of a report.
fn said(sealed: &Sealed) -> Map<String, Value> {
    match serde_json::to_value(Repeated::of(sealed)) {
        Ok(Value::Object(said)) => said,
        _ => Map::new(),
    }
}
