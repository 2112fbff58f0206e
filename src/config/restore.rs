//! From a manifest back to a plan.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::environment::Environment;
use super::error::{Complaint, KeyError};
use super::links::EXCLUDE;
use super::load::wrong_type;
use super::places::{Places, QUERY_VECTORS, TRANSFORM, VECTORS};
use super::plan::{self, Plan};
use super::prepare::is_matrix_file;
use super::spec::Spec;
use super::target::Target;
use crate::manifest::{Input, MANIFEST, Sealed};
use crate::remote::Address;
use crate::store::Section;

/// Where inputs are now that have moved since a run.
#[derive(Debug, Clone, Default)]
pub struct Moved {
    pub store: Option<PathBuf>,
    pub queries: Option<PathBuf>,
    pub pairs: Option<PathBuf>,
    pub scores: Option<PathBuf>,
    /// The arrays of the store's vectors, in their order; none: they have not moved.
    pub vectors: Vec<PathBuf>,
    pub query_vectors: Vec<PathBuf>,
    /// All of them, in the order in which the pipeline names them; none where none has moved.
    pub exclude: Vec<PathBuf>,
}

impl Moved {
    /// Where an input is now, if it has moved.
    pub fn to(&self, section: Section) -> Option<&PathBuf> {
        match section {
            Section::Store => self.store.as_ref(),
            Section::Queries => self.queries.as_ref(),
            Section::Pairs => self.pairs.as_ref(),
            Section::Scores => self.scores.as_ref(),
            Section::Exclude => self.exclude.first(),
        }
    }

    /// What inputs are called, with those that have moved under the names they have now.
    fn rename(&self, named: Places<String>) -> Places<String> {
        let text = |path: &PathBuf| {
            Address::at(path).map_or_else(|| path.to_string_lossy().into_owned(), |address| address.to_string())
        };
        let one = |section, named: Option<String>| self.to(section).map(text).or(named);
        let several =
            |moved: &[PathBuf], named| if moved.is_empty() { named } else { moved.iter().map(text).collect() };
        Places {
            store: one(Section::Store, Some(named.store)).unwrap_or_default(),
            queries: one(Section::Queries, named.queries),
            pairs: one(Section::Pairs, named.pairs),
            scores: one(Section::Scores, named.scores),
            exclude: several(&self.exclude, named.exclude),
            matrix: named.matrix,
            vectors: several(&self.vectors, named.vectors),
            query_vectors: several(&self.query_vectors, named.query_vectors),
        }
    }
}

/// A manifest gives no plan.
#[derive(Debug)]
pub enum RestoreError {
    /// Its pipeline is none that this version writes.
    Pipeline(Box<KeyError>),
    /// An environment variable is not what it was.
    Environment(Box<KeyError>),
}

/// The plan that the manifest of the output in `out` describes. Inputs are where it names them, seen from the output unless
/// absolute, or where they have `moved`.
///
/// Environment variables must have the values that they had then, but for those that only a name or a place needs that is
/// not asked for: the pipeline's name, the output's path, the path of an input that has moved.
///
/// # Errors
/// When the description is not one that this version writes; a variable that is not set, or to another value.
pub fn restore(sealed: &Sealed, moved: &Moved, out: &Path) -> Result<Plan, RestoreError> {
    let store = sealed.inputs.iter().find(|input| input.role == Section::Store.name());
    let store = store.map_or("", |store| store.fingerprint.as_str());
    let mut environment = Environment::recorded(&sealed.environment, store);
    let plan = over(&sealed.pipeline, &mut environment, out, |environment| places(sealed, moved, out, environment));
    environment.know_all_recorded();
    let told = |complaint: Complaint| {
        let message = environment.hide(&complaint.message).into_owned();
        Complaint { message, ..complaint }.of_file(out.join(MANIFEST))
    };
    match plan {
        Err(Fault::Pipeline(complaint)) => Err(RestoreError::Pipeline(told(complaint))),
        Err(Fault::Environment(complaint)) => Err(RestoreError::Environment(told(complaint))),
        Ok(plan) => Ok(Plan { environment, from_output: moved.rename(plan.from_output), ..plan }),
    }
}

/// What is wrong, before it is told.
#[derive(Debug)]
pub(super) enum Fault {
    Pipeline(Complaint),
    Environment(Complaint),
}

