//! `miner verify`: the output against the store it was made from.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::engine::{Control, Engine};
use super::stages;
use crate::config;
use crate::manifest::{self, Asked, Completeness, Sealed, Verdict};
use crate::mine::{self, Harvest};
use crate::search::{Brute, Index, Search};
use crate::store::{self, Row, Transform};

/// Anchors that are mined again by brute force.
const SAMPLE: usize = 200;

/// Checks the output in `out`: every byte, every row, and (of an exact run) a sample of anchors mined again by brute
/// force; with `full`, every anchor. The store is the one the manifest names, or `store` where it has moved.
///
/// # Errors
/// When there is no manifest, or the store cannot be read. What is wrong with the output is the verdict, not an error.
pub fn verify(out: &Path, store: Option<&Path>, full: bool, control: &Control) -> anyhow::Result<Verdict> {
    let sealed = Sealed::load(out)?;
    let mut plan = config::restore(
        &sealed.pipeline,
        &store.map_or_else(|| input_of(&sealed, "store", out), Path::to_path_buf),
        out,
    )?;
    if let Transform::Matrix(path) = &mut plan.store.fitting.transform {
        *path = input_of(&sealed, stages::TRANSFORM, out);
    }
    let engine = Engine::new(0, control)?;
    engine.install(|| {
        let survey = engine.wait(store::survey(&plan.store))?;
        let (prepared, _folder) =
            stages::prepare_aside(&plan, &survey, &engine, "the store is as it was checked then")?;
        let unlabelled = plan.mine.negatives.unlabelled;
        let search: Box<dyn Search> =
            if full { Box::new(stages::exact(&prepared, unlabelled)?) } else { Box::new(Brute::new(&prepared)) };
        let again = |anchors: &[Row]| {
            let mut harvest = Harvest::default();
            let parts: Vec<Harvest> = anchors
                .par_chunks(if full { 1_024 } else { 8 })
                .map(|anchors| mine::mine(anchors, &prepared, search.as_ref(), &plan.mine))
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
            output: &plan.output,
            inputs: &stages::inputs(&plan, &survey),
            completeness,
        };
        Ok(manifest::verify(out, &sealed, &asked))
    })
}

/// Where the manifest says an input lies: seen from the output, unless absolute.
fn input_of(sealed: &Sealed, role: &str, out: &Path) -> PathBuf {
    let path = sealed.inputs.iter().find(|input| input.role == role).map_or("", |input| input.path.as_str());
    out.join(path)
}
