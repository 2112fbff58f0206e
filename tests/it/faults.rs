//! Every change that a run makes to the disk fails once, or is the last thing that it does: the output is then as it was, and the
//! next run completes it to the same bytes.
//!
//! The program knows nothing of this: a library that is preloaded (`faults.c`) counts the calls to the system and lets the n-th
//! fail, so what the program's dependencies write is under test, too.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::{Draw, Room, Rows, STORE, copy, root, tree};

/// The library, compiled once by the compiler that the build itself needs.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.so");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut compile = Command::new(compiler);
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(root().join("tests/it/faults.c")).arg("-ldl");
        assert!(compile.status().expect("a C compiler").success());
        library
    })
}

/// What a run under faults came to.
struct Faulted {
    status: Option<i32>,
    told: String,
    /// The call that was hit; none where the run had fewer.
    hit: Option<String>,
}

/// A room with a pipeline, an old output of another one, and the output that is expected.
struct Stage {
    room: Room,
    old: BTreeMap<String, Vec<u8>>,
    new: BTreeMap<String, Vec<u8>>,
}

const RUN: [&str; 6] = ["run", "w/p.toml", "--overwrite", "--quiet", "--threads", "1"];

impl Stage {
    fn new(pipeline: &str) -> Self {
        let (room, mut draw) = (Room::in_memory(), Draw(11));
        let n = 1_200;
        let rows = Rows {
            vectors: (0..n).map(|_| (0..8).map(|_| draw.unit()).collect()).collect(),
            labels: (0..n).map(|row| Some(format!("c{}", row % 40))).collect(),
            teams: vec![None; n],
        };
        rows.write(&room.path("store.parquet"));
        let store = STORE.replace("store.parquet", "../store.parquet");
        room.write("w/old.toml", &format!("{store}output.path = 'out'\nmine.seed = 7\n"));
        room.write("w/p.toml", &format!("{store}output.path = 'out'\n{pipeline}"));
        room.miner(&["run", "w/old.toml", "--quiet"]).exits(0);
        copy(&room.path("w/out"), &room.path("old"));
        room.miner(&RUN).exits(0);
        let (old, new) = (tree(&room.path("old")), tree(&room.path("w/out")));
        assert_ne!(old, new);
        Self { room, old, new }
    }

    /// As if nothing but the old output had ever been there.
    fn reset(&self) {
        for name in ["w/out", "w/.out.miner"] {
            let _ = fs::remove_dir_all(self.room.path(name));
        }
        copy(&self.room.path("old"), &self.room.path("w/out"));
    }

    /// Runs until the `at`-th change below `w`.
    fn run(&self, how: &str, at: u64) -> Faulted {
        self.run_to(how, at, None)
    }

    /// Runs until the `at`-th change to what has `named` in its path.
    fn run_to(&self, how: &str, at: u64, named: Option<&str>) -> Faulted {
        let log = self.room.path("log");
        let _ = fs::remove_file(&log);
        let output = self
            .room
            .command(&RUN)
            .env("LD_PRELOAD", library())
            .env("FAULT_BELOW", fs::canonicalize(self.room.path("w")).unwrap())
            .env("FAULT_AT", at.to_string())
            .env("FAULT_HOW", how)
            .env("FAULT_LOG", &log)
            .envs(named.map(|named| ("FAULT_NAMED", named)))
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        Faulted { status: output.status.code(), told, hit: fs::read_to_string(log).ok() }
    }

    /// What lies in the output's place: always all of the old output, or all of the new.
    #[track_caller]
    fn is_new(&self, context: &str) -> bool {
        let found = tree(&self.room.path("w/out"));
        assert!(
            found == self.old || found == self.new,
            "{context}: neither the old output nor the new: {:?}",
            found.keys()
        );
        found == self.new
    }

    /// The next run does what is left to do.
    #[track_caller]
    fn completes(&self, context: &str) {
        let ran = self.room.miner(&RUN);
        assert_eq!(ran.status, Some(0), "{context}\n{}", ran.stderr);
        assert!(self.is_new(context), "{context}: not completed");
        // But for graphs, which are kept, and the lock beside them.
        let entries = walkdir::WalkDir::new(self.room.path("w")).into_iter().map(|entry| entry.unwrap().into_path());
        let left: Vec<_> = entries.filter(|path| path.to_string_lossy().contains(".miner/run-")).collect();
        assert!(left.is_empty(), "{context}: {left:?}");
        let scratch = self.room.path("w/.out.miner");
        assert_eq!(scratch.exists(), scratch.join("graphs").exists(), "{context}");
    }

