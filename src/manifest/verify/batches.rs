//! Batches: of the size asked for, without a false negative, and every anchor or triplet in one or named as in none.

use std::collections::{HashMap, HashSet};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{UInt32Type, UInt64Type};

use super::Asked;
use super::batches_again;
use super::files::Files;
use super::finding::{Checked, Findings, Told};
use super::table::{Place, Table, compare, row_at};
use super::triplets::Found;
use crate::manifest::Format;
use crate::manifest::batches::{BATCHES, Kind, REMAINDER};
use crate::manifest::gather::GatherError;
use crate::manifest::layout::Sheet;
use crate::manifest::sealed::Sealed;
use crate::mine::{self, Batched, Batches, Hardness, Pk, Reason};
use crate::store::{Code, Prepared, Row};
use crate::words::counted;

/// What batches are held against.
pub(super) struct Subject<'a> {
    pub(super) asked: &'a Asked<'a>,
    pub(super) entries: &'a Entries,
    /// The listed reason of each row of the store.
    pub(super) unmined: &'a [Option<Reason>],
}

/// The rows of the output, of which batches of triplets are made.
pub(super) struct Entries {
    /// Of each its place among those that are known; [`UNKNOWN`] where it is not.
    at: Vec<u32>,
    known: mine::Entries,
}

const UNKNOWN: u32 = u32::MAX;

impl Entries {
    /// None where batches are of something else.
    pub(super) fn of(asked: &Asked<'_>, sheet: &Sheet, sealed: &Sealed, found: &Found) -> Self {
        let mut entries = Self { at: Vec::new(), known: mine::Entries::new(sheet.beside()) };
        if let Some(Batches::Triplets { .. }) = asked.mine.batches {
            let rows = sealed.parts.iter().map(|part| part.rows).sum::<u64>();
            entries.at = vec![UNKNOWN; rows as usize];
            for (line, &row) in found.lines.iter().zip(&found.rows) {
                // A forged line may have any number of members.
                if line.members.len() == sheet.beside() {
                    entries.at[row as usize] = entries.known.len() as u32;
                    entries.known.push(line.anchor, line.members.iter().map(|member| member.row));
                }
            }
        }
        entries
    }

    fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether it is known what stands in each row.
    pub(super) fn all_known(&self) -> bool {
        self.known.len() == self.at.len()
    }

    /// Those that are known; their places are rows only where all are.
    pub(super) fn known(&self) -> &mine::Entries {
        &self.known
    }

    fn get(&self, entry: u64) -> Option<(Row, &[Row])> {
        let at = self.at.get(entry as usize).filter(|&&at| at != UNKNOWN)?;
        Some((self.known.anchor(u64::from(*at)), self.known.rows(u64::from(*at))))
    }
}

/// Checks batches, where they were asked for, and whether these are the ones that making them again gives. `hardness`: see
/// [`batches_again::hardness`].
pub(super) fn check(
    files: &Files<'_>,
    subject: &Subject<'_>,
    hardness: impl FnOnce() -> Option<Hardness>,
    findings: &mut Findings,
    checked: &mut Checked,
    told: &mut Told,
) {
    let Some(batches) = subject.asked.mine.batches else {
        if files.sealed.batches.is_some() {
            findings.key("batches", "there", "absent: none were asked for");
        }
        return;
    };
    let before = findings.total();
    if check_each(files, subject, batches, findings, checked).is_none() {
        return told.unchecked(UNREAD);
    }
    let known = subject.entries.all_known();
    let hardness = match batches {
        Batches::Pk(_) => hardness(),
        Batches::Triplets { .. } => known.then(Hardness::default),
    };
    match &hardness {
        Some(hardness) if findings.total() == before => batches_again::check(files, subject, hardness, findings),
        Some(_) => {}
        None if known => told.unchecked(
            "which batches, and what else could be in one: the rows do not tell all triplets, and not all anchors were mined again",
        ),
        None => told.unchecked(
            "which batches, and false negatives in them, but for anchors that were mined again: the rows name no rows of the store",
        ),
    }
    let batches = counted(checked.batches, "batch");
    let clean = if known { ", without false negatives" } else { "" };
    let rest = if hardness.is_some() { "made again, the same" } else { "nothing lost between them and the remainder" };
    told.proved(findings, before, format_args!("{batches}: full{clean}, {rest}"));
}

