//! The files beside the triplets: every row of the input is accounted for, and every suspect is one.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::{SchemaRef, UInt64Type};

use super::files::Intact;
use super::finding::{Checked, Findings};
use super::renamed::Names;
use super::rules::broken_rule;
use super::table::{Place, Table, compare, row_at};
use super::whole::Run;
use crate::manifest::Format;
use crate::manifest::gather::GatherError;
use crate::manifest::sealed::Sealed;
use crate::manifest::sides::{self, SUSPECTS, UNMINED, Unmined};
use crate::mine::{self, Reason, Suspect};
use crate::search::Index;
use crate::store::{Prepared, Row};

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
    let rejected = match sides::rejected_places(store).and_then(|places| Ok((places, sides::rejected_anchors(store)?)))
    {
        Ok((places, anchors)) => Rejected { places, anchors, next: 0 },
        Err(error) => {
            findings.file(UNMINED, error, "rows of the input");
            return None;
        }
    };
    let names = Names::new(sealed, run.asked.inputs);
    let mut listing = Listing { rejected, names, reasons: vec![None; store.rows() as usize], previous: None };
    for (first, batch) in &batches {
        let place = Place { file: UNMINED, format: Format::Parquet, first: *first };
        if let Err(error) = listing.check(place, batch, run, sealed.search.index, findings) {
            findings.file(UNMINED, error, "rows of the store");
        }
        checked.unmined += batch.num_rows() as u64;
    }
    let (reasons, listed) = (listing.reasons, listing.rejected.next);
    for row in store.anchors().map(Row) {
        if reasons[row.index()].is_none() && run.yields(row) == Some(false) {
            findings.file(UNMINED, format_args!("nothing about {}", run.name(row)), "a reason: it has no triplet");
        }
    }
    let rejected = store.rejected().num_rows();
    if listed < rejected {
        findings.file(UNMINED, format_args!("{listed} rejected rows"), rejected);
    }
    Some(reasons)
}

/// The column of `unmined.parquet` that says what is wrong with a rejected row.
const DETAIL: usize = 3;

/// `unmined.parquet` while it is read.
struct Listing {
    rejected: Rejected,
    names: Names,
    /// The reason listed for each row of the store.
    reasons: Vec<Option<Reason>>,
    /// Where the last row that was read belongs: see [`Rejected::rank`].
    previous: Option<(bool, u64)>,
}

/// Rejected rows, which are listed in the order in which the prepared store has them.
struct Rejected {
    /// Of each, its position in the scan of its table.
    places: UInt64Array,
    /// How many are of the anchors' table.
    anchors: usize,
    /// The next one to be listed.
    next: usize,
}

impl Rejected {
    /// The next one.
    fn take(&mut self) -> Option<usize> {
        let index = (self.next < self.places.len()).then_some(self.next)?;
        self.next += 1;
        Some(index)
    }

    /// Ranks ascend in the list: rows of the anchors' table by position, then all others as they come.
    fn rank(&self, index: usize) -> (bool, u64) {
        match index < self.anchors {
            true => (false, self.places.value(index)),
            false => (true, index as u64),
        }
    }
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
            let name = names.value(i as usize);
            let Some(reason) = reason_named(name) else {
                report("reason", name.to_owned(), "a known reason");
                continue;
            };
            let rejected = if reason == Reason::Rejected { self.rejected.take() } else { None };
            let rank = rejected.map_or((false, at), |index| self.rejected.rank(index));
            if self.previous.replace(rank).is_some_and(|previous| previous >= rank) {
                report("row", at.to_string(), "rows in ascending order, each once");
            }
            if let Some(index) = rejected {
                entries.push(Unmined::Rejected(index));
            } else if let Some(row) = row_at(store, store.anchors(), at) {
                self.reasons[row.index()] = Some(reason);
                if run.yields(row) == Some(true) {
                    report("row", format!("{at}, which has triplets"), "a row without");
                } else if let Some(right) = wrong_reason(run, row, reason, index) {
                    report("reason", name.to_owned(), right);
                }
                entries.push(Unmined::Kept(row, reason));
            } else {
                report("row", at.to_string(), "a row of the input");
                continue;
            }
            known.push(i);
        }
        let expected = self.as_named_then(store, batch, &known, &entries)?;
        Ok(compare(place, batch, &known, &expected, findings)?)
    }

    /// What is expected, where details name files as they were called when they were found wanting.
    fn as_named_then(
        &mut self,
        store: &Prepared,
        batch: &RecordBatch,
        known: &[u32],
        entries: &[Unmined],
    ) -> Result<RecordBatch, GatherError> {
        let expected = sides::unmined_batch(store, entries)?;
        let rejected = entries.iter().map(|entry| match entry {
            Unmined::Kept(..) => None,
            Unmined::Rejected(index) => Some(*index),
        });
        let found = batch.column(DETAIL).as_string::<i32>();
        let found = known.iter().map(|&row| found.is_valid(row as usize).then(|| found.value(row as usize)));
        let mut columns = expected.columns().to_vec();
        let told = columns[DETAIL].as_string::<i32>();
        columns[DETAIL] = Arc::new(self.names.details(store, told, rejected, found));
        Ok(RecordBatch::try_new(expected.schema(), columns)?)
    }
}

