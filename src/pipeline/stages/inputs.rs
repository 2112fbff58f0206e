//! The inputs: what is in them, and what the manifest calls them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::{Plan, QUERY_VECTORS, Reads, TRANSFORM, VECTORS};
use crate::disk;
use crate::manifest::{self, EarlierError, Exclusions, Input, Sealed};
use crate::pipeline::copies::{Copies, Listed};
use crate::pipeline::engine::Engine;
use crate::pipeline::veiled::Veiled;
use crate::pipeline::{labels, program};
use crate::store::{
    self, ArrayError, ArraySource, Arrays, ExpressionError, IdPairs, LinkSurvey, Section, SelectionError, Survey,
    SurveyError, Surveys,
};

/// Looks at the inputs.
///
/// # Errors
/// Those of [`store::survey`]. What a key says of columns that are not there is the pipeline's fault, and not the data's.
pub fn survey(plan: &Plan, engine: &Engine) -> anyhow::Result<Surveys> {
    let survey = engine.wait(store::survey(plan.sources()));
    let mut survey = survey.map_err(|error| as_written(plan, named(plan, error)))?;
    survey.exclude(exclusions(plan)?)?;
    labels::check(plan, &survey)?;
    Ok(survey)
}

/// The earlier outputs whose negatives are not taken again.
fn exclusions(plan: &Plan) -> Result<Vec<Box<dyn IdPairs>>, EarlierError> {
    let open = |path: &PathBuf| Ok(Box::new(Exclusions::open(path)?) as Box<dyn IdPairs>);
    plan.exclude.iter().map(open).collect()
}

/// What lists no files, told with the key that names it.
fn named(plan: &Plan, error: anyhow::Error) -> anyhow::Error {
    let unlisted = match error.downcast_ref() {
        Some(SurveyError::List(unlisted) | SurveyError::Array(ArrayError::List(unlisted))) => unlisted.path(),
        Some(SurveyError::NoRows { path, .. }) => path,
        _ => return error,
    };
    match (&plan.written, plan.key_of(unlisted)) {
        (Some(written), Some(key)) => written.named(key, error).into(),
        _ => error,
    }
}

/// What is wrong with an expression, told of what is written and not of what the environment made of it.
fn as_written(plan: &Plan, error: anyhow::Error) -> anyhow::Error {
    let Some(SurveyError::Selection { path, source }) = error.downcast_ref() else { return error };
    let SelectionError::Expression(expression) = source.as_ref() else { return error };
    let ExpressionError { section, key, text, fault } = expression;
    let section = section.name();
    let told = plan.environment.hide_words(&format!("{}: {fault}", path.display())).into_owned();
    let said = plan.resolved.pointer(&format!("/{section}/{}", key.replace('.', "/")));
    match (&plan.written, said.and_then(Value::as_str)) {
        (Some(written), said) => {
            let place = expression.place();
            let place = said.and_then(|said| plan.environment.unexpanded(said, place?));
            written.refuted(section, key, text, told, place).into()
        }
        (None, Some(written)) if written != text => {
            let shown = format!("{section}.{key} = {written:?}: {told}");
            Veiled::new(shown, error).into()
        }
        (None, _) => error,
    }
}

/// The inputs as the manifest names them: one entry a role, over all its files; of arrays one for each path that the pipeline names.
pub fn inputs(plan: &Plan, survey: &Surveys) -> Vec<Input> {
    let table = |table: &Survey| (table.bytes(), table.rows(), table.fingerprint().to_owned());
    let links = |links: &LinkSurvey| (links.bytes(), links.rows(), links.fingerprint().to_owned());
    let mut excluded = survey.excluded.iter().map(|pairs| {
        let (bytes, rows) = pairs.size();
        (bytes, rows, pairs.fingerprint())
    });
    let mut of = |section| match section {
        Section::Store => Some(table(&survey.store)),
        Section::Queries => survey.queries.as_ref().map(table),
        Section::Pairs => survey.pairs.as_ref().map(links),
        Section::Scores => survey.scores.as_ref().map(links),
        Section::Exclude => excluded.next(),
    };
    // As written, with the names of environment variables: what these stand for is nobody's business.
    let input = |(section, path): (Section, &String)| {
        let (bytes, rows, fingerprint) = of(section)?;
        Some(Input { role: section.name().into(), path: path.clone(), bytes, rows, fingerprint, listing: None })
    };
    let mut inputs: Vec<Input> = plan.from_output.inputs().filter_map(input).collect();
    inputs.extend(survey.store.matrix().map(|matrix| Input {
        role: TRANSFORM.into(),
        path: plan.from_output.matrix.clone().unwrap_or_default(),
        bytes: matrix.bytes,
        rows: matrix.rows as u64,
        fingerprint: matrix.fingerprint.clone(),
        listing: None,
    }));
    for (role, places, table) in [
        (VECTORS, &plan.from_output.vectors, Some(&survey.store)),
        (QUERY_VECTORS, &plan.from_output.query_vectors, survey.queries.as_ref()),
    ] {
        let sources = table.and_then(Survey::arrays).map_or(&[][..], Arrays::sources);
        inputs.extend(sources.iter().zip(places).map(|(source, path)| of_arrays(role, path.clone(), source)));
    }
    inputs
}

