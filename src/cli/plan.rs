//! `miner plan`

use std::sync::atomic::AtomicBool;

use triplet_miner::pipeline::{self, Control};
use triplet_miner::report::Silent;

use super::output;
use super::pipeline_file::{PipelineFile, RunFlags};
use super::status::Status;

/// Check a pipeline against its data, and say what a run will do and take; write nothing
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  miner plan mine.toml\n  miner plan mine.toml --set search.index=hnsw --json")]
pub struct Args {
    #[command(flatten)]
    pipeline: PipelineFile,
    #[command(flatten)]
    run: RunFlags,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Status> {
    let mut plan = args.pipeline.load()?;
    args.run.apply(&mut plan.run);
    // Nothing is written, so a signal may end the process as it stands.
    let control = Control { progress: &Silent, interrupted: &AtomicBool::new(false) };
    let explanation = pipeline::explain(&plan, &control)?;
    output::either(&explanation, args.json)?;
    Ok(Status::Done)
}
