//! Rows stand in the order asked for, groups lie together, and shards say which gaps they hold.

use std::collections::HashMap;

use super::Asked;
use super::completeness::Again;
use super::finding::{Findings, Told};
use super::triplets::Found;
use crate::kernel::Distance;
use crate::manifest::layout::{Grain, Line, Member, Role, Sheet, gap, gap_of};
use crate::manifest::order::Key;
use crate::manifest::sealed::{Gaps, Listed, Sealed};
use crate::manifest::{Layout, Order, Split};
use crate::mine::{self, Ask};
use crate::store::Row;

/// A line's place in the order asked for: by its key, its anchor, its positive or place, its window, and its negative.
pub(super) type Rank = (u64, Row, u64, Window, u64);

/// The order of a pair's triplets as they are mined: bands as they are asked for, then those to fall back on, and in each the nearest
/// first.
type Window = (bool, usize, Distance);

/// That of what is sorted by its rows alone.
const NONE: Window = (false, 0, Distance::MIN);

fn window(line: &Line<'_>, params: &mine::Params) -> Window {
    let Some(Member { distance, role: Role::Negative { band, fallback }, .. }) = line.members.get(1) else {
        return NONE;
    };
    let place = match &params.ask {
        _ if *fallback => params.fallback.iter().position(|other| other == band),
        Ask::Bands(bands) => bands.iter().position(|(other, _)| other == band),
        Ask::Any(_) => Some(0),
    };
    // A band that nobody asked for is a finding of its own.
    (*fallback, place.unwrap_or(usize::MAX), *distance)
}

/// The gap of a pair that was not mined again.
const UNKNOWN: f64 = f64::INFINITY;

/// The rank of a line that knows its gap and its place in its group.
pub(super) fn rank(line: &Line<'_>, sheet: &Sheet, asked: &Asked<'_>) -> Rank {
    let number = |index: usize| line.members.get(index).map_or(0, |member| u64::from(member.row.0));
    let key = Key::of(asked.output.order, asked.mine.seed);
    let rows = [line.anchor, Row(number(0) as u32), Row(number(1) as u32)];
    let named = sheet.grain().named(&rows).iter().map(|row| asked.store.keys()[row.index()]);
    let value = key.map_or(0, |key| key.value(named, line.gap));
    match sheet.grain() {
        Grain::Triplet if key.is_none() => (value, line.anchor, number(0), window(line, asked.mine), number(1)),
        Grain::Triplet => (value, line.anchor, number(0), NONE, number(1)),
        Grain::Pair => (value, line.anchor, number(0), NONE, 0),
        Grain::Anchor => (value, line.anchor, u64::from(line.place), NONE, 0),
    }
}

/// Checks the order of lines that were read from the files, and gives those of an anchor, or of a pair, their common gap.
pub(super) fn check(
    found: &mut Found,
    sealed: &Sealed,
    sheet: &Sheet,
    asked: &Asked<'_>,
    again: Option<&Again>,
    findings: &mut Findings,
    told: &mut Told,
) {
    if sheet.grain() == Grain::Anchor {
        settle_anchors(found, sealed, sheet, findings);
    }
    let gaps = matches!(asked.output.order, Order::EasyToHard | Order::HardToEasy);
    let known = !(gaps && sheet.layout() == Layout::Pair) || settle_pairs(found, again, told);
    let mut last: Option<Rank> = None;
    for index in 0..found.lines.len() {
        let line = found.lines.get(index);
        if gaps && line.gap == UNKNOWN {
            continue;
        }
        let rank = rank(&line, sheet, asked);
        if last.is_some_and(|last| last > rank) {
            let (file, row) = locate(sealed, found.rows[index]);
            let order = format_args!("order {}", asked.output.order.name());
            findings.value(file, row, "anchor_row", "a row that belongs before the one above it", order);
        }
        last = Some(rank);
    }
    if known {
        check_gaps(found, sealed, asked, findings);
    }
}

