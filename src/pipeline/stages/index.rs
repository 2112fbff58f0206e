//! The index: which, how it is opened, and how an approximate one is tuned.

use anyhow::Context;

use crate::config::{Plan, ProofError};
use crate::kernel::Metric;
use crate::mine::{self, Quotas, Tuned};
use crate::pipeline::engine::{Engine, Watch};
use crate::pipeline::notes::noted;
use crate::pipeline::program;
use crate::pipeline::scratch::{Kept, Scratch};
use crate::report::Unit;
use crate::search::{self, Cells, Choice, Exact, Hnsw, Index, Search, Tunable};
use crate::store::{Arrays, Prepared, Survey, Surveys};

/// The index of a run, and why it is this one.
pub struct Searcher<'s> {
    pub choice: Choice,
    pub(super) index: Opened<'s>,
    /// What an approximate search was tuned to.
    pub tuned: Option<Tuned>,
}

pub(super) enum Opened<'s> {
    Exact(Box<Exact<'s>>),
    Approximate(Box<dyn Tunable + 's>),
}

impl<'s> Searcher<'s> {
    pub fn search(&self) -> &dyn Search {
        match &self.index {
            Opened::Exact(search) => search.as_ref(),
            Opened::Approximate(search) => search.as_ref(),
        }
    }

    /// The search that looks at every pair.
    pub fn exact(&self) -> &dyn Search {
        match &self.index {
            Opened::Exact(search) => search.as_ref(),
            Opened::Approximate(search) => search.exact(),
        }
    }

    /// An approximate search, to be set.
    pub fn tunable(&mut self) -> Option<&mut (dyn Tunable + 's)> {
        match &mut self.index {
            Opened::Exact(_) => None,
            Opened::Approximate(search) => Some(search.as_mut()),
        }
    }
}

/// The index that a plan and the shape of a store choose.
pub fn choice(plan: &Plan, store: &Prepared) -> Choice {
    search::choose(&plan.search, store.corpus().len() as u64, mine::candidates(store) as u64, store.dims())
}

/// Chooses the index and opens it: cells are trained, graphs built or reloaded where they were kept.
pub fn index<'s>(
    plan: &Plan,
    survey: &Surveys,
    store: &'s Prepared,
    kept: &Kept,
    engine: &Engine,
    watch: &mut Watch,
) -> anyhow::Result<Searcher<'s>> {
    let rows = store.corpus().len() as u64;
    let mut choice = choice(plan, store);
    let unlabelled = plan.mine.negatives.unlabelled;
    watch.stage("index", Some(rows), Unit::Rows, |stage| {
        let index = match choice.index {
            Index::Hnsw => {
                let key = graph_key(plan, survey)?;
                let advance = |rows| stage.advance(rows);
                let graphs = Hnsw::open(store, &plan.search.hnsw, unlabelled, &kept.graphs, &key, &advance)?;
                Opened::Approximate(Box::new(graphs))
            }
            Index::Cells => {
                let cells = plan.search.cells.cells;
                let cells = Cells::open(store, cells, unlabelled, Some(&kept.cells)).context(NO_ROOM)?;
                choice.reason += &format!("; {} cells", cells.cells());
                Opened::Approximate(Box::new(cells))
            }
            Index::Exact | Index::Auto => Opened::Exact(Box::new(exact(store, unlabelled)?)),
        };
        engine.go_on()?;
        let summary = format!("{}: {}", choice.index.name(), choice.reason);
        Ok((Searcher { choice, index, tuned: None }, summary))
    })
}

/// Tunes an approximate index until a sample of anchors shows the recall that the pipeline asks for.
pub fn tune(
    plan: &Plan,
    store: &Prepared,
    quotas: &Quotas,
    index: &mut Searcher,
    scratch: &Scratch,
    watch: &mut Watch,
) -> anyhow::Result<()> {
    let Opened::Approximate(search) = &mut index.index else { return Ok(()) };
    let target = plan.search.target_recall;
    index.tuned = watch.stage("tune", None, Unit::Anchors, |_| {
        let tune = || mine::tune(store, search.as_mut(), &plan.mine, quotas, target);
        let tuned = noted(&scratch.notes(), "tuned", tune)?;
        tuned.apply(search.as_mut());
        let summary = format!("effort {} of {} for a recall of {target}", tuned.effort, search.efforts() - 1);
        Ok((Some(tuned), summary))
    })?;
    Ok(())
}

const NO_ROOM: &str = "cannot write packed rows to the scratch folder";

/// Exact search, whose packed rows go beside the store.
pub fn exact(store: &Prepared, unlabelled: bool) -> anyhow::Result<Exact<'_>> {
    Exact::new(store, unlabelled).context(NO_ROOM)
}

/// Everything that shapes the graphs of a store. Other queries can use them again, but for dot, where distances are counted
/// from the longest vector of all.
pub fn graph_key(plan: &Plan, survey: &Surveys) -> Result<String, ProofError> {
    let longest = survey.queries.as_ref().filter(|_| plan.mine.metric == Metric::Dot);
    let mut texts = vec![&plan.resolved["store"], &plan.resolved["prepare"]];
    texts.extend(longest.map(|_| &plan.resolved["queries"]));
    let environment = plan.environment.proofs(&texts, survey.store.fingerprint())?;
    let arrays = |table: &Survey| -> Vec<String> {
        let sources = table.arrays().map_or(&[][..], Arrays::sources);
        sources.iter().map(|source| source.fingerprint.clone()).collect()
    };
    let longest = longest.map(|queries| (queries.fingerprint(), arrays(queries), &plan.resolved["queries"]));
    let matrix = survey.store.matrix().map(|matrix| &matrix.fingerprint);
    let vectors = (survey.store.fingerprint(), arrays(&survey.store));
    let store = (vectors, &plan.resolved["store"], &plan.resolved["prepare"], matrix);
    let subject = (store, longest, environment, plan.mine.metric, plan.search.hnsw, program::build());
    let text = serde_json::to_vec(&subject).unwrap_or_default();
    Ok(blake3::hash(&text).to_hex().to_string())
}
