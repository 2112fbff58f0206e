//! Manifests that cannot be followed: what they say is wrong, and that is the verdict.

use std::error::Error;

use crate::config::{ConfigError, KeyError, Plan, TRANSFORM};
use crate::manifest::{self, ColumnsError, Sealed, Verdict};
use crate::pipeline::{Interrupted, SeveralLabels, TooFewClasses, TooLittleMemory, Veiled};
use crate::store::{ArrayError, FitError, PrepareError, SurveyError, Transform};

/// What a manifest's pipeline should be.
const FOLLOWED: &str = "a pipeline that this program can follow on these inputs, as the run did";

/// The pipeline is none.
pub(super) fn pipeline(sealed: &Sealed, error: &KeyError) -> Verdict {
    manifest::refuted(sealed, &error.key, &error.message, "a pipeline that this version writes")
}

/// The inputs that are listed are not those that the pipeline names.
pub(super) fn roles(sealed: &Sealed, plan: &Plan) -> Option<Verdict> {
    let places = plan.places();
    let sections = places.inputs().map(|(section, _)| section.name());
    let matrix = matches!(plan.store.fitting.transform, Transform::Matrix(_)).then_some(TRANSFORM);
    let expected: Vec<&str> = sections.chain(matrix).chain(places.arrays().map(|(role, _)| role)).collect();
    let found: Vec<&str> = sealed.inputs.iter().map(|input| input.role.as_str()).collect();
    (found != expected).then(|| manifest::refuted(sealed, "inputs", &found.join(", "), &expected.join(", ")))
}

/// An error on the way to the verdict is one where the inputs are those of the run, which had none, or where the manifest contradicts
/// itself.
pub(super) fn by_error(sealed: &Sealed, error: anyhow::Error) -> anyhow::Result<Verdict> {
    let any = |is: fn(&(dyn Error + 'static)) -> bool| error.chain().any(is);
    let ours = any(|cause| cause.is::<Interrupted>() || cause.is::<TooLittleMemory>());
    if ours || !(manifest::is_forged(sealed) || any(is_about_the_pipeline)) {
        return Err(error);
    }
    Ok(manifest::refuted(sealed, "pipeline", &format!("{error:#}"), FOLLOWED))
}

/// Of these inputs the run had no such error.
fn is_about_the_pipeline(cause: &(dyn Error + 'static)) -> bool {
    let reading = |error: &SurveyError| match error {
        SurveyError::List(_) | SurveyError::Io { .. } | SurveyError::Unsound { .. } => false,
        SurveyError::Array(error) => matches!(error, ArrayError::Differ { .. } | ArrayError::Rows { .. }),
        _ => true,
    };
    let veiled = |veiled: &Veiled| veiled.bare().chain().any(is_about_the_pipeline);
    cause.is::<ConfigError>()
        || cause.downcast_ref().is_some_and(veiled)
        || cause.is::<SeveralLabels>()
        || cause.is::<TooFewClasses>()
        || cause.is::<ColumnsError>()
        || cause.downcast_ref().is_some_and(reading)
        || cause.downcast_ref().is_some_and(|error: &PrepareError| {
            !matches!(error, PrepareError::Write(_) | PrepareError::Scan(_) | PrepareError::Excluded(_))
        })
        || cause.downcast_ref().is_some_and(|error: &FitError| !matches!(error, FitError::Write(_) | FitError::Open(_)))
}
