//! Mining, and what is measured beside it on samples of anchors.

use std::sync::atomic::{AtomicU64, Ordering};

use super::index::{Opened, Searcher};
use crate::config::Plan;
use crate::manifest::Harvests;
use crate::mine::{self, Audit, Quotas, Recall, Tally};
use crate::pipeline::budget::Budget;
use crate::pipeline::crew::Crew;
use crate::pipeline::engine::Watch;
use crate::pipeline::job::Job;
use crate::pipeline::notes::noted;
use crate::pipeline::partitions::Partitions;
use crate::pipeline::scratch::Scratch;
use crate::report::Unit;
use crate::store::Prepared;
use crate::words::thousands;

/// Lets the crew mine every partition that is not committed yet.
pub fn mine(
    plan: &Plan,
    store: &Prepared,
    quotas: &Quotas,
    index: &Searcher,
    scratch: &Scratch,
    crew: &Crew,
    watch: &mut Watch,
) -> anyhow::Result<Harvests> {
    let (harvests, executors) = watch.stage("mine", Some(store.anchors().len() as u64), Unit::Anchors, |stage| {
        let partitions = Partitions::new(store, index.search(), &plan.mine, quotas, scratch.partitions());
        let triplets = AtomicU64::new(0);
        let done = |ordinal: u32, tally: &Tally| {
            triplets.fetch_add(tally.filled(), Ordering::Relaxed);
            stage.advance(partitions.anchors(ordinal).len() as u64);
        };
        let pending = partitions.pending(&done)?;
        let executors = crew.mine(&pending, &partitions, &done)?;
        let summary = format!("{} triplets", thousands(triplets.into_inner()));
        Ok(((partitions.into_harvests(), executors), summary))
    })?;
    watch.credit(executors);
    Ok(harvests)
}

/// The recall of an approximate search, against the exact one on a sample of anchors.
pub fn measure(
    plan: &Plan,
    store: &Prepared,
    quotas: &Quotas,
    index: &Searcher,
    scratch: &Scratch,
    watch: &mut Watch,
) -> anyhow::Result<Option<Recall>> {
    let Opened::Approximate(search) = &index.index else { return Ok(None) };
    watch.stage("recall", None, Unit::Anchors, |_| {
        let measure = || mine::measure(store, search.as_ref(), search.exact(), &plan.mine, quotas);
        let recall = noted(&scratch.notes(), "recall", measure)?;
        let summary = match &recall {
            None => "exact search finds nothing either".into(),
            Some(Recall { sample, overall, .. }) => {
                let missed = if overall.estimate < plan.search.target_recall { "; the target was missed" } else { "" };
                let (low, high) = (overall.low, overall.high);
                format!(
                    "{:.3} (95 %: {low:.3} … {high:.3}) on {} anchors{missed}",
                    overall.estimate,
                    thousands(u64::from(*sample))
                )
            }
        };
        Ok((recall, summary))
    })
}

/// What each guard takes away, on a sample of anchors.
pub fn audit(
    plan: &Plan,
    job: &Job,
    store: &Prepared,
    quotas: &Quotas,
    scratch: &Scratch,
    watch: &mut Watch,
) -> anyhow::Result<Option<Audit>> {
    if plan.mine.negatives.guards.set().next().is_none() {
        return Ok(None);
    }
    watch.stage("guards", None, Unit::Anchors, |_| {
        let together = Budget::of(job).measured_together(job);
        let audit = noted(&scratch.notes(), "guards", || mine::audit(store, &plan.mine, quotas, together))?;
        let summary = audit.as_ref().map_or_else(String::new, |audit| format!("a sample of {} anchors", audit.anchors));
        Ok((audit, summary))
    })
}
