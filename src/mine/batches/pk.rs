//! Batches of P classes by K rows, for losses that mine inside the batch (Hermans et al. 2017).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::classes::Queue;
use super::{Pk, clash};
use crate::mine::Params;
use crate::search::lottery::combine;
use crate::store::{Code, Prepared, Row};

const SALT: u64 = 0x706b;

/// How often a row of one class is mined as a negative of another: which classes are hard for each other.
#[derive(Debug, Default)]
pub struct Hardness(HashMap<(u32, u32), u64>);

impl Hardness {
    /// Counts a triplet; rows without a label say nothing.
    pub fn add(&mut self, anchor: Code, negative: Code) {
        if !anchor.is_null() && !negative.is_null() {
            *self.0.entry((anchor.0.min(negative.0), anchor.0.max(negative.0))).or_default() += 1;
        }
    }

    /// Of each class its hardest others, the hardest first, with their counts.
    fn links(&self, ranks: &[u64]) -> Vec<Vec<(u32, u64)>> {
        let mut links = vec![Vec::new(); ranks.len()];
        for (&(a, b), &count) in &self.0 {
            links[a as usize].push((b, count));
            links[b as usize].push((a, count));
        }
        for links in &mut links {
            links.sort_unstable_by_key(|&(class, count)| (Reverse(count), ranks[class as usize], class));
            links.truncate(LINKS);
        }
        links
    }
}

/// Hard classes that a class remembers.
const LINKS: usize = 32;
/// Rows of a class that are looked at for some that may be in a batch, beyond those wanted.
const LOOKED_AT: usize = 32;

/// Batches of `asked`, each handed to `emit`, class by class. Every row of `anchors` is in at least one of them, but for those that
/// are given back, ascending, because no full batch could be made with them.
///
/// A class has K rows in a batch, or all its rows if it has fewer; no row is there twice, and no two rows of different classes that
/// [`clash`]. Classes with more anchors than K come as often as it takes; those that are through already fill up batches that the
/// others need, with rows in turn.
///
/// Greedy. A class that must be in every batch from now on, or else the one with most anchors left, begins; then come the classes
/// that are hardest for those already there and have anchors left, then others with anchors left, then hard ones without, then any.
///
/// # Errors
/// Those of `emit`.
pub fn pk<E>(
    store: &Prepared,
    params: &Params,
    asked: Pk,
    anchors: &[Row],
    hardness: &Hardness,
    emit: &mut dyn FnMut(&[Row]) -> Result<(), E>,
) -> Result<Vec<Row>, E> {
    let mut maker = Maker::new(store, params, asked, anchors, hardness);
    let (mut aside, mut placed) = (Vec::new(), vec![false; store.rows() as usize]);
    while let Some(first) = maker.begin() {
        if maker.fill(first) {
            let rows: Vec<Row> = maker.batch.iter().flat_map(|share| share.rows.iter().copied()).collect();
            rows.iter().for_each(|row| placed[row.index()] = true);
            emit(&rows)?;
            maker.settle(usize::MAX);
        } else {
            // What began it can be in no full batch, as far as this finds one; the others may still be.
            if let Some(share) = maker.batch.first() {
                aside.extend_from_slice(&share.rows[..share.uncovered.len()]);
            }
            maker.settle(1);
        }
    }
    aside.retain(|row| !placed[row.index()]);
    aside.sort_unstable();
    Ok(aside)
}

/// What a class gives to a batch.
struct Share {
    class: u32,
    /// Anchors not covered before come first …
    rows: Vec<Row>,
    /// … and these are their places in [`Maker::rows`], ascending.
    uncovered: Vec<usize>,
    /// How many of the others were passed in turn.
    turned: usize,
}

/// A class's rows in [`Maker::rows`]: `start..covered` are anchors already covered, `covered..anchors` those that are not, and
/// `anchors..end` rows that are none.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    covered: usize,
    anchors: usize,
    end: usize,
    /// Where fillers go on, among rows that are not uncovered anchors.
    turn: usize,
}

impl Span {
    fn size(&self) -> usize {
        self.end - self.start
    }

    /// Batches that the uncovered anchors need.
    fn visits(&self, asked: Pk) -> u64 {
        (self.anchors - self.covered).div_ceil(asked.per_class as usize) as u64
    }
}

struct Maker<'a> {
    store: &'a Prepared,
    near: Option<f32>,
    asked: Pk,
    /// By class.
    rows: Vec<Row>,
    spans: Vec<Span>,
    links: Vec<Vec<(u32, u64)>>,
    /// Classes by batches that their uncovered anchors need, and the sum over all.
    queue: Queue,
    needed: u64,
    /// Classes that can be in a batch, in a keyed order, and where to go on there.
    usable: Vec<u32>,
    next: usize,
    /// The last batch, by number, that each class was tried for.
    tried: Vec<u64>,
    number: u64,
    batch: Vec<Share>,
    /// Classes taken from the queue for this batch.
    popped: Vec<u32>,
}

