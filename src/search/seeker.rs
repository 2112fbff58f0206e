//! One quest on its way through the blocks: what it still looks for, as bounds on scores.
//!
//! # Why nothing is missed
//! A block's rows y and the query x are known as integers, y ≈ ŷ = t·r and x ≈ x̂ = s·q, and
//! `x·y − x̂·ŷ = (x − x̂)·y + x̂·(y − ŷ)`, so by Cauchy and Schwarz
//! `|x·y − s·t·(q·r)| ≤ ‖x − x̂‖·‖y‖ + ‖x̂‖·‖y − ŷ‖`. All four norms are measured in f64 and rounded up; the kernel's
//! integer product is exact. A row whose true score is in `lo ..= hi` therefore has its integer sum within that slack of
//! `lo/(s·t) ..= hi/(s·t)`. [`Ruler`] in turn guarantees that a row in the window has its true score in `lo ..= hi`.

use super::corpus::Corpus;
use super::ruler::Ruler;
use super::taker::Taker;
use super::tiles::{Block, Tiles};
use super::{Fill, Pick, Quest};
use crate::kernel::Distance;
use crate::kernel::quantised::{Aim, Hits, Query, UPWARD, sweep};
use crate::store::{Code, Row};

/// How far a product of integers may be from the score it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slack {
    /// By Cauchy and Schwarz: nothing is missed.
    Proven,
    /// Residuals of rotated vectors point anywhere, so that their products are √d times smaller than their norms' as a
    /// rule: [`LIKELY`] standard deviations.
    Likely,
}

/// Beyond four standard deviations lies one row in sixteen thousand.
const LIKELY: f64 = 4.0;

/// The windows of one quest that need a scan.
pub(super) struct Seeker<'a> {
    /// Its index among the quests.
    pub index: usize,
    quest: &'a Quest<'a>,
    /// The window with the smallest distances first.
    takers: Vec<Wanted<'a>>,
    query: Query,
    squared_norm: f64,
    /// At least ‖x̂‖.
    norm: f64,
    slack: Slack,
    /// Whether many hits will be of the anchor's own class.
    large_class: bool,
    /// All scores of interest …
    span: Span,
    /// … but these, between two windows.
    gap: Option<Span>,
    /// The same as distances.
    reach: Reach,
}

/// Scores `lo ..= hi`.
#[derive(Debug, Clone, Copy)]
struct Span {
    lo: f64,
    hi: f64,
}

/// Distances in `lo ..= hi`, but not strictly between `gap_lo` and `gap_hi`.
#[derive(Debug, Clone, Copy)]
struct Reach {
    lo: f32,
    hi: f32,
    gap_lo: f32,
    gap_hi: f32,
}

impl Reach {
    const NOTHING: Self =
        Self { lo: f32::INFINITY, hi: f32::NEG_INFINITY, gap_lo: f32::INFINITY, gap_hi: f32::NEG_INFINITY };

    /// One comparison in the end: on which side of a bound a row falls is a coin's toss, which no processor predicts.
    #[inline]
    fn holds(&self, distance: f32) -> bool {
        let most = |a: f32, b: f32| if a > b { a } else { b };
        let least = |a: f32, b: f32| if a < b { a } else { b };
        let inside_gap = least(distance - self.gap_lo, self.gap_hi - distance);
        most(most(self.lo - distance, distance - self.hi), inside_gap) <= 0.0
    }
}

struct Wanted<'a> {
    /// Index of the window in its quest.
    window: usize,
    taker: Taker<'a>,
    /// Scores that may still interest it.
    span: Span,
}

