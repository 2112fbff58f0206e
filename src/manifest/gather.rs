//! Columns of facts about rows of the store, as the output's files hold them.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array, UInt64Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use arrow::error::ArrowError;
use thiserror::Error;

use crate::store::{Code, OpenError, Prepared, Row};

/// Why rows of the store could not be turned into columns.
#[derive(Debug, Error)]
pub enum GatherError {
    #[error(transparent)]
    Store(#[from] OpenError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// The type a column has in the output. Dictionaries are left behind: each file would need one dictionary for all of its batches.
pub(super) fn plain(kind: &DataType) -> DataType {
    match kind {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        kind => kind.clone(),
    }
}

pub(super) fn id_type(store: &Prepared) -> DataType {
    plain(store.schema().field(0).data_type())
}

pub(super) fn label_type(store: &Prepared) -> DataType {
    plain(store.label_values().data_type())
}

/// The carried columns of [`Prepared::schema`] or [`Prepared::anchor_schema`], each with its index there.
pub(super) fn carried(schema: &SchemaRef) -> impl Iterator<Item = (usize, &FieldRef)> {
    schema.fields().iter().enumerate().skip(1)
}

/// Of rows of the corpus or of queries, one or the other.
pub(super) fn ids(store: &Prepared, rows: &[Row]) -> Result<ArrayRef, GatherError> {
    values(store, 0, rows)
}

/// As of [`Prepared::take`].
pub(super) fn values(store: &Prepared, column: usize, rows: &[Row]) -> Result<ArrayRef, GatherError> {
    let values = store.take(column, rows)?;
    Ok(cast(&values, &plain(values.data_type()))?)
}

/// Null where a row has no label.
pub(super) fn labels(store: &Prepared, rows: &[Row]) -> Result<ArrayRef, GatherError> {
    let code = |row: &Row| Some(store.labels()[row.index()]).filter(|code| !code.is_null()).map(|Code(code)| code);
    let codes: UInt32Array = rows.iter().map(code).collect();
    let labels = take(store.label_values(), &codes, None)?;
    Ok(cast(&labels, &label_type(store))?)
}

/// Positions in the scan of their table, before `where`.
pub(super) fn places(store: &Prepared, rows: &[Row]) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| store.source_rows()[row.index()])))
}
