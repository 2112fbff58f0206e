//! What makes a line one that was asked for: classes, constraints, bounds and bands.

use super::Asked;
use crate::kernel::Distance;
use crate::manifest::Layout;
use crate::manifest::layout::{Member, Role};
use crate::mine::{self, Band, Chosen, Guard, Triplet};
use crate::store::{Prepared, Row};

/// The columns in which findings about a member are told.
pub(super) struct Names<'a> {
    row: &'a str,
    distance: &'a str,
    band: &'a str,
    fallback: &'a str,
}

impl<'a> Names<'a> {
    /// `column` tells the member's row.
    pub(super) fn new(layout: Layout, column: &'a str) -> Self {
        match (layout, column) {
            (Layout::Triplet | Layout::Pair, "positive_row") => {
                Self { row: column, distance: "d_ap", band: column, fallback: column }
            }
            (Layout::Triplet, "negative_row") => {
                Self { row: column, distance: "d_an", band: "band", fallback: "fallback" }
            }
            _ => Self { row: column, distance: column, band: column, fallback: column },
        }
    }
}

/// Checks a line; `names` are those of its members, `chosen` those of the last anchor that was asked about.
pub(super) fn check_line(
    anchor: Row,
    members: &[Member],
    names: &[Names<'_>],
    asked: &Asked<'_>,
    chosen: &mut Option<Chosen>,
    mut report: impl FnMut(&str, String, String),
) {
    if asked.output.layout.tells_triplets() {
        if members.len() < 2 {
            let column = names.first().map_or("candidates_row", |names| names.row);
            report(column, format!("{} rows", members.len()), "a positive and its negatives".to_owned());
        }
        let rank = |member: &Member| (member.distance, member.row);
        for (pair, names) in members.windows(2).zip(names.iter().skip(1)).skip(1) {
            if rank(&pair[0]) >= rank(&pair[1]) {
                let found = "a row that is no farther than the one before it".to_owned();
                report(names.row, found, "negatives from the nearest to the farthest, each once".to_owned());
            }
        }
    }
    for (member, names) in members.iter().zip(names) {
        let Member { row, distance, role } = *member;
        match role {
            Role::Positive => check_positive(anchor, row, distance, names, asked, &mut report),
            Role::Other => {
                check_negative(anchor, row, distance, names, asked, &mut report);
                let known = chosen.take().filter(|chosen| chosen.anchor() == anchor);
                let known = known.unwrap_or_else(|| Chosen::of(anchor, asked.store, asked.mine, asked.quotas));
                check_other(chosen.insert(known), member, names, asked, &mut report);
            }
            Role::Negative { band, fallback } => {
                check_negative(anchor, row, distance, names, asked, &mut report);
                let Some(positive) = members.first() else { continue };
                let (d_ap, d_an, positive) = (positive.distance, distance, positive.row);
                let triplet = Triplet { anchor, positive, negative: row, d_ap, d_an, band, fallback };
                check_triplet(&triplet, names, asked, &mut report);
            }
        }
    }
}

type Report<'a> = &'a mut dyn FnMut(&str, String, String);

fn is_unlabelled(store: &Prepared, row: Row) -> bool {
    store.labels()[row.index()].is_null()
}

fn are_akin(store: &Prepared, a: Row, b: Row) -> bool {
    store.akin(store.labels()[a.index()], store.labels()[b.index()])
}

fn check_positive(
    anchor: Row,
    positive: Row,
    d_ap: Distance,
    names: &Names<'_>,
    asked: &Asked<'_>,
    report: Report<'_>,
) {
    let (store, params) = (asked.store, asked.mine);
    if store.own(anchor) == Some(positive) {
        report(names.row, "the anchor itself".to_owned(), "another row".to_owned());
    } else if store.has_pairs() {
        if store.paired(anchor).binary_search(&positive).is_err() {
            report(names.row, "a row that no pair names".to_owned(), "a row that a pair names".to_owned());
        }
    } else if !are_akin(store, anchor, positive) {
        report(names.row, "a row of another class".to_owned(), "a row of the anchor's class".to_owned());
    }
    if let Some(broken) = broken_rule(store, anchor, positive, &params.positives.same, &params.positives.different) {
        report(names.row, broken, "a row that the positives' constraints admit".to_owned());
    }
    if let Some(min) = params.positives.min_distance.filter(|&min| d_ap.get() < min) {
        report(names.distance, d_ap.get().to_string(), format!("at least {min}"));
    }
    if let Some(max) = params.positives.max_distance.filter(|&max| d_ap.get() > max) {
        report(names.distance, d_ap.get().to_string(), format!("at most {max}"));
    }
}

fn check_negative(
    anchor: Row,
    negative: Row,
    d_an: Distance,
    names: &Names<'_>,
    asked: &Asked<'_>,
    report: Report<'_>,
) {
    let (store, params) = (asked.store, asked.mine);
    if store.own(anchor) == Some(negative) {
        report(names.row, "the anchor itself".to_owned(), "another row".to_owned());
    } else if store.has_pairs() {
        if store.paired(anchor).binary_search(&negative).is_ok() {
            report(names.row, "a positive of the anchor".to_owned(), "a row that no pair names".to_owned());
        }
    } else if are_akin(store, anchor, negative) {
        report(names.row, "a row of the anchor's class".to_owned(), "a row of another class".to_owned());
    } else if is_unlabelled(store, negative) && !params.negatives.unlabelled {
        report(names.row, "a row without a label".to_owned(), "a row of another class".to_owned());
    }
    if let Some(broken) = broken_rule(store, anchor, negative, &params.negatives.same, &params.negatives.different) {
        report(names.row, broken, "a row that the negatives' constraints admit".to_owned());
    }
    if !params.negatives.guards.keeps_new(store, anchor, negative) {
        report(names.row, "a negative that the anchor had in an earlier output".to_owned(), "another".to_owned());
    }
    if let Some(near) = params.negatives.guards.duplicate_distance.filter(|&near| d_an.get() <= near) {
        report(names.distance, d_an.get().to_string(), format!("more than {near}"));
    }
}

/// What takes all three rows to tell; the guards that two tell are in [`check_negative`].
fn check_triplet(triplet: &Triplet, names: &Names<'_>, asked: &Asked<'_>, report: Report<'_>) {
    let (params, band) = (asked.mine, triplet.band);
    for guard in mine::refusing(triplet, asked.store, params, asked.quotas).into_iter().filter(is_of_three) {
        let expected = format!("a negative that {} keeps", guard.name());
        if guard == Guard::ScoreGap {
            let score =
                |row| asked.store.score(triplet.anchor, row).map_or("no score".to_owned(), |s| format!("score {s}"));
            let (negative, positive) = (score(triplet.negative), score(triplet.positive));
            report(names.row, format!("{negative} beside a positive of {positive}"), expected);
        } else {
            report(names.distance, triplet.d_an.get().to_string(), expected);
        }
    }
    let wanted: Vec<Band> = if triplet.fallback {
        params.fallback.clone()
    } else {
        Band::ALL.into_iter().filter(|&band| params.ask.wants(band)).collect()
    };
    if !wanted.contains(&band) {
        let among: Vec<&str> = wanted.iter().map(|band| band.name()).collect();
        let (column, kind) =
            if triplet.fallback { (names.fallback, "bands to fall back on") } else { (names.band, "bands asked for") };
        report(column, band.name().to_owned(), format!("one of the {kind}: {}", among.join(", ")));
    }
}

/// What the positive of a negative's triplet would tell, where that is one of those chosen for the anchor.
fn check_other(chosen: &Chosen, negative: &Member, names: &Names<'_>, asked: &Asked<'_>, report: Report<'_>) {
    let &Member { row, distance, .. } = negative;
    for guard in chosen.refusing(row, distance, asked.store, asked.mine).into_iter().filter(is_of_three) {
        report(names.distance, distance.get().to_string(), format!("a negative that {} keeps", guard.name()));
    }
    if !chosen.admit(row, distance, asked.store, asked.mine) {
        let expected = "a negative that bands and guards admit for a positive of the anchor".to_owned();
        report(names.distance, distance.get().to_string(), expected);
    }
}

/// Whether [`check_negative`] leaves a guard to others.
fn is_of_three(guard: &Guard) -> bool {
    !matches!(guard, Guard::DuplicateDistance | Guard::Exclude)
}

/// The first group on which two rows do not stand as they must.
pub(super) fn broken_rule(store: &Prepared, a: Row, b: Row, same: &[usize], different: &[usize]) -> Option<String> {
    let agree = |&group: &usize| store.group(group)[a.index()].agrees(store.group(group)[b.index()]);
    let name = |group: usize| store.group_names().get(group).map_or("?", String::as_str);
    let unequal = same.iter().find(|group| !agree(group)).map(|&group| format!("another {}", name(group)));
    unequal.or_else(|| different.iter().find(|group| agree(group)).map(|&group| format!("the same {}", name(group))))
}
