//! Graph search (Malkov, Yashunin 2016) by hnsw_rs: approximate, and deepened until the windows are full.
//!
//! The first look is a plain one, which is fast. A window it leaves short is looked for again with the constraints and
//! the window's lower edge as the graph's own filter, twice as deep each time, up to [`DEEPEST`]. Where the anchor's own
//! class is so large that a graph would wade through it, the window is scanned instead. What a graph returns is measured
//! again with the kernel that decides, so a row may be missed but is never wrong.

use std::ops::Range;
use std::path::Path;

use super::corpus;
use super::exact::Exact;
use super::graphs::{self, Graph, GraphError};
use super::taker::Taker;
use super::{Fill, Found, Hit, HnswParams, Pick, Quest, Search, Tunable, Window};
use crate::kernel::Distance;
use crate::store::{Prepared, Row};

/// The most candidates a graph is asked to hold for one quest: beyond it, a scan is cheaper.
pub const DEEPEST: usize = 4_096;

/// A filtered look visits about as many rows as the anchor's class has. From this many on, and if [`WADE`] times as many
/// values are more than the store holds, a scan is cheaper.
const LARGE_CLASS: usize = 1_024;

/// Values that a scan multiplies in the time in which a graph visits one row (measured: 2.5 µs at 128 dimensions).
const WADE: usize = 93_000;

/// Graph search over shards of a store.
pub struct Hnsw<'s> {
    exact: Exact<'s>,
    graphs: Vec<Graph>,
    /// Candidates of the first look: as the pipeline says, and as tuned.
    floor: u16,
    ef_search: usize,
    few: bool,
}

impl<'s> Hnsw<'s> {
    /// Builds the graphs, or reloads those kept in `dir` under the same `key`; tells `on_rows` of each row.
    /// `unlabelled` as in [`Exact::new`].
    ///
    /// # Errors
    /// When `dir` cannot be written or what it holds cannot be read.
    pub fn open(
        store: &'s Prepared,
        params: &HnswParams,
        unlabelled: bool,
        dir: &Path,
        key: &str,
        on_rows: &(dyn Fn(u64) + Sync),
    ) -> Result<Self, GraphError> {
        Self::over(store, params, unlabelled, dir, graphs::open(store, params, dir, key, on_rows)?)
    }

    /// The graphs that were [kept](Hnsw::open) in `dir` under this `key`; they are never built here.
    ///
    /// # Errors
    /// When one is not there or damaged; when the packed rows cannot be written.
    pub fn reopen(
        store: &'s Prepared,
        params: &HnswParams,
        unlabelled: bool,
        dir: &Path,
        key: &str,
    ) -> Result<Self, GraphError> {
        Self::over(store, params, unlabelled, dir, graphs::reopen(store, dir, key)?)
    }

    fn over(
        store: &'s Prepared,
        params: &HnswParams,
        unlabelled: bool,
        dir: &Path,
        graphs: Vec<Graph>,
    ) -> Result<Self, GraphError> {
        let exact = Exact::new(store, unlabelled).map_err(|source| GraphError::Keep { path: dir.into(), source })?;
        Ok(Self { exact, graphs, floor: params.ef_search, ef_search: usize::from(params.ef_search), few: false })
    }

    /// Candidates of the first look.
    pub fn ef_search(&self) -> usize {
        self.ef_search
    }

    /// How many graphs a store of `rows` rows is split into.
    pub fn shards(rows: u32) -> u32 {
        graphs::shards(rows)
    }

    /// The rows of a shard, of a store of `rows` rows.
    pub fn shard(rows: u32, shard: u32) -> Range<u32> {
        graphs::shard_rows(rows, shard)
    }

    /// Removes graphs in `dir` that were made under another key.
    ///
    /// # Errors
    /// When they cannot be removed.
    pub fn forget_others(dir: &Path, key: &str) -> Result<(), GraphError> {
        graphs::forget_others(dir, key)
    }

    /// Builds the graph of a shard alone, and keeps it in an existing `dir` for [`Hnsw::open`].
    ///
    /// # Errors
    /// When `dir` cannot be written.
    pub fn build_shard(
        store: &Prepared,
        params: &HnswParams,
        dir: &Path,
        key: &str,
        shard: u32,
    ) -> Result<(), GraphError> {
        graphs::build_and_keep(store, params, dir, key, shard, &|_| ()).map(|_| ())
    }

    /// The files that the graph of a shard is kept in; with the last of them it is whole.
    pub fn files(shard: u32) -> [String; 3] {
        graphs::files(shard)
    }

    /// Whether the graph of a shard lies undamaged in `dir`, made under `key`.
    pub fn is_built(dir: &Path, key: &str, shard: u32) -> bool {
        graphs::is_whole(dir, shard, key)
    }

    /// Whether `dir` holds undamaged graphs of a store of `rows` rows, made under `key`.
    pub fn is_kept(dir: &Path, key: &str, rows: u32) -> bool {
        graphs::is_kept(dir, key, rows)
    }

    /// Whether looking deeper for this quest would cost more than a scan.
    fn wades(&self, quest: &Quest) -> bool {
        let store = self.exact.corpus.store;
        let kin = store.most_kin(quest.admits.label);
        kin > LARGE_CLASS && kin * WADE > store.corpus().len() * store.dims()
    }

