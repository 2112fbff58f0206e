//! Batches of triplets for losses that take every other positive and negative of a batch for a negative (N-pair, Sohn 2016; InfoNCE;
//! sentence-transformers' MultipleNegativesRankingLoss).

use std::cmp::Reverse;

use super::Entries;
use super::classes::Queue;
use crate::search::lottery::combine;
use crate::store::{Code, Prepared, Row};

const SALT: u64 = 0x0062_6174_6368;

/// Entries of a queue that are looked at for one that fits: the first ones, so that the order of the output is kept nearly.
const TRIES: usize = 16;
/// Other orders of the queues that are tried where the one by size leads to no full batch.
const ORDERS: u64 = 8;
/// No batch.
const NONE: u32 = u32::MAX;

/// Batches of `size` entries, as places in `entries`: for any two of a batch, no row beside one anchor is a positive of the other,
/// nor its own row. Where labels tell, no two anchors of a batch share one, and no row beside an anchor shares one with another's.
///
/// Greedy: a batch takes one entry of each label (where pairs tell: of each anchor), of those with most entries left first, which
/// makes as many full batches as distinct ones allow; an entry whose anchor has several labels counts with the one that most have.
/// Of a label, it takes an entry whose negatives' labels are already in the batch, so that hard classes are together and few others
/// are shut out, else the first. A batch that cannot be filled is given up. Each entry is looked at a bounded number of times.
///
/// Gives the entries that are in no batch, ascending.
///
/// # Errors
/// Those of `emit`, which is handed each batch.
pub fn without_false_negatives<E>(
    entries: &Entries,
    size: u32,
    store: &Prepared,
    seed: u64,
    emit: &mut dyn FnMut(&[u64]) -> Result<(), E>,
) -> Result<Vec<u64>, E> {
    let sorter = Sorter::new(entries, store);
    let mut queues: Vec<Vec<u64>> = vec![Vec::new(); sorter.queues()];
    for place in (0..entries.len() as u64).rev() {
        // From the back, since they are taken from the end.
        if let Some(queue) = sorter.queue_of(entries.anchor(place)) {
            queues[queue].push(place);
        }
    }
    let ranks: Vec<u64> = (0..queues.len() as u32).map(|queue| combine(&[seed, SALT, sorter.key_of(queue)])).collect();
    let mut order_of = Queue::new(queues.iter().map(|queue| queue.len() as u64).collect(), ranks);
    let mut filler = Filler {
        entries,
        store,
        size: size as usize,
        barred: vec![NONE; tokens(store)],
        there: vec![NONE; tokens(store)],
        stamp: 0,
    };
    let mut batch = Vec::with_capacity(size as usize);
    loop {
        let mut order = Vec::new();
        let full = filler.fill(&mut queues, &mut batch, &mut || {
            let queue = order_of.pop()?;
            order.push(queue);
            Some(queue)
        });
        let full = full || {
            // All queues that have any are in `order` now.
            (0..ORDERS).any(|attempt| {
                let mut again = order.clone();
                again.sort_unstable_by_key(|&queue| Reverse(combine(&[order_of.rank(queue), attempt])));
                filler.fill(&mut queues, &mut batch, &mut || again.pop())
            })
        };
        if !full {
            break;
        }
        for queue in order {
            order_of.set(queue, queues[queue as usize].len() as u64);
        }
        emit(&batch)?;
    }
    let mut remainder: Vec<u64> = queues.concat();
    remainder.sort_unstable();
    Ok(remainder)
}

/// Sorts entries into queues. Entries of one queue never meet: there is one a label; where pairs tell, one an anchor.
struct Sorter<'a> {
    store: &'a Prepared,
    /// Entries by the labels of their anchors.
    counts: Vec<u64>,
}

impl<'a> Sorter<'a> {
    fn new(entries: &Entries, store: &'a Prepared) -> Self {
        let mut counts = vec![0; store.distinct_labels()];
        for place in 0..entries.len() as u64 {
            let class = store.labels()[entries.anchor(place).index()];
            store.labels_in(&class).iter().for_each(|label| counts[label.index()] += 1);
        }
        Self { store, counts }
    }

    fn queues(&self) -> usize {
        if self.store.has_pairs() { self.store.anchors().len() } else { self.counts.len() }
    }

