//! `[mine.negatives]`: guards that can be kept together, and bands that they leave anything of.

use super::error::Complaint;
use super::spec::{NegativesSpec, Spec};
use crate::kernel::Metric;
use crate::mine::{Ask, Band, Guards, PositivePick, Reference};

pub(super) fn guards(spec: &Spec, ask: &Ask) -> Result<Guards, Complaint> {
    let asked = &spec.mine.negatives;
    let at_least_zero = [
        ("absolute_margin", asked.absolute_margin),
        ("relative_margin", asked.relative_margin),
        ("near_positive", asked.near_positive.filter(|_| spec.mine.metric != Metric::Dot)),
    ];
    for (key, value) in at_least_zero {
        finite(key, value)?;
        if value.is_some_and(|value| value < 0.0) {
            return Err(complaint(key, "must be 0 or more"));
        }
    }
    for (key, value) in [("max_score", asked.max_score), ("min_score", asked.min_score), ("score_gap", asked.score_gap)]
    {
        finite(key, value)?;
    }
    scores(asked, spec.mine.metric)?;
    score_gap(spec)?;
    ranks(asked)?;
    reference(spec)?;
    margins(spec, ask)?;
    Ok(Guards {
        max_score: asked.max_score,
        min_score: asked.min_score,
        absolute_margin: asked.absolute_margin,
        relative_margin: asked.relative_margin,
        reference: asked.reference,
        skip_nearest: asked.skip_nearest,
        window: asked.window,
        duplicate_distance: distance("duplicate_distance", asked.duplicate_distance)?,
        near_positive: distance("near_positive", asked.near_positive)?,
        score_gap: asked.score_gap,
        exclude: asked.exclude.is_some(),
    })
}

fn complaint(key: &str, message: impl Into<String>) -> Complaint {
    Complaint::new(format!("mine.negatives.{key}"), message)
}

fn finite(key: &str, value: Option<f64>) -> Result<(), Complaint> {
    match value {
        Some(value) if !value.is_finite() => Err(complaint(key, "must be a finite number")),
        _ => Ok(()),
    }
}

/// A bound of distances, which are f32.
fn distance(key: &str, value: Option<f64>) -> Result<Option<f32>, Complaint> {
    let value = value.map(|value| value as f32);
    finite(key, value.map(f64::from))?;
    Ok(value)
}

fn scores(asked: &NegativesSpec, metric: Metric) -> Result<(), Complaint> {
    if let (Some(most), Some(least)) = (asked.max_score, asked.min_score)
        && least > most
    {
        return Err(complaint(
            "min_score",
            format!("is above mine.negatives.max_score = {most}, which leaves no negative"),
        ));
    }
    // The least and the greatest similarity there is.
    let (least, greatest) = match metric {
        Metric::Cosine => (-1.0, 1.0),
        Metric::Euclidean | Metric::SqEuclidean => (f64::NEG_INFINITY, 0.0),
        Metric::Dot => return Ok(()),
    };
    let name = metric.name();
    match (asked.max_score, asked.min_score) {
        (Some(most), _) if most < least => {
            Err(complaint("max_score", format!("no {name} similarity is below {least}, which leaves no negative")))
        }
        (_, Some(low)) if low > greatest => {
            Err(complaint("min_score", format!("no {name} similarity is above {greatest}, which leaves no negative")))
        }
        _ => Ok(()),
    }
}

/// The guard and its table go together.
fn score_gap(spec: &Spec) -> Result<(), Complaint> {
    match (spec.mine.negatives.score_gap, &spec.scores) {
        (Some(_), None) => {
            let message =
                "compares scores, and there are none; write [scores] with the path of a table, or leave it out";
            Err(complaint("score_gap", message))
        }
        (None, Some(_)) => {
            let message =
                "says what mine.negatives.score_gap compares, which is not set; set it, or leave [scores] out";
            Err(Complaint::new("scores", message))
        }
        _ => Ok(()),
    }
}

fn ranks(asked: &NegativesSpec) -> Result<(), Complaint> {
    match asked.window {
        Some(0) => Err(complaint("window", "must be at least 1; leave it out to take from all")),
        Some(window) if window <= asked.skip_nearest => {
            let message =
                format!("ends within mine.negatives.skip_nearest = {}, which leaves no negative", asked.skip_nearest);
            Err(complaint("window", message))
        }
        _ => Ok(()),
    }
}

/// Whether an anchor may be given more than one positive.
fn are_several(spec: &Spec) -> bool {
    let positives = &spec.mine.positives;
    positives.pick == PositivePick::All || positives.per_anchor.is_some_and(|count| count > 1)
}

fn reference(spec: &Spec) -> Result<(), Complaint> {
    let asked = &spec.mine.negatives;
    let margins = asked.absolute_margin.or(asked.relative_margin);
    let refuse = |message: &str| Err(complaint("reference", message));
    match (asked.reference, margins) {
        (Reference::Each, _) => Ok(()),
        (_, None) => refuse("says what margins are measured from; set absolute_margin or relative_margin"),
        (_, Some(_)) if !are_several(spec) => refuse(
            "is one of several positives, and an anchor is given one; set mine.positives.pick = \"all\", or per_anchor to 2 or more",
        ),
        _ => Ok(()),
    }
}

/// A margin guard keeps what is farther than the positive; a band of what is nearer has nothing left.
fn margins(spec: &Spec, ask: &Ask) -> Result<(), Complaint> {
    let (mine, asked) = (&spec.mine, &spec.mine.negatives);
    let several = are_several(spec);
    // Whether no pair's positive is nearer than what the margin is measured from.
    let own = !several || matches!(asked.reference, Reference::Each | Reference::Farthest);
    if !own {
        return Ok(());
    }
    let bands: Vec<Band> = match ask {
        Ask::Bands(bands) => bands.iter().map(|&(band, _)| band).chain(mine.fallback.iter().copied()).collect(),
        Ask::Any(_) => Vec::new(),
    };
    for (key, margin) in [("absolute_margin", asked.absolute_margin), ("relative_margin", asked.relative_margin)] {
        if margin.is_some_and(|margin| margin > 0.0) && bands.contains(&Band::Hard) {
            let message = "keeps only negatives that are farther than the positive; hard ones are nearer: leave out one of the two";
            return Err(complaint(key, message));
        }
    }
    match asked.absolute_margin {
        Some(margin) if margin > mine.margin && bands.contains(&Band::SemiHard) => {
            let message = format!(
                "leaves nothing of the semi-hard band, which ends mine.margin = {} behind the positive",
                mine.margin
            );
            Err(complaint("absolute_margin", message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "guards_tests.rs"]
mod tests;
