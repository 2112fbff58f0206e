//! Learns what `[prepare]` asks for from the vectors of a prepared store, and applies it to them.
//!
//! Rows are summed in fixed chunks in a fixed order, so neither threads nor machines change a bit of it. Nothing here grows
//! with the rows: vectors are read where they are mapped and written as they come.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::draft::{FitDraft, WriteError};
use super::fitting::{FittedHeader, Fitting, Transform};
use super::flaw::Flaw;
use super::layout::{self, Files};
use super::matrix::Matrix;
use super::prepared::{OpenError, Prepared};
use super::survey::Surveys;
use super::vectors::finish;
use super::{Code, Params, Row, Section};
use crate::disk;
use crate::kernel::Metric;
use crate::kernel::linear::{CHUNK, Gram, LearnError, Learned, Map, discriminants, relevant, whitening};

/// Why vectors cannot be transformed as asked.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    #[error("prepare.dimensions = {asked}: found vectors of {dims} dimensions; expected at most that, or 0 for all")]
    TooMany { asked: usize, dims: usize },
    #[error(
        "prepare.dimensions = {asked}: {classes} classes in {dims} dimensions give lda at most {most}; expected at most \
         that, or 0 for all"
    )]
    TooManyDiscriminants { asked: usize, classes: usize, dims: usize, most: usize },
    #[error("prepare.transform = \"lda\": found one class; expected two or more, as lda tells classes apart")]
    OneClass,
    #[error(
        "prepare.transform: {}: found a matrix of {rows} × {width}, expected one with {dims} columns, one for each \
         dimension of the vectors", .path.display()
    )]
    Width { path: std::path::PathBuf, rows: usize, width: usize, dims: usize },
    #[error("prepare.transform = \"{name}\": found {found}, in which {source}; expected vectors that differ")]
    Learn { name: &'static str, found: &'static str, source: LearnError },
    #[error(
        "{file}, row {row}: after [prepare] {flaw}; leave the row out with {}.where (bad_rows cannot: it looks at rows before \
         [prepare] does)", .section.name()
    )]
    Row { section: Section, file: String, row: u64, flaw: String },
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Values that a fit holds for each dimension, beside matrices: those of a chunk of the scatter, twice for LDA, and the sums
/// of a wave.
pub(super) const CHUNK_VALUES: u64 = 2 * CHUNK as u64 + SUMMED_AT_ONCE as u64 + 16;
/// Rows that one thread maps at a time, and rows that are mapped before they are written.
pub(super) const TASK_ROWS: u64 = 64;
pub(super) const WAVE_ROWS: u64 = 2_048;
/// Rows that are summed together before they join the whole: part of the definition of the sum.
const SUMMED: u32 = 1_024;
/// Such sums that are made at once.
const SUMMED_AT_ONCE: usize = 64;
/// Of a dimension's mean, or of the widest dimension's deviation, a deviation that is no more than the noise of f32: the
/// dimension is constant, and stays so. Models do have such dimensions.
const CONSTANT: f64 = 1e-6;

/// Learns from the rows `learned` of a store that was [prepared](super::prepare) under the same `params`, applies it to all
/// rows, queries among them, and opens the store that results; it lies in the same folder. `on_rows` hears of rows as they are written.
///
/// # Errors
/// When the vectors do not have the dimensions that were asked for or vary too little, when a vector becomes zero under
/// cosine or too long, and when the folder cannot be written.
pub fn fit(
    raw: Prepared,
    params: &Params,
    surveys: &Surveys,
    learned: Range<u32>,
    on_rows: &(dyn Fn(u64) + Sync),
) -> Result<Prepared, FitError> {
    let dir = raw.dir().to_owned();
    let written = write(&raw, params, surveys, learned, on_rows);
    drop(raw);
    if written.is_err() {
        // As of preparing: what went wrong before matters more than this.
        let _ = disk::remove_file(&dir.join(layout::FITTED_VECTORS));
    }
    written?;
    Ok(Prepared::open(&dir)?)
}

