//! `run.memory`: what is too little is refused before any work, what is enough is kept to, and no byte depends on it.

use std::fs;

use serde_json::Value;

use crate::support::{Draw, Room, Rows, STORE, sample, tree};
use crate::twin::LISTS;

fn glosses(extra: &str) -> String {
    format!(
        "store.path = '{}'\nstore.id = 'id'\nstore.embedding = 'embedding'\nstore.label = 'label'\nstore.carry = ['text']\n\
         mine.positives.pick = 'all'\nmine.bands = {{ any = 16 }}\noutput.order = 'random'\noutput.path = 'out'\n{extra}",
        sample("glosses.parquet")
    )
}

/// Mebibytes that a refusal says would do.
fn least(told: &str) -> u64 {
    let rest = told.split_once("needs at least ").unwrap_or_else(|| panic!("{told}")).1;
    rest.split_once(" MiB").unwrap().0.parse().unwrap()
}

/// Bytes that a run takes at most, where it is given so many mebibytes.
#[cfg(target_os = "linux")]
fn peak(room: &Room, mebibytes: u64) -> u64 {
    let ran = room.miner(&["run", "p.toml", "--quiet", "--json", "--memory", &format!("{mebibytes}MiB")]).exits(0);
    serde_json::from_str::<Value>(&ran.stdout).unwrap()["peak_memory"].as_u64().unwrap()
}

#[test]
fn too_little_is_refused_before_any_work() {
    let room = Room::new();
    room.write("p.toml", &glosses("run.memory = '8MiB'\n"));
    for args in [&["run", "p.toml"][..], &["plan", "p.toml"], &["run", "p.toml", "--memory", "8MiB", "--threads", "1"]]
    {
        let refused = room.miner(args).exits(2);
        assert!(
            refused.stderr.starts_with("error: p.toml: run.memory = \"8MiB\": this job needs"),
            "{}",
            refused.stderr
        );
        assert_eq!(refused.stderr.contains("or fewer threads"), !args.contains(&"--threads"), "{}", refused.stderr);
    }
    assert_eq!(fs::read_dir(room.path(".")).unwrap().count(), 1, "only the pipeline is there");
    room.miner(&["run", "p.toml", "--memory", "plenty"]).exits(2);
    room.miner(&["plan", "p.toml", "--memory", "0"]).exits(0);
}