impl<'a> Seeker<'a> {
    /// For the windows of a quest that `fills` leaves open.
    pub fn new(
        index: usize,
        quest: &'a Quest<'a>,
        fills: &[Option<Fill>],
        corpus: &'a Corpus,
        tiles: &Tiles,
        ruler: &Ruler,
        slack: Slack,
    ) -> Self {
        let (query, squared_norm) = tiles.query(quest.vector);
        let open = (0..fills.len()).filter(|&window| fills[window].is_none());
        let mut takers: Vec<Wanted> = open
            .map(|window| {
                let above = quest.windows[window].above;
                let span = Span { lo: f64::NEG_INFINITY, hi: ruler.highest_score(squared_norm, above) };
                Wanted { window, taker: Taker::new(quest.windows[window], quest, corpus), span }
            })
            .collect();
        takers.sort_by(|a, b| b.span.hi.total_cmp(&a.span.hi));
        let norm = squared_norm.sqrt() * UPWARD + query.residual;
        let span = Span { lo: f64::NEG_INFINITY, hi: f64::INFINITY };
        let reach = Reach::NOTHING;
        let kin = corpus.store.most_kin(quest.admits.label);
        let large_class = kin > corpus.rows() as usize / LARGE_CLASS;
        let mut seeker =
            Self { index, quest, takers, query, squared_norm, norm, slack, large_class, span, gap: None, reach };
        seeker.focus(ruler);
        seeker
    }

    /// Draws the bounds in after a window has received something.
    fn focus(&mut self, ruler: &Ruler) {
        let nearest = self.takers.first().map_or(f64::NEG_INFINITY, |first| first.span.hi);
        self.span = Span { lo: f64::INFINITY, hi: nearest };
        (self.gap, self.reach) = (None, Reach::NOTHING);
        for Wanted { span, taker, .. } in &mut self.takers {
            span.lo = ruler.lowest_score(self.squared_norm, taker.upto());
            let (above, upto) = (taker.window.above.get(), taker.upto().get());
            let width = self.gap.map_or(0.0, |gap| gap.hi - gap.lo);
            if self.span.lo < f64::INFINITY && self.span.lo - span.hi > width {
                self.gap = Some(Span { lo: span.hi, hi: self.span.lo });
                (self.reach.gap_lo, self.reach.gap_hi) = (self.reach.hi, above.next_up());
            }
            self.span.lo = self.span.lo.min(span.lo);
            self.reach.lo = self.reach.lo.min(above.next_up());
            self.reach.hi = self.reach.hi.max(upto);
        }
    }

    fn aim(&self, block: &Block) -> Aim<'_> {
        let query = &self.query;
        // What one unit of an integer sum stands for, and the block's offset in units.
        let unit = query.scale * block.scale;
        let offset = block.offset / unit;
        if offset >= f64::from(1 << 29) {
            // Integers cannot hold the offsets: everything is looked at.
            return Aim::everything(query);
        }
        // An offset is rounded to f32, scaled in f32 and rounded to an integer; a bound is rounded to an integer, too.
        let rounding = unit * (2.0 + offset * 2.0 * f64::from(f32::EPSILON));
        let (mine, theirs) = (query.residual * block.norm, self.norm * block.residual);
        let slack = match self.slack {
            Slack::Proven => (mine + theirs) * UPWARD,
            Slack::Likely => LIKELY * ((mine * mine + theirs * theirs).sqrt()) / (query.dims() as f64).sqrt(),
        } + rounding;
        // A cast saturates, so that a bound no integer reaches excludes nothing.
        let below = |score: f64| ((score - slack) / unit).floor() as i32;
        let beyond = |score: f64| ((score + slack) / unit).ceil() as i32;
        // Sums strictly between what the windows on both sides may contain.
        let (lo, hi) = (below(self.span.lo), beyond(self.span.hi));
        let mut aim = Aim { lo, hi, offset_scale: offset as f32, ..Aim::everything(query) };
        if let Some(gap) = self.gap {
            (aim.gap_lo, aim.gap_hi) = (beyond(gap.lo).saturating_add(1), below(gap.hi).saturating_sub(1));
        }
        aim
    }

    /// Measures rows, and keeps those that belong somewhere.
    /// `places` are theirs in `tiles.vectors()`, or in the store.
    fn measure(&mut self, places: &[u32], tiles: &Tiles, corpus: &Corpus, ruler: &Ruler, distances: &mut Vec<f32>) {
        let gathered = tiles.vectors();
        corpus.distances(self.quest.vector, gathered, places, distances);
        for (places, distances) in places.chunks(GLANCE).zip(distances.chunks(GLANCE)) {
            // Nearly all rows end here: a quantised product is not so precise that it could tell.
            let any = distances.iter().fold(false, |any, &distance| any | self.reach.holds(distance));
            if !any {
                continue;
            }
            for (&place, &distance) in places.iter().zip(distances) {
                if !self.reach.holds(distance) {
                    continue;
                }
                let row = if gathered.is_some() { tiles.all_rows()[place as usize] } else { Row(place) };
                self.keep(row, Distance::new(distance), corpus, ruler);
            }
        }
    }

    fn keep(&mut self, row: Row, distance: Distance, corpus: &Corpus, ruler: &Ruler) {
        let wants = |wanted: &Wanted| wanted.taker.window.holds(distance) && wanted.taker.wants(row);
        if !self.takers.iter().any(wants) || !self.quest.admits.admits(corpus.store, row) {
            return;
        }
        let mut drawn_in = false;
        for Wanted { taker, .. } in &mut self.takers {
            drawn_in |= taker.offer(row, distance);
        }
        if drawn_in {
            self.focus(ruler);
        }
    }

    /// The query, and ‖x‖² as scores see it.
    pub fn query(&self) -> (&Query, f64) {
        (&self.query, self.squared_norm)
    }

    /// The class whose rows are no negatives.
    pub fn label(&self) -> Code {
        self.quest.admits.label
    }

    /// The windows that may still gain: scores `lo ..= hi`, how many rows are wanted, and whether they are the nearest.
    pub fn open(&self) -> impl Iterator<Item = (f64, f64, f64, bool)> {
        self.takers.iter().map(|Wanted { taker, span, .. }| {
            (span.lo, span.hi, f64::from(taker.window.count), taker.window.pick == Pick::Nearest)
        })
    }

    /// What each of its windows received.
    pub fn finish(self, exhaustive: bool) -> impl Iterator<Item = (usize, Fill)> {
        let quest = self.quest;
        self.takers.into_iter().map(move |wanted| (wanted.window, wanted.taker.fill(quest, exhaustive)))
    }
}

