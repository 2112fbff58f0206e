//! Outputs that go to a store: the same bytes as in a folder, whatever happens on the way, and never half of one with a manifest.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::servers::{Bucket, Fault, Proxy, SECRET, Seen, s3};
use crate::support::{Draw, Ran, Room, Rows, STORE, all_files, timeless};

type Files = BTreeMap<String, Vec<u8>>;

/// A pipeline whose output goes to a bucket, and what its files must be.
struct Scene {
    room: Room,
    bucket: Bucket,
    expected: Files,
}

/// Parts enough to be interrupted between.
const PARTS: &str = "output.rows_per_file = 100\nmine.bands = { semi-hard = 2 }\n";

impl Scene {
    fn new() -> Self {
        let (room, mut draw) = (Room::new(), Draw(31));
        let rows = Rows {
            vectors: (0..400).map(|_| (0..8).map(|_| draw.unit()).collect()).collect(),
            labels: (0..400).map(|row| Some(format!("c{}", row % 20))).collect(),
            teams: vec![None; 400],
        };
        rows.write(&room.path("store.parquet"));
        let bucket = s3();
        room.write("p.toml", &format!("{STORE}{PARTS}output.path = '{}'\n", bucket.url("x/out")));
        let expected = timeless(all_files(&room.run("local", &format!("{STORE}{PARTS}"))));
        assert!(expected.len() > 6, "{:?}", expected.keys());
        Self { room, bucket, expected }
    }

    fn command(&self, server: SocketAddr, args: &[&str]) -> Command {
        let mut command = self.room.command(args);
        command.envs(self.bucket.environment(server));
        command
    }

    fn ran(&self, server: SocketAddr, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(server, args))
    }

    fn miner(&self, args: &[&str]) -> Ran {
        self.ran(self.bucket.server, args)
    }

    fn run(&self) -> Ran {
        self.miner(&["run", "p.toml"])
    }

    fn files(&self) -> Files {
        self.bucket.files("x/out")
    }

    /// Insists that the bucket has the whole output, that it says so, and that nothing is left here.
    #[track_caller]
    fn is_whole(&self) {
        let found = timeless(self.files());
        assert_eq!(found.keys().collect::<Vec<_>>(), self.expected.keys().collect::<Vec<_>>());
        for (name, bytes) in &self.expected {
            let told = |bytes: &[u8]| if name == "manifest.json" { placeless(bytes) } else { json!(bytes) };
            assert!(told(bytes) == told(&found[name]), "{name} differs");
        }
        assert!(self.scratch().is_none(), "scratch is left");
    }

    /// How many parts are noted as sent.
    fn notes(&self) -> usize {
        let Some(scratch) = self.scratch() else { return 0 };
        let entries = walkdir::WalkDir::new(scratch).into_iter().flatten().map(|entry| entry.into_path());
        let is_note = |path: &PathBuf| path.to_string_lossy().contains("/sent/triplets-part-");
        entries.filter(|path| is_note(path) && path.extension().is_some_and(|end| end == "json")).count()
    }

    /// What a run that did not end left here.
    fn scratch(&self) -> Option<PathBuf> {
        let entries = fs::read_dir(self.room.path(".")).unwrap().map(|entry| entry.unwrap().path());
        let mut scratch = entries.filter(|path| path.to_string_lossy().ends_with(".miner"));
        scratch.next()
    }
}

/// A manifest without what tells where output and inputs lie, and what is made of that.
fn placeless(manifest: &[u8]) -> Value {
    let mut manifest: Value = serde_json::from_slice(manifest).unwrap();
    manifest["fingerprint"] = Value::Null;
    manifest["inputs"][0]["path"] = Value::Null;
    manifest["pipeline"]["output"]["path"] = Value::Null;
    manifest["pipeline"]["name"] = Value::Null;
    manifest
}

/// Which part is put.
fn part(seen: &Seen) -> Option<usize> {
    let (_, ordinal) = seen.path.split_once("/triplets/part-")?;
    (seen.method == "PUT").then(|| ordinal[..5].parse().unwrap())
}

fn is_part(seen: &Seen) -> bool {
    part(seen).is_some()
}

fn is_manifest(seen: &Seen) -> bool {
    seen.method == "PUT" && seen.path.ends_with("/manifest.json")
}

