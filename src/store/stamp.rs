//! Whether a file is still the one that was looked at, as far as the system tells without reading it.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Size, time of change, and which file it is: one that was put in another's place is another, whatever its times say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub bytes: u64,
    pub modified: SystemTime,
    /// Device and number; the same for all where the system has none.
    place: (u64, u64),
}

impl Stamp {
    pub fn of(found: &Metadata) -> io::Result<Self> {
        Ok(Self { bytes: found.len(), modified: found.modified()?, place: place(found) })
    }

    /// Whether what has this name is still the same.
    pub fn is_still_at(self, path: &Path) -> io::Result<bool> {
        Ok(Self::of(&fs::metadata(path)?)? == self)
    }
}

#[cfg(unix)]
fn place(found: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

#[cfg(not(unix))]
fn place(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_file_that_grows_shrinks_or_is_put_in_anothers_place_is_not_the_same() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("x");
        fs::write(&path, "four").unwrap();
        let stamp = Stamp::of(&fs::metadata(&path).unwrap()).unwrap();
        let again = |text: &str| {
            fs::write(&path, text).unwrap();
            // However clever the tool that wrote it.
            File::options().write(true).open(&path).unwrap().set_modified(stamp.modified).unwrap();
            stamp.is_still_at(&path).unwrap()
        };
        assert!(again("four"));
        assert!(!again("fours") && !again("for"));
        let other = room.path().join("y");
        fs::write(&other, "four").unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(stamp.modified).unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(!cfg!(unix) || !stamp.is_still_at(&path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(stamp.is_still_at(&path).is_err());
    }
}
