//! BLAKE3 of bytes on their way.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Passes bytes on to `inner`, and hashes them.
pub struct Hashing<W> {
    inner: W,
    state: blake3::Hasher,
}

impl<W> Hashing<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, state: blake3::Hasher::new() }
    }

    /// What was written to, and the hash in hex.
    pub fn finish(self) -> (W, String) {
        (self.inner, self.state.finalize().to_hex().to_string())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.state.update(&buffer[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Hash, in hex, of a file from byte `from` on.
pub fn digest(path: &Path, from: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    digest_of(file)
}

/// Hash, in hex, of everything that is left to read.
pub fn digest_of(mut reader: impl Read) -> io::Result<String> {
    let (mut state, mut buffer) = (blake3::Hasher::new(), vec![0; 1 << 18]);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(state.finalize().to_hex().to_string()),
            Ok(read) => {
                state.update(&buffer[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
