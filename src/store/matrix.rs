//! A matrix from a file: numpy's `.npy`, or Parquet with one column of lists.

use std::path::{Path, PathBuf};

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::array::NpyHeader;
use super::shield::shielded;
use super::stamp::Stamp;
use super::vectors::Vectors;
use super::vet;
use crate::disk::untrusted::{self, Refused};

/// `k × d`, and the file it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    pub path: PathBuf,
    pub bytes: u64,
    /// k.
    pub rows: usize,
    /// d.
    pub width: usize,
    /// Row-major.
    pub values: Vec<f64>,
    /// BLAKE3 of the file, in hex.
    pub fingerprint: String,
    pub(super) stamp: Stamp,
}

/// Why a file gives no matrix.
#[derive(Debug, thiserror::Error)]
#[error("prepare.transform: {}: found {found}, expected {EXPECTED}", .path.display())]
pub struct MatrixError {
    path: PathBuf,
    found: String,
}

const EXPECTED: &str = "a k × d matrix: .npy of f32 or f64, or Parquet with one column of lists, k rows of d values";

/// A square matrix of 8,192 f64 and some room: anything larger is another file.
const LARGEST: u64 = 513 << 20;

/// The names of files that hold a matrix.
pub const MATRIX_FILES: [&str; 2] = [".npy", ".parquet"];

pub(super) fn read(path: &Path) -> Result<Matrix, MatrixError> {
    let found = |found: String| MatrixError { path: path.to_owned(), found };
    let load = || -> Result<(Stamp, Vec<u8>), Refused> {
        let file = untrusted::open(path)?;
        Ok((Stamp::of(&file.metadata()?)?, untrusted::read(file, LARGEST)?))
    };
    let (stamp, content) = load().map_err(|refused| found(refused.to_string()))?;
    let bytes = stamp.bytes;
    let numpy = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
    let (rows, width, values) = if numpy { from_npy(&content) } else { from_parquet(path) }.map_err(found)?;
    if rows == 0 || width == 0 {
        return Err(found(format!("{rows} × {width} values")));
    }
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Err(found(format!("{} in row {}, column {}", values[at], at / width, at % width)));
    }
    let fingerprint = blake3::hash(&content).to_hex().to_string();
    Ok(Matrix { path: path.to_owned(), bytes, rows, width, values, fingerprint, stamp })
}

type Values = (usize, usize, Vec<f64>);

fn from_npy(content: &[u8]) -> Result<Values, String> {
    let mut data = content;
    let header = NpyHeader::read(&mut data).map_err(|error| error.to_string())?;
    let &[rows, width] = header.shape.as_slice() else { return Err(format!("an array of shape {}", header.shape())) };
    let values: Vec<f64> = match header.descr.as_str() {
        "<f4" => {
            exactly(data, rows, width)?.iter().map(|bytes: &[u8; 4]| f64::from(f32::from_le_bytes(*bytes))).collect()
        }
        "<f8" => exactly(data, rows, width)?.iter().map(|bytes: &[u8; 8]| f64::from_le_bytes(*bytes)).collect(),
        other => return Err(format!("an array of {other}")),
    };
    // Fortran's order is that of the transposed matrix.
    if header.fortran_order {
        let value = |at: usize| values[at % width * rows + at / width];
        return Ok((rows, width, (0..rows * width).map(value).collect()));
    }
    Ok((rows, width, values))
}

/// The values of a file that holds as many as its shape says.
fn exactly<const SIZE: usize>(data: &[u8], rows: usize, width: usize) -> Result<&[[u8; SIZE]], String> {
    let (values, rest) = data.as_chunks::<SIZE>();
    let whole = rest.is_empty() && rows.checked_mul(width) == Some(values.len());
    whole.then_some(values).ok_or_else(|| format!("{} bytes of values for {rows} × {width}", data.len()))
}

