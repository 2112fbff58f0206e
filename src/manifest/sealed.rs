//! `manifest.json`: what a finished output says of itself. The same run writes the same bytes, so nothing here knows the time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use arrow::datatypes::Schema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::disk::untrusted::{self, Refused};
use crate::mine::{self, Balanced, Band, Batched, Interval, Reason, Tuned};
use crate::search::{HnswParams, Index};
use crate::words;

/// The name that makes a folder an output.
pub const MANIFEST: &str = "manifest.json";
/// What `format` says.
pub const FORMAT: &str = "miner-manifest";
/// The version of the format that this program writes. It reads this one and every older one; see docs/compatibility.md.
pub const VERSION: u32 = 1;

/// A manifest larger than this is not one of ours: it would list three hundred thousand parts, of a million rows each by default.
pub const MANIFEST_BYTES: u64 = 64 << 20;

/// The whole of `manifest.json`, keys in this order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sealed {
    pub format: String,
    pub version: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// Of inputs, pipeline and program version.
    pub fingerprint: String,
    /// As resolved, every default filled in, without `[run]`; environment variables stand in it by name.
    pub pipeline: Value,
    /// Of each variable in it, a hash of the value, which is itself nowhere in the output.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    pub inputs: Vec<Input>,
    pub rows: RowCounts,
    pub bands: BandCounts,
    /// Rows without a triplet, by reason; every reason is there.
    pub unmined: BTreeMap<Reason, u64>,
    pub search: SearchFacts,
    /// What balance did; absent where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance: Option<Balanced>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batches: Option<Batched>,
    /// Columns of the parts.
    pub columns: Vec<Column>,
    pub parts: Vec<Listed>,
    pub files: Vec<Listed>,
}

/// One file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// `store`, …
    pub role: String,
    pub path: String,
    pub bytes: u64,
    pub rows: u64,
    pub fingerprint: String,
    /// Of names, sizes and ETags, where it lay in a store that has these: equal, its content is the same. Never part of a fingerprint,
    /// since the same content may be put again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows of the input, after `where`; those skipped as bad included.
    pub read: u64,
    /// Rows that had a label and a positive, and were searched for.
    pub anchors: u64,
    /// Rows without a triplet.
    pub unmined: u64,
    /// Triplets that the output tells of, whatever its layout; `parts` say how many rows the files have.
    pub triplets: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BandCounts {
    pub hard: u64,
    pub semi_hard: u64,
    pub easy: u64,
}

impl From<BandCounts> for [u64; 3] {
    fn from(BandCounts { hard, semi_hard, easy }: BandCounts) -> Self {
        [hard, semi_hard, easy]
    }
}

impl From<[u64; 3]> for BandCounts {
    fn from([hard, semi_hard, easy]: [u64; 3]) -> Self {
        Self { hard, semi_hard, easy }
    }
}

/// Which index found the negatives, and how well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchFacts {
    /// The one used; never `auto`.
    pub index: Index,
    /// Why `auto` chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hnsw: Option<HnswParams>,
    /// Graphs that were searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<u32>,
    /// The step that an approximate search was tuned to: of cells how gladly they are visited, of graphs how often
    /// `ef_search` is doubled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<u32>,
    /// Whether it leaves so few anchors with nothing that those are asked about exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub few: Option<bool>,
    /// Measured on every approximate run; absent from an exact one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recall: Option<Recall>,
}

impl SearchFacts {
    /// What an approximate search was tuned to, where both settings are told.
    pub fn tuned(&self) -> Option<Tuned> {
        Some(Tuned { effort: self.effort?, few: self.few? })
    }
}

/// Recall against exact search, with a 95 % interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    pub target: f64,
    /// Anchors that were searched exactly.
    pub sample: u64,
    #[serde(flatten)]
    pub overall: Interval,
    pub bands: BTreeMap<Band, Interval>,
}

impl Recall {
    /// What was measured, beside what was asked for.
    pub fn new(target: f64, measured: mine::Recall) -> Self {
        let mine::Recall { sample, overall, bands } = measured;
        Self { target, sample: u64::from(sample), overall, bands: bands.into_iter().collect() }
    }
}

/// One column of the triplets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    /// Arrow's name of the type.
    #[serde(rename = "type")]
    pub kind: String,
    pub nullable: bool,
}

/// One file of the output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Inside the output, with forward slashes.
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
    /// Of a shard with rows: their gaps, in the order of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gaps>,
}

/// The gaps between which a shard lies: those of its first row and of its last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gaps {
    pub first: f64,
    pub last: f64,
}

