//! Reading on many threads: what it gives and what it refuses are those of reading row after row.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Builder, ListBuilder, RecordBatch, StringArray};
use arrow::datatypes::{DataType, UInt64Type};
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::ParquetMetaData;
use tempfile::TempDir;

use super::*;
use crate::kernel::Metric;

/// Rows of a file: three units of it, where row groups allow.
const ROWS: usize = 170_000;

/// A row, and what is wrong with it by itself.
#[derive(Clone)]
struct Dirty {
    id: Option<String>,
    vector: Option<Vec<Option<f64>>>,
    label: String,
    flaw: Option<&'static str>,
}

/// Row `row` of file `file`: few are bad, and each kind of bad ones is in every unit.
fn dirty(file: usize, row: usize) -> Dirty {
    let id = Some(format!("{file}-{row}"));
    let good = vec![Some(1.0 + (row % 13) as f64), Some((row % 7) as f64 - 3.0)];
    let label = format!("class {}", (row * 31 + file) % 97);
    let row_of = |id, vector, flaw| Dirty { id, vector, label: label.clone(), flaw };
    match row % 9_973 {
        // The first row of all has another width, and is bad for another reason.
        0 => row_of(id, Some(vec![Some(0.0); 3]), Some("zero vector")),
        17 => row_of(None, Some(vec![Some(1.0); 3]), Some("null id")),
        // Good but for an id of an earlier unit or file.
        5_000 if row > 9_973 => row_of(Some(format!("0-{}", row % 9_973 + 1)), Some(good), Some("repeated id")),
        // The first of these two is bad, so the second is not repeated.
        23 => row_of(Some(format!("{file}-twice-{row}")), None, Some("null vector")),
        24 => row_of(Some(format!("{file}-twice-{}", row - 1)), Some(good), None),
        1_000 => row_of(id, Some(vec![]), Some("empty vector")),
        2_000 => row_of(id, Some(vec![Some(1.0); 3]), Some("ragged vector")),
        // Width goes before what is in it.
        2_001 => row_of(id, Some(vec![Some(f64::NAN)]), Some("ragged vector")),
        3_000 => row_of(id, Some(vec![Some(1.0), None]), Some("null in a vector")),
        4_000 => row_of(id, Some(vec![Some(1.0), Some(f64::INFINITY)]), Some("NaN or infinity")),
        6_000 => row_of(id, Some(vec![Some(1e39), Some(1.0)]), Some("value beyond f32")),
        7_000 => row_of(id, Some(vec![Some(0.0), Some(0.0)]), Some("zero vector")),
        _ => row_of(id, Some(good), None),
    }
}

fn batch(file: usize, rows: std::ops::Range<usize>) -> RecordBatch {
    let (mut ids, mut labels, mut vectors) = (Vec::new(), Vec::new(), ListBuilder::new(Float64Builder::new()));
    for Dirty { id, vector, label, .. } in rows.map(|row| dirty(file, row)) {
        ids.push(id);
        labels.push(label);
        vectors.append_option(vector);
    }
    let columns: [(_, ArrayRef); 3] = [
        ("id", Arc::new(StringArray::from(ids))),
        ("embedding", Arc::new(vectors.finish())),
        ("label", Arc::new(StringArray::from(labels))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

/// Writes a file in row groups of these sizes, over and over.
fn write(path: &Path, file: usize, sizes: &[usize]) -> ParquetMetaData {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let schema = batch(file, 0..1).schema();
    let writer = ArrowWriter::try_new(File::create(path).unwrap(), schema.clone(), None).unwrap();
    let (mut writer, groups) = writer.into_serialized_writer().unwrap();
    let (mut begin, mut ordinal) = (0, 0);
    while begin < ROWS {
        let end = ROWS.min(begin + sizes[ordinal % sizes.len()]);
        let mut columns = groups.create_column_writers(ordinal).unwrap();
        let rows = batch(file, begin..end);
        for ((writer, column), field) in columns.iter_mut().zip(rows.columns()).zip(schema.fields()) {
            for leaf in parquet::arrow::arrow_writer::compute_leaves(field, column).unwrap() {
                writer.write(&leaf).unwrap();
            }
        }
        let mut group = writer.next_row_group().unwrap();
        for column in columns {
            column.close().unwrap().append_to_row_group(&mut group).unwrap();
        }
        group.close().unwrap();
        (begin, ordinal) = (end, ordinal + 1);
    }
    writer.close().unwrap()
}

/// Two files in partition folders.
fn store(dir: &Path, sizes: &[usize]) -> [ParquetMetaData; 2] {
    [0, 1].map(|file| write(&dir.join(format!("half={file}/x.parquet")), file, sizes))
}

fn params(path: &Path, bad_rows: BadRows) -> Params {
    Params {
        section: Section::Store,
        path: path.to_owned(),
        id: Some("id".into()),
        embedding: "embedding".into(),
        label: Some("label".into()),
        filter: Some("label <> 'class 5'".into()),
        groups: vec![("half".into(), "half".into())],
        carry: vec!["label".into()],
        bad_rows,
        metric: Metric::Cosine,
        fitting: Fitting::default(),
    }
}

/// Prepares on so many threads with so much room, as a run does.
fn prepare_on(threads: usize, room: u64, params: &Params, dir: &Path) -> Result<(), String> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).build().unwrap();
    pool.install(|| {
        runtime.block_on(async {
            let surveys = survey(params).await.map_err(|error| error.to_string())?;
            prepare(params, &surveys, dir, room, &|_| ()).await.map_err(|error| error.to_string())
        })
    })
}

/// One thread with no room reads row after row.
const PACES: [(usize, u64); 5] = [(1, 0), (2, 0), (2, u64::MAX), (8, u64::MAX), (8, 40 << 20)];

/// The files of a prepared store but for its header, which names what it was made of.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let files = files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()));
    files.filter(|(name, _)| name != layout::HEADER).collect()
}

