//! What is told about guards and bands, against what a run does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use triplet_miner::mine::{Quotas, Reason};
use triplet_miner::search::{Exact, Fill, Found, Quest, Search};
use triplet_miner::store::{Prepared, Row};
use triplet_miner::{config, mine, store};

use crate::support::{Draw, Line, Room, Rows, STORE, copy, instead, manifest, sample, triplets, unmined};
use crate::tamper::edit_manifest;

/// Fewer anchors than a sample takes, so that figures of the sample are those of the run.
fn room(seed: u64) -> Room {
    let mut draw = Draw(seed);
    let n = 90;
    let vectors = (0..n).map(|_| (0..6).map(|_| draw.unit()).collect()).collect();
    let labels = (0..n).map(|_| Some(format!("c{}", draw.below(9)))).collect();
    let room = Room::new();
    Rows { vectors, labels, teams: vec![None; n] }.write(&room.path("store.parquet"));
    room
}

fn said(room: &Room, args: &[&str]) -> Value {
    serde_json::from_str(&room.miner(args).exits(0).stdout).unwrap()
}

#[test]
fn calibration_foretells_how_full_bands_are() {
    for (seed, guard) in [(1, ""), (2, "mine.negatives.relative_margin = 0.1"), (3, "mine.negatives.skip_nearest = 10")]
    {
        let room = room(seed);
        let asked = format!("{STORE}mine.bands = {{ semi-hard = 30 }}\nmine.pick = 'nearest'\n{guard}\n");
        let out = room.run("out", &asked);
        let told = said(&room, &["plan", "out.toml", "--calibrate", "--json"]);
        let share = triplets(&out).len() as f64 / (30 * told["census"]["anchors"].as_u64().unwrap()) as f64;
        let expected = match guard.split_once(" = ") {
            None => {
                let margins = told["calibration"]["margins"].as_array().unwrap();
                let line = margins.iter().find(|line| line["margin"] == 0.2).unwrap();
                line["bands"][1][1]["filled"].as_f64().unwrap()
            }
            Some((key, value)) => {
                let guards = told["calibration"]["guards"].as_array().unwrap();
                let name = key.rsplit('.').next().unwrap();
                let value: f64 = value.parse().unwrap();
                let line = guards.iter().find(|line| line["guard"] == name && line["value"] == value).unwrap();
                line["fullness"]["filled"].as_f64().unwrap()
            }
        };
        assert!((share - expected).abs() < 1e-9, "{guard}: {share}, foretold {expected}");
        assert!(share > 0.05 && share < 0.95, "{guard}: {share} proves nothing");
    }
}

#[test]
fn the_audit_counts_what_guards_take_from_a_run() {
    let room = room(4);
    let asked = format!("{STORE}mine.bands = {{ semi-hard = 1000 }}\nmine.pick = 'nearest'\n");
    let free = triplets(&room.run("free", &asked)).len() as u64;
    let guards = "mine.negatives = { skip_nearest = 5, max_score = 0.3, relative_margin = 0.05, near_positive = 0.4 }";
    let out = room.run("guarded", &format!("{asked}{guards}\n"));
    let kept = triplets(&out).len() as u64;
    let report = said(&room, &["report", "guarded", "--json"]);
    let audit = &report["guards"];
    assert_eq!(audit["candidates"].as_u64(), Some(free));
    assert_eq!(audit["kept"].as_u64(), Some(kept));
    // What the guards took is what they left empty: everything else had a slot of its own.
    assert_eq!(report["guarded"].as_u64(), Some(free - kept));
    for guard in audit["refused"].as_array().unwrap() {
        let (name, refused) = (guard[0].as_str().unwrap(), guard[1].as_u64().unwrap());
        let alone = format!(
            "{asked}mine.negatives.{name} = {}\n",
            match name {
                "skip_nearest" => "5",
                "max_score" => "0.3",
                "relative_margin" => "0.05",
                _ => "0.4",
            }
        );
        assert_eq!(refused, free - triplets(&room.run(name, &alone)).len() as u64, "{name}");
        assert!(refused > 0, "{name} refuses nothing, which proves nothing");
    }
    room.miner(&["verify", "guarded", "--full"]).exits(0);
}

