//! `[prepare]`, checked.

use std::path::{Path, PathBuf};

use super::error::{Complaint, nearest};
use super::paths::input;
use super::spec::PrepareSpec;
use crate::remote::Address;
use crate::store::{Fitting, MATRIX_FILES, Transform};

/// What is learned from the vectors; a file's path is relative to `base`.
pub(super) fn fitting(spec: &PrepareSpec, base: &Path) -> Result<Fitting, Complaint> {
    let transform = transform(&spec.transform, base)?;
    let keeps = matches!(transform, Transform::PcaWhiten | Transform::Lda);
    if spec.dimensions > 0 && !keeps {
        let message = format!(
            "prepare.transform = {:?} has no first dimensions to keep; expected pca-whiten or lda, or dimensions = 0",
            spec.transform
        );
        return Err(Complaint::new("prepare.dimensions", message));
    }
    let dimensions = Some(spec.dimensions).filter(|dimensions| *dimensions > 0);
    Ok(Fitting { standardize: spec.standardize, transform, dimensions })
}

fn transform(written: &str, base: &Path) -> Result<Transform, Complaint> {
    const KEY: &str = "prepare.transform";
    Ok(match written {
        "none" => Transform::None,
        "pca-whiten" => Transform::PcaWhiten,
        "rca" => Transform::Rca,
        "lda" => Transform::Lda,
        file if is_matrix_file(file) => Transform::Matrix(input(base, KEY, file)?),
        other => {
            let hint =
                nearest(other, Transform::NAMES).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
            let (names, files) = (Transform::NAMES.join(", "), MATRIX_FILES.join(" or "));
            let message = format!("unknown transform; {hint}expected {names}, or a file that ends with {files}");
            return Err(Complaint::new(KEY, message));
        }
    })
}

/// Whether `prepare.transform` names a file, and not a way to learn.
pub(super) fn is_matrix_file(written: &str) -> bool {
    let name = Address::parse(written).and_then(Result::ok).map_or(written.to_owned(), |address| address.name());
    MATRIX_FILES.iter().any(|ending| name.ends_with(ending))
}

/// The file that `prepare.transform` names.
pub(super) fn matrix_file(fitting: &Fitting) -> Option<&PathBuf> {
    match &fitting.transform {
        Transform::Matrix(path) => Some(path),
        _ => None,
    }
}
