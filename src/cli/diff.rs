//! `miner diff`

use std::path::PathBuf;

use clap::ValueHint;
use triplet_miner::pipeline::{self, Control};

use super::log::LogFlag;
use super::moved::MovedFlags;
use super::pipeline_file::{Size, size};
use super::status::Status;
use super::{output, progress, signals};

/// Say what changed between two outputs: anchors, negatives, gaps, bands, and what was asked for
///
/// Rows are joined by their ids, so that they may have moved. Differences are no failure, unless --exit-code is given.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The folder that the earlier run wrote, or its URL
    #[arg(value_hint = ValueHint::DirPath)]
    a: PathBuf,
    /// The folder that the later run wrote, or its URL
    #[arg(value_hint = ValueHint::DirPath)]
    b: PathBuf,
    /// Also read the store of B, and say in which band the triplets lie now that only A has; so does naming where its inputs are now
    #[arg(long)]
    lost: bool,
    #[command(flatten)]
    moved: MovedFlags,
    /// Anonymous memory to work in, at most, as in 4GiB; 0 takes three quarters of the machine's
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<Size>,
    /// Exit with status 1 where anything differs but names and places
    #[arg(long)]
    exit_code: bool,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub log: LogFlag,
}

const EXAMPLES: &str = "\
Examples:
  miner diff out/round-1 out/round-2
  miner diff out/round-1 out/round-2 --json | jq .negatives.churn
  miner diff out/round-1 out/round-2 --store now.parquet";

pub fn run(args: &Args) -> anyhow::Result<Status> {
    let progress = progress::choose(false, args.log.log);
    let control = Control { progress: progress.as_ref(), brake: signals::watch()? };
    let lost = (args.lost || args.moved.any()).then(|| args.moved.moved());
    let memory = args.memory.and_then(Size::bytes);
    let diff = pipeline::diff(&args.a, &args.b, lost.as_ref(), memory, &control)?;
    output::either(&diff, args.json)?;
    Ok(if args.exit_code && diff.differs() { Status::Failed } else { Status::Done })
}
