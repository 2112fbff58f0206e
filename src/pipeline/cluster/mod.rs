//! The same run on the executors of a Ballista scheduler.
//!
//! ```text
//! driver   read ▸ prepare ▸ index ▸ tune ▸        mine          ▸ recall ▸ write ▸ seal
//!                                       order │  ▲ commits, signs
//!          WORK/.NAME.miner/run-KEY/          ▼  │
//! executors                            mine_partition(folder, ordinal)
//! ```
//!
//! The folder of the run, which all machines see, is the one truth: an executor opens the prepared store and the index there, mines
//! with the code that a local run has, and commits as it does. Ballista hands out ordinals, hands them out again where an executor
//! is lost, and is never asked for results. So it may fail in any way, and the worst that follows is that a partition is mined
//! twice, to the same bytes.

mod bench;
mod client;
mod driver;
mod function;
mod items;
mod order;
mod recipe;
mod serve;
mod sign;
mod watch;
mod worker;

pub use driver::{Cluster, ClusterError};
pub use serve::{ExecutorOptions, SchedulerOptions, serve_executor, serve_scheduler};

use std::path::Path;

use super::crew::Crew;
use super::engine::Engine;
use super::job::Job;
use super::scratch::{Kept, Scratch};
use super::stages::{self, Searcher};
use crate::config::{Machines, Plan};
use crate::search::Index;
use crate::store::Surveys;
use order::{Needs, Program, WorkOrder};
use recipe::Recipe;

/// Whoever the plan asks to mine.
pub fn crew<'a>(
    plan: &Plan,
    survey: &Surveys,
    job: &Job,
    fingerprint: &str,
    (index, scratch): (&Searcher, &Scratch),
    engine: &'a Engine<'a>,
) -> anyhow::Result<Crew<'a>> {
    let Machines::Cluster { scheduler, patience } = plan.run.machines.clone() else { return Ok(Crew::Local(engine)) };
    let index = match (index.choice.index, index.tuned) {
        (Index::Cells, Some(tuned)) => Recipe::Cells { tuned },
        (Index::Hnsw, Some(tuned)) => {
            Recipe::Hnsw { params: plan.search.hnsw, key: stages::graph_key(plan, survey)?, tuned }
        }
        _ => Recipe::Exact,
    };
    let Kept { cells, graphs } = scratch.kept();
    // As seen from the folder of the order, which lies in that of the run.
    let seen = |up: &str, path: &Path| Path::new(up).join(path.file_name().unwrap_or_default());
    let order = WorkOrder {
        program: Program::this(),
        fingerprint: fingerprint.to_owned(),
        store: seen("..", &scratch.store()),
        cells: seen("..", &cells),
        graphs: seen("../..", &graphs),
        partitions: seen("..", &scratch.partitions()),
        index,
        needs: Needs::of(job),
        params: plan.mine.clone(),
    };
    let (work, folder) = (plan.run.work.clone(), scratch.order());
    Ok(Crew::Cluster(Box::new(Cluster { engine, scheduler, patience, work, order, folder })))
}

#[cfg(test)]
mod tests;
