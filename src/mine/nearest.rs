//! What a transform of the vectors did to the nearest neighbours: leave-one-out 1-NN accuracy before and after.

use std::borrow::Cow;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::kernel::{Distance, Metric, normalise, squared_norm};
use crate::search::lottery::combine;
use crate::store::{Prepared, Row};

/// How often a row's nearest other row is of its class, among the same rows before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearestAccuracy {
    /// Rows that were asked for, and rows that they were held against.
    pub queries: u64,
    pub rows: u64,
    /// Shares of the queries.
    pub before: f64,
    pub after: f64,
}

/// An error of some two points at most, and seconds at most.
const QUERIES: usize = 500;
const ROWS: usize = 50_000;
/// Rows that are held against all queries together.
const BLOCK: usize = 1_024;
/// Vectors that are copied at a time.
pub const NEAREST_VECTORS: usize = QUERIES + BLOCK;
/// What tells this sample from others by the same seed.
const SALT: u64 = 0x1e_a5e0;

/// Compares the vectors of a fitted store with those it was made from, under `metric`, on a sample that `seed` and the ids
/// decide. Nearest of equally near ones is the first. `None` where nothing was fitted, or no class of the sample has two
/// rows.
///
/// Rows of classes of one row take part only as what is found wrongly; rows without a label, and (under cosine) zero
/// vectors, not at all.
pub fn nearest_accuracy(store: &Prepared, metric: Metric, seed: u64) -> Option<NearestAccuracy> {
    store.fitted()?;
    let usable = |row: &Row| !metric.normalises() || store.raw(*row).iter().any(|value| *value != 0.0);
    let labelled = (0..store.rows()).map(Row).filter(|row| !store.labels()[row.index()].is_null());
    let keyed = labelled.filter(usable).map(|row| (combine(&[seed, SALT, store.keys()[row.index()]]), row));
    let mut rows: Vec<(u64, Row)> = keyed.collect();
    if rows.len() > ROWS {
        rows.select_nth_unstable(ROWS - 1);
        rows.truncate(ROWS);
    }
    rows.sort_unstable();
    let mut members = vec![0u32; store.classes()];
    rows.iter().for_each(|(_, row)| members[store.labels()[row.index()].index()] += 1);
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    let answerable = |row: &&Row| members[store.labels()[row.index()].index()] > 1;
    let queries: Vec<Row> = rows.iter().filter(answerable).take(QUERIES).copied().collect();
    if queries.is_empty() {
        return None;
    }
    let share = |found: Vec<Row>| {
        let right = |(query, row): &(&Row, Row)| store.labels()[query.index()] == store.labels()[row.index()];
        queries.iter().zip(found).filter(right).count() as f64 / queries.len() as f64
    };
    Some(NearestAccuracy {
        queries: queries.len() as u64,
        rows: rows.len() as u64,
        before: share(nearest(&queries, &rows, metric, &|row| normalised(store.raw(row), metric))),
        after: share(nearest(&queries, &rows, metric, &|row| Cow::Borrowed(store.vector(row)))),
    })
}

/// The nearest of `rows` to each query, itself left out; the first of equally near ones.
fn nearest<'v>(
    queries: &[Row],
    rows: &[Row],
    metric: Metric,
    vector: &(dyn Fn(Row) -> Cow<'v, [f32]> + Sync),
) -> Vec<Row> {
    let asked: Vec<Cow<[f32]>> = queries.iter().map(|row| vector(*row)).collect();
    let mut nearest: Vec<(Distance, Row)> = queries.iter().map(|row| (Distance::MAX, *row)).collect();
    for block in rows.chunks(BLOCK) {
        let vectors: Vec<Cow<[f32]>> = block.par_iter().map(|row| vector(*row)).collect();
        nearest.par_iter_mut().zip(&asked).zip(queries).for_each(|((nearest, asked), query)| {
            for (row, vector) in block.iter().zip(&vectors).filter(|(row, _)| *row != query) {
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
        let vector = |row: Row| Cow::Owned(vec![place(row), 0.0]);
        let rows: Vec<Row> = (0..n).rev().map(Row).collect();
        let queries = [Row(0), Row(2), Row(n - 1), Row(700)];
        // 700 has 699 and 701 as near: the first.
        let expected = [Row(1), Row(n - 2), Row(n - 2), Row(699)];
        assert_eq!(nearest(&queries, &rows, Metric::Euclidean, &vector), expected);
    }
}
