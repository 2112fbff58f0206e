//! `[balance]` and `[batches]` in every layout: what is chosen is what the rows of the layout stand for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::balance::{count, uneven};
use crate::batches::read;
use crate::layouts::{LAYOUTS, ORDERS, derived, held, number, rows};
use crate::support::{Draw, Room, STORE, manifest, tree, unmined};

/// Runs a pipeline, and has the program verify all of it.
fn mined(room: &Room, name: &str, text: &str) -> Vec<Value> {
    let out = room.run(name, text);
    room.miner(&["verify", name]).exits(0);
    room.miner(&["verify", name, "--full"]).exits(0);
    rows(&out)
}

fn asked(layout: &str, extra: &str) -> String {
    format!(
        "{STORE}store.carry = ['team']\nsearch.index = 'exact'\nmine.positives.per_anchor = 2\noutput.format = 'jsonl'\n\
         output.layout = '{layout}'\noutput.rows_per_file = 37\n{extra}\n"
    )
}

/// The rows of a line that are negatives.
fn negatives(row: &Value, slots: usize) -> Vec<u64> {
    (1..=slots).map(|i| number(row, &format!("negative_{i}_row"))).collect()
}

#[test]
fn a_limit_of_uses_holds_in_every_layout() {
    for seed in 0..6 {
        let mut draw = Draw(seed);
        let room = Room::new();
        uneven(&mut draw).write(&room.path("store.parquet"));
        let (most, order) = (2 + draw.below(6), draw.one_of(&ORDERS));
        let bands = "mine.bands = { hard = 1, semi-hard = 2 }\nmine.fallback = ['easy']\n";
        let limit = format!("{bands}output.order = '{order}'\nbalance.max_uses = {most}\n");
        let triplets = mined(&room, "triplets", &asked("triplet", &limit));
        for layout in LAYOUTS.iter().filter(|layout| **layout != "n-tuple") {
            let found = mined(&room, layout, &asked(layout, &limit));
            assert_eq!(held(layout, &found, 3), derived(layout, &triplets, 3), "seed {seed}, {layout}");
            let listed = ["triplets", layout].map(|name| unmined(&room.path(name)));
            assert_eq!(listed[0], listed[1], "seed {seed}, {layout}");
        }
    }
}

/// A tuple takes all of its negatives or none, so that nothing is used up by tuples that are not written.
#[test]
fn a_limit_of_uses_is_spent_on_whole_tuples() {
    let mut lost = 0;
    for seed in 0..20 {
        let mut draw = Draw(seed);
        let room = Room::new();
        let store = uneven(&mut draw);
        store.write(&room.path("store.parquet"));
        let most = 1 + draw.below(6);
        let slots = 1 + draw.below(3) as usize;
        let pick = *draw.one_of(&["nearest", "random", "distance-weighted"]);
        let per_class = match draw.below(3) {
            0 if pick == "nearest" => "mine.negatives.max_per_class = 1\n",
            _ => "",
        };
        let bands =
            |count: usize| format!("mine.bands = {{ hard = {count}, semi-hard = {count} }}\nmine.pick = '{pick}'\n");
        let limited = format!("{}{per_class}balance.max_uses = {most}", bands(slots));
        let tuples = mined(&room, "tuples", &asked("n-tuple", &limited));
        let uses = count(tuples.iter().flat_map(|row| negatives(row, 2 * slots)));
        assert!(uses.values().all(|&times| times as u64 <= most), "seed {seed}: {uses:?}");
        if !per_class.is_empty() {
            let class = |row: u64| store.labels[row as usize].clone();
            let of = |row: &Value| {
                let anchor = number(row, "anchor_row");
                negatives(row, 2 * slots).into_iter().map(move |n| (anchor, n))
            };
            let given = count(tuples.iter().flat_map(of).map(|(anchor, n)| (anchor, class(n))));
            assert!(given.values().all(|&times| times == 1), "seed {seed}: {given:?}");
            continue;
        }
        // All that a window could take, and all pairs that could be whole.
        let candidates = mined(&room, "candidates", &asked("triplet", &bands((2 * slots).max(4))));
        let mut windows: BTreeMap<(u64, u64), BTreeMap<String, BTreeSet<u64>>> = BTreeMap::new();
        for t in &candidates {
            let pair = windows.entry((number(t, "anchor_row"), number(t, "positive_row"))).or_default();
            pair.entry(t["band"].to_string()).or_default().insert(number(t, "negative_row"));
        }
        let whole: BTreeSet<(u64, u64)> = windows
            .iter()
            .filter(|(_, bands)| bands.len() == 2 && bands.values().all(|rows| rows.len() >= slots))
            .map(|(pair, _)| *pair)
            .collect();
        let written: BTreeSet<(u64, u64)> =
            tuples.iter().map(|row| (number(row, "anchor_row"), number(row, "positive_row"))).collect();
        assert!(written.is_subset(&whole), "seed {seed}");
        for row in &tuples {
            let bands = &windows[&(number(row, "anchor_row"), number(row, "positive_row"))];
            for i in 1..=2 * slots {
                let band = row[format!("band_{i}")].to_string();
                assert!(bands[&band].contains(&number(row, &format!("negative_{i}_row"))), "seed {seed}: {row}");
            }
        }
        for pair in whole.difference(&written) {
            let left = |rows: &BTreeSet<u64>| rows.iter().filter(|row| uses.get(row) != Some(&(most as usize))).count();
            let could = windows[pair].values().all(|rows| left(rows) >= slots);
            assert!(!could, "seed {seed}: {pair:?} could have all of its negatives");
            lost += 1;
        }
        let told = &manifest(&room.path("tuples"))["balance"];
        let emptied = (whole.len() - written.len()) * 2 * slots;
        assert_eq!(told["emptied"].as_u64(), Some(emptied as u64), "seed {seed}");
        // Who is left without says why: by balance, or because no pair of it is ever whole.
        let listed = unmined(&room.path("tuples"));
        let anchors = |pairs: &BTreeSet<(u64, u64)>| pairs.iter().map(|pair| pair.0).collect::<BTreeSet<u64>>();
        for anchor in windows.keys().map(|pair| pair.0) {
            let expected = match (anchors(&written).contains(&anchor), anchors(&whole).contains(&anchor)) {
                (true, _) => None,
                (false, true) => Some("balanced-away"),
                (false, false) => Some("band-empty"),
            };
            assert_eq!(listed.get(&anchor).map(String::as_str), expected, "seed {seed}: anchor {anchor}");
        }
    }
    assert!(lost > 0, "the limit took nothing, which proves nothing");
}

