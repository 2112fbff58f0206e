//! One array file: what it says of itself, held against its size before anything is set apart for it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::error::{ArrayError, Fault};
use super::header::{HeaderError, NpyHeader};
use super::npz::{self, Member};
use super::scalar::Scalar;
use super::{Stamp, untrusted};

/// `rows × dims` values in a file, row by row.
#[derive(Debug)]
pub struct ArrayFile {
    pub path: PathBuf,
    pub rows: u64,
    pub(super) dims: usize,
    pub(super) scalar: Scalar,
    pub(super) stamp: Stamp,
    values: Values,
}

/// Where the values lie.
#[derive(Debug)]
enum Values {
    /// From this byte to the end.
    Plain(u64),
    /// The same of a member of an archive, unpacked.
    Member(Member, u64),
    /// From the beginning to the end, before each vector its length as i32: `.fvecs` and `.bvecs`.
    Counted,
}

/// Bytes before each vector of `.fvecs`.
pub(super) const COUNT: usize = size_of::<i32>();

/// Longer vectors are no embeddings, but a header that lies.
const MOST_DIMENSIONS: usize = 1 << 20;

const EXPECTED: &str = "rows × dimensions of little-endian f16, f32 or f64, row by row";
const COUNTED: &str = "vectors of one length, before each its length as a little-endian i32";
const DAMAGED: &str = "write or copy it again";
const SAVE: &str = "save it with np.save(file, np.ascontiguousarray(x.astype(\"f4\")))";

/// The names of files that hold arrays.
const ENDINGS: [&str; 4] = ["npy", "npz", "fvecs", "bvecs"];

/// Whether a path, or pattern, is that of an array.
pub fn names_array(path: &Path) -> bool {
    let (path, _) = split(path);
    path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// The path of a file and the name of the array in it, from `file.npz:name`. What exists under the whole name is that.
pub(super) fn split(path: &Path) -> (PathBuf, Option<String>) {
    let text = path.to_string_lossy();
    match text.rsplit_once(".npz:") {
        Some((before, name)) if !name.contains('/') && !path.exists() => {
            (PathBuf::from(format!("{before}.npz")), Some(name.to_owned()))
        }
        _ => (path.to_owned(), None),
    }
}

/// The name of the array in it, from the URL of `file.npz:name`.
pub fn array_in(url: &str) -> Option<&str> {
    url.rsplit_once(".npz:").map(|(_, name)| name).filter(|name| !name.contains('/'))
}

impl ArrayFile {
    /// Reads what `path` says of itself; of an `.npz`, the array `member`, or the only one.
    pub(super) fn look(path: PathBuf, member: Option<&str>) -> Result<Self, ArrayError> {
        let place = match member {
            Some(member) => format!("{}:{member}", path.display()),
            None => path.display().to_string(),
        };
        look(&path, member).map_err(|fault| fault.at(place))
    }

    /// The file, and the array in it.
    pub(super) fn place(&self) -> String {
        match &self.values {
            Values::Member(member, _) => format!("{}:{}", self.path.display(), member.name),
            _ => self.path.display().to_string(),
        }
    }

    /// Bytes of a vector, without what stands before it.
    pub(super) fn width(&self) -> usize {
        self.dims * self.scalar.bytes()
    }

    /// Bytes before each vector.
    pub(super) fn before(&self) -> usize {
        if matches!(self.values, Values::Counted) { COUNT } else { 0 }
    }

    /// `vectors of 384 f32`: what the arrays of one table share.
    pub(super) fn kind(&self) -> String {
        format!("vectors of {} {}", self.dims, self.scalar.name())
    }

    /// The vectors one after the other, each with what stands before it.
    pub(super) fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let mut file = untrusted::open(&self.path)?;
        Ok(match &self.values {
            Values::Counted => Box::new(buffered(file)),
            Values::Plain(start) => {
                file.seek(SeekFrom::Start(*start))?;
                Box::new(buffered(file))
            }
            Values::Member(member, header) => {
                let mut bytes = member.open(file)?;
                io::copy(&mut bytes.by_ref().take(*header), &mut io::sink())?;
                Box::new(bytes)
            }
        })
    }
}

fn buffered(file: File) -> BufReader<File> {
    BufReader::with_capacity(1 << 18, file)
}

