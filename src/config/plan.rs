//! The checked pipeline: what every later room takes as given.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::embedding::{arrays, embedding};
use super::environment::{Environment, put_back};
use super::error::{Complaint, nearest};
use super::excerpt::Part;
use super::guards::guards;
use super::links;
use super::paths::path;
use super::places::{Places, Seen};
use super::prepare::{fitting, matrix_file};
use super::size::parse_size;
use super::spec::{
    ALL_COLUMNS, BalanceSpec, BandsSpec, BatchKind, BatchesSpec, FormatSpec, OutputSpec, QueriesSpec, ROWS_PER_FILE,
    Spec, StoreSpec, Unlabelled, WeightsSpec,
};
use super::together;
use super::written::Written;
use crate::kernel::Metric;
use crate::manifest::{Columns, Format, Layout, Order, Split};
use crate::mine::{Ask, Balance, Band, Batches, NegativePick, Pk, PositivePick, Weighting};
use crate::store::{Fitting, LinkParams, Section, Sources};
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
    pub run: Run,
    /// The pipeline as resolved: what the result depends on, with paths and environment variables as written.
    pub resolved: Value,
    /// The inputs' paths as the manifest names them: as written if absolute, else seen from the output folder, so that
    /// both can move together. Environment variables stand in them by name.
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

/// How the work is done; cannot change the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// 0: all cores.
    pub threads: usize,
    /// Bytes of anonymous memory; none: three quarters of the machine's.
    pub memory: Option<u64>,
    /// The folder that holds the scratch folder.
    pub work: PathBuf,
    /// What an interrupted run left is removed, not gone on from.
    pub fresh: bool,
}

