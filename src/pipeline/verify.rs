//! `miner verify`: the output against the store it was made from.

use std::borrow::Cow;
use std::path::Path;

use rayon::prelude::*;

use super::brake::Interrupted;
use super::budget::{Budget, Output};
use super::engine::{Control, Engine};
use super::job::{Job, appraise};
use super::stages;
use super::veiled::veil;
use crate::config::{self, ConfigError, Environment, KeyError, Moved, Plan, RestoreError};
use crate::manifest::{self, Asked, Checked, Completeness, Finding, Layout, Sealed, Verdict};
use crate::mine::{self, Harvest, Quotas};
use crate::search::{Brute, Index, Search};
use crate::store::{ListError, Row, Section, SurveyError};

/// Anchors that are mined again by brute force.
const SAMPLE: usize = 200;

/// Checks the output in `out`: every byte, every row, and (of an exact run) a sample of anchors mined again by brute
/// force; with `full`, every anchor. Inputs are where the manifest names them, unless they have moved. `memory` bounds the anonymous
/// memory, in bytes; without it that is three quarters of the machine's.
///
/// # Errors
/// When there is no manifest, the store cannot be read, or there is too little memory. What is wrong with the output is the verdict, not an error.
pub fn verify(
    out: &Path,
    moved: &Moved,
    full: bool,
    memory: Option<u64>,
    control: &Control,
) -> anyhow::Result<Verdict> {
    let sealed = Sealed::load(out)?;
    let mut plan = match config::restore(&sealed, moved, out) {
        Ok(plan) => plan,
        Err(RestoreError::Environment(error)) => return Err(ConfigError::from(error).into()),
        Err(RestoreError::Pipeline(error)) => return Ok(refuted(*error)),
    };
    plan.run.memory = memory;
    let engine = Engine::new(0, control)?;
    let verdict = engine.install(|| {
        let survey = stages::survey(&plan, &engine).map_err(|error| hint(error, moved, &plan))?;
        let job = appraise(&plan, &survey, &engine)?.job;
        Budget::check_output(&job, &extent(&sealed, &job, plan.output.layout, full), memory, out)?;
        let (prepared, _folder) =
            stages::prepare_aside(&plan, &survey, &engine, "the store is as it was checked then")?;
        let quotas = Quotas::new(&prepared, &plan.mine);
        let unlabelled = plan.mine.negatives.unlabelled;
        let search: Box<dyn Search> =
            if full { Box::new(stages::exact(&prepared, unlabelled)?) } else { Box::new(Brute::new(&prepared)) };
        let again = |anchors: &[Row]| -> Result<Harvest, String> {
            let mut harvest = Harvest::default();
            let parts: Vec<Harvest> = anchors
                .par_chunks(if full { 1_024 } else { 8 })
                .map(|anchors| {
                    engine.go_on()?;
                    Ok(mine::mine(anchors, &prepared, search.as_ref(), &plan.mine, &quotas))
                })
                .collect::<Result<_, Interrupted>>()
                .map_err(|interrupted| interrupted.to_string())?;
            for part in parts {
                harvest.triplets.extend(part.triplets);
                harvest.unmined.extend(part.unmined);
            }
            Ok(harvest)
        };
        // An approximate run may miss rows, so its yield cannot be held to be complete.
        let completeness = (sealed.search.index == Index::Exact)
            .then_some(Completeness { anchors: if full { usize::MAX } else { SAMPLE }, mine: &again });
        let asked = Asked {
            store: &prepared,
            mine: &plan.mine,
            quotas: &quotas,
            output: &plan.output,
            inputs: &stages::inputs(&plan, &survey),
            completeness,
        };
        let verdict = manifest::verify(out, &sealed, &asked);
        engine.go_on()?;
        Ok(verdict)
    });
    match verdict {
        Ok(verdict) => Ok(veiled(verdict, &plan.environment)),
        Err(error) => Err(veil(&plan.environment, error)),
    }
}

/// What there is to read and to mine again.
fn extent(sealed: &Sealed, job: &Job, layout: Layout, full: bool) -> Output {
    let claimed = sealed.parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.rows));
    // Of a manifest that claims more than can be, none is read.
    let rows = claimed.min(job.pairs_of(job.anchors).saturating_mul(job.slots.saturating_add(1)));
    let anchors = if full { job.anchors } else { job.anchors.min(SAMPLE as u64) };
    let mined = job.pairs_of(anchors).saturating_mul(job.candidates);
    // Of an honest output there are no more, but where balance or layout left some out.
    let chosen = job.balance.selects() || sealed.rows.triplets < rows;
    let again = if full && !chosen { mined.min(sealed.rows.triplets) } else { mined };
    let members = match layout {
        Layout::Triplet => 2,
        Layout::NTuple | Layout::LabeledList => job.slots + 1,
        Layout::Pair | Layout::LabeledPair | Layout::Candidates => 1,
    };
    Output { rows, members, again }
}

/// Says how to name the place of an input that is not where the manifest says it was.
fn hint(error: anyhow::Error, moved: &Moved, plan: &Plan) -> anyhow::Error {
    let missing = match error.downcast_ref() {
        Some(SurveyError::List(ListError::Missing { path } | ListError::NoMatch { path })) => Some(path.clone()),
        _ => None,
    };
    match plan.places().inputs().find(|(section, path)| moved.to(*section).is_none() && missing.as_ref() == Some(*path))
    {
        None => error,
        Some((section, _)) => {
            let (name, verb) = (section.name(), if section == Section::Store { "is" } else { "are" });
            error.context(format!(
                "the {name} {verb} not where the manifest says; if moved, name the place with --{name} PATH"
            ))
        }
    }
}

/// Of a pipeline that is none.
fn refuted(KeyError { key, message, .. }: KeyError) -> Verdict {
    let (file, expected) = (manifest::MANIFEST.to_owned(), "a pipeline that this version writes".to_owned());
    Verdict {
        findings: vec![Finding { file, row: None, column: Some(key), found: message, expected }],
        total: 1,
        checked: Checked::default(),
        unchecked: vec!["anything else: nobody can tell what was asked".to_owned()],
    }
}

/// Hides in a verdict what its pipeline's environment hides.
fn veiled(mut verdict: Verdict, environment: &Environment) -> Verdict {
    let texts = verdict.findings.iter_mut().flat_map(|finding| {
        [&mut finding.file, &mut finding.found, &mut finding.expected].into_iter().chain(&mut finding.column)
    });
    for text in texts.chain(&mut verdict.unchecked) {
        if let Cow::Owned(hidden) = environment.hide(text) {
            *text = hidden;
        }
    }
    verdict
}
