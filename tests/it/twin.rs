//! Brute force in plain loops: what a pipeline must yield on a small store, from the definitions alone.

mod admits;
mod guards;

use std::collections::{BTreeMap, BTreeSet};

use triplet_miner::kernel::{Distance, Metric};

use crate::scores::Scores;
use crate::support::{Draw, Line, Rows, STORE};
use guards::{Guards, score};

const METRICS: [Metric; 4] = [Metric::Cosine, Metric::Euclidean, Metric::SqEuclidean, Metric::Dot];
const BANDS: [&str; 3] = ["hard", "semi-hard", "easy"];

/// A pipeline over [`Rows`], drawn at random.
#[derive(Debug, Clone)]
pub struct Asked {
    metric: Metric,
    margin: f64,
    /// By band; empty for `any`.
    bands: Vec<(&'static str, usize)>,
    any: usize,
    pick: &'static str,
    fallback: Vec<&'static str>,
    positive_pick: &'static str,
    per_anchor: usize,
    min_distance: Option<f32>,
    max_distance: Option<f32>,
    /// Of positives and of negatives: `same`, `different` or nothing on the column `team`.
    teams: [Option<&'static str>; 2],
    unlabelled: bool,
    guards: Guards,
    max_per_class: Option<usize>,
    seed: u64,
    /// Whether labels are lists.
    several: bool,
}

/// Several labels, with commas between them.
pub const LISTS: &str = "string_to_array(label, ',', '')";

/// The labels of a row.
fn labels(row: &Option<String>) -> BTreeSet<&str> {
    row.iter().flat_map(|labels| labels.split(',')).filter(|label| !label.is_empty()).collect()
}

impl Asked {
    pub fn draw(draw: &mut Draw, rows: &Rows) -> Self {
        let metric = *draw.one_of(&METRICS);
        let twin = Twin::new(rows, metric);
        // Thresholds are distances that occur, so that edges are hit.
        let n = rows.vectors.len() as u64;
        let edge = |draw: &mut Draw| twin.distance(draw.below(n) as usize, draw.below(n) as usize).get();
        let spread = f64::from((edge(draw) - edge(draw)).abs());
        let margin = if spread > 0.0 && draw.below(2) == 0 { spread } else { 0.2 };
        let margin = if metric == Metric::Cosine { margin.min(1.9) } else { margin };
        let counts = [1, 2, 3, 1_000];
        let mut bands = Vec::new();
        for band in BANDS {
            if draw.below(2) == 0 {
                bands.push((band, *draw.one_of(&counts)));
            }
        }
        let mut fallback: Vec<&str> =
            BANDS.iter().copied().filter(|band| bands.iter().all(|(b, _)| b != band)).collect();
        if draw.below(2) == 0 {
            fallback.reverse();
        }
        fallback.truncate(if bands.is_empty() { 0 } else { draw.below(3) as usize });
        let maybe = |draw: &mut Draw, value: f32| (draw.below(3) == 0).then_some(value);
        let (low, high) = (edge(draw), edge(draw));
        let guards = Guards::draw(draw, metric, margin, bands.is_empty(), &edge);
        // Of a random pair nothing is known that it left no trace of, and guards that look at all pairs of an anchor need it.
        let together = guards.reference != "each" || guards.near_positive.is_some();
        let picks = ["hardest", "nearest", "all", "random"];
        let positive_pick = *draw.one_of(&picks[..if together { 3 } else { 4 }]);
        let several = guards.absolute_margin.is_some() || guards.relative_margin.is_some();
        if several {
            // Hard negatives under a margin are refused, see config.
            bands.retain(|(band, _)| *band != "hard");
            fallback.retain(|band| *band != "hard");
            if bands.is_empty() {
                fallback.clear();
            }
        }
        let mut picks = vec!["nearest", "random"];
        picks.extend((metric == Metric::Cosine).then_some("distance-weighted"));
        let pick = *draw.one_of(&picks);
        let team = |draw: &mut Draw| *draw.one_of(&[None, None, Some("same"), Some("different")]);
        Self {
            metric,
            margin,
            any: if bands.is_empty() { *draw.one_of(&counts) } else { 0 },
            bands,
            pick,
            fallback,
            positive_pick,
            // Of one positive nothing else than that is measured from.
            per_anchor: usize::from(guards.reference != "each") + 1 + draw.below(3) as usize,
            min_distance: maybe(draw, low.min(high)),
            max_distance: maybe(draw, low.max(high)),
            teams: [team(draw), team(draw)],
            unlabelled: draw.below(2) == 0,
            guards,
            max_per_class: (pick == "nearest" && positive_pick != "random" && draw.below(3) == 0)
                .then_some(1 + draw.below(2) as usize),
            seed: draw.below(1_000),
            several: rows.labels.iter().flatten().any(|label| label.contains(',')),
        }
    }

    /// Where pairs say what is a positive, no row has a class.
    pub fn without_classes(self) -> Self {
        Self { max_per_class: None, ..self }
    }

    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// As a pipeline says it.
    pub fn pipeline(&self) -> String {
        let store = if self.several { STORE.replace("'label'", &format!("\"{LISTS}\"")) } else { STORE.to_owned() };
        let mut lines = vec![format!("{store}store.groups = {{ team = 'team' }}")];
        let mut line = |text: String| lines.push(text);
        line(format!("store.unlabelled = '{}'", if self.unlabelled { "negative" } else { "ignore" }));
        line("search.index = 'exact'".into());
        line(format!("mine.metric = '{}'", self.metric.name()));
        line(format!("mine.margin = {:?}", self.margin));
        let bands: Vec<String> = self.bands.iter().map(|(band, count)| format!("{band} = {count}")).collect();
        let bands = if bands.is_empty() { format!("any = {}", self.any) } else { bands.join(", ") };
        line(format!("mine.bands = {{ {bands} }}"));
        line(format!("mine.pick = '{}'", self.pick));
        line(format!("mine.fallback = {:?}", self.fallback));
        line(format!("mine.seed = {}", self.seed));
        line(format!("mine.positives.pick = '{}'", self.positive_pick));
        if self.positive_pick != "all" {
            line(format!("mine.positives.per_anchor = {}", self.per_anchor));
        }
        for (role, team) in ["positives", "negatives"].iter().zip(self.teams) {
            if let Some(relation) = team {
                line(format!("mine.{role}.{relation} = ['team']"));
            }
        }
        let distances = [("positives.min_distance", self.min_distance), ("positives.max_distance", self.max_distance)];
        for (key, distance) in distances {
            if let Some(distance) = distance {
                // As f64: TOML has no f32, and the shortest f32 decimal is another f64 than the f32 itself.
                line(format!("mine.{key} = {:?}", f64::from(distance)));
            }
        }
        lines.extend(self.guards.lines());
        if let Some(most) = self.max_per_class {
            lines.push(format!("mine.negatives.max_per_class = {most}"));
        }
        lines.join("\n")
    }
}

/// All distances between anchors and a store.
pub struct Twin<'a> {
    rows: &'a Rows,
    metric: Metric,
    vectors: Vec<Vec<f32>>,
    /// The rows themselves, unless there are queries.
    anchors: &'a Rows,
    anchor_vectors: Vec<Vec<f32>>,
    /// Of each anchor, the row that is itself.
    own: Vec<Option<usize>>,
    /// Of each anchor, its positives by pairs.
    pairs: Option<Vec<BTreeSet<usize>>>,
    scores: Scores,
    /// Anchors with rows that are not to be their negatives again.
    excluded: BTreeSet<(usize, usize)>,
}

type Candidate = (Distance, usize);

impl<'a> Twin<'a> {
    pub fn new(rows: &'a Rows, metric: Metric) -> Self {
        Self::asking(rows, rows, metric, (0..rows.vectors.len()).map(Some).collect(), None)
    }

