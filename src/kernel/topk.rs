//! A bounded heap of the smallest keys.

use std::collections::BinaryHeap;

/// Keeps the `limit` smallest of the keys pushed, in `O(log limit)` a push that matters and one comparison otherwise.
///
/// A key is whatever orders candidates totally (a distance and a row, packed), so the result never depends on the order
/// of pushes. Memory grows with what is kept, not with `limit`.
#[derive(Debug, Clone)]
pub struct TopK {
    limit: usize,
    heap: BinaryHeap<u64>,
}

impl TopK {
    /// `limit` is at least 1.
    pub fn new(limit: u32) -> Self {
        Self { limit: limit as usize, heap: BinaryHeap::new() }
    }

    /// The largest key kept, once `limit` are: from now on only smaller ones enter.
    pub fn worst(&self) -> Option<u64> {
        if self.heap.len() < self.limit { None } else { self.heap.peek().copied() }
    }

    /// Whether `key` would be kept.
    pub fn wants(&self, key: u64) -> bool {
        self.worst().is_none_or(|worst| key < worst)
    }

    /// Keeps `key` if it is among the smallest.
    pub fn push(&mut self, key: u64) {
        if self.heap.len() < self.limit {
            self.heap.push(key);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && key < *worst
        {
            *worst = key;
        }
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The keys kept, ascending.
    pub fn into_sorted(self) -> Vec<u64> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::TopK;

    #[test]
    fn equals_sort_and_truncate() {
        let keys: Vec<u64> = (0..500u64).map(|i| (i * 7_919) % 503).collect();
        for limit in [1, 2, 17, 499, 500, 501] {
            let mut top = TopK::new(limit);
            for &key in &keys {
                let wanted = top.wants(key);
                let before = top.clone().into_sorted();
                top.push(key);
                assert_eq!(wanted, top.clone().into_sorted() != before, "limit {limit}, key {key}");
            }
            let mut expected = keys.clone();
            expected.sort_unstable();
            expected.truncate(limit as usize);
            assert_eq!(top.into_sorted(), expected, "limit {limit}");
        }
    }
}