fn write(
    raw: &Prepared,
    params: &Params,
    surveys: &Surveys,
    learned: Range<u32>,
    on_rows: &(dyn Fn(u64) + Sync),
) -> Result<(), FitError> {
    let sample = Sample { raw, rows: learned, without: &[] };
    let (map, floored) = learn(&sample, &params.fitting, surveys.store.matrix())?;
    let (d, k) = (raw.dims(), map.dims());
    let mut draft = FitDraft::create(raw.dir())?;
    let mut max_squared_norm = 0.0f64;
    for (wave, vectors) in raw.vectors().chunks(WAVE_ROWS as usize * d).enumerate() {
        let tasks: Vec<_> = vectors.par_chunks(TASK_ROWS as usize * d).map(|some| apply(&map, some, params)).collect();
        for (task, mapped) in tasks.into_iter().enumerate() {
            let first = wave * WAVE_ROWS as usize + task * TASK_ROWS as usize;
            let (mapped, squared_norm) = mapped.map_err(|(row, flaw)| refusal(raw, surveys, first + row, &flaw))?;
            max_squared_norm = max_squared_norm.max(squared_norm);
            on_rows((mapped.len() / k) as u64);
            draft.append(&mapped)?;
        }
    }
    let (name, metric, max_norm) = (params.fitting.name(), params.metric, max_squared_norm.sqrt());
    Ok(draft.finish(&map, FittedHeader { name, dims: k, metric, max_norm, floored, files: Files::new() })?)
}

/// What [`fit`] would have learned without some rows, to be tried on these: what was learned from a row flatters it.
pub struct Without<'a> {
    store: &'a Prepared,
    metric: Metric,
    map: Map,
}

impl<'a> Without<'a> {
    /// Learns what `fitting` asks for, but for a matrix from a file, from all rows of the corpus but `rows`, which ascend. Takes as
    /// long as learning did.
    ///
    /// # Errors
    /// When the other rows vary too little.
    pub fn new(store: &'a Prepared, fitting: &Fitting, metric: Metric, rows: &[Row]) -> Result<Self, FitError> {
        let sample = Sample { raw: store, rows: store.corpus(), without: rows };
        Ok(Self { store, metric, map: learn(&sample, fitting, None)?.0 })
    }

    /// The vectors of some rows under it, on one thread. One that cannot be used lies at the origin.
    pub fn vectors(&self, rows: &[Row]) -> Vec<Vec<f32>> {
        let raw: Vec<f32> = rows.iter().flat_map(|row| self.store.raw(*row)).copied().collect();
        let finished = |mapped: &[f64]| {
            let mut vector: Vec<f32> = mapped.iter().map(|&value| value as f32).collect();
            if vector.iter().any(|value| !value.is_finite()) || finish(&mut vector, self.metric).is_err() {
                vector.fill(0.0);
            }
            vector
        };
        self.map.apply(&raw).chunks_exact(self.map.dims()).map(finished).collect()
    }
}

/// Mapped rows with their largest squared norm, or the first row that cannot be used.
fn apply(map: &Map, vectors: &[f32], params: &Params) -> Result<(Vec<f32>, f64), (usize, Flaw)> {
    let (mapped, k) = (map.apply(vectors), map.dims());
    let mut fitted: Vec<f32> = mapped.iter().map(|&value| value as f32).collect();
    let mut max_squared_norm = 0.0f64;
    for (row, vector) in fitted.chunks_exact_mut(k).enumerate() {
        if let Some(element) = vector.iter().position(|value| !value.is_finite()) {
            return Err((row, Flaw::OutOfRange { element, value: mapped[row * k + element] }));
        }
        max_squared_norm = max_squared_norm.max(finish(vector, params.metric).map_err(|flaw| (row, flaw))?);
    }
    Ok((fitted, max_squared_norm))
}

fn refusal(raw: &Prepared, surveys: &Surveys, row: usize, flaw: &Flaw) -> FitError {
    let (section, survey) = match &surveys.queries {
        Some(queries) if row >= raw.corpus().end as usize => (Section::Queries, queries),
        _ => (Section::Store, &surveys.store),
    };
    let (file, row) = survey.place(raw.source_rows()[row]);
    FitError::Row { section, file: file.name.clone(), row, flaw: flaw.to_string() }
}

/// Whether what was asked for fits vectors of `dims` dimensions.
pub(super) fn check_dims(fitting: &Fitting, matrix: Option<&Matrix>, dims: usize) -> Result<(), FitError> {
    if let Some(Matrix { path, rows, width, .. }) = matrix
        && *width != dims
    {
        return Err(FitError::Width { path: path.clone(), rows: *rows, width: *width, dims });
    }
    match fitting.dimensions {
        Some(asked) if asked > dims => Err(FitError::TooMany { asked, dims }),
        _ => Ok(()),
    }
}

