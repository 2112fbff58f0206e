//! From a file to a plan: text, overrides, environment, known keys, types, values.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::error::{Complaint, ConfigError, Place};
use super::paths;
use super::plan::{self, Places, Plan};
use super::prepare::matrix_file;
use super::schema::check_keys;
use super::spec::{BatchesSpec, FormatSpec, ROWS_PER_FILE, Spec, WeightsSpec};
use super::written::Written;
use crate::mine::PositivePick;

/// Reads a pipeline file, applies `--set key=value` overrides, and checks everything.
///
/// # Errors
/// A file that cannot be read or is not TOML; an override without `=`; a `${NAME}` that is not set; an unknown key; a
/// value of the wrong type; a value or a combination that makes no sense.
pub fn load(file: &Path, set: &[String]) -> Result<Plan, ConfigError> {
    let text = read(file)?;
    let syntax = |source| ConfigError::Syntax { file: file.into(), source: Box::new(source) };
    let mut table: toml::Table = text.parse().map_err(syntax)?;
    for argument in set {
        apply(&mut table, argument).map_err(|message| ConfigError::Set { argument: argument.clone(), message })?;
    }
    let written = Written { file: file.into(), text, table: table.clone(), set: set.to_vec() };
    let stem = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let checked = understand(&mut table).and_then(|mut spec| {
        spec.output.path.get_or_insert_with(|| format!("out/{stem}"));
        spec.name.get_or_insert(stem);
        if spec.mine.positives.pick != PositivePick::All {
            spec.mine.positives.per_anchor.get_or_insert(1);
        }
        fill_in(&mut spec);
        if spec.output.shards.is_none() {
            spec.output.rows_per_file.get_or_insert(ROWS_PER_FILE);
        }
        if spec.output.format == FormatSpec::Csv {
            spec.output.csv_formulas.get_or_insert_default();
        }
        if spec.balance.weights == WeightsSpec::Effective {
            spec.balance.beta.get_or_insert(0.999);
        }
        spec.batches.iter_mut().for_each(BatchesSpec::fill);
        let plan = plan::check(&spec, file, file.parent().unwrap_or(Path::new("")))?;
        for (section, path) in plan.places().inputs() {
            paths::apart(section.name(), path, &plan.output.path)?;
        }
        if let Some(matrix) = matrix_file(&plan.store.fitting) {
            paths::apart("transform", matrix, &plan.output.path)?;
        }
        Ok(plan)
    });
    match checked {
        Ok(plan) => Ok(Plan { written: Some(written), ..plan }),
        Err(complaint) => Err(written.complain(complaint)),
    }
}

/// A file larger than this is no pipeline.
const LARGEST: u64 = 1 << 20;

