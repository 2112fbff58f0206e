//! Layout `triplet`: mined rows of the store become the columns that a trainer reads.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, DictionaryArray, Float32Array, Int32Array, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, UInt8Type, UInt32Type, UInt64Type};
use thiserror::Error;

use super::gather::{self, GatherError};
use crate::mine::Band;
use crate::store::{Prepared, Row};

/// A carried column would take the name of a column that every output has.
#[derive(Debug, Error)]
#[error(
    "store.carry: '{column}' would become '{name}', which is the name of another column; leave it out, or rename it in the store"
)]
pub struct NameError {
    pub column: String,
    pub name: String,
}

/// The parts of a triplet, and the prefix of their columns.
const ROLES: [&str; 3] = ["anchor", "positive", "negative"];

/// All batches share these values, so that an Arrow file has one dictionary.
static BANDS: LazyLock<ArrayRef> =
    LazyLock::new(|| Arc::new(StringArray::from_iter_values(Band::ALL.iter().map(|band| band.name()))));

/// The columns of the triplets of one store.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    schema: SchemaRef,
}

impl Layout {
    /// `unlabelled`: whether rows without a label may be negatives.
    pub(super) fn new(store: &Prepared, unlabelled: bool) -> Result<Self, NameError> {
        let (id, label) = (gather::id_type(store), gather::label_type(store));
        let of_roles =
            |what: &str, kind: &DataType| ROLES.map(|role| Field::new(format!("{role}_{what}"), kind.clone(), false));
        let mut fields = Vec::from(of_roles("id", &id));
        fields.extend(of_roles("row", &DataType::UInt64));
        fields.extend([
            Field::new("anchor_label", label.clone(), false),
            Field::new("negative_label", label, unlabelled),
            Field::new("d_ap", DataType::Float32, false),
            Field::new("d_an", DataType::Float32, false),
            Field::new_dictionary("band", DataType::Int32, DataType::Utf8, false),
            Field::new("fallback", DataType::Boolean, false),
            Field::new("weight", DataType::Float32, false),
        ]);
        let mut names: HashSet<String> = fields.iter().map(|field| field.name().clone()).collect();
        for (_, field) in gather::carried(store) {
            for role in ROLES {
                let name = format!("{role}_{}", field.name());
                if !names.insert(name.clone()) {
                    return Err(NameError { column: field.name().clone(), name });
                }
                fields.push(Field::new(name, gather::plain(field.data_type()), true));
            }
        }
        Ok(Self { schema: Arc::new(Schema::new(fields)) })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// A batch of the output from a batch of [`super::harvest::SCHEMA`] whose rows and bands are valid. `weights` are by the class
    /// of the anchor; 1 without.
    pub(super) fn batch(
        &self,
        store: &Prepared,
        mined: &RecordBatch,
        weights: Option<&[f32]>,
    ) -> Result<RecordBatch, GatherError> {
        let rows = [0, 1, 2].map(|column| rows(mined, column));
        let [anchors, _, negatives] = &rows;
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for rows in &rows {
            columns.push(gather::ids(store, rows)?);
        }
        columns.extend(rows.iter().map(|rows| gather::places(store, rows)));
        columns.push(gather::labels(store, anchors)?);
        columns.push(gather::labels(store, negatives)?);
        columns.extend([mined.column(3).clone(), mined.column(4).clone()]);
        columns.push(bands(mined)?);
        columns.push(mined.column(6).clone());
        columns.push(Arc::new(weigh(store, anchors, weights)));
        for (column, _) in gather::carried(store) {
            for rows in &rows {
                columns.push(gather::values(store, column, rows)?);
            }
        }
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

/// A row without a label has no class, and can be an anchor only in a forged output.
fn weigh(store: &Prepared, anchors: &[Row], weights: Option<&[f32]>) -> Float32Array {
    let weight =
        |row: &Row| weights.map_or(Some(1.0), |weights| weights.get(store.labels()[row.index()].index()).copied());
    Float32Array::from_iter_values(anchors.iter().map(|row| weight(row).unwrap_or(0.0)))
}

fn rows(mined: &RecordBatch, column: usize) -> Vec<Row> {
    mined.column(column).as_primitive::<UInt32Type>().values().iter().copied().map(Row).collect()
}

fn bands(mined: &RecordBatch) -> Result<ArrayRef, GatherError> {
    let keys = mined.column(5).as_primitive::<UInt8Type>().values().iter().map(|&band| i32::from(band));
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::from_iter_values(keys), BANDS.clone())?))
}

/// The columns of an output batch that say which rows of the store make its triplets.
pub(super) struct Claims<'a> {
    /// Scan positions of anchors, positives and negatives.
    pub(super) places: [&'a [u64]; 3],
    pub(super) fallback: &'a BooleanArray,
}

impl<'a> Claims<'a> {
    /// Of a batch with the columns of [`Layout::schema`].
    pub(super) fn of(batch: &'a RecordBatch) -> Self {
        let places = |column: usize| batch.column(column).as_primitive::<UInt64Type>().values().as_ref();
        Self { places: [3, 4, 5].map(places), fallback: batch.column(11).as_boolean() }
    }
}
