//! A look at arrays that nobody has described yet.

use std::path::Path;

use super::{ArrayReader, Arrays, Scalar};
use crate::store::embedding_facts::{EmbeddingCount, EmbeddingFacts};
use crate::store::session::batch_rows;
use crate::store::{InspectError, SurveyError};

/// What the arrays at a path hold: `rows × dims` values.
#[derive(Debug)]
pub struct ArrayFacts {
    pub files: usize,
    pub bytes: u64,
    pub rows: u64,
    pub dims: usize,
    pub scalar: Scalar,
    pub vectors: EmbeddingFacts,
}

/// Reads all arrays at `path` once: a file or a pattern; of an `.npz`, the array that `file.npz:name` names, or the only one.
///
/// # Errors
/// Those of [`Arrays::look`], and what reading finds.
pub fn inspect_arrays(path: &Path) -> Result<ArrayFacts, InspectError> {
    let arrays = Arrays::look(&[path.to_owned()]).map_err(SurveyError::from)?;
    let mut count = EmbeddingCount::new(&arrays.data_type());
    let mut reader = ArrayReader::new(&arrays);
    let (mut left, at_once) = (arrays.rows(), batch_rows(arrays.batch_bytes(1)));
    while left > 0 {
        let vectors = reader.next(at_once.min(left) as usize)?;
        left -= vectors.len() as u64;
        count.add(&vectors);
    }
    Ok(ArrayFacts {
        files: arrays.files().count(),
        bytes: arrays.bytes(),
        rows: arrays.rows(),
        dims: arrays.dims(),
        scalar: arrays.scalar(),
        vectors: count.finish(),
    })
}