#[test]
fn a_cap_counts_rows_and_keeps_what_belongs_together() {
    for seed in 0..4 {
        let mut draw = Draw(seed);
        let room = Room::new();
        uneven(&mut draw).write(&room.path("store.parquet"));
        for layout in LAYOUTS {
            let (order, limit) = (draw.one_of(&ORDERS), *draw.one_of(&["", "balance.max_uses = 5\n"]));
            let text = format!("mine.bands = {{ any = 3 }}\noutput.order = '{order}'\n{limit}");
            let all = mined(&room, &format!("{layout}-all"), &asked(layout, &text));
            let before = unmined(&room.path(&format!("{layout}-all")));
            let of_anchor = count(all.iter().map(|row| number(row, "anchor_row")));
            let whole_anchors = ["labeled-pair", "candidates"].contains(&layout);
            let largest = if whole_anchors { *of_anchor.values().max().unwrap() } else { 1 };
            let mut larger = all.clone();
            for most in [all.len() + 1, all.len() * 3 / 4, 9, 1] {
                let name = format!("{layout}-{most}");
                let some = mined(&room, &name, &asked(layout, &format!("{text}balance.triplets = {most}\n")));
                let full = most.min(all.len());
                assert!(some.len() <= full && some.len() + largest > full, "seed {seed}, {name}: {}", some.len());
                let mut rest = larger.iter();
                assert!(
                    some.iter().all(|row| rest.any(|other| other == row)),
                    "seed {seed}, {name}: in the larger one"
                );
                let kept = count(some.iter().map(|row| number(row, "anchor_row")));
                if whole_anchors {
                    assert!(kept.iter().all(|(anchor, rows)| of_anchor[anchor] == *rows), "seed {seed}, {name}");
                }
                let told = manifest(&room.path(&name));
                assert_eq!(told["balance"]["cut"], all.len() - some.len(), "seed {seed}, {name}");
                let listed = unmined(&room.path(&name));
                for anchor in of_anchor.keys() {
                    let away = listed.get(anchor).is_some_and(|reason| reason == "balanced-away");
                    assert_eq!(away, !kept.contains_key(anchor), "seed {seed}, {name}: anchor {anchor}");
                }
                assert!(before.iter().all(|(row, reason)| listed.get(row) == Some(reason)), "seed {seed}, {name}");
                larger = some;
            }
        }
    }
}

#[test]
fn weights_are_one_on_average_over_the_rows_of_a_layout() {
    for seed in 0..3 {
        let mut draw = Draw(seed);
        let room = Room::new();
        uneven(&mut draw).write(&room.path("store.parquet"));
        for layout in LAYOUTS.iter().filter(|layout| **layout != "candidates") {
            let text = "mine.bands = { any = 2 }\nbalance.weights = 'inverse'\nbalance.oversample_to = 20\n";
            let found = mined(&room, layout, &asked(layout, text));
            let class = |row: &Value| row["anchor_label"].as_str().unwrap().to_owned();
            let of_class = count(found.iter().map(class));
            let raw = |row: &Value| 1.0 / of_class[&class(row)] as f64;
            let mean = found.iter().map(raw).sum::<f64>() / found.len() as f64;
            for row in &found {
                let (weight, expected) = (row["weight"].as_f64().unwrap(), raw(row) / mean);
                assert!((weight - expected).abs() < 1e-6 * expected, "seed {seed}, {layout}: {weight}, {expected}");
            }
        }
    }
}

