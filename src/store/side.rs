//! One table of embeddings while it is read: its rows checked, its columns brought into the types they are kept in.

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{cast, take, take_arrays};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

use super::flaw::Flaw;
use super::ids::{self, Digest, Seen};
use super::rejects::Rejects;
use super::scan::Stretch;
use super::survey::Survey;
use super::vectors::{Preparer, Vectors};
use super::{Params, Section};

/// The corpus or the queries.
pub(super) struct Side<'a> {
    pub params: &'a Params,
    pub survey: &'a Survey,
    /// Holds the vectors of a stretch that passed.
    pub preparer: Preparer,
    pub seen: Seen,
    pub rejects: Rejects,
    /// Rows that `where` kept; rows of these that passed.
    pub kept: u64,
    pub rows: u64,
}

/// The columns of some rows beside their vectors, each in the type it is kept in.
pub(super) struct Columns {
    pub label: Option<ArrayRef>,
    pub groups: Vec<ArrayRef>,
    /// The id, then the carried columns.
    pub table: Vec<ArrayRef>,
}

/// The rows of a stretch that passed: which, the digests of all ids, and their columns.
pub(super) struct Passed {
    pub rows: Vec<u32>,
    pub digests: Vec<Digest>,
    pub columns: Columns,
}

impl<'a> Side<'a> {
    pub fn new(params: &'a Params, survey: &'a Survey) -> Self {
        Self {
            params,
            survey,
            preparer: Preparer::new(params.reading_metric(), &survey.selection.embedding.1),
            seen: Seen::default(),
            rejects: Rejects::new(params.section, params.bad_rows, survey.selection.id_type.clone()),
            kept: 0,
            rows: 0,
        }
    }

    pub fn section(&self) -> Section {
        self.params.section
    }

    /// The id, then the carried columns.
    pub fn fields(&self) -> Vec<Field> {
        let selection = &self.survey.selection;
        let carried = selection.carry.iter().map(|(name, _, data_type)| Field::new(name, data_type.clone(), true));
        std::iter::once(Field::new("id", selection.id_type.clone(), false)).chain(carried).collect()
    }

    /// Checks a stretch. The vectors that pass wait in the preparer.
    pub fn take_in(&mut self, stretch: &Stretch) -> Result<Passed, ArrowError> {
        let columns = self.columns(stretch)?;
        let digests = ids::digests(&columns.table[0])?;
        let rows = self.check(stretch, &columns.table[0], &digests)?;
        self.rows += rows.len() as u64;
        let columns = columns.only(&rows, stretch.batch.num_rows())?;
        Ok(Passed { rows, digests, columns })
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
            None => cast(&ids::positions(stretch.first_source_row(), stretch.batch.num_rows()), &selection.id_type)?,
        }];
        table.extend(carried);
        Ok(Columns { label, groups, table })
    }

    /// The rows of a stretch that `where` keeps and that pass every check; their vectors wait in the preparer.
    fn check(&mut self, stretch: &Stretch, ids: &ArrayRef, digests: &[Digest]) -> Result<Vec<u32>, ArrowError> {
        let embedding = stretch.batch.column(0);
        let vectors = Vectors::of(embedding)
            .ok_or_else(|| ArrowError::CastError(format!("{} is no list of floats", embedding.data_type())))?;
        let keeps = match self.survey.selection.filter {
            Some(_) => stretch.keeps(stretch.batch.num_columns() - 1)?,
            None => None,
        };
        let (mut passed, mut flawed) = (Vec::with_capacity(digests.len()), Vec::new());
        for (row, &digest) in digests.iter().enumerate() {
            if keeps.as_ref().is_some_and(|keeps| !keeps.value(row)) {
                continue;
            }
            self.kept += 1;
            let checked = if ids.is_null(row) {
                Err(Flaw::NullId)
            } else if let Some(first) = self.seen.find(digest) {
                let (file, file_row) = self.survey.place(first);
                Err(Flaw::RepeatedId { file: file.name.clone(), file_row })
            } else {
                self.preparer.push(&vectors, row)
            };
            match checked {
                Ok(_) => {
                    self.seen.insert(digest, stretch.first_source_row() + row as u64);
                    passed.push(row as u32);
                }
                Err(flaw) => flawed.push((row as u32, flaw)),
            }
        }
        self.rejects.add(stretch, ids, &flawed)?;
        Ok(passed)
    }
}

impl Columns {
    /// The columns at these of `rows` rows.
    fn only(self, passed: &[u32], rows: usize) -> Result<Self, ArrowError> {
        if passed.len() == rows {
            return Ok(self);
        }
        let passed = UInt32Array::from(passed.to_vec());
        let only = |columns: &[ArrayRef]| take_arrays(columns, &passed, None);
        let label = self.label.as_ref().map(|label| take(label, &passed, None)).transpose()?;
        Ok(Self { label, groups: only(&self.groups)?, table: only(&self.table)? })
    }
}
