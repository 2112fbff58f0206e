//! How many rows and classes there are: what can be said of a store without reading its vectors.

use arrow::array::ArrayRef;
use arrow::compute::{cast, filter};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use serde::Serialize;

use super::codes::Coder;
use super::prepare::{PrepareError, Usable};
use super::scan::{Scan, Stretch};
use super::survey::Survey;
use super::{Code, Params};

/// The rows and classes of a store, by label. Rows that preparing will reject are counted with the rest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Census {
    /// Rows of all files.
    pub rows: u64,
    /// Of these, kept by `where`.
    pub kept: u64,
    pub classes: u64,
    /// Rows of the largest class.
    pub largest_class: u64,
    /// Classes of one row.
    pub singletons: u64,
    /// Rows kept whose label is null.
    pub unlabelled: u64,
    /// Rows kept that share their class with another.
    pub anchors: u64,
    /// Of all anchors together, the rows of their classes.
    pub same_class: u64,
    /// Of all distinct labels together.
    pub label_bytes: u64,
}

/// Reads labels and `where`, no vectors.
///
/// # Errors
/// Those of [`super::prepare`] that labels alone can tell.
pub async fn census(params: &Params, survey: &Survey) -> Result<Census, PrepareError> {
    let (label, data_type) = &survey.selection.label;
    let mut expressions = vec![label.clone()];
    expressions.extend(survey.selection.filter.clone());
    let mut scan = Scan::new(&survey.files, expressions, 1)?;
    let mut kept = 0;
    let unfit = |source| PrepareError::Column { path: params.path.clone(), source };
    let mut count = ClassCount::new(data_type.clone()).map_err(unfit)?;
    while let Some(stretch) = scan.next().await? {
        let labels = kept_labels(&stretch, data_type).map_err(unfit)?;
        kept += labels.len() as u64;
        count.add(&labels).map_err(unfit)?;
    }
    let census = Census {
        rows: survey.rows(),
        kept,
        classes: count.classes() as u64,
        largest_class: count.largest(),
        singletons: count.singletons(),
        unlabelled: count.nulls,
        anchors: kept - count.nulls - count.singletons(),
        same_class: count.rows.iter().filter(|&&rows| rows > 1).map(|rows| rows * rows).sum(),
        label_bytes: count.coder.bytes() as u64,
    };
    let labelled = kept - count.nulls;
    Usable { read: census.rows, kept, passed: kept, labelled, classes: count.classes() }.check(params)?;
    Ok(census)
}

fn kept_labels(stretch: &Stretch, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let labels = cast(stretch.batch.column(0), data_type)?;
    match stretch.keeps(1)? {
        Some(keeps) => filter(&labels, &keeps),
        None => Ok(labels),
    }
}

/// Rows by distinct value.
pub(super) struct ClassCount {
    coder: Coder,
    rows: Vec<u64>,
    pub nulls: u64,
}

impl ClassCount {
    pub fn new(data_type: DataType) -> Result<Self, ArrowError> {
        Ok(Self { coder: Coder::new(data_type)?, rows: Vec::new(), nulls: 0 })
    }

    pub fn add(&mut self, values: &ArrayRef) -> Result<(), ArrowError> {
        for code in self.coder.encode(values)? {
            if code == Code::NULL {
                self.nulls += 1;
                continue;
            }
            if code.index() == self.rows.len() {
                self.rows.push(0);
            }
            self.rows[code.index()] += 1;
        }
        Ok(())
    }

    pub fn classes(&self) -> usize {
        self.rows.len()
    }

    /// Rows of the largest class.
    pub fn largest(&self) -> u64 {
        self.rows.iter().copied().max().unwrap_or(0)
    }

    /// Classes of one row.
    pub fn singletons(&self) -> u64 {
        self.rows.iter().filter(|&&rows| rows == 1).count() as u64
    }
}
