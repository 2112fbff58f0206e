//! How full each band was, why it was not fuller, and what each guard took.

use maud::{Markup, html};

use super::part;
use super::plot::{self, Bar, Failed, Ink};
use super::text::visible;
use crate::mine::{Guard, Reason};
use crate::report::Summary;
use crate::store::Excluded;
use crate::words::{counted, percent, thousands};

pub(super) fn section(summary: &Summary) -> Result<Markup, Failed> {
    let content = html! {
        div.pair {
            (slots(summary)?)
            div { (bands(summary)) (excluded(summary)) }
            (guards(summary)?)
            div { (unmined(summary)) }
        }
    };
    let meaning = "A slot is one negative asked for by one pair of anchor and positive. Slots stay empty where the store holds no such \
        negative (widen the band, or give a fallback), where guards kept all of them away (loosen the strictest one), or where an \
        approximate search found none (raise `target_recall`).";
    Ok(part::section("bands", "How full the bands are", meaning, content))
}

fn slots(summary: &Summary) -> Result<Markup, Failed> {
    let Summary { asked, fallback, guarded, exhausted, missed, .. } = *summary;
    let filled = asked.saturating_sub(guarded.saturating_add(exhausted).saturating_add(missed));
    let bar = |name: &str, count: u64, ink: Ink| Bar {
        name: name.to_owned(),
        value: count as f64,
        told: format!("{} ({})", thousands(count), percent(count, asked)),
        ink,
    };
    let bars = [
        bar("own band", filled.saturating_sub(fallback), Ink::Positive),
        bar("by fallback", fallback.min(filled), Ink::Accent),
        bar("band-empty", exhausted, Ink::Other),
        bar("guarded", guarded, Ink::Other),
        bar("search-missed", missed, Ink::Other),
    ];
    let plot = plot::bars("Bars: slots by what became of them", &bars)?;
    let caption = format!("What became of {} that were asked for.", counted(asked, "slot"));
    Ok(part::figure(plot, &caption, &[]))
}

fn guards(summary: &Summary) -> Result<Markup, Failed> {
    let Some(audit) = &summary.guards else { return Ok(html! {}) };
    let bar = |name: &str, count: u64, ink: Ink| Bar {
        name: name.to_owned(),
        value: count as f64,
        told: percent(count, audit.candidates),
        ink,
    };
    let mut bars: Vec<Bar> =
        audit.refused.iter().map(|(guard, count)| bar(guard.name(), *count, Ink::Accent)).collect();
    bars.push(bar("kept by all", audit.kept, Ink::Positive));
    let plot = plot::bars("Bars: candidates that each guard refuses", &bars)?;
    let unscored = match audit.unscored {
        Some(unscored) if audit.refused.iter().any(|(guard, _)| *guard == Guard::ScoreGap) => {
            format!(
                " {} of them have no score, which score_gap refuses.",
                percent(unscored.candidates, audit.candidates)
            )
        }
        _ => String::new(),
    };
    let caption = format!(
        "What each guard refuses, whatever the others do: of {} in the bands asked for, seen from {} of a sample.{unscored}",
        counted(audit.candidates, "negative"),
        counted(audit.anchors, "anchor")
    );
    Ok(part::figure(plot, &caption, &[]))
}

/// What earlier outputs took away.
fn excluded(summary: &Summary) -> Markup {
    let Some(Excluded { pairs, gone }) = summary.excluded else { return html! {} };
    let gone = if gone == 0 { String::new() } else { format!("; rows that are gone: {}", thousands(gone)) };
    html! { p.note { (counted(pairs, "negative")) " of earlier outputs, kept away by mine.negatives.exclude" (gone) "." } }
}

fn bands(summary: &Summary) -> Markup {
    let fallback = |band: usize| summary.figures.as_ref().map_or(0, |figures| figures.fallback[band]);
    let row = |line: &crate::report::BandLine| {
        let own = line.filled.saturating_sub(fallback(line.band as usize));
        let (asked, share) = match line.asked {
            Some(0) => ("–".to_owned(), "–".to_owned()),
            Some(asked) => (thousands(asked), percent(own, asked)),
            None => ("any".to_owned(), "–".to_owned()),
        };
        vec![
            html! { span.swatch style={ "background:var(--" (Ink::BANDS[line.band as usize].name()) ")" } {} (line.band.name()) },
            html! { (asked) },
            html! { (thousands(own)) },
            html! { (share) },
            html! { (thousands(fallback(line.band as usize))) },
            html! { (percent(line.filled, summary.triplets)) },
        ]
    };
    let rows: Vec<Vec<Markup>> = summary.bands.iter().map(row).collect();
    let head = ["band", "asked", "filled", "of asked", "by fallback", "of all triplets"];
    part::table("Triplets by band", &head, &rows, false)
}

fn unmined(summary: &Summary) -> Markup {
    let rows: Vec<Vec<Markup>> = (summary.unmined.iter().filter(|(_, count)| **count > 0))
        .map(|(reason, count)| {
            vec![html! { (reason.name()) }, html! { (thousands(*count)) }, html! { (visible(cure(*reason))) }]
        })
        .collect();
    if rows.is_empty() {
        return html! { p { "Every row of the input gave a triplet." } };
    }
    part::table("Rows without a triplet, listed in unmined.parquet", &["reason", "rows", "what it means"], &rows, true)
}

/// What a reason means, and what helps.
fn cure(reason: Reason) -> &'static str {
    match reason {
        Reason::Unlabelled => "The label is null: label it, or let it be a negative with unlabelled = \"negative\".",
        Reason::Singleton => "The only row of its class: it can be a negative, never an anchor.",
        Reason::NoPositive => "Constraints or distances left no positive, or no pair names one.",
        Reason::BandEmpty => {
            "No negative lies in a band asked for: widen the margin, ask for another band, or give a fallback."
        }
        Reason::Guarded => "Negatives were there, and guards kept all of them away.",
        Reason::SearchMissed => "The approximate search found none: raise target_recall, or use index = \"exact\".",
        Reason::Rejected => "Bad data, skipped as the pipeline allows; the file says what was wrong.",
        Reason::BalancedAway => "Balance left it without: its class has enough, or its negatives were used up.",
    }
}
