//! `[balance]`: each rule against brute force on random stores, told apart from the program's own words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::Float32Type;

use crate::equivalence::awkward;
use crate::support::{Draw, Line, Room, Rows, STORE, batches, manifest, parts, tree, triplets, unmined};

/// A store with large and small classes, most of whose rows are labelled.
pub fn uneven(draw: &mut Draw) -> Rows {
    let mut rows = awkward(draw);
    for (row, label) in rows.labels.iter_mut().enumerate().skip(3) {
        if label.is_some() && draw.below(2) == 0 {
            *label = Some("c0".into());
        }
        if row % 7 == 0 {
            *label = Some("c1".into());
        }
    }
    rows
}

fn class(rows: &Rows, row: u64) -> &str {
    rows.labels[row as usize].as_deref().unwrap()
}

/// Rows of each class of two rows or more.
fn classes(rows: &Rows) -> BTreeMap<&str, Vec<u64>> {
    let mut classes: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (row, label) in (0..).zip(&rows.labels) {
        if let Some(label) = label {
            classes.entry(label).or_default().push(row);
        }
    }
    classes.retain(|_, members| members.len() > 1);
    classes
}

/// Runs a pipeline over `rows` and has the program verify all of it, too.
fn mined(room: &Room, name: &str, extra: &str) -> (Vec<Line>, BTreeMap<u64, String>) {
    let out = room.run(name, &format!("{STORE}search.index = 'exact'\n{extra}"));
    room.miner(&["verify", name]).exits(0);
    room.miner(&["verify", name, "--full"]).exits(0);
    (triplets(&out), unmined(&out))
}

pub fn count<T: Ord>(of: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    of.for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}

#[test]
fn a_class_has_so_many_anchors_and_the_rest_are_named() {
    for seed in 0..12 {
        let mut draw = Draw(seed);
        let rows = uneven(&mut draw);
        let most = 1 + draw.below(5) as usize;
        let room = Room::new();
        rows.write(&room.path("store.parquet"));
        let asked = format!("mine.bands = {{ any = 1 }}\nbalance.anchors_per_class = {most}");
        let (lines, listed) = mined(&room, "out", &asked);
        let anchors: BTreeSet<u64> = lines.iter().map(|line| line.anchor).collect();
        for (label, members) in classes(&rows) {
            let chosen = members.iter().filter(|row| anchors.contains(row)).count();
            assert_eq!(chosen, most.min(members.len()), "seed {seed}: {label}");
            for row in members {
                let reason = listed.get(&row).map(String::as_str);
                assert_eq!(
                    reason == Some("balanced-away"),
                    !anchors.contains(&row),
                    "seed {seed}: row {row} {reason:?}"
                );
            }
        }
        assert!(lines.iter().any(|line| !anchors.contains(&line.negative)), "seed {seed}: others are still negatives");

        // The same ids in another order: the same anchors.
        let n = rows.vectors.len();
        let turned = Rows {
            vectors: (0..n).rev().map(|row| rows.vectors[row].clone()).collect(),
            labels: (0..n).rev().map(|row| rows.labels[row].clone()).collect(),
            teams: (0..n).rev().map(|row| rows.teams[row].clone()).collect(),
        };
        turned.write_with_ids(&room.path("store.parquet"), (0..n as u64).rev());
        let (lines, _) = mined(&room, "turned", &asked);
        let again: BTreeSet<u64> = lines.iter().map(|line| n as u64 - 1 - line.anchor).collect();
        assert_eq!(anchors, again, "seed {seed}: the order of rows is irrelevant");
    }
}

