//! After mining: of all candidates, those that no row is overused by.
//!
//! The slots of one pair and one window are filled together. They take their turn in the order of a keyed hash of (seed, ids of the
//! pair, window), so that no band, anchor or class is favoured: a random serial dictatorship. At its turn a window takes, of its
//! candidates that are not used up yet, those it prefers, see [`preference`]. The outcome is a function of the candidates alone, and
//! no slot stays empty while it has a candidate with a use left.
//!
//! What is counted over more than a window takes its turn together: where a class gives an anchor so many negatives at most, all
//! windows of the anchor.

use crate::kernel::Distance;
use crate::mine::{Ask, Band, NegativePick, Params, Triplet};
use crate::search::lottery::combine;
use crate::search::{Pick, weighted_order};
use crate::store::{Code, Prepared, Row};

const TURN: u64 = 0x7475_726e;
const SPARE: u64 = 0x0073_7061_7265;
const CUT: u64 = 0x0063_7574;

/// What decides whether a triplet is among the first `triplets`: the smallest are kept.
pub fn ticket(seed: u64, keys: [u64; 3]) -> u64 {
    combine(&[seed, CUT, keys[0], keys[1], keys[2]])
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

/// A candidate of a slot. In ascending order of (turn, window, preference, candidate) they are what [`Ration::takes`] wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    pub turn: u64,
    /// The first candidate of its window: its name.
    pub window: u64,
    pub preference: u64,
    /// Place among all candidates of the run.
    pub candidate: u64,
    pub anchor: Row,
    pub negative: Row,
    /// Slots of the window.
    pub room: u32,
}

/// Names the windows of candidates that come in the order they were mined.
#[derive(Debug, Default)]
pub struct Claimant {
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
    /// `next` is the place of the first candidate to come, which begins a pair.
    pub fn new(next: u64) -> Self {
        Self { next, ..Self::default() }
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
            self.turn = match params.negatives.max_per_class {
                None => combine(&[params.seed, TURN, a, p, name, u64::from(fallback)]),
                Some(_) => combine(&[params.seed, TURN, a]),
            };
            self.window = self.next;
            self.room = if fallback { self.short } else { params.ask.count_of(triplet.band).unwrap_or(0) };
            self.last = Some(now);
        }
        let preference = preference((anchor, positive), negative, d_an, store, params);
        let candidate = self.next;
        self.next += 1;
        Claim { turn: self.turn, window: self.window, preference, candidate, anchor, negative, room: self.room }
    }
}

/// Hands out the uses of negatives: 4 bytes a row of the store.
pub struct Ration<'s> {
    most: u32,
    uses: Vec<u32>,
    /// Negatives of one class for one anchor, at most, and the classes.
    per_class: Option<(u32, &'s [Code])>,
    /// Of the anchor whose turn it is, how many each class has given.
    given: Vec<(Code, u32)>,
    /// The anchor whose turn it is, and its window.
    anchor: Option<(u64, Row)>,
    window: Option<(u64, u64)>,
    /// Of that window: candidates seen, and taken.
    seen: u32,
    taken: u32,
    filled: u64,
    refilled: u64,
}

impl<'s> Ration<'s> {
    /// `most` uses of each row.
    pub fn new(store: &'s Prepared, params: &Params, most: u32) -> Self {
        Self {
            most,
            uses: vec![0; store.rows() as usize],
            per_class: params.negatives.max_per_class.map(|most| (most, store.labels())),
            given: Vec::new(),
            anchor: None,
            window: None,
            seen: 0,
            taken: 0,
            filled: 0,
            refilled: 0,
        }
    }

    /// Whether a claim is granted. Claims come in ascending order.
    pub fn takes(&mut self, claim: &Claim) -> bool {
        let (anchor, window) = (Some((claim.turn, claim.anchor)), Some((claim.turn, claim.window)));
        if self.anchor != anchor {
            self.anchor = anchor;
            self.given.clear();
        }
        if self.window != window {
            (self.window, self.seen, self.taken) = (window, 0, 0);
        }
        let spare = self.seen >= claim.room;
        self.seen += 1;
        if self.taken >= claim.room || self.uses[claim.negative.index()] >= self.most || !self.admits(claim.negative) {
            return false;
        }
        self.uses[claim.negative.index()] += 1;
        self.taken += 1;
        self.filled += 1;
        self.refilled += u64::from(spare);
        true
    }

    /// Whether the class of a negative may give the anchor one more, which is counted then.
    fn admits(&mut self, negative: Row) -> bool {
        let Some((most, labels)) = self.per_class else { return true };
        let class = labels[negative.index()];
        if class.is_null() {
            return true;
        }
        match self.given.iter_mut().find(|(of, _)| *of == class) {
            Some((_, given)) if *given >= most => false,
            Some((_, given)) => {
                *given += 1;
                true
            }
            None => {
                self.given.push((class, 1));
                true
            }
        }
    }

    /// Claims granted.
    pub fn filled(&self) -> u64 {
        self.filled
    }

    /// Of these, such as would not have been without a limit.
    pub fn refilled(&self) -> u64 {
        self.refilled
    }
}
