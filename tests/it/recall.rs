//! Approximate runs: what they say of their recall is measured again, and what they missed is told from what somebody took away.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use triplet_miner::store::Prepared;
use triplet_miner::{config, mine, store};

use crate::support::{Draw, Room, Rows, STORE, copy, manifest, sample};
use crate::tamper::{edit_manifest, reseal};

const PART: &str = "triplets/part-00000.jsonl";

/// A store of `n` rows, large enough for anchors that a run looked at neither for tuning nor for measuring.
fn room(n: usize, seed: u64) -> Room {
    let (room, mut draw) = (Room::new(), Draw(seed));
    let rows = Rows {
        vectors: (0..n).map(|_| (0..12).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|_| (draw.below(40) > 0).then(|| format!("class-{}", draw.below(30)))).collect(),
        teams: vec![None; n],
    };
    rows.write(&room.path("store.parquet"));
    room
}

fn pipeline(index: &str, extra: &str) -> String {
    format!(
        "{STORE}search.index = '{index}'\nsearch.target_recall = 0.7\nsearch.hnsw.ef_search = 8\n\
         mine.bands = {{ hard = 2, semi-hard = 3 }}\noutput.format = 'jsonl'\n{extra}"
    )
}

#[test]
fn honest_runs_are_sound_and_their_recall_is_met_again() {
    for seed in 0..3 {
        let room = room(2_200, seed);
        for index in ["cells", "hnsw"] {
            room.run(
                index,
                &pipeline(
                    index,
                    &format!("mine.seed = {seed}\nmine.pick = '{}'\n", ["nearest", "random"][seed as usize % 2]),
                ),
            );
            let recall = &manifest(&room.path(index))["search"]["recall"];
            let claim = format!("proved: recall {:.3} ", recall["estimate"].as_f64().unwrap());
            let missed = recall["estimate"].as_f64().unwrap() < 1.0;
            assert!(missed || index == "hnsw", "seed {seed}: a search that misses nothing shows nothing");
            for (options, others) in
                [(&[][..], "500 other anchors, by brute force"), (&["--full"], "other anchors, by exact search")]
            {
                let verdict = room.miner(&[&["verify", index], options].concat()).exits(0).stdout;
                assert!(verdict.starts_with("sound\n") && verdict.contains(&claim), "seed {seed}, {index}:\n{verdict}");
                assert!(verdict.contains(others), "seed {seed}, {index}:\n{verdict}");
                let again = verdict.contains("mined again by the search of the run: the same yield");
                assert_eq!(again, index == "cells" || !options.is_empty(), "{verdict}");
                assert_eq!(verdict.contains("tuned again to the same"), !options.is_empty(), "{verdict}");
            }
        }
    }
}

#[test]
fn layouts_and_balance_that_tell_no_triplets_are_searched_again() {
    let room = Room::new();
    let glosses = STORE.replace("store.parquet", &sample("glosses.parquet"));
    for (name, extra) in [
        ("tuples", "output.layout = 'n-tuple'\n"),
        ("candidates", "output.layout = 'candidates'\n"),
        ("balanced", "balance = { max_uses = 2, triplets = 2000 }\n"),
        ("texts", "store.carry = ['text']\noutput.columns = 'text'\n"),
    ] {
        room.run(name, &pipeline("cells", extra).replace(STORE, &glosses));
        let verdict = room.miner(&["verify", name]).exits(0).stdout;
        assert!(verdict.contains("what the search finds again against exact search again"), "{name}:\n{verdict}");
        room.miner(&["verify", name, "--full"]).exits(0);
        edit_manifest(&room.path(name), |sealed| sealed["search"]["recall"]["sample"] = json!(999));
        let verdict = room.miner(&["verify", name]).exits(3).stdout;
        assert!(verdict.contains("search.recall.sample"), "{name}:\n{verdict}");
    }
}

/// Leaves only the first triplet of each of some anchors, and makes all counts and checksums anew.
fn thin(out: &Path, some: impl Fn(u64) -> bool) {
    let text = fs::read_to_string(out.join(PART)).unwrap();
    let (mut last, mut kept) = (None, Vec::new());
    let (mut bands, mut dropped) = ([("hard", 0u64), ("semi-hard", 0), ("easy", 0)], 0);
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let anchor = row["anchor_row"].as_u64();
        if last.replace(anchor) == Some(anchor) && some(anchor.unwrap()) {
            dropped += 1;
            bands.iter_mut().filter(|(band, _)| row["band"] == *band).for_each(|(_, count)| *count += 1);
        } else {
            kept.push(format!("{line}\n"));
        }
    }
    assert!(dropped > 200, "{dropped}");
    fs::write(out.join(PART), kept.concat()).unwrap();
    reseal(out, PART, kept.len());
    edit_manifest(out, |sealed| {
        let less = |value: &mut Value, by: u64| *value = json!(value.as_u64().unwrap() - by);
        less(&mut sealed["rows"]["triplets"], dropped);
        bands.iter().for_each(|(band, by)| less(&mut sealed["bands"][*band], *by));
    });
}