#[test]
fn small_classes_get_other_pairs_up_to_the_count() {
    for seed in 0..16 {
        let mut draw = Draw(seed);
        let rows = uneven(&mut draw);
        let (target, base) = (1 + draw.below(60) as usize, 1 + draw.below(2) as usize);
        let pick = *draw.one_of(&["random", "nearest", "hardest"]);
        let teams = draw.below(2) == 0;
        let room = Room::new();
        rows.write(&room.path("store.parquet"));
        // Every pair finds a negative, so that it leaves a trace.
        let asked = format!(
            "store.groups = {{ team = 'team' }}\nmine.bands = {{ any = 1 }}\nmine.positives.pick = '{pick}'\n\
             mine.positives.per_anchor = {base}\n{}",
            if teams { "mine.positives.different = ['team']\n" } else { "" }
        );
        let plain = mined(&room, "plain", &asked).0;
        let (lines, _) = mined(&room, "out", &format!("{asked}balance.oversample_to = {target}"));
        let pairs = count(lines.iter().map(|line| (line.anchor, line.positive)));
        assert!(pairs.values().all(|&times| times == 1), "seed {seed}: no pair twice");
        let of_anchor = count(pairs.keys().map(|&(anchor, _)| anchor));
        for (label, members) in classes(&rows) {
            let differ = |a: u64, b: u64| {
                let (a, b) = (&rows.teams[a as usize], &rows.teams[b as usize]);
                a.is_none() || a != b
            };
            let has = |a: u64| members.iter().filter(|&&b| b != a && (!teams || differ(a, b))).count();
            let total = |each: usize| members.iter().map(|&a| has(a).min(each)).sum::<usize>();
            let found: usize = members.iter().map(|a| of_anchor.get(a).copied().unwrap_or(0)).sum();
            assert_eq!(found, total(base).max(target.min(total(usize::MAX))), "seed {seed}: pairs of {label}");
            // As even as it can be: no anchor has two more than another that could have had more.
            let most = members.iter().filter_map(|a| of_anchor.get(a)).max().copied().unwrap_or(0);
            for a in &members {
                let own = of_anchor.get(a).copied().unwrap_or(0);
                assert!(
                    own + 1 >= most.min(has(*a)),
                    "seed {seed}: anchor {a} has {own} of {}, another {most}",
                    has(*a)
                );
            }
        }
        let all: BTreeSet<&Line> = lines.iter().collect();
        // A pair keeps its negative, whatever else its anchor gets.
        assert!(plain.iter().all(|line| all.contains(line)), "seed {seed}: what was there before stays");
    }
}

/// What each window of each pair could take: the rows of a run that asks for the spare ones outright.
type Windows = BTreeMap<(u64, u64, String, bool), Vec<Line>>;

fn windows(lines: &[Line], by_band: bool) -> Windows {
    let mut windows = Windows::new();
    for line in lines {
        let band = if by_band { line.band.clone() } else { String::new() };
        windows.entry((line.anchor, line.positive, band, line.fallback)).or_default().push(line.clone());
    }
    windows
}

/// A limit that is held against what could be taken.
pub struct Limit {
    pub max_uses: usize,
    /// Of a window.
    pub slots: usize,
    pub by_band: bool,
    pub pick: &'static str,
    /// Negatives of one class for one anchor, and the classes of all rows.
    per_class: Option<(usize, Vec<Option<String>>)>,
}

impl Limit {
    pub fn draw(draw: &mut Draw) -> Self {
        let max_uses = 1 + draw.below(6) as usize;
        let slots = 1 + draw.below(3) as usize;
        let by_band = draw.below(2) == 0;
        Self {
            max_uses,
            slots,
            by_band,
            pick: *draw.one_of(&["nearest", "random", "distance-weighted"]),
            per_class: None,
        }
    }

    /// What a pipeline says that asks each window for so many, without the limit.
    pub fn asked(&self, count: usize) -> String {
        let bands =
            if self.by_band { format!("hard = {count}, semi-hard = {count}") } else { format!("any = {count}") };
        format!("mine.bands = {{ {bands} }}\nmine.pick = '{}'\nmine.positives.per_anchor = 2\n", self.pick)
    }

    /// Candidates that a window is mined with.
    pub fn spares(&self) -> usize {
        (2 * self.slots).max(4)
    }

    /// What windows are mined with where a class may give an anchor so many negatives: of `all` that there are, each window the
    /// nearest that fit, and spare ones as if it were the last; what it takes without the limit counts for the next.
    fn candidates(&self, all: &[Line]) -> Vec<Line> {
        let (most, classes) = self.per_class.as_ref().unwrap();
        let (mut given, mut candidates) = (BTreeMap::new(), Vec::new());
        let (mut anchor, all) = (None, windows(all, self.by_band));
        for ((a, ..), mut rows) in all {
            if anchor.replace(a) != Some(a) {
                given.clear();
            }
            rows.sort_by(|x, y| {
                let far = |line: &Line| f32::from_bits(line.d_an);
                far(x).total_cmp(&far(y)).then(x.negative.cmp(&y.negative))
            });
            let (mut here, mut taken) = (given.clone(), 0);
            for line in rows {
                let class = classes[line.negative as usize].clone();
                let room = class.as_ref().is_none_or(|class| here.get(class) < Some(most));
                if taken == self.spares() || !room {
                    continue;
                }
                taken += 1;
                if let Some(class) = class {
                    *here.entry(class.clone()).or_default() += 1;
                    *given.entry(class).or_default() += usize::from(taken <= self.slots);
                }
                candidates.push(line);
            }
        }
        candidates
    }

