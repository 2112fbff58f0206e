//! `miner plan`: what a run will do, why, and what it will take. Reads labels, not vectors; writes nothing.

use std::fmt;
use std::path::Path;

use bytesize::ByteSize;
use serde::Serialize;

use super::engine::{Control, Engine};
use super::estimate::{estimate, needed_bytes};
use super::job::{Appraisal, Job, appraise};
use super::roster::{self, AtSlots, Roster, SUPPOSED};
use super::scratch::Scratch;
use super::veiled::veil;
use super::{budget, cluster, program, scratch, stages};
use crate::config::{Machines, Meeting, Plan, QUERY_VECTORS, VECTORS};
use crate::manifest::{self, Destination};
use crate::mine;
use crate::report::Estimates;
use crate::search::Index;
use crate::store::{ArraySource, Arrays, Census, IdPairs, LinkCensus, ScoredPairs};
use crate::words::{counted, thousands, visible};

/// What `miner plan` says.
#[derive(Debug, Serialize)]
pub struct Explanation {
    pub name: String,
    pub store: String,
    pub files: usize,
    /// What holds the vectors, where the tables have none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vectors: Vec<ArrayLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairs: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<String>,
    /// Earlier outputs whose negatives are not taken again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<EarlierOutput>,
    pub dimensions: usize,
    /// What is learned from the vectors and applied to them; nothing without `[prepare]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepare: Option<String>,
    pub census: Census,
    /// Rows that ask: those with a positive, but for what `anchors_per_class` leaves out.
    pub anchors: u64,
    /// Whether rows that cannot be used are left out. That shows when vectors are read: all counts of rows are upper ends.
    pub skips: bool,
    /// Of `output.path`: nothing there, already current, to be replaced, or in the way.
    pub output: String,
    pub destination: &'static str,
    /// Where an output is put together that goes to a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<String>,
    /// An interrupted run of the same left something that a run goes on from.
    pub resumes: bool,
    /// What a run will refuse to replace, and the cure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    pub index: Index,
    pub reason: String,
    pub partitions: usize,
    /// Who mines them, where it is not this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Roster>,
    /// Where its machines meet, if that is a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meeting: Option<MeetingLine>,
    /// What it would take them, where nobody knows how many there will be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supposed: Vec<AtSlots>,
    pub threads: usize,
    pub estimates: Estimates,
    /// Whether the output is sorted.
    #[serde(skip)]
    pub sorts: bool,
    /// Bytes of anonymous memory that a run may take; absent where neither the pipeline nor the system tells.
    pub memory: Option<u64>,
}

/// Arrays beside a table.
#[derive(Debug, Serialize)]
pub struct ArrayLine {
    pub role: &'static str,
    pub path: String,
    pub rows: u64,
    pub dimensions: usize,
    /// What their values are: `f32`.
    pub values: &'static str,
    pub bytes: u64,
}

/// An earlier output, and the rows that it has.
#[derive(Debug, Serialize)]
pub struct EarlierOutput {
    pub path: String,
    pub rows: u64,
}

/// A store in which the machines of a cluster meet.
#[derive(Debug, Serialize)]
pub struct MeetingLine {
    pub path: String,
    /// What goes there once, and from there to each executor.
    pub bytes: u64,
}

impl MeetingLine {
    fn of(plan: &Plan, job: &Job) -> Option<Self> {
        let Machines::Cluster { meeting: Meeting::Store(address), .. } = &plan.run.machines else { return None };
        let path = plan.environment.hide(&address.to_string()).into_owned();
        Some(Self { path, bytes: needed_bytes(plan, job) })
    }
}

impl EarlierOutput {
    fn of(pairs: &dyn IdPairs, plan: &Plan) -> Self {
        let path = plan.environment.hide_path(pairs.path()).display().to_string();
        Self { path, rows: pairs.size().1 }
    }
}

