//! One window being filled.

use super::corpus::Corpus;
use super::lottery::Order;
use super::{Fill, Hit, Pick, Quest, Quota, Window, weighted};
use crate::kernel::{Distance, TopK};
use crate::store::{Code, Prepared, Row};

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
    /// Of rows with several labels: which of them the quota takes is known only once all are in order.
    First(TopK, Quota<'a>),
}

/// Rows with several labels that are kept for each that is wanted: the quota passes over some.
const SPARE: u32 = 4;

impl<'a> Taker<'a> {
    pub fn new(window: Window, quest: &Quest<'a>, corpus: &'a Corpus) -> Self {
        let rank = match window.pick {
            Pick::Nearest => Rank::Distance,
            Pick::Random { key } => Rank::Place(corpus.lottery.order(key)),
            Pick::Weighted { key } => Rank::Weighted(key),
        };
        let kept = match quest.quota {
            None => Kept::Any(TopK::new(window.count)),
            Some(quota) if corpus.store.has_several_labels() => {
                Kept::First(TopK::new(window.count.saturating_mul(SPARE).min(corpus.rows())), quota)
            }
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
            Kept::First(kept, quota) => {
                let store = self.corpus.store;
                let class = store.labels()[key as u32 as usize];
                if store.labels_in(&class).iter().all(|&label| quota.room(label) > 0) {
                    kept.push(key);
                }
            }
        }
    }

    /// The largest key kept, once there are as many as wanted.
    fn worst(&self) -> Option<u64> {
        match &self.kept {
            Kept::Any(kept) | Kept::First(kept, _) => kept.worst(),
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
        match &self.kept {
            Kept::Any(kept) => kept.len() >= self.window.count as usize,
            Kept::Few(kept, _) => kept.len() >= self.window.count as usize,
            Kept::First(kept, _) => kept.worst().is_some(),
        }
    }

    /// What was kept, ascending by (distance, row), with exact distances.
    pub fn fill(self, quest: &Quest, exhaustive: bool) -> Fill {
        let mut passed_over = false;
        let keys = match self.kept {
            Kept::Any(kept) => kept.into_sorted(),
            Kept::Few(kept, _) => kept,
            Kept::First(kept, quota) => {
                let (full, wanted) = (kept.worst().is_some(), self.window.count as usize);
                let keys = take_in_order(kept.into_sorted(), wanted, &quota, self.corpus.store);
                passed_over = full && keys.len() < wanted;
                keys
            }
        };
        let rows = keys.into_iter().map(|key| Row(key as u32));
        let mut hits: Vec<Hit> =
            rows.map(|row| Hit { distance: self.corpus.distance(quest.vector, row), row }).collect();
        hits.sort_unstable_by_key(|hit| (hit.distance, hit.row));
        Fill { hits, exhaustive, passed_over }
    }
}

/// Adds a key to the `limit` best of which no class has more than its quota; `kept` ascends. Rows of which each class has at
/// most so many, and all together at most `limit`, are the independent sets of a matroid: keeping the best of what was
/// offered so far loses nothing that is wanted in the end.
fn insert(kept: &mut Vec<u64>, key: u64, limit: usize, quota: &Quota, class: impl Fn(&u64) -> Code) {
    let own = class(&key);
    if !own.is_null() {
        let room = quota.room(own) as usize;
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

/// The first rows of which no label is used up, `wanted` at most; `keys` ascend. Two rows may share one label and not another, so
/// that there is no telling from a few rows which of them are wanted in the end.
fn take_in_order(keys: Vec<u64>, wanted: usize, quota: &Quota, store: &Prepared) -> Vec<u64> {
    let (mut taken, mut counts): (Vec<u64>, Vec<(Code, u32)>) = (Vec::new(), Vec::new());
    for key in keys {
        if taken.len() == wanted {
            break;
        }
        let labels = store.labels_in(&store.labels()[key as u32 as usize]);
        let room = |label: Code| {
            let taken = counts.iter().find(|(of, _)| *of == label).map_or(0, |&(_, taken)| taken);
            quota.room(label).saturating_sub(taken)
        };
        if labels.iter().any(|&label| room(label) == 0) {
            continue;
        }
        taken.push(key);
        for &label in labels {
            match counts.iter_mut().find(|(of, _)| *of == label) {
                Some((_, taken)) => *taken += 1,
                None => counts.push((label, 1)),
            }
        }
    }
    taken
}
