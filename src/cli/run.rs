//! `miner run`

use console::{Term, user_attended};
use serde::Serialize;
use triplet_miner::pipeline::{self, Control, Outcome};
use triplet_miner::report::Summary;
use triplet_miner::words::visible;

use super::log::LogFlag;
use super::pipeline_file::{PipelineFile, RunFlags};
use super::status::Status;
use super::{output, progress, recap, signals};

/// Mine: read, search, write the triplets and seal them
///
/// Goes on where an interrupted run of the same pipeline stopped. Does nothing when the output is already complete and
/// current.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    pub pipeline: PipelineFile,
    /// Replace an older output of the miner at the same place
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    run: RunFlags,
    /// Begin anew: remove what an interrupted run left, instead of going on from it
    #[arg(long)]
    fresh: bool,
    /// Show no progress, only the result
    #[arg(long, short)]
    quiet: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub log: LogFlag,
}

const EXAMPLES: &str = "\
Examples:
  miner run mine.toml
  miner run mine.toml --set mine.margin=0.3 --set 'mine.bands={ hard = 1, semi-hard = 2 }' --overwrite
  miner run mine.toml --quiet --json | jq .triplets
  miner run mine.toml --log json 2> run.log            an object a line: stage, done, total, rate, eta_s";

pub fn run(args: &Args) -> anyhow::Result<Status> {
    let mut plan = args.pipeline.load()?;
    plan.overwrite |= args.overwrite;
    args.run.apply(&mut plan.run);
    plan.run.fresh = args.fresh;

    let progress = progress::choose(args.quiet, args.log.log);
    let control = Control { progress: progress.as_ref(), brake: signals::watch()? };
    let Outcome { path, already, littered, summary } = pipeline::run(&plan, &control)?;
    if let Some(error) = littered {
        let warning = format!("the output is complete, but its scratch folder is left: {error}");
        output::warn(&plan.environment.hide(&warning));
    }

    if args.json {
        output::json(&Report { already, summary: summary.as_ref() })?;
        return Ok(Status::Done);
    }
    if let Some(summary) = summary.as_ref().filter(|_| user_attended()) {
        let columns = usize::from(Term::stdout().size().1);
        // Its words are visible already, and its colours would not survive being made so.
        return output::bytes(recap::recap(summary, &args.pipeline.file, already, columns).as_bytes())
            .map(|()| Status::Done);
    }
    let figures = summary.map(|summary| summary.to_string()).unwrap_or_default();
    if already {
        let path = path.display().to_string();
        let path = visible(plan.environment.hide(&path));
        output::text(&format!("{path} is already complete and current: nothing was done.\n\n{figures}"))?;
    } else {
        output::text(&figures)?;
    }
    Ok(Status::Done)
}

/// The figures of the run that made the output, which is an earlier one where nothing was left to do.
#[derive(Serialize)]
struct Report<'a> {
    already: bool,
    #[serde(flatten)]
    summary: Option<&'a Summary>,
}
