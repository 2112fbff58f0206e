//! The parts: every row is made anew from the rows of the store that it names, and must be equal to the bit.

use std::path::Path;

use arrow::array::RecordBatch;
use rayon::prelude::*;

use super::Asked;
use super::files::Intact;
use super::finding::{Checked, Findings};
use super::table::{Place, Table, compare, row_at};
use crate::manifest::gather::GatherError;
use crate::manifest::harvest;
use crate::manifest::layout::{Claims, Layout};
use crate::manifest::order::Key;
use crate::manifest::sealed::{Listed, Sealed};
use crate::mine::{self, Ask, Band, Triplet, Weighting};
use crate::store::{Prepared, Row};

/// A triplet's place in the order asked for.
type Rank = (u64, Row, Row, Row);

/// What one batch told.
#[derive(Default)]
struct Outcome {
    first: u64,
    findings: Findings,
    triplets: Vec<Triplet>,
    /// Ranks of the first and the last row.
    ends: Option<(Rank, Rank)>,
}

/// All triplets that name rows of the store, with distances and bands as they should be; none if a part could not be read.
pub(super) fn check(
    out: &Path,
    sealed: &Sealed,
    asked: &Asked<'_>,
    layout: &Layout,
    intact: &Intact,
    findings: &mut Findings,
    checked: &mut Checked,
) -> Option<Vec<Triplet>> {
    let claimed = sealed.parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.rows));
    let most = most_triplets(asked);
    if claimed > most {
        findings.key("parts", format_args!("{claimed} rows"), format_args!("at most {most}, all that were asked for"));
        return None;
    }
    let weights = weights(out, sealed, asked, layout, intact);
    let mut triplets = Vec::new();
    let mut last: Option<Rank> = None;
    let mut whole = true;
    for part in &sealed.parts {
        if !intact.contains(&part.path) {
            whole = false;
            continue;
        }
        let (outcomes, error) = check_part(out, part, asked, layout, weights.as_deref());
        for outcome in outcomes {
            findings.append(outcome.findings);
            if let Some((first, end)) = outcome.ends {
                if last.is_some_and(|last| last > first) {
                    report_order(&part.path, outcome.first, asked, findings);
                }
                last = Some(end);
            }
            triplets.extend(outcome.triplets);
        }
        if let Some(error) = error {
            findings.file(&part.path, error, format_args!("{} rows of the columns listed", part.rows));
            whole = false;
        }
    }
    checked.triplets = triplets.len() as u64;
    checked.distances = 2 * checked.triplets;
    whole.then_some(triplets)
}

/// As many as the pipeline can yield on this store.
fn most_triplets(asked: &Asked<'_>) -> u64 {
    let slots = u64::from(asked.mine.ask.slots());
    let pairs = |row: &Row| {
        let label = asked.store.labels()[row.index()];
        let others = if label.is_null() { 0 } else { (asked.store.members(label).len() as u64).saturating_sub(1) };
        others.min(u64::from(asked.quotas.of(*row)))
    };
    let all = (0..asked.store.rows()).map(|row| pairs(&Row(row))).fold(0u64, u64::saturating_add).saturating_mul(slots);
    all.min(asked.mine.balance.triplets.unwrap_or(u64::MAX))
}

/// What each class should weigh, by the triplets that its rows are the anchors of. What cannot be read is counted as absent, and
/// found soon after.
fn weights(out: &Path, sealed: &Sealed, asked: &Asked<'_>, layout: &Layout, intact: &Intact) -> Option<Vec<f32>> {
    let (store, weighting) = (asked.store, asked.mine.balance.weights);
    let mut counts = vec![0u64; store.classes()];
    let parts = sealed.parts.iter().filter(|part| weighting != Weighting::None && intact.contains(&part.path));
    for (_, batch) in
        parts.flat_map(|part| Table::open(out, part, asked.output.format, layout.schema())).flatten().flatten()
    {
        for &place in Claims::of(&batch).places[0] {
            let class = row_at(store, place).map(|row| store.labels()[row.index()].index());
            if let Some(count) = class.and_then(|class| counts.get_mut(class)) {
                *count += 1;
            }
        }
    }
    mine::weights(weighting, &counts)
}

