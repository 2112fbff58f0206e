//! Random choices that anyone can repeat: a keyed order of all rows, walkable from its front and computable for one row.
//!
//! A random pick takes the first admissible rows of a pseudo-random permutation of the store that only a key decides:
//! a uniform sample without replacement. Where admissible rows are common, walking the order from its front finds them
//! in a few steps, with no scan at all; where they are rare, a scan computes each one's place in the order. Both give
//! the same rows. The permutation acts on the rank of the rows' id hashes, so the order of rows in the files is
//! irrelevant to what is drawn.

/// SplitMix64's finaliser (Steele, Lea, Flood 2014): a bijection in which every input bit reaches every output bit.
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A hash of several keys, order-sensitive.
pub fn combine(keys: &[u64]) -> u64 {
    keys.iter()
        .fold(0x9e37_79b9_7f4a_7c15, |state, &key| mix(state.wrapping_add(key)).wrapping_add(0x9e37_79b9_7f4a_7c15))
}

/// The rows of a store in an order that depends on their ids alone, from which every keyed order derives.
pub struct Lottery {
    /// Rank → row, by (id hash, row).
    rows: Vec<u32>,
    /// Row → rank.
    ranks: Vec<u32>,
}

impl Lottery {
    /// `keys` holds one hash of an id a row.
    pub fn new(keys: &[u64]) -> Self {
        use rayon::slice::ParallelSliceMut;
        let mut rows: Vec<u32> = (0..keys.len() as u32).collect();
        rows.par_sort_unstable_by_key(|&row| (keys[row as usize], row));
        let mut ranks = vec![0; rows.len()];
        for (rank, &row) in rows.iter().enumerate() {
            ranks[row as usize] = rank as u32;
        }
        Self { rows, ranks }
    }

    /// The order that `key` decides.
    pub fn order(&self, key: u64) -> Order<'_> {
        Order { lottery: self, shuffle: Shuffle::new(key, self.rows.len() as u32) }
    }
}

/// One keyed order of all rows.
pub struct Order<'a> {
    lottery: &'a Lottery,
    shuffle: Shuffle,
}

impl Order<'_> {
    /// The row at a place, `0 … n − 1`.
    pub fn row(&self, place: u32) -> u32 {
        self.lottery.rows[self.shuffle.forward(place) as usize]
    }

    /// The place of a row: the inverse of [`Order::row`].
    pub fn place(&self, row: u32) -> u32 {
        self.shuffle.place(self.lottery.ranks[row as usize])
    }
}

/// With fewer than eight the χ² test below fails now and then on small stores.
const ROUNDS: usize = 8;
/// Odd, so that multiplication is invertible modulo any power of two.
const FACTOR: u64 = 0xd6e8_feb8_6659_fd93;
const FACTOR_INVERSE: u64 = inverse(FACTOR);

/// Newton's iteration doubles the correct low bits of the inverse modulo 2⁶⁴ each time.
const fn inverse(odd: u64) -> u64 {
    let mut x = odd;
    let mut step = 0;
    while step < 6 {
        x = x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x)));
        step += 1;
    }
    x
}

/// A keyed permutation of `0 … n − 1`: invertible rounds on the next power of two, repeated until the value lands
/// below `n` (cycle walking, Black and Rogaway 2002; under two steps on average).
pub struct Shuffle {
    n: u64,
    mask: u64,
    shift: u32,
    keys: [u64; ROUNDS],
}

impl Shuffle {
    /// The permutation that `key` decides.
    pub fn new(key: u64, n: u32) -> Self {
        let bits = u64::BITS - u64::from(n.saturating_sub(1)).leading_zeros();
        let keys = std::array::from_fn(|round| mix(key.wrapping_add((round as u64 + 1).wrapping_mul(FACTOR))));
        Self { n: u64::from(n), mask: (1u64 << bits) - 1, shift: bits.div_ceil(2).max(1), keys }
    }

    /// What stands at a place, `0 … n − 1`.
    pub fn forward(&self, place: u32) -> u32 {
        let mut x = u64::from(place);
        loop {
            for key in self.keys {
                x = x.wrapping_add(key) & self.mask;
                x ^= x >> self.shift;
                x = x.wrapping_mul(FACTOR) & self.mask;
                // The key's high half, too: with few bits the low half alone makes too few distinct permutations.
                x ^= (key >> 32) & self.mask;
                x ^= x >> self.shift;
            }
            if x < self.n {
                return x as u32;
            }
        }
    }

    /// Where a value stands: the inverse of [`Shuffle::forward`].
    pub fn place(&self, value: u32) -> u32 {
        let mut x = u64::from(value);
        loop {
            for key in self.keys.iter().rev() {
                // With a shift of at least half the bits, `x ^= x >> shift` is its own inverse.
                x ^= x >> self.shift;
                x ^= (key >> 32) & self.mask;
                x = x.wrapping_mul(FACTOR_INVERSE) & self.mask;
                x ^= x >> self.shift;
                x = x.wrapping_sub(*key) & self.mask;
            }
            if x < self.n {
                return x as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_permutation_and_place_inverts_it() {
        for n in [1u32, 2, 3, 5, 64, 65, 1_000, 70_001] {
            let keys: Vec<u64> = (0..u64::from(n)).map(mix).collect();
            let lottery = Lottery::new(&keys);
            let order = lottery.order(mix(u64::from(n)));
            let mut seen = vec![false; n as usize];
            for place in 0..n {
                let row = order.row(place);
                assert!(!std::mem::replace(&mut seen[row as usize], true), "n = {n}: row {row} twice");
                assert_eq!(order.place(row), place, "n = {n}");
            }
        }
    }

    #[test]
    fn the_order_of_rows_in_the_store_is_irrelevant() {
        let keys: Vec<u64> = (0..100).map(mix).collect();
        let reversed: Vec<u64> = keys.iter().rev().copied().collect();
        let (a, b) = (Lottery::new(&keys), Lottery::new(&reversed));
        let (a, b) = (a.order(7), b.order(7));
        for place in 0..100 {
            assert_eq!(keys[a.row(place) as usize], reversed[b.row(place) as usize]);
        }
    }

    /// Over many keys each row comes first, and each pair of rows comes first and second, equally often:
    /// Pearson's χ² stays below a bound that a uniform source exceeds once in about 10⁵ times.
    #[test]
    fn first_places_are_uniform() {
        for n in [2u32, 3, 7, 10, 31, 64] {
            let keys: Vec<u64> = (0..u64::from(n)).map(mix).collect();
            let lottery = Lottery::new(&keys);
            let cells = (n * (n - 1)) as usize;
            let draws = cells * 200;
            let mut counts = vec![0u32; (n * n) as usize];
            for key in 0..draws as u64 {
                let order = lottery.order(mix(key ^ 0xabcdef));
                counts[(order.row(0) * n + order.row(1)) as usize] += 1;
            }
            let expected = draws as f64 / cells as f64;
            let chi: f64 = (0..n * n)
                .filter(|i| i / n != i % n)
                .map(|i| (f64::from(counts[i as usize]) - expected).powi(2) / expected)
                .sum();
            let freedom = (cells - 1) as f64;
            let bound = freedom + 4.3 * (2.0 * freedom).sqrt() + 12.0;
            assert!(chi < bound, "n = {n}: χ² = {chi:.0} over {freedom} degrees of freedom, bound {bound:.0}");
        }
    }
}
