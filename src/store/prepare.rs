//! Streams a survey's rows, checks each, and freezes those that pass.

use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{cast, take_arrays};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;

use super::codes::Coder;
use super::draft::{Draft, Rows, WriteError};
use super::fit::{FitError, check_dims};
use super::flaw::Flaw;
use super::ids::{self, Digest, Seen};
use super::layout::{self, Header};
use super::rejects::{BadRowsFound, Rejects};
use super::scan::{Scan, ScanError, Stretch};
use super::survey::Survey;
use super::vectors::{Preparer, Vectors};
use super::{BadRows, Params};

/// Why a store is refused, or cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error(transparent)]
    Scan(#[from] ScanError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("{}: a column cannot be brought into the type it is kept in: {source}", .path.display())]
    Column { path: PathBuf, source: ArrowError },
    #[error("{0}")]
    BadRows(BadRowsFound),
    #[error("{}: no row is left of {read}: {}", .path.display(), left_out(*read, *kept, *rejected))]
    NothingLeft { path: PathBuf, read: u64, kept: u64, rejected: u64 },
    #[error("{}: label = {label:?} is null in all {rows} rows; without labels there are no classes", .path.display())]
    NoLabels { path: PathBuf, label: String, rows: u64 },
    #[error(
        "{}: label = {label:?} gives {rows} rows {classes} classes, one row each; a positive is a second row of the same \
         class, so choose a label whose values repeat",
        .path.display()
    )]
    NoPairs { path: PathBuf, label: String, classes: usize, rows: u64 },
    #[error(transparent)]
    Fit(#[from] Box<FitError>),
    #[error("{}: the store has more than {MAX_ROWS} rows; keep fewer with `where`", .path.display())]
    TooManyRows { path: PathBuf },
}

fn left_out(read: u64, kept: u64, rejected: u64) -> String {
    match (read - kept, rejected) {
        (0, rejected) => format!("{rejected} cannot be used"),
        (dropped, 0) => format!("`where` drops {dropped}"),
        (dropped, rejected) => format!("`where` drops {dropped}, and {rejected} cannot be used"),
    }
}

/// Rows are numbered in 32 bits, and the last number stands for null.
const MAX_ROWS: u64 = u32::MAX as u64 - 1;

/// Reads all rows of a survey once, and writes the prepared store into the folder `dir`, its header last. Where `[prepare]`
/// learns from the vectors, they are left as they are for [`super::fit`].
/// `on_rows` hears how many rows each step has read.
///
/// # Errors
/// A file cannot be read or has changed; a row cannot be used and the pipeline does not allow skipping; nothing is left;
/// no class has two rows; the folder cannot be written.
pub async fn prepare(
    params: &Params,
    survey: &Survey,
    dir: &Path,
    on_rows: &(dyn Fn(u64) + Sync),
) -> Result<(), PrepareError> {
    let mut preparation = Preparation::begin(params, survey, dir)?;
    let mut scan = Scan::new(&survey.files, survey.selection.expressions(), survey.row_bytes())?;
    while let Some(stretch) = scan.next().await? {
        preparation.add(&stretch)?;
        on_rows(stretch.batch.num_rows() as u64);
    }
    preparation.finish()
}

struct Preparation<'a> {
    params: &'a Params,
    survey: &'a Survey,
    draft: Draft,
    preparer: Preparer,
    seen: Seen,
    rejects: Rejects,
    labels: Coder,
    groups: Vec<Coder>,
    /// Rows that `where` kept; rows of these that passed; rows of these with a label.
    kept: u64,
    rows: u64,
    labelled: u64,
}

/// The columns of some rows beside their vectors, each in the type it is kept in.
struct Columns {
    label: ArrayRef,
    groups: Vec<ArrayRef>,
    /// The id, then the carried columns.
    table: Vec<ArrayRef>,
}

impl<'a> Preparation<'a> {
    fn begin(params: &'a Params, survey: &'a Survey, dir: &Path) -> Result<Self, PrepareError> {
        let selection = &survey.selection;
        let id_type = selection.id.as_ref().map_or(DataType::UInt64, |(_, data_type)| data_type.clone());
        let mut fields = vec![Field::new("id", id_type.clone(), false)];
        fields.extend(selection.carry.iter().map(|(name, _, data_type)| Field::new(name, data_type.clone(), true)));
        let coder = |(_, data_type): &(_, DataType)| {
            Coder::new(data_type.clone()).map_err(|source| PrepareError::Column { path: params.path.clone(), source })
        };
        Ok(Self {
            params,
            survey,
            draft: Draft::create(dir, fields, selection.groups.len())?,
            preparer: Preparer::new(params.reading_metric(), &selection.embedding.1),
            seen: Seen::default(),
            rejects: Rejects::new(id_type),
            labels: coder(&selection.label)?,
            groups: selection.groups.iter().map(coder).collect::<Result<_, _>>()?,
            kept: 0,
            rows: 0,
            labelled: 0,
        })
    }

