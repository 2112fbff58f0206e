//! Who mines the partitions: the threads of this process, or the executors of a cluster.

use std::path::PathBuf;

use rayon::prelude::*;

use super::cluster::Lease;
#[cfg(feature = "cluster")]
use super::cluster::Miners;
use super::engine::Engine;
use super::job::Job;
use super::partitions::{Done, Partitions};
use super::scratch::Scratch;
use crate::config::{Machines, Meeting, Plan};
use crate::report::Shares;
use crate::store::Surveys;

/// The folder that all machines are to see is not there: it is mounted, not made.
#[derive(Debug, thiserror::Error)]
#[error("run.work: {} is not there; with run.engine it must be a folder that all machines see: mount it, or make it", .0.display())]
pub struct NoWorkFolder(PathBuf);

/// # Errors
/// Where others are to mine, and there is no folder to meet them in.
pub fn check_work(plan: &Plan) -> Result<(), NoWorkFolder> {
    match &plan.run.machines {
        Machines::Cluster { meeting: Meeting::Folder(folder), .. } if !folder.is_dir() => {
            Err(NoWorkFolder(folder.clone()))
        }
        _ => Ok(()),
    }
}

/// A run, as far as others who are to work on it must know it.
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "there are no others"))]
pub struct Commission<'a> {
    pub plan: &'a Plan,
    pub survey: &'a Surveys,
    pub job: &'a Job,
    pub fingerprint: &'a str,
    pub scratch: &'a Scratch,
    /// Leave to drive it, where machines meet in a store.
    pub lease: Option<&'a Lease>,
}

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
