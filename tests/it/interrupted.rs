//! An interrupted run leaves no output, and the same command goes on from there to the same bytes.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{Draw, Room, Rows, STORE, tree};

/// Large enough that a run has many partitions, and is still busy when the first is committed.
pub fn prepare(room: &Room, extra: &str) {
    let mut draw = Draw(3);
    let n = 12_000;
    let rows = Rows {
        vectors: (0..n).map(|_| (0..256).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|row| Some(format!("c{}", row % 40))).collect(),
        teams: vec![None; n],
    };
    rows.write(&room.path("store.parquet"));
    let asked = "search.index = 'exact'\nmine.bands = { hard = 4, semi-hard = 4 }\nmine.pick = 'nearest'\nmine.positives.per_anchor = 4\n\
        balance = { anchors_per_class = 290, max_uses = 20, triplets = 100000, weights = 'inverse' }\n\
        batches = { kind = 'pk' }\n";
    room.write("p.toml", &format!("{STORE}{asked}{extra}output.path = 'out'\n"));
}

/// Starts the run, and returns it once it has committed a partition of its own.
pub fn start(room: &Room) -> Child {
    let before = committed(&room.path(".out.miner"));
    let mut child =
        room.command(&["run", "p.toml", "--quiet", "--threads", "1"]).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while committed(&room.path(".out.miner")) == before && child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no partition was committed");
        sleep(Duration::from_millis(2));
    }
    child
}

fn committed(scratch: &Path) -> usize {
    let files = walkdir::WalkDir::new(scratch).into_iter().flatten();
    files
        .filter(|entry| entry.path().extension().is_none())
        .filter(|entry| entry.path().parent().is_some_and(|parent| parent.ends_with("partitions")))
        .count()
}

#[test]
fn a_killed_or_interrupted_run_is_continued_to_the_same_bytes() {
    let whole = Room::new();
    prepare(&whole, "");
    whole.miner(&["run", "p.toml", "--quiet"]).exits(0);
    let expected = tree(&whole.path("out"));

    let room = Room::new();
    prepare(&room, "");
    let mut killed = start(&room);
    killed.kill().unwrap();
    assert!(!killed.wait().unwrap().success(), "the store is too small: the run ended before it could be killed");
    assert!(!room.path("out").exists(), "what is not finished is not there");
    let told = room.miner(&["plan", "p.toml"]).exits(0).stdout;
    assert!(told.ends_with("out (new; goes on from what an interrupted run left)\n"), "{told}");
    let before = committed(&room.path(".out.miner"));
    assert!(before > 0, "what was finished is kept");

    let interrupted = start(&room);
    Command::new("kill").args(["-INT", &interrupted.id().to_string()]).status().unwrap();
    let ended = interrupted.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{told}");
    assert!(told.contains("interrupted"), "{told}");
    assert!(!room.path("out").exists());
    assert!(committed(&room.path(".out.miner")) > before);

    room.miner(&["run", "p.toml", "--quiet"]).exits(0);
    assert!(tree(&room.path("out")) == expected, "a continued run differs from one in a single go");
    assert!(!room.path(".out.miner").exists(), "scratch is gone");
}

#[test]
fn a_killed_run_does_not_learn_its_transform_again() {
    let learn = "prepare.transform = 'pca-whiten'\nprepare.dimensions = 200\n";
    let whole = Room::new();
    prepare(&whole, learn);
    whole.miner(&["run", "p.toml", "--quiet"]).exits(0);

    let room = Room::new();
    prepare(&room, learn);
    let mut killed = start(&room);
    killed.kill().unwrap();
    assert!(!killed.wait().unwrap().success(), "the store is too small: the run ended before it could be killed");
    let fitted = || {
        let files = walkdir::WalkDir::new(room.path(".out.miner")).into_iter().flatten();
        let found = files.into_iter().find(|entry| entry.file_name() == "fitted.json").expect("a fit that is complete");
        (found.path().to_owned(), found.metadata().unwrap().modified().unwrap())
    };
    let (path, made) = fitted();
    killed_again(&room);
    assert_eq!(fitted(), (path.clone(), made), "what was learned is kept");
    // Without its header a fit is not complete, and is made again.
    std::fs::remove_file(path).unwrap();
    room.miner(&["run", "p.toml", "--quiet"]).exits(0);
    assert!(tree(&room.path("out")) == tree(&whole.path("out")), "a continued run differs from one in a single go");
}

#[test]
fn the_signal_decides_the_status_and_the_second_does_not_wait() {
    let room = Room::new();
    prepare(&room, "");
    let signal =
        |child: &Child, name: &str| Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    for (name, status) in [("-INT", 130), ("-TERM", 143)] {
        let child = start(&room);
        signal(&child, name);
        let ended = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(status), "{told}");
        assert!(told.contains("the same command goes on from there"), "{told}");
    }
    // Both while it stands still: the second finds the first, and nothing is told any more. Now and then two threads take one each
    // in the same moment, and neither is the second.
    let at_once = (0..5).any(|_| {
        let child = start(&room);
        for name in ["-STOP", "-INT", "-TERM", "-CONT"] {
            signal(&child, name);
        }
        let ended = child.wait_with_output().unwrap();
        // Which of two that come at once is the second, is the system's choice.
        let (status, told) = (ended.status.code(), String::from_utf8_lossy(&ended.stderr));
        assert!(matches!(status, Some(130 | 143)), "{status:?} {told}");
        told.is_empty()
    });
    assert!(at_once, "the second signal never ended it");
    assert!(!room.path("out").exists());
}

