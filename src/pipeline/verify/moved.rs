//! Inputs that are not where the manifest says.

use std::path::Path;

use crate::config::{Moved, Plan, VECTORS};
use crate::manifest::{EarlierError, LoadError};
use crate::store::{ArrayError, ListError, Section, SurveyError};

/// Says how to name the place of an input that is not where the manifest says it was.
pub(in crate::pipeline) fn hint(error: anyhow::Error, moved: &Moved, plan: &Plan) -> anyhow::Error {
    let missing = match error.downcast_ref() {
        Some(SurveyError::List(ListError::Missing { path } | ListError::NoMatch { path })) => Some(path.clone()),
        None => match error.downcast_ref() {
            Some(EarlierError::Load(LoadError::Absent(path))) => Some(path.clone()),
            _ => None,
        },
        Some(SurveyError::Array(ArrayError::List(ListError::Missing { path } | ListError::NoMatch { path }))) => {
            return match arrays(path, moved, plan) {
                Some(hint) => error.context(hint),
                None => error,
            };
        }
        _ => None,
    };
    match plan.places().inputs().find(|(section, path)| moved.to(*section).is_none() && missing.as_ref() == Some(*path))
    {
        None => error,
        Some((section, _)) => {
            let (name, flag) = (section.told(), section.name());
            let verb = if matches!(section, Section::Store | Section::Exclude) { "is" } else { "are" };
            error.context(format!(
                "the {name} {verb} not where the manifest says; if moved, name the place with --{flag} PATH"
            ))
        }
    }
}

/// The same of arrays. The path of one in an archive goes on with its name.
fn arrays(missing: &Path, moved: &Moved, plan: &Plan) -> Option<String> {
    let begins = |path: &Path| path.to_string_lossy().starts_with(&*missing.to_string_lossy());
    let told = |role| if role == VECTORS { !moved.vectors.is_empty() } else { !moved.query_vectors.is_empty() };
    let places = plan.places();
    let (role, _) = places.arrays().find(|(role, path)| !told(*role) && begins(path))?;
    let each =
        if places.arrays().filter(|(other, _)| *other == role).count() > 1 { " for each, in their order" } else { "" };
    Some(format!("the {role} are not where the manifest says; if moved, name the place with --{role} PATH{each}"))
}
