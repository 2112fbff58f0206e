//! What a transform of the vectors did to the nearest neighbours: 1-NN accuracy before and after.
//!
//! A transform that knows labels has drawn the rows that it was learned from to their classes. It is tried on rows held out
//! instead: learned once more, without them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::kernel::{Distance, Metric, normalise, squared_norm};
use crate::search::lottery::combine;
use crate::store::{Fitting, Prepared, Row, Without};

/// How often the nearest row of an anchor, itself left out, is one of its positives, among the same rows before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearestAccuracy {
    /// Anchors that were asked for, and rows that they were held against.
    pub queries: u64,
    pub rows: u64,
    /// Whether the anchors are of a table of their own.
    #[serde(default)]
    pub apart: bool,
    /// Whether the transform that was tried was learned without the rows that were asked for.
    #[serde(default)]
    pub held_out: bool,
    /// Shares of the queries.
    pub before: f64,
    pub after: f64,
}

/// An error of some two points at most, and seconds at most.
const QUERIES: usize = 500;
const ROWS: usize = 50_000;
/// Of the rows of the sample, one in so many is held out at most: what is learned from the others is nearly the same.
const HELD_OUT: usize = 10;
/// Rows that are held against all queries together.
const BLOCK: usize = 1_024;
/// Rows whose vectors one thread makes at a time.
const TASK: usize = 64;
/// Vectors that are copied at a time.
pub const NEAREST_VECTORS: usize = QUERIES + BLOCK;
/// What tells this sample from others by the same seed.
const SALT: u64 = 0x1e_a5e0;

/// Compares the vectors of a fitted store with those it was made from, under `metric`, on a sample that `seed` and the ids
/// decide. Nearest of equally near ones is the first. `None` where nothing was fitted, no anchor of the sample has a
/// positive there, or what is left without those that are held out is too little to learn from.
///
/// Where `fitting` knows labels, and the anchors are rows that it was learned from, the fit that is tried is another one, learned
/// without them. Rows of classes of one row take part only as what is found wrongly; rows without a label where labels tell,
/// and (under cosine) zero vectors, not at all.
pub fn nearest_accuracy(store: &Prepared, fitting: &Fitting, metric: Metric, seed: u64) -> Option<NearestAccuracy> {
    store.fitted()?;
    let held_out = fitting.knows_labels() && !store.has_queries();
    let (queries, rows) = sample(store, metric, seed, held_out);
    if queries.is_empty() {
        return None;
    }
    let without = if held_out {
        let mut queries = queries.clone();
        queries.sort_unstable();
        Some(Without::new(store, fitting, metric, &queries).ok()?)
    } else {
        None
    };
    let before =
        |rows: &[Row]| -> Vec<Cow<[f32]>> { rows.iter().map(|row| normalised(store.raw(*row), metric)).collect() };
    let after = |rows: &[Row]| -> Vec<Cow<[f32]>> {
        match &without {
            Some(without) => without.vectors(rows).into_iter().map(Cow::Owned).collect(),
            None => rows.iter().map(|row| Cow::Borrowed(store.vector(*row))).collect(),
        }
    };
    let share = |found: Vec<Row>| {
        let right = |(query, row): &(&Row, Row)| store.is_relative(**query, *row);
        queries.iter().zip(found).filter(right).count() as f64 / queries.len() as f64
    };
    let own = |query: Row| store.own(query);
    Some(NearestAccuracy {
        queries: queries.len() as u64,
        rows: rows.len() as u64,
        apart: store.has_queries(),
        held_out,
        before: share(nearest(&queries, &rows, metric, &own, &before)),
        after: share(nearest(&queries, &rows, metric, &own, &after)),
    })
}

