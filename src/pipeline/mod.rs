//! Floor 6. *What happens, in which order?* The job, stage by stage.

mod brake;
mod budget;
mod calibrate;
#[cfg_attr(not(feature = "cluster"), path = "alone.rs")]
mod cluster;
mod copies;
mod crew;
mod diff;
mod engine;
mod estimate;
mod explain;
mod figures;
mod job;
mod labels;
mod lock;
mod machine;
mod notes;
mod partitions;
mod program;
mod roster;
mod scratch;
mod stages;
mod upload;
mod veiled;
mod verify;

pub use crate::config::Moved;
pub use brake::{Brake, Interrupted};
pub use budget::TooLittleMemory;
pub use calibrate::calibrate;
#[cfg(feature = "cluster")]
pub use cluster::{ClusterError, ExecutorOptions, SchedulerOptions, TlsError, serve_executor, serve_scheduler};
pub use copies::{Copies, CopyError, copies_for_a_look, over_copies};
pub use crew::NoWorkFolder;
pub use diff::diff;
pub use engine::Control;
pub use explain::{Explanation, explain};
pub use figures::figures;
pub use job::TooFewClasses;
pub use labels::SeveralLabels;
pub use lock::{Holder, LockError};
pub use roster::{AtSlots, Executor, Roster};
pub use scratch::{Leftovers, Scratch, ScratchError};
pub use upload::UploadError;
pub use veiled::Veiled;
pub use verify::verify;

use std::path::PathBuf;

use crate::config::Plan;
use crate::manifest::{self, Destination, Material};
use crate::mine::Quotas;
use crate::report::Summary;
use budget::{Budget, reading_room};
use copies::Listed;
use crew::Commission;
use engine::{Engine, Watch};
use estimate::estimate;
use job::{Appraisal, appraise};
use stages::Origin;
use veiled::{Discreet, veil};

/// What a run came to.
pub struct Outcome {
    /// The sealed output, or what a message may call it where it lies in a store.
    pub path: PathBuf,
    /// The output was already complete and current: nothing was done.
    pub already: bool,
    /// The output is complete, but its scratch could not be removed.
    pub littered: Option<ScratchError>,
    /// The figures of the run that made it; absent only where its report was deleted since.
    pub summary: Option<Summary>,
}

