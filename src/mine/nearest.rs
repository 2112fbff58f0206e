//! What a transform of the vectors did to the nearest neighbours: leave-one-out 1-NN accuracy before and after.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::kernel::{Distance, Metric};
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
pub const NEAREST_ROWS: usize = 50_000;
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
    if rows.len() > NEAREST_ROWS {
        rows.select_nth_unstable(NEAREST_ROWS - 1);
        rows.truncate(NEAREST_ROWS);
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
    let fitted: Vec<&[f32]> = rows.iter().map(|row| store.vector(*row)).collect();
    let normalised: Vec<Vec<f32>> = rows.par_iter().map(|row| normalised(store.raw(*row), metric)).collect();
    let raw: Vec<&[f32]> = normalised.iter().map(Vec::as_slice).collect();
    let [before, after] = [raw, fitted].map(|vectors| {
        let right = queries.par_iter().filter(|query| {
            let own = rows.iter().position(|row| row == *query).unwrap_or(0);
            let others = rows.iter().zip(&vectors).filter(|(row, _)| row != query);
            let nearest = others.map(|(row, vector)| (metric.distance(vectors[own], vector), *row)).min();
            nearest
                .is_some_and(|(_, row): (Distance, Row)| store.labels()[row.index()] == store.labels()[query.index()])
        });
        right.count() as f64 / queries.len() as f64
    });
    Some(NearestAccuracy { queries: queries.len() as u64, rows: rows.len() as u64, before, after })
}

/// A vector as a store without `[prepare]` holds it.
fn normalised(vector: &[f32], metric: Metric) -> Vec<f32> {
    if !metric.normalises() {
        return vector.to_vec();
    }
    let norm = vector.iter().fold(0.0, |sum, &value| sum + f64::from(value) * f64::from(value)).sqrt();
    vector.iter().map(|&value| (f64::from(value) / norm) as f32).collect()
}
