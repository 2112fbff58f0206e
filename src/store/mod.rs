//! Floor 1. *What is in the store?* Reads and checks Parquet with DataFusion, arrays beside it where they hold the vectors, and freezes what passed as a prepared store
//! of memory-mapped arrays: vectors, ids, and labels and groups as dense codes.
//!
//! Where `[prepare]` asks for it, [`fit`] learns a linear transform from the vectors and applies it.
//!
//! After [`prepare`] no later room meets a NaN, a ragged vector, a null id, or a label that is not a [`Code`].

mod array;
mod census;
mod classes;
mod codes;
mod decode;
mod dimensions;
mod draft;
mod embedding_facts;
mod examine;
mod exhibit;
mod expression;
mod files;
mod fit;
mod fitting;
mod flaw;
mod guess;
mod id_pairs;
mod ids;
mod inspect;
mod label_codes;
mod layout;
mod link_table;
mod links;
mod locate;
mod look_alikes;
mod lookup;
mod matrix;
pub(crate) mod npy;
mod pace;
mod params;
mod prepare;
mod prepared;
#[cfg(test)]
mod reading_tests;
mod rejects;
mod row;
mod scan;
mod selection;
mod session;
mod sets;
pub(crate) mod shield;
mod side;
mod sizes;
#[cfg(test)]
mod sizes_tests;
mod spill;
mod stamp;
mod survey;
mod table;
mod table_scan;
#[cfg(test)]
mod tests;
mod types;
mod units;
mod usable;
mod vectors;
pub(crate) mod vet;

pub use array::{
    ArrayError, ArrayFacts, ArrayFile, ArraySource, Arrays, Scalar, array_in, inspect_arrays, names_array,
};
pub use census::{Census, LinkCensus, QueryCensus, ScoredPairs, SetCensus, census};
pub use classes::Classes;
pub use dimensions::check_dimensions;
pub use draft::WriteError;
pub use embedding_facts::EmbeddingFacts;
pub use exhibit::Exhibit;
pub use expression::{ExpressionError, Fault};
pub use files::{ListError, is_of_folder, is_of_pattern};
pub use fit::{FitError, Without, fit};
pub use fitting::{Fitted, Fitting, Transform};
pub use guess::{Guess, can_be_label};
pub use id_pairs::{IdPairs, Pairs, PairsError};
pub use ids::{Digest as IdDigest, digests as id_digests};
pub use inspect::{ColumnFacts, InspectError, Inspection, ValueFacts, inspect};
pub use link_table::{LinkSurvey, TwoValues};
pub use links::Links;
pub use look_alikes::LookAlikes;
pub use lookup::{Lookup, LookupError};
pub use matrix::{MATRIX_FILES, Matrix, MatrixError};
pub use pace::Reading;
pub use params::{BadRows, Embedding, LinkParams, Params, Section, Sources};
pub use prepare::{PrepareError, prepare};
pub use prepared::{Excluded, OpenError, Prepared};
pub use rejects::{BadRow, BadRowsFound, LARGEST_LIST};
pub use row::{Code, Row};
pub use scan::ScanError;
pub use selection::SelectionError;
pub use session::{Means, session};
pub use spill::Spill;
pub use survey::{DimensionsDiffer, InputFile, Survey, SurveyError, Surveys, identify, survey};
pub use usable::{LeftOut, Useless};
pub use vet::Unsound;

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// Maps a file of a prepared store for reading.
fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: a mapping is sound while nobody changes the file. The files of a prepared store are written once, synced, in a
    // folder that the run has locked, and never touched again; `store.json` is missing until they are complete. Only these are
    // mapped, never a file of the user's.
    #[allow(unsafe_code)]
    unsafe {
        Mmap::map(&file)
    }
}
