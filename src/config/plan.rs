//! The checked pipeline: what every later room takes as given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::embedding::{arrays, embedding};
use super::environment::{Environment, put_back};
use super::error::{Complaint, ConfigError};
use super::excerpt::Part;
use super::links;
use super::machines::{Machines, Meeting, machines};
use super::mining::{distinct, mine};
use super::output::output;
use super::paths::{input, path};
use super::places::{Places, Seen, unsigned};
use super::prepare::{fitting, matrix_file};
use super::size::parse_size;
use super::spec::{QueriesSpec, Spec, StoreSpec, Unlabelled};
use super::target::Target;
use super::together;
use super::written::Written;
use crate::kernel::Metric;
use crate::store::{Embedding, Fitting, LinkParams, Section, Sources, Transform};
use crate::{manifest, mine, search, store};

/// A pipeline, checked, every default filled in.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The file it was read from.
    pub file: PathBuf,
    /// As it was written; nothing where a manifest says what was.
    pub written: Option<Written>,
    /// Of the variables that it names.
    pub environment: Environment,
    /// As written.
    pub name: String,
    pub store: store::Params,
    /// The anchors, where they are not rows of the store.
    pub queries: Option<store::Params>,
    /// Positives by id, where they are not told by label.
    pub pairs: Option<LinkParams>,
    /// Scores of anchors and rows of the store, where a guard asks for them.
    pub scores: Option<LinkParams>,
    /// Folders of earlier outputs, whose negatives are not taken again.
    pub exclude: Vec<PathBuf>,
    pub search: search::Params,
    pub mine: mine::Params,
    pub output: manifest::Params,
    /// Where it goes.
    pub target: Target,
    /// Whether what another pipeline wrote there may be replaced.
    pub overwrite: bool,
    pub run: Run,
    /// The pipeline as resolved: what the result depends on, with paths and environment variables as written.
    pub resolved: Value,
    /// The inputs' paths as the manifest names them: as written if absolute, else seen from the output folder, so that
    /// both can move together; of an output in a store, from which nothing here is to be seen, made absolute. Environment variables stand in them by name.
    pub from_output: Places<String>,
}

impl Plan {
    /// What is read.
    pub fn sources(&self) -> Sources<'_> {
        let Self { store, queries, pairs, scores, .. } = self;
        Sources { store, queries: queries.as_ref(), pairs: pairs.as_ref(), scores: scores.as_ref() }
    }

    /// The line of the file that says what a key is, for a message about it.
    pub fn excerpt(&self, key: &str) -> Option<String> {
        self.written.as_ref()?.excerpt(key, &Part::Value)
    }

    /// What is wrong with a key, as only the data shows.
    pub fn refuse(&self, key: &str, message: String) -> ConfigError {
        let complaint = Complaint::new(key, message);
        match &self.written {
            Some(written) => written.complain(complaint, &self.environment),
            None => complaint.of_file(self.file.clone()).into(),
        }
    }

    /// The key that names a table, or the arrays that hold its vectors.
    pub fn key_of(&self, path: &Path) -> Option<&'static str> {
        let Places { store, queries, pairs, scores, vectors, query_vectors, .. } = self.places();
        let tables =
            [(Some(store), "store.path"), (queries, "queries.path"), (pairs, "pairs.path"), (scores, "scores.path")];
        let arrays = [(vectors, "store.vectors"), (query_vectors, "queries.vectors")];
        let is_it = |place: &Path| place == path;
        let table = tables.iter().find(|(place, _)| place.as_deref().is_some_and(is_it)).map(|(_, key)| *key);
        table.or_else(|| arrays.iter().find(|(places, _)| places.iter().any(|place| is_it(place))).map(|(_, key)| *key))
    }

    /// Where it lies.
    pub fn places(&self) -> Places {
        Places {
            store: self.store.path.clone(),
            queries: self.queries.as_ref().map(|queries| queries.path.clone()),
            pairs: self.pairs.as_ref().map(|pairs| pairs.path.clone()),
            scores: self.scores.as_ref().map(|scores| scores.path.clone()),
            exclude: self.exclude.clone(),
            matrix: matrix_file(&self.store.fitting).cloned(),
            vectors: arrays(&self.store.embedding).to_vec(),
            query_vectors: self.queries.as_ref().map_or(&[][..], |queries| arrays(&queries.embedding)).to_vec(),
        }
    }
}

