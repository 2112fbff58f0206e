//! How an index is opened that another process has made and tuned.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::mine::Tuned;
use crate::pipeline::stages;
use crate::search::{Cells, Hnsw, HnswParams, Search, Tunable};
use crate::store::Prepared;

/// Of each index what it takes beside the store and what was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Recipe {
    Exact,
    Cells {
        kept: PathBuf,
        tuned: Tuned,
    },
    Hnsw {
        graphs: PathBuf,
        /// What they are kept under.
        key: String,
        params: HnswParams,
        tuned: Tuned,
    },
}

impl Recipe {
    /// Opens the index: nothing is trained, built or tuned here. `unlabelled` as in [`crate::search::Exact::new`]; paths are seen
    /// from `folder`.
    ///
    /// # Errors
    /// When what was kept is not there, whole; when packed rows cannot be written.
    pub fn open<'s>(
        &self,
        store: &'s Prepared,
        unlabelled: bool,
        folder: &Path,
    ) -> anyhow::Result<Box<dyn Search + 's>> {
        match self {
            Self::Exact => Ok(Box::new(stages::exact(store, unlabelled)?)),
            Self::Cells { kept, tuned } => {
                Ok(Box::new(set(Cells::reopen(store, unlabelled, &folder.join(kept))?, *tuned)))
            }
            Self::Hnsw { graphs, key, params, tuned } => {
                Ok(Box::new(set(Hnsw::reopen(store, params, unlabelled, &folder.join(graphs), key)?, *tuned)))
            }
        }
    }
}

fn set<T: Tunable>(mut search: T, tuned: Tuned) -> T {
    tuned.apply(&mut search);
    search
}