pub(super) const UNREAD: &str = "batches: not every file that they are held against is what was sealed";

/// Checks each batch by itself, and that nothing is lost. None where not both files could be read.
fn check_each(
    files: &Files<'_>,
    subject: &Subject<'_>,
    batches: Batches,
    findings: &mut Findings,
    checked: &mut Checked,
) -> Option<()> {
    let entries = match batches {
        Batches::Pk(_) => subject.asked.store.rows() as usize,
        Batches::Triplets { .. } => subject.entries.len(),
    };
    let kind = Kind::of(batches, subject.asked.store);
    let placed = vec![false; entries];
    let mut reader = Reader { subject, batches, kind, placed, batch: Vec::new(), length: 0, number: None, begun: 0 };
    let mut left = vec![false; entries];
    let in_batches =
        each(files, BATCHES, kind, findings, &mut |place, table, findings| reader.read(place, table, findings))?;
    reader.end_batch(findings);
    let Reader { placed, begun, .. } = reader;
    let remainder = each(files, REMAINDER, kind, findings, &mut |place, table, findings| {
        read_remainder(place, table, subject, kind, &mut left, findings)
    })?;
    checked.batches = begun;
    let found = Batched { kind: batches.name().to_owned(), batches: begun, entries: in_batches, remainder };
    if files.sealed.batches.as_ref() != Some(&found) {
        findings.key("batches", format_args!("{:?}", files.sealed.batches), format_args!("{found:?}"));
    }
    let must = |entry: usize| match batches {
        Batches::Triplets { .. } => true,
        Batches::Pk(_) => subject.is_searched(entry),
    };
    for entry in 0..entries {
        let name = || match batches {
            Batches::Triplets { .. } => format!("triplet {entry}"),
            Batches::Pk(_) => format!("row {}", subject.asked.store.source_rows()[entry]),
        };
        if left[entry] && placed[entry] {
            findings.file(REMAINDER, name(), "only what is in no batch");
        } else if left[entry] && !must(entry) {
            findings.file(REMAINDER, name(), "only anchors");
        } else if must(entry) && !placed[entry] && !left[entry] {
            findings.file(BATCHES, format_args!("nothing of {}", name()), "a batch with it, or the remainder");
        }
    }
    Some(())
}

impl Subject<'_> {
    /// Whether a row is an anchor of the run.
    pub(super) fn is_searched(&self, row: usize) -> bool {
        match self.unmined.get(row).copied().flatten() {
            None => true,
            Some(Reason::BalancedAway) => mine::is_anchor(Row(row as u32), self.asked.store, self.asked.mine),
            Some(reason) => reason.was_searched(),
        }
    }
}

