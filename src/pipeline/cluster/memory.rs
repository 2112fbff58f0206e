//! The memory of an executor, shared out among the orders that it has open.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So many bytes, for so many orders at a time.
#[derive(Debug)]
pub struct Memory {
    most: u64,
    taken: Mutex<Taken>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    bytes: u64,
    parts: usize,
}

/// A part of it, until this is dropped.
#[derive(Debug)]
pub struct Part {
    memory: Arc<Memory>,
    bytes: u64,
}

/// Orders that are open at once, at most.
const PARTS: usize = 4;
/// Between two questions to whoever waits.
const TICK: Duration = Duration::from_millis(200);

impl Memory {
    pub fn of(most: u64) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default(), freed: Condvar::new() })
    }

    /// All of it, in bytes.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Takes a part as soon as there is one; `wait` is asked, again and again, whether that is still of use, and may see to it that
    /// others end. More than there is is never there.
    pub fn take(self: &Arc<Self>, bytes: u64, mut wait: impl FnMut() -> bool) -> Option<Part> {
        loop {
            let mut taken = self.taken();
            if taken.parts < PARTS && taken.bytes.saturating_add(bytes) <= self.most {
                taken.bytes += bytes;
                taken.parts += 1;
                return Some(Part { memory: self.clone(), bytes });
            }
            drop(taken);
            if !wait() {
                return None;
            }
            drop(self.freed.wait_timeout(self.taken(), TICK));
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut taken = self.memory.taken();
        taken.bytes -= self.bytes;
        taken.parts -= 1;
        self.memory.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_and_what_is_given_back_is_taken_again() {
        let memory = Memory::of(100);
        let never = || panic!("there was room");
        let first = memory.take(60, never).unwrap();
        let second = memory.take(40, never).unwrap();
        assert!(memory.take(1, || false).is_none());
        drop(second);
        let mut waiting = Some(first);
        // Room comes while it is waited for.
        let third = memory.take(100, || waiting.take().is_some()).unwrap();
        drop(third);
        assert!(memory.take(101, || false).is_none());
        let parts: Vec<Part> = (0..PARTS).map(|_| memory.take(0, never).unwrap()).collect();
        assert!(memory.take(0, || false).is_none());
        drop(parts);
        assert!(matches!(*memory.taken(), Taken { bytes: 0, parts: 0 }));
    }
}
