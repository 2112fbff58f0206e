//! The parts: every row is made anew from the rows of the store that it names, and must be equal to the bit.

use std::ops::Range;
use std::path::Path;

use arrow::array::RecordBatch;
use rayon::prelude::*;

use super::Asked;
use super::files::Intact;
use super::finding::{Checked, Findings};
use super::rules::{self, Names};
use super::table::{Place, Table, compare, row_at};
use crate::manifest::Layout;
use crate::manifest::gather::GatherError;
use crate::manifest::layout::{Claim, Lines, Member, Role, Sheet, gap};
use crate::manifest::sealed::{Listed, Sealed};
use crate::mine::{self, Band, LabelCounts, Weighting};
use crate::store::Row;

/// What one batch told.
#[derive(Default)]
struct Outcome {
    first: u64,
    findings: Findings,
    lines: Lines,
    /// For each line its row in the file.
    rows: Vec<u64>,
}

/// The lines of an output, and the rows of the first of them, or of all, counted through all parts.
#[derive(Default)]
pub(super) struct Found {
    pub(super) lines: Lines,
    pub(super) rows: Vec<u64>,
}

/// All lines that name rows of the store, with distances and bands as they should be; none if a part could not be read.
pub(super) fn check(
    out: &Path,
    sealed: &Sealed,
    asked: &Asked<'_>,
    sheet: &Sheet,
    intact: &Intact,
    findings: &mut Findings,
    checked: &mut Checked,
) -> Option<Found> {
    let weights = weights(out, sealed, asked, sheet, intact);
    let mut found = Found::default();
    let (mut before, mut whole) = (0, true);
    for part in &sealed.parts {
        if intact.contains(&part.path) {
            let (outcomes, error) = check_part(out, part, asked, sheet, weights.as_deref());
            for outcome in outcomes {
                findings.append(outcome.findings);
                found.lines.append(&outcome.lines);
                found.rows.extend(outcome.rows.iter().map(|row| before + row));
            }
            if let Some(error) = error {
                findings.file(&part.path, error, format_args!("{} rows of the columns listed", part.rows));
                whole = false;
            }
        } else {
            whole = false;
        }
        before += part.rows;
    }
    checked.rows = found.lines.len() as u64;
    checked.distances = found.lines.iter().map(|line| line.members.len() as u64).sum();
    whole.then_some(found)
}

/// Whether the manifest claims no more rows than the pipeline can yield on this store.
pub(super) fn claims_are_possible(sealed: &Sealed, asked: &Asked<'_>, findings: &mut Findings) -> bool {
    let claimed = sealed.parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.rows));
    let most = most_rows(asked);
    if claimed > most {
        findings.key("parts", format_args!("{claimed} rows"), format_args!("at most {most}, all that were asked for"));
    }
    claimed <= most
}

fn most_rows(asked: &Asked<'_>) -> u64 {
    // A pair has a row as its negative once, whatever it asks for.
    let slots = asked.mine.ask.slots().min(asked.store.corpus().len() as u64);
    let of_pair = match asked.output.layout {
        Layout::Triplet => slots,
        Layout::NTuple | Layout::Pair | Layout::LabeledList => 1,
        Layout::LabeledPair | Layout::Candidates => slots.saturating_add(1),
    };
    let pairs = |row: &Row| {
        let kin = asked.store.relatives(*row);
        let own = u64::from(asked.store.own(*row).is_some_and(|own| kin.binary_search(&own).is_ok()));
        let others = kin.len() as u64 - own;
        others.min(u64::from(asked.quotas.of(*row)))
    };
    let all = asked.store.anchors().map(|row| pairs(&Row(row))).fold(0u64, u64::saturating_add);
    all.saturating_mul(of_pair).min(asked.mine.balance.triplets.unwrap_or(u64::MAX))
}

/// What each class should weigh, by the triplets that its rows are the anchors of. What cannot be read is counted as absent, and
/// found soon after.
fn weights(out: &Path, sealed: &Sealed, asked: &Asked<'_>, sheet: &Sheet, intact: &Intact) -> Option<Vec<f32>> {
    let (store, weighting) = (asked.store, asked.mine.balance.weights);
    let mut counts = LabelCounts::new(store);
    let parts = sealed.parts.iter().filter(|part| weighting != Weighting::None && intact.contains(&part.path));
    for (_, batch) in
        parts.flat_map(|part| Table::open(out, part, asked.output.format, sheet.schema())).flatten().flatten()
    {
        let Some(claims) = sheet.claims(&batch) else { continue };
        for place in (0..batch.num_rows()).map(|row| claims.anchor(row).place) {
            row_at(store, store.anchors(), place).into_iter().for_each(|row| counts.add(row, 1));
        }
    }
    mine::weights(weighting, counts.by_label())
}

