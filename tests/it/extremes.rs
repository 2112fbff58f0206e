//! Honest data at its ends: the smallest, the widest and the flattest stores are mined, and verified, like any other.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int8Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, GzipLevel};
use parquet::file::properties::WriterProperties;
use serde_json::Value;

use crate::support::{Draw, Room, Rows, STORE, triplets};

/// A store of so many rows in two classes, taking turns.
fn store(n: usize, mut vector: impl FnMut(usize) -> Vec<f32>) -> Rows {
    Rows {
        vectors: (0..n).map(&mut vector).collect(),
        labels: (0..n).map(|row| Some(["a", "b"][row % 2].to_owned())).collect(),
        teams: vec![None; n],
    }
}

#[test]
fn extreme_vectors_are_mined_and_verified() {
    let mut draw = Draw(3);
    let cases = [
        ("one dimension", store(12, |row| vec![row as f32 + 1.0])),
        ("very many dimensions", store(6, |_| (0..65_536).map(|_| draw.unit()).collect())),
        ("all equal", store(40, |_| vec![0.5, -0.25, 0.125])),
        ("denormal", store(20, |row| vec![f32::from_bits(1 + row as u32), f32::from_bits(9), 0.0])),
        ("huge", store(20, |row| vec![1e18 * (row as f32 + 1.0), -3e17])),
        ("tiny and huge", store(20, |row| if row < 10 { vec![1e-30, 1e-38] } else { vec![1e15, -1e15] })),
        ("three rows", store(3, |row| vec![1.0, row as f32])),
    ];
    for (name, rows) in cases {
        for metric in ["cosine", "euclidean", "sqeuclidean", "dot"] {
            let room = Room::new();
            rows.write(&room.path("store.parquet"));
            let margin = "mine.margin = 1e-3\nmine.bands = { any = 2 }\n";
            let asked =
                format!("{STORE}{margin}mine.positives.pick = 'all'\nmine.metric = '{metric}'\noutput.path = 'out'\n");
            room.write("p.toml", &asked);
            let ran = room.miner(&["run", "p.toml", "--quiet"]);
            if ran.status == Some(3) {
                // Where squares leave f32 a store is refused, in words.
                assert!(name.contains("huge") && metric != "cosine", "{name}, {metric}: {}", ran.stderr);
                assert!(ran.stderr.contains("scale the vectors down"), "{name}, {metric}: {}", ran.stderr);
                continue;
            }
            ran.exits(0);
            assert!(!triplets(&room.path("out")).is_empty(), "{name}, {metric}");
            room.miner(&["verify", "out", "--full"]).exits(0);
        }
    }
}

