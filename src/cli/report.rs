//! `miner report`

use std::path::PathBuf;

use clap::ValueHint;
use triplet_miner::pipeline::{self, Control};
use triplet_miner::remote::Address;
use triplet_miner::report::{Silent, Summary};

use super::status::{self, Status};
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
    let address = Address::at(&args.out);
    if let (Some(address), true) = (&address, args.html) {
        let message = "--html writes into a folder, and this is none; the output's own page lies there";
        return Err(status::wrong(format!("{address}: {message}")));
    }
    let control = Control { progress: &Silent, brake: signals::watch()? };
    let figures = pipeline::figures(&args.out, &control)?;
    if args.html {
        output::text(&figures.write_page(&args.out)?.display())?;
    } else {
        // Where it lies now: it may have moved since it was mined.
        let output = address.map_or_else(|| args.out.clone(), |address| address.to_string().into());
        output::either(&Summary { output, ..figures }, args.json)?;
    }
    Ok(Status::Done)
}
