//! The value of an environment variable is in no file and in no message, but where the user put it: in a path, in the data.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::support::{Draw, Ran, Room, Rows, manifest};

/// Long enough to be hidden, and in nothing else.
const SECRET: &str = "Zx81-hunter2";

/// Named in an expression, in paths and in the name.
const PIPELINE: &str = "\
name = 'about ${SECRET}'
store.path = 'data/${SECRET}/store.parquet'
store.id = 'id'
store.embedding = 'embedding'
store.label = \"case when label = '${SECRET}' then null else label end\"
store.where = \"team <> '${SECRET}'\"
output.path = 'out/${SECRET}'
";

fn room(rows: usize) -> Room {
    let (room, mut draw) = (Room::new(), Draw(7));
    let rows = Rows {
        vectors: (0..rows).map(|_| (0..16).map(|_| draw.unit()).collect()).collect(),
        labels: (0..rows).map(|row| Some(format!("c{}", row % 20))).collect(),
        teams: (0..rows).map(|row| Some(["red", "blue", "green"][row % 3].to_owned())).collect(),
    };
    fs::create_dir_all(room.path("data").join(SECRET)).unwrap();
    rows.write(&room.path("data").join(SECRET).join("store.parquet"));
    rows.write(&room.path("store.parquet"));
    room.write("p.toml", PIPELINE);
    room
}

/// Runs the program with this environment. Whatever it prints, it is not the secret.
#[track_caller]
fn miner(room: &Room, environment: &[(&str, &str)], args: &[&str]) -> Ran {
    let output = room.command(args).env_remove("SECRET").envs(environment.iter().copied()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let ran = Ran { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!tells(text.as_bytes()), "{args:?}: {text}");
    }
    ran
}

/// Whether the secret is there, or most of it, in whatever capitals.
fn tells(bytes: &[u8]) -> bool {
    let most = &SECRET.as_bytes()[5..];
    bytes.windows(most.len()).any(|window| window.eq_ignore_ascii_case(most))
}

/// Looks at every byte of every file below, and gives their number.
#[track_caller]
fn searched(folder: &Path) -> usize {
    let files = walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_type().is_file());
    files.inspect(|entry| assert!(!tells(&fs::read(entry.path()).unwrap()), "{}", entry.path().display())).count()
}

const KNOWN: [(&str, &str); 1] = [("SECRET", SECRET)];

#[test]
fn no_file_and_no_message_of_a_run_tells_it() {
    let room = room(300);
    let planned = miner(&room, &KNOWN, &["plan", "p.toml"]).exits(0);
    assert!(planned.stdout.contains("data/${SECRET}/store.parquet"), "{}", planned.stdout);
    miner(&room, &KNOWN, &["plan", "p.toml", "--json", "--calibrate"]).exits(0);
    let ran = miner(&room, &KNOWN, &["run", "p.toml"]).exits(0);
    assert!(ran.stdout.contains("about ${SECRET} → out/${SECRET}"), "{}", ran.stdout);
    let already = miner(&room, &KNOWN, &["run", "p.toml"]).exits(0);
    assert!(already.stdout.contains("out/${SECRET} is already complete"), "{}", already.stdout);
    miner(&room, &KNOWN, &["run", "p.toml", "--json"]).exits(0);
    let out = room.path("out").join(SECRET);
    assert!(searched(&room.path("out")) > 4);

    let sealed = manifest(&out);
    assert_eq!(sealed["pipeline"]["store"]["where"], "team <> '${SECRET}'");
    assert_eq!(sealed["pipeline"]["output"]["path"], "out/${SECRET}");
    assert_eq!(sealed["inputs"][0]["path"], "../../data/${SECRET}/store.parquet");
    assert_eq!(sealed["environment"]["SECRET"].as_str().unwrap().len(), 16);
    let report: serde_json::Value = serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    assert_eq!((&report["name"], &report["output"]), (&"about ${SECRET}".into(), &"out/${SECRET}".into()));

    // Where the shell typed the path, its own words come back; a link has another name.
    std::os::unix::fs::symlink(&out, room.path("link")).unwrap();
    miner(&room, &[], &["report", "link"]).exits(0);
    miner(&room, &[], &["report", "link", "--json"]).exits(0);
    for args in [&["verify", "link"][..], &["verify", "link", "--full", "--json"]] {
        miner(&room, &KNOWN, args).exits(0);
    }
    // Findings, too.
    let mut forged = sealed.clone();
    forged["pipeline"]["mine"]["margin"] = 0.3.into();
    forged["inputs"][0]["bytes"] = 1.into();
    fs::write(out.join("manifest.json"), forged.to_string()).unwrap();
    for args in [&["verify", "link"][..], &["verify", "link", "--json"]] {
        let found = miner(&room, &KNOWN, args).exits(3);
        assert!(found.stdout.contains("inputs[0]"), "{}", found.stdout);
    }
}