impl Plan {
    /// The same over inputs that lie elsewhere. Of arrays and earlier outputs there must be as many as before.
    pub fn set_places(&mut self, places: Places) {
        self.store.path = places.store;
        self.exclude = places.exclude;
        for (path, place) in [
            (self.queries.as_mut().map(|queries| &mut queries.path), places.queries),
            (self.pairs.as_mut().map(|pairs| &mut pairs.path), places.pairs),
            (self.scores.as_mut().map(|scores| &mut scores.path), places.scores),
        ] {
            if let (Some(path), Some(place)) = (path, place) {
                *path = place;
            }
        }
        for (embedding, arrays) in [
            (Some(&mut self.store.embedding), places.vectors),
            (self.queries.as_mut().map(|queries| &mut queries.embedding), places.query_vectors),
        ] {
            // Of a manifest that lists another number of them, nothing is believed.
            if let Some(Embedding::Arrays(paths)) = embedding
                && paths.len() == arrays.len()
            {
                *paths = arrays;
            }
        }
        if let (Transform::Matrix(path), Some(matrix)) = (&mut self.store.fitting.transform, places.matrix) {
            *path = matrix;
        }
    }
}

/// How the work is done; cannot change the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// 0: all cores.
    pub threads: usize,
    /// Bytes of anonymous memory; none: three quarters of the machine's.
    pub memory: Option<u64>,
    /// The folder that holds the scratch folder.
    pub work: PathBuf,
    pub machines: Machines,
    /// What an interrupted run left is removed, not gone on from.
    pub fresh: bool,
}

/// Checks values and combinations of the spec in `file`; paths are relative to `base`. In `said` its strings are as written.
pub(super) fn check(spec: &Spec, said: &Value, file: &Path, base: &Path) -> Result<Plan, Complaint> {
    positives_told_once(spec)?;
    let store_path = input(base, "store.path", &spec.store.path)?;
    let target = Target::of(base, spec.output.path.as_deref().unwrap_or_default())?;
    let groups: Vec<&str> = spec.store.groups.keys().map(String::as_str).collect();
    let mine = mine(spec, &groups)?;
    let fitting = fitting(&spec.prepare, base)?;
    let queries = |queries| self::queries(queries, spec, base, mine.metric, fitting.clone());
    let queries = spec.queries.as_ref().map(queries).transpose()?;
    let pairs = spec.pairs.as_ref().map(|pairs| links::pairs(pairs, base)).transpose()?;
    let scores = spec.scores.as_ref().map(|scores| links::scores(scores, base)).transpose()?;
    let exclude = links::exclude(&spec.mine.negatives, base)?;
    let mut resolved = serde_json::to_value(spec).map_err(|error| Complaint::new("pipeline", error.to_string()))?;
    let expanded = resolved.clone();
    put_back(&mut resolved, said);
    unsigned(&mut resolved, &expanded);
    let store = store(&spec.store, store_path, base, mine.metric, fitting)?;
    let seen = Seen { resolved: &resolved, base, output: target.folder() };
    let from_output = seen.places(spec, &store, queries.as_ref(), [pairs.as_ref(), scores.as_ref()], &exclude);
    let machines = machines(&spec.run, base)?;
    let is_apart = matches!(&machines, Machines::Cluster { meeting: Meeting::Store(_), .. });
    let work = match spec.run.work.as_str() {
        work if work.is_empty() || is_apart => match &target {
            Target::Folder(path) => path.parent().unwrap_or(base).to_path_buf(),
            // A bare name has the empty path for its folder, which no system call takes.
            Target::Store(_) => Path::new(".").join(base),
        },
        work => path(base, "run.work", work)?,
    };
    let output = output(spec, &mine.ask)?;
    together::check(spec, &mine, &output)?;
    Ok(Plan {
        file: file.to_path_buf(),
        written: None,
        environment: Environment::default(),
        name: resolved["name"].as_str().unwrap_or_default().to_owned(),
        store,
        queries,
        pairs,
        scores,
        exclude,
        search: search(spec)?,
        output,
        target,
        overwrite: spec.output.overwrite,
        mine,
        run: Run {
            threads: threads(spec.run.threads)?,
            memory: memory(&spec.run.memory)?,
            work,
            machines,
            fresh: false,
        },
        resolved,
        from_output,
    })
}

/// Labels or pairs say what is a positive, not both.
fn positives_told_once(spec: &Spec) -> Result<(), Complaint> {
    let by_label = [
        ("store.label", spec.store.label.is_some()),
        ("queries.label", spec.queries.as_ref().is_some_and(|queries| queries.label.is_some())),
    ];
    if spec.pairs.is_none() {
        let missing =
            || Complaint::new("store.label", "is missing; expected a SQL expression of the class, or else [pairs]");
        return spec.store.label.as_ref().map(|_| ()).ok_or_else(missing);
    }
    if let Some((key, _)) = by_label.into_iter().find(|(_, given)| *given) {
        let message = format!("[pairs] says which rows are positives; leave out {key}, or [pairs]");
        return Err(Complaint::new(key, message));
    }
    if spec.store.unlabelled == Unlabelled::Negative {
        let message = "with [pairs] no row has a label, and every row that no pair names is a negative; leave it out";
        return Err(Complaint::new("store.unlabelled", message));
    }
    Ok(())
}

