//! What the values of an array are.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float16Array, Float32Array, Float64Array};
use arrow::buffer::{Buffer, MutableBuffer, ScalarBuffer};
use arrow::datatypes::DataType;

/// The type of an array's values, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// Of `.bvecs` alone; read as f32.
    U8,
    F16,
    F32,
    F64,
}

impl Scalar {
    /// From numpy's spelling.
    pub(super) fn of(descr: &str) -> Option<Self> {
        match descr {
            "<f2" => Some(Self::F16),
            "<f4" => Some(Self::F32),
            "<f8" => Some(Self::F64),
            _ => None,
        }
    }

    /// `f32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::F64 => "f64",
        }
    }

    /// Bytes of a value in a file.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Of the column that is made of it.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::F16 => DataType::Float16,
            Self::U8 | Self::F32 => DataType::Float32,
            Self::F64 => DataType::Float64,
        }
    }

    /// Values as they lie in a file, as a column: in place where they are floats.
    pub(super) fn column(self, bytes: MutableBuffer) -> ArrayRef {
        let bytes = Buffer::from(bytes);
        match self {
            Self::U8 => Arc::new(Float32Array::from_iter_values(bytes.iter().map(|&value| f32::from(value)))),
            Self::F16 => Arc::new(Float16Array::new(ScalarBuffer::from(bytes), None)),
            Self::F32 => Arc::new(Float32Array::new(ScalarBuffer::from(bytes), None)),
            Self::F64 => Arc::new(Float64Array::new(ScalarBuffer::from(bytes), None)),
        }
    }
}
