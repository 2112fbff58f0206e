//! `miner executor`

use std::path::PathBuf;

use clap::ValueHint;
use triplet_miner::config::{Meeting, Scheduler};
use triplet_miner::pipeline::{self, Control, ExecutorOptions};

use super::log::LogFlag;
use super::pipeline_file::{Size, size};
use super::status::Status;
use super::tls::TlsFlags;
use super::{engine_log, progress, signals};

/// Mine partitions that a scheduler hands out
///
/// Runs until it is interrupted or terminated. It asks the scheduler for work, and listens to nobody. Runs, schedulers and
/// executors must be of the very same program.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  miner executor --scheduler 10.0.0.1:50050 --work /shared/miner")]
pub struct Args {
    /// The scheduler
    #[arg(long, value_name = "HOST:PORT")]
    scheduler: Scheduler,
    /// The run.work of pipelines: a folder that this machine sees under the same path, or the URL of one in a store; work of no
    /// other is done
    #[arg(long, value_name = "DIR|URL", value_hint = ValueHint::DirPath)]
    work: Meeting,
    /// Partitions to mine at a time, each on one thread; 0 takes every core
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=1_024))]
    slots: u16,
    /// Anonymous memory to work in, at most, as in 4GiB; 0 takes three quarters of the machine's
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = size)]
    memory: Size,
    /// A folder on a disk of this machine, for what is derived from the prepared store, about its size, and for what is fetched of
    /// --work, where that is a URL. Default: that for temporary files
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    scratch: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    pub log: LogFlag,
}

pub fn run(args: &Args) -> anyhow::Result<Status> {
    engine_log::begin();
    let progress = progress::choose(false, args.log.log);
    let control = Control { progress: progress.as_ref(), brake: signals::watch()? };
    let options = ExecutorOptions {
        scheduler: args.scheduler.clone(),
        tls: args.tls.tls(),
        slots: usize::from(args.slots),
        work: args.work.clone(),
        scratch: args.scratch.clone(),
        memory: args.memory.bytes(),
    };
    pipeline::serve_executor(&options, &control)?;
    Ok(Status::Done)
}
