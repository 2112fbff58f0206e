//! Inputs that are not where the manifest says.

use crate::config::{Moved, Plan};
use crate::store::{ListError, Section, SurveyError};

/// Says how to name the place of an input that is not where the manifest says it was.
pub(super) fn hint(error: anyhow::Error, moved: &Moved, plan: &Plan) -> anyhow::Error {
    let missing = match error.downcast_ref() {
        Some(SurveyError::List(ListError::Missing { path } | ListError::NoMatch { path })) => Some(path.clone()),
        _ => None,
    };
    match plan.places().inputs().find(|(section, path)| moved.to(*section).is_none() && missing.as_ref() == Some(*path))
    {
        None => error,
        Some((section, _)) => {
            let (name, verb) = (section.name(), if section == Section::Store { "is" } else { "are" });
            error.context(format!(
                "the {name} {verb} not where the manifest says; if moved, name the place with --{name} PATH"
            ))
        }
    }
}
