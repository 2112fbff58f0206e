//! One walk through the sorted rows of both outputs: what begins and ends where, and in which of them.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, UInt8Type};
use datafusion::prelude::{SessionContext, col};
use futures::StreamExt;

use super::drift::{Drift, Sketch};
use super::rows::{DIGEST, KEY, Subject, sorted_rows, sorted_schema};
use super::{DiffError, Fate, Judge, Negatives, Overlap, Transition};
use crate::mine::Band;
use crate::store::IdDigest;

/// What all rows together tell.
pub(super) struct Walked {
    /// Of each output.
    pub(super) rows: [u64; 2],
    pub(super) anchors: Overlap,
    pub(super) pairs: Option<Overlap>,
    pub(super) negatives: Option<Negatives>,
    pub(super) drift: Option<Drift>,
    pub(super) bands: Option<Vec<Transition>>,
    pub(super) lost: Option<Fate>,
}

/// Sorts the rows of both outputs together, and walks through them.
pub(super) async fn walk(
    subject: &Subject,
    mut judge: Option<Judge<'_>>,
    session: &SessionContext,
) -> Result<Walked, DiffError> {
    let table = subject.table(sorted_schema(), sorted_rows)?;
    let sorted = session.read_table(table)?.sort(vec![col(KEY).sort(true, false)])?;
    let mut sorted = sorted.execute_stream().await?;
    let (mut walk, mut fate) = (Walk::default(), Fate::default());
    while let Some(batch) = sorted.next().await.transpose()? {
        walk.through(&batch);
        if let Some(judge) = &mut judge {
            fate += judge(&std::mem::take(&mut walk.lost))?;
        }
        walk.lost.clear();
    }
    walk.end(0);
    if let Some(judge) = &mut judge {
        fate += judge(&walk.lost)?;
    }
    Ok(walk.finish(subject, judge.map(|_| fate)))
}

/// What a row tells of a triplet beside its names.
#[derive(Clone, Copy)]
struct Facts {
    gap: Option<f64>,
    band: Option<u8>,
}

#[derive(Default)]
struct Walk {
    rows: [u64; 2],
    anchors: Overlap,
    pairs: Overlap,
    negatives: Negatives,
    /// What pairs in both had in the first output.
    had: u64,
    drift: Sketch,
    bands: [[u64; 3]; 3],
    /// Digests of triplets that only the first output has, since they were last looked at.
    lost: Vec<[IdDigest; 3]>,
    /// What the last row was called.
    named: [[u8; DIGEST]; 3],
    /// Of the anchor, pair and triplet that are not over: whether they are in each output, and with what.
    anchor: [bool; 2],
    pair: Pair,
    triplet: [Option<Facts>; 2],
}

#[derive(Default)]
struct Pair {
    there: [bool; 2],
    negatives: [u64; 2],
    kept: u64,
}

impl Overlap {
    fn count(&mut self, there: [bool; 2]) {
        match there {
            [true, true] => self.both += 1,
            [true, false] => self.lost += 1,
            [false, true] => self.gained += 1,
            [false, false] => {}
        }
    }
}

impl Walk {
    fn through(&mut self, batch: &RecordBatch) {
        let keys = batch.column(0).as_binary::<i32>();
        let (gaps, bands) =
            (batch.column(1).as_primitive::<Float64Type>(), batch.column(2).as_primitive::<UInt8Type>());
        for row in 0..batch.num_rows() {
            let (named, side) = keys.value(row).as_chunks();
            let &[anchor, positive, negative] = named else { continue };
            let named = [anchor, positive, negative];
            // Before the first row nothing is there that could end.
            if let Some(level) = (0..3).find(|&level| named[level] != self.named[level]) {
                self.end(level);
                self.named = named;
            }
            let side = usize::from(side == [1]);
            self.rows[side] += 1;
            self.triplet[side] = Some(Facts {
                gap: gaps.is_valid(row).then(|| gaps.value(row)),
                band: bands.is_valid(row).then(|| bands.value(row)),
            });
        }
    }

    /// An anchor (0), only a pair of it (1) or only a triplet of that (2) is over.
    fn end(&mut self, level: usize) {
        self.end_triplet();
        if level < 2 {
            self.end_pair();
        }
        if level < 1 {
            self.anchors.count(std::mem::take(&mut self.anchor));
        }
    }

