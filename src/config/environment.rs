//! Environment variables in a pipeline: `${NAME}` in any string.
//!
//! A value may be a secret. It goes where it is used, into a path or an expression, and nowhere else: what is kept of a pipeline
//! has the text as written, and beside it a [proof](Environment::proofs) of the value; what is shown has `${NAME}` in the value's
//! place.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::env::VarError;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use serde_json::Value;

use super::error::Complaint;
use super::veil;

/// The variables that a pipeline names, and their values.
#[derive(Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
    /// Folders of this machine that are shown as what they are copies of, and how.
    copies: Vec<(String, String)>,
    /// What a manifest tells of values, where the pipeline is one of the past.
    recorded: Option<Recorded>,
}

#[derive(Clone)]
struct Recorded {
    proofs: BTreeMap<String, String>,
    store: String,
}

/// A value could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the environment variable {name} cannot be hashed: {source}")]
pub struct ProofError {
    name: String,
    source: argon2::Error,
}

/// What proofs are derived for: another purpose would give others.
const CONTEXT: &str = "triplet_miner 2026-11 environment variable of a pipeline";

impl Environment {
    /// The environment of a run of the past, as its manifest tells; `store` is the fingerprint of that run's store.
    pub(super) fn recorded(proofs: &BTreeMap<String, String>, store: &str) -> Self {
        Self {
            values: BTreeMap::new(),
            copies: Vec::new(),
            recorded: Some(Recorded { proofs: proofs.clone(), store: store.to_owned() }),
        }
    }

