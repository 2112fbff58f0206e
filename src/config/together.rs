//! Sections that do not go together.

use super::error::Complaint;
use super::spec::Spec;
use crate::manifest::{Columns, Format, Layout};
use crate::mine::{Batches, Weighting};
use crate::search::{DEEPEST, Index};
use crate::words::thousands;
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
    let guards = &mine.negatives.guards;
    if spec.search.index == Index::Hnsw && guards.ranks() as usize > DEEPEST {
        let key = if guards.window.is_some() { "window" } else { "skip_nearest" };
        let message = format!(
            "counts farther than the {} rows that a graph is asked for; choose search.index = \"cells\" or \"exact\"",
            thousands(DEEPEST as u64)
        );
        return Err(Complaint::new(format!("mine.negatives.{key}"), message));
    }
    let layout = output.layout;
    if let Some(Batches::Triplets { .. }) = mine.batches
        && !matches!(layout, Layout::Triplet | Layout::NTuple | Layout::Pair)
    {
        let message = format!(
            "is for losses that take rows of a batch for each other's negatives, and rows of layout \"{}\" are judged one by one; \
             expected output.layout = \"triplet\", \"n-tuple\" or \"pair\"",
            layout.name()
        );
        return Err(Complaint::new("batches.kind", message));
    }
    let without_column = match (&output.columns, output.format, layout) {
        (_, Format::Npy, _) => Some("an array of row indices has no place for".to_owned()),
        (_, _, Layout::Candidates) => Some("layout \"candidates\" does not have".to_owned()),
        (Columns::Carried(name), ..) => Some(format!("output.columns = \"{name}\" leaves out")),
        (Columns::All, ..) => None,
    };
    match without_column {
        Some(why) if balance.weights != Weighting::None => {
            Err(Complaint::new("balance.weights", format!("fills a column that {why}")))
        }
        _ => Ok(()),
    }
}
