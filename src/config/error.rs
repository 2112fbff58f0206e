//! What is wrong with a pipeline file: where, what was found, what was expected.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::excerpt::Part;
use crate::disk;

/// A pipeline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{file}: cannot be read: {source}{}", disk::hint(file), file = file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("{file}: not a pipeline: {found}", file = file.display())]
    NoText { file: PathBuf, found: String },
    #[error("{file}{place}: not TOML: {message}", file = file.display())]
    Syntax { file: PathBuf, place: Place, message: String, excerpt: Option<String> },
    #[error("--set {argument}: {message}")]
    Set { argument: String, message: String },
    #[error(transparent)]
    Key(#[from] Box<KeyError>),
}

/// What is wrong with one key.
#[derive(Debug, thiserror::Error)]
#[error("{file}{place}: {key}{found}: {message}", file = file.display(), found = found.as_ref().map(|v| format!(" = {v}")).unwrap_or_default())]
pub struct KeyError {
    pub file: PathBuf,
    pub place: Place,
    pub key: String,
    /// What it says, as written.
    pub found: Option<String>,
    pub message: String,
    /// What to show below the message: the line of the file with a caret, or the `--set` that said so.
    pub excerpt: Option<String>,
}

/// What a key names cannot be used, though the pipeline is right.
#[derive(Debug, thiserror::Error)]
#[error("{file}{place}: {key}{found}", file = file.display(), found = found.as_ref().map(|v| format!(" = {v}")).unwrap_or_default())]
pub struct Named {
    pub file: PathBuf,
    pub place: Place,
    pub key: String,
    pub found: Option<String>,
    pub excerpt: Option<String>,
    pub source: anyhow::Error,
}

/// Line and column in the pipeline file, from 1; nowhere for a key that is missing or was given by `--set`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place(pub Option<(usize, usize)>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// A key that does not hold what it should, before anyone looked up where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Dotted, as in `mine.positives.pick`.
    pub key: String,
    pub message: String,
    /// What of it.
    pub part: Part,
}

impl Complaint {
    /// About a value, or one that is missing.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), part: Part::Value }
    }

    /// About a key, whatever it says.
    pub fn of_key(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { part: Part::Key, ..Self::new(key, message) }
    }

    /// Where nobody has the text of the file.
    pub(super) fn of_file(self, file: PathBuf) -> Box<KeyError> {
        let Self { key, message, .. } = self;
        Box::new(KeyError { file, place: Place::default(), key, found: None, message, excerpt: None })
    }
}

/// How near a name is to one of its words.
const WORD: f64 = 0.9;

/// The known name nearest to what was written, where one is near.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Whoever remembers one word of several means that name.
    let is_word_of = |name: &str| name.split(['_', '-']).any(|word| word == written);
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(written, name).max(if is_word_of(name) { WORD } else { 0.0 }), name))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