fn read(file: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Read { file: file.into(), source };
    let no_text = |found| ConfigError::NoText { file: file.into(), found };
    let mut bytes = Vec::new();
    File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST {
        return Err(no_text(format!("it is larger than {LARGEST} bytes, as no pipeline is")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        no_text(format!("found byte 0x{:02x} in line {line}, expected UTF-8; save it as UTF-8", error.as_bytes()[at]))
    })
}

/// What queries, pairs and scores do not say, the store says.
fn fill_in(spec: &mut Spec) {
    let store = &spec.store;
    if let Some(queries) = &mut spec.queries {
        if queries.id.is_none() {
            queries.id = store.id.clone();
        }
        if queries.label.is_none() && spec.pairs.is_none() {
            queries.label = store.label.clone();
        }
        queries.embedding.get_or_insert_with(|| store.embedding.clone());
        queries.groups.get_or_insert_with(|| store.groups.clone());
        queries.carry.get_or_insert_with(|| store.carry.clone());
        queries.bad_rows.get_or_insert(store.bad_rows);
    }
    let of_links =
        [spec.pairs.as_mut().map(|pairs| &mut pairs.bad_rows), spec.scores.as_mut().map(|scores| &mut scores.bad_rows)];
    for bad_rows in of_links.into_iter().flatten() {
        bad_rows.get_or_insert(store.bad_rows);
    }
}

/// The plan that a manifest's `pipeline` describes, over inputs and an output that may have moved since.
///
/// # Errors
/// When the description is not one that this version writes.
pub fn restore(pipeline: &Value, inputs: &Places, output: &Path) -> Result<Plan, ConfigError> {
    let complain = |Complaint { key, message }| ConfigError::Key {
        file: output.join("manifest.json"),
        place: Place::default(),
        key: format!("pipeline.{key}"),
        found: None,
        message,
    };
    let spec: Spec = serde_path_to_error::deserialize(pipeline).map_err(|error| complain(wrong_type(&error)))?;
    let mut plan = plan::check(&spec, &output.join("manifest.json"), Path::new("")).map_err(complain)?;
    plan.store.path = inputs.store.clone();
    for (path, moved) in [
        (plan.queries.as_mut().map(|queries| &mut queries.path), &inputs.queries),
        (plan.pairs.as_mut().map(|pairs| &mut pairs.path), &inputs.pairs),
        (plan.scores.as_mut().map(|scores| &mut scores.path), &inputs.scores),
    ] {
        if let (Some(path), Some(moved)) = (path, moved) {
            path.clone_from(moved);
        }
    }
    plan.output.path = output.into();
    Ok(plan)
}

fn understand(table: &mut toml::Table) -> Result<Spec, Complaint> {
    substitute(table, "")?;
    check_keys(table)?;
    let has = |section: &str| table.contains_key(section);
    for (section, key, what, needed) in [
        ("store", "path", "a Parquet file, a glob or a directory", true),
        ("store", "embedding", "the column of vectors", true),
        ("queries", "path", "a Parquet file, a glob or a directory", has("queries")),
        ("pairs", "path", "a Parquet file, a glob or a directory", has("pairs")),
        ("scores", "path", "a Parquet file, a glob or a directory", has("scores")),
    ] {
        let present = table.get(section).and_then(|section| section.get(key)).is_some();
        if needed && !present {
            return Err(Complaint::new(format!("{section}.{key}"), format!("is missing; expected {what}")));
        }
    }
    serde_path_to_error::deserialize(toml::Value::Table(table.clone())).map_err(|error| wrong_type(&error))
}

/// A type error in words that name no Rust type.
fn wrong_type<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> Complaint {
    let text = error.inner().to_string();
    let mut message = text.lines().next().unwrap_or_default().to_owned();
    for (rust, plain) in [
        ("expected f64", "expected a number"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected u32", "expected a whole number, 0 or more"),
        ("expected u16", "expected a whole number from 0 to 65,535"),
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected a sequence", "expected a list"),
        ("expected a map", "expected a table"),
        ("expected struct ", "expected a table: "),
    ] {
        message = message.replace(rust, plain);
    }
    Complaint::new(error.path().to_string(), message)
}

/// Parts of a key, with some room: one that is not known is told by what it is near to.
const MOST_PARTS: usize = 8;

/// `a.b=value`: the value is TOML if it parses as such, else a string.
fn apply(table: &mut toml::Table, argument: &str) -> Result<(), String> {
    let Some((path, text)) = argument.split_once('=') else {
        return Err("expected key=value, as in mine.margin=0.3".into());
    };
    let (path, text) = (path.trim(), text.trim());
    let value = format!("v = {text}").parse::<toml::Table>().ok().and_then(|mut parsed| parsed.remove("v"));
    let value = value.unwrap_or_else(|| toml::Value::String(text.into()));
    let mut keys: Vec<&str> = path.split('.').collect();
    let last = keys.pop().filter(|key| !key.is_empty()).ok_or("the key is empty")?;
    if keys.len() >= MOST_PARTS {
        return Err(format!("a key of {} parts; none has more than {MOST_PARTS}", keys.len() + 1));
    }
    let mut inner = table;
    for key in keys {
        let entry = inner.entry(key).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        inner = entry.as_table_mut().ok_or_else(|| format!("`{key}` is no section"))?;
    }
    inner.insert(last.into(), value);
    Ok(())
}

/// Replaces `${NAME}` in every string by the environment variable; `$${` stands for `${` itself.
fn substitute(table: &mut toml::Table, path: &str) -> Result<(), Complaint> {
    for (key, value) in table.iter_mut() {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        substitute_value(value, &full)?;
    }
    Ok(())
}

fn substitute_value(value: &mut toml::Value, path: &str) -> Result<(), Complaint> {
    match value {
        toml::Value::String(text) => *text = expand(text, path)?,
        toml::Value::Array(items) => items.iter_mut().try_for_each(|item| substitute_value(item, path))?,
        toml::Value::Table(inner) => substitute(inner, path)?,
        _ => {}
    }
    Ok(())
}

fn expand(text: &str, key: &str) -> Result<String, Complaint> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            out.push_str(&rest[..at]);
            out.push('{');
            rest = &rest[at + 2..];
            continue;
        }
        let name = rest[at + 2..].split_once('}').map(|(name, _)| name);
        let name = name.ok_or_else(|| Complaint::new(key, "`${` without `}`; write `$${` for a plain `${`"))?;
        let value = std::env::var(name).map_err(|_| {
            Complaint::new(key, format!("the environment variable {name} is not set; `$${{` stands for a plain `${{`"))
        })?;
        out.push_str(&rest[..at]);
        out.push_str(&value);
        rest = &rest[at + name.len() + 3..];
    }
    out.push_str(rest);
    Ok(out)
}
