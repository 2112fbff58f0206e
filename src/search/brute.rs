//! The oracle: every row, one at a time, in plain sight.

use super::corpus::Corpus;
use super::taker::Taker;
use super::{Found, Quest, Search};
use crate::store::{Prepared, Row};

/// Looks at every row with the kernel that decides. Slow, and short enough to be believed.
pub struct Brute<'s>(Corpus<'s>);

impl<'s> Brute<'s> {
    pub fn new(store: &'s Prepared) -> Self {
        Self(Corpus::new(store, true))
    }
}

impl Search for Brute<'_> {
    fn find(&self, quests: &[Quest]) -> Vec<Found> {
        let corpus = &self.0;
        let look = |quest: &Quest| {
            let mut takers: Vec<Taker> =
                quest.windows.iter().map(|&window| Taker::new(window, quest, corpus)).collect();
            for row in corpus.store.corpus().map(Row) {
                if quest.admits.admits(corpus.store, row) {
                    let distance = corpus.distance(quest.vector, row);
                    for taker in &mut takers {
                        taker.offer(row, distance);
                    }
                }
            }
            takers.into_iter().map(|taker| taker.fill(quest, true)).collect()
        };
        quests.iter().map(look).collect()
    }
}