/// What is asked for, learned from some rows, and how many of its directions were lifted.
fn learn(sample: &Sample, fitting: &Fitting, matrix: Option<&Matrix>) -> Result<(Map, usize), FitError> {
    let d = sample.raw.raw_dims();
    check_dims(fitting, matrix, d)?;
    let name = fitting.transform.name();
    let failed = |found| move |source| FitError::Learn { name, found, source };
    let mean =
        if fitting.standardize || fitting.transform == Transform::PcaWhiten { sample.mean() } else { vec![0.0; d] };
    let (scales, constant) = if fitting.standardize { sample.scales(&mean) } else { (vec![1.0; d], 0) };
    let (learned, centre) = match &fitting.transform {
        Transform::None => {
            let identity = (0..d * d).map(|at| if at / d == at % d { 1.0 } else { 0.0 }).collect();
            (Learned { matrix: identity, floored: constant }, mean)
        }
        Transform::PcaWhiten => {
            let covariance = sample.covariance(&mean, &scales);
            let keep = fitting.dimensions.unwrap_or(d);
            (whitening(covariance, d, keep).map_err(failed("a store"))?, mean)
        }
        Transform::Rca => {
            // A row alone in its class tells nothing of what varies within one.
            (relevant(sample.within(&scales, 2), d).map_err(failed("classes"))?, mean)
        }
        Transform::Lda => {
            let (classes, mean) = sample.labelled();
            let keep = discriminant_dims(fitting, classes, d)?;
            let (within, between) = (sample.within(&scales, 1), sample.between(&mean, &scales));
            (discriminants(within, &between, d, keep).map_err(failed("classes"))?, mean)
        }
        Transform::Matrix(_) => {
            let values = matrix.map_or_else(Vec::new, |matrix| matrix.values.clone());
            (Learned { matrix: values, floored: constant }, mean)
        }
    };
    let Learned { mut matrix, floored } = learned;
    for row in matrix.chunks_exact_mut(d) {
        row.iter_mut().zip(&scales).for_each(|(value, scale)| *value *= scale);
    }
    Ok((Map::new(centre, matrix), floored))
}

/// Directions that lda gives, in a store of `classes` classes.
pub(super) fn discriminant_dims(fitting: &Fitting, classes: usize, dims: usize) -> Result<usize, FitError> {
    let most = dims.min(classes.saturating_sub(1));
    match fitting.dimensions {
        _ if most == 0 => Err(FitError::OneClass),
        Some(asked) if asked > most => Err(FitError::TooManyDiscriminants { asked, classes, dims, most }),
        asked => Ok(asked.unwrap_or(most)),
    }
}

/// The rows that are learned from.
struct Sample<'a> {
    raw: &'a Prepared,
    rows: Range<u32>,
    /// But for these, ascending.
    without: &'a [Row],
}

impl<'a> Sample<'a> {
    fn has(&self, row: Row) -> bool {
        self.without.is_empty() || self.without.binary_search(&row).is_err()
    }

