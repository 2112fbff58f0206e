//! Hubs and suspects: rows that turn up too often, and rows whose labels contradict each other.

use maud::{Markup, html};

use super::confusion::exhibit;
use super::part;
use super::plot::{self, Axis, Failed, Ink};
use super::text::number;
use crate::mine::{Hub, Hubs, SuspectPair};
use crate::words::{counted, percent, percent_of, thousands};

/// More doublings than this no count has.
const MOST: usize = 64;

pub(super) fn hubs(hubs: &Hubs) -> Result<Markup, Failed> {
    let content = html! {
        div.pair {
            (occurrences(hubs)?)
            div { (facts(hubs)) }
        }
        (top(hubs))
    };
    let meaning = "In many dimensions a few rows are near to very many others (Radovanović et al. 2010), and so become the negative of \
        everyone. Much above a skewness of 3 they crowd out what else there is to learn: cap them with `balance.max_uses`, pick at \
        random within the band, or look whether such a row is broken.";
    Ok(part::section("hubs", "Hubs: negatives used again and again", meaning, content))
}

fn occurrences(hubs: &Hubs) -> Result<Markup, Failed> {
    let bins = &hubs.distribution[..hubs.distribution.len().min(MOST)];
    // Labels find room beside each other where there are no more than this.
    let every = bins.len().div_ceil(7).max(1);
    let name = |bin: usize| match bin {
        0 => "0".to_owned(),
        1 => "1".to_owned(),
        bin if bin < 5 => format!("{}–{}", 1u64 << (bin - 1), (1u64 << bin) - 1),
        bin => format!("≥{}", thousands(1u64 << (bin - 1))),
    };
    let ticks = (0..bins.len()).step_by(every).map(|bin| (bin as f64 + 0.5, name(bin))).collect();
    let x = Axis { range: 0.0..bins.len().max(1) as f64, ticks, title: "uses as a negative".to_owned(), grid: false };
    // Most rows are used seldom: on a plain scale hubs would not be seen.
    let height = |rows: f64| (1.0 + rows).log10();
    let most = bins.iter().map(|&rows| height(rows as f64)).fold(0.0, f64::max);
    let tens = (0..20).map(|power| 10f64.powi(power)).map(|rows| (height(rows), thousands(rows as u64)));
    let ticks = tens.filter(|(at, _)| *at <= most).collect();
    let y = Axis { range: 0.0..(most * 1.08).max(0.5), ticks, title: String::new(), grid: true };
    let told = "Histogram of how often rows are used as negatives, in powers of two";
    let plot = plot::figure(told, 230, 52, (x, y), |chart| {
        for (bin, &rows) in bins.iter().enumerate() {
            let at = bin as f64;
            chart.bar(at + 0.1..at + 0.9, 0.0..height(rows as f64), if bin == 0 { Ink::Other } else { Ink::Accent })?;
        }
        Ok(())
    })?;
    Ok(part::figure(plot, "Rows by how often they are a negative (k-occurrence); both scales grow by powers.", &[]))
}

fn facts(hubs: &Hubs) -> Markup {
    let row = |name: &str, value: String| vec![html! { (name) }, html! { (value) }];
    let rows = [
        row("rows that could be negatives", thousands(hubs.rows)),
        row("never used", format!("{} ({})", thousands(hubs.unused), percent(hubs.unused, hubs.rows))),
        row("uses of a row, on average", number(hubs.mean)),
        row("uses of the most used row", thousands(hubs.most)),
        row("skewness of the k-occurrence", format!("{:.2}", hubs.skewness)),
        row("uses that the top 1 % of rows have", percent_of(hubs.top_share)),
    ];
    part::table("How evenly negatives are used", &["", ""], &rows, false)
}

fn top(hubs: &Hubs) -> Markup {
    let row = |Hub { row, uses }: &Hub| vec![html! { (exhibit(row)) }, html! { (thousands(*uses)) }];
    let rows: Vec<Vec<Markup>> = hubs.top.iter().map(row).collect();
    part::table("The most used negatives", &["row", "uses"], &rows, false)
}

pub(super) fn suspects(count: u64, nearest: &[SuspectPair]) -> Markup {
    let row = |SuspectPair { a, b, distance }: &SuspectPair| {
        vec![html! { (exhibit(a)) }, html! { (exhibit(b)) }, html! { (number((*distance).into())) }]
    };
    let rows: Vec<Vec<Markup>> = nearest.iter().map(row).collect();
    let content = html! {
        @if rows.is_empty() {
            p { "None were found: no two vectors are the same across classes, nor nearer than duplicate_distance where that is set." }
        } @else {
            (part::table(
                &format!("The nearest of {}, all in suspects.parquet", counted(count, "pair")),
                &["one row", "the other", "distance"],
                &rows,
                true,
            ))
        }
    };
    let meaning = "Two rows that are next to the same, under labels that differ: one of the labels is likely wrong, or a pair is missing. \
        Mend them in the data; `duplicate_distance` keeps such rows from being negatives.";
    part::section("suspects", "Suspects: likely label noise", meaning, content)
}