/// Checks a pipeline against its data and says what `run` would do. Inputs in stores are looked at in their
/// [copies](super::over_copies).
///
/// # Errors
/// Those that `run` would meet before it reads vectors, but for what stands at `output.path`, which is told.
pub fn explain(plan: &Plan, control: &Control) -> anyhow::Result<Explanation> {
    cluster::check(plan).map_err(|error| veil(&plan.environment, error))?;
    let engine = Engine::new(plan.run.threads, control)?;
    let shown = |path: &Path| plan.environment.hide(&path.display().to_string()).into_owned();
    let explanation = engine.install(|| {
        let survey = stages::survey(plan, &engine)?;
        let Appraisal { census, choice, job } = appraise(plan, &survey, &engine)?;
        job.check_batches(plan)?;
        job.check_files(plan)?;
        budget::Budget::of(&job).check(plan, job.threads)?;
        let inputs = stages::inputs(plan, &survey);
        let environment = plan.environment.proofs(&[&plan.resolved], survey.store.fingerprint())?;
        let fingerprint = manifest::fingerprint(&inputs, &plan.resolved, &environment, program::VERSION);
        let (destination, refused) = match stages::destination(plan, &fingerprint, &engine) {
            Ok(Destination::Vacant) => ("new", None),
            Ok(Destination::Current) => ("already there and current: a run has nothing to do", None),
            Ok(Destination::Replaceable) => ("replaces an older output", None),
            Err(error) => ("a run will refuse", Some(stages::in_the_way(error)?.obstacle.to_string())),
        };
        let resumes = Scratch::is_left(plan, &stages::scratch_key(&fingerprint));
        let cluster = cluster::look(plan);
        let slots = cluster.as_ref().map(Roster::slots);
        let at = |&slots: &u64| AtSlots { slots, seconds: estimate(plan, &job, Some(slots)).seconds };
        let supposed = if slots == Some(0) { SUPPOSED.iter().map(at).collect() } else { Vec::new() };
        Ok(Explanation {
            name: plan.name.clone(),
            store: shown(&plan.store.path),
            files: survey.store.files.len(),
            vectors: [(VECTORS, Some(&survey.store)), (QUERY_VECTORS, survey.queries.as_ref())]
                .into_iter()
                .filter_map(|(role, table)| Some(array_lines(role, table?.arrays()?, &shown)))
                .flatten()
                .collect(),
            queries: plan.queries.as_ref().map(|queries| shown(&queries.path)),
            pairs: plan.pairs.as_ref().map(|pairs| shown(&pairs.path)),
            scores: plan.scores.as_ref().map(|scores| shown(&scores.path)),
            exclude: survey.excluded.iter().map(|pairs| EarlierOutput::of(pairs.as_ref(), plan)).collect(),
            dimensions: job.read_dims,
            prepare: prepare(plan, &job),
            output: shown(&plan.target.path()),
            destination,
            scratch: plan.target.folder().is_none().then(|| shown(&scratch::roots(plan).0)),
            resumes,
            refused,
            index: choice.index,
            reason: if job.kept { format!("{}; kept from an earlier run", choice.reason) } else { choice.reason },
            partitions: mine::partitions(0..job.asking.min(u64::from(u32::MAX)) as u32).len(),
            cluster,
            meeting: MeetingLine::of(plan, &job),
            supposed,
            threads: engine.threads(),
            anchors: job.anchors,
            skips: job.skips,
            census,
            estimates: estimate(plan, &job, slots),
            sorts: job.sorts,
            memory: budget::given(plan),
        })
    });
    explanation.map_err(|error| veil(&plan.environment, error))
}

fn array_lines(role: &'static str, arrays: &Arrays, shown: &dyn Fn(&Path) -> String) -> Vec<ArrayLine> {
    let (dimensions, values) = (arrays.dims(), arrays.scalar().name());
    let line = |source: &ArraySource| ArrayLine {
        role,
        path: shown(&source.path),
        rows: source.rows(),
        dimensions,
        values,
        bytes: source.bytes(),
    };
    arrays.sources().iter().map(line).collect()
}

