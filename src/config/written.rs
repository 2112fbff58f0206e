//! A pipeline as it was written: where a key stands, and what it says there.

use std::path::PathBuf;

use serde_json::Value;

use super::environment::Environment;
use super::error::{Complaint, ConfigError, Place};
use crate::words::without_credentials;

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
    pub(super) fn complain(&self, Complaint { key, message }: Complaint, environment: &Environment) -> ConfigError {
        ConfigError::Key {
            file: self.file.clone(),
            place: self.place(&key),
            found: self.found(&key),
            message: without_credentials(&environment.hide(&message)).into_owned(),
            key,
        }
    }

    fn found(&self, key: &str) -> Option<String> {
        let value = lookup(&self.table, key).filter(|value| !value.is_table())?;
        Some(without_credentials(&value.to_string()).into_owned())
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

    /// What is wrong with the text of a key of a section, as only the data shows. `text` is what it says where nobody wrote it.
    pub fn refuted(&self, section: &str, key: &str, text: &str, message: String) -> ConfigError {
        let own = format!("{section}.{key}");
        // What [queries] and [pairs] do not say, [store] says.
        let inherited = format!("store.{key}");
        let place = self.place(&own).0.or_else(|| self.place(&inherited).0);
        let found = self.found(&own).or_else(|| self.found(&inherited));
        ConfigError::Key {
            file: self.file.clone(),
            place: Place(place),
            key: own,
            found: found.or_else(|| Some(format!("{text:?}"))),
            message,
        }
    }

    fn place(&self, key: &str) -> Place {
        Place(if overrides(&self.set, key) { None } else { place(&self.text, key) })
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

/// Whether a `--set` gave the value of a key, or of a section or list around it.
fn overrides(set: &[String], key: &str) -> bool {
    set.iter().filter_map(|argument| argument.split_once('=')).any(|(path, _)| {
        key.strip_prefix(path.trim()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// Line and column of a key in the file, from 1; of a list's element, those of the list.
fn place(text: &str, key: &str) -> Option<(usize, usize)> {
    let root = toml::de::DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let list = key.split('[').next()?;
    let mut keys = list.split('.').peekable();
    loop {
        let name = keys.next()?;
        let (found, value) = table.iter().find(|(key, _)| key.get_ref() == name)?;
        if keys.peek().is_none() {
            let before = &text[..found.span().start];
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
            return Some((line, column));
        }
        table = value.get_ref().as_table()?;
    }
}
