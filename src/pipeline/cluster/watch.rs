//! What the folder of an order tells: which items are done, and who gives signs of life.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::board::Board;
use super::executor::executor_of;
use super::sign::Sign;
use crate::report::{Share, Shares};

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
    /// Of each executor that gave a sign.
    executors: BTreeMap<String, Heard>,
    /// When there was a commit or a sign of life last.
    heard: Instant,
    /// And a commit.
    committed: Instant,
    /// When the folder was within reach last.
    seen: Instant,
    ledger: &'a dyn Ledger,
}

/// What was heard of an executor.
struct Heard {
    /// The last.
    sign: Sign,
    when: Instant,
    /// Items that it had failed at when there was a commit last.
    forgiven: u64,
}

impl<'a> Watch<'a> {
    /// Begins to wait for `pending` ones; signs of the past go.
    ///
    /// # Errors
    /// Those of [`Board::begin`].
    pub fn begin(board: Board<'a>, pending: &[u32], ledger: &'a dyn Ledger) -> anyhow::Result<Self> {
        board.begin()?;
        let (missing, now) = (pending.iter().copied().collect(), Instant::now());
        let (asked, executors) = (pending.len() as u64, BTreeMap::new());
        Ok(Self { board, asked, missing, executors, heard: now, committed: now, seen: now, ledger })
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

    /// How many items executors have failed at, as far as they tell.
    pub fn failed(&self) -> u64 {
        self.executors.values().map(|heard| heard.sign.failed).sum()
    }

    /// Whether somebody has given a sign of work within so long who has not failed since the last commit.
    pub fn is_hopeful(&self, within: Duration) -> bool {
        let is_at_work = |heard: &Heard| !heard.sign.at.is_empty() && heard.when.elapsed() < within;
        self.executors.values().any(|heard| is_at_work(heard) && heard.sign.failed <= heard.forgiven)
    }

    /// Those that are missing; those that somebody has in hand, or had when last heard of, come last.
    pub fn to_hand_out(&self) -> Vec<u32> {
        let in_hand: BTreeSet<u32> = self.executors.values().flat_map(|heard| heard.sign.at.iter().copied()).collect();
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
        collected.iter().filter(|item| self.missing.contains(item)).try_for_each(|&item| self.board.reject(item))?;
        self.seen = now;
        if !committed.is_empty() {
            (self.committed, self.heard) = (now, now);
            self.executors.values_mut().for_each(|heard| heard.forgiven = heard.sign.failed);
        }
        if self.listen()? {
            self.heard = now;
        }
        Ok(())
    }

    /// Whether anybody has given a sign since the last time. The last one of those who are gone stays.
    fn listen(&mut self) -> anyhow::Result<bool> {
        let (mut news, when) = (false, Instant::now());
        for (executor, sign) in self.board.signs()? {
            let heard = self.executors.get(&executor);
            if heard.is_none_or(|heard| heard.sign != sign) {
                let forgiven = heard.map_or(0, |heard| heard.forgiven);
                self.executors.insert(executor, Heard { sign, when, forgiven });
                news = true;
            }
        }
        Ok(news)
    }

    /// Who has done how much, as far as they tell.
    pub fn shares(&mut self) -> Shares {
        // The last sign follows the last commit.
        let begun = Instant::now();
        while self.executors.values().map(|heard| heard.sign.done).sum::<u64>() < self.asked
            && begun.elapsed() < self.board.grace()
        {
            sleep(MOMENT);
            // Who cannot be heard any more has told enough.
            if self.listen().is_err() {
                break;
            }
        }
        let mut shares = Shares::new();
        for (id, Heard { sign, .. }) in self.executors.iter().filter(|(_, heard)| heard.sign.done > 0) {
            let share = shares.entry(executor_of(id).to_owned()).or_insert(Share { items: 0, opened: 0 });
            share.items += sign.done;
            share.opened += sign.opened;
        }
        shares
    }
}

/// Between two looks for them.
const MOMENT: Duration = Duration::from_millis(30);
