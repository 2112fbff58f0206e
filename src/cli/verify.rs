//! `miner verify`

use std::path::PathBuf;

use clap::ValueHint;
use triplet_miner::pipeline::{self, Control, Moved};

use super::log::LogFlag;
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
    /// The folder a run wrote
    #[arg(value_hint = ValueHint::DirPath)]
    out: PathBuf,
    /// Where the store is now, if it has moved
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    store: Option<PathBuf>,
    /// Where the queries are now, if they have moved
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    queries: Option<PathBuf>,
    /// Where the pairs are now, if they have moved
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pairs: Option<PathBuf>,
    /// Where the scores are now, if they have moved
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    scores: Option<PathBuf>,
    /// Where the arrays of the store's vectors are now, if they have moved; one option for each
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    vectors: Vec<PathBuf>,
    /// Where the arrays of the queries' vectors are now, if they have moved
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    query_vectors: Vec<PathBuf>,
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
    let moved = Moved {
        store: args.store.clone(),
        queries: args.queries.clone(),
        pairs: args.pairs.clone(),
        scores: args.scores.clone(),
        vectors: args.vectors.clone(),
        query_vectors: args.query_vectors.clone(),
    };
    let verdict = pipeline::verify(&args.out, &moved, args.full, args.memory.and_then(Size::bytes), &control)?;
    output::either(&verdict, args.json)?;
    Ok(if verdict.is_sound() { Status::Done } else { Status::Refused })
}
