//! Partitions, mined by a cluster.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::driver::Cluster;
use super::order::{Needs, Task, WorkOrder};
use super::recipe::Recipe;
use super::watch::Ledger;
use super::{RUN, RUNS, seen};
use crate::mine::Tally;
use crate::pipeline::crew::{Commission, Crew};
use crate::pipeline::engine::Engine;
use crate::pipeline::partitions::{Done, Partitions};
use crate::pipeline::scratch::Kept;
use crate::pipeline::stages::{self, Searcher};
use crate::report::Shares;
use crate::search::Index;

/// The executors of a cluster, with what they must know to mine.
pub struct Miners<'a> {
    pub(super) cluster: Cluster<'a>,
    pub(super) order: WorkOrder,
    /// Where the order goes.
    pub(super) folder: PathBuf,
}

/// Whoever the plan asks to mine.
pub fn crew<'a>(run: &Commission<'a>, index: &Searcher, engine: &'a Engine<'a>) -> anyhow::Result<Crew<'a>> {
    let Commission { plan, survey, scratch, .. } = *run;
    let Some(cluster) = Cluster::of(run, engine) else { return Ok(Crew::Local(engine)) };
    let Kept { cells, graphs } = scratch.kept();
    let index = match (index.choice.index, index.tuned) {
        (Index::Cells, Some(tuned)) => Recipe::Cells { kept: seen(RUN, &cells), tuned },
        (Index::Hnsw, Some(tuned)) => {
            let (graphs, key) = (seen(RUNS, &graphs), stages::graph_key(plan, survey)?);
            Recipe::Hnsw { graphs, key, params: plan.search.hnsw, tuned }
        }
        _ => Recipe::Exact,
    };
    let partitions = seen(RUN, &scratch.partitions());
    let task = Task::Mine { index, params: Box::new(plan.mine.clone()), partitions };
    let order = WorkOrder::new(run, Needs::of_mining(run.job), task);
    Ok(Crew::Cluster(Box::new(Miners { cluster, order, folder: scratch.order("mine") })))
}

impl Miners<'_> {
    /// Lets them mine and commit the `pending` partitions; `done` is told of each. Gives what each executor did.
    ///
    /// # Errors
    /// Those of [`Cluster::hand_out`].
    pub fn mine(&self, pending: &[u32], partitions: &Partitions, done: Done) -> anyhow::Result<Shares> {
        self.cluster.hand_out(&self.order, &self.folder, pending, &Harvested { partitions, done })
    }
}

/// The harvests that are waited for.
struct Harvested<'a> {
    partitions: &'a Partitions<'a>,
    done: Done<'a>,
}

impl Ledger for Harvested<'_> {
    fn committed(&self, among: &BTreeSet<u32>) -> anyhow::Result<Vec<u32>> {
        let harvests = self.partitions.harvests();
        let mut committed = harvests.named()?;
        // What is named was written whole; still a file system may have lost half of it.
        committed.retain(|&ordinal| among.contains(&ordinal) && harvests.is_committed(ordinal));
        // None is told of before all are read: those that could not be read are read again.
        let tallies: Vec<Tally> = committed.iter().map(|&ordinal| harvests.tally(ordinal)).collect::<Result<_, _>>()?;
        committed.iter().zip(&tallies).for_each(|(&ordinal, tally)| (self.done)(ordinal, tally));
        Ok(committed)
    }
}