/// Gives the lines of each anchor its gap and their places, by which they must lie together.
fn settle_anchors(found: &mut Found, sealed: &Sealed, sheet: &Sheet, findings: &mut Findings) {
    let mut order: Vec<usize> = (0..found.lines.len()).collect();
    let by_label = sheet.layout() == Layout::LabeledPair;
    order.sort_by_key(|&index| {
        let line = found.lines.get(index);
        let first =
            line.members.first().map(|member| (by_label && member.role != Role::Positive, member.distance, member.row));
        (line.anchor, first)
    });
    let anchors: Vec<&[usize]> =
        order.chunk_by(|&a, &b| found.lines.get(a).anchor == found.lines.get(b).anchor).collect();
    let mut settled = Vec::new();
    for anchor in anchors {
        let distances = |positive: bool| {
            let members = anchor.iter().flat_map(|&index| found.lines.get(index).members);
            members.filter(move |member| (member.role == Role::Positive) == positive).map(|member| member.distance)
        };
        let gap = gap(distances(true), distances(false));
        settled.extend((0..).zip(anchor).map(|(place, &index)| (index, place, gap)));
    }
    for (index, place, gap) in settled {
        let named = found.lines.get(index).place;
        if sheet.layout() == Layout::Candidates && named != place {
            let (file, row) = locate(sealed, found.rows[index]);
            findings.value(file, row, "rank", u64::from(named) + 1, place + 1);
        }
        found.lines.set_group(index, place, gap);
    }
}

/// Gives pairs the gap that their negatives decide, where they were mined again; says whether all were.
fn settle_pairs(found: &mut Found, again: Option<&Again>, told: &mut Told) -> bool {
    let triplets = again.map_or(&[][..], |again| &again.triplets);
    let gaps: HashMap<(Row, Row), f64> =
        Grain::Pair.groups(triplets).map(|pair| ((pair[0].anchor, pair[0].positive), gap_of(pair))).collect();
    let mut all = true;
    for index in 0..found.lines.len() {
        let line = found.lines.get(index);
        let of_pair = line.members.first().and_then(|positive| gaps.get(&(line.anchor, positive.row)));
        all &= of_pair.is_some();
        found.lines.set_group(index, 0, of_pair.copied().unwrap_or(UNKNOWN));
    }
    if !all {
        told.unchecked(
            "the order of pairs whose anchors were not mined again, and the gaps of shards: they are those of negatives that are not told",
        );
    }
    all
}

/// The file and row of a row that was counted through all parts.
pub(super) fn locate(sealed: &Sealed, row: u64) -> (&str, u64) {
    let mut before = 0;
    for part in &sealed.parts {
        if row - before < part.rows {
            return (&part.path, row - before);
        }
        before += part.rows;
    }
    ("", row)
}

/// Checks the gaps that shards tell; `found` knows the rows of all lines, but need not hold every row.
pub(super) fn check_gaps(found: &Found, sealed: &Sealed, asked: &Asked<'_>, findings: &mut Findings) {
    let gap_at = |row: u64| found.rows.binary_search(&row).ok().map(|index| found.lines.get(index).gap);
    let mut before = 0;
    for (ordinal, Listed { rows, gap, .. }) in sealed.parts.iter().enumerate() {
        let (first, end) = (before, before + rows);
        before = end;
        let shard = matches!(asked.output.split, Split::Shards(_)) && *rows > 0;
        let expected = match shard {
            false => None,
            true => match (gap_at(first), gap_at(end - 1)) {
                (Some(first), Some(last)) => Some(Gaps { first, last }),
                // What cannot be read is a finding of its own.
                _ => continue,
            },
        };
        if *gap != expected {
            let shown = |gap: Option<Gaps>| gap.map_or("none".into(), |gap| format!("{} … {}", gap.first, gap.last));
            findings.key(&format!("parts[{ordinal}].gap"), shown(*gap), shown(expected));
        }
    }
}