    /// With anchors of their own, or pairs, or both.
    pub fn asking(
        anchors: &'a Rows,
        rows: &'a Rows,
        metric: Metric,
        own: Vec<Option<usize>>,
        pairs: Option<Vec<BTreeSet<usize>>>,
    ) -> Self {
        let unit = |vector: &Vec<f32>| {
            let norm = vector.iter().fold(0.0, |sum, &x| sum + f64::from(x) * f64::from(x)).sqrt();
            vector.iter().map(|&x| (f64::from(x) / norm) as f32).collect()
        };
        let prepared = |rows: &Rows| match metric {
            Metric::Cosine => rows.vectors.iter().map(unit).collect(),
            _ => rows.vectors.clone(),
        };
        Self {
            rows,
            metric,
            vectors: prepared(rows),
            anchors,
            anchor_vectors: prepared(anchors),
            own,
            pairs,
            scores: Scores::default(),
            excluded: BTreeSet::new(),
        }
    }

    /// With what a reranker says.
    pub fn scored(self, scores: Scores) -> Self {
        Self { scores, ..self }
    }

    /// With what an earlier output has.
    pub fn without(self, earlier: &[Line]) -> Self {
        let excluded = earlier.iter().map(|line| (line.anchor as usize, line.negative as usize)).collect();
        Self { excluded, ..self }
    }

