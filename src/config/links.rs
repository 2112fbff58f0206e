//! `[pairs]`, `[scores]` and `mine.negatives.exclude`: tables whose rows name an anchor and a row of the store.

use std::path::{Path, PathBuf};

use super::error::Complaint;
use super::paths::{input, resolved};
use super::spec::{NegativesSpec, PairsSpec, Paths, ScoresSpec};
use crate::remote::Address;
use crate::store::{LinkParams, Section};

pub(super) fn pairs(spec: &PairsSpec, base: &Path) -> Result<LinkParams, Complaint> {
    expressed([("pairs.query", &spec.query, "ids"), ("pairs.positive", &spec.positive, "ids")])?;
    Ok(LinkParams {
        section: Section::Pairs,
        path: input(base, "pairs.path", &spec.path)?,
        left: ("query", spec.query.clone()),
        right: ("positive", spec.positive.clone()),
        value: None,
        bad_rows: spec.bad_rows.unwrap_or_default(),
    })
}

pub(super) fn scores(spec: &ScoresSpec, base: &Path) -> Result<LinkParams, Complaint> {
    expressed([
        ("scores.anchor", &spec.anchor, "ids"),
        ("scores.candidate", &spec.candidate, "ids"),
        ("scores.score", &spec.score, "numbers"),
    ])?;
    Ok(LinkParams {
        section: Section::Scores,
        path: input(base, "scores.path", &spec.path)?,
        left: ("anchor", spec.anchor.clone()),
        right: ("candidate", spec.candidate.clone()),
        value: Some(("score", spec.score.clone())),
        bad_rows: spec.bad_rows.unwrap_or_default(),
    })
}

/// The folders of earlier outputs.
pub(super) fn exclude(spec: &NegativesSpec, base: &Path) -> Result<Vec<PathBuf>, Complaint> {
    let folders = spec.exclude.as_ref().map_or(&[][..], Paths::all);
    let paths: Vec<PathBuf> = folders.iter().map(|folder| earlier(base, folder)).collect::<Result<_, _>>()?;
    if spec.exclude.is_some() && paths.is_empty() {
        return Err(Complaint::new(EXCLUDE, "names no earlier output; leave it out, or name one"));
    }
    for (index, path) in paths.iter().enumerate() {
        if paths[..index].iter().any(|before| resolved(before) == resolved(path)) {
            return Err(Complaint::new(EXCLUDE, format!("names {} twice", path.display())));
        }
    }
    Ok(paths)
}

fn earlier(base: &Path, folder: &str) -> Result<PathBuf, Complaint> {
    if Address::parse(folder).is_some_and(|address| address.is_ok_and(|address| !address.can_list())) {
        let message = "a web server does not list, and an output is a folder; copy it to a store that does, or here";
        return Err(Complaint::new(EXCLUDE, message));
    }
    input(base, EXCLUDE, folder)
}

pub(super) const EXCLUDE: &str = "mine.negatives.exclude";

fn expressed<const N: usize>(columns: [(&str, &String, &str); N]) -> Result<(), Complaint> {
    match columns.into_iter().find(|(_, text, _)| text.trim().is_empty()) {
        Some((key, _, what)) => Err(Complaint::new(key, format!("is empty; expected a column of {what}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Places;
    use crate::config::plan::tests::{self, RETRIEVAL};
    use crate::store::BadRows;

    #[test]
    fn scores_and_their_guard_go_together() {
        let set = ["scores.path=data/r.parquet", "mine.negatives.score_gap=-0.5"];
        let plan = tests::plan(RETRIEVAL, &set).unwrap();
        let scores = plan.scores.as_ref().unwrap();
        assert_eq!((scores.left.1.as_str(), scores.right.1.as_str()), ("query_id", "corpus_id"));
        assert_eq!(scores.value, Some(("score", "score".to_owned())));
        assert_eq!((scores.bad_rows, plan.mine.negatives.guards.score_gap), (BadRows::Skip, Some(-0.5)));
        let moved = Places { scores: Some("r".into()), ..plan.places() };
        let restored = tests::restored(&plan, &moved);
        assert_eq!((restored.places(), restored.resolved), (moved, plan.resolved.clone()));
        for (set, expected) in [
            (
                &["mine.negatives.score_gap=0.5"][..],
                "p.toml: mine.negatives.score_gap = 0.5: compares scores, and there are none; write [scores] with the path of a table, or leave it out",
            ),
            (
                &["scores.path=r.parquet"],
                "p.toml: scores: says what mine.negatives.score_gap compares, which is not set; set it, or leave [scores] out",
            ),
            (
                &["scores.anchor=a", "mine.negatives.score_gap=0.5"],
                "p.toml: scores.path: is missing; expected a Parquet file, a glob or a directory",
            ),
            (
                &["scores.path=r.parquet", "mine.negatives.score_gap=nan"],
                "p.toml: mine.negatives.score_gap = nan: must be a finite number",
            ),
            (
                &["scores.path=r.parquet", "scores.score=", "mine.negatives.score_gap=0"],
                "p.toml: scores.score = \"\": is empty; expected a column of numbers",
            ),
            (
                &[
                    "store.path=a",
                    "queries.path=b",
                    "pairs.path=c",
                    "scores.path=data/r.parquet",
                    "mine.negatives.score_gap=0",
                    "output.path=data",
                ],
                "p.toml: output.path = \"data\": would replace the scores, data/r.parquet; choose a folder of its own",
            ),
        ] {
            assert_eq!(tests::plan(RETRIEVAL, set).unwrap_err(), expected, "{set:?}");
        }
    }
}
