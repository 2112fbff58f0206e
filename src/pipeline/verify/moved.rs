//! Inputs that are not where the manifest says.

use std::path::{Path, PathBuf};

use crate::config::{Moved, Plan, VECTORS};
use crate::manifest::{EarlierError, LoadError};
use crate::pipeline::copies::{Copies, CopyError, Listed};
use crate::pipeline::engine::Engine;
use crate::pipeline::veiled::veil;
use crate::remote::{Address, Fault, RemoteError};
use crate::store::{ArrayError, ListError, Section, SurveyError};

/// Copies of the inputs that lie in stores, as many bytes as they have.
pub(in crate::pipeline) fn inputs(plan: &Plan, moved: &Moved, engine: &Engine) -> anyhow::Result<Copies> {
    let copies = Listed::of(plan, engine).and_then(|listed| listed.aside(engine, &plan.environment));
    copies.map_err(|error| veil(&plan.environment, hint(error, moved, plan)))
}

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
    let unreached = match error.downcast_ref() {
        Some(CopyError::Remote(RemoteError { url, fault, .. })) => {
            Some((url.clone(), matches!(fault, Fault::Forbidden { .. })))
        }
        _ => None,
    };
    let is_it = |path: &PathBuf| {
        let is_unreached = |(url, _): &(String, bool)| Address::at(path).is_some_and(|at| at.to_string() == *url);
        missing.as_ref() == Some(path) || unreached.as_ref().is_some_and(is_unreached)
    };
    let is_signed = |path: &Path| Address::at(path).is_some_and(|at| !at.can_list());
    match plan.places().inputs().find(|(section, path)| moved.to(*section).is_none() && is_it(path)) {
        None => error,
        Some((section, path)) => {
            let (name, flag) = (section.told(), section.name());
            let verb = if matches!(section, Section::Store | Section::Exclude) { "is" } else { "are" };
            error.context(match unreached {
                // No manifest keeps a signature.
                Some((_, true)) if is_signed(path) => {
                    format!("the {name} {verb} not for everyone to read; give the signed URL with --{flag} URL")
                }
                _ => format!(
                    "the {name} {verb} not where the manifest says; if moved, name the place with --{flag} PATH"
                ),
            })
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
