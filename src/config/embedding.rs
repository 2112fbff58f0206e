//! Where vectors are: in a column of their table, or in arrays beside it.

use std::path::{Path, PathBuf};

use super::error::Complaint;
use super::paths::input;
use super::spec::Paths;
use crate::store::{Embedding, Section};

/// One of both, checked; paths are relative to `base`.
pub(super) fn embedding(
    section: Section,
    column: Option<&str>,
    arrays: Option<&Paths>,
    base: &Path,
) -> Result<Embedding, Complaint> {
    let section = section.name();
    let (of_column, of_arrays) = (format!("{section}.embedding"), format!("{section}.vectors"));
    match (column, arrays) {
        (Some(column), None) if column.trim().is_empty() => {
            Err(Complaint::new(of_column, "is empty; expected a column"))
        }
        (Some(column), None) => Ok(Embedding::Column(column.to_owned())),
        (None, Some(arrays)) if arrays.all().is_empty() => {
            Err(Complaint::new(of_arrays, "is empty; expected an array file, or several"))
        }
        (None, Some(Paths::One(one))) => Ok(Embedding::Arrays(vec![input(base, &of_arrays, one)?])),
        (None, Some(Paths::Several(several))) => {
            let element = |(index, written): (usize, &String)| input(base, &format!("{of_arrays}[{index}]"), written);
            Ok(Embedding::Arrays(several.iter().enumerate().map(element).collect::<Result<_, _>>()?))
        }
        (Some(_), Some(_)) => {
            let message =
                format!("says that arrays hold the vectors, and {of_column} that a column does; leave out one of them");
            Err(Complaint::new(of_arrays, message))
        }
        (None, None) => {
            let message =
                format!("is missing; expected the column of vectors, or else {of_arrays}, the arrays of them");
            Err(Complaint::new(of_column, message))
        }
    }
}

/// The paths of arrays, where they hold the vectors.
pub(super) fn arrays(embedding: &Embedding) -> &[PathBuf] {
    match embedding {
        Embedding::Column(_) => &[],
        Embedding::Arrays(paths) => paths,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crate::config::plan::tests::{GOOD, RETRIEVAL, plan, restored};
    use crate::store::Embedding;

    fn arrays(paths: &[&str]) -> Embedding {
        Embedding::Arrays(paths.iter().map(PathBuf::from).collect())
    }

    #[test]
    fn vectors_are_in_a_column_or_in_arrays() {
        let without = GOOD.replace("embedding = \"e\"\n", "");
        assert_ne!(without, GOOD);
        for (set, expected) in [
            (
                &[][..],
                "store.embedding: is missing; expected the column of vectors, or else store.vectors, the arrays of them",
            ),
            (&["store.vectors=[]"], "store.vectors = []: is empty; expected an array file, or several"),
            (&["store.vectors=7"], "store.vectors = 7: expected a path, or a list of paths"),
            (&["store.vectors=['a.npy', '']"], "store.vectors[1] = \"\": is empty; expected a path"),
            (
                &["store.vectors=a.npy", "store.embedding=e"],
                "store.vectors = \"a.npy\": says that arrays hold the vectors, and store.embedding that a column does; leave \
                 out one of them",
            ),
        ] {
            let error = plan(&without, set).unwrap_err().to_string();
            assert!(error.contains(expected), "{set:?}: {error}");
        }
    }

    #[test]
    fn arrays_are_inputs_in_their_order() {
        let without = RETRIEVAL.replace("embedding = \"e\"\n", "");
        assert_ne!(without, RETRIEVAL);
        let set = ["store.vectors=['${CARGO_PKG_NAME}/b.npy', 'x/a*.npz:v']", "queries.vectors=q.fvecs"];
        let plan = plan(&without, &set).unwrap();
        let places = plan.places();
        assert_eq!(plan.store.embedding, Embedding::Arrays(places.vectors.clone()));
        assert_eq!(plan.queries.as_ref().unwrap().embedding, Embedding::Arrays(places.query_vectors.clone()));
        assert_eq!((places.vectors.len(), places.query_vectors.len()), (2, 1));
        assert!(places.vectors[0].ends_with("triplet_miner/b.npy"), "{:?}", places.vectors);
        assert_eq!(plan.resolved["store"]["vectors"][0], "${CARGO_PKG_NAME}/b.npy");
        let named: Vec<_> = plan.from_output.arrays().map(|(role, path)| format!("{role} {path}")).collect();
        let up = plan.from_output.store.split_once("data/").unwrap().0;
        assert_eq!(
            named,
            [
                format!("vectors {up}${{CARGO_PKG_NAME}}/b.npy"),
                format!("vectors {up}x/a*.npz:v"),
                format!("query-vectors {up}q.fvecs")
            ]
        );
        let moved = crate::config::Places { vectors: vec!["m.npy".into(), "n.npy".into()], ..places };
        let restored = restored(&plan, &moved);
        assert_eq!(restored.store.embedding, arrays(&["m.npy", "n.npy"]));
        assert_eq!(restored.places(), moved);
    }
}
