//! After mining: of all candidates, those that no row is overused by.
//!
//! The slots of one pair and one window are filled together. They take their turn in the order of a keyed hash of (seed, ids of the
//! pair, window), so that no band, anchor or class is favoured: a random serial dictatorship. At its turn a window takes, of its
//! candidates that are not used up yet, those it prefers, see [`preference`]. The outcome is a function of the candidates alone, and
//! no slot stays empty while it has a candidate with a use left.
//!
//! What is counted over more than a window takes its turn together: where a class gives an anchor so many negatives at most, all
//! windows of the anchor; where a pair is worth nothing without all of its negatives, all windows of the pair, and it takes all or
//! none.

use crate::kernel::Distance;
use crate::mine::{Ask, Band, NegativePick, Params, Triplet};
use crate::search::lottery::combine;
use crate::search::{Pick, weighted_order};
use crate::store::{Code, Prepared, Row};

const TURN: u64 = 0x7475_726e;
const SPARE: u64 = 0x0073_7061_7265;
const CUT: u64 = 0x0063_7574;

/// What decides whether the triplets that some ids name are among those that `triplets` keeps: the smallest are.
pub fn ticket(seed: u64, keys: impl Iterator<Item = u64>) -> u64 {
    combine(&[seed, CUT].into_iter().chain(keys).collect::<Vec<u64>>())
}

/// What a window of a pair prefers among its candidates: the smallest first, and of equal ones the nearest. Nearest picks take the
/// nearest, distance-weighted ones go by the order that they were drawn in, random ones by a keyed hash.
pub(in crate::mine) fn preference(
    pair: (Row, Row),
    negative: Row,
    d_an: Distance,
    store: &Prepared,
    params: &Params,
) -> u64 {
    let keys = [pair.0, pair.1, negative].map(|row| store.keys()[row.index()]);
    match params.pick {
        NegativePick::Nearest => 0,
        NegativePick::Random => combine(&[params.seed, SPARE, keys[0], keys[1], keys[2]]),
        NegativePick::DistanceWeighted => weighted_order(pick_key(pair, store, params), store, negative, d_an),
    }
}

/// How a pair picks. Its picks share a key, whatever the band: it depends on (seed, ids) alone.
pub(in crate::mine) fn pick(pair: (Row, Row), store: &Prepared, params: &Params) -> Pick {
    match params.pick {
        NegativePick::Nearest => Pick::Nearest,
        NegativePick::Random => Pick::Random { key: pick_key(pair, store, params) },
        NegativePick::DistanceWeighted => Pick::Weighted { key: pick_key(pair, store, params) },
    }
}

fn pick_key((anchor, positive): (Row, Row), store: &Prepared, params: &Params) -> u64 {
    combine(&[params.seed, store.keys()[anchor.index()], store.keys()[positive.index()]])
}

/// A candidate of a slot. In ascending order of (turn, window, preference, candidate) they are what [`Ration::hear`] wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    pub turn: u64,
    /// The first candidate of its window: its name.
    pub window: u64,
    pub preference: u64,
    /// Place among all candidates of the run.
    pub candidate: u64,
    pub anchor: Row,
    pub positive: Row,
    pub negative: Row,
    /// Slots of the window.
    pub room: u32,
}

/// Names the windows of candidates that come in the order they were mined.
#[derive(Debug, Default)]
pub struct Claimant {
    whole_pairs: bool,
    next: u64,
    /// Anchor and positive of the last candidate, its band where bands are asked for, whether it is a fallback.
    last: Option<(Row, Row, Option<Band>, bool)>,
    turn: u64,
    window: u64,
    room: u32,
    /// Slots of the pair that the windows before this one left empty.
    short: u32,
}

impl Claimant {
    /// `next` is the place of the first candidate to come, which begins a pair; `whole_pairs`: whether they take all or none.
    pub fn new(whole_pairs: bool, next: u64) -> Self {
        Self { whole_pairs, next, ..Self::default() }
    }

    /// The claim of the next candidate.
    pub fn claim(&mut self, triplet: &Triplet, store: &Prepared, params: &Params) -> Claim {
        let Triplet { anchor, positive, negative, d_an, band, fallback, .. } = *triplet;
        let band = match &params.ask {
            Ask::Bands(_) => Some(band),
            Ask::Any(_) => None,
        };
        let now = (anchor, positive, band, fallback);
        if self.last != Some(now) {
            let count = (self.next - self.window).min(u64::from(self.room)) as u32;
            self.short = match self.last {
                Some((a, p, ..)) if (a, p) == (anchor, positive) => self.short - count,
                _ => params.ask.slots_u32(),
            };
            let name = band.map_or(Band::ALL.len() as u64, |band| band as u64);
            let [a, p] = [anchor, positive].map(|row| store.keys()[row.index()]);
            self.turn = match (params.negatives.max_per_class, self.whole_pairs) {
                (None, false) => combine(&[params.seed, TURN, a, p, name, u64::from(fallback)]),
                (None, true) => combine(&[params.seed, TURN, a, p]),
                (Some(_), _) => combine(&[params.seed, TURN, a]),
            };
            self.window = self.next;
            self.room = if fallback { self.short } else { params.ask.count_of(triplet.band).unwrap_or(0) };
            self.last = Some(now);
        }
        let preference = preference((anchor, positive), negative, d_an, store, params);
        let candidate = self.next;
        self.next += 1;
        let Self { turn, window, room, .. } = *self;
        Claim { turn, window, preference, candidate, anchor, positive, negative, room }
    }
}

