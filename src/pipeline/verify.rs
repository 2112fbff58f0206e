//! `miner verify`: the output against the store it was made from.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::brake::Interrupted;
use super::budget::{Budget, Output};
use super::engine::{Control, Engine};
use super::job::{Job, appraise};
use super::stages;
use crate::config::{self, Places, Plan};
use crate::manifest::{self, Asked, Completeness, Layout, Sealed, Verdict};
use crate::mine::{self, Harvest, Quotas};
use crate::search::{Brute, Index, Search};
use crate::store::{ListError, Row, Section, SurveyError, Transform};

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
    let mut plan = config::restore(&sealed.pipeline, &moved.places(&sealed, out), out)?;
    if let Transform::Matrix(path) = &mut plan.store.fitting.transform {
        let input = sealed.inputs.iter().find(|input| input.role == stages::TRANSFORM);
        *path = out.join(input.map_or("", |input| input.path.as_str()));
    }
    plan.run.memory = memory;
    let engine = Engine::new(0, control)?;
    engine.install(|| {
        let survey = stages::survey(&plan, &engine).map_err(|error| moved.hint(error, &plan))?;
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
    })
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

/// Where inputs are now that have moved since the run.
#[derive(Debug, Clone, Default)]
pub struct Moved {
    pub store: Option<PathBuf>,
    pub queries: Option<PathBuf>,
    pub pairs: Option<PathBuf>,
    pub scores: Option<PathBuf>,
}

impl Moved {
    /// Says how to name the place of an input that is not where the manifest says it was.
    fn hint(&self, error: anyhow::Error, plan: &Plan) -> anyhow::Error {
        let missing = match error.downcast_ref() {
            Some(SurveyError::List(ListError::Missing { path } | ListError::NoMatch { path })) => Some(path.clone()),
            _ => None,
        };
        let told = |section| match section {
            Section::Store => self.store.is_some(),
            Section::Queries => self.queries.is_some(),
            Section::Pairs => self.pairs.is_some(),
            Section::Scores => self.scores.is_some(),
        };
        match plan.places().inputs().find(|(section, path)| !told(*section) && missing.as_ref() == Some(*path)) {
            None => error,
            Some((section, _)) => {
                let (name, verb) = (section.name(), if section == Section::Store { "is" } else { "are" });
                error.context(format!(
                    "the {name} {verb} not where the manifest says; if moved, name the place with --{name} PATH"
                ))
            }
        }
    }

    /// Where every input is: the manifest names it as seen from the output, unless absolute.
    fn places(&self, sealed: &Sealed, out: &Path) -> Places {
        let named = |section: Section| {
            let input = sealed.inputs.iter().find(|input| input.role == section.name());
            input.map(|input| out.join(&input.path))
        };
        Places {
            store: self.store.clone().or_else(|| named(Section::Store)).unwrap_or_default(),
            queries: self.queries.clone().or_else(|| named(Section::Queries)),
            pairs: self.pairs.clone().or_else(|| named(Section::Pairs)),
            scores: self.scores.clone().or_else(|| named(Section::Scores)),
        }
    }
}
