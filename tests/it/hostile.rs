//! Outputs and stores that somebody prepared: what is no plain file is not opened, claims cost nothing, and words do nothing but
//! stand there.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::csv::ReaderBuilder;
use arrow::datatypes::{DataType, Field, Float32Type, Schema};
use serde_json::{Value, json};
use triplet_miner::words::is_hidden;

use crate::rubbish::feed;
use crate::support::{Ran, Room, Rows, STORE, copy, parts, write_table};
use crate::tamper::{edit_manifest, reseal};

/// Clears the screen, sets a title, forges lines, turns text around: in C0, C1 and Unicode.
const EVIL: &str = "\u{1b}[2J\u{9b}1m\u{1b}]0;t\u{7}\nerror: forged\r\nsound\u{202e}\u{2066}\u{2028}\u{7f}";

/// Four classes of six rows on circles, with texts of one's own as labels and teams.
fn rows(label: impl Fn(usize) -> String, team: impl Fn(usize) -> String) -> Rows {
    let vector = |row: usize| {
        let angle = row as f32 * 0.37;
        vec![angle.cos(), angle.sin(), (row % 4) as f32 * 0.2]
    };
    Rows {
        vectors: (0..24).map(vector).collect(),
        labels: (0..24).map(|row| Some(label(row % 4))).collect(),
        teams: (0..24).map(|row| Some(team(row))).collect(),
    }
}

fn plain() -> Rows {
    rows(|class| format!("class {class}"), |row| format!("team {row}"))
}

const MINE: &str = "search.index = 'exact'\nmine.bands = { any = 2 }\nmine.metric = 'euclidean'\n";

/// A room with a store, and its finished output in `out`.
fn sealed(rows: &Rows, extra: &str) -> Room {
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    room.run("out", &format!("{STORE}{MINE}{extra}"));
    room
}

/// Insists that what was printed drives no terminal, and that no word in it began a line.
#[track_caller]
fn harmless(ran: Ran) -> Ran {
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.chars().any(|c| is_hidden(c) && c != '\n'), "{text:?}");
        let forged = |line: &str| line.starts_with("error: forged") || line.starts_with("sound\\");
        assert!(!text.lines().any(forged), "{text}");
    }
    ran
}

