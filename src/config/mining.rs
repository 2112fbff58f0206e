//! `[mine]`, `[balance]` and `[batches]`: what is asked for.

use super::error::{Complaint, nearest};
use super::guards::guards;
use super::spec::{BalanceSpec, BandsSpec, BatchKind, BatchesSpec, Spec, Unlabelled, WeightsSpec};
use crate::kernel::Metric;
use crate::mine::{self, Ask, Balance, Band, Batches, NegativePick, Pk, PositivePick, Weighting};

pub(super) fn mine(spec: &Spec, groups: &[&str]) -> Result<mine::Params, Complaint> {
    let asked = &spec.mine;
    if !(asked.margin > 0.0 && asked.margin.is_finite()) {
        return Err(Complaint::new("mine.margin", "a margin must be greater than 0, in the metric's own units"));
    }
    if asked.metric == Metric::Cosine && asked.margin >= 2.0 {
        return Err(Complaint::new("mine.margin", "cosine distances end at 2, so no gap exceeds this margin"));
    }
    let ask = ask(&asked.bands)?;
    if asked.pick == NegativePick::DistanceWeighted && asked.metric != Metric::Cosine {
        let message = "weighs distances on the unit sphere; expected mine.metric = \"cosine\", or another pick";
        return Err(Complaint::new("mine.pick", message));
    }
    Ok(mine::Params {
        metric: asked.metric,
        margin: asked.margin,
        fallback: fallback(&asked.fallback, &ask)?,
        negatives: negatives(spec, groups, &ask)?,
        ask,
        pick: asked.pick,
        seed: asked.seed,
        positives: positives(spec, groups)?,
        balance: balance(spec)?,
        batches: spec.batches.as_ref().map(batches).transpose()?,
    })
}

fn ask(bands: &BandsSpec) -> Result<Ask, Complaint> {
    let named = [(Band::Hard, bands.hard), (Band::SemiHard, bands.semi_hard), (Band::Easy, bands.easy)];
    let named: Vec<(Band, u32)> = named.into_iter().filter_map(|(band, count)| Some((band, count?))).collect();
    let zero = named.iter().find(|(_, count)| *count == 0).map(|(band, _)| band.name());
    if let Some(band) = zero.or((bands.any == Some(0)).then_some("any")) {
        let message = "a count must be at least 1; leave out a band that is not wanted";
        return Err(Complaint::new(format!("mine.bands.{band}"), message));
    }
    match (bands.any, named.is_empty()) {
        (None, false) => Ok(Ask::Bands(named)),
        (Some(count), true) => Ok(Ask::Any(count)),
        (Some(_), false) => Err(Complaint::new("mine.bands", "`any` is the union of all bands and stands alone")),
        (None, true) => Err(Complaint::new("mine.bands", "asks for nothing; expected { semi-hard = 1 }, for example")),
    }
}

fn fallback(bands: &[Band], ask: &Ask) -> Result<Vec<Band>, Complaint> {
    let refuse = |message: String| Err(Complaint::new("mine.fallback", message));
    for (index, band) in bands.iter().enumerate() {
        if bands[..index].contains(band) {
            return refuse(format!("names {} twice", band.name()));
        }
        if matches!(ask, Ask::Any(_)) {
            return refuse("`any` already takes from every band".into());
        }
        if ask.wants(*band) {
            return refuse(format!("{} is asked for in mine.bands; a fallback is another band", band.name()));
        }
    }
    Ok(bands.to_vec())
}

fn positives(spec: &Spec, groups: &[&str]) -> Result<mine::Positives, Complaint> {
    let asked = &spec.mine.positives;
    match (asked.pick, asked.per_anchor) {
        (_, Some(0)) => return Err(Complaint::new("mine.positives.per_anchor", "must be at least 1")),
        (PositivePick::All, Some(_)) => {
            let message = "pick = \"all\" takes every positive; leave per_anchor out, or choose another pick";
            return Err(Complaint::new("mine.positives.per_anchor", message));
        }
        _ => {}
    }
    let min_distance = bound("mine.positives.min_distance", asked.min_distance)?;
    let max_distance = bound("mine.positives.max_distance", asked.max_distance)?;
    if let (Some(min), Some(max)) = (min_distance, max_distance)
        && min > max
    {
        let message = format!("is above mine.positives.max_distance = {max}, which leaves no positive");
        return Err(Complaint::new("mine.positives.min_distance", message));
    }
    let (same, different) = constraints("mine.positives", &asked.same, &asked.different, groups)?;
    let per_anchor = asked.per_anchor.unwrap_or(1);
    Ok(mine::Positives { pick: asked.pick, per_anchor, min_distance, max_distance, same, different })
}

