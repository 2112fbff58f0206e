//! What a pipeline says of the search.

use serde::{Deserialize, Serialize};

/// Which index finds candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Index {
    /// Chosen from the shape of the data; `miner plan` says which, and why.
    #[default]
    Auto,
    /// Every pair is looked at; the result is the one of brute force.
    Exact,
    /// k-means cells; each anchor visits those that promise enough.
    Cells,
    /// Hierarchical navigable small worlds (Malkov, Yashunin 2016).
    Hnsw,
}

impl Index {
    /// As written in pipelines and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Exact => "exact",
            Self::Cells => "cells",
            Self::Hnsw => "hnsw",
        }
    }

    /// Whether it may miss rows.
    pub fn is_approximate(self) -> bool {
        matches!(self, Self::Cells | Self::Hnsw)
    }
}

/// Parameters of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HnswParams {
    /// Links a node keeps on the upper layers, twice as many on the lowest; 2 to 255.
    pub max_connections: u16,
    /// Candidates looked at for each insertion; 8 to 4,096.
    pub ef_construction: u16,
    /// Candidates looked at for each query, at least; raised until windows are full. 8 to 4,096.
    pub ef_search: u16,
}

impl Default for HnswParams {
    /// The middle of what hnswlib and faiss recommend for 100 to 400 dimensions.
    fn default() -> Self {
        Self { max_connections: 16, ef_construction: 200, ef_search: 64 }
    }
}

/// Parameters of the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CellsParams {
    /// How many cells; twice the square root of the row count by default. At most one a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65536))]
    pub cells: Option<u32>,
}

/// The search as a checked pipeline describes it.
#[derive(Debug, Clone)]
pub struct Params {
    pub index: Index,
    /// The recall that an approximate index is tuned to, 0 < target ≤ 1.
    pub target_recall: f64,
    pub cells: CellsParams,
    pub hnsw: HnswParams,
}