fn queries(
    spec: &QueriesSpec,
    all: &Spec,
    base: &Path,
    metric: Metric,
    fitting: Fitting,
) -> Result<store::Params, Complaint> {
    let path = input(base, "queries.path", &spec.path)?;
    let empty = BTreeMap::new();
    let (here, there) = (spec.groups.as_ref().unwrap_or(&empty), &all.store.groups);
    if let Some(name) = here.keys().find(|name| !there.contains_key(*name)) {
        let message = "[store] has no group of this name, so no constraint can use it; leave it out, or write it there";
        return Err(Complaint::new(format!("queries.groups.{name}"), message));
    }
    let (positives, negatives) = (&all.mine.positives, &all.mine.negatives);
    for (key, names) in [
        ("mine.positives.same", &positives.same),
        ("mine.positives.different", &positives.different),
        ("mine.negatives.same", &negatives.same),
        ("mine.negatives.different", &negatives.different),
    ] {
        if let Some(name) = names.iter().find(|name| !here.contains_key(*name)) {
            let message = format!(
                "the queries have no group \"{name}\"; write groups = {{ {name} = \"a column\" }} in [queries]"
            );
            return Err(Complaint::new(key, message));
        }
    }
    let carry = spec.carry.clone().unwrap_or_default();
    let embedding = embedding(Section::Queries, spec.embedding.as_deref(), spec.vectors.as_ref(), base)?;
    filled("queries.label", spec.label.as_deref())?;
    distinct("queries.carry", &carry)?;
    // The store's groups, one by one; null where the queries have none, which no constraint asks for.
    let group = |name: &String| (name.clone(), here.get(name).cloned().unwrap_or_else(|| "null".to_owned()));
    Ok(store::Params {
        section: Section::Queries,
        path,
        id: spec.id.clone(),
        embedding,
        label: spec.label.clone(),
        filter: spec.filter.clone(),
        groups: there.keys().map(group).collect(),
        carry,
        bad_rows: spec.bad_rows.unwrap_or_default(),
        metric,
        fitting,
    })
}

fn filled(key: &str, text: Option<&str>) -> Result<(), Complaint> {
    match text.is_some_and(|text| text.trim().is_empty()) {
        true => Err(Complaint::new(key, "is empty; expected a column")),
        false => Ok(()),
    }
}

fn threads(threads: usize) -> Result<usize, Complaint> {
    match threads {
        0..=1_024 => Ok(threads),
        _ => Err(Complaint::new("run.threads", "must be at most 1,024; 0 takes every core")),
    }
}

fn memory(memory: &str) -> Result<Option<u64>, Complaint> {
    parse_size(memory).map_err(|expected| Complaint::new("run.memory", expected))
}

fn store(
    spec: &StoreSpec,
    path: PathBuf,
    base: &Path,
    metric: Metric,
    fitting: Fitting,
) -> Result<store::Params, Complaint> {
    let embedding = embedding(Section::Store, spec.embedding.as_deref(), spec.vectors.as_ref(), base)?;
    filled("store.label", spec.label.as_deref())?;
    distinct("store.carry", &spec.carry)?;
    Ok(store::Params {
        section: Section::Store,
        path,
        id: spec.id.clone(),
        embedding,
        label: spec.label.clone(),
        filter: spec.filter.clone(),
        groups: spec.groups.iter().map(|(name, expression)| (name.clone(), expression.clone())).collect(),
        carry: spec.carry.clone(),
        bad_rows: spec.bad_rows,
        metric,
        fitting,
    })
}

fn search(spec: &Spec) -> Result<search::Params, Complaint> {
    let search::HnswParams { max_connections, ef_construction, ef_search } = spec.search.hnsw;
    for (key, value, range) in [
        ("max_connections", max_connections, 2..=255),
        ("ef_construction", ef_construction, 8..=4_096),
        ("ef_search", ef_search, 8..=4_096),
    ] {
        if !range.contains(&value) {
            let message = format!("must be from {} to {}", range.start(), range.end());
            return Err(Complaint::new(format!("search.hnsw.{key}"), message));
        }
    }
    let target_recall = spec.search.target_recall;
    if !(target_recall > 0.0 && target_recall <= 1.0) {
        return Err(Complaint::new("search.target_recall", "a recall is more than 0 and at most 1"));
    }
    let cells = spec.search.cells;
    if cells.cells.is_some_and(|cells| !(1..=65_536).contains(&cells)) {
        return Err(Complaint::new("search.cells.cells", "must be from 1 to 65,536"));
    }
    Ok(search::Params { index: spec.search.index, target_recall, cells, hnsw: spec.search.hnsw })
}

#[cfg(test)]
#[path = "plan_tests.rs"]
pub(super) mod tests;
