//! `miner verify`: the output against the store it was made from.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::engine::{Control, Engine};
use super::stages;
use crate::config::{self, Places};
use crate::manifest::{self, Asked, Completeness, Sealed, Verdict};
use crate::mine::{self, Harvest, Quotas};
use crate::search::{Brute, Index, Search};
use crate::store::{self, Row, Section, Transform};

/// Anchors that are mined again by brute force.
const SAMPLE: usize = 200;

/// Checks the output in `out`: every byte, every row, and (of an exact run) a sample of anchors mined again by brute
/// force; with `full`, every anchor. Inputs are where the manifest names them, unless they have moved.
///
/// # Errors
/// When there is no manifest, or the store cannot be read. What is wrong with the output is the verdict, not an error.
pub fn verify(out: &Path, moved: &Moved, full: bool, control: &Control) -> anyhow::Result<Verdict> {
    let sealed = Sealed::load(out)?;
    let mut plan = config::restore(&sealed.pipeline, &moved.places(&sealed, out), out)?;
    if let Transform::Matrix(path) = &mut plan.store.fitting.transform {
        let input = sealed.inputs.iter().find(|input| input.role == stages::TRANSFORM);
        *path = out.join(input.map_or("", |input| input.path.as_str()));
    }
    let engine = Engine::new(0, control)?;
    engine.install(|| {
        let survey = engine.wait(store::survey(plan.sources()))?;
        let (prepared, _folder) =
            stages::prepare_aside(&plan, &survey, &engine, "the store is as it was checked then")?;
        let quotas = Quotas::new(&prepared, &plan.mine);
        let unlabelled = plan.mine.negatives.unlabelled;
        let search: Box<dyn Search> =
            if full { Box::new(stages::exact(&prepared, unlabelled)?) } else { Box::new(Brute::new(&prepared)) };
        let again = |anchors: &[Row]| {
            let mut harvest = Harvest::default();
            let parts: Vec<Harvest> = anchors
                .par_chunks(if full { 1_024 } else { 8 })
                .map(|anchors| mine::mine(anchors, &prepared, search.as_ref(), &plan.mine, &quotas))
                .collect();
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
        Ok(manifest::verify(out, &sealed, &asked))
    })
}

/// Where inputs are now that have moved since the run.
#[derive(Debug, Clone, Default)]
pub struct Moved {
    pub store: Option<PathBuf>,
    pub queries: Option<PathBuf>,
    pub pairs: Option<PathBuf>,
}

impl Moved {
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
        }
    }
}
