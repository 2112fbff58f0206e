//! Inputs in stores: the same output as of the same files here, whatever the network does; and what is said where there is none.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::oracle::python;
use crate::servers::{Bucket, Fault, Manners, Proxy, SECRET, Seen, Web, s3};
use crate::support::{Draw, Ran, Room, Rows, STORE, all_files, instead, manifest, tree};

type Environment = Vec<(&'static str, String)>;

/// Whatever the machine of the tests has set up for itself.
const OTHERS: [&str; 8] = [
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL_S3",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "all_proxy",
];

/// The program, about to run with this environment.
fn command(room: &Room, environment: &[(&'static str, String)], args: &[&str]) -> Command {
    let mut command = room.command(args);
    for name in OTHERS {
        command.env_remove(name);
    }
    command.envs(environment.iter().cloned());
    command
}

/// Runs it. Whatever it prints, it is no secret.
#[track_caller]
fn miner(room: &Room, environment: &[(&'static str, String)], args: &[&str]) -> Ran {
    let output = command(room, environment, args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let ran = Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(![&ran.stdout, &ran.stderr].iter().any(|text| text.contains(SECRET)), "{args:?}: {ran:?}");
    ran
}

fn environment(bucket: &Bucket, proxy: &Proxy) -> Environment {
    bucket.environment(proxy.address).to_vec()
}

fn rows(seed: u64, count: usize) -> Rows {
    let mut draw = Draw(seed);
    Rows {
        vectors: (0..count).map(|_| (0..8).map(|_| draw.unit()).collect()).collect(),
        labels: (0..count).map(|row| Some(format!("c{}", row % 7))).collect(),
        teams: (0..count).map(|row| Some(["red", "blue"][row % 2].to_owned())).collect(),
    }
}

/// So many files of a store, in folders that are columns.
fn store(room: &Room, folder: &str, files: usize, rows_each: usize) {
    for file in 0..files {
        let folder = room.path(folder).join(["lang=en", "lang=de%2Fat"][file % 2]);
        fs::create_dir_all(&folder).unwrap();
        let first = (file * rows_each) as u64;
        let rows = rows(file as u64, rows_each);
        rows.write_with_ids(&folder.join(format!("part-{file:03}.parquet")), first..first + rows_each as u64);
    }
}

fn pipeline(path: &str) -> String {
    instead(STORE, &format!("store.path = '{path}'"))
}

/// What a manifest says, but for where its inputs were.
fn without_places(out: &Path) -> Value {
    let mut sealed = manifest(out);
    for pointer in ["/fingerprint", "/pipeline/store/path", "/pipeline/name", "/pipeline/output/path"] {
        *sealed.pointer_mut(pointer).unwrap() = Value::Null;
    }
    for input in sealed["inputs"].as_array_mut().unwrap() {
        let input = input.as_object_mut().unwrap();
        input.remove("path");
        input.remove("listing");
    }
    sealed
}

/// Two outputs of the same bytes, but for where their inputs were.
#[track_caller]
fn assert_same(a: &Path, b: &Path) {
    let files = |out: &Path| {
        let mut files = tree(out);
        files.remove("manifest.json");
        files
    };
    assert!(files(a) == files(b), "other files");
    assert_eq!(without_places(a), without_places(b));
}

#[track_caller]
fn assert_no_secret(folder: &Path, secret: &str) {
    for (name, bytes) in all_files(folder) {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{name}");
    }
}

/// Requests for the bytes of objects.
fn fetches(proxy: &Proxy) -> BTreeMap<String, usize> {
    let mut fetches = BTreeMap::new();
    for seen in proxy.seen().into_iter().filter(|seen| is_fetch(seen) && seen.is_done()) {
        *fetches.entry(seen.path).or_default() += 1;
    }
    fetches
}

fn is_fetch(seen: &Seen) -> bool {
    seen.method == "GET" && seen.range.is_some()
}

#[test]
fn an_object_a_folder_and_a_pattern_give_the_bytes_of_the_same_files_here() {
    let (room, bucket) = (Room::new(), s3());
    store(&room, "store", 4, 60);
    room.write("store/_SUCCESS", "");
    room.write("store/lang=en/notes.txt", "not read");
    bucket.put_folder("data/store", &room.path("store"));
    // Some tools leave objects that stand for folders.
    bucket.put("data/store/lang=en/", b"");
    for (name, path) in [
        ("object", "store/lang=en/part-000.parquet"),
        ("folder", "store"),
        ("slash", "store/"),
        ("pattern", "store/lang=*/part-00[0-2].parquet"),
    ] {
        let proxy = Proxy::before(bucket.server);
        let environment = environment(&bucket, &proxy);
        let here = room.run(&format!("{name}-here"), &pipeline(path));
        let url = bucket.url(&format!("data/{path}"));
        room.write("there.toml", &(pipeline(&url) + &format!("output.path = '{name}-there'\n")));
        let ran = miner(&room, &environment, &["run", "there.toml"]).exits(0);
        assert!(ran.stderr.contains("fetch"), "{}", ran.stderr);
        let there = room.path(&format!("{name}-there"));
        assert_same(&here, &there);
        assert_eq!(manifest(&there)["inputs"][0]["path"], url);
        assert_no_secret(&there, SECRET);
        assert!(!room.path(&format!(".{name}-there.miner")).exists(), "copies go with the run");

        let before = fetches(&proxy);
        let again = miner(&room, &environment, &["run", "there.toml"]).exits(0);
        assert!(again.stdout.contains("already complete and current"), "{}", again.stdout);
        assert_eq!(fetches(&proxy), before, "the listing tells that nothing has changed");

        let planned = miner(&room, &environment, &["plan", "there.toml"]).exits(0);
        assert!(planned.stdout.contains(&format!("store       {}", url.trim_end_matches('/'))), "{}", planned.stdout);
        let verified = miner(&room, &environment, &["verify", &format!("{name}-there")]).exits(0);
        assert!(verified.stdout.contains("sound") || verified.stdout.contains("proved"), "{}", verified.stdout);
    }
}

#[test]
fn every_input_may_lie_in_a_store() {
    let (room, bucket) = (Room::new(), s3());
    fs::create_dir(room.path("data")).unwrap();
    rows(1, 90).write(&room.path("data/store.parquet"));
    rows(2, 30).write(&room.path("data/queries.parquet"));
    room.write("data/first.toml", &(pipeline("store.parquet") + "output.path = 'first'\n"));
    room.miner(&["run", "-q", "data/first.toml"]).exits(0);
    let script = "
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
e = lambda n: np.stack(pq.read_table(f'data/{n}.parquet')['embedding'].to_pylist()).astype('f4')
np.savez('data/v.npz', other=np.zeros(3), emb=e('store'))
np.save('data/q-0.npy', e('queries')[:11]); np.save('data/q-1.npy', e('queries')[11:])
np.save('data/m.npy', np.eye(8, dtype='f4') * 2)
pq.write_table(pa.table({'query_id': pa.array(range(30), pa.uint64()), 'corpus_id': pa.array(range(30, 60), pa.uint64())}), 'data/pairs.parquet')
pq.write_table(pa.table({'query_id': pa.array([i // 90 for i in range(2700)], pa.uint64()), 'corpus_id': pa.array([i % 90 for i in range(2700)], pa.uint64()), 'score': [i * 7 % 13 / 13 for i in range(2700)]}), 'data/scores.parquet')
";
    let made = Command::new(python()).args(["-c", script]).current_dir(room.path("")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    bucket.put_folder("x", &room.path("data"));
    let asked = |base: &str| {
        format!(
            "store = {{ path = '{base}store.parquet', id = 'id', vectors = '{base}v.npz:emb' }}\n\
             queries = {{ path = '{base}queries.parquet', id = 'id', vectors = ['{base}q-*.npy'] }}\n\
             pairs.path = '{base}pairs.parquet'\nscores.path = '{base}scores.parquet'\n\
             prepare.transform = '{base}m.npy'\n\
             mine = {{ bands = {{ any = 2 }}, negatives = {{ score_gap = 0.01, exclude = ['{base}first'] }} }}\n"
        )
    };
    let here = room.run("here", &asked("data/"));
    let proxy = Proxy::before(bucket.server);
    let environment = environment(&bucket, &proxy);
    room.write("there.toml", &(asked(&bucket.url("x/")) + "output.path = 'there'\n"));
    miner(&room, &environment, &["run", "there.toml"]).exits(0);
    let files = |out: &str| {
        let mut files = tree(&room.path(out));
        files.remove("manifest.json");
        files
    };
    assert!(files("here") == files("there"));
    let (a, b) = (manifest(&here), manifest(&room.path("there")));
    let inputs = a["inputs"].as_array().unwrap().iter().zip(b["inputs"].as_array().unwrap());
    for (a, b) in inputs {
        assert_eq!((&a["role"], &a["rows"], &a["fingerprint"]), (&b["role"], &b["rows"], &b["fingerprint"]));
        assert!(b["path"].as_str().unwrap().starts_with(&bucket.url("x/")), "{b}");
        assert_eq!(b["listing"].as_str().unwrap().len(), 64, "{b}");
    }
    let before = fetches(&proxy);
    let again = miner(&room, &environment, &["run", "there.toml"]).exits(0);
    assert!(again.stdout.contains("already complete") && fetches(&proxy) == before, "{}", again.stdout);
    miner(&room, &environment, &["verify", "there", "--full"]).exits(0);

    // Part here, part there: what is here is looked at.
    room.write(
        "mixed.toml",
        &(asked(&bucket.url("x/")).replace(&bucket.url("x/scores"), "data/scores") + "output.path = 'mixed'\n"),
    );
    for already in [false, true] {
        let before = fetches(&proxy);
        let ran = miner(&room, &environment, &["run", "mixed.toml"]).exits(0);
        assert_eq!(ran.stdout.contains("already complete"), already, "{}", ran.stdout);
        assert_eq!(fetches(&proxy) == before, already);
    }
}

#[test]
fn three_hundred_objects_arrive_over_a_bad_network() {
    let (room, bucket) = (Room::in_memory(), s3());
    store(&room, "store", 300, 4);
    bucket.put_folder("store", &room.path("store"));
    let proxy = Proxy::before(bucket.server);
    proxy.spoil(1, Fault::Status(503), |seen| seen.path.contains("list-type"));
    for (nth, fault) in [(3, Fault::Status(500)), (5, Fault::Cut), (7, Fault::Status(429)), (9, Fault::Cut)] {
        let spoilt = format!("part-{nth:02}");
        proxy.spoil(8, fault, move |seen| is_fetch(seen) && seen.path.contains(&spoilt));
    }
    let here = room.run("here", &pipeline("store"));
    room.write("there.toml", &(pipeline(&bucket.url("store")) + "output.path = 'there'\n"));
    let ran = miner(&room, &environment(&bucket, &proxy), &["run", "there.toml"]).exits(0);
    assert!(ran.stderr.contains("300 objects"), "{}", ran.stderr);
    assert_same(&here, &room.path("there"));
    let faults = proxy.seen().iter().filter(|seen| seen.fault.is_some()).count();
    assert!(faults > 20, "only {faults} faults");
    let fetched = fetches(&proxy);
    assert!(fetched.len() == 300 && fetched.values().all(|&times| times == 1), "{fetched:#?}");
}

#[test]
fn a_store_that_does_not_answer_is_given_up() {
    let (room, bucket) = (Room::new(), s3());
    rows(1, 40).write(&room.path("store.parquet"));
    bucket.put("store.parquet", &fs::read(room.path("store.parquet")).unwrap());
    let proxy = Proxy::before(bucket.server);
    proxy.spoil(u32::MAX, Fault::Stall, is_fetch);
    room.write("p.toml", &pipeline(&bucket.url("store.parquet")));
    let mut environment = environment(&bucket, &proxy);
    environment.push(("AWS_TIMEOUT", "300ms".to_owned()));
    let ran = miner(&room, &environment, &["run", "p.toml"]).exits(1);
    let url = bucket.url("store.parquet");
    assert!(
        ran.stderr.contains(&format!("{url}: cannot be fetched: no answer came in time (6 tries); ")),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("AWS_TIMEOUT=120s waits longer"), "{}", ran.stderr);
    assert!(!room.path("out/p").exists());
}

#[test]
fn an_object_that_changes_under_a_run_is_refused() {
    let (room, bucket) = (Room::new(), s3());
    rows(1, 40).write(&room.path("store.parquet"));
    rows(2, 40).write(&room.path("other.parquet"));
    let [first, second] = ["store.parquet", "other.parquet"].map(|name| fs::read(room.path(name)).unwrap());
    bucket.put("store.parquet", &first);
    let proxy = Proxy::before(bucket.server);
    let (server, name) = (bucket.server, bucket.name.clone());
    proxy.spoil(1, Fault::Status(500), move |seen| {
        if is_fetch(seen) {
            Bucket { name: name.clone(), server }.put("store.parquet", &second);
        }
        is_fetch(seen)
    });
    room.write("p.toml", &pipeline(&bucket.url("store.parquet")));
    let ran = miner(&room, &environment(&bucket, &proxy), &["run", "p.toml"]).exits(3);
    assert!(ran.stderr.contains("has changed since it was listed"), "{}", ran.stderr);
    miner(&room, &environment(&bucket, &proxy), &["run", "p.toml"]).exits(0);
}

#[test]
fn a_fetch_that_was_killed_goes_on_and_asks_for_nothing_again() {
    let (room, bucket) = (Room::new(), s3());
    store(&room, "store", 30, 20);
    bucket.put_folder("store", &room.path("store"));
    let proxy = Proxy::before(bucket.server);
    let environment = environment(&bucket, &proxy);
    // In name order the folder of odd numbers comes first: all of it arrives, and some of the other.
    proxy.spoil(u32::MAX, Fault::Stall, |seen| is_fetch(seen) && seen.path.contains("part-020"));
    room.write("p.toml", &pipeline(&bucket.url("store")));
    let mut child = command(&room, &environment, &["run", "-q", "p.toml"]).stderr(Stdio::null()).spawn().unwrap();
    let arrived = || {
        let files = walkdir::WalkDir::new(room.path("out")).into_iter().flatten();
        files.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "parquet")).count()
    };
    // The last of them is noted, too.
    let noted = || {
        let notes = walkdir::WalkDir::new(room.path("out")).into_iter().flatten();
        let texts = notes.filter(|entry| entry.file_name() == ".arrived").map(|entry| fs::read_to_string(entry.path()));
        texts.flatten().any(|text| text.lines().any(|line| line.contains("part-018") && line.ends_with('}')))
    };
    while arrived() < 25 || !noted() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before the stall");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    proxy.relent();
    assert_no_secret(&room.path("out"), SECRET);

    // One of the copies was damaged meanwhile, and one object has come.
    let copies: Vec<_> = walkdir::WalkDir::new(room.path("out")).into_iter().flatten().map(|e| e.into_path()).collect();
    let damaged = copies.iter().find(|path| path.ends_with("part-003.parquet")).unwrap();
    fs::write(damaged, b"PAR1 and no more").unwrap();
    rows(99, 5).write_with_ids(&room.path("store/lang=en/part-900.parquet"), 5_000..5_005);
    bucket.put("store/lang=en/part-900.parquet", &fs::read(room.path("store/lang=en/part-900.parquet")).unwrap());

    let before = fetches(&proxy);
    miner(&room, &environment, &["run", "p.toml"]).exits(0);
    let after = fetches(&proxy);
    assert_same(&room.run("here", &pipeline("store")), &room.path("out/p"));
    let asked = |nth: &str| {
        let of = |fetches: &BTreeMap<String, usize>| -> usize {
            fetches.iter().filter(|(path, _)| path.contains(nth)).map(|(_, times)| times).sum()
        };
        of(&after) - of(&before)
    };
    for nth in (1..30).step_by(2).filter(|&nth| nth != 3).chain((0..20).step_by(2)) {
        assert_eq!(asked(&format!("part-{nth:03}")), 0, "{nth}: {after:#?}");
    }
    assert_eq!(["part-003", "part-020", "part-900"].map(asked), [1, 1, 1]);
}

#[test]
fn what_is_wrong_with_a_store_is_told_with_its_cure() {
    let (room, bucket) = (Room::new(), s3());
    bucket.put("folder/notes.txt", b"x");
    bucket.put("closed.parquet", b"x");
    let known: Environment = bucket.environment(bucket.server).to_vec();
    let with = |more: &[(&'static str, &str)]| {
        let mut environment: BTreeMap<_, _> = known.iter().cloned().collect();
        environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        environment.retain(|_, value| !value.is_empty());
        environment.into_iter().collect::<Environment>()
    };
    let nobody = with(&[
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1"),
    ]);
    let http = format!("http://{}", bucket.server);
    for (path, environment, status, expected) in [
        (bucket.url("gone.parquet"), with(&[]), 3, "gone.parquet: cannot be read: there is no such object"),
        (bucket.url("gone/*.parquet"), with(&[]), 3, "gone/*.parquet: no object matches this pattern"),
        (bucket.url("folder"), with(&[]), 3, "/folder: the folder holds no *.parquet or *.pq object, but 1 other;"),
        (
            "s3://no-such-bucket-here/a/".to_owned(),
            with(&[]),
            2,
            "there is no such bucket; check its name, AWS_REGION and",
        ),
        (
            bucket.url("closed.parquet"),
            nobody,
            2,
            "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ),
        (
            bucket.url("closed.parquet"),
            with(&[("AWS_SKIP_SIGNATURE", "true")]),
            2,
            "the store refuses it (403 Forbidden",
        ),
        (
            bucket.url("x"),
            with(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")]),
            1,
            "(os error 111) (6 tries); check AWS_ENDPOINT_URL",
        ),
        (bucket.url("x"), with(&[("AWS_ALLOW_HTTP", "false")]), 2, "set AWS_ALLOW_HTTP=true where that is meant"),
        (bucket.url("x"), with(&[("AWS_TIMEOUT", "soon")]), 2, "soon"),
        (
            format!("{http}/{}/gone.parquet", bucket.name),
            with(&[]),
            3,
            "gone.parquet: cannot be read: there is no such file",
        ),
        (
            format!("{http}/{}/closed.parquet?X-Sig={SECRET}", bucket.name),
            with(&[]),
            2,
            "closed.parquet?…: cannot be read: the store refuses it (403",
        ),
        ("https://host/folder/".to_owned(), with(&[]), 2, "a web server does not list; name a single file"),
        ("hdfs://host/x".to_owned(), with(&[]), 2, "no store is reached by `hdfs://`"),
    ] {
        room.write("p.toml", &pipeline(&path));
        for command in ["run", "plan"] {
            let ran = miner(&room, &environment, &[command, "p.toml"]).exits(status);
            assert!(ran.stderr.contains(expected), "{path}: {}", ran.stderr);
        }
        let ran = miner(&room, &environment, &["inspect", &path]).exits(status);
        assert!(ran.stderr.contains(expected), "{path}: {}", ran.stderr);
    }
}

#[test]
fn a_web_server_holds_single_files_whatever_it_tells_of_them() {
    let room = Room::new();
    rows(1, 3_000).write(&room.path("a b.parquet"));
    let bytes = fs::read(room.path("a b.parquet")).unwrap();
    let here = room.run("here", &pipeline("a b.parquet"));
    for (name, manners, fetches_again) in [
        ("tagged", Manners { tag: Some("\"v1\""), cuts: 2, ..Manners::default() }, false),
        // Such a tag tells of the same meaning, not of the same bytes.
        ("weak", Manners { tag: Some("W/\"v1\""), ..Manners::default() }, true),
        ("untold", Manners { cuts: 2, ..Manners::default() }, true),
    ] {
        let web = Web::serving("a%20b.parquet", bytes.clone(), manners);
        let url = web.url("some/a%20b.parquet");
        room.write("there.toml", &(pipeline(&url) + &format!("output.path = '{name}'\n")));
        miner(&room, &[], &["run", "there.toml"]).exits(0);
        assert_same(&here, &room.path(name));
        assert_eq!(manifest(&room.path(name))["inputs"][0]["path"], url);
        let before = web.answers();
        let again = miner(&room, &[], &["run", "there.toml"]).exits(0);
        assert!(again.stdout.contains("already complete"), "{}", again.stdout);
        assert_eq!(web.answers() > before + 1, fetches_again, "{name}");
    }
    let web = Web::serving("x.parquet", bytes, Manners { no_ranges: true, ..Manners::default() });
    let ran = miner(&room, &[], &["inspect", &web.url("x.parquet")]).exits(2);
    assert!(ran.stderr.contains("cannot send a part of a file (HTTP ranges)"), "{}", ran.stderr);
}

#[test]
fn a_signature_opens_a_file_and_is_kept_nowhere() {
    let room = Room::new();
    rows(1, 200).write(&room.path("a.parquet"));
    let signed = format!("X-Signature={SECRET}");
    let signed: &'static str = signed.leak();
    let manners = Manners { tag: Some("\"v1\""), signature: Some(signed), ..Manners::default() };
    let web = Web::serving("a.parquet", fs::read(room.path("a.parquet")).unwrap(), manners);
    let known: Environment = vec![("SIGNATURE", signed.to_owned())];
    room.write("p.toml", &pipeline(&(web.url("a.parquet") + "?${SIGNATURE}")));
    let planned = miner(&room, &known, &["plan", "p.toml"]).exits(0);
    assert!(planned.stdout.contains(&web.url("a.parquet")), "{}", planned.stdout);
    miner(&room, &known, &["run", "p.toml"]).exits(0);
    let out = room.path("out/p");
    assert_no_secret(&room.path("out"), SECRET);
    let sealed = manifest(&out);
    assert_eq!(sealed["inputs"][0]["path"], web.url("a.parquet"));
    assert_eq!(sealed["pipeline"]["store"]["path"], web.url("a.parquet"));
    assert!(sealed.get("environment").is_none(), "the signature is no part of the run");

    // Spelled out it is the same run: who signs makes no difference.
    room.write("p.toml", &pipeline(&format!("{}?{signed}", web.url("a.parquet"))));
    let again = miner(&room, &[], &["run", "p.toml"]).exits(0);
    assert!(again.stdout.contains("already complete"), "{}", again.stdout);
    let refused = miner(&room, &[], &["verify", "out/p"]).exits(2);
    assert!(refused.stderr.contains("give the signed URL with --store URL"), "{}", refused.stderr);
    room.write("torn.toml", &format!("[store]\npath = \"{}?X=\"{SECRET}\"\n", web.url("a.parquet")));
    let torn = miner(&room, &[], &["run", "torn.toml"]).exits(2);
    assert!(torn.stderr.contains("torn.toml:2:") && torn.stderr.contains("a.parquet?…\n"), "{}", torn.stderr);
    let store = format!("{}?{signed}", web.url("a.parquet"));
    miner(&room, &[], &["verify", "out/p", "--store", &store]).exits(0);
}

#[test]
fn a_copy_is_called_by_its_url_and_a_variable_in_that_by_its_name() {
    let (room, bucket) = (Room::new(), s3());
    rows(1, 60).write(&room.path("store.parquet"));
    bucket.put("k=1/good.parquet", &fs::read(room.path("store.parquet")).unwrap());
    bucket.put("k=1/bad.parquet", b"PAR1 and no more");
    let mut environment = bucket.environment(bucket.server).to_vec();
    environment.push(("PLACE", bucket.name.clone()));
    room.write("bad.toml", &pipeline("s3://${PLACE}/k=*/bad.parquet"));
    for command in ["run", "plan"] {
        let ran = miner(&room, &environment, &[command, "bad.toml"]).exits(3);
        assert!(ran.stderr.contains("error: s3://${PLACE}/k=1/bad.parquet: "), "{}", ran.stderr);
    }
    let inspected = miner(&room, &environment, &["inspect", &bucket.url("k=1/bad.parquet")]).exits(3);
    assert!(inspected.stderr.contains(&format!("error: {}: ", bucket.url("k=1/bad.parquet"))), "{}", inspected.stderr);

    room.write("good.toml", &pipeline("s3://${PLACE}/k=*/good.parquet"));
    let ran = miner(&room, &environment, &["run", "good.toml"]).exits(0);
    assert!(ran.stderr.contains("of s3://${PLACE}/k=*/good.parquet"), "{}", ran.stderr);
    assert!(!ran.stderr.contains(&bucket.name), "{}", ran.stderr);
    assert_eq!(manifest(&room.path("out/good"))["inputs"][0]["path"], "s3://${PLACE}/k=*/good.parquet");
    assert_no_secret(&room.path("out/good"), &bucket.name);
    let checked = miner(&room, &environment, &["verify", "out/good"]).exits(0);
    assert!(!checked.stderr.contains(&bucket.name), "{}", checked.stderr);
    environment.retain(|(name, _)| *name != "PLACE");
    let unset = miner(&room, &environment, &["verify", "out/good"]).exits(2);
    assert!(unset.stderr.contains("PLACE is not set") && unset.stderr.contains("--store PATH"), "{}", unset.stderr);
    let moved = bucket.url("k=*/good.parquet");
    miner(&room, &environment, &["verify", "out/good", "--store", &moved]).exits(0);
}

#[test]
fn a_look_fetches_little_and_a_full_disk_is_seen_before() {
    let room = Room::new();
    rows(1, 300).write(&room.path("a.parquet"));
    let bytes = fs::read(room.path("a.parquet")).unwrap();
    let web = Web::serving("a.parquet", bytes.clone(), Manners { tag: Some("\"v1\""), ..Manners::default() });
    let url = web.url("a.parquet");
    let told = miner(&room, &[], &["inspect", &url, "--write", "begun.toml"]).exits(0);
    assert!(told.stdout.starts_with(&format!("{url}: 300 rows")), "{}", told.stdout);
    let begun = fs::read_to_string(room.path("begun.toml")).unwrap();
    assert!(begun.contains(&format!("path = \"{url}\"")) && begun.contains("It runs as it is"), "{begun}");
    miner(&room, &[], &["run", "begun.toml"]).exits(0);

    let huge = Web::serving("a.parquet", bytes, Manners { claims: Some(1 << 50), ..Manners::default() });
    let url = huge.url("a.parquet");
    room.write("huge.toml", &pipeline(&url));
    for args in [&["inspect", &url][..], &["plan", "huge.toml"]] {
        let ran = miner(&room, &[], args).exits(3);
        assert!(ran.stderr.contains("1.0 PiB would be fetched for a look, and at most 1.0 GiB"), "{}", ran.stderr);
    }
    let ran = miner(&room, &[], &["run", "huge.toml"]).exits(1);
    assert!(
        ran.stderr.contains(" of what lies in stores are still to be fetched, and there is room for"),
        "{}",
        ran.stderr
    );
    assert_eq!(huge.answers(), 3, "nothing but the first byte was asked for");
}

/// Whoever hands over an output, or runs a web server, does not say where files of this machine go.
#[test]
fn an_encoded_slash_leads_nowhere_else() {
    let room = Room::new();
    rows(1, 60).write(&room.path("a.parquet"));
    let bytes = fs::read(room.path("a.parquet")).unwrap();
    let victim = room.path("victim/mine.txt");
    fs::create_dir(room.path("victim")).unwrap();
    fs::write(&victim, "mine").unwrap();
    let encoded = |path: &Path| path.display().to_string().replace('/', "%2F");
    for name in [encoded(&victim), format!("x%2F..%2F..%2F..%2F..%2F..{}", encoded(&victim)), "..%2F..%2Fup".to_owned()]
    {
        let name: &'static str = name.leak();
        let web = Web::serving(name, bytes.clone(), Manners { tag: Some("\"v1\""), ..Manners::default() });
        room.write("p.toml", &pipeline(&web.url(name)));
        miner(&room, &[], &["run", "p.toml", "--fresh", "--overwrite"]).exits(0);
        miner(&room, &[], &["verify", "out/p"]).exits(0);
        miner(&room, &[], &["inspect", &web.url(name)]).exits(0);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine", "{name}");
        assert_eq!(tree(&room.path("victim")).len(), 1, "{name}");
    }
}
