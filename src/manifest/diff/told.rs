//! A comparison in words.

use std::fmt::{self, Display, Formatter};

use serde_json::Value;

use super::{Change, Compared, Diff, Drift, Fate, Negatives, Overlap, Quantiles};
use crate::mine::Band;
use crate::words::{counted, percent_of, thousands, visible};

/// Width of a line's name.
const NAME: usize = 11;
/// Of a list.
const SHOWN: usize = 5;
/// Characters of a value that are told: of a long list its beginning says which one it is.
const LONGEST: usize = 80;

fn line(f: &mut Formatter, name: &str, text: impl Display) -> fmt::Result {
    writeln!(f, "  {name:<NAME$} {text}")
}

impl Display for Diff {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        line(f, "a", visible(&self.a))?;
        line(f, "b", visible(&self.b))?;
        line(f, "anchors", self.anchors)?;
        if let Some(pairs) = &self.pairs {
            line(f, "positives", pairs)?;
        }
        if let Some(negatives) = &self.negatives {
            let of = if self.compared == Compared::Negatives { "anchors" } else { "pairs" };
            told_negatives(f, negatives, of)?;
        }
        if let Some(drift) = &self.drift {
            line(f, "gap drift", drift)?;
        }
        if self.bands.is_some() {
            self.told_bands(f)?;
        }
        if let Some(lost) = &self.lost {
            line(f, "lost now", lost)?;
        }
        self.told_classes(f)?;
        self.told_hubs(f)?;
        let parts = [
            ("pipeline", &self.changes.pipeline),
            ("inputs", &self.changes.inputs),
            ("results", &self.changes.results),
        ];
        for (name, changes) in parts.into_iter().filter(|(_, changes)| !changes.is_empty()) {
            writeln!(f, "\n{name}")?;
            changes.iter().try_for_each(|change| writeln!(f, "  {change}"))?;
        }
        Ok(())
    }
}

fn told_negatives(f: &mut Formatter, negatives: &Negatives, of: &str) -> fmt::Result {
    let Negatives { kept, replaced, gone, new, lost_with_pairs, gained_with_pairs, churn } = *negatives;
    let [kept, replaced, gone, new] = [kept, replaced, gone, new].map(thousands);
    let churn = churn.map_or(String::new(), |churn| format!("; churn {}", percent_of(churn)));
    line(f, "negatives", format!("of {of} in both: {kept} kept, {replaced} replaced, {gone} gone, {new} new{churn}"))?;
    if lost_with_pairs + gained_with_pairs > 0 {
        let [lost, gained] = [lost_with_pairs, gained_with_pairs].map(thousands);
        line(f, "", format!("of others: {lost} lost with their {of}, {gained} gained with theirs"))?;
    }
    Ok(())
}

impl Diff {
    /// Rows are the bands of `a`, columns those of `b`.
    fn told_bands(&self, f: &mut Formatter) -> fmt::Result {
        let header = Band::ALL.map(|band| format!("{:>16}", format!("{} in b", band.name())));
        line(f, "bands", format!("{:<14}{}", "of the same", header.concat()))?;
        let transitions = self.bands.as_deref().unwrap_or_default();
        for of in transitions.chunk_by(|a, b| a.from == b.from) {
            let name = of.first().map_or(String::new(), |first| format!("{} in a", first.from.name()));
            let counts: String =
                of.iter().map(|transition| format!("{:>16}", thousands(transition.triplets))).collect();
            line(f, "", format!("{name:<14}{counts}"))?;
        }
        Ok(())
    }

    fn told_classes(&self, f: &mut Formatter) -> fmt::Result {
        let Some(classes) = &self.classes else { return Ok(()) };
        let (count, shift) = (thousands(classes.classes), percent_of(classes.shift));
        line(f, "classes", format!("{count}; {shift} of the triplets have moved to other classes"))?;
        told_some(f, &classes.moved, |class| {
            format!("{}: {} → {}", visible(&class.label), thousands(class.a), thousands(class.b))
        })
    }

    fn told_hubs(&self, f: &mut Formatter) -> fmt::Result {
        let Some(hubs) = &self.hubs else { return Ok(()) };
        line(f, "hubs", format!("of the ten most used negatives {} are the same", hubs.stayed.len()))?;
        for (what, hubs) in [("went", &hubs.went), ("came", &hubs.came)] {
            told_some(f, hubs, |hub| {
                format!("{what}: {}, {} → {}", visible(&hub.id), thousands(hub.a), counted(hub.b, "use"))
            })?;
        }
        Ok(())
    }
}

/// The first of a list; JSON has all of them.
fn told_some<T>(f: &mut Formatter, list: &[T], told: impl Fn(&T) -> String) -> fmt::Result {
    list.iter().take(SHOWN).try_for_each(|item| line(f, "", told(item)))?;
    match list.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => line(f, "", format!("and {more} more")),
    }
}

impl Display for Overlap {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let [both, lost, gained] = [self.both, self.lost, self.gained].map(thousands);
        write!(f, "{both} in both, {lost} only in a, {gained} only in b")
    }
}

impl Display for Drift {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        write!(f, "of {} in both", counted(self.triplets, "triplet"))?;
        let (Some(mean), Some(quantiles)) = (self.mean, self.quantiles) else { return Ok(()) };
        let Quantiles { p5, p25, p50, p75, p95 } = quantiles;
        write!(f, ": mean {mean:+.4}; 5 % {p5:+.4}, 25 % {p25:+.4}, 50 % {p50:+.4}, 75 % {p75:+.4}, 95 % {p95:+.4}")
    }
}

impl Display for Fate {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let [hard, semi, easy, gone] = [self.hard, self.semi_hard, self.easy, self.rows_gone].map(thousands);
        write!(
            f,
            "of the triplets only in a, by the vectors of b: {hard} hard, {semi} semi-hard, {easy} easy; {gone} with rows that are gone"
        )
    }
}

impl Display for Change {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let value = |value: &Option<Value>| match value {
            None => "–".to_owned(),
            Some(value) => shortened(value.to_string()),
        };
        write!(f, "{}: {} → {}", visible(&self.key), visible(value(&self.a)), visible(value(&self.b)))
    }
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}
