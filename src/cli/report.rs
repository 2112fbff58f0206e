//! `miner report`

use std::path::PathBuf;

use clap::ValueHint;
use triplet_miner::report;

use super::output;
use super::status::Status;

/// Print the figures of a finished run
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  miner report out/mine\n  miner report out/mine --json | jq .recall")]
pub struct Args {
    /// The folder a run wrote
    #[arg(value_hint = ValueHint::DirPath)]
    out: PathBuf,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Status> {
    output::either(&report::read(&args.out)?, args.json)?;
    Ok(Status::Done)
}