fn places(sealed: &Sealed, moved: &Moved, out: &Path, environment: &mut Environment) -> Result<Places, Complaint> {
    let mut expand = |(index, input): (usize, &Input)| -> Result<PathBuf, Complaint> {
        let role = input.role.as_str();
        let path = environment.expand(&format!("inputs[{index}].path"), &input.path);
        let path = path.map_err(|Complaint { key, message, .. }| {
            let flag =
                if role == TRANSFORM { String::new() } else { format!(", or name the place with --{role} PATH") };
            Complaint::new(key, message + &flag)
        })?;
        Ok(if Address::parse(&path).is_some() { path.into() } else { out.join(path) })
    };
    let inputs = |role: &'static str| sealed.inputs.iter().enumerate().filter(move |(_, input)| input.role == role);
    let mut named = |role: &'static str| inputs(role).next().map(&mut expand).transpose();
    let mut place = |section: Section| match moved.to(section) {
        Some(place) => Ok(Some(place.clone())),
        None => named(section.name()),
    };
    let (store, queries) = (place(Section::Store)?.unwrap_or_default(), place(Section::Queries)?);
    let (pairs, scores, matrix) = (place(Section::Pairs)?, place(Section::Scores)?, named(TRANSFORM)?);
    let mut several = |role: &'static str, moved: &[PathBuf]| match (moved.len(), inputs(role).count()) {
        (0, _) => inputs(role).map(&mut expand).collect(),
        (told, listed) if told == listed => Ok(moved.to_vec()),
        (told, listed) => {
            let message = format!(
                "--{role} names {told} places, but the run read {listed} of this role; name each, in their order"
            );
            Err(Complaint::new("inputs", message))
        }
    };
    let exclude = several(Section::Exclude.name(), &moved.exclude)?;
    let (vectors, query_vectors) = (several(VECTORS, &moved.vectors)?, several(QUERY_VECTORS, &moved.query_vectors)?);
    Ok(Places { store, queries, pairs, scores, exclude, matrix, vectors, query_vectors })
}

/// The plan that `pipeline` describes, over inputs at these `places`.
pub(super) fn over(
    pipeline: &Value,
    environment: &mut Environment,
    output: &Path,
    places: impl FnOnce(&mut Environment) -> Result<Places, Complaint>,
) -> Result<Plan, Fault> {
    let in_pipeline = |complaint: Complaint| Complaint { key: format!("pipeline.{}", complaint.key), ..complaint };
    let mut expanded = pipeline.clone();
    // What these say is not asked for.
    let mut except = vec!["name", "output.path", "store.path", "queries.path", "pairs.path", "scores.path"];
    except.extend(["store.vectors", "queries.vectors", EXCLUDE]);
    if is_matrix_file(pipeline["prepare"]["transform"].as_str().unwrap_or_default()) {
        except.push("prepare.transform");
    }
    let wrong = |complaint| Fault::Pipeline(in_pipeline(complaint));
    environment.expand_json(&mut expanded, "", &except).map_err(|unset| Fault::Environment(in_pipeline(unset)))?;
    let spec: Spec = serde_path_to_error::deserialize(expanded).map_err(|error| wrong(wrong_type(&error)))?;
    let mut plan = plan::check(&spec, pipeline, &output.join(MANIFEST), Path::new("")).map_err(wrong)?;
    let places = places(environment).map_err(Fault::Environment)?;
    if plan.exclude.len() != places.exclude.len() {
        let (named, listed) = (plan.exclude.len(), places.exclude.len());
        let message = format!("names {named} earlier outputs, and the inputs list {listed}");
        return Err(wrong(Complaint::new(EXCLUDE, message)));
    }
    plan.set_places(places);
    plan.target = Target::Folder(output.into());
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use crate::config::plan::tests::{GOOD, RETRIEVAL, plan};

    #[test]
    fn what_the_store_says_for_others_is_kept_as_written() {
        let store = plan(RETRIEVAL, &["store.id=${CARGO_PKG_NAME}", "store.carry=['${CARGO_PKG_NAME}']"]).unwrap();
        let (queries, resolved) = (store.queries.as_ref().unwrap(), &store.resolved["queries"]);
        assert_eq!(
            (queries.id.as_deref(), &queries.carry[..]),
            (Some("triplet_miner"), &["triplet_miner".to_owned()][..])
        );
        assert_eq!(
            (&resolved["id"], &resolved["carry"][0]),
            (&"${CARGO_PKG_NAME}".into(), &"${CARGO_PKG_NAME}".into())
        );
        let own = plan(RETRIEVAL, &["store.id=${CARGO_PKG_NAME}", "queries.id=triplet_miner"]).unwrap();
        assert_eq!(own.resolved["queries"]["id"], "triplet_miner", "nobody wrote a variable there");
    }

    #[test]
    fn paths_of_the_manifest_name_variables() {
        for (written, expected) in [
            ("data/${CARGO_PKG_NAME}/a.parquet", "../data/${CARGO_PKG_NAME}/a.parquet"),
            ("${CARGO_PKG_NAME}/a.parquet", "../${CARGO_PKG_NAME}/a.parquet"),
            ("data/../x_${CARGO_PKG_NAME}.parquet", "../x_${CARGO_PKG_NAME}.parquet"),
            ("${CARGO_MANIFEST_DIR}/a.parquet", "${CARGO_MANIFEST_DIR}/a.parquet"),
            ("data/$${x}.parquet", "../data/$${x}.parquet"),
        ] {
            let named = plan(&GOOD.replace("data/a.parquet", written), &[]).unwrap();
            assert_eq!(named.from_output.store, expected);
            assert_eq!(named.resolved["store"]["path"], written);
        }
    }
}
