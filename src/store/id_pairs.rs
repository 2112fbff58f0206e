//! Pairs of ids that no table of the pipeline holds: another room reads them, this one finds their rows.

use std::error::Error;
use std::path::Path;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

/// Why they cannot be read.
pub type PairsError = Box<dyn Error + Send + Sync>;

/// Ids of anchors, and beside each the id of a row of the corpus; none is null.
pub type Pairs<'a> = Box<dyn Iterator<Item = Result<[ArrayRef; 2], PairsError>> + Send + 'a>;

/// Negatives that anchors have had before.
pub trait IdPairs: Send + Sync {
    /// Where they lie.
    fn path(&self) -> &Path;

    /// The types of both ids: text, or integers of any width.
    fn id_types(&self) -> [DataType; 2];

    /// Bytes and rows of the files.
    fn size(&self) -> (u64, u64);

    /// How many there are, at most.
    fn most(&self) -> u64;

    /// Of the content, and nothing else.
    fn fingerprint(&self) -> String;

    /// All of them, in any order, some perhaps more than once.
    fn pairs(&self) -> Pairs<'_>;

    /// # Errors
    /// When the content is not what it was.
    fn check_unchanged(&self) -> Result<(), PairsError>;
}
