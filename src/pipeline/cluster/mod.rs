//! The same run on the executors of a Ballista scheduler.
//!
//! ```text
//! driver   read ▸ prepare ▸ build ▸ index ▸ tune ▸ mine ▸ recall ▸ write ▸ seal
//!                        order │ ▲ commits, signs   │ ▲
//!          WORK/.NAME.miner/   ▼ │                  ▼ │
//! executors               settle_item(folder, number)
//! ```
//!
//! The folder of the run, which all machines see (or [of which they have copies](depot)), is the one truth: an executor opens the
//! prepared store and the index there, works with the code that a local run has, and commits as it does. Ballista hands out numbers of items, hands them out again where an executor
//! is lost, and is never asked for results. So it may fail in any way, and the worst that follows is that an item is done twice,
//! to the same bytes.

mod attempts;
mod bench;
mod board;
mod build;
mod client;
mod depot;
mod desk;
mod dial;
mod driver;
mod executor;
mod function;
mod ground;
mod heard;
mod items;
mod lease;
mod listen;
mod memory;
mod mine;
mod mirror;
mod order;
mod recipe;
mod roster;
mod serve;
mod sign;
mod site;
mod spills;
mod tls;
mod watch;
mod wire;
mod worker;

pub use build::build_index;
pub use driver::{Cluster, ClusterError};
pub use executor::{ExecutorOptions, serve_executor};
use lease::Driven;
pub use lease::Lease;
pub use mine::{Miners, crew};
pub use roster::look;
pub use serve::{SchedulerOptions, serve_scheduler};
pub use tls::TlsError;

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::crew::Commission;
use super::engine::Engine;
use super::scratch::{self, Scratch, ScratchError};
use crate::config::{Machines, Meeting, Plan};
use crate::remote::{Address, Object, Remote, RemoteError};

impl<'a> Cluster<'a> {
    /// The one that a plan names; nothing where this machine does all the work.
    fn of(run: &Commission<'a>, engine: &'a Engine<'a>) -> Option<Self> {
        let Commission { plan, lease, .. } = *run;
        let Machines::Cluster { scheduler, tls, patience, meeting } = plan.run.machines.clone() else { return None };
        Some(Self { engine, scheduler, tls, patience, meeting, store: shared(plan), lease })
    }
}

/// The folder of a plan's runs in the store where machines meet; nothing where they meet in a folder, or there is one alone.
fn shared(plan: &Plan) -> Option<Address> {
    match &plan.run.machines {
        Machines::Cluster { meeting: Meeting::Store(address), .. } => {
            Some(address.join(&scratch::apart(plan).to_string_lossy()))
        }
        _ => None,
    }
}

/// Whether the store where machines meet can be reached: told before anything is read.
///
/// # Errors
/// A store that refuses or does not answer.
pub fn reach(plan: &Plan, engine: &Engine) -> anyhow::Result<()> {
    match shared(plan) {
        Some(address) => engine.wait::<_, RemoteError>(async { Remote::open(&address)?.reach().await }),
        None => Ok(()),
    }
}

/// Takes that store for this run alone, and removes from it what other runs of this output have left; where the one that `key` names
/// left nothing, or begins anew, all.
///
/// # Errors
/// When another machine is at work there; a store that refuses or does not answer.
pub fn begin(plan: &Plan, scratch: &Scratch, key: &str, engine: &Engine) -> anyhow::Result<Option<Lease>> {
    let Some(place) = shared(plan) else { return Ok(None) };
    let lease = Lease::take(&place, scratch.lock_id(), engine)?;
    let own = scratch::run_name(key) + "/";
    clear(&place, engine, |objects| {
        let goes_on = !plan.run.fresh && objects.iter().any(|object| object.name.starts_with(&own));
        let goes = |object: &Object| !goes_on || (object.name.starts_with("run-") && !object.name.starts_with(&own));
        objects.into_iter().filter(goes).collect()
    })?;
    Ok(Some(lease))
}

/// Removes all of a run that is sealed, and gives the store back. Without a lease, where somebody has said to drive and did not come to
/// take that back, one is taken, unless that somebody gives signs of life.
///
/// # Errors
/// A store that refuses or does not answer.
pub fn end(plan: &Plan, engine: &Engine, lease: Option<Lease>) -> Result<(), ScratchError> {
    let Some(place) = shared(plan) else { return Ok(()) };
    let sweep = || -> anyhow::Result<()> {
        let lease = match lease {
            None if lease::is_told(&place, engine)? => match Lease::take(&place, String::new(), engine) {
                Err(error) if error.is::<Driven>() => return Ok(()),
                taken => Some(taken?),
            },
            lease => lease,
        };
        if lease::check(lease.as_ref()).is_ok() {
            clear(&place, engine, |objects| objects)?;
        }
        if let Some(lease) = lease {
            lease.give_back();
        }
        Ok(())
    };
    sweep().map_err(ScratchError::Store)
}

fn clear(address: &Address, engine: &Engine, goes: impl Fn(Vec<Object>) -> Vec<Object>) -> anyhow::Result<()> {
    engine.wait::<_, RemoteError>(async {
        let remote = Remote::open(address)?;
        let gone = goes(remote.list().await?);
        // Who drives takes that back itself.
        remote.delete_all(gone.into_iter().filter(|object| !lease::is_sign(&object.name)).collect()).await
    })
}

/// Whether what a plan names to reach a cluster with can be used.
///
/// # Errors
/// Those of certificates.
pub fn check(plan: &Plan) -> anyhow::Result<()> {
    if let Machines::Cluster { tls: Some(tls), .. } = &plan.run.machines {
        tls::connector(tls).context("run.tls")?;
    }
    Ok(())
}

/// An error and its causes in one line. A cause is left out where the error above it has quoted it already.
fn in_a_line(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |line, cause| match line.contains(&cause) {
        true => line,
        false if line.is_empty() => cause,
        false => format!("{line}: {cause}"),
    })
}

/// A path of the run's folder, or with another `up` of the one above it, as seen from the folder of an order.
fn seen(up: &str, path: &Path) -> PathBuf {
    Path::new(up).join(path.file_name().unwrap_or_default())
}

/// From the folder of an order to that of its run, and to that of all runs of an output.
const RUN: &str = "../..";
const RUNS: &str = "../../..";

#[cfg(test)]
mod tests;
