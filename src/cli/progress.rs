//! Progress on standard error: a bar for each stage on a terminal, plain lines elsewhere.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{
    HumanBytes, HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};
use triplet_miner::report::{Progress, Silent, Stage, Unit};

use super::output::aside;

/// Progress as it suits whoever is at the other end of standard error.
pub fn choose(quiet: bool) -> Box<dyn Progress> {
    let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    match (quiet, bars.is_hidden()) {
        (true, _) => Box::new(Silent),
        (false, false) => Box::new(Bars(bars)),
        (false, true) => Box::new(Lines),
    }
}

/// For a terminal: a finished stage leaves one line.
struct Bars(MultiProgress);

const COUNTED: &str = "{prefix:<7} {bar:30} {advance}";
const OPEN_ENDED: &str = "{prefix:<7} {spinner} {advance}";

struct Bar {
    name: &'static str,
    bar: ProgressBar,
    bars: MultiProgress,
    start: Instant,
}

impl Progress for Bars {
    fn stage(&self, name: &'static str, total: Option<u64>, unit: Unit) -> Box<dyn Stage> {
        let advance = move |state: &ProgressState, out: &mut dyn Write| {
            let advance = Advance { done: state.pos(), total: state.len(), unit, rate: state.per_sec() };
            // A formatter that fails has no room left; the next frame tries again.
            let _ = write!(out, "{advance}");
        };
        let bar = self.0.add(total.map_or_else(ProgressBar::no_length, ProgressBar::new));
        bar.set_style(style(if total.is_some() { COUNTED } else { OPEN_ENDED }).with_key("advance", advance));
        bar.set_prefix(name);
        bar.enable_steady_tick(Duration::from_millis(100));
        Box::new(Bar { name, bar, bars: self.0.clone(), start: Instant::now() })
    }

    fn note(&self, line: &str) {
        self.0.suspend(|| aside(line));
    }
}

impl Stage for Bar {
    fn advance(&self, count: u64) {
        self.bar.inc(count);
    }

    fn finish(&self, summary: &str) {
        // A bar that stays leaves the cursor in its line, where the result on standard output would go on.
        self.bar.finish_and_clear();
        self.bars.suspend(|| aside(&format!("{:<7} {}", self.name, outcome(summary, self.start.elapsed()))));
    }
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// For a log: a line when a stage begins and one when it ends, and now and then one between.
struct Lines;

const BETWEEN_LINES: Duration = Duration::from_secs(10);

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
        match total {
            Some(total) => aside(&format!("{name}: begins, {}", Amount(total, unit))),
            None => aside(&format!("{name}: begins")),
        }
        let due = AtomicU64::new(BETWEEN_LINES.as_millis() as u64);
        Box::new(Line { name, total, unit, start: Instant::now(), done: AtomicU64::new(0), due })
    }

    fn note(&self, line: &str) {
        aside(line);
    }
}

impl Line {
    /// Whether a line is due now. Of all threads that ask, one is told so.
    fn is_due(&self, elapsed: Duration) -> bool {
        let (now, due) = (elapsed.as_millis() as u64, self.due.load(Ordering::Relaxed));
        let next = now + BETWEEN_LINES.as_millis() as u64;
        now >= due && self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl Stage for Line {
    fn advance(&self, count: u64) {
        let done = self.done.fetch_add(count, Ordering::Relaxed) + count;
        let elapsed = self.start.elapsed();
        if self.is_due(elapsed) {
            let rate = done as f64 / elapsed.as_secs_f64();
            aside(&format!("{}: {}", self.name, Advance { done, total: self.total, unit: self.unit, rate }));
        }
    }

    fn finish(&self, summary: &str) {
        aside(&format!("{}: {}", self.name, outcome(summary, self.start.elapsed())));
    }
}

fn outcome(summary: &str, elapsed: Duration) -> String {
    format!("{summary} ({:.1} s)", elapsed.as_secs_f64())
}

/// How far a stage is: count, share, units a second and time left, as far as they are known.
struct Advance {
    done: u64,
    total: Option<u64>,
    unit: Unit,
    rate: f64,
}

impl fmt::Display for Advance {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { done, total, unit, rate } = *self;
        if done == 0 {
            return match total {
                Some(total) => write!(f, "{} to do", Amount(total, unit)),
                None => Ok(()),
            };
        }
        match total {
            Some(total) => {
                let percent = done as f64 / total.max(done) as f64 * 100.0;
                write!(f, "{} of {}, {percent:.0} %", Amount(done, unit).bare(), Amount(total, unit))?;
            }
            None => write!(f, "{}", Amount(done, unit))?,
        }
        if rate > 0.0 {
            write!(f, ", {}/s", Amount(rate.round() as u64, unit).bare())?;
            if let Some(left) = total.and_then(|total| total.checked_sub(done)) {
                // A rate near zero would ask for more time than a duration holds.
                let left = Duration::try_from_secs_f64(left as f64 / rate).unwrap_or(Duration::MAX);
                write!(f, ", {:#} left", HumanDuration(left))?;
            }
        }
        Ok(())
    }
}

/// A count with its unit.
struct Amount(u64, Unit);

impl Amount {
    /// Without the name of the unit, where it stands beside another amount that has it.
    fn bare(&self) -> String {
        match self.1 {
            Unit::Bytes => HumanBytes(self.0).to_string(),
            Unit::Rows | Unit::Anchors | Unit::Triplets => HumanCount(self.0).to_string(),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = match self.1 {
            Unit::Bytes => "",
            Unit::Rows => " rows",
            Unit::Anchors => " anchors",
            Unit::Triplets => " triplets",
        };
        write!(f, "{}{name}", self.bare())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(done: u64, total: impl Into<Option<u64>>, unit: Unit, rate: f64) -> String {
        Advance { done, total: total.into(), unit, rate }.to_string()
    }

    #[test]
    fn an_advance_says_what_is_known() {
        assert_eq!(told(12_000, 70_000, Unit::Anchors, 1_000.0), "12,000 of 70,000 anchors, 17 %, 1,000/s, 58s left");
        assert_eq!(told(12_000, None, Unit::Triplets, 1_000.4), "12,000 triplets, 1,000/s");
        assert_eq!(told(1 << 20, 4 << 20, Unit::Bytes, 1_048_576.0), "1.00 MiB of 4.00 MiB, 25 %, 1.00 MiB/s, 3s left");
        assert_eq!(told(0, 70_000, Unit::Rows, 0.0), "70,000 rows to do");
        assert_eq!(told(0, None, Unit::Rows, 0.0), "");
    }

    #[test]
    fn an_estimate_that_was_too_low_or_a_rate_near_zero_does_no_harm() {
        assert_eq!(told(20, 10, Unit::Rows, 5.0), "20 of 10 rows, 100 %, 5/s");
        assert!(told(1, u64::MAX, Unit::Rows, f64::MIN_POSITIVE).contains("left"));
    }

    #[test]
    fn lines_keep_their_distance() {
        let line = Line {
            name: "mine",
            total: None,
            unit: Unit::Anchors,
            start: Instant::now(),
            done: AtomicU64::new(0),
            due: AtomicU64::new(10_000),
        };
        let due: Vec<u64> = (0..40).filter(|&second| line.is_due(Duration::from_secs(second))).collect();
        assert_eq!(due, [10, 20, 30]);
    }

    #[test]
    fn every_template_is_one() {
        for template in [COUNTED, OPEN_ENDED] {
            ProgressStyle::with_template(template).unwrap();
        }
    }
}