#[test]
fn what_a_killed_run_leaves_does_not_tell_it() {
    let room = room(30_000);
    let mut child =
        room.command(&["run", "p.toml"]).envs(KNOWN).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let partitions = || {
        let files = walkdir::WalkDir::new(room.path("out")).into_iter().flatten();
        files.filter(|entry| entry.path().parent().is_some_and(|folder| folder.ends_with("partitions"))).count()
    };
    while partitions() == 0 {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before anything was mined");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!room.path("out").join(SECRET).exists());
    assert!(searched(&room.path("out")) > 4);
    miner(&room, &KNOWN, &["run", "p.toml"]).exits(0);
    miner(&room, &KNOWN, &["verify", &format!("out/{SECRET}")]).exits(0);
}

#[test]
fn no_error_tells_it() {
    let room = room(60);
    for (set, status, told) in [
        ("store.where=team <> '${SECRET}' or", 2, "team <> '${SECRET}' or"),
        ("store.where=\"${SECRET}\" = 1", 2, "no column `${SECRET}`"),
        ("store.where=${SECRET} = 1", 2, "no column `${SECRET}`"),
        ("store.where=team = ${SECRET} ${SECRET}", 2, "not a valid SQL expression"),
        ("store.where=cast('${SECRET}' as bigint) > 1", 3, "'${SECRET}'"),
        ("store.label=lower(${SECRET}, 'x')", 2, "store.label = \"lower(${SECRET}, 'x')\""),
        ("store.id=cast(concat('${SECRET}', team) as bigint)", 3, "'${SECRET}"),
        ("store.embedding=${SECRET}", 2, "store.embedding = \"${SECRET}\""),
        ("store.carry=['${SECRET}']", 2, "no column `${SECRET}`"),
        ("store.groups={ team = '${SECRET}(1)' }", 2, "${SECRET}(1)"),
        ("store.path=nowhere/${SECRET}.parquet", 3, "nowhere/${SECRET}.parquet: no such file"),
        ("store.path=https://me:${SECRET}@host/x.parquet?sig=${SECRET}", 2, "\"https://…@host/x.parquet?…\""),
        ("output.path=data/${SECRET}", 2, "would replace the store, data/${SECRET}/store.parquet"),
        ("output.columns=${SECRET}", 2, "output.columns = \"${SECRET}\""),
        ("prepare.transform=${SECRET}", 2, "prepare.transform = \"${SECRET}\""),
        ("prepare.transform=${SECRET}.npy", 3, "${SECRET}.npy"),
        ("mine.metric=${SECRET}", 2, "unknown variant `${SECRET}`"),
        ("mine.margin=${SECRET}", 2, "invalid type: string \"${SECRET}\""),
        ("mine.positives.same=['${SECRET}']", 2, "no group is named \"${SECRET}\""),
        ("run.memory=${SECRET}", 2, "run.memory = \"${SECRET}\""),
        ("run.work=p.toml/${SECRET}", 1, "p.toml/${SECRET}"),
    ] {
        for command in [&["run", "p.toml"][..], &["run", "p.toml", "--quiet", "--json"], &["plan", "p.toml"]] {
            if command[0] == "plan" && status != 2 {
                continue;
            }
            let ran = miner(&room, &KNOWN, &[command, &["--set", set]].concat()).exits(status);
            assert!(ran.stderr.contains(told), "{set}: {}", ran.stderr);
        }
    }
    searched(&room.path("out"));
}

#[test]
fn another_value_is_another_run() {
    let room = room(300);
    let pipeline = "store = { path = 'store.parquet', id = 'id', embedding = 'embedding', label = 'label', \
        where = \"team <> '${TEAM}'\" }\noutput.path = 'out'\nsearch.index = 'hnsw'\n";
    room.write("p.toml", pipeline);
    let run = |team, more: &[&str]| miner(&room, &[("TEAM", team)], &[&["run", "p.toml", "--quiet"], more].concat());
    run("blue", &[]).exits(0);
    let graph = || fs::read_to_string(room.path(".out.miner/graphs/shard-00000.json")).unwrap();
    let (blue, graph_of_blue) = (manifest(&room.path("out")), graph());
    assert!(run("blue", &[]).exits(0).stdout.contains("nothing was done"));
    assert!(run("green", &[]).exits(2).stderr.contains("--overwrite"));
    run("green", &["--overwrite"]).exits(0);
    let green = manifest(&room.path("out"));
    assert_eq!(blue["pipeline"], green["pipeline"]);
    assert_ne!(blue["environment"], green["environment"]);
    assert_ne!(blue["fingerprint"], green["fingerprint"]);
    assert_ne!(graph_of_blue, graph(), "graphs of other rows");
}

#[test]
fn verify_asks_for_the_values_that_it_needs() {
    let room = room(300);
    room.write("p.toml", &PIPELINE.replace("${SECRET}", "${A}").replace("'${A}'", "'${B}'").replace("out/${A}", "out"));
    let both = [("A", SECRET), ("B", "blue")];
    miner(&room, &both, &["run", "p.toml", "--quiet"]).exits(0);
    let verify =
        |environment: &[(&str, &str)], more: &[&str]| miner(&room, environment, &[&["verify", "out"], more].concat());
    let moved = ["--store", "store.parquet"];
    verify(&both, &[]).exits(0);
    verify(&both[1..], &moved).exits(0);
    for (environment, more, told) in [
        (
            &[("A", SECRET)][..],
            &[][..],
            "out/manifest.json: pipeline.store.label: the environment variable B is not set; set it to what it was",
        ),
        (&[], &moved[..], "the environment variable B is not set"),
        (
            &both[1..],
            &[],
            "out/manifest.json: inputs[0].path: the environment variable A is not set; set it to what it was when this output was made, or name the place with --store PATH",
        ),
        (
            &[("A", SECRET), ("B", "green")],
            &[],
            "the environment variable B has another value than it had then; set it to what it was",
        ),
        (&[("A", "data"), ("B", "blue")], &[], "the environment variable A has another value than it had then"),
    ] {
        let refused = verify(environment, more).exits(2);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    let mut forged = manifest(&room.path("out"));
    forged.as_object_mut().unwrap().remove("environment");
    fs::write(room.path("out/manifest.json"), forged.to_string()).unwrap();
    let refused = verify(&both, &[]).exits(2);
    assert!(refused.stderr.contains("the manifest does not tell of the environment variable B"), "{}", refused.stderr);
}