    fn guards(&self, asked: &Asked) -> bool {
        asked.guards.any() || !self.excluded.is_empty()
    }

    fn has_queries(&self) -> bool {
        !std::ptr::eq(self.anchors, self.rows)
    }

    fn distance(&self, anchor: usize, row: usize) -> Distance {
        self.metric.distance(&self.anchor_vectors[anchor], &self.vectors[row])
    }

    /// Whether a row counts as a positive, by label or by pairs; itself perhaps.
    fn related(&self, anchor: usize, row: usize) -> bool {
        match &self.pairs {
            Some(pairs) => pairs[anchor].contains(&row),
            None => !labels(&self.anchors.labels[anchor]).is_disjoint(&labels(&self.rows.labels[row])),
        }
    }

    /// Whether a row counts as a negative.
    fn strange(&self, asked: &Asked, anchor: usize, row: usize) -> bool {
        match &self.pairs {
            Some(pairs) => !pairs[anchor].contains(&row),
            None => !self.related(anchor, row) && (asked.unlabelled || !labels(&self.rows.labels[row]).is_empty()),
        }
    }

    fn team_fits(&self, relation: Option<&str>, a: usize, b: usize) -> bool {
        let (a, b) = (&self.anchors.teams[a], &self.rows.teams[b]);
        match relation {
            None => true,
            Some("same") => a.is_some() && a == b,
            Some(_) => a.is_none() || a != b,
        }
    }

    /// Nearest first.
    fn positives(&self, asked: &Asked, anchor: usize) -> Vec<Candidate> {
        let mut positives: Vec<Candidate> = (0..self.vectors.len())
            .filter(|&row| self.own[anchor] != Some(row) && self.related(anchor, row))
            .filter(|&row| self.team_fits(asked.teams[0], anchor, row))
            .map(|row| (self.distance(anchor, row), row))
            .filter(|(distance, _)| asked.min_distance.is_none_or(|min| distance.get() >= min))
            .filter(|(distance, _)| asked.max_distance.is_none_or(|max| distance.get() <= max))
            .collect();
        positives.sort();
        positives
    }

