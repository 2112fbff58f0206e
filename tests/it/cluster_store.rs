//! A cluster whose machines share no folder and meet in a store: the same bytes, whatever fails, and nothing is left there.
#![cfg(feature = "cluster")]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::namespace::Namespace;
use crate::cluster::{LIMIT, LONG, PARTITIONS, Process, ROWS, room};
use crate::servers::{Bucket, Fault, Proxy, SECRET, Seen, s3};
use crate::support::{Ran, Room, tree};

/// A job, a bucket to meet in, and a scheduler.
struct Scene {
    room: Room,
    bucket: Bucket,
    _scheduler: Process,
    address: String,
}

impl Scene {
    fn new(rows: usize, asked: &str) -> Self {
        let room = room(rows, asked);
        let scheduler = Process::start(room.command(&["scheduler", "--bind", "127.0.0.1:0", "--timeout", "8"]));
        let told = scheduler.tells("df://");
        let address = told.split_once("df://").unwrap().1.trim().to_owned();
        Self { room, bucket: s3(), _scheduler: scheduler, address }
    }

    fn command(&self, server: SocketAddr, args: &[&str]) -> Command {
        let mut command = self.room.command(args);
        command.envs(self.bucket.environment(server));
        command
    }

    fn executor(&self, server: SocketAddr) -> Process {
        self.executor_at(server, "miner")
    }

    fn executor_at(&self, server: SocketAddr, work: &str) -> Process {
        let executor = Process::start(self.executor_command(server, work, "scratch"));
        executor.tells("work below s3://");
        executor
    }

    fn executor_command(&self, server: SocketAddr, work: &str, scratch: &str) -> Command {
        let (work, scratch) = (self.bucket.url(work), self.room.path(scratch));
        fs::create_dir_all(&scratch).unwrap();
        let scratch = scratch.display().to_string();
        let args = ["executor", "--scheduler", &self.address, "--work", &work, "--slots", "1", "--scratch", &scratch];
        self.command(server, &args)
    }

    /// The run, under way.
    fn run(&self, server: SocketAddr, patience: u32) -> Process {
        Process::start(self.on_pipeline(server, "run", patience))
    }

    fn on_pipeline(&self, server: SocketAddr, command: &str, patience: u32) -> Command {
        let sets = [
            format!("run.engine=df://{}", self.address),
            format!("run.work={}", self.bucket.url("miner")),
            format!("run.patience={patience}"),
        ];
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        self.command(server, &[&[command, "p.toml"], sets.as_slice()].concat())
    }

    /// How many partitions whoever drives the run has.
    fn collected(&self) -> usize {
        let files = walkdir::WalkDir::new(self.room.path(".out.miner")).into_iter().flatten();
        files.filter(|entry| entry.path().to_string_lossy().contains("/partitions/partition-")).count()
    }

    /// Names of objects of the run that have `part` in them.
    fn there(&self, part: &str) -> Vec<String> {
        self.bucket.names("miner").into_iter().filter(|name| name.contains(part)).collect()
    }

    /// Changes a byte of an object of the run.
    fn damage(&self, name: &str) {
        let mut bytes = self.bucket.files("miner").remove(name).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.bucket.put(&format!("miner/{name}"), &bytes);
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < LIMIT, "never {what}: {:?}", self.bucket.names("miner"));
            sleep(Duration::from_millis(20));
        }
    }

    /// Compares with what one machine writes, looks for leftovers, and leaves as if nothing had been run.
    fn is_as_local(&self) {
        // What an executor was sending meanwhile it takes back itself.
        self.until("cleared", || self.bucket.names("miner").is_empty());
        let mined = tree(&self.room.path("out"));
        fs::remove_dir_all(self.room.path("out")).unwrap();
        self.room.miner(&["run", "p.toml", "--quiet"]).exits(0);
        let expected = tree(&self.room.path("out"));
        assert!(mined == expected, "{:?} and {:?}", mined.keys(), expected.keys());
        fs::remove_dir_all(self.room.path("out")).unwrap();
    }
}

#[test]
fn executors_mine_the_same_bytes_with_each_index_and_nothing_is_left() {
    for index in ["exact", "cells", "hnsw"] {
        let scene =
            Scene::new(4_000, &format!("search.index = '{index}'\nmine.bands = {{ hard = 1, semi-hard = 2 }}\n"));
        let server = scene.bucket.server;
        let _executors = [scene.executor(server), scene.executor(server)];
        let plan = Ran::of(&mut scene.on_pipeline(server, "plan", 9)).exits(0).stdout;
        assert!(plan.contains(&format!("all meet in {}: about ", scene.bucket.url("miner"))), "{plan}");
        let ran = scene.run(server, 60).ends().exits(0);
        assert!(ran.stderr.contains(", to s3://"), "{}", ran.stderr);
        let report = scene.room.miner(&["report", "out"]).exits(0).stdout;
        assert!(report.contains("executors   ") && report.contains("mine: "), "{report}");
        scene.is_as_local();
    }
}

