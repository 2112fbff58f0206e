//! The command line as a stranger meets it: exit statuses, what goes to which stream, what is told.

use std::fs;
use std::process::Stdio;

use arrow::array::ArrayRef;
use serde_json::Value;

use crate::support::{Room, Rows, batches, copy, root, sample, tree, write_table};

fn pipeline() -> String {
    format!(
        "[store]\npath = '{}'\nid = 'id'\nembedding = 'embedding'\nlabel = 'label'\n[mine]\nbands = {{ hard = 1, semi-hard = 1 }}\n\
         [output]\npath = 'out'\n",
        sample("digits.parquet")
    )
}

fn room() -> Room {
    let room = Room::new();
    room.write("p.toml", &pipeline());
    room
}

#[test]
fn a_second_run_has_nothing_to_do_and_says_so() {
    let room = room();
    let first = room.miner(&["run", "p.toml"]).exits(0);
    assert!(first.stdout.contains("triplets"), "{}", first.stdout);
    let (before, sealed) =
        (tree(&room.path("out")), fs::metadata(room.path("out/manifest.json")).unwrap().modified().unwrap());
    let second = room.miner(&["run", "p.toml"]).exits(0);
    assert!(second.stdout.contains("nothing was done"), "{}", second.stdout);
    assert_eq!(tree(&room.path("out")), before);
    assert_eq!(fs::metadata(room.path("out/manifest.json")).unwrap().modified().unwrap(), sealed);
    let json = room.miner(&["run", "p.toml", "--json"]).exits(0);
    assert_eq!(serde_json::from_str::<Value>(&json.stdout).unwrap()["already"], true);
}

#[test]
fn a_file_is_no_output() {
    let room = Room::new();
    room.write("p.toml", "");
    for args in [&["verify", "p.toml"][..], &["report", "p.toml"], &["diff", "p.toml", "p.toml"]] {
        let told = room.miner(args).exits(3).stderr;
        assert!(told.contains("not a finished output of miner"), "{told}");
    }
}

#[test]
fn another_pipeline_never_replaces_an_output_unasked() {
    let room = room();
    room.miner(&["run", "p.toml", "--quiet"]).exits(0);
    let before = tree(&room.path("out"));
    let changed = ["run", "p.toml", "--quiet", "--set", "mine.margin=0.3"];
    let refused = room.miner(&changed).exits(2);
    assert!(refused.stderr.contains("--overwrite"), "{}", refused.stderr);
    let plan = ["plan", "p.toml", "--set", "mine.margin=0.3"];
    let told = room.miner(&plan).exits(0).stdout;
    let expected = "out (a run will refuse: an output with 3,059 triplets, which another pipeline, input or version wrote; to replace \
        it, give --overwrite or output.overwrite = true)\n";
    assert!(told.ends_with(expected) && told.contains("  triplets "), "{told}");
    let json: Value = serde_json::from_str(&room.miner(&[&plan[..], &["--json"]].concat()).exits(0).stdout).unwrap();
    assert!(json["refused"].as_str().unwrap().starts_with("an output with"), "{json}");
    assert_eq!(tree(&room.path("out")), before);
    room.miner(&[&changed[..], &["--overwrite"]].concat()).exits(0);
    assert_ne!(tree(&room.path("out")), before);
    room.miner(&["verify", "out"]).exits(0);
}

#[test]
fn a_folder_that_is_no_output_is_never_touched() {
    let room = room();
    room.write("out/thesis.tex", "years of work");
    let refused = room.miner(&["run", "p.toml", "--quiet", "--overwrite"]).exits(2);
    assert!(refused.stderr.contains("thesis.tex"), "{}", refused.stderr);
    assert_eq!(fs::read_to_string(room.path("out/thesis.tex")).unwrap(), "years of work");
}

