//! Graph search (Malkov, Yashunin 2016) by hnsw_rs: approximate, and deepened until the windows are full.
//!
//! The first look is a plain one, which is fast. A window it leaves short is looked for again with the constraints and
//! the window's lower edge as the graph's own filter, twice as deep each time, up to [`DEEPEST`]. What a graph returns
//! is measured again with the kernel that decides, so a row may be missed but is never wrong.

use std::path::Path;

use super::corpus::Corpus;
use super::graphs::{self, Graph, GraphError};
use super::taker::Taker;
use super::{Fill, Found, Hit, HnswParams, Pick, Quest, Search};
use crate::kernel::Distance;
use crate::store::{Prepared, Row};

/// The most candidates a graph is asked to hold for one quest: beyond it, a scan is cheaper.
pub const DEEPEST: usize = 4_096;

/// Graph search over shards of a store.
pub struct Hnsw<'s> {
    corpus: Corpus<'s>,
    graphs: Vec<Graph>,
    ef_search: usize,
}

impl<'s> Hnsw<'s> {
    /// Builds the graphs, or reloads those kept in `dir` under the same `key`; tells `on_rows` of each row.
    ///
    /// # Errors
    /// When `dir` cannot be written or what it holds cannot be read.
    pub fn open(
        store: &'s Prepared,
        params: &HnswParams,
        dir: &Path,
        key: &str,
        on_rows: &(dyn Fn(u64) + Sync),
    ) -> Result<Self, GraphError> {
        let graphs = graphs::open(store, params, dir, key, on_rows)?;
        Ok(Self { corpus: Corpus::new(store), graphs, ef_search: usize::from(params.ef_search) })
    }

    /// How many graphs a store of `rows` rows is split into.
    pub fn shards(rows: u32) -> u32 {
        graphs::shards(rows)
    }

    /// Whether `dir` holds undamaged graphs made under `key`.
    pub fn is_kept(dir: &Path, key: &str) -> bool {
        graphs::is_kept(dir, key)
    }

    fn deepen(&self, quest: &Quest, fills: Vec<Option<Fill>>) -> Found {
        let mut found: Vec<Option<Fill>> = fills;
        let wanted = quest.windows.iter().map(|window| window.count as usize).sum::<usize>();
        let start = self.ef_search.max(wanted + 1).min(DEEPEST);
        let mut depth = start;
        let mut filtered = false;
        loop {
            let open: Vec<usize> = (0..found.len()).filter(|&window| found[window].is_none()).collect();
            let Some(above) = open.iter().map(|&window| quest.windows[window].above).min() else { break };
            let look = if filtered { self.look(quest, depth, Some(above)) } else { self.look(quest, depth, None) };
            let last = filtered && depth >= DEEPEST;
            for window in open {
                let mut taker = Taker::new(quest.windows[window], &self.corpus);
                for hit in &look.hits {
                    taker.offer(hit.row, hit.distance);
                }
                if last || look.settles(&taker) {
                    found[window] = Some(taker.fill(quest, &self.corpus, false));
                }
            }
            depth = if filtered { (depth * 2).min(DEEPEST) } else { start };
            filtered = true;
        }
        found.into_iter().map(Option::unwrap_or_default).collect()
    }

    /// The nearest admitted rows that the graphs find with `depth` candidates each; with `above`, rows up to that
    /// distance are filtered out inside the graph as well.
    fn look(&self, quest: &Quest, depth: usize, above: Option<Distance>) -> Look {
        let store = self.corpus.store;
        let admits = |id: &usize| quest.admits.admits(store, Row(*id as u32));
        let beyond = |id: &usize| {
            let row = Row(*id as u32);
            above.is_none_or(|above| self.corpus.distance(quest.vector, row) > above) && admits(id)
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
                Hit { distance: self.corpus.distance(quest.vector, row), row }
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
        let answer = |quest: &Quest| {
            self.corpus.scan_pool(quest).unwrap_or_else(|| self.deepen(quest, self.corpus.draw_front(quest)))
        };
        quests.iter().map(answer).collect()
    }
}
