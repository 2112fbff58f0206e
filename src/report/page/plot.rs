//! Figures as SVG. They are drawn for the width of a phone and grow with the page; colours are names that the style sheet fills in,
//! for light and for dark.

use std::error::Error;
use std::ops::Range;

use maud::{Markup, PreEscaped, html};
use plotters::chart::ChartContext;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The width of a figure, in units of the text's pixels.
const WIDTH: u32 = 360;
/// Steps of a unit: plotters places in whole steps, and a bar may be narrower than a pixel.
const FINE: u32 = 4;
const TEXT: u32 = 11;

/// A colour that the style sheet gives a value to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Text,
    Faint,
    Positive,
    Hard,
    SemiHard,
    Easy,
    Accent,
    Other,
}

impl Ink {
    const ALL: [Self; 8] =
        [Self::Text, Self::Faint, Self::Positive, Self::Hard, Self::SemiHard, Self::Easy, Self::Accent, Self::Other];
    /// Of the bands, by their number.
    pub(super) const BANDS: [Self; 3] = [Self::Hard, Self::SemiHard, Self::Easy];

    /// The property of the style sheet, without its dashes.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Faint => "faint",
            Self::Positive => "positive",
            Self::Hard => "hard",
            Self::SemiHard => "semi-hard",
            Self::Easy => "easy",
            Self::Accent => "accent",
            Self::Other => "other",
        }
    }

    /// What stands for it while plotters draws.
    fn rgb(self) -> RGBColor {
        RGBColor(1, 2, 3 + self as u8)
    }
}

/// A figure could not be drawn.
pub(super) type Failed = Box<dyn Error + Send + Sync>;
pub(super) type Drawn = Result<(), Failed>;

/// One axis: what it spans, and where it says so.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) range: Range<f64>,
    pub(super) ticks: Vec<(f64, String)>,
    pub(super) title: String,
    /// Whether lines across the figure begin at the ticks.
    pub(super) grid: bool,
}

impl Axis {
    /// With ticks at round numbers.
    pub(super) fn numbers(range: Range<f64>, title: &str) -> Self {
        let ticks = round_numbers(&range);
        Self { range, ticks, title: title.to_owned(), grid: true }
    }

    /// From 0 to a count, with a little air above.
    pub(super) fn counts(most: f64, title: &str) -> Self {
        let range = 0.0..(most * 1.08).max(1.0);
        let ticks = round_numbers(&range).into_iter().filter(|(value, _)| value.fract() == 0.0);
        let ticks = ticks.map(|(value, _)| (value, short(value))).collect();
        Self { range, ticks, title: title.to_owned(), grid: true }
    }

    /// Names, one below the other, each in the middle of a unit; with where they are.
    pub(super) fn names<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> (Self, Vec<f64>) {
        let count = names.len();
        let places: Vec<f64> = (0..count).map(|place| (count - place) as f64 - 0.5).collect();
        let ticks = places.iter().copied().zip(names.map(str::to_owned)).collect();
        (Self { range: 0.0..count.max(1) as f64, ticks, title: String::new(), grid: false }, places)
    }

    pub(super) fn bare(range: Range<f64>) -> Self {
        Self { range, ticks: Vec::new(), title: String::new(), grid: false }
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let Range { start, end } = self.range;
        // What lies far outside is outside; numbers that no step has must not overflow.
        let share = ((value - start) / (end - start)).clamp(-1.0, 2.0);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let all = if hint.weight().allow_light_points() { &[] } else { self.ticks.as_slice() };
        all.iter().map(|(value, _)| *value).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks.iter().find(|(tick, _)| tick == value).map(|(_, text)| text.clone()).unwrap_or_default()
    }
}

/// `1.2 M`.
fn short(count: f64) -> String {
    let (value, unit) = match count {
        c if c >= 1e9 => (c / 1e9, " G"),
        c if c >= 1e6 => (c / 1e6, " M"),
        c if c >= 1e4 => (c / 1e3, " k"),
        c => (c, ""),
    };
    format!("{}{unit}", (value * 10.0).round() / 10.0)
}

