//! What footers tell of rows, and what follows from it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array, ListArray, StringArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Field, Float32Type};
use futures::executor::block_on;
use tempfile::TempDir;

use super::census::label_scan;
use super::tests::{good, params, write};
use super::*;

/// Lists of so many values, of which every second is null where some are.
fn lists(values: ArrayRef, dims: usize, nulls: bool) -> ArrayRef {
    let rows = values.len() / dims;
    let field = Arc::new(Field::new("element", values.data_type().clone(), false));
    let nulls = nulls.then(|| (0..rows).map(|row| row % 2 == 0).collect::<NullBuffer>());
    Arc::new(FixedSizeListArray::new(field, dims as i32, values, nulls))
}

/// Writes rows with numbers for ids, and texts of so many bytes.
fn table(path: &Path, embedding: ArrayRef, text_bytes: usize) {
    let rows = embedding.len();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    let of =
        |text: &dyn Fn(usize) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values((0..rows).map(text))) };
    let (texts, labels) = (of(&|row| format!("{row:0text_bytes$}")), of(&|row| format!("{}", row % 5)));
    write(path, vec![("id", ids), ("embedding", embedding), ("text", texts), ("label", labels)]);
}

/// Vectors of two values.
fn short_vectors(rows: usize) -> ArrayRef {
    lists(Arc::new(Float32Array::from_iter_values((0..2 * rows).map(|value| value as f32))), 2, false)
}

fn surveyed(params: &Params) -> Surveys {
    block_on(survey(params)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn what_stands_beside_vectors_is_told_apart_from_them() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.parquet");
    let carried = Params { carry: vec!["text".into()], ..params(&path) };
    // Values that repeat lie in less than they take.
    table(&path, lists(Arc::new(Float32Array::from(vec![0.5; 300 * 512])), 512, false), 2_000);
    let store = surveyed(&carried).store;
    assert!((4_048..4_200).contains(&store.row_bytes()), "{}", store.row_bytes());
    assert!((2_008..2_100).contains(&store.beside_bytes()), "{}", store.beside_bytes());
    // Of f64, and what is only looked at.
    table(&path, lists(Arc::new(Float64Array::from_iter_values((0..300 * 64).map(f64::from))), 64, false), 2_000);
    let store = surveyed(&Params { filter: Some("text <> ''".into()), ..params(&path) }).store;
    assert!((2_520..2_700).contains(&store.row_bytes()), "{}", store.row_bytes());
    assert!((8..40).contains(&store.beside_bytes()), "{}", store.beside_bytes());
    // What makes an id does not stand there.
    let store = surveyed(&Params { id: Some("concat(text, '!')".into()), ..params(&path) }).store;
    assert_eq!(store.beside_bytes(), 64);
}

#[test]
fn batches_are_as_short_as_the_widest_rows_ask_for() {
    let dir = TempDir::new().unwrap();
    let file = |name: &str| dir.path().join(name);
    table(&file("short.parquet"), short_vectors(40_000), 10);
    // No more than a batch.
    table(&file("tiny.parquet"), short_vectors(10), 50_000);
    let params = Params { carry: vec!["text".into()], ..params(dir.path()) };
    let without = surveyed(&params);
    assert!(without.store.widest_row() < 100, "{}", without.store.widest_row());
    table(&file("wide.parquet"), short_vectors(300), 20_000);
    let with = surveyed(&params);
    assert!((20_000..21_000).contains(&with.store.widest_row()), "{}", with.store.widest_row());
    assert!((20_000..21_000).contains(&with.store.widest_beside()), "{}", with.store.widest_beside());
    assert!(with.store.row_bytes() < 400, "{}", with.store.row_bytes());
    assert!(with.reading_bytes() > without.reading_bytes() + (6 << 20), "a file, and what is gathered of it");
}

#[test]
fn labels_are_counted_in_batches_of_what_they_are_told_from() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.parquet");
    table(&path, short_vectors(300), 20_000);
    let first = |params: &Params| {
        let store = surveyed(params).store;
        block_on(async { label_scan(&store).unwrap().next().await.unwrap().unwrap().batch.num_rows() })
    };
    let of_texts = first(&Params { filter: Some("length(text) > 9".into()), ..params(&path) });
    assert!((90..110).contains(&of_texts), "{of_texts}");
    assert_eq!(first(&params(&path)), 300, "labels alone are short");
}

#[test]
fn tables_of_links_are_in_what_reading_holds() {
    let dir = TempDir::new().unwrap();
    let (path, links) = (dir.path().join("x.parquet"), dir.path().join("pairs.parquet"));
    good(&path, &["p", "q", "r", "s", "t", "u"]);
    let ids = || -> ArrayRef { Arc::new(StringArray::from_iter_values((0..50_000).map(|row| format!("{row:040}")))) };
    write(&links, vec![("a", ids()), ("b", ids())]);
    let store = params(&path);
    let pairs = LinkParams {
        section: Section::Pairs,
        path: links.clone(),
        left: ("pairs.anchor", "a".into()),
        right: ("pairs.positive", "b".into()),
        value: None,
        bad_rows: BadRows::Error,
    };
    let with = block_on(survey(Sources { pairs: Some(&pairs), ..Sources::from(&store) })).unwrap();
    let on_disk = fs::metadata(&links).unwrap().len();
    let (with, without) = (with.reading_bytes(), surveyed(&store).reading_bytes());
    assert!(without < on_disk && with > on_disk, "{without}, {with}, {on_disk} bytes");
}

#[test]
fn null_vectors_do_not_shorten_the_others() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.parquet");
    let params = Params { filter: Some("embedding is not null".into()), ..params(&path) };
    let values = || Float32Array::from_iter_values((0..40).map(|value| value as f32));
    table(&path, lists(Arc::new(values()), 4, true), 10);
    assert_eq!(surveyed(&params).store.dims(), 4, "the type tells");
    let of_rows = (0..10).map(|row| (row % 2 == 0).then(|| vec![Some(1.0), Some(row as f32), Some(3.0)]));
    table(&path, Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(of_rows)), 10);
    let surveys = surveyed(&params);
    assert_eq!(block_on(check_dimensions(&params, &surveys, 5)).unwrap(), Some(3), "the first vectors tell");
    assert_eq!(surveys.store.dims(), 2, "footers count nulls");
}
