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
pub use mine::{Miners, crew};
pub use roster::look;
pub use serve::{SchedulerOptions, serve_scheduler};
pub use tls::TlsError;

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::engine::Engine;
use super::scratch::{self, ScratchError};
use crate::config::{Machines, Meeting, Plan};
use crate::remote::{Address, Object, Remote, RemoteError};

impl<'a> Cluster<'a> {
    /// The one that a plan names; nothing where this machine does all the work.
    fn of(plan: &Plan, engine: &'a Engine<'a>) -> Option<Self> {
        let Machines::Cluster { scheduler, tls, patience, meeting } = plan.run.machines.clone() else { return None };
        Some(Self { engine, scheduler, tls, patience, meeting, store: shared(plan) })
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

/// Removes from that store what other runs of this output have left; where the one that `key` names left nothing, or begins anew, all.
///
/// # Errors
/// A store that refuses or does not answer.
pub fn begin(plan: &Plan, key: &str, engine: &Engine) -> anyhow::Result<()> {
    let own = scratch::run_name(key) + "/";
    clear(plan, engine, |objects| {
        let goes_on = !plan.run.fresh && objects.iter().any(|object| object.name.starts_with(&own));
        let goes = |object: &Object| !goes_on || (object.name.starts_with("run-") && !object.name.starts_with(&own));
        objects.into_iter().filter(goes).collect()
    })
}

/// Removes all of a run that is sealed.
///
/// # Errors
/// Those of [`begin`].
pub fn end(plan: &Plan, engine: &Engine) -> Result<(), ScratchError> {
    clear(plan, engine, |objects| objects).map_err(ScratchError::Store)
}

fn clear(plan: &Plan, engine: &Engine, goes: impl Fn(Vec<Object>) -> Vec<Object>) -> anyhow::Result<()> {
    let Some(address) = shared(plan) else { return Ok(()) };
    engine.wait::<_, RemoteError>(async {
        let remote = Remote::open(&address)?;
        let objects = remote.list().await?;
        remote.delete_all(goes(objects)).await
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