/// Up to seven of them, 1, 2 or 5 times a power of ten apart.
fn round_numbers(range: &Range<f64>) -> Vec<(f64, String)> {
    let span = range.end - range.start;
    if !(span.is_finite() && span > 0.0) {
        return Vec::new();
    }
    let power = 10f64.powf((span / 6.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| span / step <= 6.0);
    let step = step.unwrap_or(10.0 * power);
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let text = |value: f64| match step {
        step if !(1e-6..1e7).contains(&step) => format!("{value:.1e}"),
        _ => format!("{:.decimals$}", value + 0.0).replace('-', "−"),
    };
    let first = (range.start / step).ceil();
    (0..8).map(|i| (first + f64::from(i)) * step).filter(|value| *value <= range.end).map(|v| (v, text(v))).collect()
}

/// What shapes are drawn on.
pub(super) struct Chart<'a, 'c> {
    chart: ChartContext<'a, SVGBackend<'c>, Cartesian2d<Axis, Axis>>,
    y: Range<f64>,
}

impl Chart<'_, '_> {
    /// A filled box between two corners.
    pub(super) fn bar(&mut self, x: Range<f64>, y: Range<f64>, ink: Ink) -> Drawn {
        let bar = Rectangle::new([(x.start, y.start), (x.end, y.end)], ink.rgb().filled());
        self.chart.plotting_area().draw(&bar)?;
        Ok(())
    }

    /// A line through points, so many steps wide: there are four to a unit.
    pub(super) fn line(&mut self, points: Vec<(f64, f64)>, ink: Ink, width: u32) -> Drawn {
        self.chart.plotting_area().draw(&PathElement::new(points, ink.rgb().stroke_width(width)))?;
        Ok(())
    }

    /// A line from bottom to top, with a word beside its upper end: to its left, or to its right.
    pub(super) fn mark(&mut self, x: f64, word: &str, left: bool) -> Drawn {
        let Range { start, end } = self.y.clone();
        self.line(vec![(x, start), (x, end)], Ink::Text, FINE)?;
        self.text((x, end), &if left { format!("{word}\u{2009}") } else { format!("\u{2009}{word}") }, left)
    }

    /// A word whose upper left corner, or upper right one, is at a point.
    pub(super) fn text(&mut self, at: (f64, f64), word: &str, left: bool) -> Drawn {
        let anchor = Pos::new(if left { HPos::Right } else { HPos::Left }, VPos::Top);
        self.chart.plotting_area().draw(&Text::new(word.to_owned(), at, text(Ink::Text).pos(anchor)))?;
        Ok(())
    }

    /// A word beside the end of a bar.
    pub(super) fn beside(&mut self, at: (f64, f64), word: &str) -> Drawn {
        let anchor = Pos::new(HPos::Left, VPos::Center);
        self.chart.plotting_area().draw(&Text::new(format!("\u{a0}{word}"), at, text(Ink::Text).pos(anchor)))?;
        Ok(())
    }

    pub(super) fn dot(&mut self, at: (f64, f64), ink: Ink) -> Drawn {
        self.chart.plotting_area().draw(&Circle::new(at, 4 * FINE, ink.rgb().filled()))?;
        Ok(())
    }
}

fn text(ink: Ink) -> TextStyle<'static> {
    // Plotters divides sizes by this before it writes them.
    let size = f64::from(TEXT * FINE) * 1.24;
    TextStyle { color: ink.rgb().to_backend_color(), ..TextStyle::from(("sans-serif", size).into_font()) }
}

