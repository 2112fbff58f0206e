//! Where an executor takes work in. What it refuses or fails at it keeps for a while before it says so: whoever answers at once would be
//! given all the work of a run, and others that can do it none.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::bench::{Bench, Unsettled};

/// A bench that says no slowly.
#[derive(Debug)]
pub struct Desk {
    bench: Bench,
    /// Items that wait to be refused.
    held: AtomicU32,
    /// Items that it has failed at since one that was done.
    failed: AtomicU32,
    told: Mutex<BTreeSet<String>>,
    log: mpsc::Sender<String>,
}

/// What each of those that are held waits for in turn: so the slots of an executor fill up with what it refuses.
const HOLD: Duration = Duration::from_secs(3);
/// Nobody waits for more turns.
const TURNS: u32 = 20;
/// And where the order was open lately: it was taken back, or its folder is out of reach for a moment.
const BREATH: Duration = Duration::from_secs(1);
/// The first failure is told at once, each that follows so much later, up to this.
const LATER: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(60);
/// Between two tries: a folder may be mounted late, or its news come late.
const RETRY: Duration = Duration::from_millis(500);

impl Desk {
    /// Each reason to refuse goes to `log` once.
    pub fn new(bench: Bench, log: mpsc::Sender<String>) -> Self {
        Self { bench, held: AtomicU32::new(0), failed: AtomicU32::new(0), told: Mutex::default(), log }
    }

    /// Whose it is.
    pub fn executor(&self) -> &str {
        self.bench.executor()
    }

    /// See [`Bench::settle`].
    ///
    /// # Errors
    /// The same, later.
    pub fn settle(&self, folder: &Path, number: u32) -> Result<u64, Unsettled> {
        let settled = self.bench.settle(folder, number);
        let settled = match settled {
            Err(Unsettled::Gone(_)) => Self::hold(settled, BREATH, || self.bench.settle(folder, number)),
            Err(Unsettled::Refused(ref why)) => {
                self.tell(why.clone());
                let turns = self.held.fetch_add(1, Ordering::Relaxed).saturating_add(1).min(TURNS);
                let settled = Self::hold(settled, HOLD * turns, || self.bench.settle(folder, number));
                self.held.fetch_sub(1, Ordering::Relaxed);
                settled
            }
            _ => settled,
        };
        match &settled {
            Ok(_) => self.failed.store(0, Ordering::Relaxed),
            Err(Unsettled::Failed(_)) => sleep(LATEST.min(LATER * self.failed.fetch_add(1, Ordering::Relaxed))),
            Err(Unsettled::Refused(_) | Unsettled::Gone(_)) => {}
        }
        settled
    }

    /// Tries again until it is not refused any more, or time is over.
    fn hold(
        mut settled: Result<u64, Unsettled>,
        limit: Duration,
        again: impl Fn() -> Result<u64, Unsettled>,
    ) -> Result<u64, Unsettled> {
        let begun = Instant::now();
        while matches!(settled, Err(Unsettled::Refused(_) | Unsettled::Gone(_))) && begun.elapsed() < limit {
            sleep(RETRY);
            settled = again();
        }
        settled
    }

    fn tell(&self, why: String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(why.clone()) {
            // Who is about to end listens no more.
            let _ = self.log.send(format!("refused: {why}"));
        }
    }
}