#[test]
fn a_wrong_pipeline_has_status_2_and_the_cure() {
    for (extra, told) in [
        ("[mine.negatives]\nsmae = ['x']\n", "mine.negatives.smae"),
        ("[mine.negatives]\nsmae = ['x']\n", "did you mean `same`?"),
        ("[serch]\nindex = 'exact'\n", "did you mean `search`?"),
        ("[search]\nindex = 'exat'\n", "`exact`"),
        ("[search]\ntarget_recall = 'high'\n", "expected a number"),
        ("[search]\ntarget_recall = '0.9'\n", "expected a number; leave out the quotes"),
        ("[search]\nrecall = 0.9\n", "did you mean `target_recall`?"),
        ("[search\n", "not TOML"),
    ] {
        let room = Room::new();
        room.write("p.toml", &format!("{}{extra}", pipeline()));
        for command in ["run", "plan"] {
            let wrong = room.miner(&[command, "p.toml"]).exits(2);
            assert!(wrong.stderr.starts_with("error: p.toml") && wrong.stderr.contains(told), "{}", wrong.stderr);
            assert_eq!(wrong.stdout, "", "standard output carries results only");
        }
    }
    let room = room();
    let wrong = room.miner(&["run", "p.toml", "--set", "mine.margin=-0.2"]).exits(2);
    let expected = "error: p.toml: mine.margin = -0.2: a margin must be greater than 0, in the metric's own units\n  \
        = by --set mine.margin=-0.2\n";
    assert_eq!(wrong.stderr, expected);
    room.miner(&["run", "missing.toml"]).exits(2);
    room.miner(&["run", "p.toml", "--nonsense"]).exits(2);
    room.miner(&["dig", "p.toml"]).exits(2);
    room.miner(&[]).exits(2);
    assert!(!room.path("out").exists());
}

/// What is added to a pipeline or said as its label, and what an error about it shows: a line, and in it where the caret begins and
/// how long it is.
const WRONG: [(&str, &str, usize, &str, usize, usize); 9] = [
    ("[mine]\nmargin = -0.2\n", "label", 9, "margin = -0.2", 9, 4),
    ("[mine]\nmargn = 0.2\n", "label", 9, "margn = 0.2", 0, 5),
    ("[mine]\nfallback = ['easy', 'hrd']\n", "label", 9, "fallback = ['easy', 'hrd']", 20, 5),
    ("[mine]\npick = 7\n", "label", 9, "pick = 7", 7, 1),
    ("[scores]\n", "label", 8, "[scores]", 1, 6),
    ("[batches]\nkind = 'pk'\nclasses = 99\n", "label", 10, "classes = 99", 10, 2),
    ("", "lower(lable)", 5, "label = 'lower(lable)'", 15, 5),
    ("", "label ||", 5, "label = 'label ||'", 17, 1),
    ("", "${NAME} || ) x", 5, "label = '${NAME} || ) x'", 20, 1),
];

#[test]
fn an_error_shows_the_line_with_a_caret() {
    let room = Room::new();
    for (extra, label, number, line, begin, length) in WRONG {
        let path = sample("digits.parquet");
        let store = format!("[store]\npath = '{path}'\nid = 'id'\nembedding = 'embedding'\nlabel = '{label}'\n");
        room.write("p.toml", &format!("{store}[output]\npath = 'out'\n{extra}"));
        let told = room.command(&["plan", "p.toml"]).env("NAME", "label").output().unwrap();
        let told = String::from_utf8(told.stderr).unwrap();
        let margin = " ".repeat(number.to_string().len());
        let carets = " ".repeat(begin) + &"^".repeat(length);
        let expected = format!("\n{margin} |\n{number} | {line}\n{margin} | {carets}\n");
        // Of what is missing there is no place, nor of what only the data contradicts.
        let nowhere = ["[scores]", "[batches]"].iter().any(|section| extra.starts_with(section));
        let place = if nowhere { String::new() } else { format!("{number}:{}:", begin + 1) };
        assert!(
            told.starts_with(&format!("error: p.toml:{place} ")) && told.ends_with(&expected),
            "{extra}{label}: {told}"
        );
    }
}

#[test]
fn refused_data_has_status_3_and_leaves_nothing() {
    let room = room();
    let refused = room.miner(&["run", "p.toml", "--set", "store.where=1 > 2"]).exits(3);
    assert!(refused.stderr.contains("digits.parquet: no row is left of 1,797"), "{}", refused.stderr);
    let repeated = "store={ path = 'PATH', id = 'label', embedding = 'embedding', label = 'label', bad_rows = 'skip' }";
    let repeated = repeated.replace("PATH", &sample("digits.parquet"));
    let refused = room.miner(&["run", "p.toml", "--quiet", "--set", &repeated]).exits(3).stderr;
    let why = "gives 10 rows 10 classes, one row each, when 1,787 rows that cannot be used (repeated id: 1,787) are left out; a positive";
    assert!(refused.contains(why), "{refused}");
    assert!(!room.path("out").exists());
}

