//! A stream of triplets in whole groups, in pieces whose ends depend on nothing but the triplets.

use super::layout::Grain;
use crate::mine::Triplet;

/// Triplets that are laid out and encoded at once, at least; a group is never cut.
const PIECE: usize = 1 << 15;

/// Triplets on their way.
pub(super) struct Groups {
    grain: Grain,
    waiting: Vec<Triplet>,
}

impl Groups {
    pub(super) fn new(grain: Grain) -> Self {
        Self { grain, waiting: Vec::new() }
    }

    pub(super) fn push(&mut self, triplets: impl IntoIterator<Item = Triplet>) {
        self.waiting.extend(triplets);
    }

    /// The next piece, if it is whole; `over`: whether nothing is to come.
    pub(super) fn next(&mut self, over: bool) -> Option<Vec<Triplet>> {
        let end = if over { self.waiting.len() } else { usize::MAX };
        let least = PIECE.min(end);
        if least == 0 || self.waiting.len() < least {
            return None;
        }
        let mut cut = least;
        while cut < self.waiting.len() && self.grain.joins(&self.waiting[cut - 1], &self.waiting[cut]) {
            cut += 1;
        }
        // What comes may belong to the last group, too.
        let open = cut == self.waiting.len() && !over && self.grain != Grain::Triplet;
        (!open).then(|| self.waiting.drain(..cut).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Distance;
    use crate::mine::Band;
    use crate::store::Row;

    #[test]
    fn pieces_are_the_same_however_triplets_come() {
        let triplet = |i: u32| Triplet {
            anchor: Row(i / 7),
            positive: Row(i / 3),
            negative: Row(i),
            d_ap: Distance::new(0.0),
            d_an: Distance::new(1.0),
            band: Band::Easy,
            fallback: false,
        };
        let all: Vec<Triplet> = (0..100_000).map(triplet).collect();
        for grain in [Grain::Triplet, Grain::Pair, Grain::Anchor] {
            let pieces = |size: usize| {
                let (mut groups, mut pieces) = (Groups::new(grain), Vec::new());
                for some in all.chunks(size) {
                    groups.push(some.iter().copied());
                    pieces.extend(std::iter::from_fn(|| groups.next(false)));
                }
                pieces.extend(std::iter::from_fn(|| groups.next(true)));
                pieces
            };
            let whole = pieces(all.len());
            assert_eq!(whole.concat(), all);
            assert_eq!(whole.len(), 4);
            for pair in whole.windows(2) {
                assert!(!grain.joins(pair[0].last().unwrap(), &pair[1][0]));
            }
            assert!(whole == pieces(1_000) && whole == pieces(8_191), "{grain:?}");
        }
    }
}
