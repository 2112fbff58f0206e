//! Who is in a cluster, as far as its scheduler tells, and how long a run takes them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::report::Estimates;
use crate::words::{counted, thousands, visible};

/// An executor, as its scheduler knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executor {
    /// Its host and its process.
    pub name: String,
    /// What it works on at a time: partitions, or graphs.
    pub slots: u32,
    /// Since it was heard of last.
    pub silent_seconds: u64,
}

/// A scheduler, as whoever is about to drive a run finds it.
#[derive(Debug, Serialize)]
pub struct Roster {
    pub scheduler: String,
    /// Whether a scheduler of this program can be reached from here, now.
    pub answers: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Those that were heard of lately.
    pub executors: Vec<Executor>,
    /// How to start one.
    #[serde(skip)]
    pub cure: String,
}

/// What a run would take with so many slots.
#[derive(Debug, Serialize)]
pub struct AtSlots {
    pub slots: u64,
    pub seconds: f64,
}

/// What is reckoned with where nobody knows how many there will be.
pub const SUPPOSED: [u64; 3] = [1, 8, 64];
/// Executors that are named in a line, at most.
const NAMED: usize = 8;

impl Roster {
    /// Those of all executors.
    pub fn slots(&self) -> u64 {
        self.executors.iter().map(|executor| u64::from(executor.slots)).sum()
    }

    /// Who they are, and what there is to do for each.
    pub fn told(&self, partitions: u64) -> String {
        let slots = self.slots();
        match (&self.trouble, slots) {
            (Some(trouble), _) => format!("unknown: {trouble}"),
            (None, 0) => format!("none is known to the scheduler; start some: {}", self.cure),
            (None, slots) => {
                let each = match partitions.checked_sub(slots) {
                    None => format!("{} more than there are partitions", thousands(slots - partitions)),
                    Some(_) => format!("{} a slot", portions(partitions, slots)),
                };
                let executors = counted(self.executors.len() as u64, "executor");
                format!("{executors}, {}: {each}; {}", counted(slots, "slot"), Named(&self.executors))
            }
        }
    }
}

/// `8 partitions`, `2.5 partitions`.
fn portions(whole: u64, among: u64) -> String {
    match whole % among {
        0 => counted(whole / among, "partition"),
        _ => format!("{:.1} partitions", whole as f64 / among as f64),
    }
}

/// `a-1 (4 slots), b-2 (1 slot) and 3 more`.
struct Named<'a>(&'a [Executor]);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (at, Executor { name, slots, .. }) in self.0.iter().take(NAMED).enumerate() {
            let before = if at == 0 { "" } else { ", " };
            write!(f, "{before}{} ({})", visible(name), counted(u64::from(*slots), "slot"))?;
        }
        match self.0.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(f, " and {} more", thousands(more as u64)),
        }
    }
}

/// `at most 40 min with 1 slot, at most 6 min with 8 slots`.
pub fn times(estimates: &Estimates, times: &[AtSlots]) -> String {
    let told = times.iter().map(|&AtSlots { slots, seconds }| {
        format!("{} with {}", Estimates { seconds, ..*estimates }.time(), counted(slots, "slot"))
    });
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(slots: &[u32]) -> Roster {
        let executor = |(at, &slots): (usize, &u32)| Executor { name: format!("h-{at}\n"), slots, silent_seconds: 0 };
        let executors = slots.iter().enumerate().map(executor).collect();
        Roster { scheduler: "df://h:1".to_owned(), answers: true, trouble: None, executors, cure: "so".to_owned() }
    }

    #[test]
    fn what_there_is_to_do_for_each_slot_is_told() {
        for (slots, partitions, told) in [
            (&[][..], 9, "none is known to the scheduler; start some: so"),
            (&[1], 9, "1 executor, 1 slot: 9 partitions a slot; h-0\\n (1 slot)"),
            (&[1, 3], 10, "2 executors, 4 slots: 2.5 partitions a slot; h-0\\n (1 slot), h-1\\n (3 slots)"),
            (&[4], 4, "1 executor, 4 slots: 1 partition a slot; h-0\\n (4 slots)"),
            (&[8], 3, "1 executor, 8 slots: 5 more than there are partitions; h-0\\n (8 slots)"),
        ] {
            assert_eq!(roster(slots).told(partitions), told);
        }
        assert!(roster(&[u32::MAX; 12]).told(1).ends_with("(4,294,967,295 slots) and 4 more"));
    }
}
