//! What other miners find, with the settings that both have. tests/peers holds their answers and how they were asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use arrow::array::AsArray;
use serde_json::Value;

use crate::support::{Room, batches, parts, root, sample};

/// Query → positive → negatives.
type Answers = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn theirs(found: &Value) -> Answers {
    serde_json::from_value(found.clone()).unwrap()
}

fn ours(room: &Room, name: &str, guards: &str) -> Answers {
    let [store, queries, pairs] = ["glosses.parquet", "queries.parquet", "qrels.parquet"].map(sample);
    let out = room.run(
        name,
        &format!(
            "store = {{ path = '{store}', id = 'id', embedding = 'embedding' }}
             queries = {{ path = '{queries}', id = 'id', embedding = 'embedding' }}
             pairs = {{ path = '{pairs}', query = 'query_id', positive = 'corpus_id' }}
             mine.bands = {{ any = 3 }}
             mine.pick = 'nearest'
             mine.positives.pick = 'all'
             {guards}"
        ),
    );
    room.miner(&["verify", name, "--full"]).exits(0);
    let mut answers = Answers::new();
    for batch in parts(&out).iter().flat_map(|part| batches(part)) {
        let ids = ["anchor_id", "positive_id", "negative_id"].map(|name| batch.column_by_name(name).unwrap().clone());
        let id = |column: usize, row: usize| ids[column].as_string::<i32>().value(row).to_owned();
        for row in 0..batch.num_rows() {
            answers.entry(id(0, row)).or_default().entry(id(1, row)).or_default().insert(id(2, row));
        }
    }
    answers
}

#[test]
fn sentence_transformers_finds_the_same_negatives() {
    let text = fs::read(root().join("tests/peers/st.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&text).unwrap();
    assert_eq!(cases.len(), 5);
    let room = Room::new();
    for (number, case) in cases.iter().enumerate() {
        let settings = case["settings"].as_object().unwrap();
        let mut guards: Vec<String> = settings
            .iter()
            .map(|(key, value)| match key.as_str() {
                "range_min" => format!("mine.negatives.skip_nearest = {value}"),
                key => format!("mine.negatives.{key} = {value}"),
            })
            .collect();
        if settings.keys().any(|key| key.ends_with("margin")) {
            // All positives of a query share a threshold there.
            guards.push("mine.negatives.reference = 'farthest'".into());
        }
        let (theirs, ours) = (theirs(&case["found"]), ours(&room, &format!("case-{number}"), &guards.join("\n")));
        assert_eq!(ours, theirs, "{settings:?}");
    }
}