/// Why a folder's manifest could not be read.
#[derive(Debug, Error)]
pub enum LoadError {
    #[error("{}: no {MANIFEST} here: not a finished output of miner", .0.display())]
    Absent(PathBuf),
    #[error("{}: cannot read: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: not a manifest: {found}", path.display())]
    Malformed { path: PathBuf, found: String },
    /// Nothing that any version of this program wrote.
    #[error("{}: format \"{format}\", version {version}; this program reads \"{FORMAT}\", version {VERSION}", path.display())]
    Unknown { path: PathBuf, format: String, version: u64 },
    #[error("{}: version {version} of the format, written by miner {program}; miner {own} reads up to version {VERSION}: \
             use miner {program} or a newer one", path.display(), own = env!("CARGO_PKG_VERSION"))]
    Newer { path: PathBuf, version: u64, program: String },
}

impl Sealed {
    /// Reads the manifest of an output folder. What it lists is not looked at.
    pub fn load(output: &Path) -> Result<Self, LoadError> {
        let path = output.join(MANIFEST);
        match untrusted::read_inside(output, MANIFEST, MANIFEST_BYTES) {
            Ok(bytes) => Self::read(bytes, path),
            Err(Refused::Absent) => Err(LoadError::Absent(output.to_path_buf())),
            Err(Refused::Io(source)) => Err(LoadError::Io { path, source }),
            Err(refused) => Err(LoadError::Malformed { path, found: format!("it is {refused}") }),
        }
    }

    /// Reads a manifest, which `path` is the name of.
    pub fn read(bytes: Vec<u8>, path: PathBuf) -> Result<Self, LoadError> {
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(&text, path),
            Err(_) => Err(LoadError::Malformed { path, found: "it is not UTF-8".to_owned() }),
        }
    }

    fn parse(text: &str, path: PathBuf) -> Result<Self, LoadError> {
        /// Looked at first, so that a later version is called so and not malformed.
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u64,
            #[serde(default)]
            program: Value,
        }
        let malformed =
            |error: serde_json::Error| LoadError::Malformed { path: path.clone(), found: error.to_string() };
        let Head { format, version, program } = serde_json::from_str(text).map_err(malformed)?;
        if format != FORMAT || version == 0 {
            return Err(LoadError::Unknown { path, format, version });
        }
        if version > u64::from(VERSION) {
            let program = program.as_str().unwrap_or("of a later version").to_owned();
            return Err(LoadError::Newer { path, version, program });
        }
        serde_json::from_str(text).map_err(malformed)
    }

    /// The bytes of `manifest.json`.
    pub(super) fn to_json(&self) -> Result<String, serde_json::Error> {
        words::json(self)
    }

    /// Parts first, then the other files.
    pub fn listed(&self) -> impl Iterator<Item = &Listed> {
        self.parts.iter().chain(&self.files)
    }
}

impl Column {
    pub(super) fn of(schema: &Schema) -> Vec<Self> {
        let column = |field: &std::sync::Arc<arrow::datatypes::Field>| Self {
            name: field.name().clone(),
            kind: field.data_type().to_string(),
            nullable: field.is_nullable(),
        };
        schema.fields().iter().map(column).collect()
    }
}

impl Listed {
    /// Opens the file, if that is a regular one inside `output` and reached without a link.
    ///
    /// # Errors
    /// Says what the path is instead.
    pub(super) fn open(&self, output: &Path) -> Result<File, Refused> {
        untrusted::open_inside(output, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_the_contract_s_order() {
        let recall = Recall {
            target: 0.95,
            sample: 1_000,
            overall: Interval { estimate: 0.968, low: 0.961, high: 0.974 },
            bands: BTreeMap::from([(Band::SemiHard, Interval { estimate: 0.99, low: 0.98, high: 1.0 })]),
        };
        let text = serde_json::to_string(&recall).unwrap();
        let expected = r#"{"target":0.95,"sample":1000,"estimate":0.968,"low":0.961,"high":0.974,"bands":{"semi-hard":{"estimate":0.99,"low":0.98,"high":1.0}}}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Recall>(&text).unwrap(), recall);
        let counts = serde_json::to_string(&BTreeMap::from([(Reason::BandEmpty, 12), (Reason::Singleton, 0)])).unwrap();
        assert_eq!(counts, r#"{"singleton":0,"band-empty":12}"#);
    }

    #[test]
    fn another_version_is_named_and_garbage_is_malformed() {
        let parse = |text: &str| Sealed::parse(text, PathBuf::from("out/manifest.json")).unwrap_err().to_string();
        let own = env!("CARGO_PKG_VERSION");
        assert_eq!(
            parse(r#"{"format":"miner-manifest","version":2,"program":"9.1.0","later":true}"#),
            format!(
                "out/manifest.json: version 2 of the format, written by miner 9.1.0; miner {own} reads up to version 1: use miner 9.1.0 \
                 or a newer one"
            )
        );
        for (format, version) in [("miner-manifest", 0), ("another", 1), ("another", 2)] {
            assert_eq!(
                parse(&format!(r#"{{"format":"{format}","version":{version}}}"#)),
                format!(
                    "out/manifest.json: format \"{format}\", version {version}; this program reads \"miner-manifest\", version 1"
                )
            );
        }
        assert!(parse("[]").starts_with("out/manifest.json: not a manifest"));
    }
}
