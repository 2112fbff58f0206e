//! Batches of triplets for losses that take every other positive and negative of a batch for a negative (N-pair, Sohn 2016; InfoNCE;
//! sentence-transformers' MultipleNegativesRankingLoss).

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
/// nor its own row. Where labels tell, all anchors of a batch are of different classes, and no negative is of another's class.
///
/// Greedy: a batch takes one entry of each class (where pairs tell: of each anchor), of those with most entries left first, which
/// makes as many full batches as distinct ones allow; of a class, an entry whose negatives are of classes already in the batch, so
/// that hard classes are together and few others are shut out, else the first. A batch that cannot be filled is given up. Each entry
/// is looked at a bounded number of times.
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
    let mut queues: Vec<Vec<u64>> = vec![Vec::new(); queues(store)];
    for place in (0..entries.len() as u64).rev() {
        // From the back, since they are taken from the end.
        if let Some(queue) = queues.get_mut(queue_of(store, entries.anchor(place))) {
            queue.push(place);
        }
    }
    let ranks: Vec<u64> = (0..queues.len() as u32).map(|queue| combine(&[seed, SALT, key_of(store, queue)])).collect();
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
                again.sort_unstable_by_key(|&queue| std::cmp::Reverse(combine(&[order_of.rank(queue), attempt])));
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

/// How many queues there are: entries of one queue never meet. One a class; where pairs tell, one an anchor.
fn queues(store: &Prepared) -> usize {
    if store.has_pairs() { store.anchors().len() } else { store.classes() }
}

/// That of an anchor; without a label it has none.
fn queue_of(store: &Prepared, anchor: Row) -> usize {
    if store.has_pairs() { (anchor.0 - store.anchors().start) as usize } else { store.labels()[anchor.index()].index() }
}

/// What names a queue, whatever the order of rows.
fn key_of(store: &Prepared, queue: u32) -> u64 {
    let first = match store.has_pairs() {
        true => Some(Row(store.anchors().start + queue)),
        false => store.ranked_members(Code(queue)).first().copied(),
    };
    first.map_or(0, |row| store.keys()[row.index()])
}

/// What keeps two entries apart, as numbers: the rows of the corpus, then the classes.
fn tokens(store: &Prepared) -> usize {
    store.corpus().len() + store.classes()
}

fn token_of(store: &Prepared, class: Code) -> Option<usize> {
    (!class.is_null()).then(|| store.corpus().len() + class.index())
}

/// What a row beside an anchor is.
fn of_row(store: &Prepared, row: Row) -> impl Iterator<Item = usize> {
    token_of(store, store.labels()[row.index()]).into_iter().chain([row.index()])
}

/// What no row beside another anchor may be: of its class, or named by its pairs, or itself.
fn of_anchor(store: &Prepared, anchor: Row) -> impl Iterator<Item = usize> {
    let class = token_of(store, store.labels()[anchor.index()]);
    let own = store.own(anchor).map(Row::index);
    class.into_iter().chain(own).chain(store.paired(anchor).iter().map(|row| row.index()))
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
        while batch.len() < self.size {
            let Some(queue) = next() else {
                // Taken from the end, so put back in reverse.
                for &place in batch.iter().rev() {
                    queues[queue_of(self.store, self.entries.anchor(place))].push(place);
                }
                return false;
            };
            batch.extend(self.take(&mut queues[queue as usize]));
        }
        true
    }

    /// An entry of a queue that may be in the batch, if one of the first is.
    fn take(&mut self, queue: &mut Vec<u64>) -> Option<u64> {
        let first = queue.len().saturating_sub(TRIES);
        let fitting = || (first..queue.len()).rev().filter(|&at| self.fits(queue[at]));
        let at = fitting().find(|&at| self.shares(queue[at])).or_else(|| fitting().next())?;
        let place = queue.remove(at);
        for token in of_anchor(self.store, self.entries.anchor(place)) {
            self.barred[token] = self.stamp;
        }
        for token in self.entries.rows(place).iter().flat_map(|&row| of_row(self.store, row)) {
            self.there[token] = self.stamp;
        }
        Some(place)
    }

    /// Whether an entry and those of the batch may meet.
    fn fits(&self, place: u64) -> bool {
        let mut rows = self.entries.rows(place).iter().flat_map(|&row| of_row(self.store, row));
        of_anchor(self.store, self.entries.anchor(place)).all(|token| self.there[token] != self.stamp)
            && rows.all(|token| self.barred[token] != self.stamp)
    }

    /// Whether the negatives of an entry are of classes that are there already, or of none.
    fn shares(&self, place: u64) -> bool {
        let classes = self.entries.rows(place)[1..].iter().map(|row| self.store.labels()[row.index()]);
        classes.filter_map(|class| token_of(self.store, class)).all(|token| self.there[token] == self.stamp)
    }
}
