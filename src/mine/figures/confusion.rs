//! Which classes are confused: triplets within the margin, by the classes of their anchor and their negative.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Example;
use crate::mine::Triplet;
use crate::store::Code;

/// Pairs of classes that are counted at once.
const PAIRS: usize = 1 << 16;
/// Pairs that are named, and classes of the matrix, at most.
const NAMED: usize = 8;
const CLASSES: usize = 10;

/// Triplets within the margin, whose loss is not zero, by classes. The null class is that of rows without a label.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Confusion {
    /// Triplets within the margin in all.
    pub active: u64,
    /// How much too small a count may be: 0 unless there are very many pairs of classes.
    pub slack: u64,
    /// The pairs with most of them.
    pub top: Vec<Confused>,
    /// Classes of these pairs.
    pub classes: Vec<Option<String>>,
    /// Triplets by the class of their anchor, then of their negative.
    pub counts: Vec<Vec<u64>>,
}

/// A class and another that takes it for its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confused {
    pub anchor: Option<String>,
    pub negative: Option<String>,
    pub triplets: u64,
    /// That of the smallest gap.
    pub example: Example,
}

/// Anchor's class, negative's class.
pub(super) type Pair = (Code, Code);

/// Counts of pairs in bounded memory. Beyond [`PAIRS`] of them all lose as much as the median has, and those with nothing left go
/// (Misra and Gries 1982; by the median: Anderson et al. 2017): a pair with more than the slack is never lost.
#[derive(Debug, Default)]
pub(super) struct Counter {
    counts: HashMap<Pair, (u64, Triplet)>,
    active: u64,
    slack: u64,
}

impl Counter {
    pub(super) fn add(&mut self, pair: Pair, triplet: &Triplet) {
        self.active += 1;
        let (count, example) = self.counts.entry(pair).or_insert((0, *triplet));
        *count += 1;
        if triplet.hardness(example).is_lt() {
            *example = *triplet;
        }
        if self.counts.len() > PAIRS {
            self.purge();
        }
    }

    fn purge(&mut self) {
        let mut counts: Vec<u64> = self.counts.values().map(|(count, _)| *count).collect();
        let middle = counts.len() / 2;
        let (_, &mut median, _) = counts.select_nth_unstable(middle);
        self.slack += median;
        self.counts.retain(|_, (count, _)| {
            *count = count.saturating_sub(median);
            *count > 0
        });
    }

    /// The pairs with most triplets, and the classes of a matrix of them.
    pub(super) fn finish(self) -> Counted {
        let Self { counts, active, slack } = self;
        let mut sorted: Vec<(Pair, u64, Triplet)> = counts.iter().map(|(&pair, &(n, t))| (pair, n, t)).collect();
        sorted.sort_unstable_by_key(|&(pair, count, _)| (std::cmp::Reverse(count), pair));
        let mut classes: Vec<Code> = Vec::new();
        for class in sorted.iter().flat_map(|&((a, b), ..)| [a, b]) {
            if classes.len() < CLASSES && !classes.contains(&class) {
                classes.push(class);
            }
        }
        let of = |pair: Pair| counts.get(&pair).map_or(0, |&(count, _)| count);
        let matrix = classes.iter().map(|&a| classes.iter().map(|&b| of((a, b))).collect()).collect();
        sorted.truncate(NAMED);
        Counted { active, slack, top: sorted, classes, matrix }
    }
}

/// A [`Confusion`] in codes and rows.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) active: u64,
    pub(super) slack: u64,
    pub(super) top: Vec<(Pair, u64, Triplet)>,
    pub(super) classes: Vec<Code>,
    pub(super) matrix: Vec<Vec<u64>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Distance;
    use crate::mine::Band;
    use crate::store::Row;

    fn triplet(anchor: u32, d_an: f32) -> Triplet {
        Triplet {
            anchor: Row(anchor),
            positive: Row(0),
            negative: Row(1),
            d_ap: Distance::new(0.5),
            d_an: Distance::new(d_an),
            band: Band::Hard,
            fallback: false,
        }
    }

    #[test]
    fn the_most_confused_pair_comes_first_with_its_hardest_triplet() {
        let mut counter = Counter::default();
        for (pair, anchor, d_an) in [((0, 1), 3, 0.4), ((2, 0), 4, 0.1), ((0, 1), 5, 0.2), ((0, 1), 6, 0.3)] {
            counter.add((Code(pair.0), Code(pair.1)), &triplet(anchor, d_an));
        }
        let Counted { active, slack, top, classes, matrix } = counter.finish();
        assert_eq!((active, slack, top.len()), (4, 0, 2));
        assert_eq!((top[0].0, top[0].1, top[0].2.anchor), ((Code(0), Code(1)), 3, Row(5)));
        assert_eq!(classes, [0, 1, 2].map(Code));
        assert_eq!(matrix, [[0, 3, 0], [0, 0, 0], [1, 0, 0]]);
    }

    #[test]
    fn a_frequent_pair_survives_any_number_of_rare_ones() {
        let mut counter = Counter::default();
        let rare = 3 * PAIRS as u32;
        for i in 0..rare {
            counter.add((Code(10 + i), Code(1)), &triplet(i, 0.5));
            if i % 4 == 0 {
                counter.add((Code(0), Code(1)), &triplet(i, 0.5));
            }
        }
        assert!(counter.counts.len() <= PAIRS);
        let Counted { slack, top, .. } = counter.finish();
        let frequent = u64::from(rare) / 4;
        assert_eq!(top[0].0, (Code(0), Code(1)));
        assert!(slack > 0 && top[0].1 <= frequent && top[0].1 + slack >= frequent, "{} + {slack}", top[0].1);
    }
}