#[test]
fn very_many_columns_are_no_burden() {
    let room = Room::new();
    let rows = store(40, |row| vec![row as f32 + 1.0, 1.0]);
    rows.write(&room.path("narrow.parquet"));
    let batch = crate::support::batches(&room.path("narrow.parquet")).remove(0);
    let mut columns: Vec<(String, ArrayRef)> =
        batch.schema().fields().iter().map(|field| field.name().clone()).zip(batch.columns().iter().cloned()).collect();
    let filler: ArrayRef = Arc::new(Int8Array::from(vec![1i8; 40]));
    columns.extend((0..10_000).map(|column| (format!("c{column}"), filler.clone())));
    let wide = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_dictionary_enabled(false).build();
    let file = File::create(room.path("store.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, wide.schema(), Some(properties)).unwrap();
    writer.write(&wide).unwrap();
    writer.close().unwrap();
    room.write("p.toml", &format!("{STORE}mine.bands = {{ any = 1 }}\noutput.path = 'out'\n"));
    let ran = room.miner(&["run", "p.toml", "--quiet", "--json", "--memory", "256MiB"]).exits(0);
    let peak = serde_json::from_str::<Value>(&ran.stdout).unwrap()["peak_memory"].as_u64().unwrap_or(0);
    assert!(peak < 256 << 20, "{peak} bytes");
    assert_eq!(triplets(&room.path("out")).len(), 40);
}

/// Kilobytes of gzip that are a page of 96 MiB.
#[test]
fn a_page_that_does_not_fit_is_refused_before_it_is_unpacked() {
    let room = Room::new();
    let rows = store(4, |row| vec![row as f32 + 1.0, 1.0]);
    rows.write(&room.path("narrow.parquet"));
    let batch = crate::support::batches(&room.path("narrow.parquet")).remove(0);
    let mut columns: Vec<(String, ArrayRef)> =
        batch.schema().fields().iter().map(|field| field.name().clone()).zip(batch.columns().iter().cloned()).collect();
    let long = "a".repeat(96 << 20);
    columns.push(("text".into(), Arc::new(arrow::array::StringArray::from(vec!["", "", "", long.as_str()]))));
    drop(long);
    let wide = RecordBatch::try_from_iter(columns).unwrap();
    let gzip = Compression::GZIP(GzipLevel::default());
    let properties = WriterProperties::builder().set_dictionary_enabled(false).set_compression(gzip).build();
    let file = File::create(room.path("store.parquet")).unwrap();
    let mut writer = ArrowWriter::try_new(file, wide.schema(), Some(properties)).unwrap();
    writer.write(&wide).unwrap();
    writer.close().unwrap();
    let asked = format!("{STORE}store.carry = ['text']\nmine.bands = {{ any = 1 }}\noutput.path = 'out'\n");
    room.write("p.toml", &asked);
    let told = room.miner(&["run", "p.toml", "--quiet", "--memory", "96MiB"]).exits(2).stderr;
    assert!(told.contains("this job needs at least"), "{told}");
    assert!(std::fs::metadata(room.path("store.parquet")).unwrap().len() < 1 << 20);
    room.miner(&["plan", "p.toml"]).exits(0);
}

#[test]
fn labels_that_only_look_the_same_are_hinted_at() {
    let room = Room::new();
    let mut rows = store(40, |row| vec![row as f32 + 1.0, 1.0]);
    rows.labels[7] = Some("b ".to_owned());
    rows.labels[9] = Some("b ".to_owned());
    rows.write(&room.path("store.parquet"));
    room.write("p.toml", &format!("{STORE}mine.bands = {{ any = 1 }}\noutput.path = 'out'\n"));
    let hint = "1 label differs from another only by blanks or Unicode form, as \"b\" and \"b \"";
    for args in
        [&["plan", "p.toml"][..], &["run", "p.toml", "--quiet"], &["report", "out"], &["inspect", "store.parquet"]]
    {
        let told = room.miner(args).exits(0).stdout;
        assert!(told.contains(hint), "{args:?}\n{told}");
    }
}

#[test]
fn long_chains_of_operators_are_refused_and_long_lists_are_not() {
    let room = Room::new();
    store(40, |row| vec![row as f32 + 1.0, 1.0]).write(&room.path("store.parquet"));
    let write = |condition: &str| {
        room.write("p.toml", &format!("{STORE}store.where = \"{condition}\"\nmine.bands = {{ any = 1 }}\n"));
    };
    for chain in [vec!["id = 1"; 50_000].join(" or "), format!("id {} > 0", "+ 1 ".repeat(50_000))] {
        write(&chain);
        let told = room.miner(&["plan", "p.toml"]).exits(2).stderr;
        assert!(told.contains("operators, and 1024 at most are read"), "{told}");
    }
    write(&vec!["id >= 0"; 500].join(" or "));
    room.miner(&["plan", "p.toml"]).exits(0);
    write(&format!("id not in ({})", (100..9_000).map(|id| id.to_string()).collect::<Vec<_>>().join(", ")));
    room.miner(&["plan", "p.toml"]).exits(0);
    let deep = format!("{}=1", vec!["a"; 10_000].join("."));
    let told = room.miner(&["plan", "p.toml", "--set", &deep]).exits(2).stderr;
    assert!(told.contains("a key of 10000 parts"), "{told}");
}