    /// Holds a limited run against one that took all `candidates`; `told` is the manifest's word on balance.
    pub fn check(
        &self,
        candidates: &[Line],
        lines: &[Line],
        listed: &BTreeMap<u64, String>,
        told: &serde_json::Value,
    ) -> Result<(), String> {
        let fail = |what: String| Err(what);
        let uses = count(lines.iter().map(|line| line.negative));
        if uses.values().any(|&times| times > self.max_uses) {
            return fail(format!("{uses:?}"));
        }
        let (candidates, chosen) = (windows(candidates, self.by_band), windows(lines, self.by_band));
        for (name, taken) in &chosen {
            let could = candidates.get(name).map_or(&[][..], Vec::as_slice);
            if taken.len() > self.slots || !taken.iter().all(|line| could.contains(line)) {
                return fail(format!("{name:?}: {taken:?} of {could:?}"));
            }
        }
        let class = |line: &Line| {
            let (_, classes) = self.per_class.as_ref()?;
            classes[line.negative as usize].clone()
        };
        let given = count(lines.iter().filter_map(|line| Some((line.anchor, class(line)?))));
        let most = self.per_class.as_ref().map_or(usize::MAX, |&(most, _)| most);
        if given.values().any(|&times| times > most) {
            return fail(format!("{given:?}"));
        }
        let given_all = |line: &Line| class(line).is_some_and(|class| given.get(&(line.anchor, class)) == Some(&most));
        let used_up = |line: &Line| uses.get(&line.negative) == Some(&self.max_uses) || given_all(line);
        let mut filled = 0;
        for (name, could) in &candidates {
            let taken = chosen.get(name).map_or(&[][..], Vec::as_slice);
            filled += self.slots.min(could.len());
            let passed = could.iter().filter(|line| !taken.contains(line));
            if taken.len() < self.slots && !passed.clone().all(used_up) {
                return fail(format!("{name:?} has an empty slot and a candidate for it"));
            }
            let far = |line: &Line| f32::from_bits(line.d_an);
            let farthest = taken.iter().map(far).max_by(f32::total_cmp);
            let nearer = |line: &&Line| farthest.is_some_and(|farthest| far(line) < farthest);
            if self.pick == "nearest" && !passed.filter(nearer).all(used_up) {
                return fail(format!("{name:?} passed over a nearer one"));
            }
        }
        if told["emptied"].as_u64() != Some((filled - lines.len()) as u64) {
            return fail(format!("{told}, but {filled} slots could be filled, and {} are", lines.len()));
        }
        let anchors: BTreeSet<u64> = lines.iter().map(|line| line.anchor).collect();
        let without: BTreeSet<u64> =
            candidates.keys().map(|name| name.0).filter(|row| !anchors.contains(row)).collect();
        let away: BTreeSet<u64> =
            listed.iter().filter(|(_, reason)| *reason == "balanced-away").map(|(&row, _)| row).collect();
        if away != without {
            return fail(format!("left with nothing: {away:?}, expected {without:?}"));
        }
        Ok(())
    }
}

#[test]
fn no_row_is_a_negative_too_often_and_no_slot_is_empty_without_need() {
    for seed in 0..24 {
        let mut draw = Draw(seed);
        let rows = uneven(&mut draw);
        let limit = Limit::draw(&mut draw);
        let room = Room::new();
        rows.write(&room.path("store.parquet"));
        let (candidates, _) = mined(&room, "candidates", &limit.asked(limit.spares()));
        let limited = |most: usize| format!("{}balance.max_uses = {most}", limit.asked(limit.slots));
        let (lines, listed) = mined(&room, "out", &limited(limit.max_uses));
        let told = &manifest(&room.path("out"))["balance"];
        assert_eq!(limit.check(&candidates, &lines, &listed, told), Ok(()), "seed {seed}");
        // A limit that nothing reaches changes nothing of what the nearest are, or the first that were drawn; one that is
        // reached takes nothing but what is used up.
        if limit.pick != "random" {
            let (free, _) = mined(&room, "free", &limited(1_000_000));
            let plain = mined(&room, "plain", &limit.asked(limit.slots)).0;
            assert_eq!(free, plain, "seed {seed}");
            let uses = count(lines.iter().map(|line| line.negative));
            let missing = plain.iter().filter(|line| !lines.contains(line));
            assert!(missing.clone().all(|line| uses[&line.negative] == limit.max_uses), "seed {seed}");
        }
    }
}

