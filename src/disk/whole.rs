//! Files that carry their own checksum: any bytes, then one line, `blake3 <64 hexadecimal digits>`.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempPath;

use super::{Hashing, digest_of, sync_folder};

const BEFORE: &[u8] = b"\nblake3 ";
const DIGITS: usize = 64;
const TRAILER: usize = BEFORE.len() + DIGITS + 1;

/// A file while it is written. Dropped before it is committed, it goes.
pub struct Whole {
    path: PathBuf,
    file: Hashing<BufWriter<File>>,
    /// Removed when dropped: half a file helps nobody, and may be what fills the disk.
    temporary: TempPath,
}

impl Whole {
    /// Begins the file that is to be `path`, beside it. No two files that are being written share a name, though both are to be
    /// `path`: other processes, and other machines, may be at the same work.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        let mut builder = tempfile::Builder::new();
        let temporary = builder.prefix(&name).suffix(".tmp").make_in(folder(path), |path| File::create_new(path))?;
        let (file, temporary) = temporary.into_parts();
        Ok(Self { path: path.to_owned(), file: Hashing::new(BufWriter::with_capacity(1 << 18, file)), temporary })
    }

    /// Adds the checksum, makes the file durable, and gives it its name.
    pub fn commit(self) -> io::Result<()> {
        let (mut file, digest) = self.file.finish();
        file.write_all(&[BEFORE, digest.as_bytes(), b"\n"].concat())?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        self.temporary.persist(&self.path).map_err(|failed| failed.error)?;
        sync_folder(folder(&self.path))
    }
}

impl Write for Whole {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Whether a file is there as it was committed.
///
/// # Errors
/// When it is not there, cannot be read, or is not what was written.
pub fn check(path: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let body = file.metadata()?.len().checked_sub(TRAILER as u64).ok_or_else(|| torn(path))?;
    let mut file = BufReader::with_capacity(1 << 18, file);
    let found = digest_of(file.by_ref().take(body))?;
    let mut trailer = Vec::with_capacity(TRAILER);
    file.read_to_end(&mut trailer)?;
    if is_trailer(&trailer, &found) { Ok(()) } else { Err(torn(path)) }
}

/// The bytes of a file as they were committed.
///
/// # Errors
/// Those of [`check`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = fs::read(path)?;
    let body = bytes.len().checked_sub(TRAILER).ok_or_else(|| torn(path))?;
    let found = blake3::hash(&bytes[..body]).to_hex();
    if !is_trailer(&bytes[body..], &found) {
        return Err(torn(path));
    }
    bytes.truncate(body);
    Ok(bytes)
}

fn is_trailer(trailer: &[u8], digest: &str) -> bool {
    trailer == [BEFORE, digest.as_bytes(), b"\n"].concat()
}

fn torn(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: its checksum does not hold", path.display()))
}

/// Commits a value as JSON.
pub fn keep(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut file = Whole::create(path)?;
    serde_json::to_writer_pretty(&mut file, value)?;
    file.commit()
}

/// A value that was [kept](keep).
///
/// # Errors
/// Those of [`check`], and when the value is one of another program.
pub fn kept<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&read(path)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_damage_is_seen() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a.json");
        keep(&path, &vec![0.1, 1e300]).unwrap();
        assert_eq!(kept::<Vec<f64>>(&path).unwrap(), [0.1, 1e300]);
        assert!(kept::<String>(&path).is_err(), "whole, but another value");
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1, "no temporary file stays");
        let honest = fs::read(&path).unwrap();
        let damaged = |bytes: &[u8], what: &str| {
            fs::write(&path, bytes).unwrap();
            assert!(check(&path).is_err() && read(&path).is_err(), "{what}");
        };
        for length in 0..honest.len() {
            damaged(&honest[..length], &format!("cut to {length} bytes"));
        }
        for at in 0..honest.len() {
            let mut bytes = honest.clone();
            bytes[at] ^= 1;
            damaged(&bytes, &format!("byte {at}"));
        }
        damaged(&[honest.as_slice(), b"\n"].concat(), "a byte more");
        fs::write(&path, &honest).unwrap();
        check(&path).unwrap();
    }

    #[test]
    fn what_is_not_committed_leaves_nothing_behind() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a");
        fs::write(&path, "as it was").unwrap();
        let mut file = Whole::create(&path).unwrap();
        file.write_all(&[7; 1 << 20]).unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "as it was");
        fs::remove_file(&path).unwrap();
        fs::create_dir_all(path.join("in the way")).unwrap();
        assert!(Whole::create(&path).unwrap().commit().is_err());
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1);
    }
    #[test]
    fn two_that_write_one_file_at_once_both_succeed() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a");
        let mut files = [Whole::create(&path).unwrap(), Whole::create(&path).unwrap()];
        files.iter_mut().for_each(|file| file.write_all(&[7; 1 << 20]).unwrap());
        for file in files {
            file.commit().unwrap();
            assert_eq!(read(&path).unwrap(), [7; 1 << 20]);
        }
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1);
    }
}
