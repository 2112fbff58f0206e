//! Which index, and why: a pure function of the data's shape, so that the same job gives the same bytes on any machine.

use super::{Cells, Hnsw, Index, Params};

/// The index chosen, and the reason to print.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Never [`Index::Auto`].
    pub index: Index,
    pub reason: String,
}

/// Inserting a row into a graph costs as much as this many distances of a blocked product (128 dimensions, M = 16,
/// efConstruction = 200, measured on two AVX-512 cores) …
const INSERT: f64 = 350_000.0;
/// … and asking a graph for one anchor's candidates as much as this many.
const ASK: f64 = 110_000.0;

/// Chooses the index for mining `anchors` over `rows` rows.
pub fn choose(params: &Params, rows: u64, anchors: u64) -> Choice {
    let (index, reason) = match params.index {
        Index::Exact => (Index::Exact, "asked for; every pair is looked at".into()),
        Index::Hnsw => {
            let shards = Hnsw::shards(rows.min(u64::from(u32::MAX)) as u32);
            (Index::Hnsw, format!("asked for; {shards} graph{}", if shards == 1 { "" } else { "s" }))
        }
        Index::Cells => {
            let cells = params.cells.cells.unwrap_or_else(|| Cells::count(rows.min(u64::from(u32::MAX)) as u32));
            (Index::Cells, format!("asked for; {cells} cells"))
        }
        Index::Auto => {
            let exact = anchors as f64 * rows as f64;
            let graph = rows as f64 * INSERT + anchors as f64 * ASK;
            let costs = format!(
                "looking at every pair costs {exact:.1e} distances, building and asking graphs about {graph:.1e}"
            );
            if exact <= graph { (Index::Exact, costs) } else { (Index::Hnsw, costs) }
        }
    };
    Choice { index, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{CellsParams, HnswParams};

    #[test]
    fn auto_scans_what_is_small_or_asked_rarely_and_builds_graphs_for_the_rest() {
        let params =
            |index| Params { index, target_recall: 0.95, cells: CellsParams::default(), hnsw: HnswParams::default() };
        let auto = params(Index::Auto);
        assert_eq!(choose(&auto, 70_000, 70_000).index, Index::Exact);
        assert_eq!(choose(&auto, 10_000_000, 1_000).index, Index::Exact);
        assert_eq!(choose(&auto, 2_000_000, 2_000_000).index, Index::Hnsw);
        assert_eq!(choose(&params(Index::Hnsw), 10, 10).index, Index::Hnsw);
        assert_eq!(choose(&params(Index::Exact), 10_000_000, 10_000_000).index, Index::Exact);
    }
}