    /// A hash of the value of each variable that `texts` name: equal where the values are equal, so that another value makes
    /// another run, without telling what it is.
    ///
    /// Whoever holds a manifest holds all that goes into this hash but the value, and can try guesses; no key could be secret to
    /// them, as a later run must find the same. So a guess is made dear: Argon2id (RFC 9106) with 19 MiB and 2 passes, tens of
    /// milliseconds of a core each, which OWASP gives as the least for passwords. The salt is of the variable's name and the `store`'s
    /// fingerprint: guesses cannot be tried beforehand, nor on two stores at once. **The limit:** a value of few choices, such as
    /// four digits, is still found within minutes, and who has the store, too, can compare a guess's triplets. 64 bits are kept:
    /// that two values meet is as good as impossible.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn proofs(&self, texts: &[&Value], store: &str) -> Result<BTreeMap<String, String>, ProofError> {
        let mut names = BTreeSet::new();
        texts.iter().for_each(|text| collect_names(text, &mut names));
        let values = names.into_iter().filter_map(|name| self.values.get_key_value(&name));
        values.map(|(name, value)| Ok((name.clone(), proof(name, value, store)?))).collect()
    }

    /// A text with the values in the place of the names; `$${` stands for `${` itself.
    pub(super) fn expand(&mut self, key: &str, text: &str) -> Result<String, Complaint> {
        let pieces =
            pieces(text).ok_or_else(|| Complaint::new(key, "`${` without `}`; write `$${` for a plain `${`"))?;
        let mut expanded = String::new();
        for piece in pieces {
            expanded.push_str(match piece {
                Piece::Plain(text) => text,
                Piece::Variable(name) => self.value(key, name)?,
            });
        }
        Ok(expanded)
    }

    /// The bytes of a text as `written` that became these of the expanded one; a variable is whole.
    pub fn unexpanded(&self, written: &str, bytes: Range<usize>) -> Option<Range<usize>> {
        let (mut begin, mut end, mut expanded) = (None, None, 0);
        let mut read = 0;
        for piece in pieces(written)? {
            let (here, length, plain) = match piece {
                // Of `$${` the second character is in no piece.
                Piece::Plain("{") if written[read..].starts_with("${") => (2, 1, false),
                Piece::Plain(text) => (text.len(), text.len(), true),
                Piece::Variable(name) => (name.len() + 3, self.values.get(name)?.len(), false),
            };
            let within = |at: usize, edge: usize| read + if plain { at - expanded } else { edge };
            if (expanded..expanded + length).contains(&bytes.start) {
                begin = Some(within(bytes.start, 0));
            }
            if (expanded + 1..=expanded + length).contains(&bytes.end) {
                end = Some(within(bytes.end, here));
            }
            (read, expanded) = (read + here, expanded + length);
        }
        let begin = begin.unwrap_or(read);
        Some(begin..end.unwrap_or(begin).max(begin))
    }

    fn value(&mut self, key: &str, name: &str) -> Result<&str, Complaint> {
        if !self.values.contains_key(name) {
            let value = std::env::var(name).map_err(|error| {
                let found = match error {
                    VarError::NotPresent => "is not set",
                    VarError::NotUnicode(_) => "is no text in UTF-8",
                };
                let cure = match self.recorded {
                    Some(_) => "set it to what it was when this output was made",
                    None => "`$${` stands for a plain `${`",
                };
                Complaint::new(key, format!("the environment variable {name} {found}; {cure}"))
            })?;
            self.check(key, name, &value)?;
            self.values.insert(name.to_owned(), value);
        }
        Ok(&self.values[name])
    }

    /// Whether a value is the one that a manifest tells of.
    fn check(&self, key: &str, name: &str, value: &str) -> Result<(), Complaint> {
        let Some(Recorded { proofs, store }) = &self.recorded else { return Ok(()) };
        let complain =
            |found: &str| Err(Complaint::new(key, format!("{found}; set it to what it was when this output was made")));
        let found = proof(name, value, store).map_err(|error| Complaint::new(key, error.to_string()))?;
        match proofs.get(name) {
            Some(recorded) if *recorded == found => Ok(()),
            Some(_) => complain(&format!("the environment variable {name} has another value than it had then")),
            None => Err(Complaint::new(
                key,
                format!(
                    "the manifest does not tell of the environment variable {name}; it was changed since it was written"
                ),
            )),
        }
    }

    /// Also those that are set and that nothing asked for, so that their values are not shown either.
    pub(super) fn know_all_recorded(&mut self) {
        for name in self.recorded.iter().flat_map(|recorded| recorded.proofs.keys()) {
            if let (false, Ok(value)) = (self.values.contains_key(name), std::env::var(name)) {
                self.values.insert(name.clone(), value);
            }
        }
    }

    /// Shows a folder, and what is in it, under another name from here on.
    pub fn call(&mut self, folder: &Path, name: &str) {
        let (folder, name) = (folder.display().to_string(), self.hide(name).into_owned());
        // Patterns give the files in it without the `./`.
        let bare = folder.strip_prefix("./").map(str::to_owned);
        self.copies.extend([Some(folder), bare].into_iter().flatten().map(|folder| (folder, name.clone())));
    }

    /// A text as it may be shown: each value in it, as written or in another's quotes, gives way to `${NAME}`.
    ///
    /// Values of less than four characters stay. They would be found where they are not meant, and who wants to guess one needs no
    /// help.
    pub fn hide<'a>(&self, text: &'a str) -> Cow<'a, str> {
        veil::hide(text, &veil::values(&self.values, &self.copies))
    }

    /// The same of what is said about an expression with values in it, of which parsers quote single words: those, too, give way.
    pub fn hide_words<'a>(&self, text: &'a str) -> Cow<'a, str> {
        veil::hide(text, &veil::values_and_words(&self.values, &self.copies))
    }

    /// A path as it may be shown.
    pub fn hide_path(&self, path: &Path) -> PathBuf {
        match path.to_str().map(|text| self.hide(text)) {
            Some(Cow::Owned(hidden)) => hidden.into(),
            _ => path.to_path_buf(),
        }
    }

    /// Puts the values into every string of a table.
    pub(super) fn expand_toml(&mut self, value: &mut toml::Value, key: &str) -> Result<(), Complaint> {
        match value {
            toml::Value::String(text) => *text = self.expand(key, text)?,
            toml::Value::Array(items) => items.iter_mut().try_for_each(|item| self.expand_toml(item, key))?,
            toml::Value::Table(table) => self.expand_table(table, key)?,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn expand_table(&mut self, table: &mut toml::Table, key: &str) -> Result<(), Complaint> {
        table.iter_mut().try_for_each(|(name, value)| self.expand_toml(value, &dotted(key, name)))
    }

    /// Puts the values into every string of a resolved pipeline, but for those at some keys.
    pub(super) fn expand_json(&mut self, value: &mut Value, key: &str, except: &[&str]) -> Result<(), Complaint> {
        match value {
            _ if except.contains(&key) => {}
            Value::String(text) => *text = self.expand(key, text)?,
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.expand_json(item, key, except))?,
            Value::Object(fields) => {
                fields.iter_mut().try_for_each(|(name, value)| self.expand_json(value, &dotted(key, name), except))?
            }
            _ => {}
        }
        Ok(())
    }
}

/// Names alone: a value that a log shows is no secret any more.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

