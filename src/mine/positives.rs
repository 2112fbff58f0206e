//! The positives of an anchor.

use super::{Params, PositivePick, Reason, is_anchor};
use crate::kernel::{Distance, Measure, TopK};
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
    if let Some(reason) = none_at_all(anchor, store) {
        return Err(reason);
    }
    if !is_anchor(anchor, store, params) {
        return Err(Reason::BalancedAway);
    }
    let asked = &params.positives;
    let rules = rules(anchor, store, &asked.same, &asked.different);
    let own = store.own(anchor);
    let admits = |row: Row| Some(row) != own && rules.iter().all(|rule| rule.holds(store, row));
    let fits = |distance: Distance| asked.fits(distance);
    let mut chosen = match asked.pick {
        PositivePick::Random => random(anchor, store, params, most, admits, fits),
        pick => {
            let kin = store.relatives(anchor);
            let admitted: Vec<u32> = kin.iter().filter(|&&row| admits(row)).map(|row| row.0).collect();
            let fitting = measured(anchor, store, &admitted).filter(|&(_, distance)| fits(distance));
            match pick {
                PositivePick::All => fitting.collect(),
                _ => extreme(fitting, pick, most),
            }
        }
    };
    if chosen.is_empty() {
        return Err(Reason::NoPositive);
    }
    chosen.sort_unstable_by_key(|&(row, _)| row);
    Ok(chosen)
}

/// Distances to many rows at once: classes may have ten thousand.
fn measured(anchor: Row, store: &Prepared, rows: &[u32]) -> impl Iterator<Item = (Row, Distance)> {
    let mut distances = Vec::with_capacity(rows.len());
    Measure::of(store.metric()).distances(store.vector(anchor), store.vectors(), rows, &mut distances);
    rows.iter().zip(distances).map(|(&row, distance)| (Row(row), Distance::new(distance)))
}

/// The nearest, or the hardest, which are the farthest; ties go to the earlier row.
fn extreme(fitting: impl Iterator<Item = (Row, Distance)>, pick: PositivePick, count: u32) -> Vec<(Row, Distance)> {
    let mut best = TopK::new(count);
    for (row, distance) in fitting {
        let near = distance.ordinal();
        let rank = if pick == PositivePick::Nearest { near } else { !near };
        best.push(u64::from(rank) << 32 | u64::from(row.0));
    }
    let distance = |key: u64| if pick == PositivePick::Nearest { (key >> 32) as u32 } else { !((key >> 32) as u32) };
    let keys = best.into_sorted().into_iter();
    keys.map(|key| (Row(key as u32), Distance::from_ordinal(distance(key)))).collect()
}

/// Why there are no rows that an anchor may have as positives, as far as labels and pairs tell.
fn none_at_all(anchor: Row, store: &Prepared) -> Option<Reason> {
    match () {
        () if !store.has_pairs() && store.labels()[anchor.index()].is_null() => Some(Reason::Unlabelled),
        () if store.has_relatives(anchor) => None,
        () if !store.has_pairs() && !store.has_queries() => Some(Reason::Singleton),
        () => Some(Reason::NoPositive),
    }
}

/// Whether a row has anything to be paired with, as far as labels and pairs tell.
pub fn has_kin(anchor: Row, store: &Prepared) -> bool {
    none_at_all(anchor, store).is_none()
}

/// How many positives an anchor could have, counted no further than `most`.
pub(super) fn available(anchor: Row, store: &Prepared, params: &Params, most: u32) -> u32 {
    let (asked, kin, own) = (&params.positives, store.relatives(anchor), store.own(anchor));
    let rules = rules(anchor, store, &asked.same, &asked.different);
    if rules.is_empty() && asked.min_distance.is_none() && asked.max_distance.is_none() {
        let itself = own.is_some_and(|own| kin.binary_search(&own).is_ok());
        return (kin.len() as u32 - u32::from(itself)).min(most);
    }
    let admitted = kin.iter().filter(|&&row| Some(row) != own && rules.iter().all(|rule| rule.holds(store, row)));
    let measure = |row: Row| params.metric.distance(store.vector(anchor), store.vector(row));
    admitted.filter(|&&row| asked.fits(measure(row))).take(most as usize).count() as u32
}

/// The first admissible relatives in a keyed order that only (seed, ids) and labels decide: a few steps, however large the class.
fn random(
    anchor: Row,
    store: &Prepared,
    params: &Params,
    most: u32,
    admits: impl Fn(Row) -> bool,
    fits: impl Fn(Distance) -> bool,
) -> Vec<(Row, Distance)> {
    // By their ids: the order of rows in the files is irrelevant to what is drawn.
    let class = store.labels()[anchor.index()];
    let labels = store.labels_in(&class);
    let places = labels.iter().map(|&label| store.members(label).len() as u64).sum::<u64>();
    let ranked: Vec<Row>;
    // All labels' rows one after the other, or where these are too many to count, or pairs tell, all relatives once.
    let (lists, places): (Vec<&[Row]>, u32) = match u32::try_from(places) {
        Ok(places) if !store.has_pairs() => (labels.iter().map(|&label| store.ranked_members(label)).collect(), places),
        _ => {
            let mut rows = store.relatives(anchor).into_owned();
            rows.sort_unstable_by_key(|&row| (store.keys()[row.index()], row));
            ranked = rows;
            (vec![ranked.as_slice()], ranked.len() as u32)
        }
    };
    let order = Shuffle::new(combine(&[params.seed, store.keys()[anchor.index()]]), places);
    let drawn = (0..places).filter_map(|place| {
        let mut place = order.forward(place) as usize;
        let mut list = 0;
        while place >= lists[list].len() {
            place -= lists[list].len();
            list += 1;
        }
        let row = lists[list][place];
        // A row that shares several labels counts where it shares the first: once, as any other.
        let first = lists.len() == 1 || store.shared_label(class, store.labels()[row.index()]) == Some(labels[list]);
        first.then_some(row)
    });
    let measure = |row: Row| (row, params.metric.distance(store.vector(anchor), store.vector(row)));
    let fitting = drawn.filter(|&row| admits(row)).map(measure).filter(|&(_, distance)| fits(distance));
    fitting.take(most as usize).collect()
}

/// The constraints of an anchor on a pair's other member.
pub(super) fn rules(anchor: Row, store: &Prepared, same: &[usize], different: &[usize]) -> Vec<Rule> {
    let rule = |relation| move |&group: &usize| Rule { group, relation, code: store.group(group)[anchor.index()] };
    same.iter().map(rule(Relation::Same)).chain(different.iter().map(rule(Relation::Different))).collect()
}
