//! What a check found, and what it looked at.

use std::fmt;

use serde::Serialize;

use crate::words::{counted, thousands, visible};

/// More than this many are counted, not kept: one forged column is found in every row.
const KEPT: usize = 20;

/// The longest value that is shown whole, in characters.
const SHOWN: usize = 100;

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A path inside the output.
    pub file: String,
    /// Row of that file, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// A column, or a key of `manifest.json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    pub found: String,
    pub expected: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", visible(&self.file))?;
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        if let Some(column) = &self.column {
            write!(f, ", {}", visible(column))?;
        }
        write!(f, ": found {}, expected {}", visible(&self.found), visible(&self.expected))
    }
}

/// Findings as they come, the first [`KEPT`] of them whole.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    total: u64,
}

impl Findings {
    /// About a file as a whole.
    pub(super) fn file(&mut self, file: &str, found: impl fmt::Display, expected: impl fmt::Display) {
        self.add(file, None, None, found, expected);
    }

    /// About a key of the manifest.
    pub(super) fn key(&mut self, key: &str, found: impl fmt::Display, expected: impl fmt::Display) {
        self.add(super::MANIFEST, None, Some(key), found, expected);
    }

    /// About a value.
    pub(super) fn value(
        &mut self,
        file: &str,
        row: u64,
        column: &str,
        found: impl fmt::Display,
        expected: impl fmt::Display,
    ) {
        self.add(file, Some(row), Some(column), found, expected);
    }

    fn add(
        &mut self,
        file: &str,
        row: Option<u64>,
        column: Option<&str>,
        found: impl fmt::Display,
        expected: impl fmt::Display,
    ) {
        self.total += 1;
        if self.kept.len() < KEPT {
            let (file, column) = (file.to_owned(), column.map(str::to_owned));
            self.kept.push(Finding { file, row, column, found: shown(found), expected: shown(expected) });
        }
    }

    pub(super) fn append(&mut self, later: Self) {
        self.total += later.total;
        self.kept.extend(later.kept);
        self.kept.truncate(KEPT);
    }

    /// How many there are so far.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn into_verdict(self, checked: Checked, told: Told) -> Verdict {
        let Told { proved, unchecked } = told;
        Verdict { findings: self.kept, total: self.total, checked, proved, unchecked }
    }
}

/// What was proved, and what could not be checked and why, in the order of the checks.
#[derive(Debug, Default)]
pub(super) struct Told {
    proved: Vec<String>,
    unchecked: Vec<String>,
}

impl Told {
    /// Unless something was found since there were `before` findings.
    pub(super) fn proved(&mut self, findings: &Findings, before: u64, what: impl fmt::Display) {
        if findings.total() == before {
            self.proved.push(what.to_string());
        }
    }

    pub(super) fn unchecked(&mut self, what: impl fmt::Display) {
        self.unchecked.push(what.to_string());
    }
}

fn shown(value: impl fmt::Display) -> String {
    let value = value.to_string();
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value,
    }
}

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    pub files: u64,
    pub bytes: u64,
    /// Of the parts.
    pub rows: u64,
    /// What these rows tell of; 0 where they do not.
    pub triplets: u64,
    /// Recomputed from the vectors of the store.
    pub distances: u64,
    pub unmined: u64,
    pub suspects: u64,
    pub batches: u64,
    /// Anchors that were mined again.
    pub mined_again: u64,
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The first ones.
    pub findings: Vec<Finding>,
    /// How many there are in all.
    pub total: u64,
    pub checked: Checked,
    /// What holds, as far as it was looked at. Where something else is wrong, as far as that leaves it meaning.
    pub proved: Vec<String>,
    /// What this output does not let anyone check, or not without mining all of it again.
    pub unchecked: Vec<String>,
}

impl Verdict {
    /// Nothing was found.
    pub fn is_sound(&self) -> bool {
        self.total == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_sound() {
            f.write_str("sound")?;
        } else {
            write!(f, "NOT SOUND: {}", counted(self.total, "finding"))?;
            for finding in &self.findings {
                write!(f, "\n  {finding}")?;
            }
            let more = self.total - self.findings.len() as u64;
            if more > 0 {
                write!(f, "\n  and {} more", thousands(more))?;
            }
        }
        self.proved.iter().try_for_each(|what| write!(f, "\n  proved: {}", visible(what)))?;
        self.unchecked.iter().try_for_each(|what| write!(f, "\n  not checked: {}", visible(what)))
    }
}
