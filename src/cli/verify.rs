//! `miner verify`

use std::path::PathBuf;

use clap::ValueHint;
use triplet_miner::pipeline::{self, Control};

use super::log::LogFlag;
use super::moved::MovedFlags;
use super::pipeline_file::{Size, size};
use super::status::Status;
use super::{output, progress, signals};

/// Check an output: every file, and every triplet made anew from the store
///
/// Trusts nothing the output says, and says what it proved and what it could not check. The store is found where the manifest says it was, unless --store names it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  miner verify out/mine\n  miner verify out/mine --store moved.parquet --full\n  miner verify out/mine --json --log json 2> verify.log | jq .total"
)]
pub struct Args {
    /// The folder a run wrote, or its URL
    #[arg(value_hint = ValueHint::DirPath)]
    out: PathBuf,
    #[command(flatten)]
    moved: MovedFlags,
    /// Mine every anchor again, not a sample
    #[arg(long)]
    full: bool,
    /// Anonymous memory to work in, at most, as in 4GiB; 0 takes three quarters of the machine's
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<Size>,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub log: LogFlag,
}

pub fn run(args: &Args) -> anyhow::Result<Status> {
    let progress = progress::choose(false, args.log.log);
    let control = Control { progress: progress.as_ref(), brake: signals::watch()? };
    let moved = args.moved.moved();
    let verdict = pipeline::verify(&args.out, &moved, args.full, args.memory.and_then(Size::bytes), &control)?;
    output::either(&verdict, args.json)?;
    Ok(if verdict.is_sound() { Status::Done } else { Status::Refused })
}
