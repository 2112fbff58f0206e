//! A run in fifteen lines: what was asked, what came out, and what it took.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Estimates;
use crate::disk::untrusted::{self, Refused};
use crate::mine::{
    Ask, Audit, Balanced, Band, Batched, Guard, Interval, NearestAccuracy, Reason, Spread, Tally, Unscored,
};
use crate::store::{LookAlikes, ScoredPairs};
use crate::words::{self, thousands, visible};

/// Where the figures of a run lie inside its output.
pub const REPORT: &str = "report.json";

/// A report larger than this is not one of ours: it has some kilobytes, of which names in it are all that can grow.
const LARGEST: u64 = 16 << 20;

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

/// Reads the figures of a finished output.
pub fn read(output: &Path) -> Result<Summary, ReportError> {
    let path = output.join(REPORT);
    match untrusted::read_inside(output, REPORT, LARGEST) {
        Ok(text) => serde_json::from_slice(&text).map_err(|source| ReportError::Malformed { path, source }),
        Err(Refused::Absent) => Err(ReportError::Absent(output.to_path_buf())),
        Err(Refused::Io(source)) => Err(ReportError::Io { path, action: "read", source }),
        Err(found) => Err(ReportError::NotAReport { path, found }),
    }
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

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} → {}", visible(&self.name), visible(self.output.display()))?;
        let (rows, anchors) = (thousands(self.rows), thousands(self.anchors));
        line(f, "rows", format_args!("{rows} read, {anchors} anchors"))?;
        if let Some(prepare) = &self.prepare {
            line(f, "prepare", prepare)?;
            if let Some(NearestAccuracy { queries, rows, apart, held_out, before, after }) = &prepare.nearest {
                let (queries, rows) = (thousands(*queries), thousands(*rows));
                let sample = match (apart, held_out) {
                    (true, _) => format!("{queries} queries in {rows} rows of the store"),
                    (false, true) => format!("{queries} of {rows} rows, held out when it was learned once more"),
                    (false, false) => format!("{queries} of {rows} rows, each left out"),
                };
                line(f, "", format_args!("1-NN accuracy {before:.3} → {after:.3} ({sample})"))?;
            }
        }
        line(f, "triplets", format_args!("{}{}", thousands(self.triplets), share(self.triplets, self.asked)))?;
        for BandLine { band, asked, filled } in &self.bands {
            match asked {
                // A band that was not asked for and is empty is no news.
                Some(0) if *filled == 0 => {}
                Some(0) | None => line(f, band.name(), thousands(*filled))?,
                Some(asked) => line(f, band.name(), format_args!("{}{}", thousands(*filled), share(*filled, *asked)))?,
            }
        }
        if self.fallback > 0 {
            line(f, "fallback", format_args!("{} of them", thousands(self.fallback)))?;
        }
        if self.left_out > 0 {
            line(f, "left out", format_args!("{} more, of pairs with too few", thousands(self.left_out)))?;
        }
        if let Some(rows) = self.rows_written.filter(|_| self.layout != "triplet") {
            line(f, "written as", format_args!("{}: {} rows", self.layout, thousands(rows)))?;
        }
        if self.escaped > 0 {
            let escaped = thousands(self.escaped);
            line(f, "escaped", format_args!("{escaped} cells that begin like a formula have an apostrophe in front"))?;
        }
        if let Some(text) = self.empty_text() {
            line(f, "left empty", text)?;
        }
        if let Some(audit) = &self.guards {
            line(f, "guards", guards_text(audit))?;
        }
        if let Some(ScoredPairs { pairs, scored }) = self.scores {
            let (pairs, scored) = (thousands(pairs), thousands(scored));
            let rest = if scored == pairs { "" } else { "; the others admit nothing" };
            line(f, "scores", format_args!("the positives of {scored} of {pairs} pairs have one{rest}"))?;
        }
        if let Some(balanced) = &self.balance {
            balance(f, balanced, &self.layout)?;
        }
        if let Some(Batched { kind, batches, entries, remainder }) = &self.batches {
            let [batches, entries, remainder] = [*batches, *entries, *remainder].map(thousands);
            let what = if kind == "pk" { ("rows", "anchors") } else { ("triplets", "triplets") };
            let (what, left) = what;
            line(f, "batches", format_args!("{batches} of {entries} {what}; {remainder} {left} in none"))?;
        }
        line(f, "unmined", self.unmined_text())?;
        line(f, "suspects", format_args!("{} near-duplicates across classes", thousands(self.suspects)))?;
        if let Some(alike) = &self.look_alikes {
            line(f, "look-alikes", alike)?;
        }
        match &self.reason {
            Some(reason) => line(f, "search", format_args!("{}: {reason}", self.index))?,
            None => line(f, "search", &self.index)?,
        }
        if let Some(RecallLine { target, sample, estimate, low, high, bands }) = &self.recall {
            let verdict = if estimate < target { "BELOW the target" } else { "target" };
            let sample = thousands(*sample);
            line(
                f,
                "recall",
                format_args!("{estimate:.3} ({low:.3} … {high:.3}) of {sample} anchors, {verdict} {target}"),
            )?;
            let band = |(band, Interval { estimate, low, high }): (&Band, &Interval)| {
                format!("{} {estimate:.3} ({low:.3} … {high:.3})", band.name())
            };
            if bands.len() > 1 {
                line(f, "", bands.iter().map(band).collect::<Vec<_>>().join(", "))?;
            }
        }
        let stages: Vec<String> = self.stages.iter().map(|s| format!("{} {}", s.name, duration(s.seconds))).collect();
        line(f, "time", format_args!("{} ({})", duration(self.seconds), stages.join(", ")))?;
        let space: Vec<String> = [(self.peak_memory, "anonymous memory at most"), (self.output_bytes, "of triplets")]
            .into_iter()
            .filter_map(|(bytes, what)| Some(format!("{} {what}", ByteSize(bytes?))))
            .collect();
        if !space.is_empty() {
            line(f, "space", space.join(", "))?;
        }
        if let Some(estimates) = &self.estimates {
            let (memory, output) = (ByteSize(estimates.memory_bytes), ByteSize(estimates.output_bytes));
            line(f, "expected", format_args!("{}, {memory} memory, {output} of triplets", estimates.time()))?;
        }
        write!(f, "  {:<11} {} anchors/s", "rate", thousands(self.rate() as u64))
    }
}

