//! Which index, and why: a pure function of the data's shape, so that the same job gives the same bytes on any machine.

use super::{Hnsw, Index, Params};

/// The index chosen, and the reason to print.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Never [`Index::Auto`].
    pub index: Index,
    pub reason: String,
}

/// Multiplications up to which every pair is looked at: two minutes on two cores with AVX-512 VNNI. Below it the answer
/// that is known to be complete is worth more than the time that cells would save; above it they save ever more.
const EXACT: f64 = 2e13;

/// Chooses the index for mining `anchors` over `rows` rows of `dims` values.
pub fn choose(params: &Params, rows: u64, anchors: u64, dims: usize) -> Choice {
    let shape = rows.min(u64::from(u32::MAX)) as u32;
    let (index, reason) = match params.index {
        Index::Exact => (Index::Exact, "asked for; every pair is looked at".into()),
        Index::Cells => (Index::Cells, "asked for".into()),
        Index::Hnsw => {
            let shards = Hnsw::shards(shape);
            (Index::Hnsw, format!("asked for; {shards} graph{}", if shards == 1 { "" } else { "s" }))
        }
        Index::Auto => {
            let pairs = anchors as f64 * rows as f64;
            match pairs * dims as f64 <= EXACT {
                true => (Index::Exact, format!("{pairs:.1e} pairs of {dims} dimensions are few enough to look at all")),
                false => (Index::Cells, format!("{pairs:.1e} pairs of {dims} dimensions are too many to look at all")),
            }
        }
    };
    Choice { index, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{CellsParams, HnswParams};

    #[test]
    fn auto_looks_at_every_pair_while_that_takes_minutes_and_then_takes_cells() {
        let params =
            |index| Params { index, target_recall: 0.95, cells: CellsParams::default(), hnsw: HnswParams::default() };
        let auto = params(Index::Auto);
        assert_eq!(choose(&auto, 70_000, 70_000, 128).index, Index::Exact);
        assert_eq!(choose(&auto, 10_000_000, 1_000, 128).index, Index::Exact);
        assert_eq!(choose(&auto, 2_000_000, 2_000_000, 128).index, Index::Cells);
        assert_eq!(choose(&params(Index::Hnsw), 10, 10, 4).index, Index::Hnsw);
        assert_eq!(choose(&params(Index::Cells), 10, 10, 4).index, Index::Cells);
        assert_eq!(choose(&params(Index::Exact), 10_000_000, 10_000_000, 128).index, Index::Exact);
    }
}
