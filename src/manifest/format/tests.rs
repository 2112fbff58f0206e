use arrow::array::{
    Array, DictionaryArray, Float32Array, Float64Array, Int64Array, ListArray, StringArray, UInt64Array,
};
use arrow::datatypes::{Int32Type, Int64Type};

use super::*;
use crate::manifest::Formulas;

const ALL: [Format; 4] = [Format::Parquet, Format::Arrow, Format::Jsonl, Format::Csv(Formulas::Escape)];

/// Numbers that a careless text format rounds, and text that a careless one splits.
fn batch() -> RecordBatch {
    let bits = [0x3e99_999a, 0x0000_0001, 0x7f7f_ffff, 0x8000_0000, 0x0080_0000, 0xbf7f_ffff, 0x3f80_0001, 0x4b80_0001];
    let floats = Float32Array::from_iter_values(bits.map(f32::from_bits));
    let texts = ["a", "b,c", "say \"hi\"", "two\nlines", " spaced ", "é", "\\", "null"];
    let wide = [i64::MIN, i64::MAX, -1, 0, 1, 9_007_199_254_740_993, 42, 7];
    let bands: DictionaryArray<Int32Type> = (0..8).map(|i| ["hard", "semi-hard", "easy"][i % 3]).collect();
    let columns: [(&str, arrow::array::ArrayRef); 6] = [
        ("f32", Arc::new(floats)),
        ("f64", Arc::new(Float64Array::from_iter_values((0..8).map(|i| 0.1 + f64::from(i))))),
        ("text", Arc::new(StringArray::from_iter_values(texts))),
        ("wide", Arc::new(Int64Array::from_iter_values(wide))),
        ("row", Arc::new(UInt64Array::from_iter_values([u64::MAX, 0, 1, 2, 3, 4, 5, 6]))),
        ("band", Arc::new(bands)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

fn write(folder: &Path, format: Format, name: &str, batches: &[RecordBatch]) -> (PathBuf, Listed) {
    let path = folder.join(name);
    let extent = Extent::of(batches.iter().map(|batch| batch.num_rows() as u64).sum());
    let mut part = Part::create(path.clone(), format, &batches[0].schema(), extent).unwrap();
    for batch in batches {
        part.write(batch).unwrap();
    }
    (path, part.finish(name.to_owned()).unwrap())
}

fn read(path: &Path, format: Format, schema: &SchemaRef) -> RecordBatch {
    let batches: Vec<_> = format.decoder(File::open(path).unwrap(), schema).unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

#[test]
fn every_format_keeps_every_bit() {
    let folder = tempfile::tempdir().unwrap();
    let batch = batch();
    for format in ALL {
        // In two batches, which must share one dictionary.
        let (path, listed) = write(folder.path(), format, format.name(), &[batch.slice(0, 3), batch.slice(3, 5)]);
        let again = read(&path, format, &batch.schema());
        for (found, expected) in again.columns().iter().zip(batch.columns()) {
            assert_eq!(found, expected, "{format:?}");
        }
        let bytes = std::fs::read(&path).unwrap();
        let (length, sha256) = super::super::digest::of_reader(bytes.as_slice()).unwrap();
        assert_eq!((listed.rows, listed.bytes, listed.sha256), (8, length, sha256), "{format:?}");
        let (second, _) = write(folder.path(), format, "again", &[batch.slice(0, 3), batch.slice(3, 5)]);
        assert_eq!(std::fs::read(second).unwrap(), bytes, "{format:?} writes the same bytes again");
        std::fs::remove_file(folder.path().join("again")).unwrap();
    }
}

#[test]
fn text_formats_lose_what_a_round_trip_says() {
    let texts: arrow::array::ArrayRef = Arc::new(StringArray::from(vec![None, Some(""), Some("x")]));
    let batch = RecordBatch::try_from_iter_with_nullable([("text", texts, true), ("n", numbers(), false)]).unwrap();
    let kept = |format: Format| format.round_trip(&batch).unwrap().column(0).null_count();
    assert_eq!([kept(Format::Parquet), kept(Format::Jsonl), kept(Format::Csv(Formulas::Escape))], [1, 1, 2]);
}

fn numbers() -> arrow::array::ArrayRef {
    Arc::new(UInt64Array::from(vec![1, 2, 3]))
}

#[test]
fn csv_marks_what_begins_like_a_formula() {
    let given = ["=a", "+a", "-a", "@a", "\ta", "\ra", "'a", "a=", " =a"];
    let texts: arrow::array::ArrayRef = Arc::new(StringArray::from_iter_values(given));
    let batch = RecordBatch::try_from_iter([("text", texts)]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let written = |formulas: Formulas| {
        let format = Format::Csv(formulas);
        let path = folder.path().join(format!("{formulas:?}"));
        let mut part = Part::create(path.clone(), format, &batch.schema(), Extent::of(9)).unwrap();
        part.write(&batch).unwrap();
        let escaped = part.escaped();
        part.finish("a".to_owned()).unwrap();
        assert_eq!(read(&path, format, &batch.schema()).column(0), batch.column(0), "{formulas:?}");
        (std::fs::read_to_string(path).unwrap(), escaped)
    };
    let (kept, none) = written(Formulas::Keep);
    assert!(kept.starts_with("text\n=a\n+a\n-a\n@a\n") && none == 0, "{kept}");
    let (marked, seven) = written(Formulas::Escape);
    assert!(marked.starts_with("text\n'=a\n'+a\n'-a\n'@a\n") && marked.ends_with("\n''a\na=\n =a\n"), "{marked}");
    assert_eq!(seven, 7);
    let mut unmarked = Format::Csv(Formulas::Escape)
        .decoder(File::open(folder.path().join("Keep")).unwrap(), &batch.schema())
        .unwrap();
    let refused = unmarked.next().unwrap().unwrap_err().to_string();
    assert!(refused.ends_with("row 0, text: a formula without a mark: =a"), "{refused}");
}

#[test]
fn a_list_is_refused_for_csv_only() {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)])]);
    let schema = Schema::new(vec![Field::new("anchor_tags", list.data_type().clone(), true)]);
    for format in [Format::Parquet, Format::Arrow, Format::Jsonl] {
        format.check(&schema).unwrap();
    }
    let message = Format::Csv(Formulas::Escape).check(&schema).unwrap_err().to_string();
    assert!(message.contains("'anchor_tags'") && message.contains("parquet"), "{message}");
}

