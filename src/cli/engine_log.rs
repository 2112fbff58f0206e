//! What the engine of a cluster has to say: its warnings and errors, among our own lines.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use log::{LevelFilter, Log, Metadata, Record};
use triplet_miner::words::visible;

use super::output;

/// The last line, and when it was told: a scheduler that is away is missed ten times a second.
static LAST: Mutex<Option<(String, Instant)>> = Mutex::new(None);
/// Before the same is told again.
const PAUSE: Duration = Duration::from_secs(60);

/// How lines begin that tell of nothing: a run takes its work back when all is committed, which the scheduler may know already; and
/// nobody calls an executor, to stop what it is at or for anything else.
const HARMLESS: [&str; 2] = ["Fail to find job", "Failed to get client for executor"];

struct Engine;

/// From now on its warnings are ours.
pub fn begin() {
    if log::set_logger(&Engine).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}

impl Log for Engine {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.target().starts_with("ballista")
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        if HARMLESS.iter().any(|beginning| text.starts_with(beginning)) {
            return;
        }
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|(told, at)| *told == text && at.elapsed() < PAUSE) {
            return;
        }
        match super::log::is_json() {
            true => output::warn(&text),
            // Servers run for months.
            false => output::beside(&format!("{:.0} warning: {}", Timestamp::now(), visible(&text))),
        }
        *last = Some((text, Instant::now()));
    }

    fn flush(&self) {}
}