    /// Hits every `step`-th change in turn, from the `first`; gives how many there were to hit.
    fn walk(&self, how: &str, first: u64, step: u64) -> u64 {
        let (mut at, mut hits) = (first, 0);
        loop {
            self.reset();
            let Faulted { status, told, hit } = self.run(how, at);
            let Some(hit) = hit else {
                assert_eq!(status, Some(0), "{told}");
                assert!(self.is_new("a run that was not hit"));
                return hits;
            };
            let context = format!("{how} {hit}{told}");
            let new = self.is_new(&context);
            match status {
                // It was not needed any more: only what the run had made for itself.
                Some(0) => assert!(new, "{context}"),
                Some(1) => {
                    // Only hnsw_rs keeps to itself what went wrong.
                    let clear = told.contains("os error") || told.contains("cannot keep the search graphs");
                    assert!(told.starts_with("error: ") && clear, "{context}");
                    assert!(!new || told.contains("complete"), "{context}");
                }
                None => assert!(["kill", "torn"].contains(&how), "{context}"),
                Some(other) => panic!("status {other}: {context}"),
            }
            self.completes(&context);
            (at, hits) = (at + step, hits + 1);
        }
    }
}

/// With everything that writes files of its own.
const MUCH: &str = "\
    prepare.transform = 'pca-whiten'\n\
    mine.bands = { hard = 2, semi-hard = 2 }\n\
    balance = { max_uses = 20, triplets = 3000 }\n\
    batches = { kind = 'pk' }\n\
    output.order = 'random'\n\
    output.rows_per_file = 1000\n";

/// Two tests, as they take a while: between them every change fails once.
#[test]
fn whatever_fails_once_the_next_run_completes() {
    let hits = Stage::new(MUCH).walk("once", 1, 2);
    assert!(hits > 60, "{hits} changes");
}

#[test]
fn whatever_else_fails_once_the_next_run_completes() {
    let hits = Stage::new(MUCH).walk("once", 2, 2);
    assert!(hits > 60, "{hits} changes");
}

#[test]
fn whenever_it_is_killed_the_next_run_completes() {
    let hits = Stage::new(MUCH).walk("kill", 1, 3);
    assert!(hits > 40, "{hits} changes");
}

#[test]
fn a_disk_that_stays_full_and_writes_that_are_torn() {
    let stage = Stage::new(MUCH);
    stage.walk("on", 2, 9);
    stage.walk("torn", 3, 9);
}

#[test]
fn cells_and_graphs_are_no_exception() {
    for index in ["cells", "hnsw"] {
        let stage = Stage::new(&format!("search.index = '{index}'\n"));
        for (how, first) in [("once", 1), ("kill", 5), ("on", 9), ("torn", 13)] {
            stage.walk(how, first, 16);
        }
    }
}

/// Files of a scratch folder, in order, but those that only sorts or locks use.
fn scratch_files(stage: &Stage) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(stage.room.path("w/.out.miner")).sort_by_file_name();
    let files = entries.into_iter().map(|entry| entry.unwrap()).filter(|entry| entry.file_type().is_file());
    files.map(|entry| entry.into_path()).filter(|path| !path.ends_with("lock")).collect()
}

#[test]
fn what_is_damaged_is_made_again_and_never_used() {
    for pipeline in [MUCH, "search.index = 'cells'\n", "search.index = 'hnsw'\n"] {
        let stage = Stage::new(pipeline);
        // All but the seal.
        stage.reset();
        assert!(stage.run_to("kill", 1, Some("manifest.json")).hit.is_some());
        let (scratch, left) = (stage.room.path("w/.out.miner"), stage.room.path("left"));
        copy(&scratch, &left);
        let files = scratch_files(&stage);
        assert!(files.len() > 12, "{files:?}");
        for (number, path) in files.iter().enumerate() {
            stage.reset();
            copy(&left, &scratch);
            let mut bytes = fs::read(path).unwrap();
            let half = bytes.len() / 2;
            match bytes.get_mut(half) {
                Some(byte) if number % 2 == 0 => *byte ^= 1,
                _ => bytes.truncate(half),
            }
            fs::write(path, bytes).unwrap();
            stage.completes(&format!("damaged: {}", path.display()));
        }
    }
}

#[test]
fn a_fresh_run_uses_nothing_that_it_finds() {
    let stage = Stage::new("search.index = 'hnsw'\n");
    for (more, again) in [(vec![], 0), (vec!["--fresh"], 1)] {
        stage.reset();
        assert!(stage.run_to("kill", 1, Some("manifest.json")).hit.is_some());
        let before = scratch_files(&stage);
        let made = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
        let times: Vec<_> = before.iter().map(made).collect();
        let graphs = before.iter().position(|path| path.ends_with("shard-00000.hnsw.data")).expect("a graph");
        let ran = stage.room.miner(&[RUN.as_slice(), &more].concat()).exits(0);
        assert!(stage.is_new(&ran.stderr));
        assert_eq!(u8::from(made(&before[graphs]) != times[graphs]), again, "{more:?}");
        let _ = fs::remove_dir_all(stage.room.path("w/.out.miner"));
    }
}

/// A run that is killed again and again goes on each time, and comes to its end.
#[test]
fn every_attempt_gets_farther() {
    let stage = Stage::new(MUCH);
    stage.reset();
    let mut attempts = 0;
    while stage.run("kill", 60).hit.is_some() {
        attempts += 1;
        assert!(attempts < 60, "no progress");
        stage.is_new(&format!("attempt {attempts}"));
    }
    assert!(attempts > 1, "{attempts} attempts");
    stage.completes("the last attempt");
}
