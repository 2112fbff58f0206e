//! Columns of facts about rows of the store, as the output's files hold them.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, UInt32Array, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef};
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

/// Lists, where a row may have several.
pub(super) fn label_type(store: &Prepared) -> DataType {
    let label = plain(store.label_values().data_type());
    match store.has_several_labels() {
        true => DataType::List(Arc::new(Field::new_list_field(label, true))),
        false => label,
    }
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

/// Null where a row has no label; of several each once, by their order.
pub(super) fn labels(store: &Prepared, rows: &[Row]) -> Result<ArrayRef, GatherError> {
    let classes = || rows.iter().map(|row| &store.labels()[row.index()]);
    let values = |codes: UInt32Array| {
        let labels = take(store.label_values(), &codes, None)?;
        cast(&labels, &plain(labels.data_type()))
    };
    let DataType::List(item) = label_type(store) else {
        return Ok(values(classes().map(|class| (!class.is_null()).then_some(class.0)).collect())?);
    };
    let lists = || classes().map(|class| store.labels_in(class));
    let labels = values(lists().flatten().map(|&Code(code)| Some(code)).collect())?;
    let valid = NullBuffer::from_iter(classes().map(|class| !class.is_null()));
    i32::try_from(labels.len()).map_err(|_| ArrowError::OffsetOverflowError(labels.len()))?;
    let ends = OffsetBuffer::from_lengths(lists().map(<[Code]>::len));
    Ok(Arc::new(ListArray::try_new(item, ends, labels, Some(valid).filter(|valid| valid.null_count() > 0))?))
}

/// Positions in the scan of their table, before `where`.
pub(super) fn places(store: &Prepared, rows: &[Row]) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| store.source_rows()[row.index()])))
}
