//! What can be wrong with a row.

use super::Section;

/// Why a row cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("the vector is null")]
    NullVector,
    #[error("the vector is empty")]
    EmptyVector,
    #[error("the vector has {found} values, others have {expected}")]
    Ragged { found: usize, expected: usize },
    #[error("element {element} of the vector is null")]
    NullElement { element: usize },
    #[error("element {element} of the vector is {value}")]
    NotFinite { element: usize, value: f64 },
    #[error("element {element} of the vector is {value:e}, which does not fit f32")]
    OutOfRange { element: usize, value: f64 },
    #[error("the vector is zero, and has no direction for cosine")]
    ZeroNorm,
    #[error("the vector has norm {norm:e}, and distances would overflow f32; scale the vectors down")]
    TooLong { norm: f64 },
    #[error("the id is null")]
    NullId,
    #[error("the id is that of {file}, row {file_row}")]
    RepeatedId { file: String, file_row: u64 },
    #[error("the {role} is null")]
    NullLink { role: &'static str },
    #[error("no row of the {} has the {role}'s id {id:?}", .table.name())]
    UnknownId { role: &'static str, id: String, table: Section },
    #[error("the {role} is {value}")]
    NoNumber { role: &'static str, value: String },
}

impl Flaw {
    pub const NULL: &'static str = "null vector";
    pub const EMPTY: &'static str = "empty vector";
    pub const RAGGED: &'static str = "ragged vector";

    /// The kind, for counting: `3 null vectors`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NullVector => Self::NULL,
            Self::EmptyVector => Self::EMPTY,
            Self::Ragged { .. } => Self::RAGGED,
            Self::NullElement { .. } => "null in a vector",
            Self::NotFinite { .. } => "NaN or infinity",
            Self::OutOfRange { .. } => "value beyond f32",
            Self::ZeroNorm => "zero vector",
            Self::TooLong { .. } => "too long a vector",
            Self::NullId => "null id",
            Self::RepeatedId { .. } => "repeated id",
            Self::NullLink { .. } => "null id",
            Self::UnknownId { .. } => "unknown id",
            Self::NoNumber { .. } => "no number",
        }
    }
}
