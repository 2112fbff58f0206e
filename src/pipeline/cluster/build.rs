//! What takes long to make of an index, made by a cluster: the graphs of `hnsw`, a shard each; the cells of all rows, a stretch of rows each.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::driver::Cluster;
use super::order::{Needs, Task, WorkOrder};
use super::watch::Ledger;
use super::{RUN, RUNS, seen};
use crate::pipeline::crew::Commission;
use crate::pipeline::engine::{Engine, Watch};
use crate::pipeline::stages;
use crate::report::{Stage, Unit};
use crate::search::{Assignment, Hnsw, Index};
use crate::store::Prepared;
use crate::words::thousands;

/// Lets a cluster, where the plan names one, make what is not kept of the index. It is opened as if it had been kept.
///
/// # Errors
/// Those of [`Cluster::hand_out`]; when what is made cannot be kept.
pub fn build_index(run: &Commission, store: &Prepared, engine: &Engine, watch: &mut Watch) -> anyhow::Result<()> {
    let Some(cluster) = Cluster::of(run, engine) else { return Ok(()) };
    match stages::choice(run.plan, store).index {
        Index::Hnsw => build_graphs(run, store, &cluster, watch),
        Index::Cells => assign_rows(run, store, &cluster, watch),
        Index::Exact | Index::Auto => Ok(()),
    }
}

fn build_graphs(run: &Commission, store: &Prepared, cluster: &Cluster, watch: &mut Watch) -> anyhow::Result<()> {
    let key = &stages::graph_key(run.plan, run.survey)?;
    let (graphs, rows) = (&run.scratch.kept().graphs, store.corpus().end);
    let executors = watch.stage("graphs", Some(u64::from(rows)), Unit::Rows, |stage| {
        Hnsw::forget_others(graphs, key)?;
        fs::create_dir_all(graphs).with_context(|| graphs.display().to_string())?;
        let shards = Hnsw::shards(rows);
        let task = Task::Build { graphs: seen(RUNS, graphs), key: key.clone(), params: run.plan.search.hnsw };
        let order = WorkOrder::new(run, Needs::of_building(run.job), task);
        let built = Built { graphs, key, rows, stage };
        let executors = cluster.hand_out(&order, &run.scratch.order("graphs"), &missing(shards, &built)?, &built)?;
        Ok((executors, format!("{} of {} rows", thousands(shards.into()), thousands(rows.into()))))
    })?;
    watch.credit(executors);
    Ok(())
}

/// Centres are trained here, on a sample; every row meets every centre at the executors.
fn assign_rows(run: &Commission, store: &Prepared, cluster: &Cluster, watch: &mut Watch) -> anyhow::Result<()> {
    let (kept, folder) = (run.scratch.kept().cells, run.scratch.assignment());
    if kept.exists() || !Assignment::is_worth(run.job.negatives) {
        return Ok(());
    }
    let unlabelled = run.plan.mine.negatives.unlabelled;
    let executors = watch.stage("cells", Some(run.job.negatives), Unit::Rows, |stage| {
        let assignment = Assignment::begin(store, run.plan.search.cells.cells, unlabelled, &folder)
            .with_context(|| format!("{}: cannot be used to share out rows", folder.display()))?;
        let (stretches, cells) = (assignment.stretches(), assignment.cells() as u64);
        let task = Task::Assign { assignment: seen(RUN, &folder), unlabelled };
        let order = WorkOrder::new(run, Needs::of_assigning(run.job), task);
        let assigned = Assigned { assignment: &assignment, stage };
        let executors =
            cluster.hand_out(&order, &run.scratch.order("cells"), &missing(stretches, &assigned)?, &assigned)?;
        assignment.finish(&kept).with_context(|| kept.display().to_string())?;
        let told = format!("{} stretches of rows brought to {} cells", thousands(stretches.into()), thousands(cells));
        Ok((executors, told))
    })?;
    watch.credit(executors);
    Ok(())
}

/// Of so many items, those that are not there; the ledger tells of the others.
fn missing(items: u32, ledger: &dyn Ledger) -> anyhow::Result<Vec<u32>> {
    let mut all: BTreeSet<u32> = (0..items).collect();
    for there in ledger.committed(&all)? {
        all.remove(&there);
    }
    Ok(all.into_iter().collect())
}

/// The graphs that are waited for.
struct Built<'a> {
    graphs: &'a Path,
    key: &'a str,
    rows: u32,
    stage: &'a dyn Stage,
}

impl Ledger for Built<'_> {
    fn committed(&self, among: &BTreeSet<u32>) -> anyhow::Result<Vec<u32>> {
        let is_built = |shard: &u32| Hnsw::is_built(self.graphs, self.key, *shard);
        let built: Vec<u32> = among.iter().copied().filter(is_built).collect();
        built.iter().for_each(|&shard| self.stage.advance(Hnsw::shard(self.rows, shard).len() as u64));
        Ok(built)
    }
}

/// The stretches that are waited for.
struct Assigned<'a> {
    assignment: &'a Assignment<'a>,
    stage: &'a dyn Stage,
}

impl Ledger for Assigned<'_> {
    fn committed(&self, among: &BTreeSet<u32>) -> anyhow::Result<Vec<u32>> {
        let settled = self.assignment.settled(among)?;
        settled.iter().for_each(|&stretch| self.stage.advance(self.assignment.rows(stretch).len() as u64));
        Ok(settled)
    }
}
