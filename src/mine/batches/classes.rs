//! Classes that still have something to place, those with most of it first.

use std::collections::BinaryHeap;

/// A priority queue of classes by how much each has left; ties go to the smaller rank. A class that changes is pushed again, and its
/// older entries are passed over.
pub(super) struct Queue {
    heap: BinaryHeap<(u64, std::cmp::Reverse<u64>, u32)>,
    left: Vec<u64>,
    ranks: Vec<u64>,
}

impl Queue {
    /// `left` and `ranks` by class.
    pub(super) fn new(left: Vec<u64>, ranks: Vec<u64>) -> Self {
        let mut queue = Self { heap: BinaryHeap::new(), left, ranks };
        for class in 0..queue.left.len() as u32 {
            queue.push(class);
        }
        queue
    }

    pub(super) fn left(&self, class: u32) -> u64 {
        self.left[class as usize]
    }

    pub(super) fn rank(&self, class: u32) -> u64 {
        self.ranks[class as usize]
    }

    /// Says how much a class has left, and puts it back.
    pub(super) fn set(&mut self, class: u32, left: u64) {
        self.left[class as usize] = left;
        self.push(class);
    }

    /// Puts back a class that was popped.
    pub(super) fn push(&mut self, class: u32) {
        let left = self.left(class);
        if left > 0 {
            self.heap.push((left, std::cmp::Reverse(self.rank(class)), class));
        }
    }

    /// The class with most left.
    pub(super) fn peek(&mut self) -> Option<u32> {
        loop {
            let &(left, _, class) = self.heap.peek()?;
            if left == self.left(class) {
                return Some(class);
            }
            self.heap.pop();
        }
    }

    /// Takes it.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let class = self.peek()?;
        self.heap.pop();
        Some(class)
    }
}
