//! Balance between classes, before mining and after it.

use maud::{Markup, html};

use super::part;
use super::plot::{self, Axis, Failed, Ink};
use super::text::Data;
use crate::mine::{ClassShare, Classes, Evenness};
use crate::words::{counted, percent, thousands};

pub(super) fn section(classes: &Classes) -> Result<Markup, Failed> {
    let content = html! {
        div.pair {
            (curves(classes)?)
            div { (evenness(classes)) }
        }
        (largest(classes))
    };
    let meaning = "A class with many triplets is trained on often. Where a few classes have most of them, the others are learned \
        late: cap the large ones with `balance.anchors_per_class`, repeat the small ones with `oversample_to`, or weigh by class.";
    Ok(part::section("classes", "Balance between classes", meaning, content))
}

fn curves(classes: &Classes) -> Result<Markup, Failed> {
    let axis = |title: &str| {
        let ticks = (0..=4).map(|quarter| (f64::from(quarter) / 4.0, format!("{} %", quarter * 25))).collect();
        Axis { range: 0.0..1.0, ticks, title: title.to_owned(), grid: true }
    };
    let curve = |evenness: &Evenness| {
        let last = evenness.lorenz.len().saturating_sub(1).max(1) as f64;
        let shares = evenness.lorenz.iter().map(|share| share.clamp(0.0, 1.0));
        shares.enumerate().map(|(at, share)| (at as f64 / last, share)).collect::<Vec<_>>()
    };
    let told = "Lorenz curves: the share of rows and of triplets that the smallest classes have";
    let plot = plot::figure(told, 260, 42, (axis("classes, the smallest first"), axis("")), |chart| {
        chart.line(vec![(0.0, 0.0), (1.0, 1.0)], Ink::Faint, 4)?;
        chart.line(curve(&classes.before), Ink::Other, 8)?;
        chart.line(curve(&classes.triplets), Ink::Accent, 8)
    })?;
    let caption = "What the smallest classes have together (Lorenz curves). On the diagonal all classes have the same; the farther below \
        it, the more a few have.";
    Ok(part::figure(plot, caption, &[(Ink::Other, "rows that could be anchors"), (Ink::Accent, "triplets")]))
}

fn evenness(classes: &Classes) -> Markup {
    let row = |name: &str, evenness: &Evenness| {
        vec![
            html! { (name) },
            html! { (thousands(evenness.total)) },
            html! { (percent(evenness.largest, evenness.total)) },
            html! { (thousands(evenness.empty)) },
            html! { (format!("{:.3}", evenness.gini)) },
        ]
    };
    let rows = [
        row("rows that could be anchors", &classes.before),
        row("anchors with triplets", &classes.anchors),
        row("triplets", &classes.triplets),
    ];
    let caption = format!(
        "Evenness over {}. Gini: 0 where all have the same, near 1 where one has everything",
        counted(classes.before.classes, "class")
    );
    part::table(&caption, &["", "in all", "largest class", "classes without", "Gini"], &rows, false)
}

fn largest(classes: &Classes) -> Markup {
    let row = |ClassShare { label, before, anchors, triplets }: &ClassShare| {
        vec![
            html! { (Data(label)) },
            html! { (thousands(*before)) },
            html! { (thousands(*anchors)) },
            html! { (thousands(*triplets)) },
            html! { (percent(*triplets, classes.triplets.total)) },
        ]
    };
    let rows: Vec<Vec<Markup>> = classes.largest.iter().map(row).collect();
    let head = ["class", "could be anchors", "with triplets", "triplets", "of all"];
    part::table("The largest classes", &head, &rows, false)
}