/// What showing blocks needs again and again.
#[derive(Default)]
pub(super) struct Scratch {
    hits: Hits,
    places: Vec<u32>,
    distances: Vec<f32>,
}

/// Distances compared by one branch.
const GLANCE: usize = 16;
/// A class with one row in so many of the store is worth looking for among the hits.
const LARGE_CLASS: usize = 256;

/// Shows a block to some seekers.
pub(super) fn show(
    block: &Block,
    tiles: &Tiles,
    seekers: &mut [Seeker],
    chosen: &[u32],
    corpus: &Corpus,
    ruler: &Ruler,
    scratch: &mut Scratch,
) {
    let aims: Vec<Aim> = chosen.iter().map(|&index| seekers[index as usize].aim(block)).collect();
    sweep(&aims, tiles.bytes(block), tiles.offsets(block), &mut scratch.hits);
    drop(aims);
    let (rows, labels) = (tiles.rows(block), tiles.labels(block));
    let (gathered, first) = (tiles.vectors().is_some(), block.rows.start as u32);
    for (&index, columns) in chosen.iter().zip(scratch.hits.iter()) {
        let seeker = &mut seekers[index as usize];
        scratch.places.clear();
        // Columns that fill up the last panel are no rows; they come last.
        let columns = &columns[..columns.partition_point(|&column| (column as usize) < rows.len())];
        if gathered {
            scratch.places.extend(columns.iter().map(|column| first + column));
        } else {
            scratch.places.extend(columns.iter().map(|&column| rows[column as usize].0));
        }
        let mut others = columns.len();
        if seeker.large_class {
            // Rows of the anchor's own class need not be measured. Without a branch, which would be mispredicted.
            let (store, own) = (corpus.store, seeker.quest.admits.label);
            others = match store.has_several_labels() {
                false => strangers(columns, &mut scratch.places, |column| labels[column as usize].agrees(own)),
                true => strangers(columns, &mut scratch.places, |column| store.akin(labels[column as usize], own)),
            };
        }
        seeker.measure(&scratch.places[..others], tiles, corpus, ruler, &mut scratch.distances);
    }
}

/// Moves the places of columns that are not of the anchor's kin to the front, and gives their number.
#[inline]
fn strangers(columns: &[u32], places: &mut [u32], kin: impl Fn(u32) -> bool) -> usize {
    let mut others = 0;
    for (index, &column) in columns.iter().enumerate() {
        places[others] = places[index];
        others += usize::from(!kin(column));
    }
    others
}