/// The anchors that a run measured its recall on: whoever thins its output may spare them.
fn measured(room: &Room, pipeline: &str) -> HashSet<u64> {
    let plan = config::load(&room.path(pipeline), &[]).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let dir = room.path("prepared");
    runtime.block_on(async {
        let survey = store::survey(plan.sources()).await.unwrap();
        store::prepare(plan.sources(), &survey, &dir, 0, &|_| ()).await.unwrap();
    });
    let store = Prepared::open(&dir).unwrap();
    mine::measured(&store, &plan.mine).iter().map(|row| store.source_rows()[row.index()]).collect()
}

#[test]
fn thinned_rows_are_found_by_the_recall_that_they_no_longer_have() {
    let room = room(3_000, 9);
    for index in ["cells", "hnsw"] {
        let out = room.run(index, &pipeline(index, ""));
        let refused = |name: &str, told: &str| {
            let verdict = room.miner(&["verify", name]).exits(3).stdout;
            assert!(verdict.contains(told), "{index}: `{told}` is not told:\n{verdict}");
            assert!(!verdict.contains("on 1,000 anchors"), "{index}: the claim is said to be proved:\n{verdict}");
        };
        // A fifth of all anchors, wherever they are.
        copy(&out, &room.path(&format!("{index}-thin")));
        thin(&room.path(&format!("{index}-thin")), |anchor| anchor % 5 == 0);
        let told = if index == "cells" { "no such triplet" } else { "search.recall.estimate" };
        refused(&format!("{index}-thin"), told);
    }
    // Anchors that were not measured: the claim holds where it was made, and nowhere else.
    let spared = measured(&room, "hnsw.toml");
    assert_eq!(spared.len(), 1_000);
    copy(&room.path("hnsw"), &room.path("spared"));
    thin(&room.path("spared"), |anchor| !spared.contains(&anchor) && anchor % 2 == 0);
    let verdict = room.miner(&["verify", "spared"]).exits(3).stdout;
    assert!(verdict.contains("as on 500 other anchors") && !verdict.contains("search.recall.estimate"), "{verdict}");
    let verdict = room.miner(&["verify", "spared", "--full"]).exits(3).stdout;
    assert!(verdict.contains("no such triplet"), "{verdict}");
}

#[test]
fn a_forged_recall_is_found_by_its_key() {
    let room = room(2_200, 5);
    for index in ["cells", "hnsw"] {
        let out = room.run(index, &pipeline(index, ""));
        let forged = room.path("forged");
        let refused = |told: &str, options: &[&str], change: &dyn Fn(&mut Value)| {
            copy(&out, &forged);
            edit_manifest(&forged, |sealed| change(&mut sealed["search"]));
            let verdict = room.miner(&[&["verify", "forged"], options].concat()).exits(3).stdout;
            assert!(verdict.contains(told), "{index}: `{told}` is not told:\n{verdict}");
        };
        for key in ["estimate", "low", "high"] {
            refused(&format!("search.recall.{key}"), &[], &|search| {
                search["recall"][key] = json!(search["recall"][key].as_f64().unwrap() + 0.01);
            });
            refused(&format!("search.recall.bands.hard.{key}"), &[], &|search| {
                let value = &mut search["recall"]["bands"]["hard"][key];
                *value = json!(value.as_f64().unwrap() - 0.01);
            });
        }
        refused("search.recall.sample", &[], &|search| search["recall"]["sample"] = json!(2_000));
        refused("search.recall.target", &[], &|search| search["recall"]["target"] = json!(0.6));
        refused("search.recall.bands", &[], &|search| {
            search["recall"]["bands"].as_object_mut().unwrap().remove("hard");
        });
        refused("search.recall", &[], &|search| drop(search.as_object_mut().unwrap().remove("recall")));
        refused("search.index", &[], &|search| search["index"] = json!("exact"));
        refused("search.few", &["--full"], &|search| search["few"] = json!(!search["few"].as_bool().unwrap()));
        refused("search.effort", &["--full"], &|search| {
            search["effort"] = json!(search["effort"].as_u64().unwrap() + 1)
        });
        refused("search.effort", &["--full"], &|search| search["effort"] = json!(4_000_000_000u32));
        refused("search.effort", &[], &|search| drop(search.as_object_mut().unwrap().remove("few")));
    }
}
