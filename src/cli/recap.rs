//! What a run leaves on a terminal: the figures that matter, and what to do next. Elsewhere all of them are printed.

use std::path::Path;

use bytesize::ByteSize;
use console::{measure_text_width, style};
use triplet_miner::report::{BandLine, PAGE, RecallLine, Summary};
use triplet_miner::words::{counted, percent, roughly, thousands, visible};

/// Columns before a value.
const INDENT: usize = 14;
/// Of the bar that shows how full a band is.
const CELLS: u64 = 20;
/// Of the slots asked for, a share below which filling them deserves a thought.
const FULL_ENOUGH: f64 = 0.9;

/// What is left of a run of the pipeline `file`, for a terminal of so many columns.
pub fn recap(summary: &Summary, file: &Path, already: bool, columns: usize) -> String {
    let mut recap = Recap { text: String::new(), room: columns.saturating_sub(INDENT).max(20) };
    let output = visible(summary.output.display()).to_string();
    let mark = match concerns(summary) {
        true => style("!").yellow(),
        false => style("✓").green(),
    };
    recap.text += &format!("\n{mark} {} → {output}\n", style(visible(&summary.name)).bold());
    if already {
        recap.text += "  already complete and current: nothing was done\n";
    }
    recap.text += "\n";
    recap.figures(summary);
    recap.text += "\n";
    recap.next(summary, file, &output);
    recap.text
}

struct Recap {
    text: String,
    /// Columns of a value.
    room: usize,
}

impl Recap {
    fn figures(&mut self, summary: &Summary) {
        let Summary { triplets, asked, .. } = *summary;
        let text = format!("{} of {} asked, {}", thousands(triplets), thousands(asked), percent(triplets, asked));
        self.line("triplets", &text, false);
        for BandLine { band, asked, filled } in &summary.bands {
            let whole = asked.filter(|&asked| asked > 0).unwrap_or(summary.triplets);
            if *filled == 0 && asked.unwrap_or(0) == 0 || whole == 0 {
                continue;
            }
            let of = if asked.unwrap_or(0) > 0 { "asked" } else { "all" };
            let share = percent(*filled, whole);
            let text = format!("{} {} ({share} of {of})", bar(*filled, whole), thousands(*filled));
            self.line(&format!("  {}", band.name()), &text, false);
        }
        if let Some(text) = summary.left_empty() {
            self.line("left empty", &text, is_sparse(summary));
        }
        match &summary.recall {
            None if summary.index == "exact" => self.line("recall", "1: the search was exact", false),
            None => {}
            Some(recall @ RecallLine { target, estimate, low, high, .. }) => {
                let verdict = if misses(recall) { "BELOW the target" } else { "target" };
                let text = format!("{estimate:.3} ({low:.3} … {high:.3}), {verdict} {target}");
                self.line("recall", &text, misses(recall));
            }
        }
        self.line("unmined", &summary.unmined_text(), false);
        match summary.suspects {
            0 => self.line("suspects", "none", false),
            some => {
                let text = format!("{} of different classes, in suspects.parquet", counted(some, "near-duplicate"));
                self.line("suspects", &text, true);
            }
        }
        if let Some(alike) = &summary.look_alikes {
            self.line("look-alikes", &alike.to_string(), true);
        }
        let memory = summary.peak_memory.map(|bytes| format!(", {} of memory", ByteSize(bytes)));
        self.line("took", &format!("{}{}", roughly(summary.seconds), memory.unwrap_or_default()), false);
    }

    fn next(&mut self, summary: &Summary, file: &Path, output: &str) {
        let mut steps = vec![(format!("miner verify {}", typed(output)), "hold every triplet against the store")];
        let page = summary.output.join(PAGE);
        if page.is_file() {
            steps.push((format!("open {}", typed(&visible(page.display()).to_string())), "look at it"));
        }
        steps.push((format!("miner report {}", typed(output)), "all figures"));
        if is_sparse(summary) {
            let file = typed(&visible(file.display()).to_string());
            steps.push((format!("miner plan {file} --calibrate"), "which margin and guards fill the bands"));
        }
        let widest = steps.iter().map(|(command, _)| measure_text_width(command)).max().unwrap_or(0);
        for ((command, why), name) in steps.iter().zip(["next"].into_iter().chain(std::iter::repeat(""))) {
            let gap = " ".repeat(widest - measure_text_width(command) + 2);
            // Where both do not fit, the command speaks for itself.
            let why = match widest + 2 + why.len() <= self.room {
                true => format!("{gap}{}", style(why).dim()),
                false => String::new(),
            };
            self.text += &format!("{}{command}{why}\n", heading(name));
        }
    }