fn proof(name: &str, value: &str, store: &str) -> Result<String, ProofError> {
    // No name of a variable has a NUL in it.
    let salt = blake3::derive_key(CONTEXT, [name, "\0", store].concat().as_bytes());
    let mut hash = [0; 8];
    // Not the crate's defaults: a later version's would make other proofs.
    Params::new(19 << 10, 2, 1, Some(hash.len()))
        .map(|params| Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
        .and_then(|argon2| argon2.hash_password_into(value.as_bytes(), &salt, &mut hash))
        .map_err(|source| ProofError { name: name.to_owned(), source })?;
    Ok(format!("{:016x}", u64::from_be_bytes(hash)))
}

fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// Text between variables, and variables.
enum Piece<'a> {
    Plain(&'a str),
    Variable(&'a str),
}

/// The pieces of a text; none where a `${` has no end.
fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            pieces.extend([Piece::Plain(&rest[..at]), Piece::Plain("{")]);
            rest = &rest[at + 2..];
            continue;
        }
        let (name, after) = rest[at + 2..].split_once('}')?;
        pieces.extend([Piece::Plain(&rest[..at]), Piece::Variable(name)]);
        rest = after;
    }
    pieces.push(Piece::Plain(rest));
    Some(pieces)
}

/// A text that means itself.
pub(super) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

fn collect_names(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            names.extend(pieces(text).unwrap_or_default().into_iter().filter_map(|piece| match piece {
                Piece::Variable(name) => Some(name.to_owned()),
                Piece::Plain(_) => None,
            }))
        }
        Value::Array(items) => items.iter().for_each(|item| collect_names(item, names)),
        Value::Object(fields) => fields.values().for_each(|field| collect_names(field, names)),
        _ => {}
    }
}

/// Brings the strings of a resolved pipeline back to what was `written` at their keys.
pub(super) fn put_back(resolved: &mut Value, written: &Value) {
    match (resolved, written) {
        (Value::String(text), Value::String(written)) if written.contains("${") => text.clone_from(written),
        (Value::Array(items), Value::Array(written)) => {
            items.iter_mut().zip(written).for_each(|(item, written)| put_back(item, written));
        }
        (Value::Object(fields), Value::Object(written)) => {
            for (key, field) in fields {
                written.get(key).into_iter().for_each(|written| put_back(field, written));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(value: &str) -> Environment {
        Environment { values: BTreeMap::from([("TOKEN".to_owned(), value.to_owned())]), ..Environment::default() }
    }

    #[test]
    fn a_proof_is_of_name_value_and_store_and_tells_none() {
        let texts = json!({ "store": { "where": "a = '${TOKEN}'", "path": "$${OTHER}" } });
        let proofs = environment("hunter2").proofs(&[&texts], "f00d").unwrap();
        // Pinned: another would make every run with a variable another run.
        assert_eq!(proofs, BTreeMap::from([("TOKEN".to_owned(), "9aab897f81f5b140".to_owned())]));
        let other = |value: &str, store: &str| environment(value).proofs(&[&texts], store).unwrap();
        assert_ne!(proofs, other("hunter3", "f00d"));
        assert_ne!(proofs, other("hunter2", "f00e"));
        assert_ne!(proof("A", "x", "y").unwrap(), proof("B", "x", "y").unwrap());
        assert_eq!(environment("x").proofs(&[&json!("plain")], "f00d").unwrap(), BTreeMap::new());
    }

    #[test]
    fn strings_come_back_as_written_and_others_stay() {
        let mut resolved = json!({ "a": "x", "b": ["y", "z"], "c": { "d": 1 }, "e": "default" });
        put_back(&mut resolved, &json!({ "a": "${A}", "b": ["y", "$${B}"], "c": { "d": "${D}" }, "f": "${F}" }));
        assert_eq!(resolved, json!({ "a": "${A}", "b": ["y", "$${B}"], "c": { "d": 1 }, "e": "default" }));
    }

    #[test]
    fn a_place_in_an_expanded_text_is_found_in_the_written_one() {
        let written = "ab $${ ${TOKEN} cd";
        let mut environment = environment("hunter2");
        assert_eq!(environment.expand("key", written).unwrap(), "ab ${ hunter2 cd");
        for (bytes, expected) in [(0..2, "ab"), (6..13, "${TOKEN}"), (8..10, "${TOKEN}"), (14..16, "cd"), (16..16, "")]
        {
            let found = environment.unexpanded(written, bytes.clone()).unwrap();
            assert_eq!(&written[found], expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_value_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", environment("hunter2")), "{\"TOKEN\"}");
    }
}
