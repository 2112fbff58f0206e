//! The files beside the triplets: every row of the input is accounted for, and every suspect is one.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{SchemaRef, UInt64Type};

use super::files::Intact;
use super::finding::{Checked, Findings};
use super::table::{Place, Table, compare, row_at};
use super::triplets::broken_rule;
use super::whole::Run;
use crate::manifest::Format;
use crate::manifest::gather::GatherError;
use crate::manifest::sealed::Sealed;
use crate::manifest::sides::{self, SUSPECTS, UNMINED, Unmined};
use crate::mine::{self, Reason, Suspect};
use crate::search::Index;
use crate::store::Row;

/// One of the side files, whole: it cannot have more rows than `most`.
pub(super) fn read(
    out: &Path,
    sealed: &Sealed,
    name: &str,
    most: u64,
    schema: &SchemaRef,
    intact: &Intact,
    findings: &mut Findings,
) -> Option<Vec<(u64, RecordBatch)>> {
    let listed = sealed.files.iter().find(|listed| listed.path == name && intact.contains(name))?;
    if listed.rows > most {
        findings.file(name, format_args!("{} rows", listed.rows), format_args!("at most {most}"));
        return None;
    }
    let batches = Table::open(out, listed, Format::Parquet, schema).and_then(Iterator::collect);
    batches.map_err(|error: String| findings.file(name, error, format_args!("{} rows", listed.rows))).ok()
}

fn places(batch: &RecordBatch, column: usize) -> &[u64] {
    batch.column(column).as_primitive::<UInt64Type>().values()
}

fn reason_named(name: &str) -> Option<Reason> {
    Reason::ALL.into_iter().find(|reason| reason.name() == name)
}

/// Checks `unmined.parquet` against the anchors that have triplets. Gives the listed reason of each row of the store, if the file
/// could be read.
pub(super) fn check_unmined(
    out: &Path,
    sealed: &Sealed,
    run: &Run<'_>,
    intact: &Intact,
    findings: &mut Findings,
    checked: &mut Checked,
) -> Option<Vec<Option<Reason>>> {
    let store = run.asked.store;
    let most = u64::from(store.rows()) + store.rejected().num_rows() as u64;
    let schema = sides::unmined_schema(store);
    let batches = read(out, sealed, UNMINED, most, &schema, intact, findings)?;
    let rejected = match sides::rejected_places(store) {
        Ok(places) => places.values().iter().copied().zip(0..).collect(),
        Err(error) => {
            findings.file(UNMINED, error, "rows of the input");
            return None;
        }
    };
    let mut listing = Listing { rejected, reasons: vec![None; store.rows() as usize], previous: None };
    for (first, batch) in &batches {
        let place = Place { file: UNMINED, format: Format::Parquet, first: *first };
        if let Err(error) = listing.check(place, batch, run, sealed.search.index, findings) {
            findings.file(UNMINED, error, "rows of the store");
        }
        checked.unmined += batch.num_rows() as u64;
    }
    let reasons = listing.reasons;
    for row in (0..store.rows()).map(Row) {
        if reasons[row.index()].is_none() && run.of_anchor(row).is_empty() {
            findings.file(UNMINED, format_args!("nothing about {}", run.name(row)), "a reason: it has no triplet");
        }
    }
    let listed = checked.unmined - reasons.iter().flatten().count() as u64;
    let rejected = store.rejected().num_rows() as u64;
    if listed < rejected {
        findings.file(UNMINED, format_args!("{listed} rejected rows"), rejected);
    }
    Some(reasons)
}

/// `unmined.parquet` while it is read.
struct Listing {
    /// Rejected rows, by position in the scan.
    rejected: HashMap<u64, usize>,
    /// The reason listed for each row of the store.
    reasons: Vec<Option<Reason>>,
    /// Position of the last row that was read.
    previous: Option<u64>,
}

impl Listing {
    fn check(
        &mut self,
        place: Place<'_>,
        batch: &RecordBatch,
        run: &Run<'_>,
        index: Index,
        findings: &mut Findings,
    ) -> Result<(), GatherError> {
        let store = run.asked.store;
        let names = batch.column(1).as_string::<i32>();
        let (mut known, mut entries) = (Vec::new(), Vec::new());
        for (i, &at) in (0u32..).zip(places(batch, 2)) {
            let mut report = |column: &str, found: String, expected: &str| {
                findings.value(place.file, place.first + u64::from(i), column, found, expected);
            };
            if self.previous.replace(at).is_some_and(|previous| previous >= at) {
                report("row", at.to_string(), "rows in ascending order, each once");
            }
            let name = names.value(i as usize);
            let Some(reason) = reason_named(name) else {
                report("reason", name.to_owned(), "a known reason");
                continue;
            };
            if let Some(row) = row_at(store, at) {
                self.reasons[row.index()] = Some(reason);
                if !run.of_anchor(row).is_empty() {
                    report("row", format!("{at}, which has triplets"), "a row without");
                } else if let Some(right) = wrong_reason(run, row, reason, index) {
                    report("reason", name.to_owned(), right);
                }
                entries.push(Unmined::Kept(row, reason));
            } else if let Some(&index) = self.rejected.get(&at) {
                entries.push(Unmined::Rejected(index));
            } else {
                report("row", at.to_string(), "a row of the input");
                continue;
            }
            known.push(i);
        }
        let expected = sides::unmined_batch(store, &entries)?;
        Ok(compare(place, batch, &known, &expected, findings)?)
    }
}

