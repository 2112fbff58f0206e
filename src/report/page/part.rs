//! The pieces that all sections are made of.

use maud::{Markup, html};

use super::plot::Ink;

/// A section: its title, what it means and what to do about it (keys between backticks), then what there is.
pub(super) fn section(id: &str, title: &str, meaning: &str, content: Markup) -> Markup {
    html! {
        section id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) }
            p.meaning {
                @for (at, piece) in meaning.split('`').enumerate() { @if at % 2 == 1 { code { (piece) } } @else { (piece) } }
            }
            (content)
        }
    }
}

/// A figure with its caption and the meaning of its colours.
pub(super) fn figure(plot: Markup, caption: &str, legend: &[(Ink, &str)]) -> Markup {
    html! {
        figure {
            (plot)
            @if !legend.is_empty() {
                ul.legend {
                    @for (ink, name) in legend { li { span.swatch style={ "background:var(--" (ink.name()) ")" } {} (name) } }
                }
            }
            figcaption { (caption) }
        }
    }
}

/// A table whose first column names its rows. `words`: the other columns are not numbers.
pub(super) fn table(caption: &str, head: &[&str], rows: &[Vec<Markup>], words: bool) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(caption) {
            table.words[words] {
                caption { (caption) }
                thead { tr { @for name in head { th scope="col" { (name) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (at, cell) in row.iter().enumerate() {
                                @if at == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