    /// Nearest first, each with its band: those that the guards keep, or all.
    fn negatives(
        &self,
        asked: &Asked,
        anchor: usize,
        positive: Candidate,
        chosen: &[Candidate],
        guarded: bool,
    ) -> Vec<(Candidate, &'static str)> {
        let d_ap = positive.0;
        let mut negatives: Vec<Candidate> = (0..self.vectors.len())
            .filter(|&row| self.own[anchor] != Some(row) && self.strange(asked, anchor, row))
            .filter(|&row| self.team_fits(asked.teams[1], anchor, row))
            .map(|row| (self.distance(anchor, row), row))
            .collect();
        negatives.sort();
        if guarded {
            let guards = &asked.guards;
            negatives.truncate(guards.window.unwrap_or(usize::MAX));
            negatives.drain(..guards.skip_nearest.min(negatives.len()));
            negatives.retain(|&negative| self.kept(asked, anchor, positive, negative, chosen));
        }
        let band = |d_an: Distance| {
            let gap = f64::from(d_an.get()) - f64::from(d_ap.get());
            if gap <= 0.0 {
                "hard"
            } else if gap <= asked.margin {
                "semi-hard"
            } else {
                "easy"
            }
        };
        negatives.into_iter().map(|negative| (negative, band(negative.0))).collect()
    }

    /// Whether the guards that do not count ranks keep a negative.
    fn kept(
        &self,
        asked: &Asked,
        anchor: usize,
        (d_ap, positive): Candidate,
        (d_an, negative): Candidate,
        chosen: &[Candidate],
    ) -> bool {
        let guards = &asked.guards;
        let scores: Vec<f64> = chosen.iter().map(|&(d, _)| score(asked.metric, d)).collect();
        let s_ap = match guards.reference {
            "each" => score(asked.metric, d_ap),
            "nearest" => scores.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            "farthest" => scores.iter().copied().fold(f64::INFINITY, f64::min),
            _ => scores.iter().sum::<f64>() / scores.len() as f64,
        };
        let s_an = score(asked.metric, d_an);
        !self.excluded.contains(&(anchor, negative))
            && guards.max_score.is_none_or(|most| s_an <= most)
            && guards.min_score.is_none_or(|least| s_an >= least)
            && guards.absolute_margin.is_none_or(|margin| s_an <= s_ap - margin)
            && guards.relative_margin.is_none_or(|margin| s_an <= s_ap - margin * s_ap.abs())
            && guards.duplicate_distance.is_none_or(|near| d_an.get() > near)
            && guards.score_gap.is_none_or(|gap| {
                let score = |row| self.scores.0.get(&(anchor, row)).copied().map(f64::from);
                score(positive).zip(score(negative)).is_some_and(|(of_p, of_n)| of_p - of_n >= gap)
            })
            && guards.near_positive.is_none_or(|near| {
                chosen.iter().all(|&(_, positive)| {
                    self.metric.distance(&self.vectors[negative], &self.vectors[positive]).get() > near
                })
            })
    }

    /// Of the anchors that have a positive, how many there are, and how many have one for their nearest row.
    pub fn nearest(&self) -> (u64, u64) {
        let taking_part = |row: &usize| self.pairs.is_some() || self.rows.labels[*row].is_some();
        let (mut asking, mut right) = (0, 0);
        for anchor in 0..self.anchor_vectors.len() {
            let others = (0..self.vectors.len()).filter(|&row| self.own[anchor] != Some(row)).filter(taking_part);
            if others.clone().any(|row| self.related(anchor, row)) {
                asking += 1;
                let nearest = others.map(|row| (self.distance(anchor, row), row)).min();
                right += u64::from(nearest.is_some_and(|(_, row)| self.related(anchor, row)));
            }
        }
        (asking, right)
    }

