//! What is missing: a sample of anchors is mined again, and must yield the same.

use std::collections::{HashMap, HashSet};

use super::finding::{Checked, Findings};
use super::whole::Run;
use super::{Asked, balance};
use crate::manifest::Layout;
use crate::manifest::layout::{Grain, Line, Lines, Member, Role, Sheet};
use crate::manifest::parts::TRIPLETS;
use crate::manifest::sealed::Sealed;
use crate::manifest::select::why_empty;
use crate::manifest::sides::UNMINED;
use crate::mine::{Harvest, Reason, Suspect, Triplet};
use crate::search::lottery::combine;
use crate::store::{Prepared, Row};

/// Mines rows, given in ascending order, as the run should have.
pub type MineAgain<'a> = dyn Fn(&[Row]) -> Result<Harvest, String> + Sync + 'a;

/// A way to mine anchors again.
#[derive(Clone, Copy)]
pub struct Miner<'a> {
    /// As in `by brute force`.
    pub name: &'static str,
    pub mine: &'a MineAgain<'a>,
}

/// How many anchors to mine again, and how.
#[derive(Clone, Copy)]
pub struct Completeness<'a> {
    /// Anchors whose yield must be the same, at most; `usize::MAX` for all.
    pub anchors: usize,
    /// By the search that the run claims; none where that is not opened again.
    pub again: Option<Miner<'a>>,
    /// Of an approximate run, anchors beside those it measured its recall on, at most.
    pub others: usize,
    /// For the anchors that it measured on, and for the others.
    pub exact: Miner<'a>,
    pub oracle: Miner<'a>,
}

/// Anchors that were mined again, with what they yield.
pub(super) struct Again {
    /// Ascending.
    pub(super) sample: Vec<Row>,
    /// Whether these are all rows of the store.
    pub(super) all: bool,
    /// Those that the layout keeps, by anchor and positive; where not all anchors were mined again and balance chooses among them,
    /// all that it may have chosen from.
    pub(super) triplets: Vec<Triplet>,
    /// Where the layout left out some of all those that there are: all, these among them.
    pub(super) chosen: Option<Vec<Triplet>>,
    /// Whether balance chose among them, unknown how.
    bounds: bool,
    unmined: Vec<(Row, Reason)>,
    /// In no order, some of them twice.
    pub(super) suspects: Vec<Suspect>,
}

impl Again {
    /// Mines a sample again, if that is asked for.
    pub(super) fn mine(
        asked: &Asked<'_>,
        sheet: &Sheet,
        sealed: &Sealed,
        findings: &mut Findings,
        checked: &mut Checked,
    ) -> Option<Self> {
        let again = asked.completeness.again?;
        let sample = sample(asked.store, asked.completeness.anchors, salt(sealed));
        let Harvest { mut triplets, mut unmined, suspects, .. } = match (again.mine)(&sample) {
            Ok(harvest) => harvest,
            Err(error) => {
                findings.file(TRIPLETS, format_args!("cannot mine again: {error}"), "the same yield");
                return None;
            }
        };
        checked.mined_again = sample.len() as u64;
        let all = sample.len() == asked.store.anchors().len();
        let selects = asked.mine.balance.selects();
        if selects && !all {
            return Some(Self { sample, all, triplets, chosen: None, bounds: true, unmined, suspects });
        }
        let candidates = triplets.clone();
        if selects {
            let (chosen, counts) = balance::choose(triplets, asked, sheet);
            let told = sealed.balance.map_or([0; 3], |balanced| [balanced.refilled, balanced.emptied, balanced.cut]);
            if told != counts {
                let named =
                    |[refilled, emptied, cut]: [u64; 3]| format!("{refilled} refilled, {emptied} emptied, {cut} cut");
                findings.key("balance", named(told), named(counts));
            }
            triplets = chosen;
        }
        // Stable: within a pair they stay in the order of the run.
        triplets.sort_by_key(|t| (t.anchor, t.positive));
        let kept: Vec<Triplet> =
            Grain::Pair.groups(&triplets).filter(|pair| sheet.keeps(pair)).flatten().copied().collect();
        let yields: HashSet<Row> = kept.iter().map(|t| t.anchor).collect();
        for anchor in Grain::Anchor.groups(&candidates).filter(|anchor| !yields.contains(&anchor[0].anchor)) {
            let reason = match selects {
                true => why_empty(anchor, sheet, asked.store, asked.mine),
                false => Reason::BandEmpty,
            };
            unmined.push((anchor[0].anchor, reason));
        }
        let chosen = (all && kept.len() < triplets.len()).then_some(triplets);
        Some(Self { sample, all, triplets: kept, chosen, bounds: false, unmined, suspects })
    }

    /// Whether what it yields is what the run yields, and not only what balance chose among.
    pub(super) fn is_sure(&self) -> bool {
        !self.bounds
    }

    /// The lines of an anchor.
    fn lines_of(&self, anchor: Row, sheet: &Sheet) -> Lines {
        sheet.lines(self.triplets_of(anchor))
    }

    fn triplets_of(&self, anchor: Row) -> &[Triplet] {
        let from = self.triplets.partition_point(|t| t.anchor < anchor);
        let to = self.triplets.partition_point(|t| t.anchor <= anchor);
        &self.triplets[from..to]
    }

