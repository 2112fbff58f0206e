//! One anchor on its way through the rounds of questions: what it looks for, and what it has received.

use super::balance::preference;
use super::negatives::Ground;
use super::{Guards, Params, positives};
use crate::kernel::Distance;
use crate::search::{Admits, Away, Fill, Quest, Quota, Rule, Window};
use crate::store::{Code, Prepared, Row};

/// An anchor with its chosen positives and their distances.
pub(super) type Asking = (Row, Vec<(Row, Distance)>);

/// One (anchor, positive) pair.
pub(super) struct Pair {
    pub positive: Row,
    pub d_ap: Distance,
    /// The distances that its guards leave open, `(above, upto]`.
    pub span: (Distance, Distance),
    /// The only negatives that its scores leave, ascending by row.
    only: Option<Vec<Row>>,
    /// What was found, in the order it was asked for, and whether as fallback.
    pub hits: Vec<(Row, Distance, bool)>,
    /// Slots still empty.
    pub short: u32,
    /// Whether every search for this pair so far was exhaustive.
    pub exhaustive: bool,
}

/// Every negative of an anchor: guards are not looked at.
pub(super) fn everyone<'a>(anchor: Row, rules: &'a [Rule], store: &'a Prepared, params: &Params) -> Admits<'a> {
    Admits {
        own: store.own(anchor),
        except: store.paired(anchor),
        only: None,
        away: None,
        label: store.labels()[anchor.index()],
        unlabelled: params.negatives.unlabelled,
        rules,
    }
}

pub(super) struct Asker {
    pub anchor: Row,
    pub pairs: Vec<Pair>,
    rules: Vec<Rule>,
    positives: Vec<Row>,
    /// Negatives must be farther than this from every positive.
    near_positive: Option<Distance>,
    /// Nearest negatives that are skipped, those of earlier outputs, and whoever never is a negative, ascending by row.
    except: Option<Vec<Row>>,
    /// The only negatives that count, ascending by row.
    only: Option<Vec<Row>>,
    per_class: Option<u32>,
    /// Of each label, how many negatives with it there are.
    used: Vec<(Code, u32)>,
    /// While a window is asked for again.
    again: Option<Again>,
}

/// A window that received less than there may be, see [`Fill::passed_over`].
struct Again {
    /// Of its hits, the first in those of the pair.
    begin: usize,
    /// The exceptions, with what it has received, ascending.
    except: Vec<Row>,
    /// What other windows have received, and this one.
    used: Vec<(Code, u32)>,
}

impl Asker {
    pub fn new((anchor, chosen): Asking, guards: &Guards, ground: Ground) -> Self {
        let Ground { store, params, .. } = ground;
        let slots = params.ask.slots_u32();
        let distances: Vec<Distance> = chosen.iter().map(|&(_, distance)| distance).collect();
        let pair = |&(positive, d_ap): &(Row, Distance)| {
            let span = guards.span(params.metric, guards.reference(params.metric, d_ap, &distances));
            let only = guards.scored(store, anchor, positive);
            Pair { positive, d_ap, span, only, hits: Vec::new(), short: slots, exhaustive: true }
        };
        let excluded = guards.excluded(store, anchor);
        Self {
            anchor,
            pairs: chosen.iter().map(pair).collect(),
            rules: positives::rules(anchor, store, &params.negatives.same, &params.negatives.different),
            positives: chosen.iter().map(|&(row, _)| row).collect(),
            near_positive: guards.near_positive.map(Distance::new),
            except: (!excluded.is_empty()).then(|| joined(store.paired(anchor), excluded)),
            only: None,
            per_class: params.negatives.max_per_class,
            used: Vec::new(),
            again: None,
        }
    }

    /// What it was made of.
    pub fn asking(&self) -> Asking {
        (self.anchor, self.pairs.iter().map(|pair| (pair.positive, pair.d_ap)).collect())
    }

    /// Slots still empty.
    pub fn short(&self) -> u64 {
        self.pairs.iter().map(|pair| u64::from(pair.short)).sum()
    }

    /// Its pairs whose positive has a score.
    pub fn scored_pairs(&self, store: &Prepared) -> u64 {
        self.pairs.iter().filter(|pair| store.score(self.anchor, pair.positive).is_some()).count() as u64
    }

    /// Whether nothing was found, by a search that was not exhaustive.
    pub fn missed(&self) -> bool {
        self.pairs.iter().all(|pair| pair.hits.is_empty()) && !self.pairs.iter().all(|pair| pair.exhaustive)
    }

