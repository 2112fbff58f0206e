//! The guards of a pipeline drawn at random.

use triplet_miner::kernel::{Distance, Metric};

use crate::scores::SCORES;
use crate::support::Draw;

/// Of `[mine.negatives]`.
#[derive(Debug, Clone, Default)]
pub struct Guards {
    pub max_score: Option<f64>,
    pub min_score: Option<f64>,
    pub absolute_margin: Option<f64>,
    pub relative_margin: Option<f64>,
    pub reference: &'static str,
    pub skip_nearest: usize,
    pub window: Option<usize>,
    pub duplicate_distance: Option<f32>,
    pub near_positive: Option<f32>,
    pub score_gap: Option<f64>,
}

impl Guards {
    pub fn any(&self) -> bool {
        self.max_score.or(self.min_score).or(self.absolute_margin).or(self.relative_margin).is_some()
            || self.window.is_some()
            || self.skip_nearest > 0
            || self.duplicate_distance.or(self.near_positive).is_some()
            || self.score_gap.is_some()
    }

    /// `any`: whether no band is named. `edge` draws a distance that occurs.
    pub fn draw(draw: &mut Draw, metric: Metric, margin: f64, any: bool, edge: &dyn Fn(&mut Draw) -> f32) -> Self {
        let mut guards = Self { reference: "each", ..Self::default() };
        if draw.below(4) == 0 {
            return guards;
        }
        let score = |draw: &mut Draw| score(metric, Distance::new(edge(draw)));
        let maybe = |draw: &mut Draw| draw.below(4) == 0;
        let (a, b) = (score(draw), score(draw));
        guards.max_score = maybe(draw).then_some(a.max(b));
        guards.min_score = maybe(draw).then_some(a.min(b));
        guards.absolute_margin = maybe(draw).then_some(margin * if any { 1.5 } else { 0.5 });
        guards.relative_margin = maybe(draw).then_some(0.1);
        if guards.absolute_margin.or(guards.relative_margin).is_some() {
            guards.reference = *draw.one_of(&["each", "nearest", "farthest", "mean"]);
        }
        guards.skip_nearest = if maybe(draw) { 1 + draw.below(3) as usize } else { 0 };
        guards.window = maybe(draw).then_some(guards.skip_nearest + 1 + draw.below(20) as usize);
        guards.duplicate_distance = maybe(draw).then_some(edge(draw).min(edge(draw)));
        guards.near_positive = maybe(draw).then_some(edge(draw).abs().min(edge(draw).abs()));
        guards.score_gap = maybe(draw).then_some(*draw.one_of(&[-0.5, 0.0, 0.25, 1.0]));
        guards
    }

    /// As a pipeline says them.
    pub fn lines(&self) -> Vec<String> {
        let distance = |value: Option<f32>| value.map(f64::from);
        let numbers = [
            ("max_score", self.max_score),
            ("min_score", self.min_score),
            ("absolute_margin", self.absolute_margin),
            ("relative_margin", self.relative_margin),
            // As f64: TOML has no f32, and the shortest f32 decimal is another f64 than the f32 itself.
            ("duplicate_distance", distance(self.duplicate_distance)),
            ("near_positive", distance(self.near_positive)),
            ("score_gap", self.score_gap),
        ];
        let told = numbers.into_iter().filter_map(|(key, value)| Some(format!("mine.negatives.{key} = {:?}", value?)));
        let mut lines: Vec<String> = told.collect();
        lines.push(format!("mine.negatives.reference = '{}'", self.reference));
        lines.push(format!("mine.negatives.skip_nearest = {}", self.skip_nearest));
        lines.extend(self.window.map(|window| format!("mine.negatives.window = {window}")));
        lines.extend(self.score_gap.map(|_| SCORES.to_owned()));
        lines
    }
}

pub fn score(metric: Metric, distance: Distance) -> f64 {
    if metric == Metric::Cosine { 1.0 - f64::from(distance.get()) } else { -f64::from(distance.get()) }
}
