//! From a file to a plan: text, overrides, environment, known keys, types, values.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::environment::Environment;
use super::error::{Complaint, ConfigError, Place};
use super::plan::{self, Plan};
use super::prepare::matrix_file;
use super::schema::check_keys;
use super::spec::{BatchesSpec, FormatSpec, ROWS_PER_FILE, Spec, WeightsSpec};
use super::written::Written;
use super::{excerpt, paths};
use crate::mine::PositivePick;
use crate::words::unsigned;

/// Reads a pipeline file, applies `--set key=value` overrides, and checks everything.
///
/// # Errors
/// A file that cannot be read or is not TOML; an override without `=`; a `${NAME}` that is not set; an unknown key; a
/// value of the wrong type; a value or a combination that makes no sense.
pub fn load(file: &Path, set: &[String]) -> Result<Plan, ConfigError> {
    let text = read(file)?;
    let mut table: toml::Table = text.parse().map_err(|error| no_toml(file, &text, &error))?;
    for argument in set {
        let wrong = |message| ConfigError::Set { argument: unsigned(argument).into_owned(), message };
        apply(&mut table, argument).map_err(wrong)?;
    }
    let written = Written { file: file.into(), text, table: table.clone(), set: set.to_vec() };
    let stem = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let mut environment = Environment::default();
    let checked = environment.expand_table(&mut table, "").and_then(|()| understand(&table)).and_then(|mut spec| {
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
        let plan = plan::check(&spec, &written.said(), file, file.parent().unwrap_or(Path::new("")))?;
        for (section, path) in plan.places().inputs() {
            paths::apart(section.told(), path, &plan.target)?;
        }
        for (role, path) in plan.places().arrays() {
            paths::apart(role, path, &plan.target)?;
        }
        if let Some(matrix) = matrix_file(&plan.store.fitting) {
            paths::apart("transform", matrix, &plan.target)?;
        }
        Ok(plan)
    });
    match checked {
        Ok(plan) => Ok(Plan { written: Some(written), environment, ..plan }),
        Err(complaint) => Err(written.complain(complaint, &environment)),
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

/// Not the parser's own excerpt: a quote in a signature ends a string, and the rest of the line would be shown.
fn no_toml(file: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    ConfigError::Syntax {
        file: file.into(),
        place: Place(error.span().map(|span| excerpt::line_and_column(text, span.start))),
        message: error.message().replace('\n', ", "),
        excerpt: error.span().map(|span| excerpt::marked(text, span)),
    }
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
        if queries.embedding.is_none() && queries.vectors.is_none() {
            queries.embedding = store.embedding.clone();
        }
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

fn understand(table: &toml::Table) -> Result<Spec, Complaint> {
    check_keys(table)?;
    let has = |section: &str| table.contains_key(section);
    for (section, key, what, needed) in [
        ("store", "path", "a Parquet file, a glob or a directory", true),
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
pub(super) fn wrong_type<E: std::fmt::Display>(error: &serde_path_to_error::Error<E>) -> Complaint {
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
    let quoted = text.strip_prefix("invalid type: string \"").and_then(|rest| rest.split_once("\", expected "));
    if quoted.is_some_and(|(value, _)| value.parse::<f64>().is_ok() || value.parse::<bool>().is_ok()) {
        message += "; leave out the quotes";
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
