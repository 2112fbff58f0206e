//! Before mining: which rows are anchors, and how many positives each takes.

use rayon::prelude::*;

use crate::mine::{Params, PositivePick, positives};
use crate::search::lottery::{Shuffle, combine};
use crate::store::{Code, Prepared, Row};

/// Apart from every other choice of the same seed.
const ANCHORS: u64 = 0x616e_6368_6f72;
const EXTRA: u64 = 0x0065_7874_7261;

/// Whether a row that could be an anchor is among those of its class: the first `anchors_per_class` of them in a keyed order that
/// (seed, ids) decide.
pub fn is_anchor(row: Row, store: &Prepared, params: &Params) -> bool {
    let Some(most) = params.balance.anchors_per_class else { return true };
    let (members, keys) = (store.ranked_anchors(store.labels()[row.index()]), store.keys());
    if members.len() <= most as usize {
        return true;
    }
    let rank = members.binary_search_by_key(&(keys[row.index()], row), |&row| (keys[row.index()], row));
    let order = Shuffle::new(combine(&[params.seed, ANCHORS]), members.len() as u32);
    rank.is_ok_and(|rank| order.place(rank as u32) < most)
}

/// How many positives each row takes, if it is an anchor. 4 bytes a row under `oversample_to`, else none.
#[derive(Debug, Clone)]
pub struct Quotas {
    per_anchor: u32,
    of: Option<Vec<u32>>,
    added: u64,
}

impl Quotas {
    /// Under `oversample_to`, a class with fewer pairs gets exactly that many, or all it has: every anchor as many positives as
    /// any other, as far as it has them, and the last ones to those that come first in a keyed order.
    pub fn new(store: &Prepared, params: &Params) -> Self {
        let per_anchor = match params.positives.pick {
            PositivePick::All => u32::MAX,
            _ => params.positives.per_anchor,
        };
        let Some(target) = params.balance.oversample_to else { return Self { per_anchor, of: None, added: 0 } };
        let raised: Vec<Raised> = (0..store.classes() as u32)
            .into_par_iter()
            .filter_map(|class| Raised::new(Code(class), store, params, per_anchor, u64::from(target)))
            .collect();
        let (mut of, mut added) = (vec![per_anchor; store.rows() as usize], 0);
        for Raised { quotas, more } in raised {
            added += more;
            for (anchor, quota) in quotas {
                of[anchor.index()] = quota;
            }
        }
        Self { per_anchor, of: Some(of), added }
    }

    /// Positives of an anchor, at most.
    pub fn of(&self, anchor: Row) -> u32 {
        self.of.as_ref().map_or(self.per_anchor, |of| of[anchor.index()])
    }

    /// Pairs beyond those of `per_anchor`.
    pub fn added(&self) -> u64 {
        self.added
    }
}

/// A class that gets more pairs.
struct Raised {
    quotas: Vec<(Row, u32)>,
    more: u64,
}

impl Raised {
    fn new(class: Code, store: &Prepared, params: &Params, per_anchor: u32, target: u64) -> Option<Self> {
        let askers = store.ranked_anchors(class).iter().copied();
        let anchors = || askers.clone().filter(|&row| positives::has_kin(row, store) && is_anchor(row, store, params));
        // Counts positives no further than it must: most classes of a large store have enough.
        let mut pairs = 0;
        for anchor in anchors() {
            pairs += u64::from(positives::available(anchor, store, params, per_anchor));
            if pairs >= target {
                return None;
            }
        }
        let most = u32::try_from(target).unwrap_or(u32::MAX);
        let available: Vec<(Row, u32)> =
            anchors().map(|anchor| (anchor, positives::available(anchor, store, params, most))).collect();
        let total = |each: u32| available.iter().map(|&(_, has)| u64::from(has.min(each))).sum::<u64>();
        // The largest number for each that does not exceed the target.
        let (mut low, mut high) = (per_anchor, most);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            (low, high) = if total(middle) <= target { (middle, high) } else { (low, middle - 1) };
        }
        let ticket = |row: Row| (combine(&[params.seed, EXTRA, store.keys()[row.index()]]), row);
        let mut more: Vec<Row> = available.iter().filter(|&&(_, has)| has > low).map(|&(row, _)| row).collect();
        more.sort_unstable_by_key(|&row| ticket(row));
        more.truncate((target - total(low)) as usize);
        more.sort_unstable();
        let reached = total(low) + more.len() as u64;
        let quota = |row: Row| low + u32::from(more.binary_search(&row).is_ok());
        let quotas = available.iter().map(|&(row, _)| (row, quota(row))).collect();
        Some(Self { quotas, more: reached - pairs })
    }
}
