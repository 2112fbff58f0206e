//! The stages of a run, each with its place in the progress and its line in the report.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use datafusion::prelude::SessionContext;
use rayon::prelude::*;
use serde_json::Value;

use super::budget::{self, Budget};
use super::engine::{Engine, Taken, Watch};
use super::job::Job;
use super::labels;
use super::notes::noted;
use super::program;
use super::scratch::{Kept, Leftovers, Scratch, ScratchError};
use super::veiled::Veiled;
use crate::config::{Plan, ProofError, QUERY_VECTORS, TRANSFORM, VECTORS};
use crate::kernel::Metric;
use crate::manifest::{self, Aside, Draft, EarlierError, Exclusions, Facts, Harvests, Input, Material, SearchFacts};
use crate::mine::{self, Audit, Quotas, Recall, Tuned};
use crate::report::{self, Estimates, PrepareLine, RecallLine, Summary, Unit};
use crate::search::{self, Cells, Choice, Exact, Hnsw, Index, Search, Tunable};
use crate::store::{
    self, ArraySource, Arrays, Excluded, ExpressionError, IdPairs, LinkSurvey, LookAlikes, Prepared, ScoredPairs,
    Section, SelectionError, Survey, SurveyError, Surveys,
};
use crate::words::thousands;

/// Looks at the inputs.
///
/// # Errors
/// Those of [`store::survey`]. What a key says of columns that are not there is the pipeline's fault, and not the data's.
pub fn survey(plan: &Plan, engine: &Engine) -> anyhow::Result<Surveys> {
    let mut survey = engine.wait(store::survey(plan.sources())).map_err(|error| as_written(plan, error))?;
    survey.exclude(exclusions(plan)?)?;
    labels::check(plan, &survey)?;
    Ok(survey)
}

/// The earlier outputs whose negatives are not taken again.
fn exclusions(plan: &Plan) -> Result<Vec<Box<dyn IdPairs>>, EarlierError> {
    let open = |path: &PathBuf| Ok(Box::new(Exclusions::open(path)?) as Box<dyn IdPairs>);
    plan.exclude.iter().map(open).collect()
}

/// What is wrong with an expression, told of what is written and not of what the environment made of it.
fn as_written(plan: &Plan, error: anyhow::Error) -> anyhow::Error {
    let Some(SurveyError::Selection { path, source }) = error.downcast_ref() else { return error };
    let SelectionError::Expression(expression) = source.as_ref() else { return error };
    let ExpressionError { section, key, text, fault } = expression;
    let section = section.name();
    let told = plan.environment.hide_words(&format!("{}: {fault}", path.display())).into_owned();
    let said = plan.resolved.pointer(&format!("/{section}/{}", key.replace('.', "/")));
    match (&plan.written, said.and_then(Value::as_str)) {
        (Some(written), said) => {
            let place = expression.place();
            let place = said.and_then(|said| plan.environment.unexpanded(said, place?));
            written.refuted(section, key, text, told, place).into()
        }
        (None, Some(written)) if written != text => {
            let shown = format!("{section}.{key} = {written:?}: {told}");
            Veiled::new(shown, error).into()
        }
        (None, _) => error,
    }
}