#[test]
fn the_bytes_are_those_of_a_folder() {
    let scene = Scene::new();
    let planned = scene.miner(&["plan", "p.toml"]).exits(0).stdout;
    let url = scene.bucket.url("x/out");
    assert!(planned.contains(&format!("{url} (new)")) && planned.contains("holds the output, too"), "{planned}");
    assert!(scene.files().is_empty(), "plan writes nothing");

    let ran = scene.run().exits(0);
    assert!(ran.stderr.contains("upload: begins") && ran.stdout.contains(&url), "{}{}", ran.stderr, ran.stdout);
    scene.is_whole();
    let files = scene.files();
    for report in ["report.json", "report.html"] {
        assert!(files.contains_key(report), "no {report}");
    }
    // From a bucket nothing here is to be seen.
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let store = fs::canonicalize(scene.room.path("store.parquet")).unwrap();
    assert_eq!(manifest["inputs"][0]["path"], json!(store));
    assert_eq!(manifest["pipeline"]["output"]["path"], json!(url));
    let report: Value = serde_json::from_slice(&files["report.json"]).unwrap();
    assert!(report["stages"].as_array().unwrap().iter().any(|stage| stage["name"] == "upload"), "{report}");

    let proxy = Proxy::before(scene.bucket.server);
    let again = scene.ran(proxy.address, &["run", "p.toml"]).exits(0);
    assert!(again.stdout.contains(&format!("{url} is already complete and current")), "{}", again.stdout);
    assert!(proxy.seen().iter().all(|seen| seen.method == "GET"), "{:#?}", proxy.seen());
    assert!(scene.files() == files && scene.scratch().is_none());
    let planned = scene.miner(&["plan", "p.toml"]).exits(0).stdout;
    assert!(planned.contains("already there and current"), "{planned}");
}

#[test]
fn another_s_output_is_replaced_only_with_leave_and_nobody_s_files_never() {
    let scene = Scene::new();
    // More parts than the new output will have.
    let other = ["run", "p.toml", "--quiet", "--set", "mine.seed=9", "--set", "output.rows_per_file=50"];
    scene.miner(&other).exits(0);
    let before = scene.files();
    let refused = scene.run().exits(2).stderr;
    assert!(refused.contains("which another pipeline") && refused.contains("--overwrite"), "{refused}");
    assert!(refused.contains(&scene.bucket.url("x/out")) && scene.files() == before, "{refused}");

    // An object beside the folder is none in it.
    scene.bucket.put("x/out-notes.txt", b"mine");
    scene.bucket.put("x/out/notes.txt", b"mine");
    let refused = scene.miner(&["run", "p.toml", "--overwrite"]).exits(2).stderr;
    assert!(refused.contains("not an output of miner: it holds 'notes.txt'"), "{refused}");
    scene.bucket.delete("x/out/notes.txt");
    assert!(scene.files() == before);

    let proxy = Proxy::before(scene.bucket.server);
    proxy.spoil(u32::MAX, Fault::Status(403), is_part);
    scene.ran(proxy.address, &["run", "p.toml", "--overwrite"]).exits(2);
    let between = scene.files();
    assert!(!between.contains_key("manifest.json") && between.len() == before.len() - 1, "its manifest goes first");
    proxy.relent();
    // It was begun with leave, and goes on without.
    scene.ran(proxy.address, &["run", "p.toml"]).exits(0);
    scene.is_whole();
    let last = proxy.seen().pop().unwrap();
    assert!(is_manifest(&last), "{last:?}");

    // Who wrote parts without a manifest, nobody knows.
    scene.bucket.delete("x/out/manifest.json");
    let refused = scene.run().exits(2).stderr;
    assert!(refused.contains("an output without its manifest") && refused.contains("--overwrite"), "{refused}");
    scene.miner(&["run", "p.toml", "--overwrite"]).exits(0);
    scene.is_whole();

    // Its own, damaged.
    scene.bucket.put("x/out/unmined.parquet", b"short");
    let refused = scene.run().exits(2).stderr;
    assert!(refused.contains("own output, damaged: unmined.parquet has 5 of"), "{refused}");
    scene.miner(&["run", "p.toml", "--overwrite"]).exits(0);
    scene.is_whole();
}

