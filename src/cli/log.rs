//! What a log tells: lines with times, or with `--log json` an object a line.

use std::ffi::OsString;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use triplet_miner::report::{Progress, Stage, Unit};
use triplet_miner::words::{json_line, visible};

use super::advance::{self, Advance, Amount};
use super::output;

/// How standard error tells of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Log {
    /// Bars on a terminal, lines elsewhere
    #[default]
    Auto,
    /// Lines that begin with the time (RFC 3339, UTC)
    Lines,
    /// One JSON object a line, errors included
    Json,
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub struct LogFlag {
    /// What standard error holds
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub log: Log,
}

/// Whether standard error is JSON, from whichever thread it is written to.
static JSON: AtomicBool = AtomicBool::new(false);

/// From now on all that goes to standard error is as `log` says.
pub fn begin(log: Log) {
    JSON.store(log == Log::Json, Ordering::Relaxed);
}

pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Whether a command line that is wrong asks for JSON.
pub fn is_asked_for(args: impl Iterator<Item = OsString>) -> bool {
    let args: Vec<OsString> = args.collect();
    args.iter().any(|arg| arg == "--log=json") || args.windows(2).any(|pair| pair[0] == "--log" && pair[1] == "json")
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    #[default]
    Info,
    Warning,
    Error,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A stage begins.
    Begin,
    /// It goes on.
    Advance,
    /// It is over.
    End,
    /// A fact that belongs to no stage.
    #[default]
    Note,
    /// The command failed.
    Error,
}

/// One line of a log. `docs/scheduling.md` lists the keys, which stay as they are.
#[derive(Debug, Default, Serialize)]
pub struct Record<'a> {
    pub level: Level,
    pub event: Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    #[serde(serialize_with = "unit", skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Units a second, since the stage began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Seconds left, at this rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta_s: Option<f64>,
    /// Since the stage began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_s: Option<f64>,
    /// The same for people.
    pub message: String,
    /// The line of the pipeline that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<&'a str>,
    /// The exit status that follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u8>,
}

fn unit<S: Serializer>(unit: &Option<Unit>, serializer: S) -> Result<S::Ok, S::Error> {
    unit.map(advance::name).serialize(serializer)
}

/// With the time in front, as all of them have it.
#[derive(Serialize)]
struct Timed<'a> {
    time: String,
    #[serde(flatten)]
    record: &'a Record<'a>,
}

impl Record<'_> {
    /// One line of JSON.
    pub fn json(&self) -> String {
        let time = format!("{:.3}", Timestamp::now());
        json_line(&Timed { time, record: self }).unwrap_or_else(|error| error.to_string())
    }

    /// One line for people, without a time.
    fn line(&self) -> impl fmt::Display {
        match self.stage {
            Some(stage) => format!("{stage}: {}", visible(&self.message)),
            None => visible(&self.message).to_string(),
        }
    }

    fn write(&self) {
        match is_json() {
            true => output::beside(&self.json()),
            false => output::beside(&format!("{:.0} {}", Timestamp::now(), self.line())),
        }
    }
}

/// A line when a stage begins and one when it ends, and now and then one between.
pub struct Lines;

const BETWEEN_LINES: Duration = Duration::from_secs(30);

struct Line {
    name: &'static str,
    total: Option<u64>,
    unit: Unit,
    start: Instant,
    done: AtomicU64,
    /// Milliseconds from the start until another line is due.
    due: AtomicU64,
}

impl Progress for Lines {
    fn stage(&self, name: &'static str, total: Option<u64>, unit: Unit) -> Box<dyn Stage> {
        let due = AtomicU64::new(BETWEEN_LINES.as_millis() as u64);
        let line = Line { name, total, unit, start: Instant::now(), done: AtomicU64::new(0), due };
        let message = total.map_or("begins".to_owned(), |total| format!("begins, {}", Amount(total, unit)));
        Record { event: Event::Begin, message, ..line.record(0, Duration::ZERO) }.write();
        Box::new(line)
    }

    fn note(&self, line: &str) {
        Record { message: line.to_owned(), ..Record::default() }.write();
    }
}

