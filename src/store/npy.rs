//! Arrays on disk in numpy's own format (NEP 1), so that anyone can look into a prepared store with `numpy.load`.
//!
//! The header is always 128 bytes: magic, version 1.0, and a Python dict padded with spaces. The shape is known only at
//! the end, so it is written twice; values follow little-endian, row-major.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::marker::PhantomData;
use std::path::Path;

use bytemuck::Pod;
use memmap2::Mmap;

use super::{Code, Row};
use crate::disk::Hashing;

const _: () = assert!(cfg!(target_endian = "little"), "arrays are mapped as they lie on disk, which is little-endian");

/// Bytes before the first value.
pub const HEADER: usize = 128;

/// A value with a numpy type.
pub trait Element: Pod {
    const DESCR: &str;
}

impl Element for f32 {
    const DESCR: &str = "<f4";
}
impl Element for f64 {
    const DESCR: &str = "<f8";
}
impl Element for u64 {
    const DESCR: &str = "<u8";
}
impl Element for Code {
    const DESCR: &str = "<u4";
}
impl Element for Row {
    const DESCR: &str = "<u4";
}

/// `rows × width`; a width of `None` is a one-dimensional array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub rows: usize,
    pub width: Option<usize>,
}

impl Shape {
    fn len(self) -> Option<usize> {
        self.rows.checked_mul(self.width.unwrap_or(1))
    }
}

/// What stands before the values of an array.
pub fn header<T: Element>(shape: Shape) -> [u8; HEADER] {
    let Shape { rows, width } = shape;
    let width = width.map(|width| format!(" {width}")).unwrap_or_default();
    let dict = format!("{{'descr': '{}', 'fortran_order': False, 'shape': ({rows},{width}), }}", T::DESCR);
    let mut header = [b' '; HEADER];
    header[..10].copy_from_slice(b"\x93NUMPY\x01\x00\x76\x00");
    header[10..10 + dict.len()].copy_from_slice(dict.as_bytes());
    header[HEADER - 1] = b'\n';
    header
}

/// Writes an array piece by piece.
pub(super) struct NpyWriter<T> {
    file: Hashing<BufWriter<File>>,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Element> NpyWriter<T> {
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::with_capacity(1 << 18, File::create(path)?);
        file.write_all(&[0; HEADER])?;
        Ok(Self { file: Hashing::new(file), len: 0, element: PhantomData })
    }

    pub fn write(&mut self, values: &[T]) -> io::Result<()> {
        self.len += values.len();
        self.file.write_all(bytemuck::cast_slice(values))
    }

    /// Writes the header and makes the array durable. `width` divides what was written. Gives the hash of the values: what the
    /// header says is compared when the array is opened.
    pub fn finish(self, width: Option<usize>) -> io::Result<String> {
        let shape = Shape { rows: self.len / width.unwrap_or(1), width };
        let (mut file, digest) = self.file.finish();
        file.rewind()?;
        file.write_all(&header::<T>(shape))?;
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(digest)
    }
}

/// A mapped array.
pub(super) struct Npy<T> {
    map: Mmap,
    element: PhantomData<T>,
}

impl<T: Element> Npy<T> {
    /// Maps an array that must have this type and shape.
    pub fn open(path: &Path, shape: Shape) -> io::Result<Self> {
        let map = super::map(path)?;
        let bytes = shape.len().and_then(|len| len.checked_mul(size_of::<T>())).and_then(|len| len.checked_add(HEADER));
        if bytes != Some(map.len()) || map[..HEADER] != header::<T>(shape) {
            let (found, descr) = (map.len(), T::DESCR);
            let message = format!("{found} bytes that do not begin as a numpy array of {descr} and {shape:?} does");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(Self { map, element: PhantomData })
    }

    pub fn values(&self) -> &[T] {
        // The map begins on a page and the header is 128 bytes long, so the values are aligned.
        bytemuck::cast_slice(&self.map[HEADER..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_round_trip_and_other_shapes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        let mut writer = NpyWriter::<f32>::create(&path).unwrap();
        writer.write(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        writer.write(&[5.0, 6.0]).unwrap();
        writer.finish(Some(3)).unwrap();
        let shape = Shape { rows: 2, width: Some(3) };
        assert_eq!(Npy::<f32>::open(&path, shape).unwrap().values(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert!(Npy::<f32>::open(&path, Shape { rows: 3, width: Some(2) }).is_err());
        assert!(Npy::<f32>::open(&path, Shape { rows: usize::MAX, width: Some(3) }).is_err());
        let bytes = std::fs::read(&path).unwrap();
        assert!(
            bytes.starts_with(b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }")
        );
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(Npy::<f32>::open(&path, shape).is_err(), "truncated");
    }
}