/// What the reason should be, if it can be told that it is another.
fn wrong_reason(run: &Run<'_>, row: Row, reason: Reason, index: Index) -> Option<&'static str> {
    let store = run.asked.store;
    let by_label = !store.has_pairs();
    let right = if by_label && store.labels()[row.index()].is_null() {
        Some(Reason::Unlabelled)
    } else if by_label && !store.has_queries() && !store.has_relatives(row) {
        Some(Reason::Singleton)
    } else if mine::has_kin(row, store) && !mine::is_anchor(row, store, run.asked.mine) {
        Some(Reason::BalancedAway)
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
        (None, Reason::BalancedAway) => {
            (!run.asked.mine.balance.selects()).then_some("another reason: no triplets are taken from an anchor")
        }
        (None, _) => Some("band-empty, guarded or search-missed: it has a positive"),
    }
}

fn has_positive(run: &Run<'_>, row: Row) -> bool {
    let (store, params) = (run.asked.store, run.asked.mine);
    let positives = &params.positives;
    store.relatives(row).iter().any(|&other| {
        Some(other) != store.own(row)
            && broken_rule(store, row, other, &positives.same, &positives.different).is_none()
            && {
                let distance = params.metric.distance(store.vector(row), store.vector(other)).get();
                positives.min_distance.is_none_or(|min| distance >= min)
                    && positives.max_distance.is_none_or(|max| distance <= max)
            }
    })
}

/// Checks `suspects.parquet`: distances, labels, that no pair stands twice, that every copy across classes is there, and what those
/// anchors find near them that were mined again; with `whole`, where these are all, that nothing else is there. Says whether the
/// file could be read.
pub(super) fn check_suspects(
    out: &Path,
    sealed: &Sealed,
    asked: &super::Asked<'_>,
    (again, whole): (&[Suspect], bool),
    intact: &Intact,
    findings: &mut Findings,
    checked: &mut Checked,
) -> bool {
    let store = asked.store;
    let Some(listed) = sealed.files.iter().find(|listed| listed.path == SUSPECTS && intact.contains(SUSPECTS)) else {
        return false;
    };
    let copies = mine::copies(store);
    let missing = again.iter().map(|near| (near.a, near.b)).collect();
    let all = whole.then(|| again.iter().chain(&copies).map(|suspect| (suspect.a, suspect.b)).collect());
    let mut suspects = Suspects { missing, all, ..Suspects::default() };
    // Batch by batch: as many rows as a forger likes fit into few bytes.
    let mut read = || -> Result<(), String> {
        for batch in Table::open(out, listed, Format::Parquet, &sides::suspects_schema(store))? {
            let (first, batch) = batch?;
            let place = Place { file: SUSPECTS, format: Format::Parquet, first };
            if let Err(error) = suspects.check(place, &batch, asked, findings) {
                findings.file(SUSPECTS, error, "pairs of rows of the store");
            }
            checked.suspects += batch.num_rows() as u64;
            checked.distances += batch.num_rows() as u64;
        }
        Ok(())
    };
    if let Err(error) = read() {
        findings.file(SUSPECTS, error, format_args!("{} rows", listed.rows));
        return false;
    }
    let place = |row: Row| store.source_rows()[row.index()];
    for Suspect { a, b, .. } in copies {
        if !suspects.copies.contains(&(a, b)) {
            let pair = format!("rows {} and {}: one vector, two labels", place(a), place(b));
            findings.file(SUSPECTS, "no such pair", pair);
        }
    }
    for (a, b) in suspects.missing {
        let pair = format!("rows {} and {}: within duplicate_distance, two labels", place(a), place(b));
        findings.file(SUSPECTS, "no such pair", pair);
    }
    true
}

/// The positions of both rows of each suspect: the last two columns.
fn rows_of(batch: &RecordBatch) -> [&[u64]; 2] {
    [2, 1].map(|from_last| places(batch, batch.num_columns() - from_last))
}

/// `suspects.parquet` while it is read.
#[derive(Default)]
struct Suspects {
    previous: Option<Suspect>,
    /// Pairs with one vector.
    copies: HashSet<(Row, Row)>,
    /// All that there are, where that is known: of each anchor mining lists the nearest alone, and of each copy one pair.
    all: Option<HashSet<(Row, Row)>>,
    /// Of the pairs that were mined again, those that were not met yet, in their order.
    missing: BTreeSet<(Row, Row)>,
}

impl Suspects {
    fn check(
        &mut self,
        place: Place<'_>,
        batch: &RecordBatch,
        asked: &super::Asked<'_>,
        findings: &mut Findings,
    ) -> Result<(), GatherError> {
        let store = asked.store;
        let (mut known, mut suspects) = (Vec::new(), Vec::new());
        let [of_a, of_b] = rows_of(batch);
        for ((i, &a), &b) in (0u32..).zip(of_a).zip(of_b) {
            let row = place.first + u64::from(i);
            let (Some(a), Some(b)) = (row_at(store, store.anchors(), a), row_at(store, store.corpus(), b)) else {
                findings.value(place.file, row, "a_row, b_row", format_args!("{a}, {b}"), "rows of the store");
                continue;
            };
            let distance = asked.mine.metric.distance(store.vector(a), store.vector(b));
            let suspect = Suspect { a, b, distance };
            if let Some((found, expected)) = no_suspects(store, a, b) {
                findings.value(place.file, row, "b_row", found, expected);
            }
            self.missing.remove(&(a, b));
            let near = asked.mine.negatives.guards.duplicate_distance.is_some_and(|near| distance.get() <= near);
            let copies = store.vector(a) == store.vector(b);
            if copies {
                self.copies.insert((a, b));
            }
            if !copies && !near {
                let expected = "copies, or rows within duplicate_distance";
                findings.value(place.file, row, "distance", distance.get(), expected);
            } else if self.all.as_ref().is_some_and(|all| !all.contains(&(a, b))) {
                let [found_a, found_b] = [a, b].map(|row| store.source_rows()[row.index()]);
                let found = format_args!("{found_a}, {found_b}");
                findings.value(place.file, row, "a_row, b_row", found, "one of the pairs that mining lists");
            }
            let rank = |s: &Suspect| (s.distance, s.a, s.b);
            let mixed = !store.has_queries() && a >= b;
            if mixed || self.previous.is_some_and(|previous| rank(&previous) >= rank(&suspect)) {
                let expected = "a before b, and the nearest pairs first";
                findings.value(place.file, row, "a_row, b_row", "out of order", expected);
            }
            self.previous = Some(suspect);
            known.push(i);
            suspects.push(suspect);
        }
        let expected = sides::suspects_batch(store, &suspects)?;
        Ok(compare(place, batch, &known, &expected, findings)?)
    }
}

/// Why these two are none, where they are none, and what they should be.
fn no_suspects(store: &Prepared, a: Row, b: Row) -> Option<(&'static str, &'static str)> {
    let meets = |anchor: Row, row: Row| {
        store.own(anchor) != Some(row)
            && !store.paired(anchor).is_empty()
            && store.paired(anchor).binary_search(&row).is_err()
    };
    if store.has_pairs() {
        let either = meets(a, b) || (!store.has_queries() && meets(b, a));
        return (!either).then_some(("its own row, or one that a pair names", "two rows that no pair names"));
    }
    let [of_a, of_b] = [a, b].map(|row| store.labels()[row.index()]);
    let two = !of_a.is_null() && !of_b.is_null() && !store.akin(of_a, of_b);
    (!two).then_some(("no other label than a's", "two classes"))
}