/// Draws a figure of some height, in units, with so much room for the words of the y axis. `told` is what those hear who do not see it.
///
/// # Errors
/// When plotters cannot draw.
pub(super) fn figure(
    told: &str,
    height: u32,
    room: u32,
    (x, y): (Axis, Axis),
    shapes: impl FnOnce(&mut Chart<'_, '_>) -> Drawn,
) -> Result<Markup, Failed> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH * FINE, height * FINE)).into_drawing_area();
        let below = match (x.ticks.is_empty(), x.title.is_empty()) {
            (true, true) => 2,
            (false, true) => 20,
            (_, false) => 36,
        };
        let chart = ChartBuilder::on(&root)
            .margin_top(6 * FINE)
            .margin_right(17 * FINE)
            .x_label_area_size(below * FINE)
            .y_label_area_size(room * FINE)
            .build_cartesian_2d(x.clone(), y.clone())?;
        let mut chart = Chart { chart, y: y.range.clone() };
        let mut mesh = chart.chart.configure_mesh();
        if !y.grid {
            mesh.disable_y_mesh();
        }
        mesh.disable_x_mesh()
            .bold_line_style(Ink::Faint.rgb().stroke_width(FINE / 2))
            .axis_style(Ink::Faint.rgb().stroke_width(FINE))
            .set_all_tick_mark_size(3 * FINE)
            .label_style(text(Ink::Text))
            .axis_desc_style(text(Ink::Text))
            .x_desc(x.title.as_str())
            .y_desc(y.title.as_str())
            .draw()?;
        shapes(&mut chart)?;
        root.present()?;
    }
    for ink in Ink::ALL {
        let RGBColor(red, green, blue) = ink.rgb();
        svg = svg.replace(&format!("\"#{red:02X}{green:02X}{blue:02X}\""), &format!("\"var(--{})\"", ink.name()));
    }
    Ok(html! { div.plot role="img" aria-label=(told) { (PreEscaped(svg)) } })
}

/// One bar of [`bars`].
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) told: String,
    pub(super) ink: Ink,
}

/// Horizontal bars, the first on top, with their names before and their values behind them.
///
/// # Errors
/// When plotters cannot draw.
pub(super) fn bars(told: &str, bars: &[Bar]) -> Result<Markup, Failed> {
    let most = bars.iter().map(|bar| bar.value).filter(|value| value.is_finite()).fold(0.0, f64::max);
    let (y, places) = Axis::names(bars.iter().map(|bar| bar.name.as_str()));
    let letters = bars.iter().map(|bar| bar.name.chars().count()).max().unwrap_or(0).min(20) as u32;
    // Behind the longest bar its value must find room.
    let x = Axis::bare(0.0..if most > 0.0 { most * 1.4 } else { 1.0 });
    figure(told, bars.len() as u32 * 24 + 8, 14 + letters * 6, (x, y), |chart| {
        for (&place, bar) in places.iter().zip(bars) {
            let value = if bar.value.is_finite() { bar.value } else { 0.0 };
            chart.bar(0.0..value, place - 0.32..place + 0.32, bar.ink)?;
            chart.beside((value, place), &bar.told)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        let ticks = |range: Range<f64>| round_numbers(&range).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(ticks(0.0..1.07), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(ticks(-0.031..0.02), ["−0.03", "−0.02", "−0.01", "0.00", "0.01", "0.02"]);
        assert_eq!(ticks(0.0..3_500.0), ["0", "1000", "2000", "3000"]);
        assert_eq!(ticks(1.0..1.0), [""; 0]);
        assert_eq!(ticks(0.0..f64::INFINITY), [""; 0]);
        for power in -300..300 {
            let span = 3.7 * 10f64.powi(power);
            assert!((3..8).contains(&ticks(-span..span).len()), "{power}");
        }
    }

    #[test]
    fn colours_are_left_to_the_style_sheet() {
        let drawn = bars(
            "a < b",
            &[
                Bar { name: "<i>".to_owned(), value: 2.0, told: "2".to_owned(), ink: Ink::Hard },
                Bar { name: "none".to_owned(), value: f64::NAN, told: "?".to_owned(), ink: Ink::Easy },
            ],
        );
        let drawn = drawn.unwrap().into_string();
        assert!(drawn.contains("fill=\"var(--hard)\"") && drawn.contains("aria-label=\"a &lt; b\""), "{drawn}");
        assert!(!drawn.contains("=\"#") && drawn.contains("&lt;i&gt;"), "{drawn}");
    }
}
