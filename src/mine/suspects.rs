//! Likely label noise: the same vector under two labels.

use rayon::prelude::*;

use super::Suspect;
use crate::search::lottery::mix;
use crate::store::{Prepared, Row};

/// Every labelled row whose prepared vector is, bit for bit, that of an earlier row with another label; paired with the
/// first such row. Sorted by (a, b), a before b.
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
    let label = |row: Row| store.labels()[row.index()];
    // Of each distinct vector of the run: its first row, and the first row with another label than that.
    let mut firsts: Vec<(Row, Option<Row>)> = Vec::new();
    let mut suspects = Vec::new();
    for &(_, b) in run {
        let Some((first, other)) = firsts.iter_mut().find(|(first, _)| same(store, *first, b)) else {
            firsts.push((b, None));
            continue;
        };
        let a = if label(*first) != label(b) {
            other.get_or_insert(b);
            Some(*first)
        } else {
            *other
        };
        if let Some(a) = a {
            let distance = store.metric().distance(store.vector(a), store.vector(b));
            suspects.push(Suspect { a, b, distance });
        }
    }
    suspects
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