#[test]
fn a_class_s_quota_holds_while_slots_take_turns() {
    let mut emptied = 0;
    for seed in 0..24 {
        let mut draw = Draw(seed);
        let rows = uneven(&mut draw);
        let quota = 1 + draw.below(2) as usize;
        let limit = Limit { per_class: Some((quota, rows.labels.clone())), ..Limit::draw(&mut draw) };
        let room = Room::new();
        rows.write(&room.path("store.parquet"));
        let plain = format!("{}mine.negatives.max_per_class = {quota}\n", limit.asked(limit.slots));
        let limited = |most: usize| format!("{plain}balance.max_uses = {most}");
        let (lines, listed) = mined(&room, "out", &limited(limit.max_uses));
        let told = &manifest(&room.path("out"))["balance"];
        emptied += told["emptied"].as_u64().unwrap();
        if limit.pick == "nearest" {
            let (all, _) = mined(&room, "all", &limit.asked(1_000));
            let candidates = limit.candidates(&all);
            assert_eq!(limit.check(&candidates, &lines, &listed, told), Ok(()), "seed {seed}");
        } else {
            let class = |line: &Line| Some((line.anchor, rows.labels[line.negative as usize].clone()?));
            let within = |most: usize, counts: Vec<usize>| counts.into_iter().all(|count| count <= most);
            assert!(within(quota, count(lines.iter().filter_map(class)).into_values().collect()), "seed {seed}");
            let uses = count(lines.iter().map(|line| line.negative));
            assert!(within(limit.max_uses, uses.into_values().collect()), "seed {seed}");
        }
        if limit.pick != "random" {
            assert_eq!(mined(&room, "free", &limited(1_000_000)).0, mined(&room, "plain", &plain).0, "seed {seed}");
        }
    }
    assert!(emptied > 0, "the limit took nothing, which proves nothing");
}

#[test]
fn a_cap_keeps_part_of_what_there_is_and_a_larger_one_more_of_it() {
    for seed in 0..8 {
        let mut draw = Draw(seed);
        let rows = uneven(&mut draw);
        let room = Room::new();
        rows.write(&room.path("store.parquet"));
        let order = *draw.one_of(&["anchor", "random", "hard-to-easy", "easy-to-hard"]);
        let asked = format!("mine.bands = {{ any = 3 }}\nbalance.max_uses = 9\noutput.order = '{order}'\n");
        let (all, before) = mined(&room, "all", &asked);
        let mut larger = all.clone();
        for (name, most) in [("three-quarters", all.len() * 3 / 4), ("few", 7), ("one", 1)] {
            let (lines, listed) = mined(&room, name, &format!("{asked}balance.triplets = {most}"));
            assert_eq!(lines.len(), most, "seed {seed}");
            // In the same order, too.
            let mut rest = larger.iter();
            assert!(lines.iter().all(|line| rest.any(|other| other == line)), "seed {seed}: {name} of the larger one");
            let anchors: BTreeSet<u64> = lines.iter().map(|line| line.anchor).collect();
            for row in 0..rows.vectors.len() as u64 {
                let reason = listed.get(&row).map(String::as_str);
                match before.get(&row) {
                    Some(earlier) => assert_eq!(reason, Some(earlier.as_str()), "seed {seed}: row {row}"),
                    None => {
                        assert_eq!(reason == Some("balanced-away"), !anchors.contains(&row), "seed {seed}: row {row}")
                    }
                }
            }
            larger = lines;
        }
        let (lines, _) = mined(&room, "more-than-all", &format!("{asked}balance.triplets = {}", all.len() + 1));
        assert_eq!(lines, all, "seed {seed}");
    }
}

/// The column `weight`, in the order of the triplets.
pub fn weights(out: &Path) -> Vec<f32> {
    let column = |batch: &arrow::array::RecordBatch| {
        batch.column_by_name("weight").unwrap().as_primitive::<Float32Type>().values().to_vec()
    };
    parts(out).iter().flat_map(|part| batches(part)).flat_map(|batch| column(&batch)).collect()
}