    /// A question to which every negative is an answer.
    pub fn quest<'a>(&'a self, ground: Ground<'a>, windows: &'a [Window]) -> Quest<'a> {
        let Ground { store, params, .. } = ground;
        let admits = everyone(self.anchor, &self.rules, store, params);
        Quest { vector: store.vector(self.anchor), admits, quota: None, windows }
    }

    /// Whether two of its pairs may be asked for in one question: whether they admit the same negatives.
    pub fn alike(&self, a: usize, b: usize) -> bool {
        a == b || (self.pairs[a].only.is_none() && self.pairs[b].only.is_none())
    }

    /// A question for a pair, and those like it, to which only negatives that its guards admit are answers.
    pub fn guarded_quest<'a>(&'a self, owner: usize, ground: Ground<'a>, windows: &'a [Window]) -> Quest<'a> {
        let mut quest = self.quest(ground, windows);
        let again = self.again.as_ref();
        if let Some(except) = again.map(|again| &again.except).or(self.except.as_ref()) {
            quest.admits.except = except;
        }
        let used = again.map_or(&self.used, |again| &again.used);
        quest.admits.only = self.pairs[owner].only.as_deref().or(self.only.as_deref());
        quest.admits.away = self.near_positive.map(|above| Away { from: &self.positives, above });
        quest.quota = self.per_class.map(|per_class| Quota { per_class, used });
        quest
    }

    /// Takes its nearest negatives, as many as its guards must know.
    ///
    /// Of an approximate search they may be others. Then nothing counts as behind those that are skipped but what is
    /// farther than each of so many that were found; a window holds the nearest that were found.
    pub fn take_ranks(&mut self, fill: Fill, guards: &Guards, store: &Prepared) {
        if !fill.exhaustive && guards.window.is_none() {
            let farthest = fill.hits.last().filter(|_| fill.hits.len() >= guards.skip_nearest as usize);
            let above = farthest.map_or(Distance::MAX, |hit| hit.distance);
            self.pairs.iter_mut().for_each(|pair| pair.span.0 = pair.span.0.max(above));
        }
        let mut ranked: Vec<Row> = fill.hits.iter().map(|hit| hit.row).collect();
        let rest = ranked.split_off(ranked.len().min(guards.skip_nearest as usize));
        if guards.window.is_some() {
            let mut only = rest;
            only.sort_unstable();
            for of_pair in self.pairs.iter_mut().filter_map(|pair| pair.only.as_mut()) {
                of_pair.retain(|row| only.binary_search(row).is_ok());
            }
            self.only = Some(only);
        }
        self.except = Some(joined(self.except.as_deref().unwrap_or_else(|| store.paired(self.anchor)), &ranked));
        for pair in &mut self.pairs {
            pair.exhaustive &= fill.exhaustive;
        }
    }

    /// Takes what a window of a pair received that has so many slots: there may be spare rows among it.
    pub fn receive(&mut self, owner: usize, slots: u32, fill: Fill, fallback: bool, ground: Ground) {
        let store = ground.store;
        let pair = &mut self.pairs[owner];
        pair.exhaustive &= fill.exhaustive;
        let begin = self.again.take().map_or(pair.hits.len(), |again| again.begin);
        pair.hits.extend(fill.hits.into_iter().map(|hit| (hit.row, hit.distance, fallback)));
        let received = &mut pair.hits[begin..];
        if fill.passed_over {
            let mut except = self.except.clone().unwrap_or_else(|| store.paired(self.anchor).to_vec());
            except.extend(received.iter().map(|&(row, ..)| row));
            except.sort_unstable();
            let mut used = self.used.clone();
            received.iter().for_each(|&(row, ..)| count(&mut used, store, row));
            self.again = Some(Again { begin, except, used });
            return;
        }
        received.sort_unstable_by_key(|&(row, distance, _)| (distance, row));
        pair.short -= (received.len() as u32).min(slots);
        if self.per_class.is_some() {
            // Spare rows are counted when they take a slot.
            let mut first: Vec<(Row, Distance)> = received.iter().map(|&(row, distance, _)| (row, distance)).collect();
            if first.len() > slots as usize {
                let pair = (self.anchor, pair.positive);
                first.sort_by_cached_key(|&(row, distance)| preference(pair, row, distance, store, ground.params));
                first.truncate(slots as usize);
            }
            first.into_iter().for_each(|(row, _)| count(&mut self.used, store, row));
        }
    }
}

/// Two lists of rows as one, ascending, each once.
fn joined(a: &[Row], b: &[Row]) -> Vec<Row> {
    let mut rows = [a, b].concat();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// Counts a negative for each of its labels.
fn count(used: &mut Vec<(Code, u32)>, store: &Prepared, negative: Row) {
    for &label in store.labels_in(&store.labels()[negative.index()]) {
        match used.iter_mut().find(|(of, _)| *of == label) {
            Some((_, count)) => *count += 1,
            None => used.push((label, 1)),
        }
    }
}
