//! What has no meaning where a row may have several labels. Known once the type of the label is.

use std::path::PathBuf;

use crate::config::Plan;
use crate::manifest::{Columns, Format};
use crate::mine::{Batches, Weighting};
use crate::store::{Surveys, Transform};

/// The pipeline asks for something of rows with several labels that only one label a row can give.
#[derive(Debug, thiserror::Error)]
#[error("{}: {key}: store.label = {label:?} gives a row several labels, and {why}; {cure}", .file.display())]
pub struct SeveralLabels {
    file: PathBuf,
    key: &'static str,
    label: String,
    why: &'static str,
    cure: &'static str,
    /// The line of the file that asks for it.
    pub excerpt: Option<String>,
}

/// # Errors
/// The first such thing.
pub fn check(plan: &Plan, survey: &Surveys) -> Result<(), SeveralLabels> {
    if !survey.several_labels() {
        return Ok(());
    }
    const ONE: &str = "leave it out, or choose one label, e.g. label = \"column[1]\"";
    const COUNTS: &str = "rows are counted here by the one class that they are of";
    let balance = &plan.mine.balance;
    let csv = matches!(plan.output.format, Format::Csv(_)) && plan.output.columns == Columns::All;
    let refused = [
        (balance.anchors_per_class.is_some(), "balance.anchors_per_class", COUNTS, ONE),
        (balance.oversample_to.is_some(), "balance.oversample_to", COUNTS, ONE),
        (balance.weights != Weighting::None, "balance.weights", COUNTS, ONE),
        (
            matches!(plan.mine.batches, Some(Batches::Pk(_))),
            "batches.kind = \"pk\"",
            "a batch of P classes by K rows has room for a row in one class",
            "choose kind = \"triplets\", or one label, e.g. label = \"column[1]\"",
        ),
        (
            matches!(plan.store.fitting.transform, Transform::Rca | Transform::Lda),
            "prepare.transform",
            "rca and lda learn from classes that have no row in common",
            "choose pca-whiten, or one label, e.g. label = \"column[1]\"",
        ),
        (
            csv,
            "output.format = \"csv\"",
            "CSV has no lists",
            "choose parquet, arrow or jsonl, or output.columns without labels",
        ),
    ];
    match refused.into_iter().find(|(asked, ..)| *asked) {
        None => Ok(()),
        Some((_, key, why, cure)) => {
            let label = plan.resolved["store"]["label"].as_str().unwrap_or_default().to_owned();
            let excerpt = plan.excerpt(key.split(' ').next().unwrap_or_default());
            Err(SeveralLabels { file: plan.file.clone(), key, label, why, cure, excerpt })
        }
    }
}
