//! `miner verify`: the output against the store it was made from.

mod again;
mod figures;
mod moved;
mod refuted;

pub(super) use moved::{hint, inputs};

use std::borrow::Cow;
use std::path::Path;

use super::budget::{Budget, Output, reading_room};
use super::engine::{Control, Engine, Watch};
use super::job::{Job, appraise};
use super::scratch::Kept;
use super::veiled::veil;
use super::{copies, program, stages};
use crate::config::{self, ConfigError, Environment, Moved, Plan, Reads, RestoreError};
use crate::manifest::{self, Asked, Completeness, Layout, Miner, Sealed, Verdict};
use crate::mine::Quotas;
use crate::report::Unit;
use crate::search::Index;
use crate::store::Row;
use again::Searches;

/// Anchors that are mined again.
const SAMPLE: usize = 200;
/// Of an approximate run, other anchors than those it looked at, of which the recall is measured again: so many that a tenth of the
/// rows cannot be missing.
const OTHERS: usize = 500;

/// Checks the output in `out`, a folder or the URL of one in a store: every byte, every row, and a sample of anchors mined again: by brute force, or by the approximate
/// search of the run, whose recall is then measured again. With `full`, every anchor; graphs are built again only then. Inputs are
/// where the manifest names them, unless they have moved. `memory` bounds the anonymous memory, in bytes; without it that is
/// three quarters of the machine's.
///
/// # Errors
/// When there is no manifest, the store cannot be read, or there is too little memory. What is wrong with the output is the verdict,
/// not an error; so is a manifest that contradicts itself, and a store that is not the one of the run.
pub fn verify(
    out: &Path,
    moved: &Moved,
    full: bool,
    memory: Option<u64>,
    control: &Control,
) -> anyhow::Result<Verdict> {
    let engine = Engine::new(0, control)?;
    let output = copies::of_outputs([out], &engine)?;
    match of_folder(&output.local(Reads::Output, out), moved, full, memory, &engine) {
        Ok(verdict) => Ok(veiled(verdict, &output.names())),
        Err(error) => Err(veil(&output.names(), error)),
    }
}

/// The same of an output that is here.
fn of_folder(out: &Path, moved: &Moved, full: bool, memory: Option<u64>, engine: &Engine) -> anyhow::Result<Verdict> {
    let sealed = Sealed::load(out)?;
    let mut plan = match config::restore(&sealed, moved, out) {
        Ok(plan) => plan,
        Err(RestoreError::Environment(error)) => return Err(ConfigError::from(error).into()),
        Err(RestoreError::Pipeline(error)) => return Ok(refuted::pipeline(&sealed, &error)),
    };
    if let Some(verdict) = refuted::roles(&sealed, &plan) {
        return Ok(verdict);
    }
    plan.run.memory = memory;
    let inputs = inputs(&plan, moved, engine)?;
    let plan = inputs.over(&plan);
    let verdict = engine.install(|| {
        let check = Check { out, sealed: &sealed, plan: &plan, full, engine };
        check.run(moved).or_else(|error| refuted::by_error(&sealed, error))
    });
    match verdict {
        Ok(verdict) => Ok(veiled(verdict, &plan.environment)),
        Err(error) => Err(veil(&plan.environment, error)),
    }
}

/// Hides in a verdict what its pipeline's environment hides.
fn veiled(mut verdict: Verdict, environment: &Environment) -> Verdict {
    let texts = verdict.findings.iter_mut().flat_map(|finding| {
        [&mut finding.file, &mut finding.found, &mut finding.expected].into_iter().chain(&mut finding.column)
    });
    for text in texts.chain(&mut verdict.proved).chain(&mut verdict.unchecked) {
        if let Cow::Owned(hidden) = environment.hide(text) {
            *text = hidden;
        }
    }
    verdict
}

/// One output being checked.
struct Check<'a> {
    out: &'a Path,
    sealed: &'a Sealed,
    /// As the manifest tells it, over the inputs where they are now.
    plan: &'a Plan,
    full: bool,
    engine: &'a Engine<'a>,
}

