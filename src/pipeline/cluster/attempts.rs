//! Handing out again: how often, and after what pause.

use std::time::Duration;

/// How an attempt ended before all was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// No scheduler took the work.
    Away,
    /// The scheduler has it still, and nobody gives a sign of life.
    Silent,
    /// The scheduler has nothing more to do for it.
    Over,
    /// So it is, because of an executor that the work is not for.
    Refused,
}

/// What stands when an attempt has ended.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// Items that are not committed.
    pub missing: usize,
    /// Those that executors have failed at, as far as they tell.
    pub failed: u64,
    /// Whether nobody has given a sign of life for as long as the run has patience.
    pub silent: bool,
    /// Whether nothing was committed for so long.
    pub stands: bool,
    /// Whether somebody has items in hand, and gives signs of life, who has not failed at any since the last commit.
    pub is_hopeful: bool,
}

/// The attempts of one order.
#[derive(Debug)]
pub struct Attempts {
    missing: usize,
    failed: u64,
    vain: u32,
    again: u32,
    pause: Duration,
}

/// Attempts without a single commit that end the run, where patience is over and nobody is at work who has not failed: what fails
/// everywhere at once may be a folder that is out of reach for a moment, or full.
const VAIN: u32 = 3;
/// The first pause after one without a commit, how much longer each that follows is, and the longest.
const FIRST: Duration = Duration::from_millis(500);
const SLOWER: u32 = 2;
const LONGEST: Duration = Duration::from_secs(8);

impl Attempts {
    /// None yet, with so many items to be done.
    pub fn new(missing: usize) -> Self {
        Self { missing, failed: 0, vain: 0, again: 0, pause: Duration::ZERO }
    }

    /// Times that work was handed out again since the last item that was done.
    pub fn again(&self) -> u32 {
        self.again
    }

    /// The pause before the next attempt, where there is a use in one.
    pub fn next(&mut self, end: End, now: Standing) -> Option<Duration> {
        if now.missing < self.missing {
            (self.vain, self.again, self.pause) = (0, 0, Duration::ZERO);
        } else if end != End::Refused || now.failed > self.failed {
            // Where one executor refuses, what another fails at is told by its signs alone.
            self.vain += 1;
        }
        (self.missing, self.failed) = (now.missing, now.failed);
        // Whoever refuses does not speak for others, unless there are none.
        if end == End::Away
            || (self.vain >= VAIN && now.stands && !now.is_hopeful)
            || (end == End::Refused && now.silent)
        {
            return None;
        }
        let pause = self.pause;
        self.pause = (pause * SLOWER).clamp(FIRST, LONGEST);
        self.again += 1;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(missing: usize) -> Standing {
        Standing { missing, failed: 0, silent: false, stands: true, is_hopeful: false }
    }

    #[test]
    fn the_third_attempt_in_vain_is_the_last() {
        let mut attempts = Attempts::new(5);
        assert_eq!(attempts.next(End::Over, at(5)), Some(Duration::ZERO));
        assert_eq!(attempts.next(End::Silent, at(5)), Some(FIRST));
        assert_eq!(attempts.again(), 2);
        assert_eq!(attempts.next(End::Over, at(5)), None);
        assert_eq!(Attempts::new(5).next(End::Away, at(5)), None, "nobody is there to hand anything to");
    }

    #[test]
    fn what_fails_at_once_is_tried_for_as_long_as_the_run_has_patience() {
        let (mut attempts, soon) = (Attempts::new(5), Standing { stands: false, ..at(5) });
        assert!((0..20).all(|_| attempts.next(End::Over, soon).is_some()));
        assert_eq!(attempts.next(End::Over, at(5)), None);
    }

    #[test]
    fn whoever_fails_ends_no_run_that_others_are_at_work_on() {
        let (mut attempts, hopeful) = (Attempts::new(5), Standing { failed: 9, is_hopeful: true, ..at(5) });
        assert!((0..50).all(|_| attempts.next(End::Over, hopeful).is_some()));
        assert_eq!(attempts.next(End::Over, at(5)), None);
    }

    #[test]
    fn each_commit_gives_new_hope_and_pauses_grow_to_a_bound() {
        let mut attempts = Attempts::new(100);
        let pauses: Vec<_> = (0..20).map(|_| attempts.next(End::Refused, at(100)).unwrap()).collect();
        assert!(pauses.is_sorted() && pauses.last() == Some(&LONGEST), "{pauses:?}");
        assert_eq!(attempts.next(End::Over, at(99)), Some(Duration::ZERO));
        assert_eq!(attempts.again(), 1);
        for missing in (1..99).rev() {
            assert!(attempts.next(End::Over, at(missing)).is_some());
        }
    }

    #[test]
    fn whoever_refuses_ends_a_run_only_where_nobody_else_is_there_or_others_fail() {
        let refused = |silent, failed| Standing { failed, silent, ..at(5) };
        let mut attempts = Attempts::new(5);
        assert!((0..50).all(|_| attempts.next(End::Refused, refused(false, 0)).is_some()));
        assert_eq!(attempts.next(End::Refused, refused(true, 0)), None);
        let mut attempts = Attempts::new(5);
        let went_on = (1..=3).map(|failed| attempts.next(End::Refused, refused(false, failed)).is_some());
        assert!(went_on.eq([true, true, false]));
    }
}
