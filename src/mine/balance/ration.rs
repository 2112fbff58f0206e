//! After mining: of all candidates, those that no row is overused by.
//!
//! The slots of one pair and one window are filled together. They take their turn in the order of a keyed hash of (seed, ids of the
//! pair, window), so that no band, anchor or class is favoured: a random serial dictatorship. At its turn a window takes, of its
//! candidates that are not used up yet, those it prefers: the nearest, or under other picks those with the smallest keyed hash.
//! The outcome is a function of the candidates alone, and no slot stays empty while it has a candidate with a use left.

use crate::mine::{Ask, Band, NegativePick, Params, Triplet};
use crate::search::lottery::combine;
use crate::store::{Prepared, Row};

const TURN: u64 = 0x7475_726e;
const SPARE: u64 = 0x0073_7061_7265;
const CUT: u64 = 0x0063_7574;

/// What decides whether a triplet is among the first `triplets`: the smallest are kept.
pub fn ticket(seed: u64, keys: [u64; 3]) -> u64 {
    combine(&[seed, CUT, keys[0], keys[1], keys[2]])
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
        let Triplet { anchor, positive, negative, band, fallback, .. } = *triplet;
        let keys = [anchor, positive, negative].map(|row| store.keys()[row.index()]);
        let seed = params.seed;
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
            self.turn = combine(&[seed, TURN, keys[0], keys[1], name, u64::from(fallback)]);
            self.window = self.next;
            self.room = if fallback { self.short } else { params.ask.count_of(triplet.band).unwrap_or(0) };
            self.last = Some(now);
        }
        let preference = match params.pick {
            // Candidates of a window come nearest first.
            NegativePick::Nearest => 0,
            _ => combine(&[seed, SPARE, keys[0], keys[1], keys[2]]),
        };
        let candidate = self.next;
        self.next += 1;
        Claim { turn: self.turn, window: self.window, preference, candidate, negative, room: self.room }
    }
}

/// Hands out the uses of negatives: 4 bytes a row of the store.
pub struct Ration {
    most: u32,
    uses: Vec<u32>,
    window: Option<(u64, u64)>,
    /// Of the window whose turn it is: candidates seen, and taken.
    seen: u32,
    taken: u32,
    filled: u64,
    refilled: u64,
}

impl Ration {
    /// `most` uses of each of `rows` rows.
    pub fn new(rows: u32, most: u32) -> Self {
        Self { most, uses: vec![0; rows as usize], window: None, seen: 0, taken: 0, filled: 0, refilled: 0 }
    }

    /// Whether a claim is granted. Claims come in ascending order.
    pub fn takes(&mut self, claim: &Claim) -> bool {
        let window = Some((claim.turn, claim.window));
        if self.window != window {
            (self.window, self.seen, self.taken) = (window, 0, 0);
        }
        let spare = self.seen >= claim.room;
        self.seen += 1;
        let uses = &mut self.uses[claim.negative.index()];
        if self.taken >= claim.room || *uses >= self.most {
            return false;
        }
        *uses += 1;
        self.taken += 1;
        self.filled += 1;
        self.refilled += u64::from(spare);
        true
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
