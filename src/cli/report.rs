//! `miner report`

use std::path::PathBuf;

use clap::ValueHint;
use triplet_miner::pipeline::{self, Control};
use triplet_miner::remote::Address;
use triplet_miner::report::Silent;

use super::status::Status;
use super::{output, signals};

/// Print the figures of a finished run
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  miner report out/mine\n  miner report out/mine --json | jq .recall\n  miner report out/mine --html\n  miner report s3://bucket/mine"
)]
pub struct Args {
    /// The folder a run wrote, or its URL
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
    if let Some(address) = Address::at(&args.out).filter(|_| args.html) {
        let message =
            format!("{address}: --html writes into a folder, and this is none; the output's own page lies there");
        output::complain(&message, None, Status::Wrong);
        return Ok(Status::Wrong);
    }
    let control = Control { progress: &Silent, brake: signals::watch()? };
    let figures = pipeline::figures(&args.out, &control)?;
    if args.html {
        output::text(&figures.write_page(&args.out)?.display())?;
    } else {
        output::either(&figures, args.json)?;
    }
    Ok(Status::Done)
}