/// Checks values and combinations of the spec in `file`; paths are relative to `base`. In `said` its strings are as written.
pub(super) fn check(spec: &Spec, said: &Value, file: &Path, base: &Path) -> Result<Plan, Complaint> {
    positives_told_once(spec)?;
    let store_path = path(base, "store.path", &spec.store.path)?;
    let output_path = path(base, "output.path", spec.output.path.as_deref().unwrap_or_default())?;
    let groups: Vec<&str> = spec.store.groups.keys().map(String::as_str).collect();
    let mine = mine(spec, &groups)?;
    let fitting = fitting(&spec.prepare, base)?;
    let queries = |queries| self::queries(queries, spec, base, mine.metric, fitting.clone());
    let queries = spec.queries.as_ref().map(queries).transpose()?;
    let pairs = spec.pairs.as_ref().map(|pairs| links::pairs(pairs, base)).transpose()?;
    let scores = spec.scores.as_ref().map(|scores| links::scores(scores, base)).transpose()?;
    let exclude = links::exclude(&spec.mine.negatives, base)?;
    let mut resolved = serde_json::to_value(spec).map_err(|error| Complaint::new("pipeline", error.to_string()))?;
    put_back(&mut resolved, said);
    let store = store(&spec.store, store_path, base, mine.metric, fitting)?;
    let seen = Seen { resolved: &resolved, base, output: &output_path };
    let from_output = seen.places(spec, &store, queries.as_ref(), [pairs.as_ref(), scores.as_ref()], &exclude);
    let work = match spec.run.work.as_str() {
        "" => output_path.parent().unwrap_or(base).to_path_buf(),
        work => path(base, "run.work", work)?,
    };
    let output = output(spec, output_path, &mine.ask)?;
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
        mine,
        run: Run { threads: threads(spec.run.threads)?, memory: memory(&spec.run.memory)?, work, fresh: false },
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
    let path = path(base, "queries.path", &spec.path)?;
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

fn mine(spec: &Spec, groups: &[&str]) -> Result<mine::Params, Complaint> {
    let asked = &spec.mine;
    if !(asked.margin > 0.0 && asked.margin.is_finite()) {
        return Err(Complaint::new("mine.margin", "a margin must be greater than 0, in the metric's own units"));
    }
    if asked.metric == Metric::Cosine && asked.margin >= 2.0 {
        return Err(Complaint::new("mine.margin", "cosine distances end at 2, so no gap exceeds this margin"));
    }
    let ask = ask(&asked.bands)?;
    if asked.pick == NegativePick::DistanceWeighted && asked.metric != Metric::Cosine {
        let message = "weighs distances on the unit sphere; expected mine.metric = \"cosine\", or another pick";
        return Err(Complaint::new("mine.pick", message));
    }
    Ok(mine::Params {
        metric: asked.metric,
        margin: asked.margin,
        fallback: fallback(&asked.fallback, &ask)?,
        negatives: negatives(spec, groups, &ask)?,
        ask,
        pick: asked.pick,
        seed: asked.seed,
        positives: positives(spec, groups)?,
        balance: balance(spec)?,
        batches: spec.batches.as_ref().map(batches).transpose()?,
    })
}

fn ask(bands: &BandsSpec) -> Result<Ask, Complaint> {
    let named = [(Band::Hard, bands.hard), (Band::SemiHard, bands.semi_hard), (Band::Easy, bands.easy)];
    let named: Vec<(Band, u32)> = named.into_iter().filter_map(|(band, count)| Some((band, count?))).collect();
    let zero = named.iter().find(|(_, count)| *count == 0).map(|(band, _)| band.name());
    if let Some(band) = zero.or((bands.any == Some(0)).then_some("any")) {
        let message = "a count must be at least 1; leave out a band that is not wanted";
        return Err(Complaint::new(format!("mine.bands.{band}"), message));
    }
    match (bands.any, named.is_empty()) {
        (None, false) => Ok(Ask::Bands(named)),
        (Some(count), true) => Ok(Ask::Any(count)),
        (Some(_), false) => Err(Complaint::new("mine.bands", "`any` is the union of all bands and stands alone")),
        (None, true) => Err(Complaint::new("mine.bands", "asks for nothing; expected { semi-hard = 1 }, for example")),
    }
}

fn fallback(bands: &[Band], ask: &Ask) -> Result<Vec<Band>, Complaint> {
    let refuse = |message: String| Err(Complaint::new("mine.fallback", message));
    for (index, band) in bands.iter().enumerate() {
        if bands[..index].contains(band) {
            return refuse(format!("names {} twice", band.name()));
        }
        if matches!(ask, Ask::Any(_)) {
            return refuse("`any` already takes from every band".into());
        }
        if ask.wants(*band) {
            return refuse(format!("{} is asked for in mine.bands; a fallback is another band", band.name()));
        }
    }
    Ok(bands.to_vec())
}

fn positives(spec: &Spec, groups: &[&str]) -> Result<mine::Positives, Complaint> {
    let asked = &spec.mine.positives;
    match (asked.pick, asked.per_anchor) {
        (_, Some(0)) => return Err(Complaint::new("mine.positives.per_anchor", "must be at least 1")),
        (PositivePick::All, Some(_)) => {
            let message = "pick = \"all\" takes every positive; leave per_anchor out, or choose another pick";
            return Err(Complaint::new("mine.positives.per_anchor", message));
        }
        _ => {}
    }
    let min_distance = bound("mine.positives.min_distance", asked.min_distance)?;
    let max_distance = bound("mine.positives.max_distance", asked.max_distance)?;
    if let (Some(min), Some(max)) = (min_distance, max_distance)
        && min > max
    {
        let message = format!("is above mine.positives.max_distance = {max}, which leaves no positive");
        return Err(Complaint::new("mine.positives.min_distance", message));
    }
    let (same, different) = constraints("mine.positives", &asked.same, &asked.different, groups)?;
    let per_anchor = asked.per_anchor.unwrap_or(1);
    Ok(mine::Positives { pick: asked.pick, per_anchor, min_distance, max_distance, same, different })
}

fn negatives(spec: &Spec, groups: &[&str], ask: &Ask) -> Result<mine::Negatives, Complaint> {
    let asked = &spec.mine.negatives;
    let (same, different) = constraints("mine.negatives", &asked.same, &asked.different, groups)?;
    Ok(mine::Negatives {
        same,
        different,
        unlabelled: spec.store.unlabelled == Unlabelled::Negative || spec.pairs.is_some(),
        guards: guards(spec, ask)?,
        max_per_class: match asked.max_per_class {
            Some(0) => return Err(Complaint::new("mine.negatives.max_per_class", "must be at least 1")),
            Some(_) if spec.pairs.is_some() => {
                let message = "with [pairs] no row has a class; leave it out, or use labels instead of pairs";
                return Err(Complaint::new("mine.negatives.max_per_class", message));
            }
            most => most,
        },
    })
}

fn balance(spec: &Spec) -> Result<Balance, Complaint> {
    let asked = &spec.balance;
    for (key, count) in [
        ("anchors_per_class", asked.anchors_per_class.map(u64::from)),
        ("oversample_to", asked.oversample_to.map(u64::from)),
        ("max_uses", asked.max_uses.map(u64::from)),
        ("triplets", asked.triplets),
    ] {
        if count == Some(0) {
            let message = "must be at least 1; leave it out where nothing is to be limited";
            return Err(Complaint::new(format!("balance.{key}"), message));
        }
    }
    if asked.oversample_to.is_some() && spec.mine.positives.pick == PositivePick::All {
        let message =
            "mine.positives.pick = \"all\" takes every pair a class has; leave this out, or choose another pick";
        return Err(Complaint::new("balance.oversample_to", message));
    }
    let weights = match (asked.weights, asked.beta) {
        (WeightsSpec::Effective, Some(beta)) if (0.0..1.0).contains(&beta) => Weighting::Effective { beta },
        (WeightsSpec::Effective, _) => {
            return Err(Complaint::new("balance.beta", "must be at least 0 and less than 1, as in 0.999"));
        }
        (_, Some(_)) => {
            return Err(Complaint::new("balance.beta", "has a meaning only with weights = \"effective\""));
        }
        (WeightsSpec::None, None) => Weighting::None,
        (WeightsSpec::Inverse, None) => Weighting::Inverse,
    };
    let BalanceSpec { anchors_per_class, oversample_to, max_uses, triplets, .. } = *asked;
    Ok(Balance { anchors_per_class, oversample_to, max_uses, triplets, weights })
}

fn batches(asked: &BatchesSpec) -> Result<Batches, Complaint> {
    let BatchesSpec { kind, classes, per_class, size } = *asked;
    let count = |key: &str, value: Option<u32>| match value.unwrap_or(0) {
        0 | 1 => {
            Err(Complaint::new(format!("batches.{key}"), "must be at least 2: one alone has nothing to compare with"))
        }
        count => Ok(count),
    };
    let foreign = |key: &str, value: Option<u32>, own: &str| match value {
        Some(_) => {
            Err(Complaint::new(format!("batches.{key}"), format!("has no meaning with this kind, which knows {own}")))
        }
        None => Ok(()),
    };
    match kind {
        BatchKind::Pk => {
            foreign("size", size, "classes and per_class")?;
            Ok(Batches::Pk(Pk { classes: count("classes", classes)?, per_class: count("per_class", per_class)? }))
        }
        BatchKind::Triplets => {
            foreign("classes", classes, "size")?;
            foreign("per_class", per_class, "size")?;
            Ok(Batches::Triplets { size: count("size", size)? })
        }
    }
}

fn bound(key: &str, value: Option<f64>) -> Result<Option<f32>, Complaint> {
    match value.map(|value| value as f32) {
        Some(value) if !value.is_finite() => Err(Complaint::new(key, "must be a finite number")),
        value => Ok(value),
    }
}

/// Group names as positions among the store's groups.
fn constraints(
    section: &str,
    same: &[String],
    different: &[String],
    groups: &[&str],
) -> Result<(Vec<usize>, Vec<usize>), Complaint> {
    let positions = |list: &str, names: &[String]| {
        let key = format!("{section}.{list}");
        distinct(&key, names)?;
        let position = |name: &String| {
            groups.iter().position(|group| group == name).ok_or_else(|| {
                let cure = match nearest(name, groups.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("write groups = {{ {name} = \"a column\" }} in [store]"),
                };
                Complaint::new(&key, format!("no group is named \"{name}\"; {cure}"))
            })
        };
        names.iter().map(position).collect::<Result<Vec<usize>, Complaint>>()
    };
    let (agree, differ) = (positions("same", same)?, positions("different", different)?);
    match same.iter().find(|name| different.contains(name)) {
        Some(name) => {
            let message = format!("\"{name}\" is also in {section}.same; no pair both agrees and differs");
            Err(Complaint::new(format!("{section}.different"), message))
        }
        None => Ok((agree, differ)),
    }
}

fn distinct(key: &str, names: &[String]) -> Result<(), Complaint> {
    match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        Some((_, name)) => Err(Complaint::new(key, format!("names \"{name}\" twice"))),
        None => Ok(()),
    }
}