#[cfg(unix)]
fn pipe(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
#[cfg(unix)]
fn what_is_no_regular_file_is_refused_at_once() {
    use std::os::unix::fs::symlink;

    let room = sealed(&plain(), "");
    let changed = room.path("changed");
    let begin = || {
        let _ = fs::remove_dir_all(&changed);
        copy(&room.path("out"), &changed);
    };
    let part = "triplets/part-00000.parquet";
    for (name, command) in
        [("manifest.json", "verify"), ("report.json", "report"), (part, "verify"), ("suspects.parquet", "verify")]
    {
        let place = changed.join(name);
        let refused = |found: &str| {
            let ran = feed(&room, &[command, "changed"], &format!("{name} is {found}"));
            assert_eq!(ran.status, Some(3), "{name} is {found}: {ran:?}");
            let told = format!("{}{}", ran.stdout, ran.stderr);
            assert!(told.contains(name) && told.contains(found), "{name} is {found}:\n{told}");
        };
        begin();
        fs::rename(&place, room.path("aside")).unwrap();
        symlink(room.path("aside"), &place).unwrap();
        refused("a symbolic link, not a regular file");
        fs::remove_file(&place).unwrap();
        symlink("/dev/zero", &place).unwrap();
        refused("a symbolic link, not a regular file");
        fs::remove_file(&place).unwrap();
        pipe(&place);
        refused("a named pipe, not a regular file");
        fs::remove_file(&place).unwrap();
        fs::create_dir(&place).unwrap();
        refused("a folder, not a regular file");
    }
    begin();
    fs::rename(changed.join("triplets"), room.path("elsewhere")).unwrap();
    symlink(room.path("elsewhere"), changed.join("triplets")).unwrap();
    let verdict = feed(&room, &["verify", "changed"], "linked triplets");
    assert!(verdict.stdout.contains("triplets: found a symbolic link, expected a folder of parts"), "{verdict:?}");
    assert!(verdict.stdout.contains(&format!("{part}: found a symbolic link")), "{verdict:?}");

    // A run that finds a pipe where its manifest was does not wait for it, either.
    fs::remove_file(room.path("out/manifest.json")).unwrap();
    pipe(&room.path("out/manifest.json"));
    let ran = feed(&room, &["run", "out.toml", "--quiet"], "manifest.json is a pipe");
    assert!(ran.status == Some(2) && ran.stderr.contains("whose manifest cannot be read"), "{ran:?}");

    pipe(&room.path("pipe.parquet"));
    room.write("p.toml", &format!("{}{MINE}", STORE.replace("store.parquet", "pipe.parquet")));
    for args in [&["inspect", "pipe.parquet"][..], &["run", "p.toml"], &["verify", "changed", "--store", "/dev/zero"]] {
        let ran = feed(&room, args, "a store that is a pipe or a device");
        assert!(ran.status == Some(3) && ran.stderr.contains(", not a regular file"), "{args:?}: {ran:?}");
    }
}

#[test]
fn what_is_too_large_is_not_read() {
    let room = sealed(&plain(), "");
    for (name, command) in [("manifest.json", "verify"), ("report.json", "report")] {
        // Sparse: it takes no room.
        File::options().write(true).open(room.path("out").join(name)).unwrap().set_len(1 << 40).unwrap();
        let ran = feed(&room, &[command, "out"], name);
        assert!(ran.status == Some(3) && ran.stderr.contains("larger than"), "{ran:?}");
    }
}

#[test]
fn names_lead_nowhere_and_are_read_once() {
    let room = sealed(&plain(), "");
    let names = ["../store.parquet", "/etc/passwd", "triplets/../../store.parquet", "", "triplets", EVIL];
    for name in names {
        copy(&room.path("out"), &room.path("changed"));
        edit_manifest(&room.path("changed"), |sealed| sealed["files"][0]["path"] = json!(name));
        let ran = harmless(feed(&room, &["verify", "changed"], name));
        assert!(ran.status == Some(3) && ran.stdout.contains("expected a file inside the output"), "{name}: {ran:?}");
    }
    copy(&room.path("out"), &room.path("changed"));
    edit_manifest(&room.path("changed"), |sealed| {
        let part = sealed["parts"][0].clone();
        sealed["parts"].as_array_mut().unwrap().extend(vec![part; 3]);
    });
    let ran = feed(&room, &["verify", "changed"], "the same part again and again");
    assert!(ran.status == Some(3) && ran.stdout.contains("listed twice"), "{ran:?}");
}

#[test]
fn claims_take_no_memory() {
    let room = sealed(&plain(), "batches = { kind = 'triplets', size = 2 }\n");
    for key in [
        "/rows/read",
        "/rows/triplets",
        "/parts/0/rows",
        "/parts/0/bytes",
        "/files/0/rows",
        "/files/1/rows",
        "/files/2/rows",
        "/files/3/rows",
        "/batches/batches",
        "/batches/entries",
        "/inputs/0/rows",
        "/pipeline/mine/bands/any",
        "/pipeline/mine/positives/per_anchor",
        "/pipeline/batches/size",
    ] {
        let most = if key.starts_with("/pipeline") { u64::from(u32::MAX) } else { 1_000_000_000_000_000_000 };
        copy(&room.path("out"), &room.path("changed"));
        edit_manifest(&room.path("changed"), |sealed| *sealed.pointer_mut(key).unwrap() = json!(most));
        // What is checked fits into little, and what is only claimed takes none.
        let ran = feed(&room, &["verify", "changed", "--memory", "256MiB"], key);
        assert!(ran.status == Some(3) && ran.stdout.contains("NOT SOUND"), "{key}: {ran:?}");
    }
}

#[test]
fn words_of_a_store_do_nothing() {
    let room = sealed(
        &rows(|class| format!("{EVIL}{}", " ".repeat(class)), |row| format!("{row}{EVIL}")),
        "name = \"\\u001b[2J\\nerror: forged\"\nstore.carry = ['team']\noutput.format = 'jsonl'\n",
    );
    for args in [
        &["run", "out.toml"][..],
        &["plan", "out.toml"],
        &["report", "out"],
        &["report", "out", "--json"],
        &["inspect", "store.parquet"],
    ] {
        let ran = harmless(room.miner(args).exits(0));
        assert!(ran.stdout.contains(r"\u{1b}[2J") || ran.stdout.contains(r"\u001b[2J"), "{args:?}: {}", ran.stdout);
    }
    let report: Value = serde_json::from_str(&room.miner(&["report", "out", "--json"]).stdout).unwrap();
    assert_eq!(report["name"], "\u{1b}[2J\nerror: forged");
    assert!(report["look_alikes"]["example"][0].as_str().unwrap().starts_with(EVIL));

    // A finding quotes what it found and what it expected.
    let part = "triplets/part-00000.jsonl";
    let text = fs::read_to_string(room.path("out").join(part)).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found = format!("{EVIL}found");
    lines[3]["anchor_label"] = json!(found);
    let count = lines.len();
    fs::write(room.path("out").join(part), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    reseal(&room.path("out"), part, count);
    let verdict = harmless(room.miner(&["verify", "out"]).exits(3));
    assert!(verdict.stdout.contains(r"row 3, anchor_label: found \u{1b}[2J\u{9b}1m"), "{}", verdict.stdout);
    let verdict = harmless(room.miner(&["verify", "out", "--json"]).exits(3));
    let verdict: Value = serde_json::from_str(&verdict.stdout).unwrap();
    assert_eq!(verdict["findings"][0]["found"], json!(found));
}

#[test]
fn words_in_a_report_or_manifest_do_nothing() {
    let room = sealed(&plain(), "");
    let report = room.path("out/report.json");
    let mut honest: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    honest["reason"] = json!("few pairs");
    for key in ["/name", "/index", "/reason", "/layout", "/stages/0/name"] {
        let mut forged = honest.clone();
        *forged.pointer_mut(key).unwrap() = json!(EVIL);
        fs::write(&report, serde_json::to_vec(&forged).unwrap()).unwrap();
        let ran = harmless(room.miner(&["report", "out"]).exits(0));
        assert!(ran.stdout.contains(r"\u{1b}[2J"), "{key}: {}", ran.stdout);
    }
    let mut forged = honest.clone();
    let spread = json!({ "classes": 0, "largest": u64::MAX, "total": 0 });
    forged["balance"] = json!({
        "anchors_before": spread, "anchors_after": spread, "lines": spread,
        "left_out": 1, "added_pairs": 1, "refilled": 1, "emptied": 1, "cut": u64::MAX,
    });
    forged["balance"]["anchors_before"]["classes"] = json!(1);
    forged["unmined"] = json!({ "singleton": u64::MAX, "band-empty": u64::MAX });
    fs::write(&report, serde_json::to_vec(&forged).unwrap()).unwrap();
    let ran = feed(&room, &["report", "out"], "numbers that do not go together");
    assert!(ran.status == Some(0) && ran.stdout.contains("largest class"), "{ran:?}");

    for (key, value) in [("format", json!(EVIL)), ("pipeline", json!({ EVIL: 1 })), ("rows", json!(EVIL))] {
        copy(&room.path("out"), &room.path("changed"));
        edit_manifest(&room.path("changed"), |sealed| sealed[key] = value.clone());
        let ran = room.miner(&["verify", "changed"]);
        assert!(ran.status != Some(0), "{key}: {ran:?}");
        // Of a pipeline it is a finding.
        let ran = harmless(ran);
        let told = if key == "pipeline" {
            ran.stdout.contains("\n  manifest.json, pipeline")
        } else {
            ran.stderr.lines().count() == 1
        };
        assert!(told, "{key}: {ran:?}");
    }
}

#[test]
fn names_and_ids_of_a_store_do_nothing() {
    let room = Room::new();
    let vectors = || -> ArrayRef {
        let rows = (0..6).map(|row| Some(vec![Some(row as f32), Some(1.0)]));
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
    };
    let texts = |[a, b]: [&str; 2]| -> ArrayRef { Arc::new(StringArray::from([[a, b]; 3].concat())) };
    // Most would be refused for their name alone; turning words around is no reason to.
    let file = "store/x\u{202e}y\u{2066}.parquet";
    fs::create_dir(room.path("store")).unwrap();
    let columns =
        vec![("id", texts([EVIL; 2])), ("label", texts(["a", "b"])), (EVIL, texts(["x"; 2])), ("embedding", vectors())];
    write_table(&room.path(file), columns);
    let ran = harmless(room.miner(&["inspect", "store", "--write", "mine.toml"]).exits(0));
    assert!(ran.stdout.contains(r"\u{1b}[2J"), "{}", ran.stdout);
    let begun = fs::read_to_string(room.path("mine.toml")).unwrap();
    assert!(!begun.chars().any(|c| is_hidden(c) && c != '\n'), "{begun:?}");
    begun.parse::<toml::Table>().unwrap();

    // The refusal of a repeated id names the file, the id, and where it was before: lines of ours, with words of the store.
    room.write("p.toml", &STORE.replace("store.parquet", "store"));
    let ran = harmless(room.miner(&["run", "p.toml", "--quiet"]).exits(3));
    assert!(ran.stderr.contains("\n  ") && ran.stderr.contains(r"id \u{1b}[2J"), "{}", ran.stderr);
    assert!(ran.stderr.contains(r"x\u{202e}y\u{2066}.parquet, row 1"), "{}", ran.stderr);
    // So does a type that does not go.
    room.write("q.toml", &STORE.replace("store.parquet", "store").replace("'id'", "'cast(id as bigint)'"));
    let ran = room.miner(&["run", "q.toml", "--quiet"]);
    assert!(ran.status != Some(0) && harmless(ran).stderr.contains(r"\u{1b}[2J"));
    // A column that is not there is told beside those that are.
    room.write("r.toml", &STORE.replace("store.parquet", "store").replace("'label'", "'class'"));
    assert!(harmless(room.miner(&["run", "r.toml", "--quiet"]).exits(2)).stderr.contains("no column `class`"));
    // What the query engine cannot open is told with its name.
    fs::rename(room.path(file), room.path("store").join(format!("{EVIL}.parquet"))).unwrap();
    let ran = harmless(room.miner(&["inspect", "store"]).exits(3));
    assert!(ran.stderr.contains(r"\u{1b}[2J") && ran.stderr.lines().count() == 1, "{}", ran.stderr);
}

/// What a spreadsheet would take for a formula, what already has an apostrophe, and what is harmless.
const CELLS: [&str; 12] =
    ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'quoted", "''", "plain", "a=1", " =1", "\"=1\""];

/// The rows of a part as texts.
fn cells(path: &Path) -> RecordBatch {
    let text = fs::read_to_string(path).unwrap();
    let names = text.lines().next().unwrap().split(',');
    let schema = Schema::new(names.map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>());
    let reader = ReaderBuilder::new(Arc::new(schema)).with_header(true).build(File::open(path).unwrap()).unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

fn column(batch: &RecordBatch, name: &str) -> Vec<String> {
    batch[name].as_string::<i32>().iter().map(|text| text.unwrap_or_default().to_owned()).collect()
}

#[test]
fn formulas_in_csv_are_defused_and_come_back() {
    let texts = || rows(|class| format!("={class}"), |row| CELLS[row % CELLS.len()].to_owned());
    let csv = "store.carry = ['team']\noutput.format = 'csv'\noutput.rows_per_file = 17\n";
    for more in [
        "",
        "output.columns = 'team'\n",
        "output.layout = 'n-tuple'\n",
        "output.layout = 'labeled-pair'\n",
        "output.layout = 'candidates'\noutput.columns = 'team'\n",
    ] {
        let room = sealed(&texts(), &format!("{csv}{more}"));
        let mut marked = 0;
        for part in parts(&room.path("out")) {
            let batch = cells(&part);
            for field in batch.schema().fields() {
                for text in column(&batch, field.name()) {
                    assert!(!text.starts_with(['=', '+', '-', '@', '\t', '\r']), "{}: {text}", field.name());
                    marked += u64::from(text.starts_with('\''));
                }
            }
        }
        assert!(marked > 20, "{more}: {marked}");
        let report: Value = serde_json::from_str(&room.miner(&["report", "out", "--json"]).exits(0).stdout).unwrap();
        assert_eq!(report["escaped"], json!(marked), "{more}");
        let told = room.miner(&["report", "out"]).exits(0).stdout;
        assert!(told.contains(&format!("escaped     an apostrophe stands before {marked} cells")), "{told}");
        room.miner(&["verify", "out", "--full"]).exits(0);
    }

    let room = sealed(&texts(), csv);
    let part = room.path("out/triplets/part-00000.csv");
    // One apostrophe less gives every text back.
    let escaped = column(&cells(&part), "anchor_team");
    room.run("kept", &format!("{STORE}{MINE}{csv}output.csv_formulas = 'keep'\n"));
    room.miner(&["verify", "kept", "--full"]).exits(0);
    let kept = column(&cells(&room.path("kept/triplets/part-00000.csv")), "anchor_team");
    let undone: Vec<&str> = escaped.iter().map(|text| text.strip_prefix('\'').unwrap_or(text)).collect();
    assert_eq!(undone, kept);
    assert!(kept.iter().any(|text| text == "=1+1") && !room.miner(&["report", "kept"]).stdout.contains("escaped"));

    let honest = fs::read_to_string(&part).unwrap();
    for (from, to, found) in [
        ("'=1+1", "=1+1", "a formula without a mark: =1+1"),
        ("'=1,", "=1,", "a formula without a mark: =1"),
        ("plain", "'plain", "a mark that it does not need: 'plain"),
        ("'=1+1", "'=1+2", "=1+2, expected =1+1"),
    ] {
        assert!(honest.contains(from), "{from}:\n{honest}");
        fs::write(&part, honest.replacen(from, to, 1)).unwrap();
        reseal(&room.path("out"), "triplets/part-00000.csv", 17);
        let verdict = room.miner(&["verify", "out"]).exits(3);
        assert!(verdict.stdout.contains(found) && verdict.stdout.contains("row "), "{to}:\n{}", verdict.stdout);
    }
}

#[test]
fn numbers_in_csv_are_left_alone() {
    let room = Room::new();
    plain().write_with_ids(&room.path("store.parquet"), 0..24);
    let negative: ArrayRef = Arc::new(Int64Array::from_iter_values((0..24).map(|row| -row - 1)));
    let read = crate::support::batches(&room.path("store.parquet"));
    let (labels, vectors) = (read[0]["label"].clone(), read[0]["embedding"].clone());
    write_table(&room.path("store.parquet"), vec![("id", negative), ("label", labels), ("embedding", vectors)]);
    let out = room.run("out", &format!("{STORE}{MINE}output.format = 'csv'\n"));
    let ids = column(&cells(&parts(&out)[0]), "anchor_id");
    assert!(ids.iter().all(|id| id.starts_with('-') && id.parse::<i64>().is_ok()), "{ids:?}");
    assert!(!room.miner(&["report", "out"]).exits(0).stdout.contains("escaped"));
    room.miner(&["verify", "out", "--full"]).exits(0);
}