impl<'a> Maker<'a> {
    fn new(store: &'a Prepared, params: &Params, asked: Pk, anchors: &[Row], hardness: &Hardness) -> Self {
        let ticket = |row: Row| (combine(&[params.seed, SALT, store.keys()[row.index()]]), row);
        let mut is_anchor = vec![false; store.rows() as usize];
        anchors.iter().for_each(|row| is_anchor[row.index()] = true);
        let (mut rows, mut spans, mut ranks) = (Vec::new(), Vec::new(), Vec::new());
        for class in 0..store.classes() as u32 {
            let start = rows.len();
            rows.extend_from_slice(store.members(Code(class)));
            rows[start..].sort_unstable_by_key(|&row| (!is_anchor[row.index()], ticket(row)));
            ranks.push(rows.get(start).map_or(0, |&row| ticket(row).0));
            let anchors = start + rows[start..].partition_point(|row| is_anchor[row.index()]);
            spans.push(Span { start, covered: start, anchors, end: rows.len(), turn: 0 });
        }
        let links = hardness.links(&ranks);
        let mut usable: Vec<u32> = (0..).zip(&spans).filter(|(_, span)| span.size() > 1).map(|(c, _)| c).collect();
        usable.sort_unstable_by_key(|&class| (ranks[class as usize], class));
        let left: Vec<u64> = spans.iter().map(|span| span.visits(asked)).collect();
        Self {
            store,
            near: params.negatives.guards.duplicate_distance,
            asked,
            rows,
            links,
            needed: left.iter().sum(),
            tried: vec![0; spans.len()],
            queue: Queue::new(left, ranks),
            spans,
            usable,
            next: 0,
            number: 0,
            batch: Vec::new(),
            popped: Vec::new(),
        }
    }

    /// The class that the next batch begins with; none when every anchor is placed.
    fn begin(&mut self) -> Option<u32> {
        self.number += 1;
        self.batch.clear();
        self.largest()
    }

    fn is_tried(&self, class: u32) -> bool {
        self.tried[class as usize] == self.number
    }

    /// Of the classes that were not tried yet, the one with most anchors left.
    fn largest(&mut self) -> Option<u32> {
        loop {
            let class = self.queue.peek()?;
            if !self.is_tried(class) {
                return Some(class);
            }
            self.popped.extend(self.queue.pop());
        }
    }

    /// Whether a whole batch that begins with `first` was found.
    fn fill(&mut self, first: u32) -> bool {
        // Where there are too few classes, what begins is put aside.
        let wanted = if self.usable.len() < self.asked.classes as usize { 1 } else { self.asked.classes as usize };
        // Batches to come, at least: a class that needs as many must be in all of them.
        let to_come = self.queue.left(first).max(self.needed.div_ceil(wanted as u64));
        let mut hard = Hard::default();
        let mut turns = self.usable.len();
        let mut next = Some(first);
        while let Some(class) = next {
            self.tried[class as usize] = self.number;
            if let Some(share) = self.share(class) {
                self.batch.push(share);
                hard.welcome(&self.links[class as usize], &self.queue);
            }
            if self.batch.len() == wanted {
                break;
            }
            let largest = self.largest();
            let urgent = largest.filter(|&class| self.queue.left(class) >= to_come);
            next = urgent.or_else(|| hard.pop(true, |class| self.is_tried(class))).or(largest);
            next = next.or_else(|| hard.pop(false, |class| self.is_tried(class)));
            while next.is_none() && turns > 0 {
                turns -= 1;
                let class = self.usable[self.next];
                self.next = (self.next + 1) % self.usable.len();
                next = Some(class).filter(|&class| !self.is_tried(class));
            }
        }
        self.batch.len() == self.asked.classes as usize
    }

    /// What a class can give to the batch as it is; none if that is too little.
    fn share(&self, class: u32) -> Option<Share> {
        let span = self.spans[class as usize];
        let wanted = (self.asked.per_class as usize).min(span.size());
        let others = || self.batch.iter().flat_map(|share| &share.rows);
        let fits = |at: usize| others().all(|&other| !clash(self.store, self.near, self.rows[at], other));
        let uncovered = (span.covered..span.anchors).take(wanted + LOOKED_AT).filter(|&at| fits(at));
        let uncovered: Vec<usize> = uncovered.take(wanted).collect();
        let mut places = uncovered.clone();
        let settled = span.size() - (span.anchors - span.covered);
        let mut turned = 0;
        while places.len() < wanted && turned < settled.min(wanted + LOOKED_AT) {
            let place = span.start + (span.turn + turned) % settled;
            turned += 1;
            let at = if place < span.covered { place } else { place + (span.anchors - span.covered) };
            if fits(at) {
                places.push(at);
            }
        }
        let rows = places.iter().map(|&at| self.rows[at]).collect();
        (places.len() == wanted).then_some(Share { class, rows, uncovered, turned })
    }

    /// Takes the first `shares` of the batch for placed, and the rest back.
    fn settle(&mut self, shares: usize) {
        for Share { class, uncovered, turned, .. } in self.batch.drain(..).take(shares) {
            let span = &mut self.spans[class as usize];
            for at in uncovered {
                self.rows.swap(span.covered, at);
                span.covered += 1;
            }
            span.turn += turned;
            let (before, left) = (self.queue.left(class), span.visits(self.asked));
            self.needed -= before - left;
            if left != before {
                self.popped.retain(|&popped| popped != class);
                self.queue.set(class, left);
            }
        }
        for class in self.popped.drain(..) {
            self.queue.push(class);
        }
    }
}

/// The classes that are hard for those in a batch, the hardest first, and of these such as have anchors left.
#[derive(Default)]
struct Hard {
    scores: HashMap<u32, u64>,
    heap: BinaryHeap<(bool, u64, Reverse<u64>, u32)>,
}

impl Hard {
    fn welcome(&mut self, links: &[(u32, u64)], queue: &Queue) {
        for &(class, count) in links {
            let score = self.scores.entry(class).or_default();
            *score += count;
            self.heap.push((queue.left(class) > 0, *score, Reverse(queue.rank(class)), class));
        }
    }

    fn pop(&mut self, with_anchors_left: bool, is_tried: impl Fn(u32) -> bool) -> Option<u32> {
        loop {
            let &(left, score, _, class) = self.heap.peek()?;
            if with_anchors_left && !left {
                return None;
            }
            self.heap.pop();
            if !is_tried(class) && self.scores.get(&class) == Some(&score) {
                return Some(class);
            }
        }
    }
}