/// The inputs as the manifest names them: one entry a role, over all its files; of arrays one for each path that the pipeline names.
pub fn inputs(plan: &Plan, survey: &Surveys) -> Vec<Input> {
    let table = |table: &Survey| (table.bytes(), table.rows(), table.fingerprint().to_owned());
    let links = |links: &LinkSurvey| (links.bytes(), links.rows(), links.fingerprint().to_owned());
    let mut excluded = survey.excluded.iter().map(|pairs| {
        let (bytes, rows) = pairs.size();
        (bytes, rows, pairs.fingerprint())
    });
    let mut of = |section| match section {
        Section::Store => Some(table(&survey.store)),
        Section::Queries => survey.queries.as_ref().map(table),
        Section::Pairs => survey.pairs.as_ref().map(links),
        Section::Scores => survey.scores.as_ref().map(links),
        Section::Exclude => excluded.next(),
    };
    // As written, with the names of environment variables: what these stand for is nobody's business.
    let input = |(section, path): (Section, &String)| {
        let (bytes, rows, fingerprint) = of(section)?;
        Some(Input { role: section.name().into(), path: path.clone(), bytes, rows, fingerprint })
    };
    let mut inputs: Vec<Input> = plan.from_output.inputs().filter_map(input).collect();
    inputs.extend(survey.store.matrix().map(|matrix| Input {
        role: TRANSFORM.into(),
        path: plan.from_output.matrix.clone().unwrap_or_default(),
        bytes: matrix.bytes,
        rows: matrix.rows as u64,
        fingerprint: matrix.fingerprint.clone(),
    }));
    for (role, places, table) in [
        (VECTORS, &plan.from_output.vectors, Some(&survey.store)),
        (QUERY_VECTORS, &plan.from_output.query_vectors, survey.queries.as_ref()),
    ] {
        let sources = table.and_then(Survey::arrays).map_or(&[][..], Arrays::sources);
        inputs.extend(sources.iter().zip(places).map(|(source, path)| of_arrays(role, path.clone(), source)));
    }
    inputs
}

fn of_arrays(role: &str, path: String, source: &ArraySource) -> Input {
    let (bytes, rows, fingerprint) = (source.bytes(), source.rows(), source.fingerprint.clone());
    Input { role: role.into(), path, bytes, rows, fingerprint }
}

/// The same where the inputs cannot be surveyed as the pipeline says: those whose files can be read at all.
pub fn identities(plan: &Plan) -> Vec<Input> {
    let input = |section: Section, path: &Path| {
        let (bytes, rows, fingerprint) = match section {
            Section::Exclude => {
                let pairs = Exclusions::open(path).ok()?;
                let (bytes, rows) = pairs.size();
                (bytes, rows, pairs.fingerprint())
            }
            _ => store::identify(path).ok()?,
        };
        Some(Input { role: section.name().into(), path: path.display().to_string(), bytes, rows, fingerprint })
    };
    let places = plan.places();
    let mut inputs: Vec<Input> = places.inputs().filter_map(|(section, path)| input(section, path)).collect();
    let arrays = places.arrays().map(|(role, path)| {
        let source = ArraySource::look(path).ok()?;
        Some(of_arrays(role, path.display().to_string(), &source))
    });
    // Those of one role are told apart by their order.
    inputs.extend(arrays.collect::<Option<Vec<_>>>().unwrap_or_default());
    inputs
}

/// What names a run's scratch: that an interrupted one is gone on from by the very same program alone, see
/// [`program::build`].
pub fn scratch_key(fingerprint: &str) -> String {
    blake3::hash([fingerprint, program::build()].concat().as_bytes()).to_hex().to_string()
}

/// The scratch folders of this run, locked.
pub fn scratch(plan: &Plan, fingerprint: &str, engine: &Engine) -> Result<Scratch, ScratchError> {
    let leftovers = if plan.run.fresh { Leftovers::None } else { Leftovers::Own };
    let scratch = Scratch::open(plan, &scratch_key(fingerprint), leftovers)?;
    if let Some(left) = scratch.left() {
        engine.progress().note(&format!("the run before this one ({left}) did not end by itself"));
    }
    Ok(scratch)
}

