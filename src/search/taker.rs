//! One window being filled.

use super::corpus::Corpus;
use super::lottery::Order;
use super::{Fill, Hit, Pick, Quest, Window};
use crate::kernel::{Distance, TopK};
use crate::store::Row;

/// Keeps the best rows offered for one window. What is kept does not depend on the order of the offers.
pub(super) struct Taker<'a> {
    pub window: Window,
    /// The keyed order of a random pick.
    order: Option<Order<'a>>,
    /// Keys are (distance, row) for the nearest, (place in the order, row) for a random pick.
    kept: TopK,
}

impl<'a> Taker<'a> {
    pub fn new(window: Window, corpus: &'a Corpus) -> Self {
        let order = match window.pick {
            Pick::Nearest => None,
            Pick::Random { key } => Some(corpus.lottery.order(key)),
        };
        Self { window, order, kept: TopK::new(window.count) }
    }

    /// Takes a row that its quest admits, if it belongs here and is better than what is kept. Gives whether
    /// [`Taker::upto`] may have changed.
    pub fn offer(&mut self, row: Row, distance: Distance) -> bool {
        if !self.window.holds(distance) {
            return false;
        }
        let rank = match &self.order {
            None => distance.ordinal(),
            Some(order) => order.place(row.0),
        };
        let key = u64::from(rank) << 32 | u64::from(row.0);
        let better = self.kept.wants(key);
        self.kept.push(key);
        better && self.order.is_none() && self.is_full()
    }

    /// Whether the row could be kept if its distance fits: cheaper to ask than the distance itself for a random pick.
    pub fn wants(&self, row: Row) -> bool {
        match &self.order {
            None => true,
            Some(order) => self.kept.wants(u64::from(order.place(row.0)) << 32 | u64::from(row.0)),
        }
    }

    /// The largest distance that still interests: shrinks as nearer rows are kept.
    pub fn upto(&self) -> Distance {
        match (&self.order, self.kept.worst()) {
            (None, Some(worst)) => Distance::from_ordinal((worst >> 32) as u32),
            _ => self.window.upto,
        }
    }

    /// Whether as many rows are kept as were asked for.
    pub fn is_full(&self) -> bool {
        self.kept.len() >= self.window.count as usize
    }

    /// What was kept, ascending by (distance, row), with exact distances.
    pub fn fill(self, quest: &Quest, corpus: &Corpus, exhaustive: bool) -> Fill {
        let rows = self.kept.into_sorted().into_iter().map(|key| Row(key as u32));
        let mut hits: Vec<Hit> = rows.map(|row| Hit { distance: corpus.distance(quest.vector, row), row }).collect();
        hits.sort_unstable_by_key(|hit| (hit.distance, hit.row));
        Fill { hits, exhaustive }
    }
}
