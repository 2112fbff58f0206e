//! What every search shares: the rows of the corpus, their keyed orders, and the two ways to answer a quest exactly without a scan.

use std::sync::OnceLock;

use super::lottery::Lottery;
use super::taker::Taker;
use super::{Fill, Found, Pick, Quest, Relation};
use crate::kernel::{Distance, Measure};
use crate::store::{Classes, Prepared, Row};

/// A prepared store, ready to be searched.
pub(super) struct Corpus<'s> {
    pub store: &'s Prepared,
    pub lottery: Lottery,
    measure: Measure,
    /// Rows by group code, one entry a group column; made when first asked for.
    pools: Vec<OnceLock<Classes>>,
    /// Whether quests may admit rows without a label.
    unlabelled: bool,
}

/// Of each quest, its windows: filled, or still open.
pub(super) type Partly = Vec<Vec<Option<Fill>>>;

/// The answers; a window that is still open stays empty.
pub(super) fn settled(found: Partly) -> Vec<Found> {
    found.into_iter().map(|fills| fills.into_iter().map(Option::unwrap_or_default).collect()).collect()
}

/// The rows of a store that some quest may admit, ascending; with `unlabelled` those without a label, too.
pub(super) fn candidates(store: &Prepared, unlabelled: bool) -> impl Iterator<Item = Row> {
    let labels = store.labels();
    store.corpus().map(Row).filter(move |row| unlabelled || !labels[row.index()].is_null())
}

impl<'s> Corpus<'s> {
    pub fn new(store: &'s Prepared, unlabelled: bool) -> Self {
        let pools = store.group_names().iter().map(|_| OnceLock::new()).collect();
        let measure = Measure::of(store.metric());
        let lottery = Lottery::new(&store.keys()[..store.corpus().len()]);
        Self { store, lottery, measure, pools, unlabelled }
    }

    /// How many rows there are to be found.
    pub fn rows(&self) -> u32 {
        self.store.corpus().end
    }

    /// The rows that some quest may admit, ascending.
    pub fn candidates(&self) -> impl Iterator<Item = Row> {
        candidates(self.store, self.unlabelled)
    }

    /// Fills what needs no scan. Gives the fills, and which quests have open windows.
    pub fn without_scan(&self, quests: &[Quest]) -> (Partly, Vec<usize>) {
        let fill = |quest: &Quest| match self.scan_pool(quest) {
            Some(pooled) => pooled.into_iter().map(Some).collect(),
            None => self.draw_front(quest),
        };
        let found: Partly = quests.iter().map(fill).collect();
        let open = (0..quests.len()).filter(|&index| found[index].iter().any(Option::is_none)).collect();
        (found, open)
    }

    /// The distance that decides.
    #[inline]
    pub fn distance(&self, vector: &[f32], row: Row) -> Distance {
        self.measure.distance(vector, self.store.vector(row))
    }

    /// The distances that decide, of many rows: of the matrix given, or of the store.
    pub fn distances(&self, vector: &[f32], matrix: Option<&[f32]>, rows: &[u32], distances: &mut Vec<f32>) {
        self.measure.distances(vector, matrix.unwrap_or(self.store.vectors()), rows, distances);
    }

    /// The complete answer where the quest itself, or a `Same` rule, leaves few rows to look at.
    fn scan_pool(&self, quest: &Quest) -> Option<Found> {
        let same = quest.admits.rules.iter().filter(|rule| rule.relation == Relation::Same);
        let pools = same.map(|rule| self.pool(rule.group).members(rule.code)).chain(quest.admits.only);
        let pool = pools.min_by_key(|rows| rows.len())?;
        // Row by row costs about sixteen times what a tile does, and skips the tile's setup.
        if quest.admits.only.is_none() && pool.len() > self.rows() as usize / 16 + 64 {
            return None;
        }
        let mut takers: Vec<Taker> = quest.windows.iter().map(|&window| Taker::new(window, quest, self)).collect();
        for &row in pool {
            if quest.admits.admits(self.store, row) {
                let distance = self.distance(quest.vector, row);
                for taker in &mut takers {
                    taker.offer(row, distance);
                }
            }
        }
        Some(takers.into_iter().map(|taker| taker.fill(quest, true)).collect())
    }

    /// Fills random windows by walking their keyed order from its front: the very rows a scan would choose, found in a
    /// few steps where admissible rows are common. A window that is still short after a budget of steps stays `None`.
    fn draw_front(&self, quest: &Quest) -> Vec<Option<Fill>> {
        // A step costs about as much as 25 columns of a tile: at most a tenth of the scan it may save.
        let budget = (self.rows() / 256).max(64).min(self.rows());
        let mut fills: Vec<Option<Fill>> = quest.windows.iter().map(|_| None).collect();
        let mut next = 0;
        while next < quest.windows.len() {
            let pick = quest.windows[next].pick;
            // Windows of one pair share a key, so one walk serves all of them.
            let end = next + quest.windows[next..].iter().take_while(|window| window.pick == pick).count();
            if let Pick::Random { key } = pick {
                self.walk(quest, key, next..end, budget, &mut fills);
            }
            next = end;
        }
        fills
    }

    fn walk(&self, quest: &Quest, key: u64, span: std::ops::Range<usize>, budget: u32, fills: &mut [Option<Fill>]) {
        let mut takers: Vec<(usize, Taker)> =
            span.map(|index| (index, Taker::new(quest.windows[index], quest, self))).collect();
        let order = self.lottery.order(key);
        for row in (0..budget).map(|place| Row(order.row(place))) {
            if quest.admits.admits(self.store, row) {
                let distance = self.distance(quest.vector, row);
                // Places ascend, so the first rows that fit are the ones to keep.
                for (_, taker) in &mut takers {
                    taker.offer(row, distance);
                }
                if takers.iter().all(|(_, taker)| taker.is_full()) {
                    break;
                }
            }
        }
        let whole = budget == self.rows();
        for (index, taker) in takers {
            if whole || taker.is_full() {
                fills[index] = Some(taker.fill(quest, true));
            }
        }
    }

    fn pool(&self, group: usize) -> &Classes {
        self.pools[group].get_or_init(|| Classes::new(&self.store.group(group)[..self.rows() as usize]))
    }
}