/// How rows are cut into groups: all in one, several units, more of them with empty groups between, and many in a unit.
const LAYOUTS: [&[usize]; 4] = [&[ROWS], &[70_000], &[66_000, 0, 1, 20_000], &[9_001]];

#[test]
fn no_byte_depends_on_threads_memory_or_row_groups() {
    let dir = TempDir::new().unwrap();
    let mut expected = None;
    for (layout, sizes) in LAYOUTS.iter().enumerate() {
        let path = dir.path().join(format!("in-{layout}"));
        store(&path, sizes);
        for (threads, room) in PACES {
            let out = dir.path().join("out");
            prepare_on(threads, room, &params(&path, BadRows::Skip), &out).unwrap();
            let found = files(&out);
            let expected = expected.get_or_insert_with(|| {
                check_against_rows(&out);
                found.clone()
            });
            for (name, bytes) in expected {
                assert!(found[name] == *bytes, "{name}, {sizes:?}, {threads} threads, {room} bytes");
            }
        }
    }
}

/// Holds a prepared store against its rows, looked at one after the other.
fn check_against_rows(dir: &Path) {
    let prepared = Prepared::open(dir).unwrap();
    let (mut seen, mut kept, mut rejected) = (HashMap::new(), Vec::new(), Vec::new());
    for (source, (file, row)) in (0..2).flat_map(|file| (0..ROWS).map(move |row| (file, row))).enumerate() {
        let Dirty { id, label, flaw, .. } = dirty(file, row);
        if label == "class 5" {
            continue;
        }
        let first = id.as_ref().and_then(|id| seen.get(id)).copied();
        assert!(first.is_none() || flaw == Some("repeated id"), "{file}, {row}");
        match flaw {
            // Where `where` has left out the first, there is none to repeat.
            Some(flaw) if flaw != "repeated id" || first.is_some() => rejected.push((source as u64, flaw)),
            _ => {
                kept.push(source as u64);
                seen.extend(id.map(|id| (id, source)));
            }
        }
    }
    assert_eq!(prepared.source_rows(), kept);
    let table = prepared.rejected();
    let places = table.column_by_name("source_row").unwrap().as_primitive::<UInt64Type>().values().to_vec();
    assert_eq!(places, rejected.iter().map(|(source, _)| *source).collect::<Vec<_>>());
    assert!(rejected.iter().any(|(_, flaw)| *flaw == "repeated id"));
    assert_eq!(prepared.dims(), 2, "that of the first good vector");
    let files: Vec<_> = strings(table.column_by_name("file").unwrap());
    assert!(files[0] == "half=0/x.parquet" && files.last().unwrap() == "half=1/x.parquet");
    for (row, source) in kept.iter().enumerate().step_by(997) {
        let (file, row_of_file) = (*source as usize / ROWS, *source as usize % ROWS);
        let vector: Vec<f64> = dirty(file, row_of_file).vector.unwrap().into_iter().flatten().collect();
        let norm = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        let expected: Vec<f32> = vector.iter().map(|value| (value / norm) as f32).collect();
        assert_eq!(prepared.vector(Row(row as u32)), expected, "{source}");
    }
}

fn strings(column: &ArrayRef) -> Vec<String> {
    let column = arrow::compute::cast(column, &DataType::Utf8).unwrap();
    column.as_string::<i32>().iter().map(|value| value.unwrap().to_owned()).collect()
}

#[test]
fn what_is_refused_is_told_of_the_first_rows() {
    let dir = TempDir::new().unwrap();
    let mut expected = None;
    for (layout, sizes) in LAYOUTS.iter().enumerate() {
        let path = dir.path().join("in");
        store(&path, sizes);
        for (threads, room) in PACES {
            let told = prepare_on(threads, room, &params(&path, BadRows::Error), &dir.path().join("out")).unwrap_err();
            assert!(!dir.path().join("out").exists());
            assert_eq!(&told, expected.get_or_insert_with(|| told.clone()), "layout {layout}, {threads} threads");
        }
    }
    let told = expected.unwrap();
    let places =
        ["x.parquet, row 0, id 0-0: the vector is zero", "row 17: the id is null", "row 23, id 0-twice-23: the"];
    assert!(places.iter().all(|place| told.contains(place)), "{told}");
}

#[test]
fn of_several_damages_the_first_is_told() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("in");
    let footers = store(&path, &[70_000]);
    let damage = |file: usize, group: usize| {
        let path = path.join(format!("half={file}/x.parquet"));
        let mut bytes = fs::read(&path).unwrap();
        let (begin, length) = footers[file].row_group(group).column(0).byte_range();
        // Texts say that they are longer than their page.
        bytes[(begin + length / 2) as usize..][..2_000].fill(0xff);
        fs::write(path, bytes).unwrap();
    };
    let refused =
        |threads, room| prepare_on(threads, room, &params(&path, BadRows::Skip), &dir.path().join("out")).unwrap_err();
    for (file, group) in [(1, 0), (0, 2), (0, 1)] {
        damage(file, group);
        let expected = refused(1, 0);
        assert!(expected.contains(&format!("half={file}/x.parquet: damaged at row ")), "{expected}");
        let row: usize = expected.split_once("at row ").unwrap().1.split_once(' ').unwrap().0.parse().unwrap();
        assert_eq!(row / 70_000, group, "{expected}");
        for (threads, room) in PACES {
            assert_eq!(refused(threads, room), expected, "{threads} threads, {room} bytes");
        }
    }
}
