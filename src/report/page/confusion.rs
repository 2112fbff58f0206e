//! Classes that are taken for each other, and the hardest triplets, to look at.

use maud::{Markup, html};

use super::part;
use super::text::{Data, class, number};
use crate::mine::{Confusion, Example, Figures};
use crate::store::Exhibit;
use crate::words::{percent, thousands};

/// Shades of a cell, the last for the fullest one.
const SHADES: u64 = 6;

pub(super) fn section(figures: &Figures) -> Markup {
    let confusion = figures.confusion.as_ref().filter(|confusion| !confusion.top.is_empty());
    if confusion.is_none() && figures.hardest.is_empty() {
        return html! {};
    }
    let content = html! {
        @if let Some(confusion) = confusion {
            (matrix(confusion))
            @if confusion.slack > 0 {
                p { "There are very many pairs of classes: a count may be " (thousands(confusion.slack)) " too small." }
            }
            (pairs(confusion))
        }
        @if !figures.hardest.is_empty() {
            h3 { "The hardest triplets" }
            p { "The smallest gaps of all, one an anchor. Where the negative could as well be a positive, a label is wrong or missing." }
            div.examples { @for hard in &figures.hardest { (example(hard)) } }
        }
    };
    let meaning = "What the embeddings confuse. Some pairs of classes are hard because they are alike: there training pays. Others are \
        one class under two names, or hold wrong labels: look at the examples, and mend the labels or guard against them.";
    let title = if confusion.is_some() { "Hardest classes and triplets" } else { "Hardest triplets" };
    part::section("confusion", title, meaning, content)
}

fn matrix(confusion: &Confusion) -> Markup {
    let most = confusion.counts.iter().flatten().copied().max().unwrap_or(0);
    let shade = |count: u64| match count {
        0 => 0,
        count => 1 + count.saturating_sub(1).saturating_mul(SHADES - 1) / most.max(1),
    };
    let cell =
        |count: u64| html! { td.{ "shade" (shade(count)) } { @if count > 0 { (thousands(count)) } @else { "·" } } };
    let caption = format!(
        "Triplets within the margin by class: {} in all. A row is an anchor's class, a column a negative's",
        thousands(confusion.active)
    );
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table.matrix {
                caption { (caption) }
                thead {
                    tr {
                        td {}
                        @for label in &confusion.classes { th scope="col" { div { (class(label.as_deref())) } } }
                    }
                }
                tbody {
                    @for (label, counts) in confusion.classes.iter().zip(&confusion.counts) {
                        tr { th scope="row" { (class(label.as_deref())) } @for &count in counts { (cell(count)) } }
                    }
                }
            }
        }
    }
}

fn pairs(confusion: &Confusion) -> Markup {
    html! {
        h3 { "The most confused pairs, each with its hardest triplet" }
        div.examples {
            @for confused in &confusion.top {
                div {
                    p.title {
                        b { (class(confused.anchor.as_deref())) } " meets " b { (class(confused.negative.as_deref())) }
                        span.note { (thousands(confused.triplets)) " triplets, " (percent(confused.triplets, confusion.active)) }
                    }
                    (example(&confused.example))
                }
            }
        }
    }
}

/// One triplet as a table.
fn example(example: &Example) -> Markup {
    let Example { anchor, positive, negative, d_ap, d_an, band } = example;
    let row = |role: &str, row: &Exhibit, distance: Option<f32>| {
        html! {
            tr {
                th scope="row" { (role) }
                td { (exhibit(row)) }
                td { @if let Some(distance) = distance { (number(distance.into())) } }
            }
        }
    };
    html! {
        table.triplet {
            caption { (band.name()) ", gap " (number(f64::from(*d_an) - f64::from(*d_ap))) }
            thead { tr { td {} th scope="col" { "row" } th scope="col" { "distance" } } }
            tbody {
                (row("anchor", anchor, None))
                (row("positive", positive, Some(*d_ap)))
                (row("negative", negative, Some(*d_an)))
            }
        }
    }
}

/// A row of the store: its id, its class, what it carries.
pub(super) fn exhibit(row: &Exhibit) -> Markup {
    html! {
        span.id { (Data(&row.id)) }
        @if let Some(label) = &row.label { span.label { (Data(label)) } }
        @for (name, value) in &row.carried {
            span.carried title=(super::text::visible(name)) { (Data(value)) }
        }
    }
}