/// What the reason should be, if it can be told that it is another.
fn wrong_reason(run: &Run<'_>, row: Row, reason: Reason, index: Index) -> Option<&'static str> {
    let store = run.asked.store;
    let label = store.labels()[row.index()];
    let right = if label.is_null() {
        Some(Reason::Unlabelled)
    } else if store.members(label).len() == 1 {
        Some(Reason::Singleton)
    } else if !has_positive(run, row) {
        Some(Reason::NoPositive)
    } else {
        None
    };
    match (right, reason) {
        (Some(right), reason) => (reason != right).then_some(right.name()),
        (None, Reason::BandEmpty) => None,
        (None, Reason::Guarded) if run.asked.mine.negatives.guards.set().next().is_some() => None,
        (None, Reason::Guarded) => Some("band-empty or search-missed: there are no guards"),
        (None, Reason::SearchMissed) => (index == Index::Exact).then_some("band-empty: the search was exact"),
        (None, _) => Some("band-empty, guarded or search-missed: it has a positive"),
    }
}

fn has_positive(run: &Run<'_>, row: Row) -> bool {
    let (store, params) = (run.asked.store, run.asked.mine);
    let positives = &params.positives;
    store.members(store.labels()[row.index()]).iter().any(|&other| {
        other != row && broken_rule(store, row, other, &positives.same, &positives.different).is_none() && {
            let distance = params.metric.distance(store.vector(row), store.vector(other)).get();
            positives.min_distance.is_none_or(|min| distance >= min)
                && positives.max_distance.is_none_or(|max| distance <= max)
        }
    })
}

/// Checks `suspects.parquet`: distances, labels, that no pair stands twice, and that every copy across classes is there.
pub(super) fn check_suspects(
    out: &Path,
    sealed: &Sealed,
    asked: &super::Asked<'_>,
    intact: &Intact,
    findings: &mut Findings,
    checked: &mut Checked,
) {
    let store = asked.store;
    let n = u64::from(store.rows());
    let schema = sides::suspects_schema(store);
    let batches = read(out, sealed, SUSPECTS, n.saturating_mul(n), &schema, intact, findings);
    let Some(batches) = batches else { return };
    let (mut previous, mut listed) = (None, HashSet::new());
    for (first, batch) in &batches {
        let place = Place { file: SUSPECTS, format: Format::Parquet, first: *first };
        if let Err(error) = check_suspects_batch(place, batch, asked, &mut previous, findings) {
            findings.file(SUSPECTS, error, "pairs of rows of the store");
        }
        listed.extend(places(batch, 5).iter().copied().zip(places(batch, 6).iter().copied()));
        checked.suspects += batch.num_rows() as u64;
        checked.distances += batch.num_rows() as u64;
    }
    let place = |row: Row| store.source_rows()[row.index()];
    for Suspect { a, b, .. } in mine::copies(store) {
        if !listed.contains(&(place(a), place(b))) {
            let pair = format!("rows {} and {}: one vector, two labels", place(a), place(b));
            findings.file(SUSPECTS, "no such pair", pair);
        }
    }
}

fn check_suspects_batch(
    place: Place<'_>,
    batch: &RecordBatch,
    asked: &super::Asked<'_>,
    previous: &mut Option<Suspect>,
    findings: &mut Findings,
) -> Result<(), GatherError> {
    let store = asked.store;
    let (mut known, mut suspects) = (Vec::new(), Vec::new());
    for ((i, &a), &b) in (0u32..).zip(places(batch, 5)).zip(places(batch, 6)) {
        let row = place.first + u64::from(i);
        let (Some(a), Some(b)) = (row_at(store, a), row_at(store, b)) else {
            findings.value(place.file, row, "a_row, b_row", format_args!("{a}, {b}"), "rows of the store");
            continue;
        };
        let distance = asked.mine.metric.distance(store.vector(a), store.vector(b));
        let suspect = Suspect { a, b, distance };
        let [of_a, of_b] = [a, b].map(|row| store.labels()[row.index()]);
        if of_a.is_null() || of_b.is_null() || of_a == of_b {
            findings.value(place.file, row, "b_label", "no other label than a's", "two classes");
        }
        let near = asked.mine.negatives.guards.duplicate_distance.is_some_and(|near| distance.get() <= near);
        if !near && store.vector(a) != store.vector(b) {
            findings.value(place.file, row, "distance", distance.get(), "copies, or rows within duplicate_distance");
        }
        let rank = |s: &Suspect| (s.distance, s.a, s.b);
        if a >= b || previous.is_some_and(|previous| rank(&previous) >= rank(&suspect)) {
            findings.value(place.file, row, "a_row, b_row", "out of order", "a before b, and the nearest pairs first");
        }
        *previous = Some(suspect);
        known.push(i);
        suspects.push(suspect);
    }
    let expected = sides::suspects_batch(store, &suspects)?;
    Ok(compare(place, batch, &known, &expected, findings)?)
}