#[test]
fn an_executor_that_is_killed_changes_nothing() {
    let scene = Scene::new(ROWS, LONG);
    let server = scene.bucket.server;
    for collected in [1, PARTITIONS / 2] {
        let mut executors = [scene.executor(server), scene.executor(server)];
        let run = scene.run(server, 60);
        scene.until("so many partitions", || scene.collected() >= collected);
        executors[0].kill();
        run.ends().exits(0);
        scene.is_as_local();
    }
}

#[test]
fn a_run_that_was_killed_goes_on_and_sends_nothing_twice() {
    let scene = Scene::new(ROWS, LONG);
    let proxy = Proxy::before(scene.bucket.server);
    let _executors = [scene.executor(scene.bucket.server), scene.executor(scene.bucket.server)];
    let mut run = scene.run(proxy.address, 60);
    scene.until("so many partitions", || scene.collected() >= PARTITIONS / 3);
    run.kill();
    let sent = |part: &str| {
        let is_put = |seen: &&Seen| seen.method == "PUT" && seen.path.contains(part);
        proxy.seen().iter().filter(is_put).count()
    };
    let before = [sent("/store/"), sent("/work-order.json")];
    assert!(before[0] > 5 && before[1] == 1, "{before:?}");
    scene.run(proxy.address, 60).ends().exits(0);
    assert_eq!([sent("/store/"), sent("/work-order.json")], [before[0], 2]);
    scene.is_as_local();
}

#[test]
fn executors_bring_the_rows_of_a_larger_store_to_their_cells() {
    let scene = Scene::new(70_000, "search.index = 'cells'\nmine.bands = { hard = 1 }\nmine.pick = 'nearest'\n");
    let server = scene.bucket.server;
    let _executors = [scene.executor(server), scene.executor(server)];
    let ran = scene.run(server, 60).ends().exits(0);
    assert!(ran.stderr.contains("cells: 2 stretches of rows brought to 529 cells"), "{}", ran.stderr);
    scene.is_as_local();
}

#[test]
fn what_is_damaged_in_the_store_is_sent_or_mined_again() {
    let scene = Scene::new(ROWS, LONG);
    let server = scene.bucket.server;
    let run = scene.run(server, 60);
    scene.until("an order", || !scene.there("work-order.json").is_empty());
    scene.damage(&scene.there("/store/vectors")[0]);
    let _executor = scene.executor(server);
    scene.until("so many partitions", || scene.collected() >= 2);
    run.signal("-STOP");
    let here = tree(&scene.room.path(".out.miner"));
    let is_new = |name: &String| here.keys().all(|known| !name.ends_with(known.as_str()));
    let new = || scene.there("/partition-").into_iter().find(is_new);
    scene.until("one that is not collected", || new().is_some());
    scene.damage(&new().unwrap());
    run.signal("-CONT");
    run.ends().exits(0);
    scene.is_as_local();
}

#[test]
fn a_fresh_run_uses_nothing_of_what_is_there() {
    let scene = Scene::new(ROWS, LONG);
    let proxy = Proxy::before(scene.bucket.server);
    let _executors = [scene.executor(proxy.address), scene.executor(proxy.address)];
    let mut run = scene.run(proxy.address, 60);
    scene.until("so many partitions", || scene.collected() >= PARTITIONS / 3);
    run.kill();
    let mut fresh = scene.on_pipeline(proxy.address, "run", 60);
    fresh.arg("--fresh");
    Process::start(fresh).ends().exits(0);
    let is_put = |seen: &&Seen| seen.method == "PUT" && seen.path.contains("/partition-");
    let mined = proxy.seen().iter().filter(is_put).count();
    assert!(mined >= PARTITIONS + PARTITIONS / 3, "{mined}");
    scene.is_as_local();
}

#[test]
fn an_executor_without_room_says_so_and_another_does_the_work() {
    let scene = Scene::new(ROWS, LONG);
    let server = scene.bucket.server;
    let command = scene.executor_command(server, "miner", "small");
    let Some(namespace) = Namespace::small(&scene.room.path("small"), 1) else { return };
    let small = Process::start(namespace.command(&command));
    let run = scene.run(server, 60);
    let told = small.tells("make room, or name another disk with --scratch");
    assert!(told.contains("/small/") && told.contains("to be fetched"), "{told}");
    let _executor = scene.executor(server);
    run.ends().exits(0);
    scene.is_as_local();
}

#[test]
fn what_is_mined_counts_for_whoever_drives_the_run_from_another_machine() {
    let scene = Scene::new(ROWS, LONG);
    let server = scene.bucket.server;
    let mut executors = [scene.executor(server), scene.executor(server)];
    let mut run = scene.run(server, 60);
    scene.until("so many partitions", || scene.collected() >= 2);
    run.kill();
    let mined = || scene.there("/partition-").len();
    scene.until("all mined", || mined() == PARTITIONS);
    executors.iter_mut().for_each(Process::kill);
    fs::remove_dir_all(scene.room.path(".out.miner")).unwrap();
    // Nobody is there to mine anything.
    scene.run(server, 10).ends().exits(0);
    scene.is_as_local();
}