/// Of an anchor, four positives are looked at; yet what is near to any of them, or measured from them all, is what it is in a run.
#[test]
fn the_audit_takes_all_positives_and_the_corpus_alone() {
    let room = room(6);
    fs::copy(room.path("store.parquet"), room.path("queries.parquet")).unwrap();
    let bands = "mine.bands = { any = 1000 }\nmine.pick = 'nearest'\n";
    let guards = "mine.negatives = { relative_margin = 0.05, reference = 'nearest', near_positive = 0.5 }";
    for (side, queries) in [("corpus", ""), ("queries", "queries.path = 'queries.parquet'\n")] {
        let asked = format!("{STORE}{queries}{bands}mine.positives.pick = 'all'\n");
        let [free, guarded] = [("free", ""), ("guarded", guards)]
            .map(|(name, guards)| room.run(&format!("{side}-{name}"), &format!("{asked}{guards}\n")));
        let mut looked: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        triplets(&free).iter().for_each(|line| {
            looked.entry(line.anchor).or_default().insert(line.positive);
        });
        assert!(looked.values().any(|positives| positives.len() > 4), "{side}: four are all, which proves nothing");
        let looked = |line: &Line| looked[&line.anchor].iter().take(4).any(|&positive| positive == line.positive);
        let count = |out: &Path| triplets(out).iter().filter(|line| looked(line)).count() as u64;
        let audit = &said(&room, &["report", &format!("{side}-guarded"), "--json"])["guards"];
        assert_eq!(audit["candidates"].as_u64(), Some(count(&free)), "{side}");
        assert_eq!(audit["kept"].as_u64(), Some(count(&guarded)), "{side}");
        assert!(count(&guarded) > 0 && count(&guarded) < count(&free), "{side}: proves nothing");
        room.miner(&["verify", &format!("{side}-guarded"), "--full"]).exits(0);
    }
}

#[test]
fn an_anchor_whose_candidates_are_all_kept_away_is_guarded() {
    let room = room(5);
    let out = room.run("out", &format!("{STORE}mine.negatives.skip_nearest = 80\n"));
    let reasons = unmined(&out);
    assert!(reasons.values().any(|reason| reason == "guarded"), "{reasons:?}");
    assert!(manifest(&out)["unmined"]["guarded"].as_u64() > Some(0));
    room.miner(&["verify", "out", "--full"]).exits(0);
}

/// Uniform choices lie where most rows lie; weighted ones do not.
#[test]
fn weighted_picks_lie_nearer_than_uniform_ones_and_farther_than_the_nearest() {
    let room = Room::new();
    let mean = |pick: &str| {
        let store = STORE.replace("store.parquet", &sample("glosses.parquet"));
        let out = room.run(pick, &format!("{store}mine.bands = {{ any = 4 }}\nmine.pick = '{pick}'\n"));
        room.miner(&["verify", pick]).exits(0);
        let lines = triplets(&out);
        lines.iter().map(|line| f64::from(f32::from_bits(line.d_an))).sum::<f64>() / lines.len() as f64
    };
    let [nearest, weighted, uniform] = ["nearest", "distance-weighted", "random"].map(mean);
    // In 384 dimensions weights fall so steeply that hardly more than the nearest are chosen.
    assert!(nearest < weighted && weighted + 0.1 < uniform, "{nearest} {weighted} {uniform}");
}

/// Finds nothing, and knows who would.
struct Blind<'a>(&'a Exact<'a>);

impl Search for Blind<'_> {
    fn find(&self, quests: &[Quest]) -> Vec<Found> {
        quests.iter().map(|quest| vec![Fill::default(); quest.windows.len()]).collect()
    }

    fn settles(&self) -> Option<&dyn Search> {
        Some(self.0)
    }
}

#[test]
fn what_guards_took_of_a_settled_anchor_is_told() {
    let room = room(5);
    let asked = "mine.bands = { semi-hard = 3 }\nmine.negatives.max_score = -0.5\noutput.path = 'out'\n";
    room.write("p.toml", &format!("{STORE}{asked}"));
    let plan = config::load(&room.path("p.toml"), &[]).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async {
        let survey = store::survey(plan.sources()).await.unwrap();
        store::prepare(plan.sources(), &survey, &room.path("prepared"), 0, &|_| ()).await.unwrap();
    });
    let store = Prepared::open(&room.path("prepared")).unwrap();
    let anchors: Vec<Row> = store.anchors().map(Row).collect();
    let (exact, quotas) = (Exact::new(&store, true).unwrap(), Quotas::new(&store, &plan.mine));
    let searches: [&dyn Search; 2] = [&exact, &Blind(&exact)];
    let [exactly, blindly] = searches.map(|search| mine::mine(&anchors, &store, search, &plan.mine, &quotas));
    let guarded = exactly.unmined.iter().filter(|(_, reason)| *reason == Reason::Guarded).count();
    assert!(guarded > 5 && exactly.unmined.len() > guarded, "{:?}", exactly.unmined);
    assert_eq!(blindly.unmined, exactly.unmined);
}