/// The prepared store: the one an interrupted run left, or a new one.
pub fn prepare(
    plan: &Plan,
    survey: &Surveys,
    scratch: &Scratch,
    engine: &Engine,
    watch: &mut Watch,
) -> anyhow::Result<Prepared> {
    watch.stage("read", Some(survey.rows()), Unit::Rows, |stage| {
        let dir = scratch.store();
        let store = match Prepared::reopen(&dir) {
            Ok(store) => store,
            Err(_) => {
                engine.wait(store::prepare(plan.sources(), survey, &dir, &|rows| stage.advance(rows)))?;
                Prepared::open(&dir)?
            }
        };
        engine.go_on()?;
        manifest::check_columns(&store, &plan.mine, &plan.output)?;
        let (rows, dims, labels) = (store.corpus().len(), store.dims(), store.distinct_labels());
        let mut summary = format!("{} rows × {dims} dimensions", thousands(rows as u64));
        let labels = thousands(labels as u64);
        summary += &match store.has_several_labels() {
            _ if store.has_pairs() => String::new(),
            true => format!(", {labels} labels, several a row"),
            false => format!(", {labels} classes"),
        };
        summary += &if store.has_queries() {
            format!(", {} queries", thousands(store.anchors().len() as u64))
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

/// A store prepared for a look, in a folder that goes when it is dropped.
pub fn prepare_aside(
    plan: &Plan,
    survey: &Surveys,
    engine: &Engine,
    done: &str,
) -> anyhow::Result<(Prepared, tempfile::TempDir)> {
    let folder = engine.brake().folder()?;
    let dir = folder.path().join("store");
    let stage = engine.progress().stage("read", Some(survey.rows()), Unit::Rows);
    engine.wait(store::prepare(plan.sources(), survey, &dir, &|rows| stage.advance(rows)))?;
    let prepared = fitted(plan, survey, Prepared::open(&dir)?, &|_| ())?;
    stage.finish(done);
    engine.go_on()?;
    Ok((prepared, folder))
}

/// The index of a run, and why it is this one.
pub struct Searcher<'s> {
    pub choice: Choice,
    index: Opened<'s>,
    /// What an approximate search was tuned to.
    tuned: Option<Tuned>,
}

enum Opened<'s> {
    Exact(Box<Exact<'s>>),
    Approximate(Box<dyn Tunable + 's>),
}

impl<'s> Searcher<'s> {
    pub fn search(&self) -> &dyn Search {
        match &self.index {
            Opened::Exact(search) => search.as_ref(),
            Opened::Approximate(search) => search.as_ref(),
        }
    }

    /// The search that looks at every pair.
    pub fn exact(&self) -> &dyn Search {
        match &self.index {
            Opened::Exact(search) => search.as_ref(),
            Opened::Approximate(search) => search.exact(),
        }
    }

    /// An approximate search, to be set.
    pub fn tunable(&mut self) -> Option<&mut (dyn Tunable + 's)> {
        match &mut self.index {
            Opened::Exact(_) => None,
            Opened::Approximate(search) => Some(search.as_mut()),
        }
    }
}

/// The index that a plan and the shape of a store choose.
pub fn choice(plan: &Plan, store: &Prepared) -> Choice {
    search::choose(&plan.search, store.corpus().len() as u64, mine::candidates(store) as u64, store.dims())
}

/// Chooses the index and opens it: cells are trained, graphs built or reloaded where they were kept.
pub fn index<'s>(
    plan: &Plan,
    survey: &Surveys,
    store: &'s Prepared,
    kept: &Kept,
    engine: &Engine,
    watch: &mut Watch,
) -> anyhow::Result<Searcher<'s>> {
    let rows = store.corpus().len() as u64;
    let mut choice = choice(plan, store);
    let unlabelled = plan.mine.negatives.unlabelled;
    watch.stage("index", Some(rows), Unit::Rows, |stage| {
        let index = match choice.index {
            Index::Hnsw => {
                let key = graph_key(plan, survey)?;
                let advance = |rows| stage.advance(rows);
                let graphs = Hnsw::open(store, &plan.search.hnsw, unlabelled, &kept.graphs, &key, &advance)?;
                Opened::Approximate(Box::new(graphs))
            }
            Index::Cells => {
                let cells = plan.search.cells.cells;
                let cells = Cells::open(store, cells, unlabelled, Some(&kept.cells)).context(NO_ROOM)?;
                choice.reason += &format!("; {} cells", cells.cells());
                Opened::Approximate(Box::new(cells))
            }
            Index::Exact | Index::Auto => Opened::Exact(Box::new(exact(store, unlabelled)?)),
        };
        engine.go_on()?;
        let summary = format!("{}: {}", choice.index.name(), choice.reason);
        Ok((Searcher { choice, index, tuned: None }, summary))
    })
}

/// Tunes an approximate index until a sample of anchors shows the recall that the pipeline asks for.
pub fn tune(
    plan: &Plan,
    store: &Prepared,
    quotas: &Quotas,
    index: &mut Searcher,
    scratch: &Scratch,
    watch: &mut Watch,
) -> anyhow::Result<()> {
    let Opened::Approximate(search) = &mut index.index else { return Ok(()) };
    let target = plan.search.target_recall;
    index.tuned = watch.stage("tune", None, Unit::Anchors, |_| {
        let tune = || mine::tune(store, search.as_mut(), &plan.mine, quotas, target);
        let tuned = noted(&scratch.notes(), "tuned", tune)?;
        tuned.apply(search.as_mut());
        let summary = format!("effort {} of {} for a recall of {target}", tuned.effort, search.efforts() - 1);
        Ok((Some(tuned), summary))
    })?;
    Ok(())
}

const NO_ROOM: &str = "cannot write packed rows to the scratch folder";

/// Exact search, whose packed rows go beside the store.
pub fn exact(store: &Prepared, unlabelled: bool) -> anyhow::Result<Exact<'_>> {
    Exact::new(store, unlabelled).context(NO_ROOM)
}

/// Everything that shapes the graphs of a store. Other queries can use them again, but for dot, where distances are counted
/// from the longest vector of all.
pub fn graph_key(plan: &Plan, survey: &Surveys) -> Result<String, ProofError> {
    let longest = survey.queries.as_ref().filter(|_| plan.mine.metric == Metric::Dot);
    let mut texts = vec![&plan.resolved["store"], &plan.resolved["prepare"]];
    texts.extend(longest.map(|_| &plan.resolved["queries"]));
    let environment = plan.environment.proofs(&texts, survey.store.fingerprint())?;
    let arrays = |table: &Survey| -> Vec<String> {
        let sources = table.arrays().map_or(&[][..], Arrays::sources);
        sources.iter().map(|source| source.fingerprint.clone()).collect()
    };
    let longest = longest.map(|queries| (queries.fingerprint(), arrays(queries), &plan.resolved["queries"]));
    let matrix = survey.store.matrix().map(|matrix| &matrix.fingerprint);
    let vectors = (survey.store.fingerprint(), arrays(&survey.store));
    let store = (vectors, &plan.resolved["store"], &plan.resolved["prepare"], matrix);
    let subject = (store, longest, environment, plan.mine.metric, plan.search.hnsw, program::build());
    let text = serde_json::to_vec(&subject).unwrap_or_default();
    Ok(blake3::hash(&text).to_hex().to_string())
}

/// Mines every partition that is not committed yet, in parallel.
pub fn mine(
    plan: &Plan,
    store: &Prepared,
    quotas: &Quotas,
    index: &Searcher,
    scratch: &Scratch,
    engine: &Engine,
    watch: &mut Watch,
) -> anyhow::Result<Harvests> {
    watch.stage("mine", Some(store.anchors().len() as u64), Unit::Anchors, |stage| {
        let partitions = mine::partitions(store.anchors());
        let harvests = Harvests::new(scratch.partitions(), partitions.len() as u32, store.rows());
        let triplets: u64 = partitions
            .par_iter()
            .enumerate()
            .map(|(ordinal, anchors)| -> anyhow::Result<u64> {
                engine.go_on()?;
                let ordinal = ordinal as u32;
                let found = if harvests.is_committed(ordinal) {
                    harvests.tally(ordinal)?.filled()
                } else {
                    let harvest = mine::mine(anchors, store, index.search(), &plan.mine, quotas);
                    harvests.commit(ordinal, &harvest)?;
                    harvest.tally.filled()
                };
                stage.advance(anchors.len() as u64);
                Ok(found)
            })
            .sum::<anyhow::Result<u64>>()?;
        Ok((harvests, format!("{} triplets", thousands(triplets))))
    })
}

/// The recall of an approximate search, against the exact one on a sample of anchors.
pub fn measure(
    plan: &Plan,
    store: &Prepared,
    quotas: &Quotas,
    index: &Searcher,
    scratch: &Scratch,
    watch: &mut Watch,
) -> anyhow::Result<Option<Recall>> {
    let Opened::Approximate(search) = &index.index else { return Ok(None) };
    watch.stage("recall", None, Unit::Anchors, |_| {
        let measure = || mine::measure(store, search.as_ref(), search.exact(), &plan.mine, quotas);
        let recall = noted(&scratch.notes(), "recall", measure)?;
        let summary = match &recall {
            None => "exact search finds nothing either".into(),
            Some(Recall { sample, overall, .. }) => {
                let missed = if overall.estimate < plan.search.target_recall { "; the target was missed" } else { "" };
                let (low, high) = (overall.low, overall.high);
                format!(
                    "{:.3} (95 %: {low:.3} … {high:.3}) on {} anchors{missed}",
                    overall.estimate,
                    thousands(u64::from(*sample))
                )
            }
        };
        Ok((recall, summary))
    })
}

/// What each guard takes away, on a sample of anchors.
pub fn audit(
    plan: &Plan,
    store: &Prepared,
    quotas: &Quotas,
    scratch: &Scratch,
    watch: &mut Watch,
) -> anyhow::Result<Option<Audit>> {
    if plan.mine.negatives.guards.set().next().is_none() {
        return Ok(None);
    }
    watch.stage("guards", None, Unit::Anchors, |_| {
        let audit = noted(&scratch.notes(), "guards", || mine::audit(store, &plan.mine, quotas))?;
        let summary = audit.as_ref().map_or_else(String::new, |audit| format!("a sample of {} anchors", audit.anchors));
        Ok((audit, summary))
    })
}

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
        let summary = format!("{} files", draft.manifest().parts.len());
        Ok((draft, summary))
    })
}