fn prepare(plan: &Plan, job: &Job) -> Option<String> {
    let fitting = &plan.store.fitting;
    let dims = counted(job.dims as u64, "dimension");
    fitting.is_set().then(|| format!("{}: {} → {dims}", fitting.name(), job.read_dims))
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { census, estimates, .. } = self;
        let mut line = |key: &str, value: String| writeln!(f, "  {key:<11} {}", visible(value));
        line("pipeline", self.name.clone())?;
        let files = match self.files {
            1 => String::new(),
            files => format!(" ({})", counted(files as u64, "file")),
        };
        line("store", format!("{}{files}", self.store))?;
        let vectors = |of: &'static str| {
            let lines = self.vectors.iter().filter(move |line| line.role == of);
            lines.map(|ArrayLine { path, rows, dimensions, values, bytes, .. }| {
                format!("{path}: {} × {dimensions} {values}, {}", thousands(*rows), ByteSize(*bytes))
            })
        };
        vectors(VECTORS).try_for_each(|text| line("vectors", text))?;
        line(
            "rows",
            format!(
                "{} of {} kept, {}",
                thousands(census.kept),
                thousands(census.rows),
                counted(self.dimensions as u64, "dimension")
            ),
        )?;
        if let (Some(path), Some(queries)) = (&self.queries, &census.queries) {
            line("queries", format!("{path}: {} of {} kept", thousands(queries.kept), thousands(queries.rows)))?;
            vectors(QUERY_VECTORS).try_for_each(|text| line("vectors", text))?;
        }
        match (&self.pairs, &census.pairs) {
            (Some(path), Some(pairs)) => {
                let (queries, most) = (counted(pairs.anchors, "query"), thousands(pairs.most));
                line("pairs", format!("{path}: {} of {queries}, the most of one {most}", thousands(pairs.rows)))?;
            }
            _ => {
                let Census { classes, largest_class, singletons, unlabelled, .. } = census;
                let (largest, without) = (counted(*largest_class, "row"), counted(*unlabelled, "row"));
                match &census.sets {
                    None => {
                        let (classes, alone) = (thousands(*classes), counted(*singletons, "row"));
                        let rest = format!("{alone} alone in a class, {without} without a label");
                        line("classes", format!("{classes}, the largest {largest}; {rest}"))?;
                    }
                    Some(sets) => {
                        let (classes, most) = (thousands(*classes), thousands(sets.most));
                        let rest = format!("{} of one row, {without} without any", counted(*singletons, "label"));
                        let labels =
                            format!("{classes}, the most of a row {most}; {largest} with the most frequent, {rest}");
                        line("labels", labels)?;
                    }
                }
            }
        }
        if let Some(alike) = &census.look_alikes {
            line("look-alikes", alike.to_string())?;
        }
        if let (Some(path), Some(scores)) = (&self.scores, &census.scores) {
            let LinkCensus { rows, anchors, most } = *scores;
            let (rows, anchors, most) = (thousands(rows), counted(anchors, "anchor"), thousands(most));
            line("scores", format!("{path}: {rows} of {anchors}, the most of one {most}"))?;
        }
        if let Some(ScoredPairs { pairs, scored }) = census.scored_pairs {
            line("", format!("there is one for {} of {}", thousands(scored), counted(pairs, "pair")))?;
        }
        for EarlierOutput { path, rows } in &self.exclude {
            line("exclude", format!("{path}: the negatives of {} are not taken again", counted(*rows, "row")))?;
        }
        if let Some(prepare) = &self.prepare {
            line("prepare", prepare.clone())?;
        }
        let of = match census.anchors {
            all if all == self.anchors => String::new(),
            all => format!(" of {}, by balance.anchors_per_class", thousands(all)),
        };
        let (least, fewer) = match self.skips {
            true => ("at most ", ": rows that cannot be used are left out when vectors are read"),
            false => ("", ""),
        };
        line("anchors", format!("{least}{}{of}{fewer}", thousands(self.anchors)))?;
        line("index", format!("{}: {}", self.index.name(), self.reason))?;
        let (partitions, threads) = (thousands(self.partitions as u64), counted(self.threads as u64, "thread"));
        match &self.cluster {
            None => line("partitions", format!("{partitions} on {threads}"))?,
            Some(cluster) => {
                let Roster { scheduler, answers, .. } = cluster;
                let now = if *answers { "it answers" } else { "it does not answer now" };
                line(
                    "partitions",
                    format!("{partitions} on the executors of {scheduler} ({now}), on one thread each"),
                )?;
                line("", format!("all else here, on {threads}"))?;
                line("executors", cluster.told(self.partitions as u64))?;
                if let Some(MeetingLine { path, bytes }) = &self.meeting {
                    line(
                        "",
                        format!("all meet in {path}: about {} go there, and from there to each", ByteSize(*bytes)),
                    )?;
                }
            }
        }
        line("triplets", format!("at most {}", thousands(estimates.triplets_at_most)))?;
        let time = if self.supposed.is_empty() { estimates.time() } else { roster::times(estimates, &self.supposed) };
        line("time", time)?;
        let bound = self.memory.map(|bytes| format!(", of {} at most", ByteSize(bytes))).unwrap_or_default();
        line("memory", format!("about {}{bound}", ByteSize(estimates.memory_bytes)))?;
        let (scratch, output) = (ByteSize(estimates.scratch_bytes), ByteSize(estimates.output_bytes));
        let mut inputs = std::iter::once(&self.store).chain(&self.queries).chain(&self.pairs).chain(&self.scores);
        let beside = match (self.sorts, inputs.any(|path| path.contains("://"))) {
            (false, false) => "",
            (true, false) => " beside what sorts put aside",
            (false, true) => " beside copies of inputs",
            (true, true) => " beside what sorts put aside and copies of inputs",
        };
        line("disk", format!("at most {scratch} scratch{beside}, {output} output"))?;
        if let Some(scratch) = &self.scratch {
            line("scratch", format!("{scratch}: holds the output, too, until it is sent"))?;
        }
        let more = match &self.refused {
            Some(refused) => format!(": {refused}"),
            None if self.resumes => "; goes on from what an interrupted run left".to_owned(),
            None => String::new(),
        };
        write!(f, "  {:<11} {} ({}{})", "output", visible(&self.output), self.destination, visible(more))
    }
}
