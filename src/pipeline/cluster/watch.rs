//! What the folder of an order tells: which items are done, and who gives signs of life.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::board::Board;
use super::heard::Heard;
use crate::report::Shares;

/// Where items are committed.
pub trait Ledger {
    /// Of some items, those that are there now; whoever wants to know is told of them.
    fn committed(&self, among: &BTreeSet<u32>) -> anyhow::Result<Vec<u32>>;
}

/// The items that are waited for.
pub struct Watch<'a> {
    board: Board<'a>,
    asked: u64,
    missing: BTreeSet<u32>,
    executors: Heard,
    /// Results that came damaged since items were handed out last.
    damaged: u64,
    /// When there was a commit or a sign of life last.
    heard: Instant,
    /// And a commit.
    committed: Instant,
    /// When the folder was within reach last.
    seen: Instant,
    ledger: &'a dyn Ledger,
}

impl<'a> Watch<'a> {
    /// Begins to wait for `pending` ones; signs of the past go.
    ///
    /// # Errors
    /// Those of [`Board::begin`].
    pub fn begin(board: Board<'a>, pending: &[u32], ledger: &'a dyn Ledger) -> anyhow::Result<Self> {
        board.begin()?;
        let (missing, now) = (pending.iter().copied().collect(), Instant::now());
        let (asked, executors) = (pending.len() as u64, Heard::default());
        Ok(Self { board, asked, missing, executors, damaged: 0, heard: now, committed: now, seen: now, ledger })
    }

    /// Where the order is put up.
    pub fn board(&self) -> &Board<'a> {
        &self.board
    }

    /// Those that are not committed, as of the last look.
    pub fn missing(&self) -> &BTreeSet<u32> {
        &self.missing
    }

    /// How long nothing has happened: no commit, and no sign of life.
    pub fn silence(&self) -> Duration {
        self.heard.elapsed()
    }

    /// How long nothing was committed, as of the last look.
    pub fn standstill(&self) -> Duration {
        self.seen.saturating_duration_since(self.committed)
    }

    /// How long the folder has been out of reach.
    pub fn blindness(&self) -> Duration {
        self.seen.elapsed()
    }

    /// What executors have told, as of the last look.
    pub fn executors(&self) -> &Heard {
        &self.executors
    }

    /// How many results have come damaged, and were removed, since items were handed out last.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// What is to be handed out now: those that are missing; those that somebody has in hand, or had when last heard of, come last.
    pub fn due(&mut self) -> Vec<u32> {
        self.damaged = 0;
        let in_hand = self.executors.in_hand();
        let (last, first): (Vec<u32>, Vec<u32>) = self.missing.iter().partition(|number| in_hand.contains(number));
        [first, last].concat()
    }

    /// Looks for both.
    ///
    /// # Errors
    /// When the folder is out of reach; another look may do better.
    pub fn look(&mut self) -> anyhow::Result<()> {
        let collected = self.board.collect(&self.missing)?;
        let (committed, now) = (self.ledger.committed(&self.missing)?, Instant::now());
        for item in &committed {
            self.missing.remove(item);
        }
        for &item in collected.iter().filter(|item| self.missing.contains(item)) {
            self.board.reject(item)?;
            self.damaged += 1;
        }
        self.seen = now;
        if !committed.is_empty() {
            (self.committed, self.heard) = (now, now);
        }
        if self.listen()? {
            self.heard = now;
        }
        if !committed.is_empty() {
            self.executors.forgive();
        }
        Ok(())
    }

    /// Whether anybody has given a sign since the last time.
    fn listen(&mut self) -> anyhow::Result<bool> {
        Ok(self.executors.listen(self.board.signs()?))
    }

    /// Who has done how much, as far as they tell.
    pub fn shares(&mut self) -> Shares {
        // The last sign follows the last commit.
        let begun = Instant::now();
        while self.executors.done() < self.asked && begun.elapsed() < GRACE {
            sleep(MOMENT);
            // Who cannot be heard any more has told enough.
            if self.listen().is_err() {
                break;
            }
        }
        self.executors.shares()
    }
}

/// How long they may take to come in.
const GRACE: Duration = Duration::from_secs(3);
/// Between two looks for them.
const MOMENT: Duration = Duration::from_millis(30);