    /// Compares an output with the definitions, triplet by triplet and reason by reason.
    pub fn check(&self, asked: &Asked, mined: &[Line], unmined: &BTreeMap<u64, String>) -> Result<(), String> {
        let mut by_pair: BTreeMap<(usize, usize), Vec<&Line>> = BTreeMap::new();
        for line in mined {
            by_pair.entry((line.anchor as usize, line.positive as usize)).or_default().push(line);
        }
        for anchor in 0..self.anchor_vectors.len() {
            let positives = self.positives(asked, anchor);
            let seen: Vec<usize> =
                by_pair.range((anchor, 0)..(anchor + 1, 0)).map(|(&(_, positive), _)| positive).collect();
            let pairs = self.pairs(asked, anchor, &positives, &seen)?;
            let (mut found, mut used) = (0, BTreeMap::new());
            let mut answers: Vec<Answer> = pairs.iter().map(|&pair| self.answer(asked, anchor, pair, &pairs)).collect();
            // Row order, as pairs are asked for; then the fallback bands, one after the other.
            for fallback in std::iter::once(None).chain(asked.fallback.iter().copied().map(Some)) {
                for answer in &mut answers {
                    answer.fill(self, asked, fallback, &mut used);
                }
            }
            for answer in &answers {
                let lines = by_pair.remove(&(anchor, answer.positive.1)).unwrap_or_default();
                found += lines.len();
                answer.check(asked, anchor, &lines)?;
            }
            let guarded = || pairs.iter().any(|&pair| !self.wanted(asked, anchor, pair, &pairs, false).is_empty());
            let reason = match self.barred(anchor, &positives) {
                Some(reason) => Some(reason),
                // Of a random pair that left no trace it is not known what guards kept away from it.
                _ if found == 0 && asked.positive_pick == "random" => match unmined.get(&(anchor as u64)) {
                    Some(listed) if listed == "guarded" && self.guards(asked) => Some("guarded"),
                    _ => Some("band-empty"),
                },
                _ if found == 0 && self.guards(asked) && guarded() => Some("guarded"),
                _ if found == 0 => Some("band-empty"),
                _ => None,
            };
            let listed = unmined.get(&(anchor as u64)).map(String::as_str);
            if listed != reason {
                return Err(format!("anchor {anchor}: listed as {listed:?}, expected {reason:?}"));
            }
        }
        match by_pair.first_key_value() {
            None => Ok(()),
            Some((pair, _)) => Err(format!("{pair:?} is no pair to be mined")),
        }
    }

    /// Why an anchor is not searched for.
    fn barred(&self, anchor: usize, positives: &[Candidate]) -> Option<&'static str> {
        let by_label = self.pairs.is_none();
        let kin = || (0..self.vectors.len()).filter(|&row| self.related(anchor, row)).count();
        match labels(&self.anchors.labels[anchor]) {
            labels if by_label && labels.is_empty() => Some("unlabelled"),
            _ if by_label && !self.has_queries() && kin() < 2 => Some("singleton"),
            _ if positives.is_empty() => Some("no-positive"),
            _ => None,
        }
    }

    /// The pairs of an anchor. A random choice is taken from what was mined, where it left a trace, and must be legal;
    /// pairs without any negative leave none, and are not looked at.
    fn pairs(
        &self,
        asked: &Asked,
        anchor: usize,
        positives: &[Candidate],
        seen: &[usize],
    ) -> Result<Vec<Candidate>, String> {
        let limit = asked.per_anchor;
        let mut pairs = match asked.positive_pick {
            "all" => positives.to_vec(),
            "nearest" => positives.iter().copied().take(limit).collect(),
            "hardest" => {
                let mut farthest = positives.to_vec();
                // Ties go to the earlier row here, too.
                farthest.sort_by_key(|&(distance, row)| (std::cmp::Reverse(distance), row));
                farthest.truncate(limit);
                farthest
            }
            _ => {
                let chosen: Vec<Candidate> = positives.iter().copied().filter(|(_, row)| seen.contains(row)).collect();
                let fruitful = |&&pair: &&Candidate| !self.wanted(asked, anchor, pair, &[pair], true).is_empty();
                let barren = positives.len() - positives.iter().filter(fruitful).count();
                let least = limit.min(positives.len()).saturating_sub(barren);
                if chosen.len() > limit || chosen.len() < least {
                    return Err(format!("anchor {anchor}: {} positives, {least} to {limit} expected", chosen.len()));
                }
                chosen
            }
        };
        pairs.sort_by_key(|&(_, row)| row);
        Ok(pairs)
    }

