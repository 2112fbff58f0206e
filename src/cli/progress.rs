//! Progress on standard error: a bar for each stage on a terminal, a log elsewhere.

use std::fmt::Write;
use std::time::{Duration, Instant};

use console::{Term, is_dumb, style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use triplet_miner::report::{Progress, Silent, Stage, Unit};
use triplet_miner::words::visible;

use super::advance::Advance;
use super::log::{Lines, Log};
use super::output;

/// Progress as it suits whoever is at the other end of standard error.
pub fn choose(quiet: bool, log: Log) -> Box<dyn Progress> {
    let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    // A terminal that cannot move its cursor is a log.
    let moves = !bars.is_hidden() && !is_dumb();
    match log {
        _ if quiet => Box::new(Silent),
        Log::Auto if moves => Box::new(Bars(bars)),
        Log::Auto | Log::Lines | Log::Json => Box::new(Lines),
    }
}

/// For a terminal: a finished stage leaves one line.
struct Bars(MultiProgress);

struct Bar {
    name: &'static str,
    bar: ProgressBar,
    bars: MultiProgress,
    start: Instant,
}

/// Columns of the names of stages.
const NAME: usize = 9;

impl Progress for Bars {
    fn stage(&self, name: &'static str, total: Option<u64>, unit: Unit) -> Box<dyn Stage> {
        let advance = move |state: &ProgressState, out: &mut dyn Write| {
            let advance = Advance { done: state.pos(), total: state.len(), unit, rate: state.per_sec() };
            // A formatter that fails has no room left; the next frame tries again.
            let _ = write!(out, "{advance:#}");
        };
        let bar = self.0.add(total.map_or_else(ProgressBar::no_length, ProgressBar::new));
        let template = template(total.is_some(), Term::stderr().size().1.into());
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏░").with_key("advance", advance));
        bar.set_prefix(name);
        bar.enable_steady_tick(Duration::from_millis(100));
        Box::new(Bar { name, bar, bars: self.0.clone(), start: Instant::now() })
    }

    fn note(&self, line: &str) {
        let line = style(visible(line).to_string()).for_stderr().dim().to_string();
        self.0.suspend(|| output::beside(&line));
    }
}

impl Stage for Bar {
    fn advance(&self, count: u64) {
        self.bar.inc(count);
    }

    fn finish(&self, summary: &str) {
        // A bar that stays leaves the cursor in its line, where the result on standard output would go on.
        self.bar.finish_and_clear();
        let took = style(format!("{:>7.1} s", self.start.elapsed().as_secs_f64())).for_stderr().dim();
        let name = style(format!("{:<NAME$}", self.name)).for_stderr().cyan();
        self.bars.suspend(|| output::beside(&format!("  {name}{took}  {}", visible(summary))));
    }
}

/// What a bar looks like in a terminal of so many columns: where they are few there is none, and the words are cut.
fn template(counted: bool, columns: usize) -> String {
    let name = format!("  {{prefix:<{NAME}.cyan}}");
    let bar = match columns {
        _ if !counted => "{spinner}".to_owned(),
        100.. => "{bar:30.cyan}".to_owned(),
        80.. => "{bar:18.cyan}".to_owned(),
        _ => return format!("{name}{{advance:{}!}}", columns.saturating_sub(NAME + 3).max(1)),
    };
    format!("{name}{bar} {{advance}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        for columns in [0, 1, 40, 79, 80, 120, 400] {
            for counted in [true, false] {
                ProgressStyle::with_template(&template(counted, columns)).unwrap();
            }
        }
    }
}
