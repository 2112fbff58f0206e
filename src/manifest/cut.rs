//! `balance.triplets`: of all that could be written, so many rows of the output, drawn by seed. What a layout keeps together stays
//! together.

use std::ops::Range;

use arrow::array::BooleanBufferBuilder;

use super::candidates::Candidates;
use super::harvest::HarvestError;
use super::layout::{Grain, Sheet};
use crate::mine::{self, Triplet};
use crate::store::Prepared;

/// Keeps, of what has its bits set, groups that make `most` lines at most: those with the smallest tickets, up to the first that does
/// not fit. Gives the number of the other lines.
///
/// The last ticket that is kept is found by counting: how many lines begin with each 16 bits, then those of one such range in order.
/// Tickets are hashes, so that a range holds about one in 2¹⁶ of them.
pub(super) fn cut(
    candidates: &Candidates,
    bits: &mut BooleanBufferBuilder,
    sheet: &Sheet,
    most: u64,
) -> Result<u64, HarvestError> {
    let grain = sheet.grain();
    let each = |bits: &mut BooleanBufferBuilder, see: &mut dyn FnMut(&mut BooleanBufferBuilder, Group)| {
        candidates.anchors(|mut first, triplets| {
            for group in grain.groups(triplets) {
                let places = first..first + group.len() as u64;
                first = places.end;
                let is_kept = |place: &u64| bits.get_bit(*place as usize);
                let lines = match grain {
                    Grain::Triplet => u64::from(is_kept(&places.start)),
                    _ => {
                        let kept = places.clone().zip(group).filter(|(place, _)| is_kept(place));
                        sheet.lines_of(&kept.map(|(_, triplet)| *triplet).collect::<Vec<_>>())
                    }
                };
                let rank = (ticket_of(&group[0], grain, &candidates.store, &candidates.params), places.start);
                see(bits, Group { rank, places, lines });
            }
        })
    };
    let mut ranges = vec![0u64; 1 << 16];
    each(bits, &mut |_, group| ranges[(group.rank.0 >> 48) as usize] += group.lines)?;
    let all: u64 = ranges.iter().sum();
    if all <= most {
        return Ok(0);
    }
    let (mut kept, mut range) = (0, 0);
    while kept + ranges[range as usize] <= most {
        kept += ranges[range as usize];
        range += 1;
    }
    let mut ranked = Vec::new();
    each(bits, &mut |_, group| {
        if group.rank.0 >> 48 == range {
            ranked.push((group.rank, group.lines));
        }
    })?;
    ranked.sort_unstable();
    let mut first_out = (0, 0);
    for (rank, lines) in ranked {
        first_out = rank;
        if kept + lines > most {
            break;
        }
        kept += lines;
    }
    each(bits, &mut |bits, group| {
        if group.rank >= first_out {
            group.places.for_each(|place| bits.set_bit(place as usize, false));
        }
    })?;
    Ok(all - kept)
}

/// Candidates that stay together, while some are cut.
struct Group {
    /// Its ticket, and the place of its first candidate.
    rank: (u64, u64),
    places: Range<u64>,
    lines: u64,
}

/// What decides whether the group of a triplet is among the first.
pub(super) fn ticket_of(triplet: &Triplet, grain: Grain, store: &Prepared, params: &mine::Params) -> u64 {
    let rows = [triplet.anchor, triplet.positive, triplet.negative];
    mine::ticket(params.seed, grain.named(&rows).iter().map(|row| store.keys()[row.index()]))
}
