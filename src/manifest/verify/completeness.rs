//! What is missing: a sample of anchors is mined again, and must yield the same.

use super::finding::{Checked, Findings};
use super::whole::Run;
use crate::manifest::sides::UNMINED;
use crate::manifest::write::TRIPLETS;
use crate::mine::{Harvest, Reason, Triplet};
use crate::store::{Prepared, Row};

/// Mines rows, given in ascending order, as the run should have.
pub type MineAgain<'a> = dyn Fn(&[Row]) -> Result<Harvest, String> + Sync + 'a;

/// How many anchors to mine again, and how.
#[derive(Clone, Copy)]
pub struct Completeness<'a> {
    /// At most; `usize::MAX` for all.
    pub anchors: usize,
    /// Must be the search that the run claims: the yield is compared for equality.
    pub mine: &'a MineAgain<'a>,
}

/// `unmined`: the listed reason of each row.
pub(super) fn check(
    completeness: &Completeness<'_>,
    run: &Run<'_>,
    unmined: &[Option<Reason>],
    fingerprint: &str,
    findings: &mut Findings,
    checked: &mut Checked,
) {
    let sample = sample(run.asked.store, completeness.anchors, fingerprint);
    let mut harvest = match (completeness.mine)(&sample) {
        Ok(harvest) => harvest,
        Err(error) => return findings.file(TRIPLETS, format_args!("cannot mine again: {error}"), "the same yield"),
    };
    checked.mined_again = sample.len() as u64;
    harvest.triplets.sort_unstable_by_key(|t| (t.anchor, t.positive, t.negative));
    for &anchor in &sample {
        let from = harvest.triplets.partition_point(|t| t.anchor < anchor);
        let to = harvest.triplets.partition_point(|t| t.anchor <= anchor);
        compare(run, anchor, &harvest.triplets[from..to], findings);
    }
    for &(row, reason) in &harvest.unmined {
        let listed = unmined.get(row.index()).copied().flatten();
        if listed.is_some_and(|listed| listed != reason) {
            let found = format!("{} as {}", run.name(row), listed.map_or("mined", Reason::name));
            findings.file(UNMINED, found, reason.name());
        }
    }
}

/// The anchors whose hashes are smallest: the same for the same output, unlike for another.
fn sample(store: &Prepared, count: usize, fingerprint: &str) -> Vec<Row> {
    let keys = store.keys();
    let hash = |row: u32| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(fingerprint.as_bytes()).update(&keys[row as usize].to_le_bytes()).update(&row.to_le_bytes());
        *hasher.finalize().as_bytes()
    };
    let mut rows: Vec<u32> = store.anchors().collect();
    if count < rows.len() {
        let mut ranked: Vec<([u8; 32], u32)> = rows.iter().map(|&row| (hash(row), row)).collect();
        ranked.select_nth_unstable(count);
        rows = ranked[..count].iter().map(|&(_, row)| row).collect();
        rows.sort_unstable();
    }
    rows.into_iter().map(Row).collect()
}

fn compare(run: &Run<'_>, anchor: Row, expected: &[Triplet], findings: &mut Findings) {
    let found = run.of_anchor(anchor);
    let named = |t: &Triplet| {
        let kind = if t.fallback { " as fallback" } else { "" };
        let [a, p, n] = [t.anchor, t.positive, t.negative].map(|row| run.name(row));
        format!("anchor {a}, positive {p}, negative {n} ({}{kind})", t.band.name())
    };
    for triplet in expected.iter().filter(|t| !found.contains(t)) {
        findings.file(TRIPLETS, "no such triplet", named(triplet));
    }
    for triplet in found.iter().filter(|t| !expected.contains(t)) {
        findings.file(TRIPLETS, named(triplet), "no such triplet");
    }
}
