//! What holds of approximate mining, too.

use std::collections::BTreeMap;

use super::{Asked, Candidate, Twin, labels};
use crate::support::Line;

impl Twin<'_> {
    /// Whether each triplet is one that may be mined, and each reason true: what holds of approximate search, too. It may
    /// miss rows, and take others in their place.
    pub fn admits(&self, asked: &Asked, mined: &[Line], unmined: &BTreeMap<u64, String>) -> Result<(), String> {
        let mut by_anchor: BTreeMap<usize, Vec<&Line>> = BTreeMap::new();
        for line in mined {
            by_anchor.entry(line.anchor as usize).or_default().push(line);
        }
        for anchor in 0..self.anchor_vectors.len() {
            let lines = by_anchor.remove(&anchor).unwrap_or_default();
            let positives = self.positives(asked, anchor);
            let seen: Vec<usize> = lines.iter().map(|line| line.positive as usize).collect();
            let pairs = match asked.positive_pick {
                "random" => positives.iter().copied().filter(|(_, row)| seen.contains(row)).collect(),
                _ => self.pairs(asked, anchor, &positives, &seen)?,
            };
            if asked.positive_pick != "all" && pairs.len() > asked.per_anchor {
                return Err(format!("anchor {anchor}: {} positives", pairs.len()));
            }
            for line in &lines {
                self.admits_line(asked, line, &pairs)?;
            }
            self.admits_counts(asked, anchor, &lines)?;
            let empty =
                |guarded| pairs.iter().all(|pair| self.wanted(asked, anchor, *pair, &pairs, guarded).is_empty());
            let listed = unmined.get(&(anchor as u64)).map(String::as_str);
            let told = match (self.barred(anchor, &positives), listed) {
                (None, None) => !lines.is_empty(),
                (None, Some("band-empty")) => lines.is_empty() && empty(true),
                // Of random pairs that left no trace nothing is known.
                (None, Some("guarded")) => lines.is_empty() && (asked.positive_pick == "random" || !empty(false)),
                (None, reason) => lines.is_empty() && reason == Some("search-missed"),
                (barred, reason) => lines.is_empty() && reason == barred,
            };
            if !told {
                return Err(format!("anchor {anchor}: {} triplets, listed as {listed:?}", lines.len()));
            }
        }
        match by_anchor.first_key_value() {
            None => Ok(()),
            Some((anchor, _)) => Err(format!("there is no anchor {anchor}")),
        }
    }

    /// Whether a triplet is of one of these pairs, in its band, at its distances, and kept by all guards. How many nearer
    /// negatives there are, approximate search does not know, but it knows so many: no skipped one comes through.
    fn admits_line(&self, asked: &Asked, line: &Line, pairs: &[Candidate]) -> Result<(), String> {
        let (anchor, positive) = (line.anchor as usize, line.positive as usize);
        let Some(&(d_ap, _)) = pairs.iter().find(|(_, row)| *row == positive) else {
            return Err(format!("{line:?}: no such positive"));
        };
        let negatives = self.negatives(asked, anchor, (d_ap, positive), pairs, false);
        let Some(rank) = negatives.iter().position(|((_, row), _)| *row as u64 == line.negative) else {
            return Err(format!("{line:?}: no such negative"));
        };
        let (negative, band) = negatives[rank];
        if line.band != band || line.d_an != negative.0.get().to_bits() || line.d_ap != d_ap.get().to_bits() {
            return Err(format!("{line:?}: expected {negative:?} {band}"));
        }
        if rank < asked.guards.skip_nearest || !self.kept(asked, anchor, (d_ap, positive), negative, pairs) {
            return Err(format!("{line:?}: guards refuse it, the negative number {rank}"));
        }
        Ok(())
    }

    /// Whether an anchor's triplets are no more than were asked for, of a band, of a pair and of a class, and each once.
    fn admits_counts(&self, asked: &Asked, anchor: usize, lines: &[&Line]) -> Result<(), String> {
        let slots = if asked.bands.is_empty() { asked.any } else { asked.bands.iter().map(|(_, count)| count).sum() };
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let mut count = |what: String, most: usize| counts.entry(what).or_insert((0, most)).0 += 1;
        for line in lines {
            let Line { positive, negative, band, .. } = line;
            count(format!("triplets of {positive} and {negative}"), 1);
            count(format!("triplets of {positive}"), slots);
            let most = match (line.fallback, asked.bands.iter().find(|(of, _)| of == band)) {
                (true, _) => {
                    if asked.fallback.contains(&band.as_str()) {
                        slots
                    } else {
                        0
                    }
                }
                (false, Some((_, most))) => *most,
                (false, None) => asked.any,
            };
            count(format!("triplets of {positive} and {band} (fallback: {})", line.fallback), most);
            for label in labels(&self.rows.labels[*negative as usize]) {
                asked.max_per_class.iter().for_each(|&most| count(format!("negatives of {label}"), most));
            }
        }
        match counts.iter().find(|(_, (found, most))| found > most) {
            None => Ok(()),
            Some((what, (found, most))) => Err(format!("anchor {anchor}: {found} {what}, of {most} at most")),
        }
    }
}