impl Summary {
    /// Slots that nothing filled, by cause.
    fn empty_text(&self) -> Option<String> {
        let causes = [
            (self.exhausted, "no such negative"),
            (self.guarded, "kept away by guards"),
            (self.missed, "none found, and approximate search cannot tell whether there is one"),
        ];
        let mut causes = causes.iter().filter(|(count, _)| *count > 0);
        let (count, cause) = causes.next()?;
        let first = format!("{} slots: {cause}", thousands(*count));
        Some(causes.fold(first, |text, (count, cause)| format!("{text}; {}: {cause}", thousands(*count))))
    }

    fn unmined_text(&self) -> String {
        let total = thousands(self.unmined.values().fold(0, |sum, &count| sum.saturating_add(count)));
        let reasons: Vec<String> = (self.unmined.iter().filter(|&(_, &count)| count > 0))
            .map(|(reason, &count)| format!("{} {}", thousands(count), reason.name()))
            .collect();
        if reasons.is_empty() { total } else { format!("{total}: {}", reasons.join(", ")) }
    }
}

/// What balance took away and gave, and how even it left the classes.
fn balance(f: &mut fmt::Formatter<'_>, balanced: &Balanced, layout: &str) -> fmt::Result {
    let Balanced { anchors_before, anchors_after, lines, left_out, added_pairs, refilled, emptied, cut } = *balanced;
    let spread = |spread: Spread| match spread.largest {
        0 => "none".to_owned(),
        largest => {
            let permille = u128::from(largest) * 1_000 / u128::from(spread.total.max(1));
            format!("{}.{} % of {} classes", permille / 10, permille % 10, thousands(spread.classes))
        }
    };
    let rows = if ["", "triplet"].contains(&layout) { "triplets" } else { "rows" };
    // Where pairs say what is a positive, there are no classes.
    let classes = (anchors_before.classes > 0).then(|| {
        let [before, after, lines] = [anchors_before, anchors_after, lines].map(spread);
        format!("largest class: anchors {before} before, {after} after; {rows} {lines}")
    });
    let causes = [
        (left_out, "rows beyond anchors_per_class"),
        (added_pairs, "pairs added by oversample_to"),
        (refilled, "slots refilled"),
        (emptied, "slots emptied by max_uses"),
        (cut, if rows == "rows" { "rows cut" } else { "triplets cut" }),
    ];
    let causes: Vec<String> = causes
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|&(count, what)| format!("{} {what}", thousands(count)))
        .collect();
    let causes = match causes.is_empty() {
        true if classes.is_some() => None,
        true => Some("nothing taken".to_owned()),
        false => Some(causes.join(", ")),
    };
    for (name, text) in ["balance", ""].iter().zip(classes.into_iter().chain(causes)) {
        line(f, name, text)?;
    }
    Ok(())
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "  {name:<11} {}", visible(value))
}

fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return String::new();
    }
    // Rounded down: 100 % is said of all and of nothing less.
    let permille = u128::from(part) * 1000 / u128::from(whole);
    format!(" of {} asked ({}.{} %)", thousands(whole), permille / 10, permille % 10)
}

fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{seconds:.2} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// Of the candidates in the bands asked for, what each guard refuses and what is left.
fn guards_text(audit: &Audit) -> String {
    let share = |count: u64| format!("{:.1} %", 100.0 * count as f64 / audit.candidates.max(1) as f64);
    let untold = match audit.unscored {
        Some(Unscored { candidates, .. }) => format!(" ({} for want of a score)", share(candidates)),
        None => String::new(),
    };
    let refused = audit.refused.iter().map(|(guard, count)| {
        let why = if *guard == Guard::ScoreGap { untold.as_str() } else { "" };
        format!("{} {}{why}", guard.name(), share(*count))
    });
    let refused: Vec<String> = refused.collect();
    let (refused, kept, anchors) = (refused.join(", "), share(audit.kept), thousands(audit.anchors));
    format!("of the candidates of {anchors} anchors refuse {refused}; {kept} kept")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let tally = Tally { anchors: 1_320, pairs: 1_320, asked: 3_960, bands: [870, 2_640, 10], ..Tally::default() };
        let ask = Ask::Bands(vec![(Band::SemiHard, 2), (Band::Hard, 1)]);
        let bands = BTreeMap::from([
            (Band::Hard, Interval { estimate: 0.991, low: 0.985, high: 0.995 }),
            (Band::SemiHard, Interval { estimate: 0.945, low: 0.93, high: 0.957 }),
        ]);
        Summary {
            name: "glosses".to_owned(),
            output: PathBuf::from("/out/glosses"),
            rows: 1_332,
            prepare: Some(PrepareLine {
                transform: "standardize, pca-whiten".to_owned(),
                from: 96,
                dimensions: 32,
                floored: 2,
                nearest: Some(NearestAccuracy {
                    queries: 500,
                    rows: 1_320,
                    apart: false,
                    held_out: false,
                    before: 0.5,
                    after: 0.75,
                }),
            }),
            anchors: 1_320,
            triplets: 3_520,
            asked: tally.asked,
            bands: band_lines(&ask, &tally),
            left_out: 0,
            layout: "triplet".to_owned(),
            rows_written: Some(3_520),
            escaped: 0,
            fallback: 10,
            guarded: 0,
            guards: None,
            scores: None,
            exhausted: 440,
            missed: 0,
            unmined: BTreeMap::from([(Reason::Singleton, 12), (Reason::BandEmpty, 0)]),
            suspects: 3,
            look_alikes: None,
            balance: None,
            batches: None,
            index: "hnsw".to_owned(),
            reason: None,
            recall: Some(RecallLine { target: 0.95, sample: 1_000, estimate: 0.968, low: 0.961, high: 0.974, bands }),
            stages: vec![
                StageTime { name: "read".to_owned(), seconds: 0.1 },
                StageTime { name: "mine".to_owned(), seconds: 61.0 },
            ],
            seconds: 61.1,
            peak_memory: Some(123 << 20),
            output_bytes: Some(60_000),
            estimates: Some(Estimates {
                triplets_at_most: 3_960,
                seconds: 50.0,
                at_most: true,
                memory_bytes: 130 << 20,
                scratch_bytes: 1,
                output_bytes: 80_000,
            }),
        }
    }

    #[test]
    fn the_card() {
        let expected = "\
glosses → /out/glosses
  rows        1,332 read, 1,320 anchors
  prepare     standardize, pca-whiten: 96 → 32 dimensions, 2 regularised
              1-NN accuracy 0.500 → 0.750 (500 of 1,320 rows, each left out)
  triplets    3,520 of 3,960 asked (88.8 %)
  hard        870 of 1,320 asked (65.9 %)
  semi-hard   2,640 of 2,640 asked (100.0 %)
  easy        10
  fallback    10 of them
  left empty  440 slots: no such negative
  unmined     12: 12 singleton
  suspects    3 near-duplicates across classes
  search      hnsw
  recall      0.968 (0.961 … 0.974) of 1,000 anchors, target 0.95
              hard 0.991 (0.985 … 0.995), semi-hard 0.945 (0.930 … 0.957)
  time        1 min 01 s (read 0.10 s, mine 1 min 01 s)
  space       123.0 MiB anonymous memory at most, 58.6 KiB of triplets
  expected    at most 50 s, 130.0 MiB memory, 78.1 KiB of triplets
  rate        21 anchors/s";
        assert_eq!(summary().to_string(), expected);
    }

    #[test]
    fn another_layout_has_rows_of_its_own() {
        let summary = Summary { layout: "n-tuple".to_owned(), left_out: 20, rows_written: Some(1_166), ..summary() };
        let card = summary.to_string();
        assert!(card.contains("  left out    20 more, of pairs with too few\n"), "{card}");
        assert!(card.contains("  written as  n-tuple: 1,166 rows\n"), "{card}");
    }

    #[test]
    fn the_card_of_a_balanced_run_says_what_was_taken_and_from_whom() {
        let spread = |classes, total, largest| Spread { classes, total, largest };
        let balance = Balanced {
            anchors_before: spread(66, 1_320, 660),
            anchors_after: spread(65, 1_300, 20),
            lines: spread(65, 3_520, 100),
            left_out: 640,
            cut: 1_234,
            ..Balanced::default()
        };
        let batches = Batched { kind: "pk".to_owned(), batches: 20, entries: 1_280, remainder: 3 };
        let card = Summary { balance: Some(balance), batches: Some(batches), ..summary() }.to_string();
        let expected = "
  balance     largest class: anchors 50.0 % of 66 classes before, 1.5 % of 65 classes after; triplets 2.8 % of 65 classes
              640 rows beyond anchors_per_class, 1,234 triplets cut
  batches     20 of 1,280 rows; 3 anchors in none
  unmined ";
        assert!(card.contains(expected), "{card}");
        // Where pairs say what is a positive, there are no classes to be even.
        for (balance, expected) in [
            (
                Balanced { refilled: 9, emptied: 2, ..Balanced::default() },
                "9 slots refilled, 2 slots emptied by max_uses",
            ),
            (Balanced::default(), "nothing taken"),
        ] {
            let card = Summary { balance: Some(balance), ..summary() }.to_string();
            assert!(card.contains(&format!("\n  balance     {expected}\n  unmined ")), "{card}");
        }
    }

    #[test]
    fn is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(read(folder.path()), Err(ReportError::Absent(_))));
        summary().write(folder.path()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), summary());
    }

    #[test]
    fn shares_are_never_rounded_up_to_all() {
        assert_eq!(share(999_999, 1_000_000), " of 1,000,000 asked (99.9 %)");
    }
}