#[test]
fn of_two_runs_of_one_output_on_two_machines_the_second_is_sent_away() {
    let scene = Scene::new(4_000, "search.index = 'exact'\n");
    let server = scene.bucket.server;
    let mut run = scene.run(server, 60);
    scene.until("who drives", || !scene.there("/driver.json").is_empty());
    run.kill();
    let name = format!("miner/{}", scene.there("/driver.json")[0]);
    let mut claim: Value = serde_json::from_slice(&scene.bucket.files("miner")[&name["miner/".len()..]]).unwrap();
    claim["holder"] = json!({ "pid": 7, "host": "elsewhere", "boot": "another" });
    let mut drives = |beat: u32| {
        claim["beat"] = beat.into();
        scene.bucket.put(&name, claim.to_string().as_bytes());
    };
    drives(1);
    let second = scene.run(server, 60);
    let told = second.tells("process 7 on host elsewhere has not said that it ended");
    assert!(told.contains("for 15 s"), "{told}");
    drives(2);
    let told = second.ends().exits(1).stderr;
    assert!(told.contains("another run is working on this output: process 7 on host elsewhere"), "{told}");
    // It is killed, and gives no more signs.
    let _executor = scene.executor(server);
    scene.run(server, 60).ends().exits(0);
    // What it left is cleared away, though nothing else is to be done.
    drives(3);
    let folder = name.rsplit_once('/').unwrap().0;
    scene.bucket.put(&format!("{folder}/run-0/store/vectors"), b"left");
    let ran = Ran::of(&mut scene.on_pipeline(server, "run", 60)).exits(0);
    assert!(ran.stdout.contains("already complete"), "{}", ran.stdout);
    scene.is_as_local();
    // What is nobody's sign stands in nobody's way.
    scene.bucket.put(&name, b"{}");
    scene.run(server, 60).ends().exits(0);
    scene.is_as_local();
}

#[test]
fn a_store_that_is_away_for_a_while_ends_nothing() {
    let scene = Scene::new(ROWS, LONG);
    let proxy = Proxy::before(scene.bucket.server);
    let _executors = [scene.executor(proxy.address), scene.executor(proxy.address)];
    let run = scene.run(proxy.address, 60);
    scene.until("so many partitions", || scene.collected() >= PARTITIONS / 3);
    proxy.spoil(AWAY, Fault::Status(503), |_| true);
    run.ends().exits(0);
    assert_eq!(proxy.seen().iter().filter(|seen| seen.fault.is_some()).count(), AWAY as usize);
    scene.is_as_local();
}

/// More requests than one of the three tries by itself.
const AWAY: u32 = 60;

#[test]
fn an_executor_for_another_folder_of_the_store_refuses() {
    let scene = Scene::new(4_000, "search.index = 'exact'\n");
    let server = scene.bucket.server;
    let executor = scene.executor_at(server, "min");
    let ran = scene.run(server, 12).ends().exits(1);
    executor.tells("refused: ");
    let parts = ["lies outside s3://", "/min, the only folder whose work this executor does", "--work"];
    assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{}", ran.stderr);
}

#[test]
fn a_bucket_that_is_not_there_is_told_before_anything_is_read() {
    let scene = Scene::new(4_000, "search.index = 'exact'\n");
    let sets = [format!("run.engine=df://{}", scene.address), "run.work=s3://no-such-bucket/miner".to_owned()];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let mut run = scene.command(scene.bucket.server, &[&["run", "p.toml"], sets.as_slice()].concat());
    let ran = Ran::of(&mut run).exits(2);
    assert!(ran.stderr.contains("there is no such bucket") && !ran.stderr.contains("prepare"), "{}", ran.stderr);
    let args = ["executor", "--scheduler", &scene.address, "--work", "s3://no-such-bucket/miner"];
    let ran = Process::start(scene.command(scene.bucket.server, &args)).ends().exits(2);
    assert!(ran.stderr.contains("--work") && ran.stderr.contains("there is no such bucket"), "{}", ran.stderr);
}

#[test]
fn no_credential_is_in_what_machines_tell_each_other() {
    let scene = Scene::new(ROWS, LONG);
    let server = scene.bucket.server;
    let executor = scene.executor(server);
    let run = scene.run(server, 60);
    let mut told = BTreeMap::new();
    let is_complete = |told: &BTreeMap<String, Vec<u8>>| {
        ["work-order.json", "/executors/"].iter().all(|part| told.keys().any(|name| name.contains(part)))
    };
    let begun = Instant::now();
    while !is_complete(&told) {
        assert!(begun.elapsed() < LIMIT, "{:?}", told.keys());
        told.extend(scene.bucket.files("miner"));
    }
    let ran = run.ends().exits(0);
    let holds = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
    assert!(told.values().all(|bytes| !holds(bytes)), "{:?}", told.keys());
    executor.signal("-TERM");
    let said = executor.ends().exits(0).stderr + &ran.stderr;
    assert!(!said.contains(SECRET), "{said}");
}
