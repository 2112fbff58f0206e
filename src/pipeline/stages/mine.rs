//! Mining, and what is measured beside it on samples of anchors.

use rayon::prelude::*;

use super::index::{Opened, Searcher};
use crate::config::Plan;
use crate::manifest::Harvests;
use crate::mine::{self, Audit, Quotas, Recall};
use crate::pipeline::engine::{Engine, Watch};
use crate::pipeline::notes::noted;
use crate::pipeline::scratch::Scratch;
use crate::report::Unit;
use crate::store::Prepared;
use crate::words::thousands;

/// Mines every partition that is not committed yet, in parallel.
pub fn mine(
    plan: &Plan,
    store: &Prepared,
    quotas: &Quotas,
    index: &Searcher,
    scratch: &Scratch,
    engine: &Engine,
    watch: &mut Watch,
) -> anyhow::Result<Harvests> {
    watch.stage("mine", Some(store.anchors().len() as u64), Unit::Anchors, |stage| {
        let partitions = mine::partitions(store.anchors());
        let harvests = Harvests::new(scratch.partitions(), partitions.len() as u32, store.rows());
        let triplets: u64 = partitions
            .par_iter()
            .enumerate()
            .map(|(ordinal, anchors)| -> anyhow::Result<u64> {
                engine.go_on()?;
                let ordinal = ordinal as u32;
                let found = if harvests.is_committed(ordinal) {
                    harvests.tally(ordinal)?.filled()
                } else {
                    let harvest = mine::mine(anchors, store, index.search(), &plan.mine, quotas);
                    harvests.commit(ordinal, &harvest)?;
                    harvest.tally.filled()
                };
                stage.advance(anchors.len() as u64);
                Ok(found)
            })
            .sum::<anyhow::Result<u64>>()?;
        Ok((harvests, format!("{} triplets", thousands(triplets))))
    })
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
    store: &Prepared,
    quotas: &Quotas,
    scratch: &Scratch,
    watch: &mut Watch,
) -> anyhow::Result<Option<Audit>> {
    if plan.mine.negatives.guards.set().next().is_none() {
        return Ok(None);
    }
    watch.stage("guards", None, Unit::Anchors, |_| {
        let audit = noted(&scratch.notes(), "guards", || mine::audit(store, &plan.mine, quotas))?;
        let summary = audit.as_ref().map_or_else(String::new, |audit| format!("a sample of {} anchors", audit.anchors));
        Ok((audit, summary))
    })
}