    /// That of an anchor: of several labels the one that most have. Without a label it has none.
    fn queue_of(&self, anchor: Row) -> Option<usize> {
        if self.store.has_pairs() {
            return Some((anchor.0 - self.store.anchors().start) as usize);
        }
        let labels = self.store.labels_in(&self.store.labels()[anchor.index()]).iter();
        labels.map(|label| label.index()).max_by_key(|&label| (self.counts[label], Reverse(label)))
    }

    /// What names a queue, whatever the order of rows.
    fn key_of(&self, queue: u32) -> u64 {
        let first = match self.store.has_pairs() {
            true => Some(Row(self.store.anchors().start + queue)),
            false => self.store.ranked_members(Code(queue)).first().copied(),
        };
        first.map_or(0, |row| self.store.keys()[row.index()])
    }
}

/// What keeps two entries apart, as numbers: the rows of the corpus, then the labels.
fn tokens(store: &Prepared) -> usize {
    store.corpus().len() + store.distinct_labels()
}

fn labels_of(store: &Prepared, row: Row) -> impl Iterator<Item = usize> {
    let labels = store.labels_in(&store.labels()[row.index()]);
    labels.iter().map(|label| store.corpus().len() + label.index())
}

/// What a row beside an anchor is.
fn of_row(store: &Prepared, row: Row) -> impl Iterator<Item = usize> {
    labels_of(store, row).chain([row.index()])
}

/// What no row beside another anchor may be: one with a label of its, or named by its pairs, or itself.
fn of_anchor(store: &Prepared, anchor: Row) -> impl Iterator<Item = usize> {
    let own = store.own(anchor).map(Row::index);
    labels_of(store, anchor).chain(own).chain(store.paired(anchor).iter().map(|row| row.index()))
}

/// Fills one batch after the other.
struct Filler<'a> {
    entries: &'a Entries,
    store: &'a Prepared,
    size: usize,
    /// The last batch, by number, that bars each token, and that has it.
    barred: Vec<u32>,
    there: Vec<u32>,
    stamp: u32,
}

impl Filler<'_> {
    /// Whether a batch could be filled from the queues that `next` gives; else they are as before.
    fn fill(&mut self, queues: &mut [Vec<u64>], batch: &mut Vec<u64>, next: &mut dyn FnMut() -> Option<u32>) -> bool {
        // Where numbers run out they begin again, with a clean slate.
        if self.stamp == NONE - 1 {
            self.barred.fill(NONE);
            self.there.fill(NONE);
            self.stamp = 0;
        }
        self.stamp += 1;
        batch.clear();
        let mut taken: Vec<(usize, usize)> = Vec::with_capacity(self.size);
        while batch.len() < self.size {
            let Some(queue) = next() else {
                for (&place, (queue, at)) in batch.iter().zip(taken).rev() {
                    queues[queue].insert(at, place);
                }
                return false;
            };
            let queue = queue as usize;
            if let Some((at, place)) = self.take(&mut queues[queue]) {
                batch.push(place);
                taken.push((queue, at));
            }
        }
        true
    }

    /// An entry of a queue that may be in the batch, if one of the first is, and where it was.
    fn take(&mut self, queue: &mut Vec<u64>) -> Option<(usize, u64)> {
        let first = queue.len().saturating_sub(TRIES);
        let fitting = || (first..queue.len()).rev().filter(|&at| self.fits(queue[at]));
        let at = fitting().find(|&at| self.shares(queue[at])).or_else(|| fitting().next())?;
        let place = queue.remove(at);
        for token in of_anchor(self.store, self.entries.anchor(place)) {
            self.barred[token] = self.stamp;
        }
        let beside = self.entries.rows(place).iter().flat_map(|&row| of_row(self.store, row));
        for token in beside.chain(labels_of(self.store, self.entries.anchor(place))) {
            self.there[token] = self.stamp;
        }
        Some((at, place))
    }

    /// Whether an entry and those of the batch may meet.
    fn fits(&self, place: u64) -> bool {
        let mut rows = self.entries.rows(place).iter().flat_map(|&row| of_row(self.store, row));
        of_anchor(self.store, self.entries.anchor(place)).all(|token| self.there[token] != self.stamp)
            && rows.all(|token| self.barred[token] != self.stamp)
    }

    /// Whether the labels of an entry's negatives are there already.
    fn shares(&self, place: u64) -> bool {
        let mut labels = self.entries.rows(place)[1..].iter().flat_map(|&row| labels_of(self.store, row));
        labels.all(|token| self.there[token] == self.stamp)
    }
}
