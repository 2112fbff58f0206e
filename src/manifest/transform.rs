//! `transform.parquet`: what `[prepare]` learned, so that new vectors can be treated alike.
//!
//! A vector x becomes `L·(x − m)`, and then has norm 1 under cosine.
//!
//! | column | type | meaning |
//! |---|---|---|
//! | `part` | string | `mean` (the first row: m) or `matrix` (the rows of L, in order) |
//! | `row` | uint32 | of the mean 0, of the matrix from 0 |
//! | `values` | list of float64 | one value for each dimension of the vectors as read |

use std::sync::Arc;

use arrow::array::{Float64Array, ListArray, RecordBatch, StringArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;

use crate::store::Fitted;

/// The file's name.
pub(super) const TRANSFORM: &str = "transform.parquet";

pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("part", DataType::Utf8, false),
        Field::new("row", DataType::UInt32, false),
        Field::new("values", DataType::List(item()), false),
    ]))
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float64, false))
}

/// Numbers of the file's rows: the mean, then the matrix.
pub(super) fn rows(fitted: &Fitted) -> Vec<usize> {
    (0..=fitted.matrix().len() / fitted.mean().len()).collect()
}

/// Some rows of the file.
pub(super) fn batch(fitted: &Fitted, rows: &[usize]) -> Result<RecordBatch, ArrowError> {
    let d = fitted.mean().len();
    let of = |row: &usize| match row.checked_sub(1) {
        None => ("mean", 0, fitted.mean()),
        Some(row) => ("matrix", row as u32, &fitted.matrix()[row * d..][..d]),
    };
    let parts: Vec<(&str, u32, &[f64])> = rows.iter().map(of).collect();
    let values: Vec<f64> = parts.iter().flat_map(|(_, _, values)| values.iter().copied()).collect();
    let lists = ListArray::try_new(
        item(),
        OffsetBuffer::from_lengths(parts.iter().map(|_| d)),
        Arc::new(Float64Array::from(values)),
        None,
    )?;
    let names = StringArray::from_iter_values(parts.iter().map(|(name, _, _)| *name));
    let places = UInt32Array::from_iter_values(parts.iter().map(|(_, row, _)| *row));
    RecordBatch::try_new(schema(), vec![Arc::new(names), Arc::new(places), Arc::new(lists)])
}