impl Check<'_> {
    /// The verdict; an error may be one, too: see [`refuted::by_error`].
    fn run(&self, moved: &Moved) -> anyhow::Result<Verdict> {
        let Self { out, sealed, plan, full, engine } = *self;
        let survey = match stages::survey(plan, engine) {
            Ok(survey) => survey,
            Err(error) => {
                engine.go_on()?;
                let another = manifest::another(sealed, &stages::identities(plan));
                return another.ok_or_else(|| hint(error, moved, plan));
            }
        };
        let inputs = stages::inputs(plan, &survey);
        if let Some(another) = manifest::another(sealed, &inputs) {
            return Ok(another);
        }
        let job = appraise(plan, &survey, engine)?.job;
        let opens = job.index.is_approximate() && (full || job.index == Index::Cells);
        let extent = extent(sealed, &job, plan.output.layout, full, opens);
        Budget::check_output(&job, &extent, plan.run.memory, out)?;
        let (room, done) = (reading_room(plan, &job), "the store is as it was checked then");
        let (store, folder) = stages::prepare_aside(plan, &survey, room, engine, done)?;
        let quotas = Quotas::new(&store, &plan.mine);
        let mut watch = Watch::new(engine.progress());
        let kept = Kept { cells: folder.path().join("cells"), graphs: folder.path().join("graphs") };
        let (searches, searched) = Searches::open(self, (&survey, &store, &quotas), &kept, opens, &mut watch)?;
        let (store, quotas) = (&store, &quotas);
        watch.stage("check", None, Unit::Anchors, |stage| {
            let (brute, exact, own) = (searches.brute(), searches.exact(), searches.of_the_run());
            let with = |named| move |anchors: &[Row]| self.mine(named, store, quotas, stage, anchors);
            let (by_brute_force, by_exact_search) = (with(brute), with(exact));
            let by_its_own = own.map(|own| (own.0, with(own)));
            let own = by_its_own.as_ref().map(|(name, mine)| Miner { name, mine });
            let brute = Miner { name: brute.0, mine: &by_brute_force };
            let exact = Miner { name: exact.0, mine: &by_exact_search };
            let oracle = if full { exact } else { brute };
            let completeness = Completeness {
                anchors: if full { usize::MAX } else { SAMPLE },
                again: if searched.facts.index.is_approximate() { own } else { Some(oracle) },
                others: if full { usize::MAX } else { OTHERS },
                exact,
                oracle,
            };
            let asked = Asked {
                store,
                mine: &plan.mine,
                quotas,
                output: &plan.output,
                inputs: &inputs,
                searched: &searched,
                completeness,
                program: program::VERSION,
            };
            let mut verdict = manifest::verify(out, sealed, &asked);
            figures::check(out, sealed, &mut verdict);
            engine.go_on()?;
            Ok((verdict, "every row is held against the store".to_owned()))
        })
    }
}

/// What there is to read and to mine again.
fn extent(sealed: &Sealed, job: &Job, layout: Layout, full: bool, opens: bool) -> Output {
    let claimed = sealed.parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.rows));
    // Of a manifest that claims more than can be, none is read.
    let rows = claimed.min(job.pairs_of(job.anchors).saturating_mul(job.slots.saturating_add(1)));
    let some = if job.index.is_approximate() { 2 * manifest::ANCHORS_AT_A_TIME } else { SAMPLE };
    let anchors = if full { job.anchors } else { job.anchors.min(some as u64) };
    let mined = job.pairs_of(anchors).saturating_mul(job.candidates);
    // Of an honest output there are no more, but where balance or layout left some out.
    let chosen = job.balance.selects() || sealed.rows.triplets < rows;
    let again = if full && !chosen { mined.min(sealed.rows.triplets) } else { mined };
    let members = match layout {
        Layout::Triplet => 2,
        Layout::NTuple | Layout::LabeledList => job.slots + 1,
        Layout::Pair | Layout::LabeledPair | Layout::Candidates => 1,
    };
    Output { rows, members, again, opens }
}
