//! Sections that do not go together.

use super::error::Complaint;
use super::spec::Spec;
use crate::manifest::{Columns, Format, Layout};
use crate::mine::{Batches, Weighting};
use crate::{manifest, mine};

pub(super) fn check(spec: &Spec, mine: &mine::Params, output: &manifest::Params) -> Result<(), Complaint> {
    let balance = mine.balance;
    for (key, asked) in [
        ("balance.anchors_per_class", balance.anchors_per_class.is_some()),
        ("balance.oversample_to", balance.oversample_to.is_some()),
        ("balance.weights", balance.weights != Weighting::None),
    ] {
        if spec.pairs.is_some() && asked {
            let message =
                "goes by classes, and with [pairs] no row has one; leave it out, or use labels instead of pairs";
            return Err(Complaint::new(key, message));
        }
    }
    let classless = match (spec.pairs.is_some(), spec.queries.is_some()) {
        (true, _) => Some("rows of several classes, and with [pairs] no row has one"),
        (false, true) => Some("rows of the store, anchors among them, and with [queries] anchors are of another table"),
        (false, false) => None,
    };
    if let (Some(classless), Some(Batches::Pk(_))) = (classless, mine.batches) {
        let message = format!("puts together {classless}; choose kind = \"triplets\"");
        return Err(Complaint::new("batches.kind", message));
    }
    if spec.pairs.is_some() && ["rca", "lda"].contains(&spec.prepare.transform.as_str()) {
        let message =
            "learns from classes, and with [pairs] no row has one; choose pca-whiten, or use labels instead of pairs";
        return Err(Complaint::new("prepare.transform", message));
    }
    let whole = output.layout == Layout::Triplet && output.columns == Columns::All;
    let rows = [("balance", balance.is_on()), ("batches.kind", matches!(mine.batches, Some(Batches::Triplets { .. })))];
    if let Some((key, _)) = rows.into_iter().find(|(_, asked)| *asked && !whole) {
        let message =
            "speaks of single triplets; expected output.layout = \"triplet\" with all columns, or leave it out";
        return Err(Complaint::new(key, message));
    }
    if balance.weights != Weighting::None && output.format == Format::Npy {
        return Err(Complaint::new("balance.weights", "fills a column that an array of row indices has no place for"));
    }
    Ok(())
}
