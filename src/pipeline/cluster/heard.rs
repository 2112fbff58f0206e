//! What executors have told of themselves, as whoever drives a run has heard it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::executor::executor_of;
use super::sign::Sign;
use crate::report::{Share, Shares};

/// The last sign of each executor. That of one which is gone stays.
#[derive(Debug, Default)]
pub struct Heard(BTreeMap<String, Last>);

#[derive(Debug)]
struct Last {
    sign: Sign,
    when: Instant,
    /// Items that it had failed at when there was a commit last.
    forgiven: u64,
}

impl Heard {
    /// Takes in signs, and says whether any is new.
    pub fn listen(&mut self, signs: BTreeMap<String, Sign>) -> bool {
        let (mut news, when) = (false, Instant::now());
        for (executor, sign) in signs {
            let last = self.0.get(&executor);
            if last.is_none_or(|last| last.sign != sign) {
                let forgiven = last.map_or(0, |last| last.forgiven);
                self.0.insert(executor, Last { sign, when, forgiven });
                news = true;
            }
        }
        news
    }

    /// There was a commit: what was failed at before may have had a cause that is gone.
    pub fn forgive(&mut self) {
        self.0.values_mut().for_each(|last| last.forgiven = last.sign.failed);
    }

    /// How many items executors have failed at.
    pub fn failed(&self) -> u64 {
        self.0.values().map(|last| last.sign.failed).sum()
    }

    /// How many they have done.
    pub fn done(&self) -> u64 {
        self.0.values().map(|last| last.sign.done).sum()
    }

    /// Whether somebody has items in hand, and has told so within this time, who has not failed since the last commit.
    pub fn is_hopeful(&self, within: Duration) -> bool {
        let is_at_work = |last: &Last| !last.sign.at.is_empty() && last.when.elapsed() < within;
        self.0.values().any(|last| is_at_work(last) && last.sign.failed <= last.forgiven)
    }

    /// Who had items in hand when last heard of, and was not for this time, and how many.
    pub fn silent(&self, length: Duration) -> impl Iterator<Item = (&str, usize)> {
        let is_silent = move |last: &Last| !last.sign.at.is_empty() && last.when.elapsed() >= length;
        let silent = self.0.iter().filter(move |(_, last)| is_silent(last));
        silent.map(|(id, last)| (executor_of(id), last.sign.at.len()))
    }

    /// Items that somebody has in hand, or had when last heard of.
    pub fn in_hand(&self) -> BTreeSet<u32> {
        self.0.values().flat_map(|last| last.sign.at.iter().copied()).collect()
    }

    /// Who has done how much. Two of one name count together.
    pub fn shares(&self) -> Shares {
        let mut shares = Shares::new();
        for (id, Last { sign, .. }) in self.0.iter().filter(|(_, last)| last.sign.done > 0) {
            let share = shares.entry(executor_of(id).to_owned()).or_insert(Share { items: 0, opened: 0 });
            share.items += sign.done;
            share.opened += sign.opened;
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn sign(at: &[u32], done: u64, failed: u64) -> Sign {
        serde_json::from_value(serde_json::json!({
            "at": at, "done": done, "failed": failed, "opened": 100 * done, "beat": 0,
        }))
        .unwrap()
    }

    fn heard(signs: &[(&str, Sign)]) -> BTreeMap<String, Sign> {
        signs.iter().map(|(executor, sign)| ((*executor).to_owned(), sign.clone())).collect()
    }

    #[test]
    fn whoever_works_and_does_not_fail_gives_hope() {
        let mut all = Heard::default();
        assert!(!all.is_hopeful(LONG), "nobody is there");
        assert!(all.listen(heard(&[("a-1~x", sign(&[3], 0, 0)), ("b-1~y", sign(&[], 0, 4))])));
        assert!(all.is_hopeful(LONG) && !all.is_hopeful(Duration::ZERO));
        assert!(!all.listen(heard(&[("a-1~x", sign(&[3], 0, 0))])), "the same is no news");
        assert!(all.listen(heard(&[("a-1~x", sign(&[5], 0, 1))])));
        assert!(!all.is_hopeful(LONG), "it has failed, too");
        all.forgive();
        assert!(all.is_hopeful(LONG));
        assert_eq!(all.failed(), 5);
    }

    #[test]
    fn shares_are_told_by_name_and_what_is_in_hand_by_all() {
        let mut all = Heard::default();
        let signs = [("a-1~x", sign(&[3, 4], 2, 0)), ("a-1~z", sign(&[], 5, 0)), ("b-1~y", sign(&[9], 0, 0))];
        all.listen(heard(&signs));
        assert_eq!(all.in_hand(), BTreeSet::from([3, 4, 9]));
        assert_eq!(all.done(), 7);
        assert_eq!(all.silent(Duration::ZERO).collect::<Vec<_>>(), [("a-1", 2), ("b-1", 1)]);
        assert_eq!(all.silent(LONG).count(), 0);
        let shares = all.shares();
        assert_eq!(shares.len(), 1, "whoever has done nothing has no share");
        assert_eq!((shares["a-1"].items, shares["a-1"].opened), (7, 700));
    }
}
