//! The output: its facts, its parts, its report and its place.

use std::collections::BTreeMap;

use anyhow::Context;
use datafusion::prelude::SessionContext;
use serde::Serialize;
use serde_json::Value;

use super::index::Searcher;
use super::place::{put_in_place, shown_output};
use super::prepare::Learned;
use crate::config::Plan;
use crate::manifest::{self, Aside, Draft, Facts, Input, Listed, Material, Sealed, SearchFacts};
use crate::mine::{Audit, Balanced, Batched, Reason, Recall, Tuned};
use crate::pipeline::budget::{self, Budget};
use crate::pipeline::engine::{Engine, Taken, Watch};
use crate::pipeline::job::Job;
use crate::pipeline::program;
use crate::pipeline::scratch::Scratch;
use crate::report::{self, Estimates, RecallLine, Summary, Unit};
use crate::search::{Choice, Hnsw, Index};
use crate::store::{self, Excluded, LookAlikes, Prepared, ScoredPairs};
use crate::words::counted;

/// What a run is made of, beside the pipeline, and its name.
pub struct Origin {
    pub inputs: Vec<Input>,
    pub environment: BTreeMap<String, String>,
    pub fingerprint: String,
}

/// What the manifest says beside what is counted while it is written.
pub fn facts(plan: &Plan, store: &Prepared, origin: Origin, index: &Searcher, recall: Option<Recall>) -> Facts {
    let Origin { inputs, environment, fingerprint } = origin;
    let recall = recall.map(|recall| manifest::Recall::new(plan.search.target_recall, recall));
    let search = search_facts(plan, store, &index.choice, index.tuned, recall);
    let (program, pipeline) = (program::VERSION.into(), plan.resolved.clone());
    Facts { program, fingerprint, pipeline, environment, inputs, search }
}

/// What the manifest says of the search.
pub fn search_facts(
    plan: &Plan,
    store: &Prepared,
    choice: &Choice,
    tuned: Option<Tuned>,
    recall: Option<manifest::Recall>,
) -> SearchFacts {
    let Choice { index, reason } = choice.clone();
    let graph = index == Index::Hnsw;
    SearchFacts {
        index,
        reason: Some(reason),
        hnsw: graph.then_some(plan.search.hnsw),
        shards: graph.then(|| Hnsw::shards(store.corpus().end)),
        effort: tuned.map(|tuned| tuned.effort),
        few: tuned.map(|tuned| tuned.few),
        recall,
    }
}

/// For sorts, where neither the plan nor the system says how much memory there is.
const UNTOLD_SORTS: u64 = 1 << 30;

/// The query engine that sorts triplets, in what the last stage leaves of the memory.
pub fn sorter(plan: &Plan, job: &Job, scratch: &Scratch) -> anyhow::Result<SessionContext> {
    let memory = budget::given(plan).map_or(UNTOLD_SORTS, |memory| Budget::of(job).sorts(job, memory));
    // One stream: a merge of several finds no memory left where each has sorted as much as it may.
    let means = store::Means { threads: 1, memory, spill: Some(scratch.sorts()) };
    store::session(&means, manifest::KEYED_ROW).context("cannot spill sorts to the scratch folder")
}

/// Writes the triplets in their order, and what stands beside them.
pub fn write(
    material: &Material,
    facts: Facts,
    scratch: &Scratch,
    engine: &Engine,
    watch: &mut Watch,
) -> anyhow::Result<Draft> {
    watch.stage("write", None, Unit::Triplets, |stage| {
        let advance = |rows| stage.advance(rows);
        let draft = engine.wait(manifest::write(&scratch.output(), &scratch.parts(), material, facts, &advance))?;
        engine.go_on()?;
        let summary = counted(draft.manifest().parts.len() as u64, "file");
        Ok((draft, summary))
    })
}

/// What the report tells of a run, and its result does not know.
pub struct Observed {
    pub estimates: Estimates,
    pub learned: Learned,
    pub audit: Option<Audit>,
    pub look_alikes: Option<LookAlikes>,
    pub excluded: Option<Excluded>,
}

/// Puts the report beside the result, and the result in its place.
pub fn seal(
    plan: &Plan,
    draft: Draft,
    scratch: &Scratch,
    engine: &Engine,
    watch: Watch,
    observed: Observed,
) -> anyhow::Result<Summary> {
    let Observed { estimates, learned, audit, look_alikes, excluded } = observed;
    let Aside { left_out, escaped, figures } = draft.aside();
    let (sealed, tally) = (draft.manifest(), draft.tally());
    let suspects = sealed.files.iter().find(|file| file.path == manifest::SUSPECTS).map_or(0, |file| file.rows);
    let Taken { stages, seconds, memory } = watch.end();
    let said = Repeated::of(sealed);
    let summary = Summary {
        name: plan.name.clone(),
        output: shown_output(plan),
        rows: said.rows,
        prepare: learned,
        anchors: said.anchors,
        triplets: said.triplets,
        asked: tally.asked,
        bands: report::band_lines(&plan.mine.ask, tally),
        left_out: *left_out,
        escaped: *escaped,
        layout: plan.output.layout.name().into(),
        rows_written: Some(said.rows_written),
        fallback: tally.fallback,
        guarded: tally.guarded,
        exhausted: tally.exhausted,
        missed: tally.missed,
        guards: audit,
        scores: plan.scores.as_ref().map(|_| ScoredPairs { pairs: tally.pairs, scored: tally.scored }),
        excluded,
        unmined: said.unmined,
        suspects,
        look_alikes,
        balance: said.balance,
        batches: said.batches,
        index: said.index,
        reason: said.reason,
        recall: said.recall,
        stages,
        seconds,
        peak_memory: memory,
        output_bytes: Some(said.output_bytes),
        estimates: Some(estimates),
        pipeline: said.pipeline,
        figures: Some(figures.clone()),
    };
    summary.write(draft.folder())?;
    summary.write_page(draft.folder())?;
    put_in_place(plan, draft, scratch, engine)?;
    Ok(summary)
}

/// What a report says again of what the manifest says, by the keys of a [`Summary`].
#[derive(Serialize)]
pub struct Repeated {
    rows: u64,
    anchors: u64,
    triplets: u64,
    rows_written: u64,
    output_bytes: u64,
    unmined: BTreeMap<Reason, u64>,
    balance: Option<Balanced>,
    batches: Option<Batched>,
    index: String,
    reason: Option<String>,
    recall: Option<RecallLine>,
    pipeline: Value,
}

impl Repeated {
    pub fn of(sealed: &Sealed) -> Self {
        let sum = |of: fn(&Listed) -> u64| sealed.parts.iter().map(of).sum();
        Self {
            rows: sealed.rows.read,
            anchors: sealed.rows.anchors,
            triplets: sealed.rows.triplets,
            rows_written: sum(|part| part.rows),
            output_bytes: sum(|part| part.bytes),
            unmined: sealed.unmined.clone(),
            balance: sealed.balance,
            batches: sealed.batches.clone(),
            index: sealed.search.index.name().into(),
            reason: sealed.search.reason.clone(),
            recall: sealed.search.recall.as_ref().map(recall_line),
            pipeline: sealed.pipeline.clone(),
        }
    }
}

fn recall_line(recall: &manifest::Recall) -> RecallLine {
    let manifest::Recall { target, sample, overall, bands } = recall.clone();
    RecallLine { target, sample, estimate: overall.estimate, low: overall.low, high: overall.high, bands }
}
