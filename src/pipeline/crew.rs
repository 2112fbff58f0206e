//! Who mines the partitions: the threads of this process.

use rayon::prelude::*;

use super::engine::Engine;
use super::partitions::{Done, Partitions};

/// Whoever does the work.
pub enum Crew<'a> {
    /// The threads of this process, a partition each.
    Local(&'a Engine<'a>),
}

impl Crew<'_> {
    /// Mines and commits the `pending` partitions; `done` is told of each.
    ///
    /// # Errors
    /// When one cannot be committed, or the run was asked to stop.
    pub fn mine(&self, pending: &[u32], partitions: &Partitions, done: Done) -> anyhow::Result<()> {
        match self {
            Self::Local(engine) => pending.par_iter().try_for_each(|&ordinal| {
                engine.go_on()?;
                let tally = partitions.mine(ordinal)?;
                done(ordinal, &tally);
                Ok(())
            }),
        }
    }
}
