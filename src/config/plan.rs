//! The checked pipeline: what every later room takes as given.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::{Complaint, nearest};
use super::guards::guards;
use super::paths::{path, seen_from};
use super::prepare::{fitting, matrix_file};
use super::size::parse_size;
use super::spec::{BandsSpec, Spec, StoreSpec, Unlabelled};
use crate::kernel::Metric;
use crate::mine::{Ask, Band, NegativePick, PositivePick};
use crate::store::Fitting;
use crate::{manifest, mine, search, store};

/// A pipeline, checked, every default filled in.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The file it was read from.
    pub file: PathBuf,
    pub name: String,
    pub store: store::Params,
    pub search: search::Params,
    pub mine: mine::Params,
    pub output: manifest::Params,
    pub run: Run,
    /// The pipeline as resolved: what the result depends on, with paths as written.
    pub resolved: Value,
    /// The store's path as the manifest names it: as written if absolute, else seen from the output folder, so that
    /// both can move together.
    pub store_from_output: String,
    /// The path of `prepare.transform` in the same way, where it is a file.
    pub matrix_from_output: Option<String>,
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
}

/// Checks values and combinations of the spec in `file`; paths are relative to `base`.
pub(super) fn check(spec: &Spec, file: &Path, base: &Path) -> Result<Plan, Complaint> {
    let store_path = path(base, "store.path", &spec.store.path)?;
    let output_path = path(base, "output.path", spec.output.path.as_deref().unwrap_or_default())?;
    let groups: Vec<&str> = spec.store.groups.keys().map(String::as_str).collect();
    let mine = mine(spec, &groups)?;
    let from_output = |written: &str, path: &Path| match Path::new(written).is_absolute() {
        true => written.to_owned(),
        false => seen_from(&output_path, path),
    };
    let store_from_output = from_output(&spec.store.path, &store_path);
    let fitting = fitting(&spec.prepare, base)?;
    let matrix_from_output = matrix_file(&fitting).map(|path| from_output(&spec.prepare.transform, path));
    let work = match spec.run.work.as_str() {
        "" => output_path.parent().unwrap_or(base).to_path_buf(),
        work => path(base, "run.work", work)?,
    };
    Ok(Plan {
        file: file.to_path_buf(),
        name: spec.name.clone().unwrap_or_default(),
        store: store(&spec.store, store_path, mine.metric, fitting)?,
        search: search(spec)?,
        mine,
        output: output(spec, output_path)?,
        run: Run { threads: threads(spec.run.threads)?, memory: memory(&spec.run.memory)?, work },
        resolved: serde_json::to_value(spec).map_err(|error| Complaint::new("pipeline", error.to_string()))?,
        store_from_output,
        matrix_from_output,
    })
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

fn store(spec: &StoreSpec, path: PathBuf, metric: Metric, fitting: Fitting) -> Result<store::Params, Complaint> {
    for (key, text) in [("store.embedding", &spec.embedding), ("store.label", &spec.label)] {
        if text.trim().is_empty() {
            return Err(Complaint::new(key, "is empty; expected a column"));
        }
    }
    distinct("store.carry", &spec.carry)?;
    Ok(store::Params {
        path,
        id: spec.id.clone(),
        embedding: spec.embedding.clone(),
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
    })
}

fn ask(bands: &BandsSpec) -> Result<Ask, Complaint> {
    let named = [(Band::Hard, bands.hard), (Band::SemiHard, bands.semi_hard), (Band::Easy, bands.easy)];
    let named: Vec<(Band, u32)> = named.into_iter().filter_map(|(band, count)| Some((band, count?))).collect();
    if named.iter().any(|&(_, count)| count == 0) || bands.any == Some(0) {
        return Err(Complaint::new("mine.bands", "a count must be at least 1; leave out a band that is not wanted"));
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
        match ask {
            Ask::Any(_) => return refuse("`any` already takes from every band".into()),
            Ask::Bands(asked) if asked.iter().any(|(asked, _)| asked == band) => {
                return refuse(format!("{} is asked for in mine.bands; a fallback is another band", band.name()));
            }
            Ask::Bands(_) => {}
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
        unlabelled: spec.store.unlabelled == Unlabelled::Negative,
        guards: guards(spec, ask)?,
        max_per_class: match asked.max_per_class {
            Some(0) => return Err(Complaint::new("mine.negatives.max_per_class", "must be at least 1")),
            most => most,
        },
    })
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

fn output(spec: &Spec, path: PathBuf) -> Result<manifest::Params, Complaint> {
    let asked = &spec.output;
    if asked.rows_per_file == 0 {
        return Err(Complaint::new("output.rows_per_file", "must be at least 1"));
    }
    Ok(manifest::Params {
        path,
        format: asked.format,
        order: asked.order,
        rows_per_file: asked.rows_per_file,
        overwrite: asked.overwrite,
    })
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