    fn add(&mut self, stretch: &Stretch) -> Result<(), PrepareError> {
        let unfit = |source| PrepareError::Column { path: stretch.file.path.clone(), source };
        let columns = self.columns(stretch).map_err(unfit)?;
        let digests = ids::digests(&columns.table[0]).map_err(unfit)?;
        let passed = self.check(stretch, &columns.table[0], &digests).map_err(unfit)?;
        if let Some(dims) = self.preparer.dims() {
            // Not only when all is read.
            check_dims(&self.params.fitting, self.survey.matrix(), dims).map_err(Box::new)?;
        }
        self.rows += passed.len() as u64;
        if self.rows > MAX_ROWS {
            return Err(PrepareError::TooManyRows { path: self.params.path.clone() });
        }
        let columns = columns.only(&passed, stretch.batch.num_rows()).map_err(unfit)?;
        let labels = self.labels.encode(&columns.label).map_err(unfit)?;
        self.labelled += labels.iter().filter(|label| !label.is_null()).count() as u64;
        let groups = self.groups.iter_mut().zip(&columns.groups).map(|(coder, values)| coder.encode(values));
        let first = stretch.first_source_row();
        self.draft.append(Rows {
            vectors: self.preparer.prepared(),
            labels: &labels,
            groups: &groups.collect::<Result<Vec<_>, _>>().map_err(unfit)?,
            keys: &passed.iter().map(|&row| ids::key(digests[row as usize])).collect::<Vec<_>>(),
            source_rows: &passed.iter().map(|&row| first + u64::from(row)).collect::<Vec<_>>(),
            table: columns.table,
        })?;
        self.preparer.clear();
        Ok(())
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
        let label = next(&selection.label.1)?;
        let groups = selection.groups.iter().map(|(_, data_type)| next(data_type)).collect::<Result<_, _>>()?;
        let carried: Vec<ArrayRef> =
            selection.carry.iter().map(|(_, _, data_type)| next(data_type)).collect::<Result<_, _>>()?;
        let mut table = vec![match &selection.id {
            Some((_, data_type)) => next(data_type)?,
            None => ids::positions(stretch.first_source_row(), stretch.batch.num_rows()),
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
                Err(self.repeats(first))
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

    fn repeats(&self, source_row: u64) -> Flaw {
        let (file, file_row) = self.survey.place(source_row);
        Flaw::RepeatedId { file: file.name.clone(), file_row }
    }

    fn finish(self) -> Result<(), PrepareError> {
        let Self { params, survey, draft, preparer, rejects, labels, .. } = self;
        if params.bad_rows == BadRows::Error && rejects.len() > 0 {
            return Err(PrepareError::BadRows(rejects.into_refusal(self.kept)));
        }
        let (read, kept, passed) = (survey.rows(), self.kept, self.rows);
        Usable { read, kept, passed, labelled: self.labelled, classes: labels.len() }.check(params)?;
        let header = Header {
            format: layout::FORMAT.to_owned(),
            version: layout::VERSION,
            rows: self.rows as u32,
            dims: preparer.dims().unwrap_or(0),
            metric: params.reading_metric(),
            max_norm: preparer.max_norm(),
            classes: labels.len(),
            groups: params.groups.iter().map(|(name, _)| name.clone()).collect(),
            fingerprint: survey.fingerprint().to_owned(),
        };
        let unfit = |source| PrepareError::Column { path: params.path.clone(), source };
        let (labels, rejected) = (labels.into_values().map_err(unfit)?, rejects.into_batch().map_err(unfit)?);
        Ok(draft.finish(&header, labels, rejected)?)
    }
}

/// Counts that decide whether a store can give triplets at all.
pub(super) struct Usable {
    pub read: u64,
    /// Of these, kept by `where`; of these, passed every check; of these, have a label.
    pub kept: u64,
    pub passed: u64,
    pub labelled: u64,
    pub classes: usize,
}

impl Usable {
    pub fn check(&self, params: &Params) -> Result<(), PrepareError> {
        let &Self { read, kept, passed, labelled, classes } = self;
        let (path, label) = (params.path.clone(), params.label.clone());
        if passed == 0 {
            return Err(PrepareError::NothingLeft { path, read, kept, rejected: kept });
        }
        if labelled == 0 {
            return Err(PrepareError::NoLabels { path, label, rows: passed });
        }
        // As many classes as rows: one row each.
        if classes as u64 == labelled {
            return Err(PrepareError::NoPairs { path, label, classes, rows: labelled });
        }
        Ok(())
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
        let label = arrow::compute::take(&self.label, &passed, None)?;
        Ok(Self { label, groups: only(&self.groups)?, table: only(&self.table)? })
    }
}
