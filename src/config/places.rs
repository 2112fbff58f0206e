//! Where the inputs are, and what a manifest calls their places.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::embedding::arrays;
use super::paths::name;
use super::prepare::matrix_file;
use super::spec::{Paths, Spec};
use crate::remote::Address;
use crate::store::{LinkParams, Params, Section};

/// The role of a matrix that `prepare.transform` names, among the inputs of a manifest.
pub const TRANSFORM: &str = "transform";
/// The roles of arrays that hold the vectors of the store, and of the queries.
pub const VECTORS: &str = "vectors";
pub const QUERY_VECTORS: &str = "query-vectors";

/// Where the inputs are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places<P = PathBuf> {
    pub store: P,
    pub queries: Option<P>,
    pub pairs: Option<P>,
    pub scores: Option<P>,
    /// Of earlier outputs, in their order.
    pub exclude: Vec<P>,
    /// Of `prepare.transform`, where it is a file.
    pub matrix: Option<P>,
    /// Of the arrays that hold the store's vectors, in their order; none where a column does.
    pub vectors: Vec<P>,
    /// The same of the queries.
    pub query_vectors: Vec<P>,
}

/// What an input is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reads {
    Table,
    /// One array, or those of a pattern.
    Arrays,
    Matrix,
    /// An earlier output.
    Output,
}

impl<P> Places<P> {
    /// All of them, in the order in which a manifest lists them, and what they are read as.
    pub fn all(&self) -> impl Iterator<Item = (Reads, &P)> {
        let reads = |section| if section == Section::Exclude { Reads::Output } else { Reads::Table };
        let tables = self.inputs().map(move |(section, place)| (reads(section), place));
        let matrix = self.matrix.iter().map(|place| (Reads::Matrix, place));
        tables.chain(matrix).chain(self.arrays().map(|(_, place)| (Reads::Arrays, place)))
    }

    /// Others in their places.
    pub fn map<Q>(&self, other: impl Fn(Reads, &P) -> Q) -> Places<Q> {
        let table = |place: &Option<P>| place.as_ref().map(|place| other(Reads::Table, place));
        let arrays = |places: &[P]| places.iter().map(|place| other(Reads::Arrays, place)).collect();
        Places {
            store: other(Reads::Table, &self.store),
            queries: table(&self.queries),
            pairs: table(&self.pairs),
            scores: table(&self.scores),
            exclude: self.exclude.iter().map(|place| other(Reads::Output, place)).collect(),
            matrix: self.matrix.as_ref().map(|place| other(Reads::Matrix, place)),
            vectors: arrays(&self.vectors),
            query_vectors: arrays(&self.query_vectors),
        }
    }

    /// Those of tables, and of earlier outputs.
    pub fn inputs(&self) -> impl Iterator<Item = (Section, &P)> {
        let more = [(Section::Queries, &self.queries), (Section::Pairs, &self.pairs), (Section::Scores, &self.scores)];
        let more = more.into_iter().filter_map(|(section, place)| Some((section, place.as_ref()?)));
        let excluded = self.exclude.iter().map(|place| (Section::Exclude, place));
        std::iter::once((Section::Store, &self.store)).chain(more).chain(excluded)
    }

    /// Those of arrays, and their roles.
    pub fn arrays(&self) -> impl Iterator<Item = (&'static str, &P)> {
        let queries = self.query_vectors.iter().map(|place| (QUERY_VECTORS, place));
        self.vectors.iter().map(|place| (VECTORS, place)).chain(queries)
    }
}

/// Takes from the pipeline that is kept what signs the URLs of web servers, given the same with the values of variables: a signature
/// is a secret, and the file behind another one is the same.
pub(super) fn unsigned(kept: &mut Value, expanded: &Value) {
    const PATHS: [&str; 8] = [
        "/store/path",
        "/store/vectors",
        "/queries/path",
        "/queries/vectors",
        "/pairs/path",
        "/scores/path",
        "/prepare/transform",
        "/mine/negatives/exclude",
    ];
    for path in PATHS {
        if let (Some(kept), Some(expanded)) = (kept.pointer_mut(path), expanded.pointer(path)) {
            unsign(kept, expanded);
        }
    }
}

