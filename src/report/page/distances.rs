//! How far positives and negatives lie, and the gap between them.

use maud::{Markup, html};

use super::part;
use super::plot::{self, Axis, Failed, Ink};
use super::text::{brief, number};
use crate::mine::{Band, Figures, Histogram, Series};

/// More bins than this are not ours.
const MOST: usize = 1 << 10;

pub(super) fn section(figures: &Figures) -> Result<Markup, Failed> {
    let (Some(distances), Some(gaps)) = (grid(figures.distances.as_ref()), grid(figures.gaps.as_ref())) else {
        return Ok(html! {});
    };
    let margin = figures.margin;
    let content = html! {
        div.pair {
            @if let Some(smooth) = smooth(figures.distances.as_ref()) { (of_distances(&smooth, margin)?) }
            @if let Some(smooth) = smooth(figures.gaps.as_ref()) { (of_gaps(&smooth, margin)?) }
        }
        (quantiles(&distances, &gaps))
    };
    let meaning = "A triplet teaches something where its negative is not much farther from the anchor than its positive. Where \
        positives lie as far out as negatives, the classes overlap: look for wrong labels, or train on. Where all gaps are \
        beyond the margin, ask for a larger margin or a harder band.";
    Ok(part::section("distances", "Distances", meaning, content))
}

/// A histogram that can be drawn.
struct Grid {
    series: Vec<Series>,
    bins: usize,
    width: f64,
    first: f64,
}

/// None for a histogram without values, or that is none.
fn grid(histogram: Option<&Histogram>) -> Option<Grid> {
    let Histogram { width, first, series } = histogram?.clone();
    let bins = series.iter().map(|series| series.counts.len()).min().filter(|bins| (1..=MOST).contains(bins))?;
    let grid = Grid { series, bins, width, first: first as f64 };
    let span = grid.edge(bins) - grid.edge(0);
    (span.is_finite() && span > 0.0 && grid.edge(1) > grid.edge(0)).then_some(grid)
}

/// The same in bins so wide that few triplets are not all noise: about twice the cube root of their number (Rice's rule).
fn smooth(histogram: Option<&Histogram>) -> Option<Grid> {
    let mut histogram = histogram?.clone();
    let total = |series: &Series| series.counts.iter().map(|&count| count as f64).sum::<f64>();
    let rice = 2.0 * histogram.series.iter().map(total).fold(0.0, f64::max).cbrt();
    while histogram.series.iter().any(|series| series.counts.len() as f64 > rice.clamp(16.0, 80.0) * 1.5) {
        histogram = histogram.coarser();
    }
    grid(Some(&histogram))
}

impl Grid {
    /// Where a bin begins.
    fn edge(&self, bin: usize) -> f64 {
        self.width * (self.first + bin as f64)
    }

    fn count(&self, series: usize, bin: usize) -> f64 {
        self.series.get(series).map_or(0.0, |series| series.counts[bin] as f64)
    }

    /// The highest pile of some series.
    fn most(&self, series: &[usize]) -> f64 {
        let pile = |bin| series.iter().map(|&series| self.count(series, bin)).sum::<f64>();
        (0..self.bins).map(pile).fold(0.0, f64::max)
    }

    /// Where a share of a series is reached, to within a bin.
    fn quantile(&self, series: usize, q: f64) -> Option<f64> {
        let bin = self.series.get(series)?.quantile(q)?;
        (bin < self.bins).then(|| self.edge(bin + 1))
    }

    fn span(&self) -> std::ops::Range<f64> {
        self.edge(0)..self.edge(self.bins)
    }

    /// Bars of some series, one upon the other.
    fn pile(&self, chart: &mut plot::Chart<'_, '_>, series: &[(usize, Ink)]) -> plot::Drawn {
        for bin in 0..self.bins {
            let mut base = 0.0;
            for &(series, ink) in series {
                let top = base + self.count(series, bin);
                if top > base {
                    chart.bar(self.edge(bin)..self.edge(bin + 1), base..top, ink)?;
                }
                base = top;
            }
        }
        Ok(())
    }
}

const BANDS: [(Ink, &str); 3] =
    [(Ink::Hard, "hard negatives"), (Ink::SemiHard, "semi-hard negatives"), (Ink::Easy, "easy negatives")];

/// Of the bands that have any.
fn legend(grid: &Grid, first: usize) -> Vec<(Ink, &'static str)> {
    let there = |at: usize| (0..grid.bins).any(|bin| grid.count(first + at, bin) > 0.0);
    BANDS.into_iter().enumerate().filter(|&(at, _)| there(at)).map(|(_, entry)| entry).collect()
}