/// Anchors, and the rows of the corpus that they are held against, a positive of each among them.
fn sample(store: &Prepared, metric: Metric, seed: u64, held_out: bool) -> (Vec<Row>, Vec<Row>) {
    let usable = |row: &Row| {
        (store.has_pairs() || !store.labels()[row.index()].is_null())
            && (!metric.normalises() || store.raw(*row).iter().any(|value| *value != 0.0))
    };
    let key = |row: Row| (combine(&[seed, SALT, store.keys()[row.index()]]), row);
    let keyed = |rows: Range<u32>| rows.map(Row).filter(usable).map(key).collect::<Vec<(u64, Row)>>();
    let others = |anchor: Row, admits: &dyn Fn(&Row) -> bool, most: usize| {
        let own = store.own(anchor);
        let kin = store.relatives(anchor);
        kin.iter().copied().filter(|row| Some(*row) != own && admits(row)).take(most).collect::<Vec<Row>>()
    };
    let has_other = |anchor: Row, admits: &dyn Fn(&Row) -> bool| !others(anchor, admits, 1).is_empty();
    let mut asking = keyed(store.anchors());
    asking.sort_unstable();
    let asking = || asking.iter().map(|&(_, anchor)| anchor);

    // Pairs name few rows of many: of these a sample would hold none, so they come first.
    let named: BTreeSet<Row> = if store.has_pairs() {
        let named = asking().filter(|&anchor| has_other(anchor, &usable)).take(QUERIES);
        named.flat_map(|anchor| others(anchor, &usable, ROWS / QUERIES)).collect()
    } else {
        BTreeSet::new()
    };
    let mut rows = keyed(store.corpus());
    rows.sort_unstable_by_key(|&(key, row)| (!named.contains(&row), key, row));
    rows.truncate(ROWS);
    let mut there = vec![false; store.corpus().len()];
    rows.iter().for_each(|(_, row)| there[row.index()] = true);
    let most = if held_out { QUERIES.min(rows.len().div_ceil(HELD_OUT)) } else { QUERIES };
    let queries = asking().filter(|&anchor| has_other(anchor, &|row| there[row.index()])).take(most).collect();
    (queries, rows.into_iter().map(|(_, row)| row).collect())
}

/// The vectors of some rows, in order.
type Vectors<'f, 'v> = &'f (dyn Fn(&[Row]) -> Vec<Cow<'v, [f32]>> + Sync);

/// The nearest of `rows` to each query, its own row left out; the first of equally near ones.
fn nearest<'v>(
    queries: &[Row],
    rows: &[Row],
    metric: Metric,
    own: &(dyn Fn(Row) -> Option<Row> + Sync),
    vectors: Vectors<'_, 'v>,
) -> Vec<Row> {
    let of = |rows: &[Row]| -> Vec<Cow<'v, [f32]>> { rows.par_chunks(TASK).flat_map_iter(vectors).collect() };
    let asked = of(queries);
    let mut nearest: Vec<(Distance, Row)> = queries.iter().map(|row| (Distance::MAX, *row)).collect();
    for block in rows.chunks(BLOCK) {
        let vectors = of(block);
        nearest.par_iter_mut().zip(&asked).zip(queries).for_each(|((nearest, asked), query)| {
            let own = own(*query);
            for (row, vector) in block.iter().zip(&vectors).filter(|(row, _)| Some(**row) != own) {
                *nearest = (*nearest).min((metric.distance(asked, vector), *row));
            }
        });
    }
    nearest.into_iter().map(|(_, row)| row).collect()
}

/// A vector as a store without `[prepare]` holds it.
fn normalised(vector: &[f32], metric: Metric) -> Cow<'_, [f32]> {
    if !metric.normalises() {
        return Cow::Borrowed(vector);
    }
    let mut vector = vector.to_vec();
    let squared = squared_norm(&vector);
    normalise(&mut vector, squared);
    Cow::Owned(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_other_row_is_found_across_blocks() {
        // On a line, each at its number, but for copies of 5 at the end of the second block.
        let n = 2 * BLOCK as u32;
        let place = |row: Row| if row.0 + 2 >= n { 5.0 } else { row.0 as f32 * 3.0 };
        let vectors =
            |rows: &[Row]| -> Vec<Cow<[f32]>> { rows.iter().map(|row| Cow::Owned(vec![place(*row), 0.0])).collect() };
        let rows: Vec<Row> = (0..n).rev().map(Row).collect();
        let queries = [Row(0), Row(2), Row(n - 1), Row(700)];
        // 700 has 699 and 701 as near: the first.
        let expected = [Row(1), Row(n - 2), Row(n - 2), Row(699)];
        assert_eq!(nearest(&queries, &rows, Metric::Euclidean, &Some, &vectors), expected);
    }
}
