//! A run in fifteen lines, as `miner run` and `miner report` print it.

use std::fmt;

use bytesize::ByteSize;

use super::page::PAGE;
use super::summary::{BandLine, RecallLine, Summary, shares_text};
use crate::mine::{Audit, Balanced, Band, Batched, Guard, Interval, NearestAccuracy, Spread, Unscored};
use crate::store::{Excluded, ScoredPairs};
use crate::words::{counted, duration, percent, thousands, visible};

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} → {}", visible(&self.name), visible(self.output.display()))?;
        let (rows, anchors) = (thousands(self.rows), counted(self.anchors, "anchor"));
        line(f, "rows", format_args!("{rows} read, {anchors}"))?;
        if let Some(prepare) = &self.prepare {
            line(f, "prepare", prepare)?;
            if let Some(NearestAccuracy { queries, rows, apart, held_out, before, after }) = &prepare.nearest {
                let (of, rows) = (thousands(*queries), counted(*rows, "row"));
                let sample = match (apart, held_out) {
                    (true, _) => format!("{} in {rows} of the store", counted(*queries, "query")),
                    (false, true) => format!("{of} of {rows}, held out when it was learned once more"),
                    (false, false) => format!("{of} of {rows}, each left out"),
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
            line(f, "written as", format_args!("{}: {}", self.layout, counted(rows, "row")))?;
        }
        if self.escaped > 0 {
            let cells = counted(self.escaped, "cell");
            line(f, "escaped", format_args!("an apostrophe stands before {cells} that would begin like a formula"))?;
        }
        if let Some(text) = self.left_empty() {
            line(f, "left empty", text)?;
        }
        if let Some(audit) = &self.guards {
            line(f, "guards", guards_text(audit))?;
        }
        if let Some(ScoredPairs { pairs, scored }) = self.scores {
            let rest = if scored == pairs { "" } else { "; the others admit nothing" };
            let (pairs, scored) = (counted(pairs, "pair"), thousands(scored));
            line(f, "scores", format_args!("there is one for the positives of {scored} of {pairs}{rest}"))?;
        }
        if let Some(Excluded { pairs, gone }) = self.excluded {
            let gone = if gone == 0 { String::new() } else { format!("; rows that are gone: {}", thousands(gone)) };
            line(f, "excluded", format_args!("{} of earlier outputs{gone}", counted(pairs, "negative")))?;
        }
        if let Some(balanced) = &self.balance {
            balance(f, balanced, &self.layout)?;
        }
        if let Some(Batched { kind, batches, entries, remainder }) = &self.batches {
            let (what, left) = if kind == "pk" { ("row", "anchor") } else { ("triplet", "triplet") };
            let (entries, left) = (counted(*entries, what), counted(*remainder, left));
            line(f, "batches", format_args!("{} of {entries}; {left} in none", thousands(*batches)))?;
        }
        line(f, "unmined", self.unmined_text())?;
        line(f, "suspects", format_args!("{} across classes", counted(self.suspects, "near-duplicate")))?;
        if let Some(alike) = &self.look_alikes {
            line(f, "look-alikes", alike)?;
        }
        match &self.reason {
            Some(reason) => line(f, "search", format_args!("{}: {reason}", self.index))?,
            None => line(f, "search", &self.index)?,
        }
        if let Some(RecallLine { target, sample, estimate, low, high, bands }) = &self.recall {
            let verdict = if estimate < target { "BELOW the target" } else { "target" };
            let sample = counted(*sample, "anchor");
            let estimated = format_args!("{estimate:.3} ({low:.3} … {high:.3}) of {sample}, {verdict} {target}");
            line(f, "recall", estimated)?;
            let band = |(band, Interval { estimate, low, high }): (&Band, &Interval)| {
                format!("{} {estimate:.3} ({low:.3} … {high:.3})", band.name())
            };
            if bands.len() > 1 {
                line(f, "", bands.iter().map(band).collect::<Vec<_>>().join(", "))?;
            }
        }
        let stages: Vec<String> = self.stages.iter().map(|s| format!("{} {}", s.name, duration(s.seconds))).collect();
        line(f, "time", format_args!("{} ({})", duration(self.seconds), stages.join(", ")))?;
        for stage in self.stages.iter().filter(|stage| !stage.executors.is_empty()) {
            line(f, "executors", format_args!("{}: {}", stage.name, shares_text(&stage.executors)))?;
        }
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
        line(f, "rate", format_args!("{} anchors/s", thousands(self.rate() as u64)))?;
        write!(f, "  {:<11} {}", "page", visible(self.output.join(PAGE).display()))
    }
}

impl Summary {
    /// Slots that nothing filled, by cause.
    pub fn left_empty(&self) -> Option<String> {
        let causes = [
            (self.exhausted, "no such negative"),
            (self.guarded, "kept away by guards"),
            (self.missed, "none found, and approximate search cannot tell whether there is one"),
        ];
        let mut causes = causes.iter().filter(|(count, _)| *count > 0);
        let (count, cause) = causes.next()?;
        let first = format!("{}: {cause}", counted(*count, "slot"));
        Some(causes.fold(first, |text, (count, cause)| format!("{text}; {}: {cause}", thousands(*count))))
    }

    /// Anchors that gave no triplet: how many, and of which reason.
    pub fn unmined_text(&self) -> String {
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
    let spread = |Spread { classes, total, largest }: Spread| match largest {
        0 => "none".to_owned(),
        _ => format!("{} of {}", percent(largest, total), counted(classes, "class")),
    };
    let rows = if ["", "triplet"].contains(&layout) { "triplets" } else { "rows" };
    // Where pairs say what is a positive, there are no classes.
    let classes = (anchors_before.classes > 0).then(|| {
        let [before, after, lines] = [anchors_before, anchors_after, lines].map(spread);
        format!("largest class: anchors {before} before, {after} after; {rows} {lines}")
    });
    let causes = [
        (left_out, "row", "beyond anchors_per_class"),
        (added_pairs, "pair", "added by oversample_to"),
        (refilled, "slot", "refilled"),
        (emptied, "slot", "emptied by max_uses"),
        (cut, if rows == "rows" { "row" } else { "triplet" }, "cut"),
    ];
    let causes: Vec<String> = causes
        .iter()
        .filter(|(count, ..)| *count > 0)
        .map(|&(count, noun, what)| format!("{} {what}", counted(count, noun)))
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
    if whole == 0 { String::new() } else { format!(" of {} asked ({})", thousands(whole), percent(part, whole)) }
}

/// Of the candidates in the bands asked for, what each guard refuses and what is left.
fn guards_text(audit: &Audit) -> String {
    let share = |count: u64| percent(count, audit.candidates);
    let untold = match audit.unscored {
        Some(Unscored { candidates, .. }) => format!(" ({} for want of a score)", share(candidates)),
        None => String::new(),
    };
    let refused = audit.refused.iter().map(|(guard, count)| {
        let why = if *guard == Guard::ScoreGap { untold.as_str() } else { "" };
        format!("{} {}{why}", guard.name(), share(*count))
    });
    let refused: Vec<String> = refused.collect();
    let (refused, kept, anchors) = (refused.join(", "), share(audit.kept), counted(audit.anchors, "anchor"));
    format!("of the candidates of {anchors} refuse {refused}; {kept} kept")
}