/// Continues the run, and kills it at its next partition.
fn killed_again(room: &Room) {
    let mut child = start(room);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "the run ended before it could be killed");
}

/// Sends Ctrl-C once a line of standard error says that `stage` begins (at once without one), and gives what was told and how long
/// the process went on. The stage was still at work.
fn interrupt(room: &Room, args: &[&str], stage: &str) -> Duration {
    let mut child = room.command(args).env("TMPDIR", room.path("temporary")).stderr(Stdio::piped()).spawn().unwrap();
    let (mut told, mut stderr) = (String::new(), BufReader::new(child.stderr.take().unwrap()));
    let begins = format!(" {stage}: begins");
    while !stage.is_empty() && !told.lines().last().is_some_and(|line| line.contains(&begins)) {
        assert!(stderr.read_line(&mut told).unwrap() > 0, "{stage} never began:\n{told}");
    }
    // In the middle of it.
    while !heeds_interrupts(child.id()) {
        sleep(Duration::from_millis(2));
    }
    sleep(Duration::from_millis(400));
    let sent = Instant::now();
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let status = child.wait().unwrap();
    let took = sent.elapsed();
    stderr.read_to_string(&mut told).unwrap();
    assert_eq!(status.code(), Some(130), "{stage}:\n{told}");
    assert!(told.lines().last().is_some_and(|line| line.starts_with("error: interrupted")), "{stage}:\n{told}");
    let last = told.lines().rev().nth(1).unwrap_or_default();
    assert!(last.contains(&begins) || stage.is_empty(), "not in the middle of {stage}:\n{told}");
    took
}

/// Whether a process has said what Ctrl-C is to do.
fn heeds_interrupts(process: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 2 != 0
}

/// Each pipeline takes many seconds in one stage, of which nothing but the stage itself could cut one short.
#[test]
fn a_run_stops_soon_in_every_stage() {
    let wide = |n: usize, d: usize, classes: usize| {
        let mut draw = Draw(4);
        Rows {
            vectors: (0..n).map(|_| (0..d).map(|_| draw.unit()).collect()).collect(),
            labels: (0..n).map(|row| Some(format!("c{}", row % classes))).collect(),
            teams: vec![None; n],
        }
    };
    let slow_label = "store.label = \"levenshtein(repeat(label, 1500), repeat(team, 1500))\"";
    let by_label = "store.label = 'label'";
    let learn = "prepare.transform = 'lda'";
    let deep = "search = { index = 'hnsw', hnsw = { max_connections = 255, ef_construction = 4096 } }";
    let cells = "search = { index = 'cells', cells = { cells = 60000 } }";
    let tuned = "search = { index = 'hnsw', target_recall = 1.0, hnsw = { ef_construction = 16, ef_search = 1000 } }\n\
        mine = { margin = 0.01, pick = 'nearest', bands = { semi-hard = 900 }, positives = { pick = 'all' } }";
    let pairs = "mine = { pick = 'nearest', bands = { hard = 3, semi-hard = 3 }, positives = { pick = 'all' } }";
    let sorted = "mine = { pick = 'nearest', bands = { any = 400 } }\noutput.order = 'random'";
    for (stage, rows, asked) in [
        ("", wide(4_000, 8, 40), slow_label),
        ("prepare", wide(3_000, 1_600, 700), &format!("{by_label}\n{learn}")),
        ("index", wide(30_000, 64, 40), &format!("{by_label}\n{deep}")),
        ("index", wide(60_000, 128, 40), &format!("{by_label}\n{cells}")),
        ("tune", wide(8_000, 64, 100), &format!("{by_label}\n{tuned}")),
        ("mine", wide(8_000, 64, 2), &format!("{by_label}\n{pairs}")),
        ("write", wide(12_000, 32, 40), &format!("{by_label}\n{sorted}")),
    ] {
        let room = Room::new();
        fs::create_dir(room.path("temporary")).unwrap();
        let rows = Rows { teams: rows.labels.iter().map(|label| label.clone().map(|l| l + "x")).collect(), ..rows };
        rows.write(&room.path("store.parquet"));
        let store = "store.path = 'store.parquet'\nstore.embedding = 'embedding'";
        room.write("p.toml", &format!("{store}\n{asked}\noutput.path = 'out'\n"));
        let took = interrupt(&room, &["run", "p.toml", "--threads", "1"], stage);
        // A second of grace, and what a busy machine adds.
        assert!(took < Duration::from_secs(3), "{stage}: {took:?}\n{asked}");
        assert!(!room.path("out").exists(), "{stage}: what is not finished is not there");
        let lock = fs::read_to_string(room.path(".out.miner/lock")).unwrap_or_default();
        assert_eq!(lock, "", "{stage}: a run that was asked to end ends by itself");
        if stage == "prepare" {
            interrupt(&room, &["plan", "p.toml", "--calibrate"], "");
            let left = fs::read_dir(room.path("temporary")).unwrap().count();
            assert_eq!(left, 0, "temporary folders go with the process");
        }
    }
}
