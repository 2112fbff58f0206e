//! Who mines the partitions: the threads of this process, or the executors of a cluster.

use rayon::prelude::*;

#[cfg(feature = "cluster")]
use super::cluster::Miners;
use super::engine::Engine;
use super::partitions::{Done, Partitions};
use crate::report::Shares;

/// Whoever does the work.
pub enum Crew<'a> {
    /// The threads of this process, a partition each.
    Local(&'a Engine<'a>),
    #[cfg(feature = "cluster")]
    Cluster(Box<Miners<'a>>),
}

impl Crew<'_> {
    /// Lets the `pending` partitions be mined and committed; `done` is told of each. Gives who did it, where it was not this process.
    ///
    /// # Errors
    /// When one cannot be committed, or the run was asked to stop.
    pub fn mine(&self, pending: &[u32], partitions: &Partitions, done: Done) -> anyhow::Result<Shares> {
        match self {
            Self::Local(engine) => {
                pending.par_iter().try_for_each(|&ordinal| -> anyhow::Result<()> {
                    engine.go_on()?;
                    let tally = partitions.mine(ordinal)?;
                    done(ordinal, &tally);
                    Ok(())
                })?;
                Ok(Shares::new())
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(miners) => miners.mine(pending, partitions, done),
        }
    }
}
