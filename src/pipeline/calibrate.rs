//! `miner plan --calibrate`: how full bands would be. Reads the store into a temporary folder, and leaves nothing.

use super::budget::measured_together;
use super::engine::{Control, Engine};
use super::stages;
use super::veiled::veil;
use crate::config::Plan;
use crate::mine::{self, Calibration, Quotas};

/// Looks at a sample of anchors of a pipeline's store, of which a [copy](super::over_copies) is here.
///
/// # Errors
/// Those of reading the store.
pub fn calibrate(plan: &Plan, control: &Control) -> anyhow::Result<Calibration> {
    let engine = Engine::new(plan.run.threads, control)?;
    let calibration = engine.install(|| {
        let survey = stages::survey(plan, &engine)?;
        let (store, _folder) = stages::prepare_aside(plan, &survey, 0, &engine, "as a run will see it")?;
        let together = measured_together(plan, store.rows().into(), engine.threads());
        Ok(mine::calibrate(&store, &plan.mine, &Quotas::new(&store, &plan.mine), together))
    });
    calibration.map_err(|error| veil(&plan.environment, error))
}
