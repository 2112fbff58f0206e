//! One table of embeddings while it is read: its rows held against each other, in order.

use arrow::datatypes::Field;
use arrow::error::ArrowError;

use super::examine::{Columns, Examined, Examiner, RowLook};
use super::flaw::Flaw;
use super::ids::{Digest, Seen};
use super::rejects::Rejects;
use super::survey::Survey;
use super::vectors::Judge;
use super::{Params, Section};

/// The corpus or the queries.
pub(super) struct Side<'a> {
    pub params: &'a Params,
    pub survey: &'a Survey,
    pub judge: Judge,
    pub seen: Seen,
    pub rejects: Rejects,
    /// Rows that `where` kept; rows of these that passed.
    pub kept: u64,
    pub rows: u64,
}

/// The rows of a stretch that passed: which, the digests of all ids, and their vectors and columns.
pub(super) struct Passed {
    pub rows: Vec<u32>,
    pub digests: Vec<Digest>,
    pub vectors: Vec<f32>,
    pub columns: Columns,
}

impl<'a> Side<'a> {
    pub fn new(params: &'a Params, survey: &'a Survey) -> Self {
        Self {
            params,
            survey,
            judge: Judge::new(&survey.selection.embedding.1),
            seen: Seen::default(),
            rejects: Rejects::new(params.section, params.bad_rows, survey.selection.id_type.clone()),
            kept: 0,
            rows: 0,
        }
    }

    pub fn section(&self) -> Section {
        self.params.section
    }

    pub fn examiner(&self) -> Examiner<'a> {
        Examiner { params: self.params, survey: self.survey }
    }

    /// The id, then the carried columns.
    pub fn fields(&self) -> Vec<Field> {
        let selection = &self.survey.selection;
        let carried = selection.carry.iter().map(|(name, _, data_type)| Field::new(name, data_type.clone(), true));
        std::iter::once(Field::new("id", selection.id_type.clone(), false)).chain(carried).collect()
    }

    /// Holds the rows of the next stretch against those before them.
    pub fn take_in(&mut self, stretch: Examined) -> Result<Passed, ArrowError> {
        let Examined { place, columns, digests, rows: looks, mut vectors } = stretch;
        let (mut passed, mut flawed) = (Vec::with_capacity(digests.len()), Vec::new());
        // Where the next vector is, and where it belongs once those of flawed rows are gone.
        let (mut from, mut to) = (0, 0);
        for ((row, &digest), look) in (0u32..).zip(&digests).zip(looks) {
            let width = match &look {
                RowLook::LeftOut => continue,
                RowLook::Vector(Ok((width, Ok(_)))) => *width,
                RowLook::NullId | RowLook::Vector(_) => 0,
            };
            self.kept += 1;
            match self.checked(digest, look) {
                Ok(()) => {
                    self.seen.insert(digest, place.source_row() + u64::from(row));
                    passed.push(row);
                    if from != to {
                        vectors.copy_within(from..from + width, to);
                    }
                    to += width;
                }
                Err(flaw) => flawed.push((row, flaw)),
            }
            from += width;
        }
        vectors.truncate(to);
        self.rejects.add(place, &columns.table[0], &flawed)?;
        self.rows += passed.len() as u64;
        let columns = columns.only(&passed, digests.len())?;
        Ok(Passed { rows: passed, digests, vectors, columns })
    }

    fn checked(&mut self, digest: Digest, look: RowLook) -> Result<(), Flaw> {
        let RowLook::Vector(look) = look else { return Err(Flaw::NullId) };
        if let Some(first) = self.seen.find(digest) {
            let (file, file_row) = self.survey.place(first);
            return Err(Flaw::RepeatedId { file: file.name.clone(), file_row });
        }
        self.judge.judge(look).map(|_| ())
    }
}
