//! `miner report`

use std::path::PathBuf;

use clap::ValueHint;
use triplet_miner::report;

use super::output;
use super::status::Status;

/// Print the figures of a finished run
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  miner report out/mine\n  miner report out/mine --json | jq .recall\n  miner report out/mine --html"
)]
pub struct Args {
    /// The folder a run wrote
    #[arg(value_hint = ValueHint::DirPath)]
    out: PathBuf,
    /// Print them as JSON
    #[arg(long, conflicts_with = "html")]
    json: bool,
    /// Make the page, report.html, again from report.json
    #[arg(long)]
    html: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Status> {
    let figures = report::read(&args.out)?;
    if args.html {
        output::text(&figures.write_page(&args.out)?.display())?;
    } else {
        output::either(&figures, args.json)?;
    }
    Ok(Status::Done)
}
