//! Graphs, built by a cluster, a shard each: of an index that has them the longest part by far.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::driver::Cluster;
use super::order::{self, Needs, Program, Task, WorkOrder};
use super::watch::Ledger;
use super::{RUN, RUNS, seen};
use crate::config::Plan;
use crate::pipeline::engine::{Engine, Watch};
use crate::pipeline::job::Job;
use crate::pipeline::scratch::Scratch;
use crate::pipeline::stages;
use crate::report::{Stage, Unit};
use crate::search::{Hnsw, Index};
use crate::store::{Prepared, Surveys};
use crate::words::thousands;

/// Lets a cluster, where the plan names one, build those graphs of the index that are not kept. They are opened as if they had been kept.
///
/// # Errors
/// Those of [`Cluster::hand_out`].
pub fn build_graphs(
    plan: &Plan,
    survey: &Surveys,
    (job, fingerprint): (&Job, &str),
    store: &Prepared,
    scratch: &Scratch,
    engine: &Engine,
    watch: &mut Watch,
) -> anyhow::Result<()> {
    let Some(cluster) = Cluster::of(plan, engine).filter(|_| job.index == Index::Hnsw) else { return Ok(()) };
    let (graphs, key) = (scratch.kept().graphs, stages::graph_key(plan, survey)?);
    let rows = store.corpus().end;
    let executors = watch.stage("graphs", Some(u64::from(rows)), Unit::Rows, |stage| {
        Hnsw::forget_others(&graphs, &key)?;
        fs::create_dir_all(&graphs).with_context(|| graphs.display().to_string())?;
        let built = Built { graphs: &graphs, key: &key, rows, stage };
        let all: BTreeSet<u32> = (0..Hnsw::shards(rows)).collect();
        let kept = built.committed(&all)?;
        let pending: Vec<u32> = all.into_iter().filter(|shard| !kept.contains(shard)).collect();
        let task = Task::Build { graphs: seen(RUNS, &graphs), key: key.clone(), params: plan.search.hnsw };
        let order = WorkOrder {
            program: Program::this(),
            fingerprint: fingerprint.to_owned(),
            token: order::token(),
            store: seen(RUN, &scratch.store()),
            needs: Needs::of_building(job),
            task,
        };
        let executors = cluster.hand_out(&order, &scratch.order("graphs"), &pending, &built)?;
        Ok((executors, format!("{} of {} rows", thousands(Hnsw::shards(rows).into()), thousands(rows.into()))))
    })?;
    watch.credit(executors);
    Ok(())
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
