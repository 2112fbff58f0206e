//! One window being filled.

use super::corpus::Corpus;
use super::lottery::Order;
use super::{Fill, Hit, Pick, Quest, Quota, Window, weighted};
use crate::kernel::{Distance, TopK};
use crate::store::{Code, Row};

/// Keeps the best rows offered for one window. What is kept does not depend on the order of the offers.
pub(super) struct Taker<'a> {
    pub window: Window,
    corpus: &'a Corpus<'a>,
    rank: Rank<'a>,
    /// Keys are (rank, row).
    kept: Kept<'a>,
}

/// What rows are kept by.
enum Rank<'a> {
    Distance,
    /// The place in a keyed order.
    Place(Order<'a>),
    Weighted(u64),
}

enum Kept<'a> {
    Any(TopK),
    /// Ascending.
    Few(Vec<u64>, Quota<'a>),
}

impl<'a> Taker<'a> {
    pub fn new(window: Window, quest: &Quest<'a>, corpus: &'a Corpus) -> Self {
        let rank = match window.pick {
            Pick::Nearest => Rank::Distance,
            Pick::Random { key } => Rank::Place(corpus.lottery.order(key)),
            Pick::Weighted { key } => Rank::Weighted(key),
        };
        let kept = match quest.quota {
            None => Kept::Any(TopK::new(window.count)),
            Some(quota) => Kept::Few(Vec::new(), quota),
        };
        Self { window, corpus, rank, kept }
    }

    /// Takes a row that its quest admits, if it belongs here and is better than what is kept. Gives whether
    /// [`Taker::upto`] may have changed.
    pub fn offer(&mut self, row: Row, distance: Distance) -> bool {
        if !self.window.holds(distance) {
            return false;
        }
        let rank = match &self.rank {
            Rank::Distance => distance.ordinal(),
            Rank::Place(order) => order.place(row.0),
            Rank::Weighted(key) => {
                let store = self.corpus.store;
                weighted::rank(*key, store.keys()[row.index()], distance, store.dims())
            }
        };
        let key = u64::from(rank) << 32 | u64::from(row.0);
        let better = self.worst().is_none_or(|worst| key < worst);
        if better {
            self.keep(key);
        }
        better && matches!(self.rank, Rank::Distance) && self.is_full()
    }

    fn keep(&mut self, key: u64) {
        match &mut self.kept {
            Kept::Any(kept) => kept.push(key),
            Kept::Few(kept, quota) => {
                let class = |key: &u64| self.corpus.store.labels()[*key as u32 as usize];
                insert(kept, key, self.window.count as usize, quota, class);
            }
        }
    }

    /// The largest key kept, once there are as many as wanted.
    fn worst(&self) -> Option<u64> {
        match &self.kept {
            Kept::Any(kept) => kept.worst(),
            Kept::Few(kept, _) => kept.last().filter(|_| self.is_full()).copied(),
        }
    }

    /// Whether the row could be kept if its distance fits: cheaper to ask than the distance itself for a random pick.
    pub fn wants(&self, row: Row) -> bool {
        match (&self.rank, self.worst()) {
            (Rank::Place(order), Some(worst)) => (u64::from(order.place(row.0)) << 32 | u64::from(row.0)) < worst,
            _ => true,
        }
    }

    /// The largest distance that still interests: shrinks as nearer rows are kept.
    pub fn upto(&self) -> Distance {
        match (&self.rank, self.worst()) {
            (Rank::Distance, Some(worst)) => Distance::from_ordinal((worst >> 32) as u32),
            _ => self.window.upto,
        }
    }

    /// Whether as many rows are kept as were asked for.
    pub fn is_full(&self) -> bool {
        let kept = match &self.kept {
            Kept::Any(kept) => kept.len(),
            Kept::Few(kept, _) => kept.len(),
        };
        kept >= self.window.count as usize
    }

    /// What was kept, ascending by (distance, row), with exact distances.
    pub fn fill(self, quest: &Quest, exhaustive: bool) -> Fill {
        let keys = match self.kept {
            Kept::Any(kept) => kept.into_sorted(),
            Kept::Few(kept, _) => kept,
        };
        let rows = keys.into_iter().map(|key| Row(key as u32));
        let mut hits: Vec<Hit> =
            rows.map(|row| Hit { distance: self.corpus.distance(quest.vector, row), row }).collect();
        hits.sort_unstable_by_key(|hit| (hit.distance, hit.row));
        Fill { hits, exhaustive }
    }
}

/// Adds a key to the `limit` best of which no class has more than its quota; `kept` ascends. Rows of which each class has at
/// most so many, and all together at most `limit`, are the independent sets of a matroid: keeping the best of what was
/// offered so far loses nothing that is wanted in the end.
fn insert(kept: &mut Vec<u64>, key: u64, limit: usize, quota: &Quota, class: impl Fn(&u64) -> Code) {
    let own = class(&key);
    if !own.is_null() {
        let used = quota.used.iter().find(|(class, _)| *class == own).map_or(0, |&(_, used)| used);
        let room = quota.per_class.saturating_sub(used) as usize;
        let mates = || (0..kept.len()).filter(|&at| class(&kept[at]) == own);
        if mates().count() >= room {
            match mates().next_back() {
                Some(worst) if key < kept[worst] => drop(kept.remove(worst)),
                _ => return,
            }
        }
    }
    kept.insert(kept.partition_point(|&other| other < key), key);
    kept.truncate(limit);
}
