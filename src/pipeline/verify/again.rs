//! The searches that anchors are mined again with.

use rayon::prelude::*;

use super::Check;
use crate::manifest::Searched;
use crate::mine::{self, Harvest, Quotas};
use crate::pipeline::brake::Interrupted;
use crate::pipeline::engine::Watch;
use crate::pipeline::scratch::Kept;
use crate::pipeline::stages::{self, Searcher};
use crate::report::{Stage, Unit};
use crate::search::{Brute, Exact, Search};
use crate::store::{Prepared, Row, Surveys};

/// Anchors that are mined together: by brute force, and by any other search, which has the more of it the more there are.
const BY_BRUTE_FORCE: [usize; 2] = [8, 8];
const BY_SEARCH: [usize; 2] = [128, 1_024];

/// Those that a check needs.
pub(super) struct Searches<'s> {
    brute: Brute<'s>,
    exact: Option<Exact<'s>>,
    /// The approximate one of the run.
    opened: Option<Searcher<'s>>,
    /// Whether that is set as the manifest says; it may say what cannot be.
    set: bool,
}

/// A search with its name, and the anchors that it is asked about together, at least and at most.
pub(super) type Named<'a> = (&'static str, &'a dyn Search, [usize; 2]);

impl<'s> Searches<'s> {
    /// Opens the search of the run again where `opens` says so: cells are trained, graphs built. With `full` it is tuned again, too;
    /// then it is set to what the manifest says it was tuned to. Gives also what the manifest should say of it.
    pub(super) fn open(
        check: &Check<'_>,
        (survey, store, quotas): (&Surveys, &'s Prepared, &Quotas),
        kept: &Kept,
        opens: bool,
        watch: &mut Watch,
    ) -> anyhow::Result<(Self, Searched)> {
        let Check { sealed, plan, full, engine, .. } = *check;
        let mut opened = match opens {
            true => Some(stages::index(plan, survey, store, kept, engine, watch)?),
            false => None,
        };
        let choice = opened.as_ref().map_or_else(|| stages::choice(plan, store), |opened| opened.choice.clone());
        let (facts, target_recall) =
            (stages::search_facts(plan, store, &choice, None, None), plan.search.target_recall);
        let mut searched = Searched { facts, target_recall, efforts: None, tuned: None };
        let mut set = false;
        if let Some(search) = opened.as_mut().and_then(Searcher::tunable) {
            if full {
                searched.tuned = Some(watch.stage("tune", None, Unit::Anchors, |_| {
                    let tuned = mine::tune(store, search, &plan.mine, quotas, target_recall);
                    Ok((tuned, format!("effort {} for a recall of {target_recall}", tuned.effort)))
                })?);
            }
            let efforts = search.efforts();
            searched.efforts = Some(efforts);
            if let Some(told) = sealed.search.tuned().filter(|told| told.effort < efforts) {
                told.apply(search);
                set = true;
            }
        }
        let exact = match opened.is_none() && (full || choice.index.is_approximate()) {
            true => Some(stages::exact(store, plan.mine.negatives.unlabelled)?),
            false => None,
        };
        Ok((Self { brute: Brute::new(store), exact, opened, set }, searched))
    }

    pub(super) fn brute(&self) -> Named<'_> {
        ("by brute force", &self.brute, BY_BRUTE_FORCE)
    }

    /// Every pair, as fast as may be.
    pub(super) fn exact(&self) -> Named<'_> {
        let name = "by exact search";
        match (&self.opened, &self.exact) {
            (Some(opened), _) => (name, opened.exact(), BY_SEARCH),
            (None, Some(exact)) => (name, exact, BY_SEARCH),
            (None, None) => self.brute(),
        }
    }

    /// The approximate one of the run, where it is open and set.
    pub(super) fn of_the_run(&self) -> Option<Named<'_>> {
        let opened = self.opened.as_ref().filter(|_| self.set)?;
        Some(("by the search of the run", opened.search(), BY_SEARCH))
    }
}

impl Check<'_> {
    /// Mines anchors with a search, in parallel and in order.
    pub(super) fn mine(
        &self,
        (_, search, [least, most]): Named<'_>,
        store: &Prepared,
        quotas: &Quotas,
        stage: &dyn Stage,
        anchors: &[Row],
    ) -> Result<Harvest, String> {
        let chunk = (anchors.len() / 64).clamp(least, most);
        let parts: Result<Vec<Harvest>, Interrupted> = anchors
            .par_chunks(chunk)
            .map(|anchors| {
                self.engine.go_on()?;
                let harvest = mine::mine(anchors, store, search, &self.plan.mine, quotas);
                stage.advance(anchors.len() as u64);
                Ok(harvest)
            })
            .collect();
        let mut joined = Harvest::default();
        for part in parts.map_err(|interrupted| interrupted.to_string())? {
            joined.triplets.extend(part.triplets);
            joined.unmined.extend(part.unmined);
            joined.suspects.extend(part.suspects);
        }
        Ok(joined)
    }
}