    /// Negatives that could fill a slot of a pair: those of any band named.
    fn wanted(
        &self,
        asked: &Asked,
        anchor: usize,
        positive: Candidate,
        chosen: &[Candidate],
        guarded: bool,
    ) -> Vec<Candidate> {
        let named = |band: &str| {
            asked.bands.is_empty() || asked.bands.iter().any(|(b, _)| *b == band) || asked.fallback.contains(&band)
        };
        let negatives = self.negatives(asked, anchor, positive, chosen, guarded);
        negatives.into_iter().filter(|(_, band)| named(band)).map(|(negative, _)| negative).collect()
    }

    fn answer(&self, asked: &Asked, anchor: usize, positive: Candidate, chosen: &[Candidate]) -> Answer {
        let negatives = self.negatives(asked, anchor, positive, chosen, true);
        let slots = if asked.bands.is_empty() { asked.any } else { asked.bands.iter().map(|(_, count)| count).sum() };
        Answer { positive, negatives, short: slots, windows: Vec::new() }
    }
}

/// What one pair must receive.
struct Answer {
    positive: Candidate,
    negatives: Vec<(Candidate, &'static str)>,
    short: usize,
    windows: Vec<Expected>,
}

/// Of one window: its admissible rows, the nearest that it may hold, how many it must hold, whether as fallback.
struct Expected {
    rows: Vec<u64>,
    nearest: Vec<u64>,
    fallback: bool,
}

impl Answer {
    /// Fills the bands asked for, or one fallback band. `used` counts the rows of each class that the anchor received.
    fn fill(&mut self, twin: &Twin, asked: &Asked, fallback: Option<&str>, used: &mut BTreeMap<String, usize>) {
        let wanted: Vec<(Option<&str>, usize)> = match fallback {
            Some(band) => vec![(Some(band), self.short)],
            None if asked.bands.is_empty() => vec![(None, asked.any)],
            None => asked.bands.iter().map(|&(band, count)| (Some(band), count)).collect(),
        };
        for (band, count) in wanted {
            let rows = self.negatives.iter().filter(|(_, of)| band.is_none_or(|band| *of == band));
            let rows: Vec<u64> = rows.map(|((_, row), _)| *row as u64).collect();
            let mut nearest = Vec::new();
            for &row in &rows {
                let labels = labels(&twin.rows.labels[row as usize]);
                let full = |label: &&str| asked.max_per_class.is_some_and(|most| used.get(*label) >= Some(&most));
                if nearest.len() == count || labels.iter().any(full) {
                    continue;
                }
                nearest.push(row);
                labels.into_iter().for_each(|label| *used.entry(label.to_owned()).or_default() += 1);
            }
            self.short -= nearest.len();
            nearest.sort_unstable();
            self.windows.push(Expected { rows, nearest, fallback: fallback.is_some() });
        }
    }

    fn check(&self, asked: &Asked, anchor: usize, lines: &[&Line]) -> Result<(), String> {
        let pair = format!("anchor {anchor}, positive {}", self.positive.1);
        for line in lines {
            let Some(&((d_an, _), band)) = self.negatives.iter().find(|((_, row), _)| *row as u64 == line.negative)
            else {
                return Err(format!("{pair}: {line:?} is no admissible negative"));
            };
            if line.band != band || line.d_an != d_an.get().to_bits() || line.d_ap != self.positive.0.get().to_bits() {
                return Err(format!("{pair}: {line:?}, expected {d_an:?} {band} with {:?}", self.positive.0));
            }
        }
        let mut counted = 0;
        for Expected { rows, nearest, fallback } in &self.windows {
            let given = lines.iter().filter(|line| line.fallback == *fallback && rows.contains(&line.negative));
            let mut given: Vec<u64> = given.map(|line| line.negative).collect();
            given.sort_unstable();
            given.dedup();
            counted += given.len();
            if given.len() != nearest.len() || (asked.pick == "nearest" && given != *nearest) {
                return Err(format!("{pair}: {given:?} (fallback: {fallback}), expected {nearest:?} of {rows:?}"));
            }
        }
        if counted != lines.len() {
            return Err(format!("{pair}: {} triplets, of which {counted} were asked for, each once", lines.len()));
        }
        Ok(())
    }
}
