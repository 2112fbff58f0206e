//! What the engine of a cluster has to say: its warnings and errors, among our own lines.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{LevelFilter, Log, Metadata, Record};

use super::output;

/// The last line, and when it was told: a scheduler that is away is missed ten times a second.
static LAST: Mutex<Option<(String, Instant)>> = Mutex::new(None);
/// Before the same is told again.
const PAUSE: Duration = Duration::from_secs(60);

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
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|(told, at)| *told == text && at.elapsed() < PAUSE) {
            return;
        }
        output::warn(&text);
        *last = Some((text, Instant::now()));
    }

    fn flush(&self) {}
}