#[test]
fn what_a_key_says_of_columns_is_the_pipeline_s_fault_with_its_place() {
    let room = Room::new();
    let text = pipeline();
    let line = 1 + text.lines().position(|line| line.contains("label")).unwrap();
    for (from, to, column, told) in [
        ("'label'", "'lable'", 10, "= \"lable\": "),
        ("'label'", "'lower(lable)'", 16, "= \"lower(lable)\": "),
        ("'label'", "'label ||'", 18, "not a valid SQL expression"),
    ] {
        room.write("p.toml", &text.replace(from, to));
        for command in ["run", "plan"] {
            let wrong = room.miner(&[command, "p.toml"]).exits(2).stderr;
            let place = format!("error: p.toml:{line}:{column}: store.label = ");
            assert!(wrong.starts_with(&place) && wrong.contains(told), "{wrong}");
            assert!(wrong.contains("digits.parquet: "), "{wrong}");
            assert!(!to.contains("lable") || wrong.contains("nearest: `label`"), "{wrong}");
        }
    }
    room.write("p.toml", &text);
    let wrong = room.miner(&["plan", "p.toml", "--set", "store.where=lable > 1"]).exits(2).stderr;
    assert!(wrong.starts_with("error: p.toml: store.where = \"lable > 1\": "), "{wrong}");
}

#[test]
fn plan_sees_what_would_stop_a_run_and_who_asks() {
    let room = room();
    let numbers = |rows: usize, width: usize| {
        let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({rows}, {width}), }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend((0..rows * width).flat_map(|at| (at as f64).to_le_bytes()));
        fs::write(room.path("m.npy"), bytes).unwrap();
    };
    let plan = |set: &str| room.miner(&["plan", "p.toml", "--set", set]);
    numbers(3, 63);
    let told = plan("prepare.transform='m.npy'").exits(3).stderr;
    assert!(told.contains("found a matrix of 3 × 63, expected one with 64 columns"), "{told}");
    numbers(3, 64);
    let told = plan("prepare.transform='m.npy'").exits(0).stdout;
    assert!(told.contains("64 → 3 dimensions"), "{told}");
    let told = plan("prepare={ transform = 'lda', dimensions = 10 }").exits(3).stderr;
    assert!(told.contains("10 classes in 64 dimensions give lda at most 9"), "{told}");
    let told = plan("balance={ anchors_per_class = 177 }").exits(0).stdout;
    // Of the digits, 8 has 174 rows; the other nine have 177 or more.
    assert!(told.contains("anchors     1,767 of 1,797, by balance.anchors_per_class"), "{told}");
    let run = room.miner(&["run", "p.toml", "--quiet", "--json", "--set", "balance={ anchors_per_class = 177 }"]);
    assert_eq!(serde_json::from_str::<Value>(&run.exits(0).stdout).unwrap()["anchors"], 1_767);
}