/// The place of the output, as the report tells it.
pub fn shown_output(plan: &Plan) -> PathBuf {
    plan.environment.hide_path(&plan.output.path)
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
pub fn seal(plan: &Plan, draft: Draft, engine: &Engine, watch: Watch, observed: Observed) -> anyhow::Result<Summary> {
    let Observed { estimates, learned, audit, look_alikes, excluded } = observed;
    let Aside { left_out, escaped, figures } = draft.aside();
    let (sealed, tally) = (draft.manifest(), draft.tally());
    let suspects = sealed.files.iter().find(|file| file.path == manifest::SUSPECTS).map_or(0, |file| file.rows);
    let Taken { stages, seconds, memory } = watch.end();
    let summary = Summary {
        name: plan.name.clone(),
        output: shown_output(plan),
        rows: sealed.rows.read,
        prepare: learned,
        anchors: tally.anchors,
        triplets: sealed.rows.triplets,
        asked: tally.asked,
        bands: report::band_lines(&plan.mine.ask, tally),
        left_out: *left_out,
        escaped: *escaped,
        layout: plan.output.layout.name().into(),
        rows_written: Some(sealed.parts.iter().map(|part| part.rows).sum()),
        fallback: tally.fallback,
        guarded: tally.guarded,
        exhausted: tally.exhausted,
        missed: tally.missed,
        guards: audit,
        scores: plan.scores.as_ref().map(|_| ScoredPairs { pairs: tally.pairs, scored: tally.scored }),
        excluded,
        unmined: sealed.unmined.clone(),
        suspects,
        look_alikes,
        balance: sealed.balance,
        batches: sealed.batches.clone(),
        index: sealed.search.index.name().into(),
        reason: sealed.search.reason.clone(),
        recall: sealed.search.recall.as_ref().map(recall_line),
        stages,
        seconds,
        peak_memory: memory,
        output_bytes: Some(sealed.parts.iter().map(|part| part.bytes).sum()),
        estimates: Some(estimates),
        pipeline: sealed.pipeline.clone(),
        figures: Some(figures.clone()),
    };
    summary.write(draft.folder())?;
    summary.write_page(draft.folder())?;
    engine.brake().seal()?;
    draft.seal()?;
    Ok(summary)
}

fn recall_line(recall: &manifest::Recall) -> RecallLine {
    let manifest::Recall { target, sample, overall, bands } = recall.clone();
    RecallLine { target, sample, estimate: overall.estimate, low: overall.low, high: overall.high, bands }
}