    /// Compares with the lines of a run that were read from its files.
    pub(super) fn compare(&self, run: &Run<'_>, sheet: &Sheet, findings: &mut Findings) {
        if self.bounds {
            return self.compare_bounds(run, sheet, findings);
        }
        for &anchor in &self.sample {
            let (expected, found) = (self.lines_of(anchor, sheet), run.of_anchor(anchor));
            let none = format!("no such {}", noun(sheet.layout()));
            for line in without(&expected, &found) {
                findings.file(TRIPLETS, &none, named(run, &line));
            }
            for line in without(&found, &expected) {
                findings.file(TRIPLETS, named(run, &line), &none);
            }
        }
    }

    /// With balance, what an anchor has depends on all others: known within bounds.
    fn compare_bounds(&self, run: &Run<'_>, sheet: &Sheet, findings: &mut Findings) {
        if !sheet.layout().tells_triplets() {
            return self.compare_rows(run, sheet, findings);
        }
        let named = |t: &Triplet| {
            let kind = if t.fallback { " as fallback" } else { "" };
            let [a, p, n] = [t.anchor, t.positive, t.negative].map(|row| run.name(row));
            format!("anchor {a}, positive {p}, negative {n} ({}{kind})", t.band.name())
        };
        for triplet in balance::must_be_there(&self.triplets, run, sheet) {
            if !run.triplets_of(triplet.anchor).contains(&triplet) {
                findings.file(TRIPLETS, "no such triplet", named(&triplet));
            }
        }
        for &anchor in &self.sample {
            let candidates = self.triplets_of(anchor);
            for triplet in run.triplets_of(anchor).iter().filter(|t| !candidates.contains(t)) {
                findings.file(TRIPLETS, named(triplet), "no such triplet");
            }
        }
    }

    /// The same of lines that do not tell their triplets: each row was mined for its anchor.
    fn compare_rows(&self, run: &Run<'_>, sheet: &Sheet, findings: &mut Findings) {
        let none = format!("no such {}", noun(sheet.layout()));
        for &anchor in &self.sample {
            let candidates = self.triplets_of(anchor);
            let mined = |member: &Member| match member.role {
                Role::Positive => candidates.iter().any(|t| t.positive == member.row),
                Role::Negative { .. } | Role::Other => candidates.iter().any(|t| t.negative == member.row),
            };
            for line in run.of_anchor(anchor).iter().filter(|line| !line.members.iter().all(mined)) {
                findings.file(TRIPLETS, named(run, &line), &none);
            }
        }
    }

    /// Compares reasons. `listed`: that of each row.
    pub(super) fn compare_unmined(&self, run: &Run<'_>, listed: &[Option<Reason>], findings: &mut Findings) {
        for &(row, reason) in &self.unmined {
            let listed = listed.get(row.index()).copied().flatten();
            if listed.is_some_and(|listed| listed != reason) {
                let found = format!("{} as {}", run.name(row), listed.map_or("mined", Reason::name));
                findings.file(UNMINED, found, reason.name());
            }
        }
    }
}

/// The lines of an anchor that are not among others of it.
fn without<'a>(lines: &'a Lines, others: &Lines) -> Vec<Line<'a>> {
    let rows = |line: &Line<'_>| line.members.iter().map(|member| member.row).collect::<Vec<Row>>();
    let places: HashMap<Vec<Row>, usize> = others.iter().enumerate().map(|(i, line)| (rows(&line), i)).collect();
    let among = |line: &Line<'_>| places.get(&rows(line)).is_some_and(|&i| others.get(i).members == line.members);
    lines.iter().filter(|line| !among(line)).collect()
}

fn noun(layout: Layout) -> &'static str {
    match layout {
        Layout::Triplet => "triplet",
        Layout::NTuple => "tuple",
        Layout::Pair | Layout::LabeledPair => "pair",
        Layout::LabeledList => "list",
        Layout::Candidates => "candidate",
    }
}

/// A line as a finding tells it.
pub(super) fn named(run: &Run<'_>, line: &Line<'_>) -> String {
    let mut text = format!("anchor {}", run.name(line.anchor));
    for member in line.members {
        let name = run.name(member.row);
        text += &match member.role {
            Role::Positive => format!(", positive {name}"),
            Role::Other => format!(", negative {name}"),
            Role::Negative { band, fallback } => {
                format!(", negative {name} ({}{})", band.name(), if fallback { " as fallback" } else { "" })
            }
        };
    }
    text
}

/// Of an output, down to its last byte: whoever changes a row cannot tell which anchors will then be looked at.
pub(super) fn salt(sealed: &Sealed) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(sealed.fingerprint.as_bytes());
    for listed in sealed.listed() {
        hasher.update(listed.sha256.as_bytes());
    }
    let mut salt = [0; size_of::<u64>()];
    hasher.finalize_xof().fill(&mut salt);
    u64::from_le_bytes(salt)
}

/// The anchors whose hashes are smallest: the same for the same output, others for another. Ascending.
fn sample(store: &Prepared, count: usize, salt: u64) -> Vec<Row> {
    let keys = store.keys();
    let mut rows: Vec<Row> = store.anchors().map(Row).collect();
    if count < rows.len() {
        let hash = |row: &Row| combine(&[salt, keys[row.index()], u64::from(row.0)]);
        let mut ranked: Vec<(u64, Row)> = rows.iter().map(|row| (hash(row), *row)).collect();
        ranked.select_nth_unstable(count);
        rows = ranked[..count].iter().map(|&(_, row)| row).collect();
        rows.sort_unstable();
    }
    rows
}