    fn end_triplet(&mut self) {
        let triplet = std::mem::take(&mut self.triplet);
        for (side, _) in triplet.iter().enumerate().filter(|(_, facts)| facts.is_some()) {
            self.pair.there[side] = true;
            self.pair.negatives[side] += 1;
        }
        match triplet {
            [Some(a), Some(b)] => {
                self.pair.kept += 1;
                if let (Some(a), Some(b)) = (a.gap, b.gap) {
                    self.drift.add(b - a);
                }
                if let (Some(a), Some(b)) = (a.band, b.band)
                    && let Some(count) = self.bands.get_mut(usize::from(a)).and_then(|row| row.get_mut(usize::from(b)))
                {
                    *count += 1;
                }
            }
            [Some(_), None] => {
                self.lost.push(self.named.map(IdDigest::from_be_bytes));
            }
            _ => {}
        }
    }

    fn end_pair(&mut self) {
        let Pair { there, negatives: [a, b], kept } = std::mem::take(&mut self.pair);
        self.pairs.count(there);
        self.anchor = [self.anchor[0] || there[0], self.anchor[1] || there[1]];
        let negatives = &mut self.negatives;
        match there {
            [true, true] => {
                let (gone, new) = (a - kept, b - kept);
                let replaced = gone.min(new);
                negatives.kept += kept;
                negatives.replaced += replaced;
                negatives.gone += gone - replaced;
                negatives.new += new - replaced;
                self.had += a;
            }
            _ => {
                negatives.lost_with_pairs += a;
                negatives.gained_with_pairs += b;
            }
        }
    }

    fn finish(self, subject: &Subject, lost: Option<Fate>) -> Walked {
        let Self { rows, anchors, pairs, negatives, had, drift, bands, .. } = self;
        let churn = (had > 0).then(|| 1.0 - negatives.kept as f64 / had as f64);
        let gaps = subject.has_gaps();
        let transition =
            |(from, to): (Band, Band)| Transition { from, to, triplets: bands[from as usize][to as usize] };
        let transitions = Band::ALL.into_iter().flat_map(|from| Band::ALL.map(|to| (from, to))).map(transition);
        Walked {
            rows,
            anchors,
            pairs: subject.tells_pairs().then_some(pairs),
            negatives: subject.has_negatives().then_some(Negatives { churn, ..negatives }),
            drift: gaps.then(|| drift.finish()),
            bands: gaps.then(|| transitions.collect()),
            lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BinaryArray, Float64Array, UInt8Array};

    use super::*;

    /// (anchor, positive, negative, output, gap, band).
    type Told = (u8, u8, u8, u8, f64, u8);

    fn batch(rows: &[Told]) -> RecordBatch {
        let key = |&(anchor, positive, negative, side, ..): &Told| {
            [&[anchor; 16][..], &[positive; 16], &[negative; 16], &[side]].concat()
        };
        let keys: Vec<Vec<u8>> = rows.iter().map(key).collect();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(BinaryArray::from_iter_values(keys)),
            Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.4))),
            Arc::new(UInt8Array::from_iter_values(rows.iter().map(|row| row.5))),
        ];
        RecordBatch::try_new(sorted_schema(), columns).unwrap()
    }

    #[test]
    fn groups_end_the_same_wherever_batches_do() {
        // The very first names are zeros, as those before any row are.
        let rows: [Told; 9] = [
            (0, 0, 0, 0, 0.5, 2),
            (0, 0, 1, 1, 0.25, 1),
            (0, 1, 1, 0, 0.0, 0),
            (0, 1, 1, 1, 0.5, 2),
            (1, 1, 1, 0, 0.0, 0),
            (1, 1, 2, 0, 0.0, 0),
            (1, 1, 2, 1, -0.5, 0),
            (2, 0, 0, 1, 0.0, 0),
            (3, 0, 0, 0, 0.0, 0),
        ];
        for size in 1..=rows.len() {
            let mut walk = Walk::default();
            rows.chunks(size).for_each(|rows| walk.through(&batch(rows)));
            walk.end(0);
            assert_eq!(walk.rows, [5, 4]);
            assert_eq!(walk.anchors, Overlap { both: 2, lost: 1, gained: 1 }, "{size}");
            assert_eq!(walk.pairs, Overlap { both: 3, lost: 1, gained: 1 }, "{size}");
            let Negatives { kept, replaced, gone, new, lost_with_pairs, gained_with_pairs, .. } = walk.negatives;
            assert_eq!((kept, replaced, gone, new), (2, 1, 1, 0), "{size}");
            assert_eq!((lost_with_pairs, gained_with_pairs, walk.had), (1, 1, 4), "{size}");
            assert_eq!(walk.bands, [[1, 0, 1], [0; 3], [0; 3]], "{size}");
            assert_eq!(walk.drift.finish().mean, Some(0.0), "{size}");
            let lost: Vec<[u8; 3]> = walk.lost.iter().map(|ids| ids.map(|id| id as u8)).collect();
            assert_eq!(lost, [[0, 0, 0], [1, 1, 1], [3, 0, 0]], "{size}");
        }
    }
}
