//! The room as a whole: Parquet in, prepared store or refusal out.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, FixedSizeListArray, Float32Array, Int32Array, ListArray, RecordBatch,
    StringArray, UInt32Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Int32Type};
use futures::executor::block_on;
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;

use super::types::plain;
use super::*;
use crate::kernel::Metric;

pub(super) fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

pub(super) fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.iter().map(|v| (*v != "∅").then_some(*v)).collect::<Vec<_>>()))
}

fn vectors(rows: &[&[f32]]) -> ArrayRef {
    let rows = rows.iter().map(|row| Some(row.iter().map(|&v| Some(v)).collect::<Vec<_>>()));
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
}

pub(super) fn params(path: &Path) -> Params {
    Params {
        section: Section::Store,
        path: path.to_owned(),
        id: Some("id".into()),
        embedding: "embedding".into(),
        label: Some("label".into()),
        filter: None,
        groups: Vec::new(),
        carry: Vec::new(),
        bad_rows: BadRows::Error,
        metric: Metric::Cosine,
        fitting: Fitting::default(),
    }
}

/// Six good rows in classes a, b and null.
pub(super) fn good(path: &Path, ids: &[&str]) {
    let rows: [&[f32]; 6] = [&[3.0, 4.0], &[0.0, 2.0], &[1.0, 0.0], &[5.0, 0.0], &[-1.0, 0.0], &[0.0, -1.0]];
    let number: ArrayRef = Arc::new(Int32Array::from_iter_values(0..6));
    let columns = vec![
        ("id", text(ids)),
        ("embedding", vectors(&rows)),
        ("label", text(&["b", "a", "∅", "a", "b", "a"])),
        ("n", number),
    ];
    write(path, columns);
}

fn prepare_all(params: &Params, dir: &Path) -> Result<Prepared, String> {
    let survey = block_on(survey(params)).map_err(|error| error.to_string())?;
    block_on(prepare(params, &survey, dir, 0, &|_| ())).map_err(|error| error.to_string())?;
    Ok(Prepared::open(dir).unwrap())
}

fn strings(column: &ArrayRef) -> Vec<String> {
    let column = cast(column, &DataType::Utf8).unwrap();
    column.as_string::<i32>().iter().map(|v| v.unwrap_or("∅").to_owned()).collect()
}

#[test]
fn a_store_is_frozen_as_it_is() {
    let dir = TempDir::new().unwrap();
    good(&dir.path().join("in/x.parquet"), &["p", "q", "r", "s", "t", "u"]);
    let params = Params {
        filter: Some("n <> 1".into()),
        groups: vec![("parity".into(), "n % 2 = 0".into()), ("none".into(), "null".into())],
        carry: vec!["n".into(), "label".into()],
        ..params(&dir.path().join("in"))
    };
    let store = prepare_all(&params, &dir.path().join("out")).unwrap();
    assert_eq!((store.rows(), store.dims(), store.metric(), store.classes()), (5, 2, Metric::Cosine, 2));
    assert_eq!(store.vectors(), [0.6, 0.8, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0, -1.0]);
    assert_eq!(store.vector(Row(3)), [-1.0, 0.0]);
    assert!((store.max_norm() - 1.0).abs() < 1e-6);
    assert_eq!(store.labels(), [0, u32::MAX, 1, 0, 1].map(Code));
    assert_eq!(store.members(Code(1)), [Row(2), Row(4)]);
    assert_eq!(strings(store.label_values()), ["b", "a"]);
    assert_eq!(store.group_names(), ["parity", "none"]);
    assert_eq!(store.group(0), [0, 0, 1, 0, 1].map(Code));
    assert_eq!(store.group(1), [u32::MAX; 5].map(Code));
    assert_eq!(store.source_rows(), [0, 2, 3, 4, 5]);
    let rows = [Row(4), Row(0), Row(4)];
    let names: Vec<_> = store.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "n", "label"]);
    assert_eq!(strings(&store.take(0, &rows).unwrap()), ["u", "p", "u"]);
    assert_eq!(strings(&store.take(1, &rows).unwrap()), ["5", "0", "5"]);
    assert_eq!(strings(&store.take(2, &[Row(1)]).unwrap()), ["∅"]);
    assert_eq!(store.rejected().num_rows(), 0);
}