/// Shows each batch of rows of a file; gives how many rows there were, if all could be read.
fn each(
    files: &Files<'_>,
    name: &str,
    kind: Kind<'_>,
    findings: &mut Findings,
    see: &mut dyn FnMut(Place<'_>, &RecordBatch, &mut Findings) -> Result<(), GatherError>,
) -> Option<u64> {
    let Files { out, sealed, intact } = *files;
    let listed = sealed.files.iter().find(|listed| listed.path == name && intact.contains(name))?;
    let schema = if name == BATCHES { kind.schema() } else { kind.remainder_schema() };
    let mut read = || {
        for table in Table::open(out, listed, Format::Parquet, &schema)? {
            let (first, table) = table?;
            let place = Place { file: name, format: Format::Parquet, first };
            see(place, &table, findings).map_err(|error| error.to_string())?;
        }
        Ok(listed.rows)
    };
    let outcome: Result<u64, String> = read();
    outcome.map_err(|error| findings.file(name, error, format_args!("{} rows", listed.rows))).ok()
}

/// Rows of the store, or places of triplets, that a column names; a finding for each that is none.
fn entries(
    place: Place<'_>,
    table: &RecordBatch,
    column: usize,
    subject: &Subject<'_>,
    kind: Kind<'_>,
    findings: &mut Findings,
) -> Vec<Option<u64>> {
    let name = table.schema_ref().field(column).name().clone();
    let of = |(i, &value): (u64, &u64)| {
        let (entry, what) = match kind {
            Kind::Rows(store) => {
                (row_at(store, store.anchors(), value).map(|row| u64::from(row.0)), "a row of the store")
            }
            Kind::Triplets => {
                (Some(value).filter(|&value| value < subject.entries.len() as u64), "a row of the triplets")
            }
        };
        if entry.is_none() {
            findings.value(place.file, place.first + i, &name, value, what);
        }
        entry
    };
    (0..).zip(table.column(column).as_primitive::<UInt64Type>().values().iter()).map(of).collect()
}

fn read_remainder(
    place: Place<'_>,
    table: &RecordBatch,
    subject: &Subject<'_>,
    kind: Kind<'_>,
    left: &mut [bool],
    findings: &mut Findings,
) -> Result<(), GatherError> {
    let entries = entries(place, table, table.num_columns() - 1, subject, kind, findings);
    let (known, valid): (Vec<u32>, Vec<u64>) = (0..).zip(entries).filter_map(|(i, entry)| Some((i, entry?))).unzip();
    for (&i, &entry) in known.iter().zip(&valid) {
        if std::mem::replace(&mut left[entry as usize], true) {
            findings.value(place.file, place.first + u64::from(i), "row", "named before", "each once");
        }
    }
    Ok(compare(place, table, &known, &kind.remainder(&valid)?, findings)?)
}

/// `batches.parquet` while it is read.
struct Reader<'a> {
    subject: &'a Subject<'a>,
    batches: Batches,
    kind: Kind<'a>,
    placed: Vec<bool>,
    /// Entries of the batch that is being read, how many there are, and its number.
    batch: Vec<u64>,
    length: u64,
    number: Option<u32>,
    begun: u64,
}

impl Reader<'_> {
    fn read(&mut self, place: Place<'_>, table: &RecordBatch, findings: &mut Findings) -> Result<(), GatherError> {
        let numbers = |column: usize| table.column(column).as_primitive::<UInt32Type>().values();
        let (batches, positions) = (numbers(0), numbers(1));
        let entries = entries(place, table, table.num_columns() - 1, self.subject, self.kind, findings);
        let (mut known, mut valid) = (Vec::new(), Vec::new());
        for (i, entry) in (0u32..).zip(entries) {
            let (batch, position) = (batches[i as usize], positions[i as usize]);
            let begins = self.number.replace(batch) != Some(batch);
            let right = if begins {
                self.end_batch(findings);
                self.begun += 1;
                u64::from(batch) + 1 == self.begun && position == 0
            } else {
                u64::from(position) == self.length
            };
            if !right {
                let (row, found) = (place.first + u64::from(i), format!("{batch}, {position}"));
                findings.value(place.file, row, "batch, position", found, "all in order, without gaps");
            }
            // Goes on from what was found, so that one gap is one finding.
            self.length = u64::from(position) + 1;
            let Some(entry) = entry else { continue };
            known.push(i);
            valid.push(entry);
            // A batch beyond its size is reported where it ends, and is not kept whole.
            if (self.batch.len() as u64) < self.largest() {
                self.batch.push(entry);
            }
        }
        let claimed = |values: &[u32]| known.iter().map(|&i| values[i as usize]).collect::<Vec<_>>();
        let expected = self.kind.batch(&claimed(batches), &claimed(positions), &valid)?;
        Ok(compare(place, table, &known, &expected, findings)?)
    }

    fn largest(&self) -> u64 {
        match self.batches {
            Batches::Pk(Pk { classes, per_class }) => u64::from(classes) * u64::from(per_class),
            Batches::Triplets { size } => u64::from(size),
        }
    }

    /// Checks the batch that ends here.
    fn end_batch(&mut self, findings: &mut Findings) {
        let (batch, length, largest) = (std::mem::take(&mut self.batch), self.length, self.largest());
        if batch.is_empty() {
            return;
        }
        let number = self.begun - 1;
        if length > largest {
            findings.file(BATCHES, format_args!("batch {number}: {length} entries"), format_args!("at most {largest}"));
        }
        let mut wrong = |found: String, expected: &str| {
            findings.file(BATCHES, format_args!("batch {number}: {found}"), expected);
        };
        match self.batches {
            Batches::Pk(asked) => {
                let rows: Vec<Row> = batch.iter().map(|&row| Row(row as u32)).collect();
                check_rows(&rows, asked, self.subject.asked, &mut wrong);
            }
            Batches::Triplets { size } => {
                if batch.len() as u64 != u64::from(size) {
                    wrong(format!("{} triplets", batch.len()), &size.to_string());
                }
                if let Some(again) = batch.iter().find(|&&entry| self.placed[entry as usize]) {
                    wrong(format!("triplet {again}, which an earlier one has"), "each triplet in one batch");
                }
                check_triplets(&batch, self.subject.entries, self.subject.asked.store, &mut wrong);
            }
        }
        batch.iter().for_each(|&entry| self.placed[entry as usize] = true);
    }
}