#[test]
fn other_columns_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let batch = batch();
    let fields = batch.schema().fields().to_vec();
    let mut renamed = fields.clone();
    renamed[2] = Arc::new(Field::new("words", DataType::Utf8, false));
    let fewer = fields[..5].to_vec();
    for format in ALL {
        let (path, _) = write(folder.path(), format, format.name(), std::slice::from_ref(&batch));
        for expected in [&renamed, &fewer] {
            let schema: SchemaRef = Arc::new(Schema::new(expected.clone()));
            let read = format.decoder(File::open(&path).unwrap(), &schema).and_then(|batches| batches.collect());
            let read: Result<Vec<_>, _> = read;
            assert!(read.is_err(), "{format:?}");
        }
    }
}

#[test]
fn a_footer_that_claims_more_than_the_file_has_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let batch = batch();
    let (path, _) = write(folder.path(), Format::Arrow, "a", std::slice::from_ref(&batch));
    let bytes = std::fs::read(&path).unwrap();
    let mut errors = 0;
    // Any byte of the footer, with its highest bit flipped: never a panic, and never more memory than the file is long.
    for at in bytes.len() - 400..bytes.len() {
        let mut forged = bytes.clone();
        forged[at] ^= 0x80;
        std::fs::write(&path, forged).unwrap();
        let mut file = File::open(&path).unwrap();
        errors += usize::from(arrow_file::check_blocks(&mut file).is_err());
    }
    assert!(errors > 10, "{errors}");
}