/// A run without guards, of which the manifest says that it had some: rows that no guard kept are found without mining again.
#[test]
fn negatives_that_name_no_positive_are_held_against_all_of_the_anchor() {
    let room = Room::new();
    let store = STORE.replace("store.parquet", &sample("glosses.parquet"));
    let asked = format!(
        "{store}search.index = 'exact'\nmine.bands = {{ semi-hard = 2 }}\nmine.fallback = ['easy']\n\
         mine.positives.per_anchor = 2\n"
    );
    let guards = [
        ("max_score", json!(0.3), "a negative that max_score keeps"),
        ("min_score", json!(0.6), "a negative that min_score keeps"),
        ("near_positive", json!(0.6), "a negative that near_positive keeps"),
        ("absolute_margin", json!(0.15), "a negative that bands and guards admit for a positive of the anchor"),
        ("relative_margin", json!(0.5), "a negative that bands and guards admit for a positive of the anchor"),
        ("max_per_class", json!(1), "negatives of one class, expected at most 1"),
    ];
    for layout in ["labeled-pair", "candidates"] {
        room.run(layout, &format!("{asked}output.layout = '{layout}'\n"));
        let verdict = room.miner(&["verify", layout]).exits(0).stdout;
        assert!(verdict.contains("distances, bands, classes, guards and order"), "{layout}:\n{verdict}");
        let refused = |told: &str, change: &dyn Fn(&mut Value)| {
            copy(&room.path(layout), &room.path("forged"));
            edit_manifest(&room.path("forged"), |sealed| change(&mut sealed["pipeline"]["mine"]));
            let verdict = room.miner(&["verify", "forged"]).exits(3).stdout;
            assert!(verdict.contains(told), "{layout}: `{told}` is not told:\n{verdict}");
        };
        for (guard, value, told) in &guards {
            refused(told, &|mine| mine["negatives"][*guard] = value.clone());
        }
        refused("a negative that bands and guards admit", &|mine| mine["fallback"] = json!(["hard"]));
        for more in [
            "mine.negatives = { max_score = 0.5, min_score = 0.1, relative_margin = 0.05, max_per_class = 1 }\n",
            "mine.negatives = { near_positive = 0.3, absolute_margin = 0.05, reference = 'mean' }\nbalance.max_uses = 3\n",
            "mine.negatives = { relative_margin = 0.05, reference = 'farthest' }\nmine.positives.per_anchor = 9\n",
        ] {
            let asked = instead(&format!("{asked}output.layout = '{layout}'\n"), more);
            room.run("honest", &format!("{asked}output.overwrite = true"));
            room.miner(&["verify", "honest"]).exits(0);
            room.miner(&["verify", "honest", "--full"]).exits(0);
        }
    }
}

#[test]
fn ranks_are_told_as_unchecked_where_anchors_were_not_mined_again() {
    let room = Room::new();
    let store = STORE.replace("store.parquet", &sample("glosses.parquet"));
    for (index, guard, why) in [
        ("exact", "skip_nearest = 2", "but for anchors that were mined again; see --full"),
        ("cells", "window = 40", "but for anchors that were mined again; see --full"),
        ("hnsw", "skip_nearest = 2", "graphs are not built again without --full"),
    ] {
        room.run(index, &format!("{store}search.index = '{index}'\nmine.negatives.{guard}\n"));
        let some = room.miner(&["verify", index]).exits(0).stdout;
        assert!(some.contains(why) && !some.contains("guards and order"), "{index}:\n{some}");
        let all = room.miner(&["verify", index, "--full"]).exits(0).stdout;
        assert!(!all.contains("not checked: the ranks") && all.contains("guards and order"), "{index}:\n{all}");
    }
}
