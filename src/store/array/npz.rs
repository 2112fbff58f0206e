//! Arrays in an `.npz`, as `np.savez` and `np.savez_compressed` write them: members of a zip archive, stored or deflated.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};

use flate2::bufread::DeflateDecoder;
use rawzip::{CompressionMethod, RECOMMENDED_BUFFER_SIZE, ZipArchive};

use super::error::Fault;
use crate::words::visible;

/// Where the bytes of a member lie, and what they must come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Without the `.npy` that `np.savez` appends.
    pub name: String,
    /// Its bytes once unpacked: an array with its header.
    pub bytes: u64,
    start: u64,
    packed: u64,
    deflated: bool,
    crc: u32,
}

const EXPECTED: &str = "a zip archive with an array, stored or deflated";
const REWRITE: &str = "write it again with np.savez or np.savez_compressed";

/// How many names a message lists.
const LISTED: usize = 8;

/// The member of this name, or the only one.
///
/// # Errors
/// When there is none, or several and no name; when it is packed or encrypted as no `.npz` is, or lies outside the file.
pub(super) fn find(file: &File, wanted: Option<&str>) -> Result<Member, Fault> {
    let damaged = |error: rawzip::Error| Fault::unfit(format!("no sound archive: {error}"), EXPECTED, REWRITE);
    let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
    let archive = ZipArchive::from_file(file.try_clone()?, &mut buffer).map_err(damaged)?;
    let (mut names, mut arrays, mut found) = (Vec::new(), 0, None);
    let mut entries = archive.entries(&mut buffer);
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        let name = String::from_utf8_lossy(entry.file_path().as_ref()).into_owned();
        let Some(name) = name.strip_suffix(".npy") else { continue };
        if names.len() < LISTED {
            names.push(visible(name).to_string());
        }
        arrays += 1;
        if wanted.is_none_or(|wanted| wanted == name) {
            let method = (entry.flags().is_encrypted(), entry.compression_method());
            let twice = found.replace((name.to_owned(), entry.wayfinder(), method, entry.crc32())).is_some();
            if twice && wanted.is_some() {
                return Err(Fault::unfit(format!("two arrays of the name {}", visible(name)), EXPECTED, REWRITE));
            }
        }
    }
    let more = if arrays > names.len() { format!(" and {} more", arrays - names.len()) } else { String::new() };
    let list = || format!("{}{more}", names.join(", "));
    let (name, place, method, crc) = match (found, wanted) {
        (Some(found), Some(_)) => found,
        (Some(found), None) if arrays == 1 => found,
        (Some(_), None) => {
            let cure = format!("say which of {}, as in \"file.npz:{}\"", list(), names[0]);
            return Err(Fault::unfit(format!("{arrays} arrays"), "one", cure));
        }
        (None, _) if arrays == 0 => return Err(Fault::unfit("no array in it", EXPECTED, REWRITE)),
        (None, _) => return Err(Fault::unfit("no array of this name", EXPECTED, format!("it holds {}", list()))),
    };
    let deflated = match method {
        (false, CompressionMethod::STORE) => false,
        (false, CompressionMethod::DEFLATE) => true,
        (true, _) => return Err(Fault::unfit("an encrypted array", EXPECTED, REWRITE)),
        (_, other) => {
            let name = other.name().map_or_else(|| format!("method {}", other.as_u16()), str::to_owned);
            return Err(Fault::unfit(format!("an array packed with {name}"), EXPECTED, REWRITE));
        }
    };
    let (start, end) = archive.get_entry(place).map_err(damaged)?.compressed_data_range();
    let (bytes, packed, length) = (place.uncompressed_size_hint(), end - start, file.metadata()?.len());
    if end > length || (!deflated && packed != bytes) {
        let found = format!("{bytes} bytes of an array in bytes {start} to {end} of a file of {length}");
        return Err(Fault::unfit(found, EXPECTED, REWRITE));
    }
    Ok(Member { name, bytes, start, packed, deflated, crc })
}

impl Member {
    /// Its bytes, unpacked. That they are those that were packed is known at their end, which must be read.
    pub fn open(&self, mut file: File) -> io::Result<impl Read + Send + use<>> {
        file.seek(SeekFrom::Start(self.start))?;
        let packed = BufReader::with_capacity(1 << 18, file.take(self.packed));
        let unpacked =
            if self.deflated { Unpacked::Deflated(DeflateDecoder::new(packed)) } else { Unpacked::Stored(packed) };
        Ok(Checked { unpacked, left: self.bytes, crc: self.crc, hasher: crc32fast::Hasher::new() })
    }
}

enum Unpacked {
    Stored(BufReader<Take<File>>),
    Deflated(DeflateDecoder<BufReader<Take<File>>>),
}

/// Gives no byte more than were told, and the last only where their checksum holds.
struct Checked {
    unpacked: Unpacked,
    left: u64,
    crc: u32,
    hasher: crc32fast::Hasher,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..most];
        let read = match &mut self.unpacked {
            Unpacked::Stored(bytes) => bytes.read(buffer)?,
            Unpacked::Deflated(bytes) => bytes.read(buffer)?,
        };
        self.hasher.update(&buffer[..read]);
        self.left -= read as u64;
        if self.left == 0 && read > 0 && self.hasher.clone().finalize() != self.crc {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is not that of what was packed"));
        }
        Ok(read)
    }
}
