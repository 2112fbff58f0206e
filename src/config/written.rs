//! A pipeline as it was written: where a key stands, and what it says there.

use std::ops::Range;
use std::path::PathBuf;

use serde_json::Value;

use super::environment::Environment;
use super::error::{Complaint, ConfigError, KeyError, Named, Place};
use super::excerpt::{self, Part};
use crate::words::{unsigned, without_credentials};

/// The text of a pipeline file, and what `--set` made of it.
#[derive(Debug, Clone)]
pub struct Written {
    pub(super) file: PathBuf,
    pub(super) text: String,
    /// Environment variables stand in it by name, never by value.
    pub(super) table: toml::Table,
    pub(super) set: Vec<String>,
}

impl Written {
    /// What is wrong with a key, told with its place.
    pub(super) fn complain(&self, complaint: Complaint, environment: &Environment) -> ConfigError {
        let Complaint { key, message, part } = complaint;
        let error = KeyError {
            file: self.file.clone(),
            place: self.place(&key, &part),
            found: self.found(&key),
            excerpt: self.excerpt(&key, &part),
            message: without_credentials(&environment.hide(&message)).into_owned(),
            key,
        };
        Box::new(error).into()
    }

    /// An error about what a key names, told with the place of the key.
    pub fn named(&self, key: &str, source: anyhow::Error) -> Named {
        Named {
            file: self.file.clone(),
            place: self.place(key, &Part::Value),
            found: self.found(key),
            excerpt: self.excerpt(key, &Part::Value),
            key: key.to_owned(),
            source,
        }
    }

    fn found(&self, key: &str) -> Option<String> {
        let value = lookup(&self.table, key).filter(|value| !value.is_table())?;
        Some(without_credentials(&shown(value).to_string()).into_owned())
    }

    /// The pipeline as a tree, defaults not filled in, but for what queries, pairs and scores do not say and the store does.
    pub(super) fn said(&self) -> Value {
        let mut said = serde_json::to_value(&self.table).unwrap_or_default();
        let store = said.get("store").and_then(Value::as_object).cloned().unwrap_or_default();
        for section in ["queries", "pairs", "scores"] {
            if let Some(section) = said.get_mut(section).and_then(Value::as_object_mut) {
                store.iter().for_each(|(key, value)| {
                    section.entry(key).or_insert_with(|| value.clone());
                });
            }
        }
        said
    }

    /// What is wrong with an expression, as only the data shows: with all of it, or these bytes. `text` is what it says where
    /// nobody wrote it.
    pub fn refuted(
        &self,
        section: &str,
        key: &str,
        text: &str,
        message: String,
        bytes: Option<Range<usize>>,
    ) -> ConfigError {
        let own = format!("{section}.{key}");
        // What [queries] and [pairs] do not say, [store] says.
        let inherited = format!("store.{key}");
        let said = if lookup(&self.table, &own).is_some() { &own } else { &inherited };
        let part = bytes.map_or(Part::Value, Part::Within);
        let error = KeyError {
            file: self.file.clone(),
            place: self.place(said, &part),
            found: self.found(said).or_else(|| Some(format!("{text:?}"))),
            excerpt: self.excerpt(said, &part),
            key: own,
            message,
        };
        Box::new(error).into()
    }

    /// The line of the file that says what a key is, with a caret under a part of it; or the `--set` that does.
    pub fn excerpt(&self, key: &str, part: &Part) -> Option<String> {
        match overriding(&self.set, key) {
            Some(argument) => Some(format!("  = by --set {}", unsigned(argument))),
            None => excerpt::excerpt(&self.text, key, part),
        }
    }

    fn place(&self, key: &str, part: &Part) -> Place {
        Place(if overriding(&self.set, key).is_some() { None } else { excerpt::place(&self.text, key, part) })
    }
}

/// A value without signatures, whatever quotes they have in them.
fn shown(value: &toml::Value) -> toml::Value {
    match value {
        toml::Value::String(text) => toml::Value::String(unsigned(text).into_owned()),
        toml::Value::Array(items) => toml::Value::Array(items.iter().map(shown).collect()),
        other => other.clone(),
    }
}

/// The value at a dotted key; elements of lists are `key[0]`.
fn lookup<'a>(table: &'a toml::Table, key: &str) -> Option<&'a toml::Value> {
    let mut parts = key.split(['.', '[']);
    let first = table.get(parts.next()?)?;
    parts.try_fold(first, |value, part| match part.strip_suffix(']') {
        Some(index) => value.get(index.parse::<usize>().ok()?),
        None => value.get(part),
    })
}

/// The `--set` that gave the value of a key, or of a section or list around it.
fn overriding<'a>(set: &'a [String], key: &str) -> Option<&'a String> {
    set.iter().rev().find(|argument| {
        let path = argument.split_once('=').map_or("", |(path, _)| path.trim());
        key.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}