#[test]
fn little_and_much_memory_give_the_same_bytes() {
    let outputs = [None, Some("64GiB")].map(|memory| {
        let room = Room::new();
        room.write("p.toml", &glosses("run.memory = '8MiB'\n"));
        let least = format!("{}MiB", least(&room.miner(&["plan", "p.toml"]).exits(2).stderr));
        room.miner(&["run", "p.toml", "--quiet", "--memory", memory.unwrap_or(&least)]).exits(0);
        tree(&room.path("out"))
    });
    assert!(outputs[0] == outputs[1]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_keeps_to_the_least_it_asks_for() {
    let (n, d) = (200_000, 32);
    let mut draw = Draw(7);
    let rows = Rows {
        vectors: (0..n).map(|_| (0..d).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|_| Some(format!("class-{}", draw.below(20_000)))).collect(),
        teams: vec![None; n],
    };
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    drop(rows);
    for (name, extra) in [
        ("plain", ""),
        ("rows", "balance = { max_uses = 3, oversample_to = 20 }\nbatches = { kind = 'pk' }\n"),
        ("triplets", "balance = { triplets = 600000, weights = 'inverse' }\nbatches = { kind = 'triplets' }\n"),
    ] {
        let asked = "mine.bands = { any = 4 }\noutput.order = 'random'\n";
        room.write("p.toml", &format!("{STORE}{asked}{extra}output.path = '{name}'\n"));
        let least = least(&room.miner(&["plan", "p.toml", "--memory", "8MiB"]).exits(2).stderr);
        let peak = peak(&room, least);
        assert!(peak <= least << 20, "{name}: {peak} bytes of {least} MiB");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn more_memory_lets_more_threads_read_and_is_kept_to() {
    let (files, n, d) = (8, 50_000, 64);
    let (room, mut draw) = (Room::new(), Draw(12));
    fs::create_dir(room.path("parts")).unwrap();
    for file in 0..files {
        let rows = Rows {
            vectors: (0..n).map(|_| (0..d).map(|_| draw.unit()).collect()).collect(),
            labels: (0..n).map(|_| Some(format!("class-{}", draw.below(20)))).collect(),
            teams: vec![None; n as usize],
        };
        rows.write_with_ids(&room.path(&format!("parts/{file}.parquet")), file * n..(file + 1) * n);
    }
    let asked = "mine.bands = { any = 1 }\nbalance.anchors_per_class = 1\noutput.path = 'out'\n";
    room.write("p.toml", &format!("{STORE}{asked}").replace("store.parquet", "parts"));
    let least = least(&room.miner(&["plan", "p.toml", "--memory", "8MiB", "--threads", "1"]).exits(2).stderr);
    let run = |memory: &str, threads: &str| {
        let args = ["run", "p.toml", "--quiet", "--json", "--overwrite", "--memory", memory, "--threads", threads];
        let ran: Value = serde_json::from_str(&room.miner(&args).exits(0).stdout).unwrap();
        let figures = ["/peak_memory", "/estimates/memory_bytes"].map(|figure| ran.pointer(figure).unwrap().as_u64());
        let made = tree(&room.path("out"));
        fs::remove_dir_all(room.path("out")).unwrap();
        (figures[0].unwrap(), figures[1].unwrap(), made)
    };
    let (little, told_little, made) = run(&format!("{least}MiB"), "1");
    let (much, told_much, same) = run("64GiB", "8");
    assert!(made == same);
    assert!(little <= told_little, "{little} bytes of {told_little}");
    assert!(much <= told_much, "{much} bytes of {told_much}");
    assert!(told_much > told_little + (50 << 20), "{told_little} bytes with one thread, {told_much} with eight");
}

#[cfg(target_os = "linux")]
#[test]
fn several_labels_a_row_keep_to_it_too() {
    let n = 60_000;
    let mut draw = Draw(8);
    // Nearly as many sets of labels as rows.
    let labels = |draw: &mut Draw| {
        let some: Vec<String> = (0..1 + draw.below(6)).map(|_| format!("tag-{}", draw.below(200))).collect();
        Some(format!("class-{},{}", draw.below(6_000), some.join(",")))
    };
    let rows = Rows {
        vectors: (0..n).map(|_| (0..32).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|_| labels(&mut draw)).collect(),
        teams: vec![None; n],
    };
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    drop(rows);
    let store = STORE.replace("'label'", &format!("\"{LISTS}\""));
    let asked = "mine.bands = { any = 4 }\nmine.positives.pick = 'hardest'\noutput.path = 'out'\n";
    room.write("p.toml", &format!("{store}{asked}"));
    let least = least(&room.miner(&["plan", "p.toml", "--memory", "8MiB"]).exits(2).stderr);
    let peak = peak(&room, least);
    assert!(peak <= least << 20, "{peak} bytes of {least} MiB");
}

#[cfg(target_os = "linux")]
#[test]
fn earlier_outputs_are_read_in_the_memory_that_was_told() {
    let n = 20_000;
    let mut draw = Draw(10);
    let rows = Rows {
        vectors: (0..n).map(|_| (0..8).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|row| Some(format!("class-{}", row % 200))).collect(),
        teams: vec![None; n],
    };
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    drop(rows);
    room.run("first", &format!("{STORE}mine.bands = {{ any = 1 }}\nmine.positives.per_anchor = 30\n"));
    let exclude = "mine.bands = { any = 1 }\nmine.negatives.exclude = 'first'\noutput.path = 'out'\n";
    room.write("p.toml", &format!("{STORE}{exclude}"));
    let refused = room.miner(&["plan", "p.toml", "--memory", "8MiB"]).exits(2).stderr;
    assert!(refused.contains("reading: ids already seen"), "{refused}");
    let least = least(&refused);
    let peak = peak(&room, least);
    assert!(peak <= least << 20, "{peak} bytes of {least} MiB");
    // Of so small a job a third is the program itself, of which less is in use.
    assert!(peak * 5 > (least << 20) * 2, "{peak} bytes of {least} MiB: the formula is about this");
}

#[cfg(target_os = "linux")]
#[test]
fn wide_columns_that_are_carried_are_counted_in_small_jobs_too() {
    let (n, d) = (10_000, 384);
    let mut draw = Draw(13);
    let rows = Rows {
        vectors: (0..n).map(|_| (0..d).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|row| Some(format!("class-{}", row % 50))).collect(),
        teams: vec![None; n],
    };
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    drop(rows);
    let asked = "store.carry = ['embedding']\nmine.bands = { any = 1 }\noutput.path = 'out'\n";
    room.write("p.toml", &format!("{STORE}{asked}"));
    let refused = room.miner(&["plan", "p.toml", "--memory", "64MiB"]).exits(2).stderr;
    assert!(refused.contains("writing: "), "{refused}");
    let least = least(&refused);
    let peak = peak(&room, least);
    assert!(peak <= least << 20, "{peak} bytes of {least} MiB");
    assert!(peak * 2 > least << 20, "{peak} bytes of {least} MiB");
}

#[cfg(target_os = "linux")]
#[test]
fn a_transform_is_learned_in_the_memory_that_was_told() {
    let (n, d) = (3_000, 1_024);
    let mut draw = Draw(9);
    let rows = Rows {
        vectors: (0..n).map(|_| (0..d).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|row| Some(format!("class-{}", row % 100))).collect(),
        teams: vec![None; n],
    };
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    drop(rows);
    let learn = "prepare.standardize = true\nprepare.transform = 'lda'\n";
    room.write("p.toml", &format!("{STORE}{learn}mine.bands = {{ any = 1 }}\noutput.path = 'out'\n"));
    let refused = room.miner(&["plan", "p.toml", "--memory", "8MiB"]).exits(2).stderr;
    assert!(refused.contains("preparing: matrices"), "{refused}");
    let least = least(&refused);
    let peak = peak(&room, least);
    assert!(peak <= least << 20, "{peak} bytes of {least} MiB");
    // Nor much less than it was told: the formula is about this.
    assert!(peak * 2 > least << 20, "{peak} bytes of {least} MiB");
}

#[cfg(target_os = "linux")]
#[test]
fn a_check_keeps_to_the_least_it_asks_for() {
    let (n, d) = (60_000, 16);
    let mut draw = Draw(11);
    let rows = Rows {
        vectors: (0..n).map(|_| (0..d).map(|_| draw.unit()).collect()).collect(),
        labels: (0..n).map(|_| Some(format!("class-{}", draw.below(6_000)))).collect(),
        teams: vec![None; n],
    };
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    drop(rows);
    room.run("out", &format!("{STORE}mine.bands = {{ any = 16 }}\n"));
    let refused = room.miner(&["verify", "out", "--memory", "8MiB"]).exits(2).stderr;
    assert!(refused.contains("this job needs at least"), "{refused}");
    let least = least(&refused);
    let memory = format!("{least}MiB");
    let mut child =
        room.command(&["verify", "out", "--memory", &memory]).stdout(std::process::Stdio::null()).spawn().unwrap();
    let (status, mut peak) = (format!("/proc/{}/status", child.id()), 0);
    let verdict = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        peak = peak.max(line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) << 10);
        if let Some(verdict) = child.try_wait().unwrap() {
            break verdict;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    };
    assert!(verdict.success(), "{verdict}");
    assert!(peak <= least << 20, "{peak} bytes of {least} MiB");
    assert!(peak * 5 > least << 20, "{peak} bytes of {least} MiB: the formula is about this");
}