fn unsign(kept: &mut Value, expanded: &Value) {
    match (kept, expanded) {
        (Value::String(kept), Value::String(expanded)) => {
            let is_of_a_web_server = |address: Result<Address, _>| address.is_ok_and(|address| !address.can_list());
            if Address::parse(expanded).is_some_and(is_of_a_web_server) {
                kept.truncate(kept.find(['?', '#']).unwrap_or(kept.len()));
            }
        }
        (Value::Array(kept), Value::Array(expanded)) => {
            kept.iter_mut().zip(expanded).for_each(|(kept, expanded)| unsign(kept, expanded));
        }
        _ => {}
    }
}

/// How a manifest names inputs: as written if absolute or a URL, else as seen from the output folder, where that is one of this
/// machine.
pub(super) struct Seen<'a> {
    /// The pipeline with environment variables as written.
    pub resolved: &'a Value,
    /// What paths of the pipeline are relative to.
    pub base: &'a Path,
    pub output: Option<&'a Path>,
}

impl Seen<'_> {
    pub fn places(
        &self,
        spec: &Spec,
        store: &Params,
        queries: Option<&Params>,
        [pairs, scores]: [Option<&LinkParams>; 2],
        exclude: &[PathBuf],
    ) -> Places<String> {
        let table = |section: Section, value: Option<&String>, path: Option<&PathBuf>| {
            let written = &self.resolved[section.name()]["path"];
            value.zip(path).map(|(value, path)| self.place(written, value, path))
        };
        let several = |written: &Value, values: Option<&Paths>, paths: &[PathBuf]| -> Vec<String> {
            let places = values.map_or(&[][..], Paths::all).iter().zip(paths).enumerate();
            places.map(|(at, (value, path))| self.place(written.get(at).unwrap_or(written), value, path)).collect()
        };
        let arrays = |section: Section, vectors: Option<&Paths>, params: Option<&Params>| -> Vec<String> {
            let written = &self.resolved[section.name()]["vectors"];
            several(written, vectors, params.map_or(&[][..], |params| arrays(&params.embedding)))
        };
        let excluded = &self.resolved["mine"]["negatives"]["exclude"];
        let asking = spec.queries.as_ref();
        Places {
            store: table(Section::Store, Some(&spec.store.path), Some(&store.path)).unwrap_or_default(),
            queries: table(Section::Queries, asking.map(|spec| &spec.path), queries.map(|params| &params.path)),
            pairs: table(Section::Pairs, spec.pairs.as_ref().map(|spec| &spec.path), pairs.map(|params| &params.path)),
            scores: table(
                Section::Scores,
                spec.scores.as_ref().map(|spec| &spec.path),
                scores.map(|params| &params.path),
            ),
            exclude: several(excluded, spec.mine.negatives.exclude.as_ref(), exclude),
            matrix: matrix_file(&store.fitting)
                .map(|path| self.place(&self.resolved["prepare"]["transform"], &spec.prepare.transform, path)),
            vectors: arrays(Section::Store, spec.store.vectors.as_ref(), Some(store)),
            query_vectors: arrays(Section::Queries, asking.and_then(|spec| spec.vectors.as_ref()), queries),
        }
    }

    /// The name of a `path` that was `written` so, and came to `value` with the values of variables in it.
    fn place(&self, written: &Value, value: &str, path: &Path) -> String {
        let written = written.as_str().unwrap_or_default();
        match Path::new(value).is_absolute() || Address::parse(value).is_some() {
            true => written.to_owned(),
            false => name(self.output, self.base, written, path),
        }
    }
}