fn look(path: &Path, member: Option<&str>) -> Result<ArrayFile, Fault> {
    let mut file = untrusted::open(path).map_err(|refused| Fault::Io(refused.into()))?;
    let stamp = Stamp::of(&file.metadata()?)?;
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    let (rows, dims, scalar, values) = match ending.as_str() {
        "npy" => {
            let (header, [rows, dims], scalar) = numpy(&mut file, stamp.bytes)?;
            (rows as u64, dims, scalar, Values::Plain(header))
        }
        "npz" => {
            let member = npz::find(&file, member)?;
            let (header, [rows, dims], scalar) = numpy(&mut member.open(file)?, member.bytes)?;
            (rows as u64, dims, scalar, Values::Member(member, header))
        }
        "fvecs" => counted(&mut file, stamp.bytes, Scalar::F32)?,
        "bvecs" => counted(&mut file, stamp.bytes, Scalar::U8)?,
        _ => {
            let found = format!("a name that ends with .{ending}");
            return Err(Fault::unfit(found, ".npy, .npz, .fvecs or .bvecs", "rename it, or save it with np.save"));
        }
    };
    Ok(ArrayFile { path: path.to_owned(), rows, dims, scalar, stamp, values })
}

/// The bytes of the header, the shape and the type of a numpy array of `bytes` bytes in all.
fn numpy(source: &mut impl Read, bytes: u64) -> Result<(u64, [usize; 2], Scalar), Fault> {
    let header = NpyHeader::read(source).map_err(|error| match error {
        // What a decoder finds, or a checksum.
        HeaderError::Io(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            Fault::unfit(format!("an array that does not unpack: {error}"), EXPECTED, DAMAGED)
        }
        HeaderError::Io(error) => Fault::Io(error),
        error => Fault::unfit(error.to_string(), EXPECTED, DAMAGED),
    })?;
    let shape = header.shape();
    let Some(scalar) = Scalar::of(&header.descr) else {
        return Err(match header.descr.as_str() {
            "|O" => {
                let cure = "save it with np.save(file, np.stack(list(x)).astype(\"f4\"))";
                Fault::unfit(format!("Python objects of shape {shape}, which only Python can read"), EXPECTED, cure)
            }
            records if records.starts_with('[') => Fault::unfit(
                format!("records of {records}"),
                EXPECTED,
                "save the vectors alone, as in np.save(file, x[\"embedding\"])",
            ),
            other => Fault::unfit(format!("values of type {other}"), EXPECTED, SAVE),
        });
    };
    let &[rows, dims] = header.shape.as_slice() else {
        let cure = "save one vector a row, as in np.save(file, x.reshape(rows, dimensions))";
        return Err(Fault::unfit(format!("an array of shape {shape}"), EXPECTED, cure));
    };
    if header.fortran_order {
        return Err(Fault::unfit("an array in Fortran order, column by column", EXPECTED, SAVE));
    }
    let values = bytes - header.bytes.min(bytes);
    check_dims(dims)?;
    let expected = (rows as u128) * (dims as u128) * (scalar.bytes() as u128);
    if expected != u128::from(values) {
        let found = format!("{values} bytes of values for shape {shape} of {}, which takes {expected}", scalar.name());
        return Err(Fault::unfit(found, EXPECTED, DAMAGED));
    }
    Ok((header.bytes, [rows, dims], scalar))
}

/// A file of vectors behind their lengths, of which only the first is looked at.
fn counted(file: &mut File, bytes: u64, scalar: Scalar) -> Result<(u64, usize, Scalar, Values), Fault> {
    let mut first = [0; COUNT];
    if bytes < COUNT as u64 {
        return Err(Fault::unfit(format!("{bytes} bytes"), COUNTED, DAMAGED));
    }
    file.read_exact(&mut first)?;
    let told = i32::from_le_bytes(first);
    let dims = usize::try_from(told)
        .map_err(|_| Fault::unfit(format!("a first vector of {told} values"), COUNTED, DAMAGED))?;
    check_dims(dims)?;
    let row = (COUNT + dims * scalar.bytes()) as u64;
    if !bytes.is_multiple_of(row) {
        let found = format!("{bytes} bytes, not a multiple of the {row} that a vector of {dims} takes");
        return Err(Fault::unfit(found, COUNTED, DAMAGED));
    }
    Ok((bytes / row, dims, scalar, Values::Counted))
}

fn check_dims(dims: usize) -> Result<(), Fault> {
    match dims {
        1..=MOST_DIMENSIONS => Ok(()),
        _ => Err(Fault::unfit(format!("vectors of {dims} values"), "from 1 to 1,048,576", DAMAGED)),
    }
}
