//! A real scheduler and real executors on the loopback interface, some of which are killed: whatever happens, the output is the one
//! that a single machine writes.
#![cfg(feature = "cluster")]

mod folder;
pub mod namespace;
mod slow;
mod soak;
mod stores;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::namespace::Namespace;
use crate::support::{Draw, Ran, Room, Rows, STORE, copy, root, tree};

/// What does not end within this never will.
pub const LIMIT: Duration = Duration::from_secs(300);

/// A process of the cluster, or the run itself; killed when it goes.
pub struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (told, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| told.send(line)));
        Self { child, lines }
    }

    /// The first line that has `part` in it.
    pub fn tells(&self, part: &str) -> String {
        let begun = Instant::now();
        let mut told = Vec::new();
        while begun.elapsed() < LIMIT {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) if line.contains(part) => return line,
                Ok(line) => told.push(line),
                Err(_) => break,
            }
        }
        panic!("never told of {part:?}: {told:#?}");
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub fn signal(&self, signal: &str) {
        send(signal, self.child.id());
    }

    /// Waits for the end, and gives what was said on the way.
    pub fn ends(mut self) -> Ran {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status.code(),
                None if begun.elapsed() > LIMIT => {
                    panic!("does not end: {:#?}", self.lines.try_iter().collect::<Vec<_>>())
                }
                None => sleep(Duration::from_millis(10)),
            }
        };
        let stderr = self.lines.iter().map(|line| line + "\n").collect();
        Ran { status, stdout: String::new(), stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process.
fn send(signal: &str, process: u32) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

/// A job, a scheduler, and what one machine makes of the job.
pub struct Cluster {
    pub room: Room,
    pub scheduler: Process,
    pub address: String,
    /// Where the work folder is another file system, the processes that see it.
    namespace: Option<Namespace>,
    /// More of the pipeline, and of the environment, for runs.
    more: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

impl Cluster {
    fn new(rows: usize, asked: &str) -> Self {
        Self::begin(room(rows, asked), &[])
    }

    /// Over a room with a job, with a scheduler that is told so.
    pub fn begin(room: Room, flags: &[&str]) -> Self {
        Self::within(room, flags, |_| None)
    }

    /// The same, whose processes are in a namespace that knows the room.
    fn within(room: Room, flags: &[&str], namespace: impl FnOnce(&Room) -> Option<Namespace>) -> Self {
        let namespace = namespace(&room);
        let args = ["scheduler", "--bind", "127.0.0.1:0", "--timeout", "8"];
        let scheduler = Process::start(inside(namespace.as_ref(), room.command(&[&args, flags].concat())));
        let told = scheduler.tells("df://");
        let address = told.split_once("df://").unwrap().1.trim().to_owned();
        Self { room, scheduler, address, namespace, more: Vec::new(), environment: Vec::new() }
    }

    fn executor(&self, work: &str) -> Process {
        self.executor_with(work, &[])
    }

    pub fn executor_with(&self, work: &str, flags: &[&str]) -> Process {
        Process::start(inside(self.namespace.as_ref(), self.executor_command(work, flags)))
    }

    fn executor_command(&self, work: &str, flags: &[&str]) -> Command {
        let work = self.room.path(work).display().to_string();
        let args = ["executor", "--scheduler", &self.address, "--work", &work, "--slots", "1"];
        self.room.command(&[&args, flags].concat())
    }

    /// Another scheduler in the place of the one that was killed.
    fn restart_scheduler(&mut self) {
        self.scheduler = Process::start(self.room.command(&["scheduler", "--bind", &self.address, "--timeout", "8"]));
    }

    /// Waits until no executor has anything in hand, as far as their signs tell.
    fn is_idle(&self) {
        let begun = Instant::now();
        let signs = || walkdir::WalkDir::new(self.work()).into_iter().flatten().map(walkdir::DirEntry::into_path);
        let is_sign = |path: &PathBuf| path.parent().is_some_and(|folder| folder.ends_with("executors"));
        let is_busy = |path: PathBuf| {
            let sign: Option<Value> = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
            sign.is_some_and(|sign| sign["at"] != json!([]))
        };
        while signs().filter(is_sign).any(is_busy) {
            assert!(begun.elapsed() < LIMIT, "somebody is at work");
            sleep(Duration::from_millis(20));
        }
    }

    /// The run on the cluster, under way.
    fn run(&self, patience: u32) -> Process {
        self.run_with(patience, &[])
    }

    pub fn run_with(&self, patience: u32, more: &[&str]) -> Process {
        let sets = self.sets(patience).into_iter().chain(more.iter().map(|set| (*set).to_owned()));
        Process::start(inside(self.namespace.as_ref(), self.command("run", &sets.collect::<Vec<_>>())))
    }

    /// What a plan says of it.
    fn plan(&self) -> String {
        self.plan_of(&self.address, &[])
    }

    fn command(&self, what: &str, sets: &[String]) -> Command {
        let sets = sets.iter().chain(&self.more).flat_map(|set| ["--set", set]);
        let mut command = self.room.command(&[what, "p.toml"]);
        command.args(sets).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What one says of whatever listens at an address.
    fn plan_of(&self, address: &str, flags: &[&str]) -> String {
        let [_, work, patience] = self.sets(1);
        let sets = [format!("run.engine=df://{address}"), work, patience];
        let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
        self.room.miner(&[&["plan", "p.toml"], sets.as_slice(), flags].concat()).exits(0).stdout
    }

    /// Waits until a plan shows so many executors.
    fn knows(&self, executors: usize) -> serde_json::Value {
        let begun = Instant::now();
        loop {
            let plan = self.plan_of(&self.address, &["--json"]);
            let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
            if plan["cluster"]["executors"].as_array().unwrap().len() == executors {
                return plan;
            }
            assert!(begun.elapsed() < LIMIT, "never {executors}: {plan:#}");
            sleep(Duration::from_millis(100));
        }
    }

    pub fn sets(&self, patience: u32) -> [String; 3] {
        [
            format!("run.engine=df://{}", self.address),
            format!("run.work={}", self.room.path("work").display()),
            format!("run.patience={patience}"),
        ]
    }

    /// The work folder, as its processes see it.
    fn work(&self) -> PathBuf {
        let path = self.room.path("work");
        self.namespace.as_ref().map_or(path.clone(), |namespace| namespace.sees(&path))
    }

    /// How many partitions are committed.
    fn committed(&self) -> usize {
        let folders = walkdir::WalkDir::new(self.work()).into_iter().flatten();
        let is_committed = |name: &str| name.starts_with("partition-") && !name.ends_with(".tmp");
        folders.filter(|entry| entry.file_name().to_str().is_some_and(is_committed)).count()
    }

    /// Waits until so many are.
    fn until(&self, committed: usize) {
        let begun = Instant::now();
        while self.committed() < committed {
            assert!(begun.elapsed() < LIMIT, "{} of {committed} partitions are committed", self.committed());
            sleep(Duration::from_millis(2));
        }
    }

    /// Compares with what one machine writes, and leaves as if nothing had been run.
    pub fn is_as_local(&self) {
        let mined = tree(&self.room.path("out"));
        fs::remove_dir_all(self.room.path("out")).unwrap();
        self.room.miner(&["run", "p.toml", "--quiet"]).exits(0);
        let expected = tree(&self.room.path("out"));
        assert!(mined == expected, "{:?} and {:?}", mined.keys(), expected.keys());
        fs::remove_dir_all(self.room.path("out")).unwrap();
    }
}

/// A store of so many rows, and a pipeline that asks for it; partitions are of 512 anchors.
pub fn room(rows: usize, asked: &str) -> Room {
    let (room, mut draw) = (Room::in_memory(), Draw(5));
    let store = Rows {
        vectors: (0..rows).map(|_| (0..32).map(|_| draw.unit()).collect()).collect(),
        labels: (0..rows).map(|row| Some(format!("c{}", row % 50))).collect(),
        teams: vec![None; rows],
    };
    store.write(&room.path("store.parquet"));
    room.write("p.toml", &format!("{STORE}{asked}output.path = 'out'\n"));
    fs::create_dir(room.path("work")).unwrap();
    room
}

/// A command for a namespace, where there is one.
fn inside(namespace: Option<&Namespace>, command: Command) -> Command {
    match namespace {
        Some(namespace) => namespace.command(&command),
        None => command,
    }
}

/// Long enough to be killed in: a few seconds, forty partitions.
pub const LONG: &str =
    "search.index = 'exact'\nmine.bands = { hard = 3, semi-hard = 3 }\nmine.positives.per_anchor = 12\n";
pub const ROWS: usize = 20_480;
pub const PARTITIONS: usize = ROWS / 512;

#[test]
fn two_executors_mine_the_same_bytes_with_each_index() {
    for index in ["exact", "cells", "hnsw"] {
        let cluster =
            Cluster::new(4_000, &format!("search.index = '{index}'\nmine.bands = {{ hard = 1, semi-hard = 2 }}\n"));
        let _executors = [cluster.executor("work"), cluster.executor("work")];
        let ran = cluster.run(60).ends().exits(0);
        assert_eq!(ran.stderr.contains("graphs: 1 of 4,000 rows"), index == "hnsw", "{}", ran.stderr);
        let report = cluster.room.miner(&["report", "out"]).exits(0).stdout;
        assert!(report.contains("executors   mine: "), "{report}");
        assert_eq!(report.contains("executors   graphs: "), index == "hnsw", "{report}");
        let left: Vec<_> =
            fs::read_dir(cluster.room.path("work")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.iter().all(|path| path.join("graphs").exists()), "scratch is left: {left:?}");
        cluster.is_as_local();
    }
}

#[test]
fn the_pipelines_of_the_sample_are_mined_alike() {
    let room = Room::new();
    for folder in ["pipelines", "sample_data"] {
        copy(&root().join(folder), &room.path(folder));
    }
    fs::create_dir(room.path("work")).unwrap();
    let files =
        fs::read_dir(room.path("pipelines")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pipelines: Vec<String> = files.filter(|name| name.ends_with(".toml")).collect();
    pipelines.sort();
    let cluster = Cluster::begin(room, &[]);
    let _executors = [cluster.executor("work"), cluster.executor("work")];
    let sets = cluster.sets(60);
    let shared: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    for name in pipelines {
        let run = |more: &[&str]| {
            let file = format!("pipelines/{name}");
            let ran = cluster.room.miner(&[&["run", "--quiet", "--json", &file], more].concat()).exits(0);
            let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
            cluster.room.path(".").join(report["output"].as_str().unwrap())
        };
        let out = run(&[]);
        let local = tree(&out);
        fs::remove_dir_all(&out).unwrap();
        // It stays: another pipeline may read it.
        assert!(tree(&run(&shared)) == local, "{name}");
    }
}

#[test]
fn executors_bring_the_rows_of_a_larger_store_to_their_cells() {
    let cluster = Cluster::new(70_000, "search.index = 'cells'\nmine.bands = { hard = 1 }\nmine.pick = 'nearest'\n");
    let mut executors = [cluster.executor("work"), cluster.executor("work")];
    let run = cluster.run(60);
    run.tells("cells: 2 stretches of rows brought to 529 cells");
    executors[0].kill();
    run.ends().exits(0);
    let report = cluster.room.miner(&["report", "out"]).exits(0).stdout;
    assert!(report.contains("executors   cells: "), "{report}");
    cluster.is_as_local();
}

#[test]
fn an_executor_that_is_killed_early_midway_or_late_changes_nothing() {
    let cluster = Cluster::new(ROWS, LONG);
    for committed in [1, PARTITIONS / 2, PARTITIONS - 3] {
        let mut executors = [cluster.executor("work"), cluster.executor("work")];
        let run = cluster.run(60);
        cluster.until(committed);
        executors[0].kill();
        run.ends().exits(0);
        cluster.is_as_local();
    }
}

#[test]
fn both_killed_and_one_that_comes_late_change_nothing() {
    let cluster = Cluster::new(ROWS, LONG);
    let mut executors = [cluster.executor("work"), cluster.executor("work")];
    let run = cluster.run(60);
    cluster.until(PARTITIONS / 3);
    executors.iter_mut().for_each(Process::kill);
    let _late = cluster.executor("work");
    run.ends().exits(0);
    cluster.is_as_local();
}

#[test]
fn a_scheduler_that_is_killed_and_started_again_is_found_again() {
    let mut cluster = Cluster::new(ROWS, LONG);
    let _executors = [cluster.executor("work"), cluster.executor("work")];
    let run = cluster.run(60);
    cluster.until(PARTITIONS / 4);
    cluster.scheduler.kill();
    cluster.restart_scheduler();
    run.ends().exits(0);
    cluster.is_as_local();
}

#[test]
fn nobody_at_work_ends_in_words_and_the_same_command_goes_on() {
    let mut cluster = Cluster::new(4_000, "search.index = 'exact'\n");
    let alone = cluster.run(1).ends().exits(1);
    let parts = [
        "8 of 8 partitions are not done",
        "no executor gave a sign of life within 1 s; the scheduler knows of none; start one: ",
        "miner executor --scheduler",
        "goes on from there",
    ];
    assert!(parts.iter().all(|part| alone.stderr.contains(part)), "{}", alone.stderr);
    let plan = cluster.plan();
    assert!(plan.contains(&format!("8 on the executors of df://{} (it answers)", cluster.address)), "{plan}");
    let start = format!("none is known to the scheduler; start some: miner executor --scheduler {}", cluster.address);
    assert!(plan.contains(&start), "{plan}");
    assert!(["with 1 slot, ", "with 8 slots, ", "with 64 slots\n"].iter().all(|part| plan.contains(part)), "{plan}");
    cluster.scheduler.kill();
    let plan = cluster.plan();
    assert!(plan.contains("(it does not answer now)") && plan.contains("executors   unknown: "), "{plan}");
    let away = cluster.run(1).ends().exits(1);
    assert!(away.stderr.contains("no scheduler took the work within 1 s"), "{}", away.stderr);
    assert_eq!(away.stderr.matches("does not answer").count(), 1, "{}", away.stderr);
    cluster.restart_scheduler();
    let _executor = cluster.executor("work");
    cluster.run(60).ends().exits(0);
    cluster.is_as_local();
}

#[test]
fn a_plan_shows_who_is_there() {
    let cluster = Cluster::new(4_000, "search.index = 'exact'\n");
    let [one, mut other] = [cluster.executor("work"), cluster.executor("work")];
    let plan = cluster.knows(2);
    let names = plan["cluster"]["executors"].as_array().unwrap().iter().map(|executor| {
        assert!(executor["slots"] == 1 && executor["silent_seconds"].as_u64() < Some(8), "{plan:#}");
        executor["name"].as_str().unwrap()
    });
    let expected = [&one, &other].map(|executor| format!("-{}", executor.child.id()));
    assert!(expected.iter().all(|end| names.clone().any(|name| name.ends_with(end))), "{plan:#}");
    assert!(plan["supposed"].is_null(), "{plan:#}");
    let text = cluster.plan();
    let named: Vec<String> = names.map(|name| format!("{name} (1 slot)")).collect();
    let line = format!("executors   2 executors, 2 slots: 4 partitions a slot; {}\n", named.join(", "));
    assert!(text.contains(&line) && !text.contains("with 64 slots"), "{text}");
    // The one takes leave, the other cannot.
    one.signal("-TERM");
    one.ends().exits(0);
    cluster.knows(1);
    other.kill();
    let text = cluster.knows(0);
    assert_eq!(text["supposed"].as_array().map(Vec::len), Some(3), "{text:#}");
}

#[test]
fn another_program_on_the_port_is_told_as_such() {
    let cluster = Cluster::new(4_000, "search.index = 'exact'\n");
    for (says, told) in [
        (Some("SSH-2.0-x\r\n"), "what listens there is no scheduler of this miner ("),
        (Some("HTTP/1.1 400 Bad Request\r\n\r\n"), "what listens there is no scheduler of this miner ("),
        (Some(""), "what listens there is no scheduler of this miner ("),
        (None, "no answer within 2s"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                match says {
                    Some(says) => drop(stream.write_all(says.as_bytes())),
                    None => held.push(stream),
                }
            }
        });
        let plan = cluster.plan_of(&address, &[]);
        assert!(plan.contains("(it does not answer now)"), "{plan}");
        assert!(plan.contains(&format!("executors   unknown: {told}")), "{says:?}: {plan}");
    }
}

#[test]
fn an_executor_for_another_folder_says_so() {
    let cluster = Cluster::new(4_000, "search.index = 'exact'\n");
    fs::create_dir(cluster.room.path("elsewhere")).unwrap();
    let executor = cluster.executor("elsewhere");
    let ran = cluster.run(12).ends().exits(1);
    executor.tells("refused: ");
    assert_eq!(ran.stderr.matches("handed out again: 8 partitions").count(), 1, "{}", ran.stderr);
    assert!(!ran.stderr.contains("\\n") && !ran.stderr.contains("\")"), "{}", ran.stderr);
    let parts = ["lies outside", "the only folder whose work this executor does", "--work"];
    assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{}", ran.stderr);
}

#[test]
fn one_that_refuses_does_not_spoil_the_work_of_others() {
    let cluster = Cluster::new(ROWS, LONG);
    fs::create_dir(cluster.room.path("elsewhere")).unwrap();
    let _wrong = cluster.executor("elsewhere");
    let run = cluster.run(60);
    run.tells("lies outside");
    let _good = cluster.executor("work");
    run.ends().exits(0);
    cluster.is_as_local();
}

#[test]
fn a_folder_that_is_not_mounted_is_not_made() {
    let cluster = Cluster::new(4_000, "search.index = 'exact'\n");
    fs::remove_dir(cluster.room.path("work")).unwrap();
    let ran = cluster.run(5).ends().exits(2);
    assert!(ran.stderr.contains("run.work") && !cluster.room.path("work").exists(), "{}", ran.stderr);
    let ran = cluster.executor("work").ends().exits(1);
    assert!(ran.stderr.contains("--work"), "{}", ran.stderr);
}

#[test]
fn an_interrupted_run_takes_its_work_back_and_servers_end_when_asked() {
    let cluster = Cluster::new(ROWS, LONG);
    let executor = cluster.executor("work");
    let run = cluster.run(60);
    cluster.until(3);
    run.signal("-INT");
    let ran = run.ends().exits(130);
    assert!(ran.stderr.contains("the same command goes on from there"), "{}", ran.stderr);
    // What was begun is finished, and nothing else.
    sleep(Duration::from_secs(1));
    cluster.is_idle();
    let committed = cluster.committed();
    sleep(Duration::from_secs(1));
    assert!(cluster.committed() == committed && committed < PARTITIONS, "{committed}");
    cluster.run(60).ends().exits(0);
    executor.signal("-TERM");
    executor.ends().exits(0);
    cluster.is_as_local();
    let Cluster { scheduler, .. } = cluster;
    scheduler.signal("-INT");
    scheduler.ends().exits(0);
}
