//! The query engine: the one place where it is started, with what it may use.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

/// What the query engine may use.
#[derive(Debug, Clone)]
pub struct Means {
    pub threads: usize,
    /// Bytes for what it can put aside: sorts.
    pub memory: u64,
    /// Where it puts aside what memory cannot hold; without such a folder it fails instead.
    pub spill: Option<PathBuf>,
}

impl Means {
    /// Enough for expressions over the rows of a scan, which keep nothing.
    pub const SCAN: Self = Self { threads: 1, memory: 0, spill: None };
}

/// A batch stays near this size, however wide its rows.
pub(super) const BATCH_BYTES: u64 = 2 << 20;
/// Fewer rows a batch are not worth their overhead, more gain nothing.
const BATCH_ROWS: std::ops::RangeInclusive<u64> = 64..=8_192;

/// Rows of a batch.
pub fn batch_rows(row_bytes: u64) -> u64 {
    (BATCH_BYTES / row_bytes.max(1)).clamp(*BATCH_ROWS.start(), *BATCH_ROWS.end())
}

/// Starts the query engine for rows of about `row_bytes`.
///
/// # Errors
/// When the folder to spill into cannot be used.
pub fn session(means: &Means, row_bytes: u64) -> Result<SessionContext, DataFusionError> {
    let memory = usize::try_from(means.memory).unwrap_or(usize::MAX);
    let config = SessionConfig::new()
        .with_target_partitions(means.threads)
        .with_batch_size(batch_rows(row_bytes) as usize)
        // Set apart by each sort for its last merge: of a small pool it must not be the whole.
        .with_sort_spill_reservation_bytes((memory / means.threads.max(1) / 4).min(10 << 20))
        // Columns are called as the files call them: `Id` is not `id`.
        .set_bool("datafusion.sql_parser.enable_ident_normalization", false);
    let disk = match &means.spill {
        Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
        None => DiskManagerMode::Disabled,
    };
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(memory)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(disk));
    Ok(SessionContext::new_with_config_rt(config, runtime.build_arc()?))
}
