//! What is missing: a sample of anchors is mined again, and must yield the same.

use super::balance;
use super::finding::{Checked, Findings};
use super::whole::Run;
use crate::manifest::sealed::Sealed;
use crate::manifest::sides::UNMINED;
use crate::manifest::write::TRIPLETS;
use crate::mine::{Harvest, Reason, Triplet};
use crate::store::Row;

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
    sealed: &Sealed,
    findings: &mut Findings,
    checked: &mut Checked,
) {
    let sample = sample(run.asked.store.keys(), completeness.anchors, &sealed.fingerprint);
    let mut harvest = match (completeness.mine)(&sample) {
        Ok(harvest) => harvest,
        Err(error) => return findings.file(TRIPLETS, format_args!("cannot mine again: {error}"), "the same yield"),
    };
    checked.mined_again = sample.len() as u64;
    let whole = sample.len() == run.asked.store.rows() as usize;
    let candidates = std::mem::take(&mut harvest.triplets);
    // With balance, what an anchor has depends on all others: known where all are mined again, else within bounds.
    let (mut least, mut most) = if whole {
        let (chosen, counts) = balance::choose(candidates, run);
        let told = sealed.balance.map_or([0; 3], |balanced| [balanced.refilled, balanced.emptied, balanced.cut]);
        if told != counts {
            let named =
                |[refilled, emptied, cut]: [u64; 3]| format!("{refilled} refilled, {emptied} emptied, {cut} cut");
            findings.key("balance", named(told), named(counts));
        }
        (chosen.clone(), chosen)
    } else {
        (balance::must_be_there(&candidates, run), candidates)
    };
    for triplets in [&mut least, &mut most] {
        triplets.sort_unstable_by_key(|t| (t.anchor, t.positive, t.negative));
    }
    let of_anchor = |triplets: &[Triplet], anchor: Row| {
        triplets.partition_point(|t| t.anchor < anchor)..triplets.partition_point(|t| t.anchor <= anchor)
    };
    for &anchor in &sample {
        let bounds = [&least, &most].map(|triplets| &triplets[of_anchor(triplets, anchor)]);
        compare(run, anchor, bounds, findings);
    }
    for &(row, reason) in &harvest.unmined {
        let listed = unmined.get(row.index()).copied().flatten();
        if listed.is_some_and(|listed| listed != reason) {
            let found = format!("{} as {}", run.name(row), listed.map_or("mined", Reason::name));
            findings.file(UNMINED, found, reason.name());
        }
    }
}

/// The rows whose hashes are smallest: the same for the same output, unlike for another.
fn sample(keys: &[u64], count: usize, fingerprint: &str) -> Vec<Row> {
    let hash = |row: u32| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(fingerprint.as_bytes()).update(&keys[row as usize].to_le_bytes()).update(&row.to_le_bytes());
        *hasher.finalize().as_bytes()
    };
    let mut rows: Vec<u32> = (0..keys.len() as u32).collect();
    if count < rows.len() {
        let mut ranked: Vec<([u8; 32], u32)> = rows.iter().map(|&row| (hash(row), row)).collect();
        ranked.select_nth_unstable(count);
        rows = ranked[..count].iter().map(|&(_, row)| row).collect();
        rows.sort_unstable();
    }
    rows.into_iter().map(Row).collect()
}

/// What must be there, and what may.
fn compare(run: &Run<'_>, anchor: Row, [least, most]: [&[Triplet]; 2], findings: &mut Findings) {
    let found = run.of_anchor(anchor);
    let named = |t: &Triplet| {
        let kind = if t.fallback { " as fallback" } else { "" };
        let [a, p, n] = [t.anchor, t.positive, t.negative].map(|row| run.name(row));
        format!("anchor {a}, positive {p}, negative {n} ({}{kind})", t.band.name())
    };
    for triplet in least.iter().filter(|t| !found.contains(t)) {
        findings.file(TRIPLETS, "no such triplet", named(triplet));
    }
    for triplet in found.iter().filter(|t| !most.contains(t)) {
        findings.file(TRIPLETS, named(triplet), "no such triplet");
    }
}