#[test]
fn a_run_that_is_killed_while_it_sends_goes_on_and_sends_nothing_twice() {
    let scene = Scene::new();
    let proxy = Proxy::before(scene.bucket.server);
    let run = ["run", "p.toml", "--quiet"];
    for first in [2, 5] {
        proxy.spoil(u32::MAX, Fault::Stall, move |seen| part(seen) >= Some(first));
        let mut child = scene.command(proxy.address, &run).stderr(Stdio::null()).spawn().unwrap();
        // Those before it have arrived, and it is noted that they have.
        while scene.notes() < first {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        proxy.relent();
        assert!(!scene.files().contains_key("manifest.json"), "half an output with a manifest");
    }
    // What was begun is told apart from what nobody knows.
    let other = scene.miner(&["run", "p.toml", "--set", "mine.seed=9"]).exits(2).stderr;
    assert!(other.contains("an output without its manifest"), "{other}");
    let fresh = scene.miner(&["run", "p.toml", "--fresh"]).exits(2).stderr;
    assert!(fresh.contains("an output without its manifest"), "{fresh}");

    scene.ran(proxy.address, &run).exits(0);
    scene.is_whole();
    let mut sent: Vec<usize> = proxy.seen().iter().filter(|seen| seen.is_done()).filter_map(part).collect();
    sent.sort();
    let parts = scene.expected.keys().filter(|name| name.starts_with("triplets/")).count();
    assert_eq!(sent, (0..parts).collect::<Vec<_>>(), "each once");
}

#[test]
fn what_was_sent_and_changed_since_is_sent_again() {
    let scene = Scene::new();
    let proxy = Proxy::before(scene.bucket.server);
    proxy.spoil(u32::MAX, Fault::Status(403), is_manifest);
    let failed = scene.ran(proxy.address, &["run", "p.toml"]).exits(2).stderr;
    assert!(failed.contains("manifest.json: cannot be put: the store refuses it"), "{failed}");
    proxy.relent();
    let parts: Vec<String> = scene.files().into_keys().filter(|name| name.starts_with("triplets/")).collect();
    scene.bucket.delete(&format!("x/out/{}", parts[0]));
    let length = scene.expected[&parts[1]].len();
    scene.bucket.put(&format!("x/out/{}", parts[1]), &vec![7; length]);
    let from = proxy.seen().len();
    let ran = scene.ran(proxy.address, &["run", "p.toml"]).exits(0);
    scene.is_whole();
    let sent: Vec<String> =
        proxy.seen()[from..].iter().filter(|seen| is_part(seen)).map(|seen| seen.path.clone()).collect();
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(ran.stderr.contains("upload: 2 files, ") && ran.stderr.contains(" were there"), "{}", ran.stderr);
}

#[test]
fn faults_on_the_way_change_nothing() {
    let scene = Scene::new();
    let proxy = Proxy::before(scene.bucket.server);
    proxy.spoil(2, Fault::Status(503), is_part);
    proxy.spoil(1, Fault::Status(500), |seen| seen.path.contains("unmined"));
    proxy.spoil(1, Fault::Status(500), |seen| seen.method == "GET");
    proxy.spoil(1, Fault::Cut, |seen| seen.method == "GET");
    scene.ran(proxy.address, &["run", "p.toml"]).exits(0);
    scene.is_whole();
}

#[test]
fn a_manifest_that_was_heard_without_an_answer_is_no_other_s() {
    let scene = Scene::new();
    let proxy = Proxy::before(scene.bucket.server);
    proxy.spoil(1, Fault::Mute, is_manifest);
    let mut command = scene.command(proxy.address, &["run", "p.toml"]);
    Ran::of(command.env("AWS_TIMEOUT", "2s")).exits(0);
    assert!(proxy.seen().iter().any(|seen| seen.fault == Some(Fault::Mute)));
    scene.is_whole();
}

#[test]
fn a_large_file_goes_in_parts_and_is_there_whole_or_not_at_all() {
    let scene = Scene::new();
    let mut draw = Draw(5);
    let mut word = || format!("{:016x}", draw.next());
    let rows = Rows {
        vectors: (0..400u32).map(|row| vec![(row % 7) as f32 + 1.0, (row % 11) as f32, row as f32 / 400.0]).collect(),
        labels: (0..400).map(|row| Some(format!("c{}", row % 20))).collect(),
        teams: (0..400).map(|_| Some((0..1_200).map(|_| word()).collect())).collect(),
    };
    rows.write(&scene.room.path("store.parquet"));
    let pipeline = format!("{STORE}store.carry = ['team']\noutput.format = 'jsonl'\n");
    let here = all_files(&scene.room.run("large", &pipeline));
    let name = "triplets/part-00000.jsonl";
    assert!(here[name].len() > 16 << 20, "only {} bytes", here[name].len());
    scene.room.write("p.toml", &format!("{pipeline}output.path = '{}'\n", scene.bucket.url("x/out")));

    let proxy = Proxy::before(scene.bucket.server);
    proxy.spoil(u32::MAX, Fault::Status(403), |seen| seen.path.contains("partNumber=2"));
    let failed = scene.ran(proxy.address, &["run", "p.toml"]).exits(2).stderr;
    assert!(failed.contains(&format!("{name}: cannot be put: the store refuses it")), "{failed}");
    assert!(!scene.files().contains_key(name), "a part of a file");
    let aborted = |seen: &Seen| seen.method == "DELETE" && seen.path.contains("uploadId=");
    assert!(proxy.seen().iter().any(aborted), "its parts are left in the store");

    proxy.relent();
    proxy.spoil(1, Fault::Status(503), |seen| seen.path.contains("partNumber=2"));
    proxy.spoil(1, Fault::Status(500), |seen| seen.method == "POST" && seen.path.contains("uploadId="));
    scene.ran(proxy.address, &["run", "p.toml"]).exits(0);
    let there = scene.files();
    assert!(there[name] == here[name] && there["unmined.parquet"] == here["unmined.parquet"]);
    let again = scene.ran(proxy.address, &["run", "p.toml"]).exits(0).stdout;
    assert!(again.contains("already complete and current"), "{again}");
}

#[test]
fn of_two_that_send_to_one_place_one_wins() {
    let scene = Scene::new();
    let proxy = Proxy::before(scene.bucket.server);
    proxy.spoil(u32::MAX, Fault::Status(412), is_manifest);
    let lost = scene.ran(proxy.address, &["run", "p.toml"]).exits(1).stderr;
    assert!(lost.contains("another run has put its output here meanwhile"), "{lost}");
    assert!(lost.contains(&scene.bucket.url("x/out")) && !scene.files().contains_key("manifest.json"), "{lost}");
    proxy.relent();

    // Somebody writes while it sends: what is there is not what was sent.
    let seen = proxy.seen().len();
    proxy.spoil(u32::MAX, Fault::Status(403), is_manifest);
    scene.ran(proxy.address, &["run", "p.toml"]).exits(2);
    assert!(proxy.seen()[seen..].iter().all(|seen| !is_part(seen)), "sent again");
    scene.ran(scene.bucket.server, &["run", "p.toml"]).exits(0);
    scene.is_whole();
}

#[test]
fn what_stands_in_the_way_is_told_with_the_cure() {
    let scene = Scene::new();
    let told = |set: &str| scene.miner(&["run", "p.toml", "--set", set]);
    let http = told("output.path=http://127.0.0.1:1/out").exits(2).stderr;
    assert!(http.contains("a web server takes no files; write to s3://"), "{http}");
    let bucket = told("output.path=s3://no-such-bucket/out").exits(2).stderr;
    assert!(bucket.contains("s3://no-such-bucket/out") && bucket.contains("there is no such bucket"), "{bucket}");
    let input = "in/store.parquet";
    scene.bucket.put(input, &fs::read(scene.room.path("store.parquet")).unwrap());
    let (from, to) = (format!("store.path={}", scene.bucket.url(input)), "output.path=s3://no-such-bucket/out");
    scene.miner(&["run", "p.toml", "--set", &from, "--set", to]).exits(2);
    assert!(scene.scratch().is_none(), "nothing is fetched for it");
    for (store, words) in
        [("x/out/data.parquet", "would replace the store"), ("x", "lies inside the folder of the store")]
    {
        let told = told(&format!("store.path={}", scene.bucket.url(store))).exits(2).stderr;
        assert!(told.contains("output.path") && told.contains(words), "{told}");
    }

    let proxy = Proxy::before(scene.bucket.server);
    proxy.spoil(u32::MAX, Fault::Status(403), |_| true);
    let forbidden = scene.ran(proxy.address, &["run", "p.toml"]).exits(2).stderr;
    assert!(forbidden.contains("the store refuses it (403") && forbidden.contains("AWS_ACCESS_KEY_ID"), "{forbidden}");
    assert!(scene.scratch().is_none(), "refused before any work");
}

#[test]
fn nothing_secret_is_in_any_file_or_message() {
    let scene = Scene::new();
    let text = format!("{STORE}{PARTS}output.path = 's3://${{BUCKET}}/x/out'\n");
    scene.room.write("p.toml", &text);
    let proxy = Proxy::before(scene.bucket.server);
    proxy.spoil(u32::MAX, Fault::Status(403), is_manifest);
    let command = |server| {
        let mut command = scene.command(server, &["run", "p.toml"]);
        command.env("BUCKET", &scene.bucket.name);
        command
    };
    let ran = Ran::of(&mut command(proxy.address)).exits(2);
    let secrets = [SECRET, scene.bucket.name.as_str()];
    let shows = |text: &str| secrets.iter().find(|secret| text.contains(**secret)).copied();
    assert_eq!(shows(&format!("{}{}", ran.stdout, ran.stderr)), None, "{}", ran.stderr);
    assert!(ran.stderr.contains("s3://${BUCKET}/x/out"), "{}", ran.stderr);
    for (name, bytes) in all_files(&scene.scratch().unwrap()) {
        assert_eq!(shows(&String::from_utf8_lossy(&bytes)), None, "{name}");
    }
    let ran = Ran::of(&mut command(scene.bucket.server)).exits(0);
    assert_eq!(shows(&format!("{}{}", ran.stdout, ran.stderr)), None, "{}", ran.stderr);
    for (name, bytes) in scene.files() {
        assert_eq!(shows(&String::from_utf8_lossy(&bytes)), None, "{name}");
    }
}

/// Insists that a text names URLs, and nothing of the copies that were made of what lies there.
#[track_caller]
fn names_no_copy(text: &str) {
    let temporary = std::env::temp_dir().display().to_string();
    assert!(!text.contains(&format!("{temporary}/.tmp")), "{text}");
}

#[test]
fn an_output_is_verified_reported_and_compared_where_it_lies() {
    let scene = Scene::new();
    scene.run().exits(0);
    let (url, other) = (scene.bucket.url("x/out"), scene.bucket.url("x/other"));
    scene
        .miner(&["run", "p.toml", "--quiet", "--set", "mine.seed=9", "--set", &format!("output.path={other}")])
        .exits(0);

    let told = scene.miner(&["verify", &url]).exits(0);
    assert!(told.stdout.contains("whole, and as they were sealed"), "{}", told.stdout);
    let report = scene.miner(&["report", &url, "--json"]).exits(0).stdout;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["output"], json!(url));
    let page = scene.miner(&["report", &url, "--html"]).exits(2).stderr;
    assert!(page.contains("--html writes into a folder"), "{page}");

    let same = scene.miner(&["diff", "local", &url, "--exit-code"]).exits(0).stdout;
    assert!(same.contains(&url), "{same}");
    let differ = scene.miner(&["diff", &url, &other, "--exit-code", "--lost", "--json"]).exits(1).stdout;
    let diff: Value = serde_json::from_str(&differ).unwrap();
    assert_eq!((&diff["a"], &diff["b"]), (&json!(url), &json!(other)));
    assert!(diff["lost"].is_object(), "{diff}");

    for (path, file) in [("x/out", "triplets/part-00003.parquet"), ("x/other", "unmined.parquet")] {
        let object = format!("{path}/{file}");
        let mut bytes = scene.bucket.files(path)[file].clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        scene.bucket.put(&object, &bytes);
        let told = scene.miner(&["verify", &scene.bucket.url(path)]).exits(3);
        assert!(told.stdout.contains(file) && told.stdout.contains("found sha256 "), "{}", told.stdout);
        names_no_copy(&format!("{}{}", told.stdout, told.stderr));
    }
    let tampered = scene.miner(&["diff", &url, &other]).exits(3).stderr;
    assert!(tampered.contains(&url) && tampered.contains("part-00003"), "{tampered}");
    names_no_copy(&tampered);

    scene.bucket.delete("x/other/manifest.json");
    for args in [["verify", &other, "--full"], ["diff", "local", &other]] {
        let absent = scene.miner(&args).exits(3).stderr;
        assert!(absent.contains(&other) && absent.contains("manifest.json"), "{absent}");
    }
    let absent = scene.miner(&["report", &scene.bucket.url("x/nothing")]).exits(3).stderr;
    assert!(absent.contains("x/nothing: no report.json here"), "{absent}");
}