/// Runs a pipeline: Parquet → prepared store → search → triplets → sealed output.
///
/// Does nothing when the output is already there, made from the same inputs by the same pipeline and program version;
/// goes on where an interrupted run of the same stopped.
///
/// # Errors
/// Inputs that cannot be read, are refused or change meanwhile, an output that must not be replaced, another run that is at work
/// on it, a full disk, an interruption. The output folder is then as it was. An error that would quote the value of an environment
/// variable is [`Veiled`].
pub fn run(plan: &Plan, control: &Control) -> anyhow::Result<Outcome> {
    let discreet = Discreet::new(control.progress, &plan.environment);
    let control = &Control { progress: &discreet, brake: control.brake };
    crew::check_work(plan).map_err(|error| veil(&plan.environment, error.into()))?;
    cluster::check(plan).map_err(|error| veil(&plan.environment, error))?;
    let engine = Engine::new(plan.run.threads, control)?;
    cluster::reach(plan, &engine).map_err(|error| veil(&plan.environment, error))?;
    let mut watch = Watch::new(engine.progress());
    let copies = match fetch(plan, &engine, &mut watch).map_err(|error| veil(&plan.environment, error))? {
        Fetched::Copies(copies) => copies,
        Fetched::Needless(outcome) => return Ok(*outcome),
    };
    let plan = &copies.over(plan);
    let outcome = engine.install(|| {
        let survey = stages::survey(plan, &engine)?;
        let inputs = stages::inputs_of(plan, &survey, &copies);
        let environment = plan.environment.proofs(&[&plan.resolved], survey.store.fingerprint())?;
        let fingerprint = manifest::fingerprint(&inputs, &plan.resolved, &environment, program::VERSION);
        if let Some(outcome) = already(plan, &fingerprint, &engine, || copies.remove())? {
            return Ok(outcome);
        }

        let Appraisal { job, census, .. } = appraise(plan, &survey, &engine)?;
        job.check_batches(plan)?;
        job.check_files(plan)?;
        Budget::of(&job).check(plan, job.threads)?;
        let slots = cluster::look(plan).map(|roster| roster.slots());
        let estimates = estimate(plan, &job, slots);
        let scratch = stages::scratch(plan, &fingerprint, &engine)?;
        let lease = cluster::begin(plan, &scratch, &stages::scratch_key(&fingerprint), &engine)?;
        let store = stages::prepare(plan, &survey, reading_room(plan, &job), &scratch, &engine, &mut watch)?;
        let (store, learned) = stages::fit(plan, &survey, store, &scratch, &engine, &mut watch)?;
        let lent = lease.as_ref();
        let commission =
            Commission { plan, survey: &survey, job: &job, fingerprint: &fingerprint, scratch: &scratch, lease: lent };
        cluster::build_index(&commission, &store, &engine, &mut watch)?;
        let mut index = stages::index(plan, &survey, &store, &scratch.kept(), &engine, &mut watch)?;
        let quotas = Quotas::new(&store, &plan.mine);
        stages::tune(plan, &store, &quotas, &mut index, &scratch, &mut watch)?;
        let crew = cluster::crew(&commission, &index, &engine)?;
        let harvests = stages::mine(plan, &store, &quotas, &index, &scratch, &crew, &mut watch)?;
        let recall = stages::measure(plan, &store, &quotas, &index, &scratch, &mut watch)?;
        let audit = stages::audit(plan, &job, &store, &quotas, &scratch, &mut watch)?;
        let facts = stages::facts(plan, &store, Origin { inputs, environment, fingerprint }, &index, recall);
        let session = stages::sorter(plan, &job, &scratch)?;
        let (mine, output) = (&plan.mine, &plan.output);
        let material =
            Material { store: &store, harvests: &harvests, mine, quotas: &quotas, output, session: &session };
        let draft = stages::write(&material, facts, &scratch, &engine, &mut watch)?;
        survey.check_unchanged(plan.sources())?;
        stages::upload(plan, &draft, &scratch, &engine, &mut watch)?;
        let observed = stages::Observed {
            estimates,
            learned,
            audit,
            look_alikes: census.look_alikes,
            excluded: store.exclusions(),
        };
        let summary = Some(stages::seal(plan, draft, &scratch, &engine, watch, observed)?);
        let swept = copies.remove().and_then(|()| scratch.remove());
        let littered = swept.and_then(|()| cluster::end(plan, &engine, lease)).err();
        Ok(Outcome { path: plan.target.path(), already: false, littered, summary })
    });
    outcome.map_err(|error| veil(&plan.environment, error))
}

enum Fetched {
    Copies(Copies),
    /// Nothing is to be done.
    Needless(Box<Outcome>),
}

/// Copies inputs that lie in stores to this machine. Where their listings tell that the output is current, nothing is fetched.
fn fetch(plan: &Plan, engine: &Engine, watch: &mut Watch) -> anyhow::Result<Fetched> {
    let listed = Listed::of(plan, engine)?;
    // A store that the output cannot go to is told of here, before anything is fetched.
    if !listed.is_empty()
        && let Some(sealed) = stages::sealed_there(plan, engine)?
        && let Some(fingerprint) = stages::listed_fingerprint(plan, &listed, &sealed)?
        && let Some(outcome) = already(plan, &fingerprint, engine, || copies::sweep(plan))?
    {
        return Ok(Fetched::Needless(Box::new(outcome)));
    }
    Ok(Fetched::Copies(listed.into_scratch(plan, engine, watch)?))
}

/// The output of the run with this fingerprint, where it is complete; copies of its inputs are of no more use then.
///
/// # Errors
/// An output in its place that must not be replaced; a store that refuses or does not answer.
fn already(
    plan: &Plan,
    fingerprint: &str,
    engine: &Engine,
    remove_copies: impl FnOnce() -> Result<(), ScratchError>,
) -> anyhow::Result<Option<Outcome>> {
    if stages::destination(plan, fingerprint, engine)? != Destination::Current {
        return Ok(None);
    }
    let sweep = || Scratch::sweep(plan, || stages::scratch_key(fingerprint));
    let littered = remove_copies().and_then(|()| sweep()).and_then(|()| cluster::end(plan, engine, None)).err();
    let summary = stages::figures_there(plan, engine);
    Ok(Some(Outcome { summary, already: true, littered, path: plan.target.path() }))
}