impl Line {
    /// A stage that is over has done all, whether it counted on the way or found it done.
    fn end(&self, summary: &str, elapsed: Duration) -> Record<'static> {
        let message = format!("{summary} ({:.1} s)", elapsed.as_secs_f64());
        let record = self.record(self.done.load(Ordering::Relaxed), elapsed);
        let done = record.done.max(self.total);
        Record { event: Event::End, message, done, eta_s: None, ..record }
    }

    /// Whether a line is due now. Of all threads that ask, one is told so.
    fn is_due(&self, elapsed: Duration) -> bool {
        let (now, due) = (elapsed.as_millis() as u64, self.due.load(Ordering::Relaxed));
        let next = now + BETWEEN_LINES.as_millis() as u64;
        now >= due && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn record(&self, done: u64, elapsed: Duration) -> Record<'static> {
        let elapsed = elapsed.as_secs_f64();
        let (stage, unit, elapsed_s) = (Some(self.name), Some(self.unit), Some(elapsed).filter(|&s| s > 0.0));
        let rate = elapsed_s.filter(|_| done > 0).map(|elapsed| done as f64 / elapsed);
        let advance = Advance { done, total: self.total, unit: self.unit, rate: rate.unwrap_or(0.0) };
        let eta_s = advance.left().map(|left| left.as_secs_f64());
        let message = advance.to_string();
        Record {
            stage,
            // Of a stage that counts nothing, 0 would say that nothing was done.
            done: Some(done).filter(|&done| done > 0 || self.total.is_some()),
            total: self.total,
            unit,
            rate,
            eta_s,
            elapsed_s,
            message,
            ..Record::default()
        }
    }
}

impl Stage for Line {
    fn advance(&self, count: u64) {
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        let elapsed = self.start.elapsed();
        if self.is_due(elapsed) {
            Record { event: Event::Advance, ..self.record(done, elapsed) }.write();
        }
    }

    fn finish(&self, summary: &str) {
        self.end(summary, self.start.elapsed()).write();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn line() -> Line {
        Line {
            name: "mine",
            total: Some(70_000),
            unit: Unit::Anchors,
            start: Instant::now(),
            done: AtomicU64::new(0),
            due: AtomicU64::new(BETWEEN_LINES.as_millis() as u64),
        }
    }

    #[test]
    fn lines_keep_their_distance() {
        let line = line();
        let due: Vec<u64> = (0..100).filter(|&second| line.is_due(Duration::from_secs(second))).collect();
        assert_eq!(due, [30, 60, 90]);
    }

    #[test]
    fn a_stage_that_is_over_has_done_all() {
        let elapsed = Duration::from_secs(1);
        let uncounted = Line { total: None, ..line() };
        let [counted, found] = [uncounted.end("", elapsed), line().end("", elapsed)].map(|record| record.done);
        assert_eq!((counted, found), (None, Some(70_000)));
        uncounted.advance(7);
        assert_eq!(uncounted.end("", elapsed).done, Some(7));
    }

    #[test]
    fn a_record_is_one_line_with_numbers_and_words() {
        let record = Record { event: Event::Advance, ..line().record(7_000, Duration::from_secs(7)) };
        assert_eq!(record.line().to_string(), "mine: 7,000 of 70,000 anchors, 10 %, 1,000/s, 63s left");
        let json: Value = serde_json::from_str(&record.json()).unwrap();
        for (key, value) in [
            ("level", Value::from("info")),
            ("event", Value::from("advance")),
            ("stage", Value::from("mine")),
            ("done", Value::from(7_000)),
            ("total", Value::from(70_000)),
            ("unit", Value::from("anchors")),
            ("rate", Value::from(1_000.0)),
            ("eta_s", Value::from(63.0)),
            ("elapsed_s", Value::from(7.0)),
        ] {
            assert_eq!(json[key], value, "{key}");
        }
        assert!(json["time"].as_str().unwrap().parse::<Timestamp>().is_ok());
        assert!(json.get("status").is_none() && !record.json().contains('\n'));
    }
}
