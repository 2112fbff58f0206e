//! What the manifest says of the search: the index that the pipeline chooses on this store, and what it was tuned to.

use super::Asked;
use super::finding::{Findings, Told};
use crate::manifest::sealed::{Sealed, SearchFacts};
use crate::mine::Tuned;

/// The search of a run, as its pipeline and store decide it.
#[derive(Debug, Clone)]
pub struct Searched {
    /// But for what it was tuned to, and for its recall.
    pub facts: SearchFacts,
    pub target_recall: f64,
    /// Steps that it can be tuned to, where it is opened again.
    pub efforts: Option<u32>,
    /// What tuning gives, where it is tuned again.
    pub tuned: Option<Tuned>,
}

pub(super) fn check(sealed: &Sealed, asked: &Asked<'_>, findings: &mut Findings, told: &mut Told) {
    let (found, Searched { facts, efforts, tuned, .. }) = (&sealed.search, asked.searched);
    let before = findings.total();
    if found.index != facts.index {
        findings.key("search.index", found.index.name(), facts.index.name());
    }
    let mut equal = |key: &str, found: String, expected: String| {
        if found != expected {
            findings.key(key, found, expected);
        }
    };
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| ABSENT.to_owned());
    equal("search.reason", shown(&found.reason), shown(&facts.reason));
    equal("search.hnsw", json(&found.hnsw), json(&facts.hnsw));
    equal("search.shards", json(&found.shards), json(&facts.shards));
    if !facts.index.is_approximate() {
        equal("search.effort", json(&found.effort), ABSENT.to_owned());
        equal("search.few", json(&found.few), ABSENT.to_owned());
        return told.proved(
            findings,
            before,
            format_args!("the search that the pipeline chooses here: {}", name(facts)),
        );
    }
    match (found.tuned(), tuned) {
        (None, _) => findings.key("search.effort", "not both effort and few", "what the search was tuned to"),
        (Some(found), Some(tuned)) => {
            equal("search.effort", found.effort.to_string(), tuned.effort.to_string());
            equal("search.few", found.few.to_string(), tuned.few.to_string());
        }
        (Some(found), None) => {
            if let Some(efforts) = efforts.filter(|&efforts| found.effort >= efforts) {
                findings.key("search.effort", found.effort, format_args!("at most {}", efforts - 1));
            }
            let Tuned { effort, .. } = found;
            told.unchecked(format_args!(
                "that tuning gives effort {effort}: the search is not tuned again; see --full"
            ));
        }
    }
    if efforts.is_none() {
        told.unchecked("that the graphs give these very rows: they are not built again; see --full");
    }
    let tuned = if tuned.is_some() { ", tuned again to the same" } else { "" };
    told.proved(findings, before, format_args!("the search that the pipeline chooses here: {}{tuned}", name(facts)));
}

const ABSENT: &str = "absent";

fn name(facts: &SearchFacts) -> &'static str {
    facts.index.name()
}

fn json(value: &Option<impl serde::Serialize>) -> String {
    value.as_ref().and_then(|value| serde_json::to_string(value).ok()).unwrap_or_else(|| ABSENT.to_owned())
}
