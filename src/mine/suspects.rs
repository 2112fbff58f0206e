//! Likely label noise: the same vector under two labels.

use rayon::prelude::*;

use super::Suspect;
use crate::search::lottery::mix;
use crate::store::{Prepared, Row};

/// Every labelled row whose prepared vector is, bit for bit, that of an earlier row with another label; paired with the
/// first such row. Sorted by (a, b), a before b.
///
/// With queries: every query whose vector is that of a row of the corpus with another label, the query first.
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
    // Of each distinct vector of the run: its first row in the corpus, and the first with another label than that.
    let mut firsts: Vec<(Row, Option<Row>)> = Vec::new();
    let mut suspects = Vec::new();
    // Rows of the corpus come before queries.
    for &(_, row) in run {
        let known = firsts.iter_mut().find(|(first, _)| same(store, *first, row));
        let twin = known.as_ref().and_then(|(first, other)| match label(*first) != label(row) {
            true => Some(*first),
            false => *other,
        });
        if let Some(twin) = twin.filter(|_| store.anchors().contains(&row.0)) {
            let distance = store.metric().distance(store.vector(twin), store.vector(row));
            suspects.push(Suspect::of(store, row, twin, distance));
        }
        match known {
            _ if !store.corpus().contains(&row.0) => {}
            None => firsts.push((row, None)),
            Some((first, other)) if label(*first) != label(row) => {
                other.get_or_insert(row);
            }
            Some(_) => {}
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
