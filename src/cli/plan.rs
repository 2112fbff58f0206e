//! `miner plan`

use serde::Serialize;
use triplet_miner::mine::{AtMargin, Calibration, Fullness, WithGuard};
use triplet_miner::pipeline::{self, Control, Explanation};
use triplet_miner::report::Silent;
use triplet_miner::store::ScoredPairs;
use triplet_miner::words::{counted, percent_of, thousands};

use super::output::{self, table};
use super::pipeline_file::{PipelineFile, RunFlags};
use super::signals;
use super::status::Status;

/// Check a pipeline against its data, and say what a run will do and take; write nothing
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  miner plan mine.toml\n  miner plan mine.toml --set search.index=hnsw --json")]
pub struct Args {
    #[command(flatten)]
    pipeline: PipelineFile,
    #[command(flatten)]
    run: RunFlags,
    /// Also read the vectors, and show how full each band would be for a range of margins and guards
    #[arg(long)]
    calibrate: bool,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<Status> {
    let mut plan = args.pipeline.load()?;
    args.run.apply(&mut plan.run);
    let control = Control { progress: &Silent, brake: signals::watch()? };
    let (plan, _copies) = pipeline::over_copies(&plan, &control)?;
    let explanation = pipeline::explain(&plan, &control)?;
    let calibration = args.calibrate.then(|| pipeline::calibrate(&plan, &control)).transpose()?;
    match (args.json, &calibration) {
        (true, _) => output::json(&Calibrated { explanation: &explanation, calibration: calibration.as_ref() })?,
        (false, None) => output::text(&explanation)?,
        (false, Some(calibration)) => output::text(&format!("{explanation}\n\n{}", tables(calibration)))?,
    }
    Ok(Status::Done)
}

#[derive(Serialize)]
struct Calibrated<'a> {
    #[serde(flatten)]
    explanation: &'a Explanation,
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration: Option<&'a Calibration>,
}

fn tables(calibration: &Calibration) -> String {
    let Calibration { anchors, pairs, scored, margins, guards } = calibration;
    let share = |fullness: &Fullness| percent_of(fullness.filled);
    let mut bands = table(&["margin", "hard", "median", "semi-hard", "median", "easy", "median"]);
    for AtMargin { margin, bands: of } in margins {
        let cells = of.iter().flat_map(|(_, fullness)| [share(fullness), thousands(fullness.median)]);
        bands.add_row(std::iter::once(short(*margin)).chain(cells));
    }
    let mut behind = table(&["guard", "value", "filled", "median"]);
    for WithGuard { guard, value, fullness } in guards {
        behind.add_row([guard.name().to_owned(), short(*value), share(fullness), thousands(fullness.median)]);
    }
    let (anchors, pairs) = (counted(*anchors as u64, "anchor"), counted(*pairs as u64, "pair"));
    let sample =
        format!("On a sample of {anchors} and {pairs}: slots that would be filled, and candidates of the median pair");
    let scored = match scored {
        Some(ScoredPairs { pairs, scored }) => {
            format!("\nthere is a score for the positives of {scored} of {}", counted(*pairs, "pair"))
        }
        None => String::new(),
    };
    format!(
        "{sample}{scored}\n\nwithout guards, by margin\n{}\n\nin the bands asked for, with one guard alone\n{}",
        bands.trim_fmt(),
        behind.trim_fmt()
    )
}

/// Without the noise of binary fractions.
pub fn short(value: f64) -> String {
    ((value * 1e6).round() / 1e6).to_string()
}