/// Hands out the uses of negatives: 4 bytes a row of the store.
pub struct Ration<'s> {
    most: u32,
    uses: Vec<u32>,
    /// Negatives with one label for one anchor, at most, and the labels.
    per_class: Option<(u32, &'s Prepared)>,
    /// Of the anchor whose turn it is, how many it has with each label.
    given: Vec<(Code, u32)>,
    /// Slots of a pair, where it takes all or none …
    whole: Option<usize>,
    /// … and what it has taken so far: candidate, negative, whether it is a spare one.
    held: Vec<(u64, Row, bool)>,
    /// The pair and the window whose turn it is.
    pair: Option<(u64, Row, Row)>,
    window: Option<(u64, u64)>,
    /// Of that window: candidates seen, and taken. Of the pair: slots that it had something for.
    seen: u32,
    taken: u32,
    had: usize,
    could: u64,
    filled: u64,
    refilled: u64,
}

impl<'s> Ration<'s> {
    /// `most` uses of each row; `whole_pairs` as of the claims.
    pub fn new(store: &'s Prepared, params: &Params, whole_pairs: bool, most: u32) -> Self {
        Self {
            most,
            uses: vec![0; store.rows() as usize],
            per_class: params.negatives.max_per_class.map(|most| (most, store)),
            given: Vec::new(),
            whole: whole_pairs.then(|| params.ask.slots_u32() as usize),
            held: Vec::new(),
            pair: None,
            window: None,
            seen: 0,
            taken: 0,
            had: 0,
            could: 0,
            filled: 0,
            refilled: 0,
        }
    }

    /// Hears all claims, in ascending order, one after the other; `grant` is told which candidates stay. [`Ration::end`] comes last.
    pub fn hear(&mut self, claim: &Claim, grant: &mut dyn FnMut(u64)) {
        let (pair, window) = ((claim.turn, claim.anchor, claim.positive), Some((claim.turn, claim.window)));
        if self.pair != Some(pair) {
            self.end(grant);
            if self.pair.is_none_or(|(turn, anchor, _)| (turn, anchor) != (pair.0, pair.1)) {
                self.given.clear();
            }
            self.pair = Some(pair);
        }
        if self.window != window {
            (self.window, self.seen, self.taken) = (window, 0, 0);
        }
        let spare = self.seen >= claim.room;
        self.seen += 1;
        self.had += usize::from(!spare);
        if self.taken >= claim.room || self.uses[claim.negative.index()] >= self.most || !self.admits(claim.negative) {
            return;
        }
        self.uses[claim.negative.index()] += 1;
        self.taken += 1;
        self.held.push((claim.candidate, claim.negative, spare));
    }

    /// Ends the turn of a pair.
    pub fn end(&mut self, grant: &mut dyn FnMut(u64)) {
        let whole = |slots: usize| self.whole.is_none_or(|all| slots == all);
        let (could, has) = (whole(self.had), whole(self.held.len()));
        self.could += if could { self.had as u64 } else { 0 };
        self.had = 0;
        for (candidate, negative, spare) in std::mem::take(&mut self.held) {
            if has {
                self.filled += 1;
                self.refilled += u64::from(spare);
                grant(candidate);
            } else {
                self.uses[negative.index()] -= 1;
                self.take_back(negative);
            }
        }
    }

    /// Whether the anchor may have one more negative with each label of this one, which is counted then.
    fn admits(&mut self, negative: Row) -> bool {
        let Some((most, store)) = self.per_class else { return true };
        let labels = store.labels_in(&store.labels()[negative.index()]);
        let given = |label: &Code| self.given.iter().find(|(of, _)| of == label).map_or(0, |&(_, given)| given);
        if labels.iter().any(|label| given(label) >= most) {
            return false;
        }
        for &label in labels {
            match self.given.iter_mut().find(|(of, _)| *of == label) {
                Some((_, given)) => *given += 1,
                None => self.given.push((label, 1)),
            }
        }
        true
    }

    fn take_back(&mut self, negative: Row) {
        let Some((_, store)) = self.per_class else { return };
        let labels = store.labels_in(&store.labels()[negative.index()]);
        self.given.iter_mut().filter(|(of, _)| labels.contains(of)).for_each(|(_, given)| *given -= 1);
    }

    /// Claims granted.
    pub fn filled(&self) -> u64 {
        self.filled
    }

    /// Of these, such as would not have been without a limit.
    pub fn refilled(&self) -> u64 {
        self.refilled
    }

    /// Claims that a limit left without, and nothing took their place.
    pub fn emptied(&self) -> u64 {
        self.could - self.filled
    }
}
