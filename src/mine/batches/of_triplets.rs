//! Batches of triplets for losses that take every other positive and negative of a batch for a negative (N-pair, Sohn 2016; InfoNCE;
//! sentence-transformers' MultipleNegativesRankingLoss).

use super::classes::Queue;
use crate::search::lottery::combine;
use crate::store::{Code, Prepared};

const SALT: u64 = 0x0062_6174_6368;

/// The classes of a triplet: of its anchor and of its negative, null where that has no label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    pub anchor: Code,
    pub negative: Code,
}

/// Triplets of a class that are looked at for one that fits: the first ones, so that the order of the triplets is kept nearly.
const TRIES: usize = 16;
/// Other orders of the classes that are tried where the one by size leads to no full batch.
const ORDERS: u64 = 8;
/// No class; also what no batch has touched.
const NONE: u32 = u32::MAX;

/// Batches of `size` triplets, as places in `triplets`: for any two of a batch, neither the positive nor the negative of one is of
/// the class of the other's anchor. So the anchors of a batch are of `size` classes, and no negative is of another's class.
///
/// Greedy: a batch takes one triplet of each class, of the classes with most triplets left first, which makes as many full batches
/// as distinct classes allow; of a class, a triplet whose negative's class is that of a negative already in the batch, so that hard
/// classes are together and few others are shut out, else the first. A batch that cannot be filled is given up. Each triplet is
/// looked at a bounded number of times.
///
/// Gives the triplets that are in no batch, ascending.
///
/// # Errors
/// Those of `emit`, which is handed each batch.
pub fn without_false_negatives<E>(
    triplets: &[Sides],
    size: u32,
    store: &Prepared,
    seed: u64,
    emit: &mut dyn FnMut(&[u64]) -> Result<(), E>,
) -> Result<Vec<u64>, E> {
    let mut queues: Vec<Vec<u64>> = vec![Vec::new(); store.classes()];
    for (place, sides) in triplets.iter().enumerate().rev() {
        // From the back, since they are taken from the end.
        if let Some(queue) = queues.get_mut(sides.anchor.index()) {
            queue.push(place as u64);
        }
    }
    let rank = |class: u32| {
        let first = store.ranked_members(Code(class)).first();
        combine(&[seed, SALT, first.map_or(0, |row| store.keys()[row.index()])])
    };
    let ranks: Vec<u64> = (0..store.classes() as u32).map(rank).collect();
    let mut classes = Queue::new(queues.iter().map(|queue| queue.len() as u64).collect(), ranks);
    let mut filler = Filler {
        triplets,
        size: size as usize,
        of_anchors: vec![NONE; store.classes()],
        of_negatives: vec![NONE; store.classes()],
        stamp: 0,
    };
    let mut batch = Vec::with_capacity(size as usize);
    loop {
        let mut order = Vec::new();
        let full = filler.fill(&mut queues, &mut batch, &mut || {
            let class = classes.pop()?;
            order.push(class);
            Some(class)
        });
        let full = full || {
            // All classes that have any are in `order` now.
            (0..ORDERS).any(|attempt| {
                let mut again = order.clone();
                again.sort_unstable_by_key(|&class| std::cmp::Reverse(combine(&[classes.rank(class), attempt])));
                filler.fill(&mut queues, &mut batch, &mut || again.pop())
            })
        };
        if !full {
            break;
        }
        for class in order {
            classes.set(class, queues[class as usize].len() as u64);
        }
        emit(&batch)?;
    }
    let mut remainder: Vec<u64> = queues.concat();
    remainder.sort_unstable();
    Ok(remainder)
}

/// Fills one batch after the other.
struct Filler<'a> {
    triplets: &'a [Sides],
    size: usize,
    /// The last batch, by number, that has an anchor or a negative of each class.
    of_anchors: Vec<u32>,
    of_negatives: Vec<u32>,
    stamp: u32,
}

impl Filler<'_> {
    /// Whether a batch could be filled from the classes that `next` gives; else the queues are as before.
    fn fill(&mut self, queues: &mut [Vec<u64>], batch: &mut Vec<u64>, next: &mut dyn FnMut() -> Option<u32>) -> bool {
        // Where numbers run out they begin again, with a clean slate.
        if self.stamp == NONE - 1 {
            self.of_anchors.fill(NONE);
            self.of_negatives.fill(NONE);
            self.stamp = 0;
        }
        self.stamp += 1;
        batch.clear();
        while batch.len() < self.size {
            let Some(class) = next() else {
                // Taken from the end, so put back in reverse.
                for &place in batch.iter().rev() {
                    queues[self.triplets[place as usize].anchor.index()].push(place);
                }
                return false;
            };
            batch.extend(self.take(&mut queues[class as usize], class));
        }
        true
    }

    /// A triplet of a class that may be in the batch, if one of the first is.
    fn take(&mut self, queue: &mut Vec<u64>, class: u32) -> Option<u64> {
        if self.of_negatives[class as usize] == self.stamp {
            return None;
        }
        let first = queue.len().saturating_sub(TRIES);
        let negative = |place: u64| self.triplets[place as usize].negative;
        let shared = |place: u64| {
            let class = negative(place);
            class.is_null() || self.of_negatives[class.index()] == self.stamp
        };
        let fits = |place: u64| {
            let class = negative(place);
            class.is_null() || self.of_anchors[class.index()] != self.stamp
        };
        let fitting = || (first..queue.len()).rev().filter(|&at| fits(queue[at]));
        let at = fitting().find(|&at| shared(queue[at])).or_else(|| fitting().next())?;
        let place = queue.remove(at);
        self.of_anchors[class as usize] = self.stamp;
        let negative = self.triplets[place as usize].negative;
        if !negative.is_null() {
            self.of_negatives[negative.index()] = self.stamp;
        }
        Some(place)
    }
}
