//! What was asked and what came out, in one look.

use bytesize::ByteSize;
use maud::{Markup, html};
use serde_json::Value;

use super::text::Data;
use crate::report::Summary;
use crate::words::{counted, duration, percent, thousands};

pub(super) fn head(summary: &Summary) -> Markup {
    html! {
        header {
            p.eyebrow { "Triplets mined by miner" }
            h1 { (Data(&summary.name)) }
            p.path { (Data(&summary.output.to_string_lossy())) }
            dl.tiles { @for tile in tiles(summary) { (tile) } }
            (asked(summary))
        }
    }
}

fn tiles(summary: &Summary) -> Vec<Markup> {
    let tile = |name: &str, value: String, note: Markup| {
        html! { div { dt { (name) } dd { span.value { (value) } span.note { (note) } } } }
    };
    let text = |text: String| html! { (text) };
    let unmined: u64 = summary.unmined.values().fold(0, |sum, count| sum.saturating_add(*count));
    let filled = summary.asked.saturating_sub(summary.guarded + summary.exhausted + summary.missed);
    let bands = summary.bands.iter().filter(|line| line.filled > 0);
    let bands: Vec<String> = bands
        .map(|line| format!("{} {}", percent(line.filled, summary.triplets), line.band.name()))
        .map(|text| text.replace(' ', "\u{a0}"))
        .collect();
    let recall = match &summary.recall {
        Some(recall) => tile(
            "recall",
            format!("{:.3}", recall.estimate),
            text(format!("95 %: {:.3} … {:.3}, asked {}", recall.low, recall.high, recall.target)),
        ),
        None if summary.index == "exact" => tile("recall", "1".to_owned(), text("exact search".to_owned())),
        None => tile("recall", "–".to_owned(), html! { (Data(&summary.index)) ": nothing to compare with" }),
    };
    let estimates = summary.estimates.as_ref();
    vec![
        tile("triplets", thousands(summary.triplets), text(bands.join(", "))),
        tile(
            "slots filled",
            percent(filled, summary.asked),
            text(format!("{} of {} asked for", thousands(filled), thousands(summary.asked))),
        ),
        tile("anchors", thousands(summary.anchors), text(format!("of {} read", counted(summary.rows, "row")))),
        tile("without a triplet", thousands(unmined), text("rows, each listed with its reason".to_owned())),
        recall,
        tile(
            "time",
            duration(summary.seconds),
            text(estimates.map(|e| format!("expected {}", e.time())).unwrap_or_default()),
        ),
        tile(
            "memory",
            summary.peak_memory.map_or_else(|| "–".to_owned(), |bytes| ByteSize(bytes).to_string()),
            text(estimates.map(|e| format!("expected {}", ByteSize(e.memory_bytes))).unwrap_or_default()),
        ),
    ]
}

/// Settings that most decide, and all others behind them.
fn asked(summary: &Summary) -> Markup {
    let of = |place: &str| summary.pipeline.pointer(place).map(leaves).unwrap_or_default();
    let mut shown: Vec<(&str, String)> = [
        ("metric", "/mine/metric"),
        ("margin", "/mine/margin"),
        ("bands", "/mine/bands"),
        ("pick", "/mine/pick"),
        ("fallback", "/mine/fallback"),
        ("positives", "/mine/positives"),
        ("negatives", "/mine/negatives"),
        ("prepare", "/prepare"),
        ("balance", "/balance"),
    ]
    .into_iter()
    .map(|(name, place)| (name, told(&of(place))))
    .filter(|(_, text)| !text.is_empty())
    .collect();
    shown.push((
        "index",
        [Some(summary.index.clone()), summary.reason.clone()].into_iter().flatten().collect::<Vec<_>>().join(": "),
    ));
    let all = leaves(&summary.pipeline);
    html! {
        h2.asked { "Asked for" }
        dl.asked { @for (name, text) in &shown { div { dt { (name) } dd { (Data(text)) } } } }
        @if !all.is_empty() {
            details {
                summary { "The whole pipeline, every default filled in" }
                pre { @for (key, value) in &all { (Data(&format!("{key} = {value}"))) "\n" } }
            }
        }
    }
}

/// `key value, key value`, or the value alone; what is off, or is so unless said otherwise, is not worth the room.
fn told(leaves: &[(String, String)]) -> String {
    let leaves = leaves
        .iter()
        .filter(|(key, value)| !["0", "none"].contains(&value.as_str()) && (key != "reference" || value != "each"));
    let one = |(key, value): &(String, String)| match key.as_str() {
        "" => value.clone(),
        key => format!("{key} {value}"),
    };
    leaves.map(one).collect::<Vec<_>>().join(", ")
}

/// The settings in a part of a pipeline, by their dotted keys; nulls, empty lists and switches that are off say nothing.
fn leaves(value: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), value)];
    while let Some((key, value)) = open.pop() {
        match value {
            Value::Null | Value::Bool(false) => {}
            Value::Array(values) if values.is_empty() => {}
            Value::Object(fields) => open.extend(fields.iter().rev().map(|(name, value)| {
                let dot = if key.is_empty() { "" } else { "." };
                (format!("{key}{dot}{name}"), value)
            })),
            Value::Array(values) if values.iter().all(|value| !value.is_object()) => {
                let values: Vec<String> = values.iter().map(plain).collect();
                found.push((key, values.join(" ")));
            }
            value => found.push((key, plain(value))),
        }
    }
    found
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_told_without_those_that_say_nothing() {
        let pipeline = serde_json::json!({
            "margin": 0.2, "bands": { "hard": 1, "semi-hard": 2 }, "fallback": [], "negatives": { "same": ["a", "b"], "window": null }
        });
        let told: Vec<String> = leaves(&pipeline).iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(told, ["bands.hard=1", "bands.semi-hard=2", "margin=0.2", "negatives.same=a b"]);
        assert_eq!(super::told(&leaves(&pipeline["bands"])), "hard 1, semi-hard 2");
        assert_eq!(super::told(&leaves(&pipeline["margin"])), "0.2");
    }
}
