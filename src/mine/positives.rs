//! The positives of an anchor.

use super::{Params, PositivePick, Reason, is_anchor};
use crate::kernel::{Distance, TopK};
use crate::search::lottery::{Shuffle, combine};
use crate::search::{Relation, Rule};
use crate::store::{Prepared, Row};

/// An anchor's chosen positives with their distances, ascending by row; or why it can have none.
///
/// At most `most`, unless all are asked for.
pub(super) fn choose(
    anchor: Row,
    store: &Prepared,
    params: &Params,
    most: u32,
) -> Result<Vec<(Row, Distance)>, Reason> {
    let label = store.labels()[anchor.index()];
    if label.is_null() {
        return Err(Reason::Unlabelled);
    }
    let members = store.members(label);
    if members.len() < 2 {
        return Err(Reason::Singleton);
    }
    if !is_anchor(anchor, store, params) {
        return Err(Reason::BalancedAway);
    }
    let asked = &params.positives;
    let rules = rules(anchor, store, &asked.same, &asked.different);
    let admits = |row: Row| row != anchor && rules.iter().all(|rule| rule.holds(store, row));
    let admitted = members.iter().copied().filter(|&row| admits(row));
    let measure = |row: Row| params.metric.distance(store.vector(anchor), store.vector(row));
    let fits = |distance: Distance| asked.fits(distance);
    let rows: Vec<Row> = match asked.pick {
        PositivePick::All => admitted.filter(|&row| fits(measure(row))).collect(),
        PositivePick::Random => random(anchor, store, params, most, admits, |row| fits(measure(row))),
        PositivePick::Nearest | PositivePick::Hardest => {
            let mut best = TopK::new(most);
            for (row, distance) in admitted.map(|row| (row, measure(row))).filter(|&(_, distance)| fits(distance)) {
                let near = distance.ordinal();
                let rank = if asked.pick == PositivePick::Nearest { near } else { !near };
                best.push(u64::from(rank) << 32 | u64::from(row.0));
            }
            best.into_sorted().into_iter().map(|key| Row(key as u32)).collect()
        }
    };
    if rows.is_empty() {
        return Err(Reason::NoPositive);
    }
    let mut chosen: Vec<(Row, Distance)> = rows.into_iter().map(|row| (row, measure(row))).collect();
    chosen.sort_unstable_by_key(|&(row, _)| row);
    Ok(chosen)
}

/// How many positives an anchor could have, counted no further than `most`.
pub(super) fn available(anchor: Row, store: &Prepared, params: &Params, most: u32) -> u32 {
    let (asked, members) = (&params.positives, store.members(store.labels()[anchor.index()]));
    let rules = rules(anchor, store, &asked.same, &asked.different);
    if rules.is_empty() && asked.min_distance.is_none() && asked.max_distance.is_none() {
        return (members.len() as u32).saturating_sub(1).min(most);
    }
    let admitted = members.iter().filter(|&&row| row != anchor && rules.iter().all(|rule| rule.holds(store, row)));
    let measure = |row: Row| params.metric.distance(store.vector(anchor), store.vector(row));
    admitted.filter(|&&row| asked.fits(measure(row))).take(most as usize).count() as u32
}

/// The first admissible members in a keyed order that only (seed, ids) decide: a few steps, however large the class.
fn random(
    anchor: Row,
    store: &Prepared,
    params: &Params,
    most: u32,
    admits: impl Fn(Row) -> bool,
    fits: impl Fn(Row) -> bool,
) -> Vec<Row> {
    let members = store.ranked_members(store.labels()[anchor.index()]);
    let order = Shuffle::new(combine(&[params.seed, store.keys()[anchor.index()]]), members.len() as u32);
    let drawn = (0..members.len() as u32).map(|place| members[order.forward(place) as usize]);
    drawn.filter(|&row| admits(row) && fits(row)).take(most as usize).collect()
}

/// The constraints of an anchor on a pair's other member.
pub(super) fn rules(anchor: Row, store: &Prepared, same: &[usize], different: &[usize]) -> Vec<Rule> {
    let rule = |relation| move |&group: &usize| Rule { group, relation, code: store.group(group)[anchor.index()] };
    same.iter().map(rule(Relation::Same)).chain(different.iter().map(rule(Relation::Different))).collect()
}