#[test]
fn rows_come_in_file_order_with_partition_folders_as_columns() {
    let dir = TempDir::new().unwrap();
    good(&dir.path().join("in/lang=en [1]%/2.parquet"), &["g", "h", "i", "j", "k", "l"]);
    good(&dir.path().join("in/lang=de/1.parquet"), &["a", "b", "c", "d", "e", "f"]);
    let params = Params { carry: vec!["lang".into()], ..params(&dir.path().join("in")) };
    let files = block_on(survey(&params)).unwrap().store.files;
    assert_eq!(files.iter().map(|file| (file.rows, file.first_row)).collect::<Vec<_>>(), [(6, 0), (6, 6)]);
    let store = prepare_all(&params, &dir.path().join("out")).unwrap();
    assert_eq!(strings(&store.take(0, &[Row(0), Row(5), Row(6), Row(11)]).unwrap()), ["a", "f", "g", "l"]);
    assert_eq!(strings(&store.take(1, &[Row(5), Row(6)]).unwrap()), ["de", "en [1]%"]);
    assert_eq!(store.source_rows(), (0..12).collect::<Vec<u64>>());
}

#[test]
fn ids_and_labels_of_every_type_serve() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.parquet");
    let small: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 1, 2]));
    let rows = vectors(&[&[1.0], &[2.0], &[3.0], &[4.0]]);
    let types = [
        DataType::Int8,
        DataType::UInt64,
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    ];
    for data_type in types {
        let label = cast(&small, &data_type)
            .unwrap_or_else(|_| cast(&cast(&small, &DataType::Utf8).unwrap(), &data_type).unwrap());
        let number: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4]));
        let id = cast(&cast(&number, &DataType::Utf8).unwrap(), &data_type).unwrap();
        write(&path, vec![("id", id), ("embedding", rows.clone()), ("label", label)]);
        let store = prepare_all(&Params { metric: Metric::Dot, ..params(&path) }, &dir.path().join("out")).unwrap();
        assert_eq!(strings(store.label_values()), ["1", "2"], "{data_type}");
        assert_eq!(strings(&store.take(0, &[Row(2)]).unwrap()), ["3"], "{data_type}");
        assert_eq!(store.schema().field(0).data_type(), &plain(&data_type));
        let store =
            prepare_all(&Params { id: None, metric: Metric::Dot, ..params(&path) }, &dir.path().join("rows")).unwrap();
        assert_eq!(strings(&store.take(0, &[Row(2)]).unwrap()), ["2"]);
    }
}

#[test]
fn bad_rows_are_refused_or_skipped() {
    let dir = TempDir::new().unwrap();
    good(&dir.path().join("in/a.parquet"), &["p", "q", "r", "s", "t", "u"]);
    let rows: [&[f32]; 5] = [&[1.0, 1.0], &[1.0], &[f32::NAN, 1.0], &[0.0, 0.0], &[1.0, 2.0]];
    let second = dir.path().join("in/b.parquet");
    write(
        &second,
        vec![("id", text(&["q", "x", "y", "z", "∅"])), ("embedding", vectors(&rows)), ("label", text(&["a"; 5]))],
    );
    let mut params = params(&dir.path().join("in"));
    let refusal = prepare_all(&params, &dir.path().join("out")).err().unwrap();
    for part in [
        "5 of 11 rows cannot be used",
        "NaN or infinity: 1, null id: 1, ragged vector: 1, repeated id: 1, zero vector: 1",
        "b.parquet, row 0, id q: the id is that of",
        "a.parquet, row 1",
        "b.parquet, row 1, id x: the vector has 1 values, others have 2",
        "b.parquet, row 2, id y: element 0 of the vector is NaN",
        "… and 2 more",
        "bad_rows",
    ] {
        assert!(refusal.contains(part), "{part} is not in {refusal}");
    }
    params.bad_rows = BadRows::Skip;
    let store = prepare_all(&params, &dir.path().join("out")).unwrap();
    assert_eq!(store.rows(), 6);
    let rejected = store.rejected();
    let column = |name: &str| strings(rejected.column_by_name(name).unwrap());
    assert_eq!(column("id"), ["q", "x", "y", "z", "∅"]);
    assert_eq!(column("file_row"), ["0", "1", "2", "3", "4"]);
    assert_eq!(column("source_row"), ["6", "7", "8", "9", "10"]);
    assert!(column("reason")[3].contains("zero") && column("file")[0].ends_with("b.parquet"));
}