    /// Those of a stretch of the store.
    fn vectors(&self, rows: Range<u32>) -> impl Iterator<Item = &'a [f32]> {
        rows.map(Row).filter(|row| self.has(*row)).map(|row| self.raw.raw(row))
    }

    fn count(&self) -> f64 {
        f64::from(self.rows.end - self.rows.start - self.without.len() as u32)
    }

    /// The mean over all rows of `term` of each value and its dimension.
    fn mean_of(&self, term: impl Fn(usize, f64) -> f64 + Sync) -> Vec<f64> {
        let d = self.raw.raw_dims();
        let mut sums = vec![0.0; d];
        let stretch = |first: u32| first..self.rows.end.min(first.saturating_add(SUMMED));
        let firsts: Vec<u32> = self.rows.clone().step_by(SUMMED as usize).collect();
        for wave in firsts.chunks(SUMMED_AT_ONCE) {
            let parts: Vec<Vec<f64>> = wave
                .par_iter()
                .map(|first| {
                    let mut part = vec![0.0; d];
                    for vector in self.vectors(stretch(*first)) {
                        for (i, (sum, &value)) in part.iter_mut().zip(vector).enumerate() {
                            *sum += term(i, f64::from(value));
                        }
                    }
                    part
                })
                .collect();
            for part in parts {
                sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
        }
        let n = self.count();
        sums.iter().map(|sum| sum / n).collect()
    }

    fn mean(&self) -> Vec<f64> {
        self.mean_of(|_, value| value)
    }

    /// One over each dimension's deviation; 1 where it is constant, and how many are.
    fn scales(&self, mean: &[f64]) -> (Vec<f64>, usize) {
        let variances = self.mean_of(|i, value| (value - mean[i]) * (value - mean[i]));
        let widest = variances.iter().fold(0.0f64, |widest, variance| widest.max(variance.sqrt()));
        let varies = |(variance, mean): (&f64, &f64)| variance.sqrt() > CONSTANT * widest.max(mean.abs());
        let scales = variances.iter().zip(mean).map(|of| if varies(of) { 1.0 / of.0.sqrt() } else { 1.0 }).collect();
        (scales, variances.iter().zip(mean).filter(|of| !varies(*of)).count())
    }

    /// Of the scaled vectors: divided by the number of rows, as the variances are.
    fn covariance(&self, mean: &[f64], scales: &[f64]) -> Vec<f64> {
        let mut gram = Gram::new(mean.len());
        self.vectors(self.rows.clone()).for_each(|vector| gram.add(scaled(vector, mean, scales)));
        gram.finish(1.0 / self.count())
    }

    /// Rows of each class that has any among those learned from, with their mean. The means are made as they are asked for:
    /// those of a million classes would not fit.
    fn classes(&self) -> impl Iterator<Item = (Cow<'a, [Row]>, Vec<f64>)> {
        let (raw, rows) = (self.raw, self.rows.clone());
        let members = (0..raw.classes() as u32).map(move |code| {
            let members = raw.members(Code(code));
            let from = members.partition_point(|row| row.0 < rows.start);
            let members = &members[from..members.partition_point(|row| row.0 < rows.end)];
            match self.without {
                [] => Cow::Borrowed(members),
                _ => members.iter().copied().filter(|row| self.has(*row)).collect(),
            }
        });
        members.filter(|members| !members.is_empty()).map(|members| {
            let mut mean = vec![0.0; raw.raw_dims()];
            for row in members.iter() {
                mean.iter_mut().zip(raw.raw(*row)).for_each(|(sum, &value)| *sum += f64::from(value));
            }
            mean.iter_mut().for_each(|sum| *sum /= members.len() as f64);
            (members, mean)
        })
    }

    /// The covariance of the scaled vectors within classes of at least `least` rows, over all rows of these.
    fn within(&self, scales: &[f64], least: usize) -> Vec<f64> {
        let (mut gram, mut rows) = (Gram::new(scales.len()), 0);
        for (members, mean) in self.classes().filter(|(members, _)| members.len() >= least) {
            rows += members.len();
            members.iter().for_each(|row| gram.add(scaled(self.raw.raw(*row), &mean, scales)));
        }
        gram.finish(1.0 / rows.max(1) as f64)
    }

    /// How many classes there are, and the mean of their rows.
    fn labelled(&self) -> (usize, Vec<f64>) {
        let (mut classes, mut rows, mut sum) = (0, 0, vec![0.0; self.raw.raw_dims()]);
        for (members, mean) in self.classes() {
            classes += 1;
            rows += members.len();
            sum.iter_mut().zip(mean).for_each(|(sum, mean)| *sum += mean * members.len() as f64);
        }
        sum.iter_mut().for_each(|sum| *sum /= rows.max(1) as f64);
        (classes, sum)
    }

    /// The covariance of the scaled means of classes around that of their rows, each class by its rows.
    fn between(&self, overall: &[f64], scales: &[f64]) -> Vec<f64> {
        let (mut gram, mut rows) = (Gram::new(scales.len()), 0);
        for (members, mean) in self.classes() {
            rows += members.len();
            let weight = (members.len() as f64).sqrt();
            let offsets = mean.iter().zip(overall).zip(scales);
            gram.add(offsets.map(|((mean, overall), scale)| (mean - overall) * scale * weight));
        }
        gram.finish(1.0 / rows.max(1) as f64)
    }
}

fn scaled<'v>(vector: &'v [f32], centre: &'v [f64], scales: &'v [f64]) -> impl Iterator<Item = f64> + 'v {
    vector.iter().zip(centre).zip(scales).map(|((&value, centre), scale)| (f64::from(value) - centre) * scale)
}
