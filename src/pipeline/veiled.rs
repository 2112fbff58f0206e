//! Errors whose text may hold values of environment variables, as others' words do.

use std::error::Error;
use std::fmt;

use crate::config::Environment;

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