fn of_distances(grid: &Grid, margin: f64) -> Result<Markup, Failed> {
    let most = grid.most(&[1, 2, 3]).max(grid.most(&[0]));
    let (x, y) = (Axis::numbers(grid.span(), "distance to the anchor"), Axis::counts(most * 1.12, ""));
    let median = grid.quantile(0, 0.5);
    let told = "Histogram of the distances of positives and negatives to their anchors";
    let plot = plot::figure(told, 230, 42, (x, y), |chart| {
        grid.pile(chart, &[(1, Ink::Hard), (2, Ink::SemiHard), (3, Ink::Easy)])?;
        let mut outline = vec![(grid.edge(0), 0.0)];
        for bin in 0..grid.bins {
            let count = grid.count(0, bin);
            outline.extend([(grid.edge(bin), count), (grid.edge(bin + 1), count)]);
        }
        outline.push((grid.edge(grid.bins), 0.0));
        chart.line(outline, Ink::Positive, 6)?;
        if let Some(median) = median.filter(|median| (median + margin).is_finite()) {
            // The margin, from the median positive on.
            let (height, end) = (most * 1.12, (median + margin).min(grid.span().end));
            chart.line(vec![(median, 0.0), (median, height)], Ink::Text, 4)?;
            chart.line(vec![(median, height), (end, height)], Ink::Text, 8)?;
            let left = median > (grid.span().start + grid.span().end) / 2.0;
            chart.text((median, height * 1.07), &format!("\u{2009}margin {}\u{2009}", brief(margin)), left)?;
        }
        Ok(())
    })?;
    let mut legend = legend(grid, 1);
    legend.insert(0, (Ink::Positive, "positives (outline)"));
    let caption = "Distances of all triplets. The bracket reaches from the median positive as far as the margin: what lies beyond it is \
        easy for half of the positives.";
    Ok(part::figure(plot, caption, &legend))
}

fn of_gaps(grid: &Grid, margin: f64) -> Result<Markup, Failed> {
    let most = grid.most(&[0, 1, 2]);
    let (x, y) = (Axis::numbers(grid.span(), "gap: d(a, n) − d(a, p)"), Axis::counts(most * 1.12, ""));
    let span = grid.span();
    let told = "Histogram of the gaps between negative and positive, by band";
    let plot = plot::figure(told, 230, 42, (x, y), |chart| {
        grid.pile(chart, &[(0, Ink::Hard), (1, Ink::SemiHard), (2, Ink::Easy)])?;
        // At an edge the axis has the word.
        let (start, width) = (span.start, span.end - span.start);
        if (start + 0.05 * width..=span.end).contains(&0.0) {
            chart.mark(0.0, "0", true)?;
        }
        if span.contains(&margin) {
            chart.mark(margin, &format!("margin {}", brief(margin)), margin > start + 0.66 * width)?;
        }
        Ok(())
    })?;
    let caption = "Gaps of all triplets. Left of 0 the negative is nearer than the positive; up to the margin the loss is not zero; \
        beyond it there is nothing to learn.";
    Ok(part::figure(plot, caption, &legend(grid, 0)))
}

/// The same in numbers.
fn quantiles(distances: &Grid, gaps: &Grid) -> Markup {
    const SHARES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
    let row = |name: String, grid: &Grid, series: usize| {
        let mut cells = vec![html! { (name) }];
        for share in SHARES {
            cells.push(html! { (number(grid.quantile(series, share)?)) });
        }
        Some(cells)
    };
    let mut rows: Vec<Vec<Markup>> = row("d(a, p)".to_owned(), distances, 0).into_iter().collect();
    for (at, band) in Band::ALL.into_iter().enumerate() {
        rows.extend(row(format!("d(a, n), {}", band.name()), distances, 1 + at));
        rows.extend(row(format!("gap, {}", band.name()), gaps, at));
    }
    let caption = format!(
        "Quantiles: so much of the triplets is at most this far (upper ends of bins, {} wide; of gaps {})",
        number(distances.width),
        number(gaps.width)
    );
    html! {
        details {
            summary { "In numbers" }
            (part::table(&caption, &["", "5 %", "25 %", "median", "75 %", "95 %"], &rows, false))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_histogram_is_not_drawn() {
        let histogram = |width: f64, first: i64, counts: &[u64]| {
            let series = Series { name: "all".to_owned(), counts: counts.to_vec() };
            Histogram { width, first, series: vec![series] }
        };
        let drawable = |histogram: &Histogram| grid(Some(histogram)).is_some();
        assert!(drawable(&histogram(0.5, -3, &[0, 1])));
        for (width, first, counts) in
            [(0.0, 0, &[1][..]), (-1.0, 0, &[1]), (1e308, 1 << 40, &[1, 2]), (1e-9, i64::MAX, &[1, 2]), (1.0, 0, &[])]
        {
            assert!(!drawable(&histogram(width, first, counts)), "{width} {first}");
        }
        assert!(!drawable(&histogram(1.0, 0, &vec![1; MOST + 1])));
        let smooth = smooth(Some(&histogram(0.25, -3, &vec![1; 128]))).unwrap();
        assert_eq!((smooth.bins, smooth.width, smooth.first), (17, 2.0, -1.0));
    }
}
