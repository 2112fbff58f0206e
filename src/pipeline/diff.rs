//! `miner diff`: two outputs held against each other.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow::error::ArrowError;

use super::budget::{Budget, reading_room};
use super::engine::{Control, Engine};
use super::job::appraise;
use super::veiled::veil;
use super::verify::{hint, inputs};
use super::{copies, stages};
use crate::config::{self, ConfigError, Moved, Plan, Reads, RestoreError};
use crate::manifest::{self, Diff, DiffError, Earlier, Fate};
use crate::mine::Band;
use crate::report::Unit;
use crate::store::{self, IdDigest, Lookup, LookupError, Means, Prepared, Row};

/// Bytes of a row while it is sorted, by which batches are made: three digests, mostly.
const SORTED_ROW: u64 = 64;

/// Says what changed from output `a` to output `b`, folders or URLs of such in stores; and where the triplets lie now that are only in `a`, if `lost` says where the
/// inputs of `b` are that have moved. `memory` bounds the anonymous memory, in bytes; without it that is three quarters of the
/// machine's. What it does not hold is put aside in the system's folder for temporary files.
///
/// # Errors
/// A folder that is no sealed output, or not what was sealed; outputs that cannot be compared; inputs of `b` that are not those of
/// its run; too little memory, a full disk.
pub fn diff(a: &Path, b: &Path, lost: Option<&Moved>, memory: Option<u64>, control: &Control) -> anyhow::Result<Diff> {
    let engine = Engine::new(0, control)?;
    let outputs = copies::of_outputs([a, b], &engine)?;
    let [here, there] = [a, b].map(|output| outputs.local(Reads::Output, output));
    let names = outputs.names();
    let shown = |text: &str| names.hide(text).into_owned();
    match of_folders(&here, &there, lost, memory, &engine) {
        Ok(diff) => Ok(Diff { a: shown(&diff.a), b: shown(&diff.b), ..diff }),
        Err(error) => Err(veil(&names, error)),
    }
}

/// The same of outputs that are here.
fn of_folders(a: &Path, b: &Path, lost: Option<&Moved>, memory: Option<u64>, engine: &Engine) -> anyhow::Result<Diff> {
    engine.install(|| {
        let sorts = Budget::check_diff(memory, a, None)?;
        let stage = engine.progress().stage("check", None, Unit::Triplets);
        let [a, b] = [Earlier::open(a)?, Earlier::open(b)?].map(Arc::new);
        stage.finish("both outputs are as they were sealed");
        engine.go_on()?;
        let Some(moved) = lost else { return compare(&a, &b, None, sorts, engine) };
        let mut plan = config::restore(b.manifest(), moved, b.path()).map_err(|error| match error {
            RestoreError::Pipeline(error) | RestoreError::Environment(error) => ConfigError::from(error),
        })?;
        plan.run.memory = memory;
        let inputs = inputs(&plan, moved, engine)?;
        let plan = inputs.over(&plan);
        judged(&a, &b, &plan, moved, engine).map_err(|error| veil(&plan.environment, error))
    })
}

/// Compares the rows, sorted in so much memory.
fn compare(
    a: &Arc<Earlier>,
    b: &Arc<Earlier>,
    judge: Option<manifest::Judge<'_>>,
    sorts: u64,
    engine: &Engine,
) -> anyhow::Result<Diff> {
    let folder = engine.brake().folder().context("cannot make a folder to sort in")?;
    // One stream: a merge of several finds no memory left where each has sorted as much as it may.
    let means = Means { threads: 1, memory: sorts, spill: Some(folder.path().to_owned()) };
    let session = store::session(&means, SORTED_ROW).context("cannot sort in the folder for temporary files")?;
    let stage = engine.progress().stage("compare", None, Unit::Triplets);
    let diff = engine.wait(manifest::diff(a, b, judge, &session))?;
    stage.finish("sorted together and compared");
    Ok(diff)
}

/// The same, with the store of `b` at hand.
fn judged(a: &Arc<Earlier>, b: &Arc<Earlier>, plan: &Plan, moved: &Moved, engine: &Engine) -> anyhow::Result<Diff> {
    let survey = stages::survey(plan, engine).map_err(|error| hint(error, moved, plan))?;
    if manifest::another(b.manifest(), &stages::inputs(plan, &survey)).is_some() {
        let path = b.path().display().to_string();
        let why = "its inputs are not those that it was mined from, so where triplets lie by them says nothing of it; \
                   name where they are now, as with --store PATH, or leave --lost out";
        return Err(DiffError::NotComparable { path, why: why.to_owned() }.into());
    }
    let job = appraise(plan, &survey, engine)?.job;
    let sorts = Budget::check_diff(plan.run.memory, b.path(), Some(&job))?;
    let room = reading_room(plan, &job);
    let (store, _folder) = stages::prepare_aside(plan, &survey, room, engine, "the store of the later output")?;
    let (anchors, corpus) = (Lookup::new(&store, store.anchors()), Lookup::new(&store, store.corpus()));
    let mut judge = |triplets: &[[IdDigest; 3]]| {
        let of = |role: usize| triplets.iter().map(|ids| ids[role]).collect::<Vec<IdDigest>>();
        let rows = || -> Result<[Vec<Option<Row>>; 3], LookupError> {
            Ok([anchors.rows(&of(0))?, corpus.rows(&of(1))?, corpus.rows(&of(2))?])
        };
        let rows = rows().map_err(|error| ArrowError::ExternalError(error.into()))?;
        Ok(fate(&store, plan, &rows))
    };
    compare(a, b, Some(&mut judge), sorts, engine)
}

/// Where triplets lie in a store, given the rows of their anchors, positives and negatives.
fn fate(store: &Prepared, plan: &Plan, [anchors, positives, negatives]: &[Vec<Option<Row>>; 3]) -> Fate {
    let mut fate = Fate::default();
    let distance = |a: Row, b: Row| plan.mine.metric.distance(store.vector(a), store.vector(b));
    for ((anchor, positive), negative) in anchors.iter().zip(positives).zip(negatives) {
        let (Some(anchor), Some(positive), Some(negative)) = (*anchor, *positive, *negative) else {
            fate.rows_gone += 1;
            continue;
        };
        match Band::of(distance(anchor, positive), distance(anchor, negative), plan.mine.margin) {
            Band::Hard => fate.hard += 1,
            Band::SemiHard => fate.semi_hard += 1,
            Band::Easy => fate.easy += 1,
        }
    }
    fate
}