fn from_parquet(path: &Path) -> Result<Values, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut file = untrusted::open(path).map_err(|error| text(&error))?;
    let bytes = file.metadata().map_err(|error| text(&error))?.len();
    let footer = vet::footer(&mut file, bytes).map_err(|error| text(&error))?;
    let fields = footer.schema().fields().len();
    if fields != 1 {
        return Err(format!("{fields} columns"));
    }
    let chunks = footer.metadata().row_groups().iter().flat_map(|group| group.columns());
    let told = chunks.map(|chunk| chunk.num_values().unsigned_abs()).fold(0, u64::saturating_add);
    if told > LARGEST / size_of::<f64>() as u64 {
        return Err(format!("{told} values, more than any matrix of vectors has"));
    }
    vet::pages(&mut file, footer.metadata(), |_| true).map_err(|error| text(&error))?;
    let (mut rows, mut width, mut values) = (0, None, Vec::new());
    let mut batches =
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer).build().map_err(|error| text(&error))?;
    while let Some(batch) = shielded(|| batches.next())? {
        let batch = batch.map_err(|error| text(&error))?;
        let column = batch.column(0);
        let vectors = Vectors::of(column).ok_or_else(|| format!("a column of {}", column.data_type()))?;
        for row in 0..batch.num_rows() {
            let added = vectors.append_to(row, &mut values).map_err(|flaw| format!("row {rows}: {flaw}"))?;
            let expected = *width.get_or_insert(added);
            if added != expected {
                return Err(format!("row {rows} of {added} values, others of {expected}"));
            }
            rows += 1;
        }
    }
    Ok((rows, width.unwrap_or(0), values))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::sync::Arc;

    use arrow::array::{ArrayRef, ListArray, RecordBatch, UInt64Array};
    use arrow::datatypes::Float32Type;
    use parquet::arrow::ArrowWriter;

    use super::*;

    /// As numpy writes it.
    fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        while !(10 + header.len() + 1).is_multiple_of(64) {
            header.push(' ');
        }
        header.push('\n');
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", length.as_slice(), header.as_bytes(), data].concat()
    }

    fn read_npy(content: &[u8]) -> Result<Matrix, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.npy");
        fs::write(&path, content).unwrap();
        read(&path).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), ""))
    }

    fn read_parquet(columns: Vec<(&str, ArrayRef)>) -> Result<Matrix, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.parquet");
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        read(&path).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), ""))
    }

    fn lists(rows: &[&[f32]]) -> ArrayRef {
        let rows = rows.iter().map(|row| Some(row.iter().map(|&v| Some(v)).collect::<Vec<_>>()));
        Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
    }

    #[test]
    fn each_form_gives_the_same_matrix() {
        let rows = [[1.0f64, 2.0, 3.0], [4.0, 5.0, 6.5]];
        let by_column = [1.0f64, 4.0, 2.0, 5.0, 3.0, 6.5];
        let f64s = |values: &[f64]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let f32s = rows.concat().iter().flat_map(|v| (*v as f32).to_le_bytes()).collect::<Vec<u8>>();
        for matrix in [
            read_npy(&npy("<f8", "False", "(2, 3)", &f64s(&rows.concat()))).unwrap(),
            read_npy(&npy("<f8", "True", "(2, 3)", &f64s(&by_column))).unwrap(),
            read_npy(&npy("<f4", "False", "(2, 3)", &f32s)).unwrap(),
            read_parquet(vec![("m", lists(&[&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.5]]))]).unwrap(),
        ] {
            assert_eq!((matrix.rows, matrix.width, matrix.values), (2, 3, rows.concat()));
        }
    }

    #[test]
    fn what_is_no_matrix_is_refused_with_what_was_found() {
        let six = 0.5f64.to_le_bytes().repeat(6);
        for (content, found) in [
            (b"PAR1".to_vec(), "no numpy array"),
            (npy("<f8", "False", "(6,)", &six), "an array of shape (6,)"),
            (npy("<f8", "False", "(1, 2, 3)", &six), "an array of shape (1, 2, 3)"),
            (npy("<i8", "False", "(2, 3)", &six), "an array of <i8"),
            (npy("<f8", "False", "(2, 4)", &six), "48 bytes of values for 2 × 4"),
            (npy(">f8", "False", "(2, 3)", &six), "an array of >f8"),
            (npy("|O", "False", "(2, 3)", &six), "an array of |O"),
            (npy("<f8", "True", "(4294967296, 4294967296)", &six), "48 bytes of values for 4294967296 × 4294967296"),
            (npy("<f8", "False", "(99999999999999999999, 3)", &six), "a numpy array with a damaged header"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{".to_vec(), "a numpy array with a header of 4294967295 bytes"),
            (npy("<f8", "False", "(0, 3)", &[]), "0 × 3 values"),
            (npy("<f8", "False", "(1, 1)", &f64::NAN.to_le_bytes()), "NaN in row 0, column 0"),
            (npy("<f8", "False", "(x, 3)", &six), "a numpy array with a damaged header"),
            (npy("<f8", "False", "(2, 3)", &six)[..20].to_vec(), "a numpy array that ends in its header"),
            (b"\x93NUMPY\x09\x00\x00\x00".to_vec(), "a numpy array of version 9.0"),
        ] {
            assert_eq!(
                read_npy(&content).unwrap_err(),
                format!("prepare.transform: /m.npy: found {found}, expected {EXPECTED}")
            );
        }
        let numbers: ArrayRef = Arc::new(UInt64Array::from_iter_values([1]));
        for (columns, found) in [
            (vec![("a", numbers.clone()), ("m", lists(&[&[1.0]]))], "2 columns"),
            (vec![("a", numbers)], "a column of UInt64"),
            (vec![("m", lists(&[&[1.0], &[1.0, 2.0]]))], "row 1 of 2 values, others of 1"),
            (vec![("m", lists(&[]))], "0 × 0 values"),
        ] {
            assert_eq!(
                read_parquet(columns).unwrap_err(),
                format!("prepare.transform: /m.parquet: found {found}, expected {EXPECTED}")
            );
        }
        let missing = read(Path::new("/nowhere/m.npy")).unwrap_err().to_string();
        assert!(missing.contains("found no such file"), "{missing}");
    }
}
