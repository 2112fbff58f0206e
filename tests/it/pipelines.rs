//! Every file of `pipelines/` runs on `sample_data/` as it stands, and what it mines is sound.

use crate::support::{Room, copy, manifest, root};

#[test]
fn every_pipeline_runs_on_the_sample() {
    let room = Room::new();
    for folder in ["pipelines", "sample_data"] {
        copy(&root().join(folder), &room.path(folder));
    }
    let mut names: Vec<String> = std::fs::read_dir(room.path("pipelines"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    assert!(names.len() >= 5, "{names:?}");
    let mut outputs = Vec::new();
    for name in &names {
        let file = format!("pipelines/{name}");
        room.miner(&["plan", &file]).exits(0);
        let ran = room.miner(&["run", "--quiet", "--json", &file]).exits(0);
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let out = std::path::PathBuf::from(report["output"].as_str().unwrap());
        assert!(manifest(&room.path(".").join(&out))["rows"]["triplets"].as_u64() > Some(0), "{name} mines nothing");
        room.miner(&["verify", "--full", out.to_str().unwrap()]).exits(0);
        assert!(!outputs.contains(&out), "{name} writes where another pipeline does");
        outputs.push(out);
    }
}
