//! Brute force in plain loops: what a pipeline must yield on a small store, from the definitions alone.

use std::collections::{BTreeMap, BTreeSet};

use triplet_miner::kernel::{Distance, Metric};

use crate::support::{Draw, Line, Rows, STORE};

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
    nearest: bool,
    fallback: Vec<&'static str>,
    positive_pick: &'static str,
    per_anchor: usize,
    min_distance: Option<f32>,
    max_distance: Option<f32>,
    /// Of positives and of negatives: `same`, `different` or nothing on the column `team`.
    teams: [Option<&'static str>; 2],
    unlabelled: bool,
    duplicate_distance: Option<f32>,
    seed: u64,
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
        let team = |draw: &mut Draw| *draw.one_of(&[None, None, Some("same"), Some("different")]);
        Self {
            metric,
            margin,
            any: if bands.is_empty() { *draw.one_of(&counts) } else { 0 },
            bands,
            nearest: draw.below(2) == 0,
            fallback,
            positive_pick: *draw.one_of(&["hardest", "nearest", "random", "all"]),
            per_anchor: 1 + draw.below(3) as usize,
            min_distance: maybe(draw, low.min(high)),
            max_distance: maybe(draw, low.max(high)),
            teams: [team(draw), team(draw)],
            unlabelled: draw.below(2) == 0,
            duplicate_distance: maybe(draw, low.min(high)),
            seed: draw.below(1_000),
        }
    }

    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// As a pipeline says it.
    pub fn pipeline(&self) -> String {
        let mut lines = vec![format!("{STORE}store.groups = {{ team = 'team' }}")];
        let mut line = |text: String| lines.push(text);
        line(format!("store.unlabelled = '{}'", if self.unlabelled { "negative" } else { "ignore" }));
        line("search.index = 'exact'".into());
        line(format!("mine.metric = '{}'", self.metric.name()));
        line(format!("mine.margin = {:?}", self.margin));
        let bands: Vec<String> = self.bands.iter().map(|(band, count)| format!("{band} = {count}")).collect();
        let bands = if bands.is_empty() { format!("any = {}", self.any) } else { bands.join(", ") };
        line(format!("mine.bands = {{ {bands} }}"));
        line(format!("mine.pick = '{}'", if self.nearest { "nearest" } else { "random" }));
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
        let distances = [
            ("positives.min_distance", self.min_distance),
            ("positives.max_distance", self.max_distance),
            ("negatives.duplicate_distance", self.duplicate_distance),
        ];
        for (key, distance) in distances {
            if let Some(distance) = distance {
                // As f64: TOML has no f32, and the shortest f32 decimal is another f64 than the f32 itself.
                line(format!("mine.{key} = {:?}", f64::from(distance)));
            }
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
        Self { rows, metric, vectors: prepared(rows), anchors, anchor_vectors: prepared(anchors), own, pairs }
    }

    fn has_queries(&self) -> bool {
        !std::ptr::eq(self.anchors, self.rows)
    }

    fn distance(&self, anchor: usize, row: usize) -> Distance {
        self.metric.distance(&self.anchor_vectors[anchor], &self.vectors[row])
    }

    /// Whether a row counts as a positive, by label or by pairs; itself perhaps.
    fn related(&self, anchor: usize, row: usize) -> bool {
        let label = &self.anchors.labels[anchor];
        match &self.pairs {
            Some(pairs) => pairs[anchor].contains(&row),
            None => label.is_some() && self.rows.labels[row] == *label,
        }
    }

    /// Whether a row counts as a negative.
    fn strange(&self, asked: &Asked, anchor: usize, row: usize) -> bool {
        let label = &self.rows.labels[row];
        match &self.pairs {
            Some(pairs) => !pairs[anchor].contains(&row),
            None => *label != self.anchors.labels[anchor] && (asked.unlabelled || label.is_some()),
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

    /// Nearest first, each with its band.
    fn negatives(&self, asked: &Asked, anchor: usize, d_ap: Distance) -> Vec<(Candidate, &'static str)> {
        let mut negatives: Vec<Candidate> = (0..self.vectors.len())
            .filter(|&row| self.own[anchor] != Some(row) && self.strange(asked, anchor, row))
            .filter(|&row| self.team_fits(asked.teams[1], anchor, row))
            .map(|row| (self.distance(anchor, row), row))
            .filter(|(distance, _)| asked.duplicate_distance.is_none_or(|least| distance.get() > least))
            .collect();
        negatives.sort();
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
            let mut found = 0;
            for &(d_ap, positive) in &pairs {
                let lines = by_pair.remove(&(anchor, positive)).unwrap_or_default();
                found += lines.len();
                self.check_pair(asked, anchor, (d_ap, positive), &lines)?;
            }
            let by_label = self.pairs.is_none();
            let reason = match &self.anchors.labels[anchor] {
                None if by_label => Some("unlabelled"),
                label
                    if by_label
                        && !self.has_queries()
                        && self.rows.labels.iter().filter(|other| *other == label).count() < 2 =>
                {
                    Some("singleton")
                }
                _ if positives.is_empty() => Some("no-positive"),
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

    /// Whether each triplet is one that may be mined: what holds of approximate search, too.
    pub fn admits(&self, asked: &Asked, mined: &[Line]) -> Result<(), String> {
        for line in mined {
            let (anchor, positive) = (line.anchor as usize, line.positive as usize);
            let positives = self.positives(asked, anchor);
            let Some(&(d_ap, _)) = positives.iter().find(|(_, row)| *row == positive) else {
                return Err(format!("{line:?}: no such positive"));
            };
            let mut negatives = self.negatives(asked, anchor, d_ap).into_iter();
            let Some(((d_an, _), band)) = negatives.find(|((_, row), _)| *row as u64 == line.negative) else {
                return Err(format!("{line:?}: no such negative"));
            };
            if line.band != band || line.d_an != d_an.get().to_bits() || line.d_ap != d_ap.get().to_bits() {
                return Err(format!("{line:?}: expected {d_an:?} {band}"));
            }
        }
        Ok(())
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
        Ok(match asked.positive_pick {
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
                let fruitful = |&&(d_ap, _): &&Candidate| !self.wanted(asked, anchor, d_ap).is_empty();
                let barren = positives.len() - positives.iter().filter(fruitful).count();
                let least = limit.min(positives.len()).saturating_sub(barren);
                if chosen.len() > limit || chosen.len() < least {
                    return Err(format!("anchor {anchor}: {} positives, {least} to {limit} expected", chosen.len()));
                }
                chosen
            }
        })
    }

    /// Negatives that could fill a slot of a pair: those of any band named.
    fn wanted(&self, asked: &Asked, anchor: usize, d_ap: Distance) -> Vec<Candidate> {
        let named = |band: &str| {
            asked.bands.is_empty() || asked.bands.iter().any(|(b, _)| *b == band) || asked.fallback.contains(&band)
        };
        let negatives = self.negatives(asked, anchor, d_ap);
        negatives.into_iter().filter(|(_, band)| named(band)).map(|(negative, _)| negative).collect()
    }

    fn check_pair(&self, asked: &Asked, anchor: usize, positive: Candidate, lines: &[&Line]) -> Result<(), String> {
        let pair = format!("anchor {anchor}, positive {}", positive.1);
        let negatives = self.negatives(asked, anchor, positive.0);
        for line in lines {
            let Some(&((d_an, _), band)) = negatives.iter().find(|((_, row), _)| *row as u64 == line.negative) else {
                return Err(format!("{pair}: {line:?} is no admissible negative"));
            };
            if line.band != band || line.d_an != d_an.get().to_bits() || line.d_ap != positive.0.get().to_bits() {
                return Err(format!("{pair}: {line:?}, expected {d_an:?} {band} with {:?}", positive.0));
            }
        }
        // What each window asked for holds, in the order of asking: its admissible rows, and how many it must give.
        let of_band = |wanted: &str| {
            negatives.iter().filter(|(_, band)| *band == wanted).map(|((_, row), _)| *row as u64).collect::<Vec<_>>()
        };
        let mut windows: Vec<(Vec<u64>, usize, bool)> =
            asked.bands.iter().map(|(band, count)| (of_band(band), *count, false)).collect();
        if asked.bands.is_empty() {
            windows.push((negatives.iter().map(|((_, row), _)| *row as u64).collect(), asked.any, false));
        }
        let filled: usize = windows.iter().map(|(rows, count, _)| rows.len().min(*count)).sum();
        let mut short = windows.iter().map(|(_, count, _)| count).sum::<usize>() - filled;
        for band in &asked.fallback {
            let rows = of_band(band);
            let given = rows.len().min(short);
            windows.push((rows, short, true));
            short -= given;
        }
        let mut counted = 0;
        for (rows, count, fallback) in windows {
            let mut given: Vec<u64> = lines
                .iter()
                .filter(|line| line.fallback == fallback && rows.contains(&line.negative))
                .map(|line| line.negative)
                .collect();
            given.sort_unstable();
            given.dedup();
            counted += given.len();
            let mut expected = rows[..count.min(rows.len())].to_vec();
            expected.sort_unstable();
            if given.len() != expected.len() || (asked.nearest && given != expected) {
                return Err(format!("{pair}: {given:?} (fallback: {fallback}), expected {expected:?} of {rows:?}"));
            }
        }
        if counted != lines.len() {
            return Err(format!("{pair}: {} triplets, of which {counted} were asked for, each once", lines.len()));
        }
        Ok(())
    }
}