#[test]
fn weights_are_those_of_the_formulas_and_one_on_average() {
    for seed in 0..8 {
        let mut draw = Draw(seed);
        let rows = uneven(&mut draw);
        let room = Room::new();
        rows.write(&room.path("store.parquet"));
        let beta = *draw.one_of(&[0.0, 0.5, 0.9, 0.999]);
        for (name, text) in [("inverse", String::new()), ("effective", format!("balance.beta = {beta:?}\n"))] {
            let extra = format!("mine.bands = {{ any = 2 }}\nbalance.weights = '{name}'\n{text}");
            let (lines, _) = mined(&room, name, &extra);
            let found = weights(&room.path(name));
            let n = count(lines.iter().map(|line| class(&rows, line.anchor)));
            let raw = |line: &Line| {
                let n = n[class(&rows, line.anchor)] as i32;
                if name == "inverse" { 1.0 / f64::from(n) } else { (1.0 - beta) / (1.0 - f64::powi(beta, n)) }
            };
            let mean = lines.iter().map(raw).sum::<f64>() / lines.len() as f64;
            for (line, weight) in lines.iter().zip(&found) {
                let expected = raw(line) / mean;
                assert!((f64::from(*weight) - expected).abs() < 1e-6 * expected, "seed {seed}: {weight}, {expected}");
            }
            let mean = found.iter().map(|&weight| f64::from(weight)).sum::<f64>() / found.len() as f64;
            assert!((mean - 1.0).abs() < 1e-6, "seed {seed}: {mean}");
        }
        mined(&room, "none", "balance.weights = 'none'");
        assert!(weights(&room.path("none")).iter().all(|&weight| weight == 1.0));
    }
}

/// Everything at once.
pub const ALL: &str = "\
mine.bands = { hard = 1, semi-hard = 2 }
mine.fallback = ['easy']
balance.anchors_per_class = 12
balance.oversample_to = 40
balance.max_uses = 5
balance.triplets = 400
balance.weights = 'effective'
";

#[test]
fn threads_memory_and_index_change_no_byte_of_a_balanced_output() {
    for (seed, batches) in [(1, "kind = 'pk', classes = 3, per_class = 4"), (2, "kind = 'triplets', size = 2")] {
        let mut draw = Draw(seed);
        let rows = uneven(&mut draw);
        for index in ["exact", "cells", "hnsw"] {
            let outputs = [("1", "0"), ("2", "0"), ("2", "64GiB")].map(|(threads, memory)| {
                let room = Room::new();
                rows.write(&room.path("store.parquet"));
                let asked =
                    format!("{STORE}{ALL}batches = {{ {batches} }}\nsearch.index = '{index}'\noutput.path = 'out'\n");
                room.write("p.toml", &asked);
                room.miner(&["run", "p.toml", "--quiet", "--threads", threads, "--memory", memory]).exits(0);
                room.miner(&["verify", "out"]).exits(0);
                tree(&room.path("out"))
            });
            assert!(outputs[0].contains_key("batches.parquet"));
            assert!(outputs[0] == outputs[1], "{index}: 1 thread and 2 threads differ");
            assert!(outputs[1] == outputs[2], "{index}: little and much memory differ");
        }
    }
}

/// A slot that guards left empty is not one that the limit emptied.
#[test]
fn what_guards_take_is_not_what_a_limit_takes() {
    for seed in 0..4 {
        let mut draw = Draw(seed);
        let room = Room::new();
        uneven(&mut draw).write(&room.path("store.parquet"));
        let asked = "mine.bands = { any = 3 }\nmine.negatives.relative_margin = 0.1\n";
        let (free, _) = mined(&room, "free", asked);
        assert!(manifest(&room.path("free"))["rows"]["triplets"].as_u64() > Some(0));
        let (limited, _) = mined(&room, "limited", &format!("{asked}balance.max_uses = 2\n"));
        let report: serde_json::Value =
            serde_json::from_str(&room.miner(&["report", "free", "--json"]).exits(0).stdout).unwrap();
        assert!(report["guarded"].as_u64() > Some(0), "seed {seed}: guards took nothing, which proves nothing");
        let emptied = manifest(&room.path("limited"))["balance"]["emptied"].as_u64();
        assert_eq!(emptied, Some((free.len() - limited.len()) as u64), "seed {seed}");
    }
}

#[test]
fn balance_that_changes_nothing_changes_no_triplet() {
    let mut draw = Draw(5);
    let rows = awkward(&mut draw);
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    let plain = mined(&room, "plain", "mine.bands = { any = 2 }");
    let loose = "balance.anchors_per_class = 1000\nbalance.oversample_to = 1\nbalance.triplets = 1000000\n";
    assert_eq!(mined(&room, "loose", &format!("mine.bands = {{ any = 2 }}\n{loose}")), plain);
    assert!(manifest(&room.path("plain")).get("balance").is_none());
    assert_eq!(manifest(&room.path("loose"))["balance"]["cut"], 0);
}
