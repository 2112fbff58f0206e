//! What can be said of rows without looking at others, so on any thread and in any order.

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{cast, take, take_arrays};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::Params;
use super::ids::{self, Digest};
use super::prepare::PrepareError;
use super::scan::{Place, Stretch};
use super::survey::Survey;
use super::vectors::{Look, Vectors};

/// Examines the rows of one table.
#[derive(Clone, Copy)]
pub(super) struct Examiner<'a> {
    pub params: &'a Params,
    pub survey: &'a Survey,
}

/// A stretch of rows, each examined by itself.
pub(super) struct Examined<'a> {
    pub place: Place<'a>,
    pub columns: Columns,
    pub digests: Vec<Digest>,
    pub rows: Vec<RowLook>,
    /// The vectors that are good by themselves, prepared, one behind the other.
    pub vectors: Vec<f32>,
}

/// A row by itself.
pub(super) enum RowLook {
    /// `where` does not keep it.
    LeftOut,
    NullId,
    Vector(Look),
}

/// The columns of some rows beside their vectors, each in the type it is kept in.
pub(super) struct Columns {
    pub label: Option<ArrayRef>,
    pub groups: Vec<ArrayRef>,
    /// The id, then the carried columns.
    pub table: Vec<ArrayRef>,
}

impl<'a> Examiner<'a> {
    pub fn examine(&self, stretch: Stretch<'a>) -> Result<Examined<'a>, PrepareError> {
        let path = &stretch.place.file.path;
        self.examined(&stretch).map_err(|source| PrepareError::Column { path: path.clone(), source })
    }

    fn examined(&self, stretch: &Stretch<'a>) -> Result<Examined<'a>, ArrowError> {
        let columns = self.columns(stretch)?;
        let ids = &columns.table[0];
        let digests = ids::digests(ids)?;
        let embedding = stretch.batch.column(0);
        let of = Vectors::of(embedding)
            .ok_or_else(|| ArrowError::CastError(format!("{} is no list of floats", embedding.data_type())))?;
        let keeps = match self.survey.selection.filter {
            Some(_) => stretch.keeps(stretch.batch.num_columns() - 1)?,
            None => None,
        };
        let (metric, mut vectors) = (self.params.reading_metric(), Vec::with_capacity(of.values(digests.len())));
        let look = |row| match &keeps {
            Some(keeps) if !keeps.value(row) => RowLook::LeftOut,
            _ if ids.is_null(row) => RowLook::NullId,
            _ => RowLook::Vector(of.look(row, metric, &mut vectors)),
        };
        let rows = (0..digests.len()).map(look).collect();
        Ok(Examined { place: stretch.place, columns, digests, rows, vectors })
    }

    fn columns(&self, stretch: &Stretch) -> Result<Columns, ArrowError> {
        let selection = &self.survey.selection;
        // The order of `Selection::expressions`, without the embedding.
        let mut columns = stretch.batch.columns().iter().skip(1);
        let mut next = |data_type: &DataType| match columns.next() {
            Some(column) if column.data_type() == data_type => Ok(column.clone()),
            Some(column) => cast(column, data_type),
            None => Err(ArrowError::SchemaError("the scan gave too few columns".to_owned())),
        };
        let groups = selection.groups.iter().map(|(_, data_type)| next(data_type)).collect::<Result<_, _>>()?;
        let carried: Vec<ArrayRef> =
            selection.carry.iter().map(|(_, _, data_type)| next(data_type)).collect::<Result<_, _>>()?;
        let label = selection.label.as_ref().map(|(_, data_type)| next(data_type)).transpose()?;
        let mut table = vec![match &selection.id {
            Some(_) => next(&selection.id_type)?,
            None => cast(&ids::positions(stretch.place.source_row(), stretch.batch.num_rows()), &selection.id_type)?,
        }];
        table.extend(carried);
        Ok(Columns { label, groups, table })
    }
}

impl Columns {
    /// The columns at these of `rows` rows.
    pub fn only(self, passed: &[u32], rows: usize) -> Result<Self, ArrowError> {
        if passed.len() == rows {
            return Ok(self);
        }
        let passed = UInt32Array::from(passed.to_vec());
        let only = |columns: &[ArrayRef]| take_arrays(columns, &passed, None);
        let label = self.label.as_ref().map(|label| take(label, &passed, None)).transpose()?;
        Ok(Self { label, groups: only(&self.groups)?, table: only(&self.table)? })
    }
}
