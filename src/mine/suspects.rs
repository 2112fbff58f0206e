//! Likely label noise: the same vector under two labels.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::Suspect;
use crate::search::lottery::mix;
use crate::store::{Code, Prepared, Row};

/// Every labelled row whose prepared vector is, bit for bit, that of an earlier row with which it shares no label; paired with the
/// first such row. Sorted by (a, b), a before b.
///
/// With queries: every query whose vector is that of a row of the corpus without a label of the query's, the query first.
///
/// One pair a row, not all pairs: a thousand identical vectors under ten labels need no half million lines.
pub fn copies(store: &Prepared) -> Vec<Suspect> {
    let mut hashed: Vec<(u64, Row)> = (0..store.rows())
        .into_par_iter()
        .map(Row)
        .filter(|row| !store.labels()[row.index()].is_null())
        .map(|row| (hash(store.vector(row)), row))
        .collect();
    hashed.par_sort_unstable();
    let mut suspects: Vec<Suspect> =
        hashed.par_chunk_by(|a, b| a.0 == b.0).flat_map_iter(|run| pairs(run, store)).collect();
    suspects.sort_unstable_by_key(|suspect| (suspect.a, suspect.b));
    suspects
}

fn pairs(run: &[(u64, Row)], store: &Prepared) -> Vec<Suspect> {
    let mut vectors: Vec<Twins> = Vec::new();
    let mut suspects = Vec::new();
    // Rows of the corpus come before queries.
    for &(_, row) in run {
        let known = vectors.iter().position(|twins| same(store, twins.rows[0], row));
        let twin = known.and_then(|index| vectors[index].stranger(row, store));
        if let Some(twin) = twin.filter(|_| store.anchors().contains(&row.0)) {
            let distance = store.metric().distance(store.vector(twin), store.vector(row));
            suspects.push(Suspect::of(store, row, twin, distance));
        }
        match known {
            _ if !store.corpus().contains(&row.0) => {}
            Some(index) => vectors[index].add(row, store),
            None => {
                let mut twins = Twins::default();
                twins.add(row, store);
                vectors.push(twins);
            }
        }
    }
    suspects
}

/// Rows of the corpus with one vector: of each class the first.
#[derive(Default)]
struct Twins {
    rows: Vec<Row>,
    classes: HashSet<Code>,
    /// How many of them have a label.
    holders: HashMap<Code, usize>,
}

impl Twins {
    fn add(&mut self, row: Row, store: &Prepared) {
        let class = store.labels()[row.index()];
        // Of two labels every row lacks one.
        if (!store.has_several_labels() && self.rows.len() == 2) || !self.classes.insert(class) {
            return;
        }
        self.rows.push(row);
        store.labels_in(&class).iter().for_each(|&label| *self.holders.entry(label).or_default() += 1);
    }

    /// The first that shares no label with a row.
    fn stranger(&self, row: Row, store: &Prepared) -> Option<Row> {
        let class = store.labels()[row.index()];
        // A label that all of them have need not be looked for row by row.
        let everyone = |label: &Code| self.holders.get(label) == Some(&self.rows.len());
        if store.labels_in(&class).iter().any(everyone) {
            return None;
        }
        self.rows.iter().copied().find(|&twin| !store.akin(store.labels()[twin.index()], class))
    }
}

fn same(store: &Prepared, a: Row, b: Row) -> bool {
    // Zeros of either sign are one value.
    store.vector(a) == store.vector(b)
}

fn hash(vector: &[f32]) -> u64 {
    vector
        .iter()
        .fold(0, |state, &value| mix(state ^ u64::from((value + 0.0).to_bits())).wrapping_add(state.rotate_left(23)))
}
