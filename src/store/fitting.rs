//! What becomes of vectors before they are compared: as asked for, and as learned.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::npy::Npy;

/// `[prepare]`: what is learned from the store's own vectors, and applied to them before the metric's normalisation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fitting {
    /// First, each dimension to mean 0 and variance 1.
    pub standardize: bool,
    /// Then this.
    pub transform: Transform,
    /// Dimensions to keep of PCA and LDA; none: all they give.
    pub dimensions: Option<usize>,
}

/// A linear transform of vectors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Transform {
    #[default]
    None,
    /// See [`crate::kernel::linear::whitening`].
    PcaWhiten,
    /// See [`crate::kernel::linear::relevant`].
    Rca,
    /// See [`crate::kernel::linear::discriminants`].
    Lda,
    /// `x ↦ L·x`, with L from this file.
    Matrix(PathBuf),
}

impl Transform {
    /// The names of a pipeline, but for files.
    pub const NAMES: [&str; 4] = ["none", "pca-whiten", "rca", "lda"];

    /// As written in a pipeline, but for files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PcaWhiten => "pca-whiten",
            Self::Rca => "rca",
            Self::Lda => "lda",
            Self::Matrix(_) => "matrix",
        }
    }
}

impl Fitting {
    /// Whether it changes vectors at all.
    pub fn is_set(&self) -> bool {
        self.standardize || self.transform != Transform::None
    }

    /// Whether it knows the labels of the rows that it is learned from.
    pub fn knows_labels(&self) -> bool {
        matches!(self.transform, Transform::Rca | Transform::Lda)
    }

    /// `standardize, pca-whiten`.
    pub fn name(&self) -> String {
        match (self.standardize, &self.transform) {
            (true, Transform::None) => "standardize".to_owned(),
            (true, transform) => format!("standardize, {}", transform.name()),
            (false, transform) => transform.name().to_owned(),
        }
    }

    /// Dimensions that vectors of `d` have afterwards, in a store of `classes` classes; `matrix` is that of the file.
    pub fn dims(&self, d: usize, classes: u64, matrix: Option<&super::Matrix>) -> usize {
        let keep = |all: usize| self.dimensions.unwrap_or(all).min(all);
        match &self.transform {
            Transform::None | Transform::Rca => d,
            Transform::PcaWhiten => keep(d),
            Transform::Lda => keep(d.min(usize::try_from(classes).unwrap_or(d).saturating_sub(1))),
            Transform::Matrix(_) => matrix.map_or(d, |matrix| matrix.rows),
        }
    }

    /// Bytes that [`super::fit`] holds at most, of vectors of `d` dimensions that get `k`, on so many threads.
    pub fn bytes(&self, d: u64, k: u64, threads: u64) -> u64 {
        const VALUE: u64 = size_of::<f64>() as u64;
        let squares = match self.transform {
            Transform::None => 1,
            // The matrix and its panels.
            Transform::Matrix(_) => 3,
            // The scatter and the solver's three, the directions and what is made of them.
            Transform::PcaWhiten | Transform::Rca => 5,
            Transform::Lda => 8,
        };
        if !self.is_set() {
            return 0;
        }
        let (chunk, task, wave) = (super::fit::CHUNK_VALUES * d, super::fit::TASK_ROWS, super::fit::WAVE_ROWS);
        let applied = threads * task * (2 * d + 2 * k) + wave * k;
        VALUE * (squares * (d.max(k) + 8).pow(2) + chunk + applied)
    }
}

/// What a fitted store was made with: `x ↦ L·(x − m)`, read in place.
pub struct Fitted {
    pub(super) mean: Npy<f64>,
    pub(super) matrix: Npy<f64>,
    /// [`Fitting::name`].
    pub name: String,
    /// Directions in which next to nothing varies, as [`crate::kernel::linear::FLOOR`] has it; kept, but not stretched in
    /// full. Of standardizing alone, dimensions that are constant but for noise.
    pub floored: usize,
}

impl Fitted {
    /// `m`: d values.
    pub fn mean(&self) -> &[f64] {
        self.mean.values()
    }

    /// `L`: k × d, row-major.
    pub fn matrix(&self) -> &[f64] {
        self.matrix.values()
    }
}

/// `fitted.json`: written last, so that without it the fit is not complete.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FittedHeader {
    pub name: String,
    pub dims: usize,
    pub metric: crate::kernel::Metric,
    /// Largest L2 norm of a fitted vector.
    pub max_norm: f64,
    pub floored: usize,
    pub files: super::layout::Files,
}
