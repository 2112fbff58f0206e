//! The figures of a run: what was asked, what came out, and what it took.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::Estimates;
use crate::disk::untrusted::{self, Refused};
use crate::mine::{Ask, Audit, Balanced, Band, Batched, Figures, Interval, NearestAccuracy, Reason, Tally};
use crate::store::{Excluded, LookAlikes, ScoredPairs};
use crate::words;

/// Where the figures of a run lie inside its output.
pub const REPORT: &str = "report.json";

/// A report larger than this is not one of ours: it has some kilobytes, of which names in it are all that can grow.
pub const REPORT_BYTES: u64 = 16 << 20;

/// The figures of one run. Unlike the manifest they know the time, so they differ from run to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    pub name: String,
    #[serde(serialize_with = "lossy")]
    pub output: PathBuf,
    /// Rows read, those skipped as bad included.
    pub rows: u64,
    /// What was made of the vectors first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<PrepareLine>,
    /// Rows that were searched for.
    pub anchors: u64,
    pub triplets: u64,
    /// Slots asked for, over all pairs.
    pub asked: u64,
    pub bands: Vec<BandLine>,
    /// Triplets that were mined, but that the layout left out.
    #[serde(default)]
    pub left_out: u64,
    /// Name of the layout, and how many rows the files have.
    #[serde(default)]
    pub layout: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_written: Option<u64>,
    /// Cells of CSV with an apostrophe before what a spreadsheet would take for a formula.
    #[serde(default)]
    pub escaped: u64,
    /// Triplets from a fallback band.
    pub fallback: u64,
    /// Slots left empty because guards kept away what could fill them.
    #[serde(default)]
    pub guarded: u64,
    /// Slots left empty because the store holds no more.
    pub exhausted: u64,
    /// Slots left empty by an approximate search that cannot tell.
    pub missed: u64,
    /// What each guard takes from the bands, on a sample of anchors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guards: Option<Audit>,
    /// Of all pairs, those whose positive has a score; absent without scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<ScoredPairs>,
    /// Negatives of earlier outputs that were not taken again; absent where none was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded: Option<Excluded>,
    /// Reasons that occurred.
    pub unmined: BTreeMap<Reason, u64>,
    pub suspects: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_alikes: Option<LookAlikes>,
    /// Absent where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balanced>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches: Option<Batched>,
    /// Name of the index, and why it was chosen.
    pub index: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recall: Option<RecallLine>,
    /// In the order they ran.
    pub stages: Vec<StageTime>,
    /// Wall time of the whole run.
    pub seconds: f64,
    /// Most anonymous memory of the process, in bytes, as sampled where the system tells; mapped files do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<u64>,
    /// Bytes of the triplets' files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    /// What was expected before the work began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimates: Option<Estimates>,
    /// The pipeline as the manifest has it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub pipeline: Value,
    /// What the triplets are like as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// A path may be no text, and JSON knows text alone.
fn lossy<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

/// One band of the triplets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BandLine {
    pub band: Band,
    /// Slots asked for from this band itself; none when any band would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<u64>,
    /// Triplets in it, those by fallback included.
    pub filled: u64,
}

/// What `[prepare]` learned, and what it did to the nearest neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrepareLine {
    /// As in `standardize, pca-whiten`.
    pub transform: String,
    /// Dimensions before and after.
    pub from: u64,
    pub dimensions: u64,
    /// Directions in which next to nothing varies: their variance was taken to be a hundred-millionth of the largest, or
    /// (when standardizing alone) they were left as they are.
    pub floored: u64,
    /// On a sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<NearestAccuracy>,
}

impl fmt::Display for PrepareLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {} dimensions", self.transform, self.from, self.dimensions)?;
        match self.floored {
            0 => Ok(()),
            floored => write!(f, ", {floored} regularised"),
        }
    }
}

/// Measured recall, with its 95 % interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecallLine {
    pub target: f64,
    /// Anchors that were searched exactly.
    pub sample: u64,
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
    /// By band that exact search finds anything in.
    #[serde(default)]
    pub bands: BTreeMap<Band, Interval>,
}

/// How long a stage took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageTime {
    pub name: String,
    pub seconds: f64,
    /// Who did it, where it was not this machine.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub executors: Shares,
}

/// What executors did, by their names, as far as they told.
pub type Shares = BTreeMap<String, Share>;

/// What one of them did of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Of the work: partitions, graphs.
    pub items: u64,
    /// Bytes of the work folder that it opened for them.
    pub opened: u64,
}

/// The same in words.
pub(super) fn shares_text(shares: &Shares) -> String {
    let share = |(name, Share { items, opened }): (&String, &Share)| {
        format!("{name} {} ({} opened)", words::thousands(*items), ByteSize(*opened))
    };
    shares.iter().map(share).collect::<Vec<_>>().join(", ")
}

/// Why the figures of a run could not be read or written.
#[derive(Debug, Error)]
pub enum ReportError {
    #[error("{}: no {REPORT} here: not a finished output of miner", .0.display())]
    Absent(PathBuf),
    #[error("{}: cannot {action}: {source}", path.display())]
    Io { path: PathBuf, action: &'static str, source: io::Error },
    #[error("{}: not a report: it is {found}", path.display())]
    NotAReport { path: PathBuf, found: Refused },
    #[error("{}: not a report of this version: {source}", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("cannot draw a figure of the report: {0}")]
    Figure(Box<dyn std::error::Error + Send + Sync>),
}

/// What each band was asked for and what it gave.
pub fn band_lines(ask: &Ask, tally: &Tally) -> Vec<BandLine> {
    let asked = |band: Band| match ask {
        Ask::Any(_) => None,
        Ask::Bands(_) => Some(u64::from(ask.count_of(band).unwrap_or(0)) * tally.pairs),
    };
    let line = |(band, filled)| BandLine { band, asked: asked(band), filled };
    Band::ALL.into_iter().zip(tally.bands).map(line).collect()
}

/// Reads the figures of a finished output. They say where it was mined, which is not where it lies if it has moved.
pub fn read(output: &Path) -> Result<Summary, ReportError> {
    let path = output.join(REPORT);
    match untrusted::read_inside(output, REPORT, REPORT_BYTES) {
        Ok(text) => parse(&text, path),
        Err(Refused::Absent) => Err(ReportError::Absent(output.to_path_buf())),
        Err(Refused::Io(source)) => Err(ReportError::Io { path, action: "read", source }),
        Err(found) => Err(ReportError::NotAReport { path, found }),
    }
}

/// The figures that the file `path` holds.
pub fn parse(text: &[u8], path: PathBuf) -> Result<Summary, ReportError> {
    serde_json::from_slice(text).map_err(|source| ReportError::Malformed { path, source })
}

impl Summary {
    /// Writes `report.json` into a folder.
    pub fn write(&self, folder: &Path) -> Result<(), ReportError> {
        let path = folder.join(REPORT);
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all(words::json(self)?.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|source| ReportError::Io { path: path.clone(), action: "write", source })
    }

    /// Anchors mined a second of wall time, over the whole run.
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.anchors as f64 / self.seconds } else { 0.0 }
    }
}

#[cfg(test)]
#[path = "summary_tests.rs"]
pub(super) mod tests;