#[test]
fn texts_are_those_of_the_rows_that_name_them() {
    for seed in 0..3 {
        let mut draw = Draw(seed);
        let room = Room::new();
        uneven(&mut draw).write(&room.path("store.parquet"));
        for layout in LAYOUTS {
            let balance = "balance.max_uses = 4\nbalance.triplets = 60\nbalance.anchors_per_class = 9\n";
            let text = format!("mine.bands = {{ any = 2 }}\n{balance}balance.oversample_to = 20\n");
            let all = mined(&room, &format!("{layout}-all"), &asked(layout, &text));
            let texts =
                mined(&room, &format!("{layout}-texts"), &asked(layout, &format!("{text}output.columns = 'team'\n")));
            assert_eq!(all.len(), texts.len(), "seed {seed}, {layout}");
            let teams = |row: &Value| match layout {
                "labeled-list" => row["candidates_team"].clone(),
                "labeled-pair" | "candidates" => row["candidate_team"].clone(),
                _ => row["positive_team"].clone(),
            };
            let alone = |row: &Value| match layout {
                "labeled-list" => row["candidates"].clone(),
                "labeled-pair" | "candidates" => row["candidate"].clone(),
                _ => row["positive"].clone(),
            };
            for (all, text) in all.iter().zip(&texts) {
                assert_eq!((&all["anchor_team"], teams(all)), (&text["anchor"], alone(text)), "seed {seed}, {layout}");
            }
        }
    }
}

#[test]
fn batches_of_tuples_and_pairs_hold_no_false_negative() {
    let mut made = 0;
    for seed in 0..8 {
        let mut draw = Draw(seed);
        let room = Room::new();
        let mut store = uneven(&mut draw);
        for label in store.labels.iter_mut().flatten().filter(|label| *label == "c0") {
            *label = format!("d{}", draw.below(6));
        }
        store.write(&room.path("store.parquet"));
        let (size, order) = (2 + draw.below(3), draw.one_of(&ORDERS));
        for (layout, slots) in [("n-tuple", 2), ("pair", 0)] {
            let text = format!(
                "mine.bands = {{ any = 2 }}\noutput.order = '{order}'\nbatches = {{ kind = 'triplets', size = {size} }}\n"
            );
            let lines = mined(&room, layout, &asked(layout, &text));
            let (all, remainder) = read(&room.path(layout), "triplet");
            made += all.len();
            let label = |row: u64| store.labels[row as usize].clone();
            for batch in &all {
                assert_eq!(batch.len() as u64, size, "seed {seed}, {layout}");
                for &x in batch {
                    for &y in batch.iter().filter(|&&y| y != x) {
                        let (anchor, other) = (label(number(&lines[x as usize], "anchor_row")), &lines[y as usize]);
                        let beside = [vec![number(other, "positive_row")], negatives(other, slots)].concat();
                        assert!(beside.iter().all(|&row| label(row) != anchor), "seed {seed}, {layout}: {x} and {y}");
                    }
                }
            }
            let mut named: Vec<u64> = all.concat();
            named.extend(&remainder);
            named.sort_unstable();
            assert!(named.into_iter().eq(0..lines.len() as u64), "seed {seed}, {layout}: each row once");
            // Of texts alone the batches are the same.
            let texts = format!("{layout}-texts");
            mined(&room, &texts, &asked(layout, &format!("{text}output.columns = 'team'\n")));
            let files = [layout, &texts].map(|name| tree(&room.path(name)));
            for file in ["batches.parquet", "remainder.parquet"] {
                assert!(files[0][file] == files[1][file], "seed {seed}, {layout}: {file}");
            }
        }
    }
    assert!(made > 50, "{made} batches: too few to tell");
}

#[test]
fn threads_and_memory_change_no_byte() {
    let mut draw = Draw(3);
    let store = uneven(&mut draw);
    for layout in LAYOUTS {
        let outputs = [("1", "0"), ("2", "0"), ("2", "64GiB")].map(|(threads, memory)| {
            let room = Room::new();
            store.write(&room.path("store.parquet"));
            let text = "mine.bands = { any = 2 }\nmine.negatives.max_per_class = 1\nbalance.max_uses = 3\nbalance.triplets = 50\n";
            room.write("p.toml", &format!("{}output.path = 'out'\n", asked(layout, text)));
            room.miner(&["run", "p.toml", "--quiet", "--threads", threads, "--memory", memory]).exits(0);
            tree(&room.path("out"))
        });
        assert!(outputs[0] == outputs[1], "{layout}: 1 thread and 2 threads differ");
        assert!(outputs[1] == outputs[2], "{layout}: little and much memory differ");
    }
}
