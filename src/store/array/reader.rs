//! The vectors of a table's arrays, in order.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray};
use arrow::buffer::MutableBuffer;
use arrow::error::ArrowError;

use super::file::COUNT;
use super::{ArrayFile, Arrays, ScanError};

/// Reads each vector once: a deflated array knows no other way.
pub struct ArrayReader<'a> {
    arrays: &'a Arrays,
    waiting: Box<dyn Iterator<Item = &'a ArrayFile> + Send + 'a>,
    open: Option<Open<'a>>,
}

/// A file being read.
struct Open<'a> {
    file: &'a ArrayFile,
    vectors: Box<dyn Read + Send>,
    /// Vectors that were read.
    row: u64,
}

impl<'a> ArrayReader<'a> {
    pub fn new(arrays: &'a Arrays) -> Self {
        Self { arrays, waiting: Box::new(arrays.files()), open: None }
    }

    /// The next vectors as a column of [`Arrays::data_type`]: `rows` of them, or all that are left.
    ///
    /// # Errors
    /// A file cannot be read, has changed, or does not hold what it said.
    pub fn next(&mut self, rows: usize) -> Result<ArrayRef, ScanError> {
        let width = self.arrays.width();
        let mut values = MutableBuffer::from_len_zeroed(rows * width);
        let mut filled = 0;
        while filled < rows {
            let Some(open) = self.current()? else { break };
            let left = usize::try_from(open.file.rows - open.row).unwrap_or(usize::MAX);
            let now = left.min(rows - filled);
            open.read(&mut values.as_slice_mut()[filled * width..][..now * width])?;
            filled += now;
        }
        values.truncate(filled * width);
        self.vectors(values).map_err(|source| {
            let path = self.open.as_ref().map(|open| open.file.path.clone()).unwrap_or_default();
            ScanError::Read { path, source: source.into() }
        })
    }

    fn vectors(&self, values: MutableBuffer) -> Result<ArrayRef, ArrowError> {
        let (field, dims) = self.arrays.list();
        Ok(Arc::new(FixedSizeListArray::try_new(field, dims, self.arrays.scalar.column(values), None)?))
    }

    /// The file that has the next vector.
    fn current(&mut self) -> Result<Option<&mut Open<'a>>, ScanError> {
        while self.open.as_ref().is_none_or(|open| open.row == open.file.rows) {
            let Some(file) = self.waiting.next() else { return Ok(None) };
            file.check_unchanged()?;
            let vectors = file.open().map_err(|source| ScanError::Io { path: file.path.clone(), source })?;
            self.open = Some(Open { file, vectors, row: 0 });
        }
        Ok(self.open.as_mut())
    }
}

impl Open<'_> {
    /// Fills `values` with the next vectors.
    fn read(&mut self, values: &mut [u8]) -> Result<(), ScanError> {
        let outcome = match self.file.before() {
            0 => self.vectors.read_exact(values).map_err(|error| self.told(error)),
            _ => self.read_counted(values),
        };
        outcome?;
        self.row += (values.len() / self.file.width()) as u64;
        if self.row == self.file.rows { self.file.check_unchanged() } else { Ok(()) }
    }

    fn read_counted(&mut self, values: &mut [u8]) -> Result<(), ScanError> {
        let expected = self.file.dims;
        for (ordinal, vector) in values.chunks_exact_mut(self.file.width()).enumerate() {
            let mut count = [0; COUNT];
            let read = self.vectors.read_exact(&mut count).and_then(|()| self.vectors.read_exact(vector));
            read.map_err(|error| self.told(error))?;
            let found = i32::from_le_bytes(count);
            if usize::try_from(found) != Ok(expected) {
                let (path, row) = (PathBuf::from(self.file.place()), self.row + ordinal as u64);
                let found = format!("a vector of {found} values, the first has {expected}");
                return Err(ScanError::Damaged { path, row, found });
            }
        }
        Ok(())
    }

    /// An error of reading: of a file that has changed, of one that lies, or of the system.
    fn told(&self, error: io::Error) -> ScanError {
        if let Err(changed) = self.file.check_unchanged() {
            return changed;
        }
        let (path, row) = (PathBuf::from(self.file.place()), self.row);
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                ScanError::Damaged { path, row, found: "its bytes end too early".to_owned() }
            }
            io::ErrorKind::InvalidInput => ScanError::Damaged { path, row, found: error.to_string() },
            // A checksum is of all rows.
            io::ErrorKind::InvalidData => ScanError::Damaged { path, row: 0, found: error.to_string() },
            _ => ScanError::Io { path, source: error },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Float32Type;

    use super::*;
    use crate::store::npy::NpyWriter;

    fn write(path: &Path, values: &[f32]) {
        let mut writer = NpyWriter::create(path).unwrap();
        writer.write(values).unwrap();
        writer.finish(Some(2)).unwrap();
    }

    #[test]
    fn a_batch_goes_over_the_ends_of_files() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("a.npy"), &[0.0, 1.0, 2.0, 3.0]);
        write(&folder.path().join("b.npy"), &[]);
        write(&folder.path().join("c.npy"), &[4.0, 5.0]);
        let arrays = Arrays::look(&[folder.path().join("*.npy")]).unwrap();
        assert_eq!((arrays.rows(), arrays.dims(), arrays.files().count()), (3, 2, 3));
        for at_once in 1..=4 {
            let (mut reader, mut read) = (ArrayReader::new(&arrays), Vec::new());
            loop {
                let vectors = reader.next(at_once).unwrap();
                assert_eq!(vectors.data_type(), &arrays.data_type());
                if vectors.is_empty() {
                    break;
                }
                let values = vectors.as_fixed_size_list().values().clone();
                read.extend_from_slice(values.as_primitive::<Float32Type>().values());
            }
            assert_eq!(read, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "{at_once} at once");
        }
    }

    #[test]
    fn files_that_change_come_or_go_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a.npy"), folder.path().join("b.npy"));
        write(&first, &[0.0, 1.0, 2.0, 3.0]);
        let arrays = Arrays::look(&[folder.path().join("*.npy")]).unwrap();
        arrays.check_unchanged().unwrap();
        let mut reader = ArrayReader::new(&arrays);
        reader.next(1).unwrap();
        write(&second, &[4.0, 5.0]);
        let told = |outcome: Result<(), ScanError>| outcome.unwrap_err().to_string();
        assert!(told(arrays.check_unchanged()).contains("1 file at first, 2 now, or others"));
        fs::remove_file(&second).unwrap();
        arrays.check_unchanged().unwrap();
        fs::File::options().write(true).open(&first).unwrap().set_len(130).unwrap();
        assert!(told(arrays.check_unchanged()).contains("a.npy: the file has changed since"));
        // The rest of it may be in a buffer, or not be there any more.
        assert!(told(reader.next(1).map(|_| ())).contains("a.npy: the file has changed since"));
        fs::remove_file(&first).unwrap();
        assert!(told(arrays.check_unchanged()).contains("gone"));
    }
}