/// Columns of negatives that a row of n-tuples may have: a table of more is a mistake.
const LONGEST_TUPLE: u64 = 1_000;

fn output(spec: &Spec, path: PathBuf, ask: &Ask) -> Result<manifest::Params, Complaint> {
    let asked = &spec.output;
    let (format, layout) = (format(asked)?, asked.layout);
    let columns = columns(spec)?;
    if layout == Layout::NTuple && ask.slots() > LONGEST_TUPLE {
        let message = format!(
            "mine.bands asks for {} negatives, which would be a column each; at most 1,000, or choose labeled-list",
            ask.slots()
        );
        return Err(Complaint::new("output.layout", message));
    }
    if layout == Layout::LabeledList && matches!(format, Format::Csv(_) | Format::Npy) {
        let message = format!("cannot hold the lists of layout \"{}\"; use parquet, arrow or jsonl", layout.name());
        return Err(Complaint::new("output.format", message));
    }
    if format == Format::Npy {
        if columns != Columns::All {
            let message = "format \"npy\" holds row indices, not values; leave columns out, or choose another format";
            return Err(Complaint::new("output.columns", message));
        }
        if !spec.store.carry.is_empty() {
            let message =
                "format \"npy\" holds row indices only, so nothing is carried; leave it out, or choose another format";
            return Err(Complaint::new("store.carry", message));
        }
    }
    let (order, overwrite) = (asked.order, asked.overwrite);
    Ok(manifest::Params { path, format, layout, columns, order, split: split(spec)?, overwrite })
}