#[test]
fn useless_stores_are_refused_with_the_reason() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.parquet");
    good(&path, &["p", "q", "r", "s", "t", "u"]);
    let refusal = |change: &dyn Fn(&mut Params)| {
        let mut params = params(&path);
        change(&mut params);
        let refusal = prepare_all(&params, &dir.path().join("out")).err().unwrap();
        // What the census can tell, it tells in the same words.
        if let Ok(survey) = block_on(survey(&params)) {
            assert_eq!(
                block_on(census(&params, &survey)).err().map(|error| error.to_string()).as_ref(),
                Some(&refusal)
            );
        }
        refusal
    };
    for (part, change) in [
        ("no row is left of 6", &(|p: &mut Params| p.filter = Some("n > 9".into())) as &dyn Fn(&mut Params)),
        ("is null in all 6 rows", &|p| p.label = Some("cast(null as varchar)".into())),
        ("gives 6 rows 6 classes", &|p| p.label = Some("id".into())),
        (
            "embedding = \"label\": an embedding is a list of f16, f32 or f64; found text (Utf8), and it is the label as well; columns that look like embeddings: `embedding`",
            &|p| p.embedding = "label".into(),
        ),
        ("nearest: `embedding`", &|p| p.embedding = "embeding".into()),
        ("found one number a row (Float64); cast it", &|p| p.label = Some("n / 2.0".into())),
        ("a list of these; found lists of Float32", &|p| p.label = Some("embedding".into())),
        ("6 rows 12 labels, no two rows the same", &|p| p.label = Some("make_array(id, id || n)".into())),
        ("found lists of Utf8; choose one of the values", &|p| {
            p.groups = vec![("g".into(), "make_array(label)".into())];
        }),
        ("an id is a string or an integer; found booleans", &|p| p.id = Some("n > 2".into())),
        ("rows are kept where a condition is true; found one integer a row", &|p| p.filter = Some("n + 1".into())),
    ] {
        let refusal = refusal(change);
        assert!(refusal.contains(part), "{part} is not in {refusal}");
    }
    fs::write(&path, b"PAR1 no Parquet PAR1").unwrap();
    let refusal = refusal(&|_| ());
    assert!(refusal.contains("x.parquet: not a Parquet file: found a footer"), "{refusal}");
}

#[test]
fn files_must_agree_on_the_columns_used() {
    let dir = TempDir::new().unwrap();
    good(&dir.path().join("a.parquet"), &["p", "q", "r", "s", "t", "u"]);
    let (rows, ids) = (vectors(&[&[1.0, 0.0]]), text(&["z"]));
    let label: ArrayRef = Arc::new(Int32Array::from(vec![1]));
    let second = dir.path().join("b.parquet");
    write(&second, vec![("id", ids.clone()), ("embedding", rows.clone()), ("label", label)]);
    let refusal = prepare_all(&params(dir.path()), &dir.path().join("out")).err().unwrap();
    assert!(refusal.contains("`label` is Utf8 in") && refusal.contains("but Int32 in"), "{refusal}");
    write(&second, vec![("id", ids.clone()), ("embedding", rows.clone())]);
    let refusal = prepare_all(&params(dir.path()), &dir.path().join("out")).err().unwrap();
    assert!(refusal.contains("column `label` is in") && refusal.contains("b.parquet"), "{refusal}");
    let encoded =
        cast(&text(&["a"]), &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))).unwrap();
    write(&second, vec![("label", encoded), ("embedding", rows), ("id", ids)]);
    let store = prepare_all(&params(dir.path()), &dir.path().join("out")).unwrap();
    assert_eq!((store.rows(), store.labels()[6]), (7, Code(1)), "another order and encoding is no disagreement");
}