#[test]
fn progress_goes_to_standard_error_unless_quiet() {
    let room = room();
    let told = room.miner(&["run", "p.toml", "--json"]).exits(0);
    assert!(told.stderr.contains("read") && told.stderr.contains("mine"), "{}", told.stderr);
    let report: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!((&report["already"], &report["rows"]), (&Value::Bool(false), &Value::from(1_797)));
    let quiet = room.miner(&["run", "p.toml", "--quiet", "--set", "output.path=other"]).exits(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn plan_tells_and_writes_nothing() {
    let room = room();
    let names = || fs::read_dir(room.path(".")).unwrap().count();
    let told = room.miner(&["plan", "p.toml"]).exits(0);
    for word in ["1,797", "exact", "partitions", "memory", "out"] {
        assert!(told.stdout.contains(word), "`{word}` is not in\n{}", told.stdout);
    }
    let json: Value = serde_json::from_str(&room.miner(&["plan", "p.toml", "--json"]).exits(0).stdout).unwrap();
    assert_eq!((&json["index"], &json["skips"]), (&"exact".into(), &false.into()));
    let told = room.miner(&["plan", "p.toml", "--set", "store.bad_rows=skip"]).exits(0).stdout;
    let seconds = |per_anchor: u32| {
        let set = format!("mine.positives.per_anchor={per_anchor}");
        let told = room.miner(&["plan", "p.toml", "--json", "--set", &set]).exits(0).stdout;
        serde_json::from_str::<Value>(&told).unwrap()["estimates"]["seconds"].as_f64().unwrap()
    };
    assert!(seconds(150) > 2.0 * seconds(1), "every pair has windows of its own");
    assert!(told.contains("anchors     at most 1,797: rows that cannot be used are left out"), "{told}");
    assert_eq!(names(), 1, "only the pipeline is there");
}

#[test]
fn inspect_suggests_a_pipeline_that_runs() {
    for store in ["digits.parquet", "glosses.parquet"] {
        let room = Room::new();
        let told = room.miner(&["inspect", &sample(store)]).exits(0);
        assert!(told.stdout.contains("embedding") && told.stdout.contains("label"), "{}", told.stdout);
        room.miner(&["inspect", &sample(store), "--write", "mine/suggested.toml"]).exits(2);
        room.miner(&["inspect", &sample(store), "--write", "suggested.toml"]).exits(0);
        let written = fs::read_to_string(room.path("suggested.toml")).unwrap();
        let refused = room.miner(&["inspect", &sample(store), "--write", "suggested.toml"]).exits(2);
        assert!(refused.stderr.contains("suggested.toml"), "{}", refused.stderr);
        assert_eq!(fs::read_to_string(room.path("suggested.toml")).unwrap(), written);
        let ran = room.miner(&["run", "suggested.toml", "--quiet", "--json"]).exits(0);
        assert!(serde_json::from_str::<Value>(&ran.stdout).unwrap()["triplets"].as_u64() > Some(0));
    }
}

/// Lines like `# key = value`, and what is left of them without the #.
fn offers(text: &str) -> Vec<(usize, String)> {
    let key = |line: &str| {
        line.split(" = ").next().is_some_and(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
    };
    let offer = |(number, line): (usize, &str)| {
        let rest = line.strip_prefix("# ").filter(|rest| rest.contains(" = ") && key(rest))?;
        Some((number, rest.to_owned()))
    };
    text.lines().enumerate().filter_map(offer).collect()
}

#[test]
fn a_begun_pipeline_runs_on_every_good_store_and_so_does_what_it_offers() {
    let room = Room::new();
    copy(&root().join("tests/odd_data/stores"), &room.path("stores"));
    let mut names: Vec<String> = fs::read_dir(room.path("stores"))
        .unwrap()
        .map(|entry| format!("stores/{}", entry.unwrap().file_name().to_string_lossy()))
        .chain(["stores/several/part-*.parquet".to_owned()])
        .collect();
    names.sort();
    assert!(names.len() > 40, "{}", names.len());
    for (index, store) in names.iter().enumerate() {
        let file = format!("begun-{index}.toml");
        room.miner(&["inspect", store, "--write", &file]).exits(0);
        let begun = fs::read_to_string(room.path(&file)).unwrap();
        assert!(begun.contains("It runs as it is"), "{store}:\n{begun}");
        let ran = room.miner(&["run", &file, "--quiet", "--json"]).exits(0);
        assert!(
            serde_json::from_str::<Value>(&ran.stdout).unwrap()["triplets"].as_u64() > Some(0),
            "{store}:\n{begun}"
        );
        for (number, offered) in offers(&begun) {
            let key = offered.split(" = ").next().unwrap();
            let taken = begun.lines().enumerate().filter_map(|(at, line)| match at == number {
                true => Some(offered.as_str()),
                // What was offered another value for.
                false => Some(line).filter(|line| !line.starts_with(&format!("{key} = "))),
            });
            room.write("taken.toml", &taken.collect::<Vec<_>>().join("\n"));
            // Whatever the pipeline as it was begun has left there.
            room.miner(&["plan", "taken.toml", "--set", "output.overwrite=true"]).exits(0);
        }
    }
}

#[test]
fn a_begun_pipeline_says_why() {
    let room = Room::new();
    let n = 60;
    let vectors =
        |row: usize| (0..4).map(|d| if row < 2 { 1.0 } else { ((row * 7 + d * 3) % 11) as f32 - 4.5 }).collect();
    let rows = Rows {
        vectors: (0..n).map(vectors).collect(),
        labels: (0..n)
            .map(|row| (row != 5).then(|| if row < 50 { "big".into() } else { format!("class {}", row % 9) }))
            .collect(),
        teams: (0..n).map(|row| Some(format!("team {}", row % 3))).collect(),
    };
    let named = |name: &str| -> Vec<(String, ArrayRef)> {
        rows.write(&room.path("plain.parquet"));
        let batch = batches(&room.path("plain.parquet")).remove(0);
        let renamed = |field: &str| if field == "team" { name.to_owned() } else { field.to_owned() };
        batch.schema().fields().iter().zip(batch.columns()).map(|(f, c)| (renamed(f.name()), c.clone())).collect()
    };
    let columns = named("The \"Team\".Name ${HOME}");
    fs::create_dir(room.path("x")).unwrap();
    write_table(
        &room.path("x/store.parquet"),
        columns.iter().map(|(name, column)| (name.as_str(), column.clone())).collect(),
    );
    room.miner(&["inspect", "x", "--write", "x/mine.toml"]).exits(0);
    let begun = fs::read_to_string(room.path("x/mine.toml")).unwrap();
    for why in [
        "Begun by `miner inspect` for 60 rows of 4 dimensions",
        "Without a label: 1 row.",
        "unlabelled = \"ignore\"",
        "The same as an earlier one: 48 vectors.",
        "duplicate_distance = 0.0001",
        "Here exact",
        "find a semi-hard negative: ",
        r#"# groups = { "The \"Team\".Name $${HOME}" = "The \"Team\".Name $${HOME}" }"#,
    ] {
        assert!(begun.contains(why), "no `{why}` in\n{begun}");
    }
    assert!(
        begun.contains("\npath = \"../out/mine\""),
        "an output in the folder of the store would be read with it:\n{begun}"
    );
    room.miner(&["run", "x/mine.toml", "--quiet"]).exits(0);
    room.miner(&["run", "x/mine.toml", "--quiet"]).exits(0);
}

#[test]
fn without_a_label_inspect_says_what_is_missing() {
    let room = Room::new();
    let rows = Rows { vectors: vec![vec![1.0, 0.0]; 4], labels: vec![Some("one".into()); 4], teams: vec![None; 4] };
    rows.write(&room.path("store.parquet"));
    let told = room.miner(&["inspect", "store.parquet", "--write", "mine.toml"]).exits(3).stderr;
    for words in ["`label` has the same value in every row", "`team` is null in every row", "[pairs]"] {
        assert!(told.contains(words), "no `{words}` in\n{told}");
    }
    assert!(!room.path("mine.toml").exists());
}

#[test]
fn a_slip_in_a_name_is_seen() {
    let room = room();
    fs::write(room.path("digits.parquet"), fs::read(sample("digits.parquet")).unwrap()).unwrap();
    let told = room.miner(&["inspect", "digit.parquet"]).exits(3).stderr;
    assert!(told.contains("no such file or folder; did you mean ") && told.contains("digits.parquet?"), "{told}");
    let told = room.miner(&["run", "q.toml"]).exits(2).stderr;
    assert!(!told.contains("did you mean"), "{told}");
    fs::rename(room.path("p.toml"), room.path("nightly.toml")).unwrap();
    let told = room.miner(&["run", "nigtly.toml"]).exits(2).stderr;
    assert!(told.contains("did you mean nightly.toml?"), "{told}");
}

#[test]
fn manual_pages_tell_of_every_command() {
    let room = Room::new();
    let page = room.miner(&["man"]).exits(0).stdout;
    assert!(page.contains(".TH miner") && page.contains("inspect"), "{page}");
    room.miner(&["man", "pages"]).exits(0);
    for name in ["miner", "miner-run", "miner-plan", "miner-inspect", "miner-verify", "miner-report", "miner-man"] {
        let page = fs::read_to_string(room.path(&format!("pages/{name}.1"))).unwrap();
        let (_, examples) = page.split_once("\n.SH EXAMPLE").unwrap_or_else(|| panic!("{name}: {page}"));
        // In lines of their own: none is filled.
        assert!(examples.contains("\n.nf\nminer "), "{name}: {page}");
    }
    assert!(!page.contains("miner\\-help") && page.contains("\n.SH \"EXIT STATUS\"\n"), "{page}");
    assert!(!room.path("pages/miner-help.1").exists());
    let help = room.miner(&["help", "run"]).exits(0).stdout;
    assert_eq!(help, room.miner(&["run", "--help"]).exits(0).stdout);
}

#[test]
fn report_repeats_what_the_run_told() {
    let room = room();
    let told = room.miner(&["run", "p.toml", "--quiet"]).exits(0).stdout;
    assert!(told.contains(" → ./out\n") && told.ends_with(" ./out/report.html\n"), "{told}");
    assert_eq!(room.miner(&["report", "./out"]).exits(0).stdout, told);
    fs::rename(room.path("out"), room.path("moved")).unwrap();
    let moved = told.replace("./out", "moved");
    assert_eq!(room.miner(&["report", "moved"]).exits(0).stdout, moved, "where it lies now");
    fs::rename(room.path("moved"), room.path("out")).unwrap();
    let json: Value = serde_json::from_str(&room.miner(&["report", "out", "--json"]).exits(0).stdout).unwrap();
    assert_eq!(json["rows"], 1_797);
    room.miner(&["report", "nowhere"]).exits(3);
}

#[test]
fn verify_reads_a_moved_output_and_a_moved_store() {
    let room = Room::new();
    fs::write(room.path("digits.parquet"), fs::read(sample("digits.parquet")).unwrap()).unwrap();
    room.write("p.toml", &pipeline().replace(&sample("digits.parquet"), "digits.parquet"));
    room.miner(&["run", "p.toml", "--quiet"]).exits(0);
    let verdict = room.miner(&["verify", "out", "--json"]).exits(0);
    assert_eq!(serde_json::from_str::<Value>(&verdict.stdout).unwrap()["total"], 0);
    fs::rename(room.path("digits.parquet"), room.path("moved.parquet")).unwrap();
    let lost = room.miner(&["verify", "out"]).exits(3);
    let hint = "the store is not where the manifest says; if moved, name the place with --store PATH: ";
    assert!(lost.stderr.contains(hint) && lost.stderr.contains("digits.parquet: no such file"), "{}", lost.stderr);
    let lost = room.miner(&["verify", "out", "--store", "nowhere.parquet"]).exits(3);
    assert!(!lost.stderr.contains("--store"), "{}", lost.stderr);
    room.miner(&["verify", "out", "--store", "moved.parquet"]).exits(0);
    room.miner(&["verify", "nowhere"]).exits(3);
}

#[test]
fn schema_knows_every_key_of_the_pipelines() {
    let schema: Value = serde_json::from_str(&Room::new().miner(&["schema"]).exits(0).stdout).unwrap();
    for section in ["store", "search", "mine", "output", "run"] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = Room::new().miner(&["completions", shell]).exits(0).stdout;
        assert!(script.contains("inspect"), "{shell}");
    }
}

#[test]
fn help_names_every_command() {
    let help = Room::new().miner(&["--help"]).exits(0).stdout;
    for command in ["run", "plan", "inspect", "verify", "report", "schema", "completions", "man"] {
        assert!(help.contains(command), "{command}");
        let own = Room::new().miner(&[command, "--help"]).exits(0).stdout;
        assert!(own.contains("Usage") && own.contains("Example"), "{command}");
    }
}

#[test]
fn the_version_is_a_number_and_at_length_what_a_bug_report_needs() {
    let version = format!("miner {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(Room::new().miner(&["-V"]).exits(0).stdout, version);
    let long = Room::new().miner(&["--version"]).exits(0).stdout;
    let rest = long.strip_prefix(&version).unwrap_or_else(|| panic!("{long}"));
    let named: Vec<&str> = rest.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(named, ["manifest", "machine", "kernels"], "{long}");
    assert!(rest.contains(std::env::consts::ARCH), "{long}");
    assert!(!Room::new().miner(&["man"]).exits(0).stdout.contains("kernels"), "the page is the same on every machine");
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let room = room();
    for args in [&["schema"][..], &["plan", "p.toml"], &["completions", "zsh"], &["--help"]] {
        let mut child = room.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ended = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && told.is_empty(), "{args:?}: {} {told}", ended.status);
    }
}

#[test]
fn the_environment_and_relative_paths_are_understood() {
    let room = Room::new();
    let text = pipeline().replace(&sample("digits.parquet"), "${SAMPLE}/digits.parquet").replace("'out'", "'../out'");
    room.write("pipelines/p.toml", &text);
    let mut command = room.command(&["run", "pipelines/p.toml", "--quiet"]);
    let ran = command.env("SAMPLE", root().join("sample_data")).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(room.path("out/manifest.json").exists(), "paths are relative to the pipeline file");
    let unset = room.command(&["run", "pipelines/p.toml"]).env_remove("SAMPLE").output().unwrap();
    assert_eq!(unset.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unset.stderr).contains("the environment variable SAMPLE is not set"));
}