/// The batches of a part, in order, up to the first that cannot be read.
fn check_part(
    out: &Path,
    part: &Listed,
    asked: &Asked<'_>,
    layout: &Layout,
    weights: Option<&[f32]>,
) -> (Vec<Outcome>, Option<String>) {
    let format = asked.output.format;
    let table = match Table::open(out, part, format, layout.schema()) {
        Ok(table) => table,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let results: Vec<Result<Outcome, String>> = table
        .par_bridge()
        .map(|batch| {
            let (first, batch) = batch?;
            let place = Place { file: &part.path, format, first };
            check_batch(place, &batch, asked, layout, weights).map_err(|error| error.to_string())
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
    layout: &Layout,
    weights: Option<&[f32]>,
) -> Result<Outcome, GatherError> {
    let store = asked.store;
    let mut outcome = Outcome { first: place.first, ..Outcome::default() };
    let claims = Claims::of(batch);
    let metric = asked.mine.metric;
    // Rows of the batch that name rows of the store.
    let mut known: Vec<u32> = Vec::with_capacity(batch.num_rows());
    for i in 0..batch.num_rows() as u32 {
        let at = i as usize;
        let rows = claims.places.map(|places| row_at(store, places[at]));
        let [Some(anchor), Some(positive), Some(negative)] = rows else {
            for (role, (row, places)) in ["anchor", "positive", "negative"].iter().zip(rows.iter().zip(claims.places)) {
                if row.is_none() {
                    let at = place.first + u64::from(i);
                    outcome.findings.value(
                        place.file,
                        at,
                        &format!("{role}_row"),
                        places[i as usize],
                        "a row of the store",
                    );
                }
            }
            continue;
        };
        let d_ap = metric.distance(store.vector(anchor), store.vector(positive));
        let d_an = metric.distance(store.vector(anchor), store.vector(negative));
        let band = Band::of(d_ap, d_an, asked.mine.margin);
        let fallback = claims.fallback.value(at);
        known.push(i);
        outcome.triplets.push(Triplet { anchor, positive, negative, d_ap, d_an, band, fallback });
    }
    let expected = layout.batch(store, &harvest::batch(&outcome.triplets)?, weights)?;
    compare(place, batch, &known, &expected, &mut outcome.findings)?;
    for (&i, triplet) in known.iter().zip(&outcome.triplets) {
        check_rules(place, place.first + u64::from(i), triplet, asked, &mut outcome.findings);
    }
    outcome.ends = check_order(place, &known, &outcome.triplets, asked, &mut outcome.findings);
    Ok(outcome)
}

/// What makes these three rows a triplet that was asked for.
fn check_rules(place: Place<'_>, row: u64, triplet: &Triplet, asked: &Asked<'_>, findings: &mut Findings) {
    let Triplet { anchor, positive, negative, d_ap, d_an, band, fallback } = *triplet;
    let (store, params) = (asked.store, asked.mine);
    let mut report =
        |column: &str, found: String, expected: String| findings.value(place.file, row, column, found, expected);
    let [a, p, n] = [anchor, positive, negative].map(|row| store.labels()[row.index()]);
    if anchor == positive {
        report("positive_row", "the anchor itself".to_owned(), "another row of its class".to_owned());
    } else if !a.agrees(p) {
        report("positive_row", "a row of another class".to_owned(), "a row of the anchor's class".to_owned());
    }
    if a.agrees(n) {
        report("negative_row", "a row of the anchor's class".to_owned(), "a row of another class".to_owned());
    } else if n.is_null() && !params.negatives.unlabelled {
        report("negative_row", "a row without a label".to_owned(), "a row of another class".to_owned());
    }
    if let Some(broken) = broken_rule(store, anchor, positive, &params.positives.same, &params.positives.different) {
        report("positive_row", broken, "a row that the positives' constraints admit".to_owned());
    }
    if let Some(broken) = broken_rule(store, anchor, negative, &params.negatives.same, &params.negatives.different) {
        report("negative_row", broken, "a row that the negatives' constraints admit".to_owned());
    }
    if let Some(min) = params.positives.min_distance.filter(|&min| d_ap.get() < min) {
        report("d_ap", d_ap.get().to_string(), format!("at least {min}"));
    }
    if let Some(max) = params.positives.max_distance.filter(|&max| d_ap.get() > max) {
        report("d_ap", d_ap.get().to_string(), format!("at most {max}"));
    }
    if let Some(near) = params.negatives.duplicate_distance.filter(|&near| d_an.get() <= near) {
        report("d_an", d_an.get().to_string(), format!("more than {near}"));
    }
    let wanted: Vec<Band> = match (&params.ask, fallback) {
        (_, true) => params.fallback.clone(),
        (Ask::Bands(bands), false) => bands.iter().map(|&(band, _)| band).collect(),
        (Ask::Any(_), false) => Band::ALL.to_vec(),
    };
    if !wanted.contains(&band) {
        let names: Vec<&str> = wanted.iter().map(|band| band.name()).collect();
        let (column, kind) = if fallback { ("fallback", "bands to fall back on") } else { ("band", "bands asked for") };
        report(column, band.name().to_owned(), format!("one of the {kind}: {}", names.join(", ")));
    }
}

/// The first group on which two rows do not stand as they must.
pub(super) fn broken_rule(store: &Prepared, a: Row, b: Row, same: &[usize], different: &[usize]) -> Option<String> {
    let agree = |&group: &usize| store.group(group)[a.index()].agrees(store.group(group)[b.index()]);
    let name = |group: usize| store.group_names().get(group).map_or("?", String::as_str);
    let unequal = same.iter().find(|group| !agree(group)).map(|&group| format!("another {}", name(group)));
    unequal.or_else(|| different.iter().find(|group| agree(group)).map(|&group| format!("the same {}", name(group))))
}

/// Ranks must not fall. Gives those of the ends.
fn check_order(
    place: Place<'_>,
    known: &[u32],
    triplets: &[Triplet],
    asked: &Asked<'_>,
    findings: &mut Findings,
) -> Option<(Rank, Rank)> {
    let key = Key::of(asked.output.order, asked.mine.seed);
    let rank = |t: &Triplet| -> Rank {
        let Some(key) = key else { return (0, t.anchor, Row(0), Row(0)) };
        let keys = [t.anchor, t.positive, t.negative].map(|row| asked.store.keys()[row.index()]);
        (key.value(keys, t.d_ap.get(), t.d_an.get()), t.anchor, t.positive, t.negative)
    };
    let first = rank(triplets.first()?);
    let mut last = first;
    for (&i, triplet) in known.iter().zip(triplets).skip(1) {
        let next = rank(triplet);
        if next < last {
            report_order(place.file, place.first + u64::from(i), asked, findings);
        }
        last = next;
    }
    Some((first, last))
}

fn report_order(file: &str, row: u64, asked: &Asked<'_>, findings: &mut Findings) {
    let order = asked.output.order.name();
    findings.value(
        file,
        row,
        "anchor_row",
        "a row that belongs before the one above it",
        format_args!("order {order}"),
    );
}