/// The batches of a part, in order, up to the first that cannot be read.
fn check_part(
    out: &Path,
    part: &Listed,
    asked: &Asked<'_>,
    sheet: &Sheet,
    weights: Option<&[f32]>,
) -> (Vec<Outcome>, Option<String>) {
    let format = asked.output.format;
    let table = match Table::open(out, part, format, sheet.schema()) {
        Ok(table) => table,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let results: Vec<Result<Outcome, String>> = table
        .par_bridge()
        .map(|batch| {
            let (first, batch) = batch?;
            let place = Place { file: &part.path, format, first };
            check_batch(place, &batch, asked, sheet, weights).map_err(|error| error.to_string())
        })
        .collect();
    let (mut outcomes, mut error) = (Vec::new(), None);
    for result in results {
        match result {
            Ok(outcome) => outcomes.push(outcome),
            Err(found) => error = Some(found),
        }
    }
    outcomes.sort_unstable_by_key(|outcome| outcome.first);
    (outcomes, error)
}

fn check_batch(
    place: Place<'_>,
    batch: &RecordBatch,
    asked: &Asked<'_>,
    sheet: &Sheet,
    weights: Option<&[f32]>,
) -> Result<Outcome, GatherError> {
    let store = asked.store;
    let mut outcome = Outcome { first: place.first, ..Outcome::default() };
    let Some(claims) = sheet.claims(batch) else { return Ok(outcome) };
    let mut chosen = None;
    // Rows of the batch that name rows of the store.
    let mut known: Vec<u32> = Vec::with_capacity(batch.num_rows());
    for i in 0..batch.num_rows() as u32 {
        let row = place.first + u64::from(i);
        let (anchor, members) = (claims.anchor(i as usize), claims.members(i as usize));
        let (anchors, corpus) = (store.anchors(), store.corpus());
        let at = |claim: &Claim<'_>, among: &Range<u32>| row_at(store, among.clone(), claim.place);
        let strangers = (std::iter::once(&anchor).filter(|claim| at(claim, &anchors).is_none()))
            .chain(members.iter().filter(|claim| at(claim, &corpus).is_none()));
        let mut strange = false;
        for claim in strangers {
            strange = true;
            outcome.findings.value(place.file, row, claim.column, claim.place, "a row of the store");
        }
        let Some(anchor) = at(&anchor, &anchors).filter(|_| !strange) else { continue };
        let rows = members.iter().filter_map(|claim| Some((at(claim, &corpus)?, claim.fallback)));
        let members_made = members_of(anchor, rows, asked);
        let names: Vec<Names<'_>> = members.iter().map(|claim| Names::new(sheet.layout(), claim.column)).collect();
        rules::check_line(anchor, &members_made, &names, asked, &mut chosen, |column, found, expected| {
            outcome.findings.value(place.file, row, column, found, expected);
        });
        let of = |positive: bool| {
            let some = members_made.iter().filter(move |member| (member.role == Role::Positive) == positive);
            some.map(|member| member.distance)
        };
        let gap = gap(of(true), of(false));
        outcome.lines.push(anchor, claims.place(i as usize), gap, members_made.iter().copied());
        outcome.rows.push(row);
        known.push(i);
    }
    let expected = sheet.batch(store, &outcome.lines, weights)?;
    compare(place, batch, &known, &expected, &mut outcome.findings)?;
    Ok(outcome)
}

/// What the rows beside an anchor are to it.
fn members_of(anchor: Row, rows: impl Iterator<Item = (Row, Option<bool>)>, asked: &Asked<'_>) -> Vec<Member> {
    let (store, params) = (asked.store, asked.mine);
    let whole_anchors = matches!(asked.output.layout, Layout::LabeledPair | Layout::Candidates);
    let mut d_ap = None;
    rows.enumerate()
        .map(|(index, (row, fallback))| {
            let distance = params.metric.distance(store.vector(anchor), store.vector(row));
            let role = match d_ap {
                _ if whole_anchors && store.is_relative(anchor, row) => Role::Positive,
                _ if whole_anchors => Role::Other,
                Some(d_ap) if index > 0 => {
                    let band = Band::of(d_ap, distance, params.margin);
                    // What was not asked for is there to fall back on.
                    Role::Negative { band, fallback: fallback.unwrap_or_else(|| !params.ask.wants(band)) }
                }
                _ => Role::Positive,
            };
            d_ap.get_or_insert(distance);
            Member { row, distance, role }
        })
        .collect()
}
