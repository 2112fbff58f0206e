//! `report.html`: valid, alone, harmless, and saying what the report and the triplets say.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::oracle::python;
use crate::support::{Line, Room, Rows, STORE, copy, manifest, root, sample, triplets};

/// The tables (caption → rows of cells) and the text of pages that were found to be sound.
#[track_caller]
fn checked(outputs: &[PathBuf]) -> Vec<Value> {
    let mut command = Command::new(python());
    command.arg("-B").arg(root().join("tests/page/check.py")).args(outputs.iter().map(|out| out.join("report.html")));
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{outputs:?}: {}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).unwrap()
}

fn report(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap()
}

fn counts(histogram: &Value, name: &str) -> Vec<u64> {
    let series = histogram["series"].as_array().unwrap();
    let series = series.iter().find(|series| series["name"] == name).unwrap();
    series["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect()
}

/// Values by bin, as the report counts them: lower edges are open.
fn binned(histogram: &Value, values: impl Iterator<Item = f64>) -> Vec<u64> {
    let (width, first) = (histogram["width"].as_f64().unwrap(), histogram["first"].as_i64().unwrap());
    let mut counts = vec![0; histogram["series"][0]["counts"].as_array().unwrap().len()];
    values.for_each(|value| counts[((value / width).ceil() as i64 - 1 - first) as usize] += 1);
    counts
}

#[test]
fn every_kind_of_run_has_a_page_that_stands_alone() {
    let room = Room::new();
    for folder in ["pipelines", "sample_data"] {
        copy(&root().join(folder), &room.path(folder));
    }
    let names = [
        "quickstart",
        "text-families",
        "text-tuples",
        "mixed-bands",
        "faces",
        "medical-images",
        "several-labels",
        "question-passage-candidates",
        "question-passage-scored",
        "balanced",
        "batches",
        "cells",
        "whitened",
    ];
    let run = |name: &&str| {
        room.miner(&[
            "run",
            "--quiet",
            &format!("pipelines/{name}.toml"),
            "--set",
            &format!("output.path=../pages/{name}"),
        ])
        .exits(0);
        room.path("pages").join(name)
    };
    let outputs: Vec<PathBuf> = names.iter().map(run).collect();
    for (out, page) in outputs.iter().zip(checked(&outputs)) {
        let (text, report) = (page["text"].as_str().unwrap(), report(out));
        assert!(text.contains(report["name"].as_str().unwrap()), "{}", out.display());
        let has = |caption: &str| page["tables"].as_object().unwrap().keys().any(|found| found.starts_with(caption));
        assert!(has("Triplets by band") && has("The most used negatives"), "{}", out.display());
        assert_eq!(has("The largest classes"), report["pipeline"]["pairs"].is_null(), "{}", out.display());
        assert_eq!(has("Measured on"), report["recall"].is_object(), "{}", out.display());
        let size = fs::metadata(out.join("report.html")).unwrap().len();
        assert!(size < 400_000, "{}: {size} bytes", out.display());
    }
}

fn pipeline() -> String {
    let store = sample("glosses.parquet");
    format!(
        "store = {{ path = '{store}', id = 'id', embedding = 'embedding', label = 'label', carry = ['text'] }}\n\
         [mine]\nbands = {{ hard = 1, semi-hard = 2 }}\nfallback = ['easy']\nnegatives = {{ skip_nearest = 1 }}\n[output]\n\
         path = 'out'\n"
    )
}

#[test]
fn its_figures_are_those_of_the_triplets() {
    let room = Room::new();
    room.write("p.toml", &pipeline());
    room.miner(&["run", "--quiet", "p.toml"]).exits(0);
    let out = room.path("out");
    let (lines, report, sealed) = (triplets(&out), report(&out), manifest(&out));
    let figures = &report["figures"];
    assert_eq!((&figures["metric"], &figures["margin"]), (&Value::from("cosine"), &Value::from(0.2)));

    let [d_ap, d_an]: [fn(&Line) -> f64; 2] =
        [|line| f32::from_bits(line.d_ap).into(), |line| f32::from_bits(line.d_an).into()];
    let (distances, gaps) = (&figures["distances"], &figures["gaps"]);
    assert_eq!(counts(distances, "positive"), binned(distances, lines.iter().map(d_ap)));
    for band in ["hard", "semi-hard", "easy"] {
        let of_band = || lines.iter().filter(|line| line.band == band);
        assert_eq!(counts(distances, band), binned(distances, of_band().map(d_an)), "{band}");
        assert_eq!(counts(gaps, band), binned(gaps, of_band().map(|line| d_an(line) - d_ap(line))), "{band}");
        assert_eq!(counts(gaps, band).iter().sum::<u64>(), sealed["bands"][band].as_u64().unwrap(), "{band}");
    }
    let fallback = lines.iter().filter(|line| line.fallback).count();
    assert!(fallback > 0 && figures["fallback"] == serde_json::json!([0, 0, fallback]), "{}", figures["fallback"]);

    let mut uses: BTreeMap<u64, u64> = BTreeMap::new();
    lines.iter().for_each(|line| *uses.entry(line.negative).or_default() += 1);
    let hubs = &figures["hubs"];
    assert_eq!(hubs["most"].as_u64(), uses.values().max().copied());
    assert_eq!(hubs["unused"].as_u64().unwrap(), 1_320 - uses.len() as u64);
    assert_eq!(hubs["top"][0]["uses"], hubs["most"]);
    assert!((hubs["mean"].as_f64().unwrap() - lines.len() as f64 / 1_320.0).abs() < 1e-12);
    let (mean, n) = (hubs["mean"].as_f64().unwrap(), 1_320.0);
    let moment = |power: i32| {
        let unused = (n - uses.len() as f64) * (-mean).powi(power);
        (uses.values().map(|&count| (count as f64 - mean).powi(power)).sum::<f64>() + unused) / n
    };
    assert!((hubs["skewness"].as_f64().unwrap() - moment(3) / moment(2).powf(1.5)).abs() < 1e-9);

    let active = lines.iter().filter(|line| line.band != "easy").count();
    assert_eq!(figures["confusion"]["active"].as_u64().unwrap(), active as u64);
    assert_eq!(figures["confusion"]["slack"], 0);
    assert_eq!(figures["classes"]["triplets"]["total"].as_u64().unwrap(), lines.len() as u64);
    assert_eq!(figures["classes"]["before"]["total"], 1_320);
    let hardest = lines.iter().map(|line| d_an(line) - d_ap(line)).fold(f64::INFINITY, f64::min);
    let first = &figures["hardest"][0];
    assert_eq!(first["d_an"].as_f64().unwrap() as f32 - first["d_ap"].as_f64().unwrap() as f32, hardest as f32);
    assert!(first["anchor"]["carried"][0][1].as_str().unwrap().len() > 3, "{first}");

    let page = &checked(std::slice::from_ref(&out))[0];
    let table = |caption: &str| {
        let tables = page["tables"].as_object().unwrap();
        tables.iter().find(|(found, _)| found.starts_with(caption)).unwrap_or_else(|| panic!("{caption}")).1.clone()
    };
    fn cell(number: u64) -> Value {
        triplet_miner::words::thousands(number).into()
    }
    let bands = table("Triplets by band");
    for (row, band) in bands.as_array().unwrap()[1..].iter().zip(["hard", "semi-hard", "easy"]) {
        let total = sealed["bands"][band].as_u64().unwrap();
        let by_fallback = if band == "easy" { fallback as u64 } else { 0 };
        assert_eq!((&row[0], &row[2], &row[4]), (&band.into(), &cell(total - by_fallback), &cell(by_fallback)));
    }
    assert_eq!(table("The most used negatives")[1][1], cell(*uses.values().max().unwrap()));
    assert_eq!(table("Evenness over 66 classes")[3][1], cell(lines.len() as u64));
}

#[test]
fn what_the_data_says_is_shown_and_does_nothing() {
    let hostile = [
        "<script>alert(1)</script>",
        "</style></bdi><img src=x onerror=alert(1)>",
        "\u{202e}gpj.exe\u{2066}",
        "\" onmouseover=\"alert(1)",
        "{{7*7}}<!--",
        "nul\u{0}bel\u{7}",
    ];
    let room = Room::new();
    let vectors = (0..60).map(|i| vec![1.0, (i % 7) as f32 * 0.1, (i % 11) as f32 * 0.1]).collect();
    let texts = |shift: usize| (0..60).map(|i| Some(hostile[(i + shift) % 6].to_owned())).collect();
    Rows { vectors, labels: texts(0), teams: texts(1) }.write(&room.path("store.parquet"));
    let name = r#"name = "<script>alert(2)</script>\u202e&""#;
    let out = room.run("out", &format!("{name}\n{STORE}store.carry = ['team']\nmine.bands = {{ any = 3 }}\n"));
    let page = &checked(std::slice::from_ref(&out))[0];
    let html = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(!html.to_lowercase().contains("<script"));
    assert!(!html.chars().any(|letter| matches!(letter, '\u{202e}' | '\u{2066}' | '\u{0}' | '\u{7}')));
    let text = page["text"].as_str().unwrap();
    for shown in [hostile[0], hostile[1], r"\u{202e}gpj.exe\u{2066}", hostile[3], hostile[4], r"nul\u{0}bel\u{7}"] {
        assert!(text.contains(shown), "{shown}");
    }
}

#[test]
fn it_is_made_again_to_the_byte_and_figures_do_not_depend_on_threads() {
    let room = Room::new();
    room.write("p.toml", &pipeline());
    let told = room.miner(&["run", "--quiet", "p.toml", "--threads", "1"]).exits(0).stdout;
    let path = room.path("out/report.html");
    assert!(told.contains("page        ") && told.contains("report.html"), "{told}");
    let (page, figures) = (fs::read(&path).unwrap(), report(&room.path("out"))["figures"].clone());
    fs::remove_file(&path).unwrap();
    let told = room.miner(&["report", "out", "--html"]).exits(0).stdout;
    assert_eq!(told.trim(), "out/report.html");
    assert!(fs::read(&path).unwrap() == page);
    room.miner(&["report", "out", "--html", "--json"]).exits(2);
    room.miner(&["report", "nowhere", "--html"]).exits(3);
    room.miner(&["run", "--quiet", "p.toml", "--threads", "2", "--set", "output.path=two"]).exits(0);
    assert_eq!(report(&room.path("two"))["figures"], figures);
    let shuffled = ["--set", "output.path=three", "--set", "output.order=random"];
    room.miner(&[&["run", "--quiet", "p.toml"], &shuffled[..]].concat()).exits(0);
    assert_eq!(report(&room.path("three"))["figures"], figures);
}

#[test]
fn a_run_without_triplets_and_a_report_without_figures_have_pages_too() {
    let room = Room::new();
    room.write("p.toml", &pipeline());
    room.miner(&["run", "--quiet", "p.toml", "--set", "mine={ bands = { semi-hard = 1 }, margin = 1e-9 }"]).exits(0);
    let out = room.path("out");
    assert_eq!(report(&out)["triplets"], 0);
    checked(std::slice::from_ref(&out));
    let mut old = report(&out);
    for key in ["figures", "pipeline", "estimates", "peak_memory"] {
        old.as_object_mut().unwrap().remove(key);
    }
    fs::write(out.join("report.json"), old.to_string()).unwrap();
    room.miner(&["report", "out", "--html"]).exits(0);
    checked(&[out]);
}