#[test]
fn the_fingerprint_is_of_the_content() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.parquet");
    good(&path, &["p", "q", "r", "s", "t", "u"]);
    let one = block_on(survey(&params(&path))).unwrap();
    fs::rename(&path, dir.path().join("y.parquet")).unwrap();
    let two = block_on(survey(&params(&dir.path().join("y.parquet")))).unwrap();
    assert_eq!(one.store.fingerprint(), two.store.fingerprint());
    good(&path, &["p", "q", "r", "s", "t", "v"]);
    assert_ne!(block_on(survey(&params(&path))).unwrap().store.fingerprint(), one.store.fingerprint());
    let changed = block_on(prepare(&params(&path), &one, &dir.path().join("out"), 0, &|_| ())).err();
    assert!(changed.is_some_and(|error| error.to_string().contains("has changed since")));
    assert_eq!((two.store.rows(), two.store.dims()), (6, 2));
}

#[test]
fn arrays_are_counted_and_watched() {
    let dir = TempDir::new().unwrap();
    let (path, array) = (dir.path().join("x.parquet"), dir.path().join("x.npy"));
    good(&path, &["p", "q", "r", "s", "t", "u"]);
    let column = block_on(survey(&params(&path))).unwrap();
    let write_array = |values: &[f32]| {
        let mut writer = super::npy::NpyWriter::create(&array).unwrap();
        writer.write(values).unwrap();
        writer.finish(Some(3)).unwrap();
    };
    write_array(&[1.0; 18]);
    let params = Params { embedding: Embedding::Arrays(vec![array.clone()]), ..params(&path) };
    let surveys = block_on(survey(&params)).unwrap();
    assert_eq!((surveys.rows(), surveys.store.dims()), (6, 3));
    assert_eq!(surveys.store.fingerprint(), column.store.fingerprint(), "the table's own");
    let arrays = surveys.store.arrays().unwrap();
    assert_eq!((arrays.rows(), arrays.bytes(), arrays.scalar()), (6, 128 + 72, Scalar::F32));
    surveys.check_unchanged(&params).unwrap();
    write_array(&[1.0; 21]);
    let changed = surveys.check_unchanged(&params).unwrap_err().to_string();
    assert!(changed.contains("x.npy: the file has changed since it was first looked at"), "{changed}");
    let refused = block_on(prepare(&params, &surveys, &dir.path().join("out"), 0, &|_| ())).unwrap_err().to_string();
    assert_eq!(refused, changed);
    let refused = block_on(survey(&params)).err().unwrap().to_string();
    assert!(refused.contains("x.npy: 7 vectors, but") && refused.contains("x.parquet has 6 rows"), "{refused}");
}

#[test]
fn stores_longer_than_a_batch_keep_their_rows_together() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.parquet");
    let n = 30_000;
    let values = Arc::new(Float32Array::from_iter_values((0..2 * n).map(|v| v as f32)));
    let field = Arc::new(Field::new("element", DataType::Float32, false));
    let embedding: ArrayRef = Arc::new(FixedSizeListArray::new(field, 2, values, None));
    let label: ArrayRef =
        Arc::new((0..n).map(|v| Some(["x", "y", "z"][v % 3])).collect::<DictionaryArray<Int32Type>>());
    let id: ArrayRef = Arc::new(UInt32Array::from_iter_values((0..n as u32).map(|v| 7 * v)));
    write(&path, vec![("id", id), ("embedding", embedding), ("label", label)]);
    let params = Params { metric: Metric::Euclidean, filter: Some("id % 2 = 0".into()), ..params(&path) };
    let store = prepare_all(&params, &dir.path().join("out")).unwrap();
    assert_eq!(store.rows() as usize, n / 2);
    for row in [0, 1, 8_191, 8_192, 14_999] {
        let source = 2 * row as usize;
        assert_eq!(store.vector(Row(row)), [2.0 * source as f32, 2.0 * source as f32 + 1.0]);
        assert_eq!(strings(&store.take(0, &[Row(row)]).unwrap()), [(7 * source).to_string()]);
        let label = store.labels()[row as usize];
        assert_eq!(strings(store.label_values())[label.index()], ["x", "y", "z"][source % 3]);
        assert_eq!(store.source_rows()[row as usize], source as u64);
    }
    let survey = block_on(survey(&params)).unwrap();
    let census = block_on(census(&params, &survey)).unwrap();
    let expected = Census {
        rows: 30_000,
        kept: 15_000,
        classes: 3,
        largest_class: 5_000,
        singletons: 0,
        class_anchors: [(5_000, 3)].into(),
        unlabelled: 0,
        label_bytes: 3 * 10,
        sets: None,
        look_alikes: None,
        queries: None,
        pairs: None,
        scores: None,
        scored_pairs: None,
        anchors: 15_000,
        most_positives: 4_999,
        relatives: 3 * 5_000 * 5_000,
    };
    assert_eq!(census, expected);
}