    /// One plain look; fills what it settles.
    fn glance(&self, quest: &Quest, found: &mut [Option<Fill>]) {
        if found.iter().any(Option::is_none) {
            let look = self.look(quest, self.start(quest), None);
            self.settle(quest, &look, false, found);
        }
    }

    /// Filtered looks, twice as deep each time.
    fn deepen(&self, quest: &Quest, found: &mut [Option<Fill>]) {
        let mut depth = self.start(quest);
        loop {
            let open = (0..found.len()).filter(|&window| found[window].is_none());
            let Some(above) = open.map(|window| quest.windows[window].above).min() else { break };
            let look = self.look(quest, depth, Some(above));
            self.settle(quest, &look, depth >= DEEPEST, found);
            depth = (depth * 2).min(DEEPEST);
        }
    }

    fn start(&self, quest: &Quest) -> usize {
        let wanted = quest.windows.iter().map(|window| window.count as usize).sum::<usize>();
        self.ef_search.max(wanted + 1).min(DEEPEST)
    }

    /// Fills the windows for which a deeper look is not worth it; with `last`, all of them.
    fn settle(&self, quest: &Quest, look: &Look, last: bool, found: &mut [Option<Fill>]) {
        for (window, fill) in quest.windows.iter().zip(found).filter(|(_, fill)| fill.is_none()) {
            let mut taker = Taker::new(*window, quest, &self.exact.corpus);
            for hit in &look.hits {
                taker.offer(hit.row, hit.distance);
            }
            if last || look.settles(&taker) {
                *fill = Some(taker.fill(quest, false));
            }
        }
    }

    /// The nearest admitted rows that the graphs find with `depth` candidates each; with `above`, rows up to that
    /// distance are filtered out inside the graph as well.
    fn look(&self, quest: &Quest, depth: usize, above: Option<Distance>) -> Look {
        let store = self.exact.corpus.store;
        let admits = |id: &usize| quest.admits.admits(store, Row(*id as u32));
        let beyond = |id: &usize| {
            let row = Row(*id as u32);
            above.is_none_or(|above| self.exact.corpus.distance(quest.vector, row) > above) && admits(id)
        };
        let mut look = Look { hits: Vec::new(), reach: Distance::MAX };
        for graph in &self.graphs {
            // At least two candidates: with one, hnsw_rs can empty its own heap under a filter, and panic.
            let depth = depth.max(2);
            let near = match above {
                None => graph.search(quest.vector, depth, depth),
                Some(_) => graph.search_filter(quest.vector, depth, depth, Some(&beyond)),
            };
            let measured = near.iter().map(|near| {
                let row = Row(near.d_id as u32);
                Hit { distance: self.exact.corpus.distance(quest.vector, row), row }
            });
            let hits: Vec<Hit> = measured.collect();
            if hits.len() == depth {
                let farthest = hits.iter().map(|hit| hit.distance).max().unwrap_or(Distance::MAX);
                look.reach = look.reach.min(farthest);
            }
            look.hits.extend(hits.into_iter().filter(|hit| admits(&hit.row.index())));
        }
        look
    }
}

/// What the graphs showed.
struct Look {
    hits: Vec<Hit>,
    /// As far as every graph was seen to be searched.
    reach: Distance,
}

impl Look {
    /// Whether a deeper look could add nothing that this window wants, as far as a graph can tell.
    fn settles(&self, taker: &Taker) -> bool {
        let nearest = taker.window.pick == Pick::Nearest;
        taker.window.upto <= self.reach || (nearest && taker.is_full() && taker.upto() <= self.reach)
    }
}

impl Search for Hnsw<'_> {
    fn find(&self, quests: &[Quest]) -> Vec<Found> {
        let (mut found, open) = self.exact.corpus.without_scan(quests);
        // Of the quests to be scanned: which, and their windows still open.
        let mut scanned: Vec<(usize, Vec<Window>)> = Vec::new();
        for index in open {
            let (quest, fills) = (&quests[index], &mut found[index]);
            self.glance(quest, fills);
            if self.wades(quest) {
                let open = quest.windows.iter().zip(fills).filter(|(_, fill)| fill.is_none());
                scanned.push((index, open.map(|(window, _)| *window).collect()));
            } else {
                self.deepen(quest, fills);
            }
        }
        let again: Vec<Quest> = scanned.iter().map(|(index, windows)| Quest { windows, ..quests[*index] }).collect();
        for ((index, _), fills) in scanned.iter().zip(self.exact.find(&again)) {
            let open = found[*index].iter_mut().filter(|fill| fill.is_none());
            open.zip(fills).for_each(|(open, fill)| *open = Some(fill));
        }
        corpus::settled(found)
    }

    fn settles(&self) -> Option<&dyn Search> {
        if self.few { Some(&self.exact) } else { None }
    }
}

impl Tunable for Hnsw<'_> {
    fn efforts(&self) -> u32 {
        (DEEPEST / usize::from(self.floor)).ilog2() + 1
    }

    fn set_effort(&mut self, effort: u32) {
        self.ef_search = (usize::from(self.floor) << effort).min(DEEPEST);
    }

    fn set_few(&mut self, few: bool) {
        self.few = few;
    }

    fn exact(&self) -> &dyn Search {
        &self.exact
    }
}
