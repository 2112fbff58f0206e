//! The prepared store, and what `[prepare]` makes of it.

use std::sync::Arc;

use crate::config::Plan;
use crate::manifest;
use crate::mine;
use crate::pipeline::engine::{Engine, Watch};
use crate::pipeline::notes::noted;
use crate::pipeline::program;
use crate::pipeline::scratch::{Leftovers, Scratch, ScratchError};
use crate::report::{PrepareLine, Unit};
use crate::store::{self, Prepared, Surveys};
use crate::words::counted;

/// What names a run's scratch: that an interrupted one is gone on from by the very same program alone, see
/// [`program::build`].
pub fn scratch_key(fingerprint: &str) -> String {
    blake3::hash([fingerprint, program::build()].concat().as_bytes()).to_hex().to_string()
}

/// The scratch folders of this run, locked.
pub fn scratch(plan: &Plan, fingerprint: &str, engine: &Engine) -> Result<Scratch, ScratchError> {
    let leftovers = if plan.run.fresh { Leftovers::None } else { Leftovers::Own };
    let scratch = Scratch::open(plan, &scratch_key(fingerprint), leftovers)?;
    scratch.locks().for_each(|lock| engine.brake().lets_go_of(lock));
    if let Some(left) = scratch.left() {
        engine.progress().note(&format!("the run before this one ({left}) did not end by itself"));
    }
    Ok(scratch)
}

/// The prepared store: the one an interrupted run left, or a new one, read with so much on its way.
pub fn prepare(
    plan: &Plan,
    survey: &Surveys,
    room: u64,
    scratch: &Scratch,
    engine: &Engine,
    watch: &mut Watch,
) -> anyhow::Result<Prepared> {
    watch.stage("read", Some(survey.rows()), Unit::Rows, |stage| {
        let dir = scratch.store();
        let store = match Prepared::reopen(&dir) {
            Ok(store) => store,
            Err(_) => {
                engine.wait(store::prepare(plan.sources(), survey, &dir, room, &|rows| stage.advance(rows)))?;
                Prepared::open(&dir)?
            }
        };
        engine.go_on()?;
        manifest::check_columns(&store, &plan.mine, &plan.output)?;
        let (rows, dims, labels) = (store.corpus().len(), store.dims(), store.distinct_labels());
        let mut summary = format!("{} × {}", counted(rows as u64, "row"), counted(dims as u64, "dimension"));
        summary += &match store.has_several_labels() {
            _ if store.has_pairs() => String::new(),
            true => format!(", {}, several a row", counted(labels as u64, "label")),
            false => format!(", {}", counted(labels as u64, "class")),
        };
        summary += &if store.has_queries() {
            format!(", {}", counted(store.anchors().len() as u64, "query"))
        } else {
            String::new()
        };
        Ok((store, summary))
    })
}

/// What was learned from the vectors, and what that did to the nearest neighbours; nothing without `[prepare]`.
pub type Learned = Option<PrepareLine>;

/// Learns what `[prepare]` asks for, and applies it; an interrupted run may have done so.
pub fn fit(
    plan: &Plan,
    survey: &Surveys,
    store: Prepared,
    scratch: &Scratch,
    engine: &Engine,
    watch: &mut Watch,
) -> anyhow::Result<(Arc<Prepared>, Learned)> {
    if !plan.store.fitting.is_set() {
        return Ok((Arc::new(store), None));
    }
    watch.stage("prepare", Some(u64::from(store.rows())), Unit::Rows, |stage| {
        let store = fitted(plan, survey, store, &|rows| stage.advance(rows))?;
        engine.go_on()?;
        let nearest = || mine::nearest_accuracy(&store, &plan.store.fitting, plan.mine.metric, plan.mine.seed);
        let nearest = noted(&scratch.notes(), "nearest", nearest)?;
        let line = store.fitted().map(|fitted| PrepareLine {
            transform: fitted.name.clone(),
            from: fitted.mean().len() as u64,
            dimensions: store.dims() as u64,
            floored: fitted.floored as u64,
            nearest,
        });
        let summary = line.as_ref().map(ToString::to_string).unwrap_or_default();
        Ok(((Arc::new(store), line), summary))
    })
}

/// The store with its vectors transformed as the plan asks; as it is where that is done, or nothing is asked.
fn fitted(plan: &Plan, survey: &Surveys, store: Prepared, on_rows: &(dyn Fn(u64) + Sync)) -> anyhow::Result<Prepared> {
    if !plan.store.fitting.is_set() || store.fitted().is_some() {
        return Ok(store);
    }
    let corpus = store.corpus();
    Ok(store::fit(store, &plan.store, survey, corpus, on_rows)?)
}

/// A store prepared for a look, in a folder that goes when it is dropped; read with so much on its way.
pub fn prepare_aside(
    plan: &Plan,
    survey: &Surveys,
    room: u64,
    engine: &Engine,
    done: &str,
) -> anyhow::Result<(Prepared, tempfile::TempDir)> {
    let folder = engine.brake().folder()?;
    let dir = folder.path().join("store");
    let stage = engine.progress().stage("read", Some(survey.rows()), Unit::Rows);
    engine.wait(store::prepare(plan.sources(), survey, &dir, room, &|rows| stage.advance(rows)))?;
    let prepared = fitted(plan, survey, Prepared::open(&dir)?, &|_| ())?;
    stage.finish(done);
    engine.go_on()?;
    Ok((prepared, folder))
}