#[test]
fn several_labels_a_row_are_frozen_as_sets() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.parquet");
    good(&path, &["p", "q", "r", "s", "t", "u"]);
    // b 0, a 1, then two nulls, a 1, b 0, a 1.
    let label =
        "case when n <> 3 then make_array(label, case when label is not null then cast(n % 2 as varchar) end) end";
    let params = Params { label: Some(label.into()), ..params(&path) };
    let store = prepare_all(&params, &dir.path().join("out")).unwrap();
    assert_eq!(strings(store.label_values()), ["0", "1", "a", "b"]);
    assert_eq!((store.classes(), store.distinct_labels(), store.has_several_labels()), (2, 4, true));
    assert_eq!(store.labels(), [0, 1, u32::MAX, u32::MAX, 0, 1].map(Code));
    let labels = |row: usize| store.labels_in(&store.labels()[row]).iter().map(|code| code.0).collect::<Vec<_>>();
    assert_eq!((labels(0), labels(1), labels(2)), (vec![0, 3], vec![1, 2], vec![]));
    assert_eq!(store.members(Code(3)), [Row(0), Row(4)]);
    assert_eq!(*store.relatives(Row(1)), [Row(1), Row(5)]);
    assert_eq!((store.has_relatives(Row(1)), store.has_relatives(Row(3))), (true, false));
    assert!(!store.akin(Code(0), Code(1)) && store.akin(Code(1), Code(1)) && !store.akin(Code::NULL, Code::NULL));
    let survey = block_on(survey(&params)).unwrap();
    let census = block_on(census(&params, &survey)).unwrap();
    assert_eq!((census.classes, census.largest_class, census.unlabelled, census.anchors), (4, 2, 2, 4));
    assert_eq!(census.sets, Some(SetCensus { sets: 2, members: 4, held: 8, most: 2 }));
}

#[test]
fn an_inspection_tells_what_columns_hold_and_could_serve_as() {
    let dir = TempDir::new().unwrap();
    let rows: [&[f32]; 5] = [&[3.0, 4.0], &[0.0, 0.0], &[3.0, 4.0], &[1.0], &[f32::NAN, 0.0]];
    let first = vec![
        ("topic", text(&["x", "x", "y", "y", "y"])),
        ("label", text(&["a", "b", "a", "∅", "c"])),
        ("key", text(&["k1", "k2", "k3", "k4", "k5"])),
        ("text", text(&["the first text", "the second text", "the third text", "the fourth", "the fifth text"])),
        ("embedding", vectors(&rows)),
        ("only here", text(&["1"; 5])),
    ];
    write(&dir.path().join("lang=en/1.parquet"), first.clone());
    write(&dir.path().join("lang=de/1.parquet"), first[..5].iter().map(|(name, c)| (*name, c.slice(0, 0))).collect());
    let inspection = block_on(inspect(dir.path())).unwrap();
    assert_eq!((inspection.files, inspection.rows), (2, 5));
    assert_eq!(inspection.uneven, ["only here"]);
    let column = |name: &str| inspection.columns.iter().find(|column| column.name == name).unwrap();
    let label = column("label");
    let counted = |distinct, single, largest| Some(ValueFacts::Counted { distinct, single, largest });
    assert_eq!((label.nulls, label.values), (1, counted(3, 2, 2)));
    assert_eq!(column("lang").values, counted(1, 0, 5));
    let vectors = column("embedding").embedding.clone().unwrap();
    assert_eq!((vectors.dims, vectors.norms), (Some(2), Some([0.0, 5.0, 5.0])));
    assert_eq!((vectors.zero, vectors.repeated), (1, 1));
    assert_eq!(vectors.unusable.into_iter().collect::<Vec<_>>(), [("NaN or infinity", 1), ("ragged vector", 1)]);
    let named = |name: &str| Some(name.to_owned());
    let expected = Guess {
        embedding: named("embedding"),
        id: named("key"),
        label: named("label"),
        other_labels: vec!["topic".to_owned()],
        carry: vec!["text".to_owned()],
    };
    assert_eq!(inspection.guess, expected);
}
