//! Whether vectors have the dimensions that a pipeline needs, as far as the first rows tell: worth asking before all are read.

use super::fit::{check_dims, discriminant_dims};
use super::pace::Pace;
use super::prepare::PrepareError;
use super::scan::Scan;
use super::survey::{DimensionsDiffer, Survey, Surveys};
use super::vectors::Vectors;
use super::{Params, Sources, Transform};

/// Looks at the first vectors of each table; `classes` are those of the store. Gives the values of a vector of the store, where the
/// first ones agree.
///
/// # Errors
/// A matrix of another width, or more dimensions asked for than there can be; queries of other dimensions than the store.
pub async fn check_dimensions(
    sources: impl Into<Sources<'_>>,
    surveys: &Surveys,
    classes: u64,
) -> Result<Option<usize>, PrepareError> {
    let sources = sources.into();
    let (store, fitting) = (first_dims(&surveys.store).await?, &sources.store.fitting);
    if let Some(dims) = store {
        check_dims(fitting, surveys.store.matrix(), dims).map_err(Box::new)?;
        if fitting.transform == Transform::Lda {
            discriminant_dims(fitting, usize::try_from(classes).unwrap_or(usize::MAX), dims).map_err(Box::new)?;
        }
    }
    if let (Some(params), Some(survey)) = (sources.queries, &surveys.queries) {
        let params: [&Params; 2] = [sources.store, params];
        DimensionsDiffer::check(params, [store, first_dims(survey).await?])?;
    }
    Ok(store)
}

/// Values of a vector; `None` where the first ones differ, and rows that are left out may be among them.
async fn first_dims(survey: &Survey) -> Result<Option<usize>, PrepareError> {
    if let Some(arrays) = survey.arrays() {
        return Ok(Some(arrays.dims()));
    }
    let embedding = survey.selection.embedding.0.clone();
    let mut scan = Scan::new(&survey.files, vec![embedding], survey.widest_row(), Pace::slowest(1))?;
    let Some(stretch) = scan.next().await? else { return Ok(None) };
    Ok(Vectors::of(stretch.batch.column(0)).and_then(|vectors| vectors.common_length(stretch.batch.num_rows())))
}
