//! Errors whose text may hold values of environment variables, as others' words do.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::config::Environment;
use crate::report::{Progress, Stage, Unit};

/// An error that shows the names of environment variables in place of their values.
pub struct Veiled {
    shown: Shown,
    bare: anyhow::Error,
}

impl Veiled {
    /// `bare`, of which `text` is all that is shown.
    pub(super) fn new(text: String, bare: anyhow::Error) -> Self {
        Self { shown: Shown { text, source: None }, bare }
    }

    /// The error as it is: to be looked at, not to be shown.
    pub fn bare(&self) -> &anyhow::Error {
        &self.bare
    }
}

/// Veils an error that quotes a value; any other stays as it is.
pub fn veil(environment: &Environment, error: anyhow::Error) -> anyhow::Error {
    let texts: Vec<String> = error.chain().map(ToString::to_string).collect();
    let hidden: Vec<String> = texts.iter().map(|text| environment.hide(text).into_owned()).collect();
    if hidden == texts {
        return error;
    }
    let wrap = |source: Option<Box<Shown>>, text| Some(Box::new(Shown { text, source }));
    match hidden.into_iter().rev().fold(None, wrap) {
        Some(shown) => Veiled { shown: *shown, bare: error }.into(),
        None => error,
    }
}

/// Whoever is told of a run, and is shown no values.
pub struct Discreet<'a> {
    told: &'a dyn Progress,
    environment: Arc<Environment>,
}

impl<'a> Discreet<'a> {
    pub fn new(told: &'a dyn Progress, environment: &Environment) -> Self {
        Self { told, environment: Arc::new(environment.clone()) }
    }
}

impl Progress for Discreet<'_> {
    fn stage(&self, name: &'static str, total: Option<u64>, unit: Unit) -> Box<dyn Stage> {
        Box::new(DiscreetStage { told: self.told.stage(name, total, unit), environment: self.environment.clone() })
    }

    fn note(&self, line: &str) {
        self.told.note(&self.environment.hide(line));
    }
}

struct DiscreetStage {
    told: Box<dyn Stage>,
    environment: Arc<Environment>,
}

impl Stage for DiscreetStage {
    fn advance(&self, count: u64) {
        self.told.advance(count);
    }

    fn finish(&self, summary: &str) {
        self.told.finish(&self.environment.hide(summary));
    }
}

/// A text, and that of the cause.
#[derive(Debug)]
struct Shown {
    text: String,
    source: Option<Box<Shown>>,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Shown {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for Veiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

impl fmt::Debug for Veiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.fmt(f)
    }
}

impl Error for Veiled {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.shown.source()
    }
}