    /// A figure, in as many lines as it takes.
    fn line(&mut self, name: &str, value: &str, concerns: bool) {
        for (index, part) in wrapped(&visible(value).to_string(), self.room).into_iter().enumerate() {
            let name = heading(if index == 0 { name } else { "" });
            let part = if concerns { style(part).yellow() } else { style(part) };
            self.text += &format!("{name}{part}\n");
        }
    }
}

fn heading(name: &str) -> String {
    style(format!("  {name:<width$}", width = INDENT - 2)).cyan().to_string()
}

fn misses(recall: &RecallLine) -> bool {
    recall.estimate < recall.target
}

fn is_sparse(summary: &Summary) -> bool {
    (summary.triplets as f64) < FULL_ENOUGH * summary.asked as f64
}

/// Whether anything deserves a second look.
fn concerns(summary: &Summary) -> bool {
    let Summary { recall, suspects, look_alikes, .. } = summary;
    is_sparse(summary) || *suspects > 0 || look_alikes.is_some() || recall.as_ref().is_some_and(misses)
}

/// Full where nothing is missing, and only there.
fn bar(part: u64, whole: u64) -> String {
    let full = (u128::from(part.min(whole)) * u128::from(CELLS) / u128::from(whole.max(1))) as usize;
    "█".repeat(full) + &"░".repeat(CELLS as usize - full)
}

/// A path as a shell takes it.
fn typed(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    match !path.is_empty() && path.chars().all(plain) {
        true => path.to_owned(),
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

/// Broken between words into lines of so many columns; a longer word has a line of its own.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.len() - 1;
        if lines[line].is_empty() {
            lines[line] += word;
        } else if measure_text_width(&lines[line]) + 1 + measure_text_width(word) <= columns {
            lines[line] += &format!(" {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary(more: serde_json::Value) -> Summary {
        let mut value = json!({
            "name": "digits", "output": "my out", "rows": 1_797, "anchors": 1_797, "triplets": 1_776, "asked": 1_797,
            "bands": [{ "band": "semi-hard", "asked": 1_797, "filled": 1_776 }, { "band": "hard", "asked": 0, "filled": 0 }],
            "fallback": 0, "exhausted": 21, "missed": 0, "unmined": { "band-empty": 21 }, "suspects": 0,
            "index": "exact", "stages": [], "seconds": 12.0, "peak_memory": 1 << 20,
        });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_recap_tells_what_came_out_and_what_to_do_next() {
        let told = recap(&summary(json!({})), Path::new("p.toml"), false, 80);
        let expected = format!(
            "
✓ digits → my out

  triplets    1,776 of 1,797 asked, 98.8 %
    semi-hard {}░ 1,776 (98.8 % of asked)
  left empty  21 slots: no such negative
  recall      1: the search was exact
  unmined     21: 21 band-empty
  suspects    none
  took        12 s, 1.0 MiB of memory

  next        miner verify 'my out'  hold every triplet against the store
              miner report 'my out'  all figures
",
            "█".repeat(19)
        );
        assert_eq!(told, expected);
    }

    #[test]
    fn a_recap_points_at_what_deserves_a_second_look_and_keeps_to_its_columns() {
        let recall = json!({ "target": 0.95, "sample": 100, "estimate": 0.9, "low": 0.85, "high": 0.94 });
        let more = json!({ "triplets": 900, "exhausted": 897, "suspects": 3, "index": "hnsw", "recall": recall });
        let told = recap(&summary(more), Path::new("p.toml"), true, 50);
        let flowing = told.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in
            ["! digits", "nothing was done", "BELOW the target 0.95", "3 near-duplicates", "p.toml --calibrate"]
        {
            assert!(flowing.contains(words), "no `{words}` in\n{told}");
        }
        assert!(told.lines().all(|line| measure_text_width(line) <= 50), "{told}");
    }

    #[test]
    fn a_bar_is_full_only_where_nothing_is_missing() {
        assert_eq!(bar(10, 10), "█".repeat(20));
        assert_eq!(bar(9_999, 10_000), "█".repeat(19) + "░");
        assert_eq!(bar(0, 10), "░".repeat(20));
        assert_eq!(bar(u64::MAX, u64::MAX), "█".repeat(20));
    }

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("incomprehensible a", 7), ["incomprehensible", "a"]);
        assert_eq!(wrapped("", 7), [""]);
    }

    #[test]
    fn a_path_is_one_word_to_a_shell() {
        assert_eq!(typed("out/quickstart"), "out/quickstart");
        assert_eq!(typed("my out"), "'my out'");
        assert_eq!(typed("it's"), r"'it'\''s'");
    }
}