fn check_rows(rows: &[Row], asked: Pk, run: &Asked<'_>, wrong: &mut dyn FnMut(String, &str)) {
    let store = run.store;
    let label = |row: Row| store.labels()[row.index()];
    let place = |row: Row| store.source_rows()[row.index()];
    let mut classes: HashMap<Code, HashSet<Row>> = HashMap::new();
    for &row in rows {
        if label(row).is_null() {
            wrong(format!("row {}, which has no label", place(row)), "labelled rows");
        } else if !classes.entry(label(row)).or_default().insert(row) {
            wrong(format!("row {} twice", place(row)), "each row once");
        }
    }
    if classes.len() as u64 != u64::from(asked.classes) {
        wrong(format!("{} classes", classes.len()), &asked.classes.to_string());
    }
    for (&class, members) in &classes {
        let expected = store.members(class).len().min(asked.per_class as usize);
        if members.len() != expected {
            let first = members.iter().min().map_or(0, |&row| place(row));
            wrong(format!("{} rows of the class of row {first}", members.len()), &expected.to_string());
        }
    }
    for (index, &a) in rows.iter().enumerate() {
        for &b in rows[..index].iter().filter(|&&b| label(b) != label(a)) {
            if mine::clash(store, run.mine.negatives.guards.duplicate_distance, a, b) {
                wrong(format!("rows {} and {}", place(b), place(a)), "no copies or near-duplicates across classes");
            }
        }
    }
}

fn check_triplets(batch: &[u64], entries: &Entries, store: &Prepared, wrong: &mut dyn FnMut(String, &str)) {
    let labels = |row: Row| store.labels_in(&store.labels()[row.index()]);
    let known = || batch.iter().filter_map(|&entry| Some((entry, entries.get(entry)?)));
    // Of each label, an entry whose anchor has it.
    let mut of_anchor: HashMap<Code, u64> = HashMap::new();
    let mut of_row: HashMap<Row, Vec<u64>> = HashMap::new();
    for (entry, (anchor, rows)) in known() {
        if let Some(other) = labels(anchor).iter().find_map(|label| of_anchor.get(label)) {
            wrong(format!("triplets {other} and {entry} with anchors of one class"), "anchors of different classes");
        }
        of_anchor.extend(labels(anchor).iter().map(|&label| (label, entry)));
        rows.iter().for_each(|&row| of_row.entry(row).or_default().push(entry));
    }
    const NONE: &str = "no false negatives";
    for (entry, (anchor, rows)) in known() {
        for (place, &row) in rows.iter().enumerate() {
            // The positive shares a label with its own anchor.
            let strange = |&&other: &&u64| place > 0 || other != entry;
            if let Some(other) = labels(row).iter().filter_map(|label| of_anchor.get(label)).find(strange) {
                let role = if place == 0 { "positive" } else { "negative" };
                wrong(format!("triplet {entry}, whose {role} is of the class of the anchor of {other}"), NONE);
            }
        }
        let elsewhere = |row: &Row| of_row.get(row).and_then(|places| places.iter().find(|&&place| place != entry));
        if let Some(other) = store.paired(anchor).iter().find_map(elsewhere) {
            wrong(format!("triplet {other}, which has a positive of the anchor of {entry}"), NONE);
        }
        if let Some(other) = store.own(anchor).as_ref().and_then(elsewhere) {
            wrong(format!("triplet {other}, which has the anchor of {entry} itself"), NONE);
        }
    }
}
