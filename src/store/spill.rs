//! Bytes that a search derives from a store and need not be kept: written to a file without a name, read as a map.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use memmap2::Mmap;

use super::Prepared;

/// A file beside a prepared store, or where that [spills to](Prepared::spilling_to), that disappears with its last user. Written before it is mapped, so that a full disk
/// is an error and not a signal.
pub struct Spill(BufWriter<File>);

impl Spill {
    pub fn beside(store: &Prepared) -> io::Result<Self> {
        Ok(Self(BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(store.spills())?)))
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// What was written; `None` if nothing was.
    pub fn finish(self) -> io::Result<Option<Mmap>> {
        let file = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        if file.metadata()?.len() == 0 {
            return Ok(None);
        }
        // SAFETY: the file has no name, so nobody else can open and change it; this handle is dropped here.
        #[allow(unsafe_code)]
        unsafe {
            Mmap::map(&file).map(Some)
        }
    }
}
