//! Fed with rubbish the program says so: status 1, 2 or 3 and words, never a panic, an abort or a hang. Samples are damaged in
//! ways that a seed decides, and what once went wrong lies in `fuzz/corpus` and is tried on every run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Draw, Ran, Room, copy, root};

/// No sample takes a tenth of a second unless it hangs; other work on the machine may.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the program on something damaged; gives its status and what it complained of.
pub fn feed(room: &Room, args: &[&str], what: &str) -> Ran {
    let (out, err) = (room.path("stdout"), room.path("stderr"));
    let file = |path: &Path| Stdio::from(fs::File::create(path).unwrap());
    let mut child = room.command(args).stdout(file(&out)).stderr(file(&err)).spawn().unwrap();
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begin.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{what}: {args:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let ran = Ran { status: status.code(), stdout: text(&out), stderr: text(&err) };
    assert!(matches!(ran.status, Some(0..=3)), "{what}: {args:?}: {status}\n{}", ran.stderr);
    assert!(!ran.stderr.contains("this is a bug"), "{what}: {args:?}\n{}", ran.stderr);
    let told = ran.stderr.contains("error: ") || ran.stdout.contains("NOT SOUND");
    assert!(ran.status == Some(0) || told, "{what}: {args:?}: status {:?} and no word why", ran.status);
    ran
}

/// What a seed makes of a sample: a few bytes changed, a piece lost, doubled, zeroed or taken from another sample.
fn damaged(samples: &[Vec<u8>], draw: &mut Draw) -> Vec<u8> {
    let mut bytes = draw.one_of(samples).clone();
    for _ in 0..1 + draw.below(3) {
        if bytes.is_empty() {
            break;
        }
        let at = |draw: &mut Draw, bytes: &[u8]| draw.below(bytes.len() as u64) as usize;
        let start = at(draw, &bytes);
        let end = (start + 1 + draw.below(64) as usize).min(bytes.len());
        match draw.below(8) {
            0 | 1 => bytes[start] ^= 1 << draw.below(8),
            2 => bytes[start] = *draw.one_of(&[0, 1, 0x7f, 0x80, 0xff]),
            3 => bytes.truncate(start),
            4 => drop(bytes.drain(start..end)),
            5 => bytes[start..end].fill(*draw.one_of(&[0, 0xff])),
            6 => {
                let piece = bytes[start..end].to_vec();
                let place = at(draw, &bytes);
                bytes.splice(place..place, piece);
            }
            _ => {
                let other = draw.one_of(samples);
                let from = at(draw, other);
                let piece = other[from..(from + end - start).min(other.len())].to_vec();
                bytes.splice(start..end, piece);
            }
        }
    }
    bytes
}

/// The files of a folder of `fuzz/corpus`, by name.
fn corpus(name: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(root().join("fuzz/corpus").join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Feeds the corpus of a name, then so many damaged samples.
fn feed_all(name: &str, samples: &[Vec<u8>], count: u64, mut feed: impl FnMut(&[u8], &str)) {
    for file in corpus(name) {
        feed(&fs::read(&file).unwrap(), &file.display().to_string());
    }
    assert!(!samples.is_empty());
    for seed in 0..count {
        feed(&damaged(samples, &mut Draw(seed)), &format!("{name}, seed {seed}"));
    }
}

fn read_all(files: impl IntoIterator<Item = PathBuf>) -> Vec<Vec<u8>> {
    files.into_iter().map(|file| fs::read(file).unwrap()).collect()
}

const STORE: &str = "store.path = 'x.parquet'\nstore.id = 'id'\nstore.embedding = 'embedding'\nstore.label = 'label'\n\
                     mine.bands = { any = 1 }\nmine.metric = 'dot'\n";

#[test]
fn a_damaged_store_is_refused_or_read() {
    let room = Room::new();
    room.write("p.toml", &format!("{STORE}store.bad_rows = 'skip'\noutput.path = 'out'\noutput.overwrite = true\n"));
    let bad = root().join("tests/bad_data/stores");
    let odd = root().join("tests/odd_data/stores");
    let samples = read_all([
        bad.join("good.parquet"),
        bad.join("many-flaws.parquet"),
        odd.join("codec-none.parquet"),
        odd.join("codec-snappy.parquet"),
        odd.join("codec-gzip.parquet"),
        odd.join("codec-brotli.parquet"),
        odd.join("codec-lz4.parquet"),
        odd.join("byte-stream-split.parquet"),
        odd.join("label-dictionary.parquet"),
        odd.join("large-f64.parquet"),
        odd.join("fixed-f16.parquet"),
    ]);
    let mut refused = 0;
    feed_all("store", &samples, 400, |bytes, what| {
        fs::write(room.path("x.parquet"), bytes).unwrap();
        refused += u32::from(feed(&room, &["run", "p.toml", "--quiet", "--threads", "1"], what).status == Some(3));
        if bytes.len() % 4 == 0 {
            feed(&room, &["inspect", "x.parquet"], what);
        }
    });
    assert!(refused > 200, "{refused}");
}

#[test]
fn a_damaged_pipeline_is_refused_or_understood() {
    let room = Room::new();
    let pipelines = fs::read_dir(root().join("pipelines")).unwrap().map(|entry| entry.unwrap().path());
    let mut pipelines: Vec<PathBuf> = pipelines.filter(|path| path.is_file()).collect();
    pipelines.sort();
    let mut refused = 0;
    feed_all("pipeline", &read_all(pipelines), 400, |bytes, what| {
        fs::write(room.path("p.toml"), bytes).unwrap();
        refused += u32::from(feed(&room, &["plan", "p.toml"], what).status == Some(2));
    });
    assert!(refused > 200, "{refused}");
}

#[test]
fn a_damaged_output_is_found_out() {
    let room = Room::new();
    copy(&root().join("tests/bad_data/stores"), &room.path("stores"));
    for format in ["parquet", "arrow", "npy"] {
        let text = STORE.replace("x.parquet", "stores/good.parquet");
        room.run(&format!("{format}-out"), &format!("{text}output.format = '{format}'\n"));
    }
    let samples = read_all(["parquet-out/manifest.json", "arrow-out/manifest.json"].map(|name| room.path(name)));
    copy(&room.path("parquet-out"), &room.path("out"));
    let mut refused = 0;
    feed_all("manifest", &samples, 300, |bytes, what| {
        fs::write(room.path("out/manifest.json"), bytes).unwrap();
        refused += u32::from(feed(&room, &["verify", "out"], what).status == Some(3));
    });
    assert!(refused > 150, "{refused}");
    let samples = read_all([room.path("parquet-out/report.json")]);
    feed_all("report", &samples, 100, |bytes, what| {
        fs::write(room.path("out/report.json"), bytes).unwrap();
        feed(&room, &["report", "out"], what);
        feed(&room, &["report", "out", "--html"], what);
    });
    // Parts and side files under checksums made again, as a forger would.
    for (format, name) in [
        ("parquet", "triplets/part-00000.parquet"),
        ("parquet", "unmined.parquet"),
        ("arrow", "triplets/part-00000.arrow"),
        ("npy", "triplets/part-00000.npy"),
    ] {
        let whole = room.path(&format!("{format}-out"));
        let manifest = crate::support::manifest(&whole);
        let mut listed = ["parts", "files"].iter().flat_map(|list| manifest[list].as_array().unwrap());
        let rows = listed.find(|listed| listed["path"] == name).unwrap()["rows"].as_u64().unwrap();
        let samples = read_all([whole.join(name)]);
        let forged = room.path("forged");
        for seed in 0..75 {
            copy(&whole, &forged);
            fs::write(forged.join(name), damaged(&samples, &mut Draw(seed))).unwrap();
            crate::tamper::reseal(&forged, name, rows as usize);
            feed(&room, &["verify", "forged"], &format!("{format} {name}, seed {seed}"));
        }
    }
}