fn format(asked: &OutputSpec) -> Result<Format, Complaint> {
    let format = match asked.format {
        FormatSpec::Parquet => Format::Parquet,
        FormatSpec::Arrow => Format::Arrow,
        FormatSpec::Jsonl => Format::Jsonl,
        FormatSpec::Csv => return Ok(Format::Csv(asked.csv_formulas.unwrap_or_default())),
        FormatSpec::Npy => Format::Npy,
    };
    match asked.csv_formulas {
        None => Ok(format),
        Some(_) => {
            let message =
                format!("has a meaning only with output.format = \"csv\", not \"{}\"; leave it out", format.name());
            Err(Complaint::new("output.csv_formulas", message))
        }
    }
}

fn columns(spec: &Spec) -> Result<Columns, Complaint> {
    let asked = spec.output.columns.as_str();
    if asked == ALL_COLUMNS {
        return Ok(Columns::All);
    }
    let carried = &spec.store.carry;
    if carried.iter().any(|column| column == asked) {
        return Ok(Columns::Carried(asked.to_owned()));
    }
    let cure = match nearest(asked, carried.iter().map(String::as_str)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write carry = [\"{asked}\"] in [store]"),
    };
    Err(Complaint::new("output.columns", format!("expected \"all\" or a carried column; {cure}")))
}

fn split(spec: &Spec) -> Result<Split, Complaint> {
    let asked = &spec.output;
    let Some(shards) = asked.shards else {
        return match asked.rows_per_file.unwrap_or(ROWS_PER_FILE) {
            0 => Err(Complaint::new("output.rows_per_file", "must be at least 1")),
            rows => Ok(Split::Rows(rows)),
        };
    };
    let refuse = |message: String| Err(Complaint::new("output.shards", message));
    if asked.rows_per_file.is_some() {
        return refuse(
            "decides how many rows a file has, and so does output.rows_per_file; leave one of them out".into(),
        );
    }
    if !(1..=10_000).contains(&shards) {
        return refuse("must be from 1 to 10,000".into());
    }
    match asked.order {
        Order::EasyToHard | Order::HardToEasy => Ok(Split::Shards(shards)),
        Order::Anchor | Order::Random => refuse(format!(
            "cuts rows by their gap, which output.order = \"{}\" does not sort by; choose easy-to-hard or hard-to-easy, or \
             rows_per_file instead",
            asked.order.name()
        )),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
pub(super) mod tests;
