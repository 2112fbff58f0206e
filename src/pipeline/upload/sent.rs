//! Notes of what a store has got, so that an upload goes on where it was interrupted.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::UploadError;
use crate::disk;
use crate::manifest::Listed;
use crate::remote::{Object, Version};

/// A folder with a note for each file that was sent.
pub struct Sent {
    folder: PathBuf,
}

/// What was sent, and what the store called it.
#[derive(Serialize, Deserialize)]
struct Note {
    bytes: u64,
    sha256: String,
    version: Version,
}

impl Sent {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Whether anything may have been sent.
    pub fn has_begun(&self) -> bool {
        self.folder.is_dir()
    }

    /// From here on something may be.
    ///
    /// # Errors
    /// When that cannot be noted.
    pub fn begin(&self) -> Result<(), UploadError> {
        let begin = || {
            fs::create_dir_all(&self.folder)?;
            disk::sync_folder(self.folder.parent().unwrap_or(Path::new(".")))
        };
        begin().map_err(|source| UploadError::Note { path: self.folder.clone(), source })
    }

    /// Notes that a file has arrived.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn note(&self, listed: &Listed, version: Version) -> Result<(), UploadError> {
        let path = self.path(listed);
        let note = Note { bytes: listed.bytes, sha256: listed.sha256.clone(), version };
        disk::keep(&path, &note).map_err(|source| UploadError::Note { path, source })
    }

    /// Whether an object is for certain the one that was made of this file.
    pub fn is_known(&self, listed: &Listed, found: &Object) -> bool {
        self.version(listed)
            .is_some_and(|sent| found.bytes == listed.bytes && sent.is_telling() && sent == found.version)
    }

    /// Whether an object may be the one that was made of this file: not every store tells.
    pub fn may_be(&self, listed: &Listed, found: &Object) -> bool {
        self.version(listed).is_some_and(|sent| found.bytes == listed.bytes && !sent.contradicts(&found.version))
    }

    /// What the store called the object, where this very file was sent.
    fn version(&self, listed: &Listed) -> Option<Version> {
        let Note { bytes, sha256, version } = disk::kept(&self.path(listed)).ok()?;
        (bytes == listed.bytes && sha256 == listed.sha256).then_some(version)
    }

    fn path(&self, listed: &Listed) -> PathBuf {
        self.folder.join(listed.path.replace('/', "-") + ".json")
    }
}