fn negatives(spec: &Spec, groups: &[&str], ask: &Ask) -> Result<mine::Negatives, Complaint> {
    let asked = &spec.mine.negatives;
    let (same, different) = constraints("mine.negatives", &asked.same, &asked.different, groups)?;
    Ok(mine::Negatives {
        same,
        different,
        unlabelled: spec.store.unlabelled == Unlabelled::Negative || spec.pairs.is_some(),
        guards: guards(spec, ask)?,
        max_per_class: match asked.max_per_class {
            Some(0) => return Err(Complaint::new("mine.negatives.max_per_class", "must be at least 1")),
            Some(_) if spec.pairs.is_some() => {
                let message = "with [pairs] no row has a class; leave it out, or use labels instead of pairs";
                return Err(Complaint::new("mine.negatives.max_per_class", message));
            }
            most => most,
        },
    })
}

fn balance(spec: &Spec) -> Result<Balance, Complaint> {
    let asked = &spec.balance;
    for (key, count) in [
        ("anchors_per_class", asked.anchors_per_class.map(u64::from)),
        ("oversample_to", asked.oversample_to.map(u64::from)),
        ("max_uses", asked.max_uses.map(u64::from)),
        ("triplets", asked.triplets),
    ] {
        if count == Some(0) {
            let message = "must be at least 1; leave it out where nothing is to be limited";
            return Err(Complaint::new(format!("balance.{key}"), message));
        }
    }
    if asked.oversample_to.is_some() && spec.mine.positives.pick == PositivePick::All {
        let message =
            "mine.positives.pick = \"all\" takes every pair a class has; leave this out, or choose another pick";
        return Err(Complaint::new("balance.oversample_to", message));
    }
    let weights = match (asked.weights, asked.beta) {
        (WeightsSpec::Effective, Some(beta)) if (0.0..1.0).contains(&beta) => Weighting::Effective { beta },
        (WeightsSpec::Effective, _) => {
            return Err(Complaint::new("balance.beta", "must be at least 0 and less than 1, as in 0.999"));
        }
        (_, Some(_)) => {
            return Err(Complaint::new("balance.beta", "has a meaning only with weights = \"effective\""));
        }
        (WeightsSpec::None, None) => Weighting::None,
        (WeightsSpec::Inverse, None) => Weighting::Inverse,
    };
    let BalanceSpec { anchors_per_class, oversample_to, max_uses, triplets, .. } = *asked;
    Ok(Balance { anchors_per_class, oversample_to, max_uses, triplets, weights })
}

fn batches(asked: &BatchesSpec) -> Result<Batches, Complaint> {
    let BatchesSpec { kind, classes, per_class, size } = *asked;
    let count = |key: &str, value: Option<u32>| match value.unwrap_or(0) {
        0 | 1 => {
            Err(Complaint::new(format!("batches.{key}"), "must be at least 2: one alone has nothing to compare with"))
        }
        count => Ok(count),
    };
    let foreign = |key: &str, value: Option<u32>, own: &str| match value {
        Some(_) => {
            Err(Complaint::new(format!("batches.{key}"), format!("has no meaning with this kind, which knows {own}")))
        }
        None => Ok(()),
    };
    match kind {
        BatchKind::Pk => {
            foreign("size", size, "classes and per_class")?;
            Ok(Batches::Pk(Pk { classes: count("classes", classes)?, per_class: count("per_class", per_class)? }))
        }
        BatchKind::Triplets => {
            foreign("classes", classes, "size")?;
            foreign("per_class", per_class, "size")?;
            Ok(Batches::Triplets { size: count("size", size)? })
        }
    }
}

fn bound(key: &str, value: Option<f64>) -> Result<Option<f32>, Complaint> {
    match value.map(|value| value as f32) {
        Some(value) if !value.is_finite() => Err(Complaint::new(key, "must be a finite number")),
        value => Ok(value),
    }
}

/// Group names as positions among the store's groups.
fn constraints(
    section: &str,
    same: &[String],
    different: &[String],
    groups: &[&str],
) -> Result<(Vec<usize>, Vec<usize>), Complaint> {
    let positions = |list: &str, names: &[String]| {
        let key = format!("{section}.{list}");
        distinct(&key, names)?;
        let position = |name: &String| {
            groups.iter().position(|group| group == name).ok_or_else(|| {
                let cure = match nearest(name, groups.iter().copied()) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => format!("write groups = {{ {name} = \"a column\" }} in [store]"),
                };
                Complaint::new(&key, format!("no group is named \"{name}\"; {cure}"))
            })
        };
        names.iter().map(position).collect::<Result<Vec<usize>, Complaint>>()
    };
    let (agree, differ) = (positions("same", same)?, positions("different", different)?);
    match same.iter().find(|name| different.contains(name)) {
        Some(name) => {
            let message = format!("\"{name}\" is also in {section}.same; no pair both agrees and differs");
            Err(Complaint::new(format!("{section}.different"), message))
        }
        None => Ok((agree, differ)),
    }
}

pub(super) fn distinct(key: &str, names: &[String]) -> Result<(), Complaint> {
    match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        Some((_, name)) => Err(Complaint::new(key, format!("names \"{name}\" twice"))),
        None => Ok(()),
    }
}
