//! How complete the search was, and what the run took.

use bytesize::ByteSize;
use maud::{Markup, html};

use super::part;
use super::plot::{self, Axis, Bar, Failed, Ink};
use super::text::{Data, visible};
use crate::mine::Interval;
use crate::report::{RecallLine, Share, StageTime, Summary};
use crate::words::{counted, duration, thousands};

/// Of a report that anybody may have written.
const MOST_STAGES: usize = 32;
const MOST_EXECUTORS: usize = 200;

pub(super) fn search(summary: &Summary) -> Result<Markup, Failed> {
    let reason = summary.reason.as_deref();
    let content = html! {
        p { "Index: " b { (Data(&summary.index)) } @if let Some(reason) = reason { ", because " (Data(reason)) } "." }
        @match &summary.recall {
            Some(recall) => (intervals(recall)?),
            None if summary.index == "exact" => {
                p { "Exact: the triplets are those that comparing with every row gives, to the row." }
            }
            None => { p { "Exact search finds nothing on the sample, so there is no recall to measure." } }
        }
    };
    let meaning = "Recall is the share of the triplets of exact search that an approximate one finds too, measured on a sample of \
        anchors. It never makes a wrong triplet, only a missing one. Where the interval lies below what was asked for, raise \
        `target_recall`, or take `index = \"exact\"`.";
    Ok(part::section("search", "Search", meaning, content))
}

fn intervals(recall: &RecallLine) -> Result<Markup, Failed> {
    let overall = Interval { estimate: recall.estimate, low: recall.low, high: recall.high };
    let mut lines = vec![("all", overall)];
    lines.extend(recall.bands.iter().map(|(band, interval)| (band.name(), *interval)));
    let low = lines.iter().map(|(_, interval)| interval.low).fold(recall.target, f64::min).clamp(0.0, 1.0);
    let low = (low - 0.15 * (1.0 - low) - 0.005).max(0.0);
    let (y, places) = Axis::names(lines.iter().map(|(name, _)| *name));
    let (x, top) = (Axis::numbers(low..1.002, "recall, with its 95 % interval"), y.range.end);
    let inside = |value: f64| value.clamp(low, 1.0);
    let told = "Recall with its interval, in all and by band";
    let plot = plot::figure(told, lines.len() as u32 * 30 + 44, 68, (x, y), |chart| {
        chart.line(vec![(inside(recall.target), 0.0), (inside(recall.target), top)], Ink::Other, 8)?;
        for (place, (_, interval)) in places.into_iter().zip(&lines) {
            chart.line(vec![(inside(interval.low), place), (inside(interval.high), place)], Ink::Accent, 10)?;
            chart.dot((inside(interval.estimate), place), Ink::Accent)?;
        }
        Ok(())
    })?;
    let row = |(name, Interval { estimate, low, high }): &(&str, Interval)| {
        [(*name).to_owned(), format!("{estimate:.3}"), format!("{low:.3} … {high:.3}")]
            .map(|text| html! { (text) })
            .to_vec()
    };
    let rows: Vec<Vec<Markup>> = lines.iter().map(row).collect();
    let caption = format!("Measured on {}", counted(recall.sample, "anchor"));
    let legend = format!("asked for: {}", recall.target);
    Ok(html! {
        div.pair {
            (part::figure(plot, "Dots are estimates, bars their 95 % intervals (Wilson, by anchor).", &[(Ink::Other, &legend)]))
            div { (part::table(&caption, &["band", "recall", "95 % interval"], &rows, false)) }
        }
    })
}

pub(super) fn cost(summary: &Summary) -> Result<Markup, Failed> {
    let bar = |stage: &StageTime| Bar {
        name: visible(&stage.name),
        value: stage.seconds,
        told: duration(stage.seconds),
        ink: Ink::Accent,
    };
    let bars: Vec<Bar> = summary.stages.iter().take(MOST_STAGES).map(bar).collect();
    let plot = plot::bars("Bars: seconds by stage", &bars)?;
    let content = html! {
        div.pair {
            (part::figure(plot, "Wall time by stage, in the order they ran.", &[]))
            div { (expected(summary)) }
        }
        @for stage in summary.stages.iter().filter(|stage| !stage.executors.is_empty()).take(MOST_STAGES) { (shares(stage)) }
    };
    let meaning = "Where the time went, and how well it was foreseen. Estimates of time and disk are upper ends; `run.threads` and \
        `run.memory` bound what a run takes and change nothing of its result.";
    Ok(part::section("cost", "Time and memory", meaning, content))
}

/// What executors did of a stage.
fn shares(stage: &StageTime) -> Markup {
    let row = |(name, Share { items, opened }): (&String, &Share)| {
        vec![html! { (Data(name)) }, html! { (thousands(*items)) }, html! { (ByteSize(*opened)) }]
    };
    let rows: Vec<Vec<Markup>> = stage.executors.iter().take(MOST_EXECUTORS).map(row).collect();
    let caption = match stage.executors.len() {
        all if all > MOST_EXECUTORS => format!("{}: {MOST_EXECUTORS} of {all} executors", visible(&stage.name)),
        _ => format!("{}, by executor", visible(&stage.name)),
    };
    part::table(&caption, &["executor", "done", "opened"], &rows, false)
}

fn expected(summary: &Summary) -> Markup {
    let estimates = summary.estimates.as_ref();
    let row = |name: &str, expected: Option<String>, found: Option<String>| {
        let text = |text: Option<String>| html! { (text.unwrap_or_else(|| "–".to_owned())) };
        vec![html! { (name) }, text(expected), text(found)]
    };
    let bytes = |bytes: u64| ByteSize(bytes).to_string();
    let rows = [
        row("time", estimates.map(|e| e.time()), Some(duration(summary.seconds))),
        row("anonymous memory", estimates.map(|e| bytes(e.memory_bytes)), summary.peak_memory.map(bytes)),
        row(
            "triplets",
            estimates.map(|e| format!("at most {}", thousands(e.triplets_at_most))),
            Some(thousands(summary.triplets)),
        ),
        row("triplets' files", estimates.map(|e| bytes(e.output_bytes)), summary.output_bytes.map(bytes)),
        row("anchors a second", None, Some(thousands(summary.rate() as u64))),
    ];
    part::table("Expected before the work began, and found", &["", "expected", "found"], &rows, false)
}