/// The same with the listings of those that are copies of what lies in stores.
pub fn inputs_of(plan: &Plan, survey: &Surveys, copies: &Copies) -> Vec<Input> {
    let mut inputs = inputs(plan, survey);
    for (input, (reads, path)) in inputs.iter_mut().zip(plan.places().all()) {
        input.listing = copies.version(reads, path);
    }
    inputs
}

fn of_arrays(role: &str, path: String, source: &ArraySource) -> Input {
    let (bytes, rows, fingerprint) = (source.bytes(), source.rows(), source.fingerprint.clone());
    Input { role: role.into(), path, bytes, rows, fingerprint, listing: None }
}

/// The same where the inputs cannot be surveyed as the pipeline says: those whose files can be read at all.
pub fn identities(plan: &Plan) -> Vec<Input> {
    let places = plan.places();
    let input = |reads: Reads, role: &str, path: &Path| {
        let (bytes, rows, fingerprint) = identity(reads, path)?;
        Some(Input { role: role.into(), path: path.display().to_string(), bytes, rows, fingerprint, listing: None })
    };
    let tables = places.inputs().filter_map(|(section, path)| {
        let reads = if section == Section::Exclude { Reads::Output } else { Reads::Table };
        input(reads, section.name(), path)
    });
    let mut inputs: Vec<Input> = tables.collect();
    let arrays = places.arrays().map(|(role, path)| input(Reads::Arrays, role, path));
    // Those of one role are told apart by their order.
    inputs.extend(arrays.collect::<Option<Vec<_>>>().unwrap_or_default());
    inputs
}

/// Bytes, rows and fingerprint of an input of this machine, whatever its columns are for; none where it cannot be read. Of a matrix
/// the rows are not told.
fn identity(reads: Reads, path: &Path) -> Option<(u64, u64, String)> {
    match reads {
        Reads::Table => store::identify(path).ok(),
        Reads::Output => {
            let pairs = Exclusions::open(path).ok()?;
            let (bytes, rows) = pairs.size();
            Some((bytes, rows, pairs.fingerprint()))
        }
        Reads::Arrays => {
            let source = ArraySource::look(path).ok()?;
            Some((source.bytes(), source.rows(), source.fingerprint))
        }
        Reads::Matrix => Some((path.metadata().ok()?.len(), 0, disk::digest(path, 0).ok()?)),
    }
}

/// The fingerprint of a run whose output is `sealed`, where that was made from the very inputs of this plan: those in stores as their
/// listings tell, so that nothing is fetched, and those of this machine as their bytes do. None where anything differs, or is not known.
///
/// # Errors
/// When a value of the environment cannot be hashed.
pub fn listed_fingerprint(plan: &Plan, listed: &Listed, sealed: &Sealed) -> anyhow::Result<Option<String>> {
    let (places, names) = (plan.places(), &plan.from_output);
    if places.all().count() != sealed.inputs.len() {
        return Ok(None);
    }
    for (((reads, path), (_, name)), input) in places.all().zip(names.all()).zip(&sealed.inputs) {
        let same = match listed.holds(reads, path) {
            true => input.listing.is_some() && listed.version(reads, path) == input.listing,
            false => identity(reads, path)
                .is_some_and(|(bytes, _, fingerprint)| bytes == input.bytes && fingerprint == input.fingerprint),
        };
        if !same || *name != input.path {
            return Ok(None);
        }
    }
    let store = sealed.inputs.first().map_or("", |input| input.fingerprint.as_str());
    let environment = plan.environment.proofs(&[&plan.resolved], store)?;
    Ok(Some(manifest::fingerprint(&sealed.inputs, &plan.resolved, &environment, program::VERSION)))
}
