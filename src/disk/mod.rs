//! Floor 0. *What survives a crash?* Files that are there whole or not at all, and that say so of themselves. Knows nothing
//! of what they hold. Files of somebody else's are opened with care: see [`untrusted`].
//!
//! A [`Whole`] file grows under another name, ends with a checksum, is synced, renamed, and then its folder is synced. Whoever
//! comes after a crash takes it only if the checksum holds; a torn or damaged file is one that is not there. A file in a
//! format of others (an array, a table, a part) has no room for a checksum: a [note](keep) beside it holds its [`digest`].

mod digest;
mod near;
pub mod untrusted;
mod whole;

pub use digest::{Hashing, digest, digest_of};
pub use near::hint;
pub use whole::{Whole, check, keep, kept, read};

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes a file that somebody else wrote durable.
pub fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes the names inside a folder durable: a rename is only safe on disk once its folder is.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    // The parent of a plain name is empty: the current folder.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    // Elsewhere a folder cannot be opened as a file, and the file system orders this itself.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Deletes a folder and all that is in it, where it is there.
pub fn remove_folder(path: &Path) -> io::Result<()> {
    absent_is_well(fs::remove_dir_all(path))
}

/// Deletes a file, where it is there.
pub fn remove_file(path: &Path) -> io::Result<()> {
    absent_is_well(fs::remove_file(path))
}

fn absent_is_well(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Bytes that may still be written to the file system of a folder.
#[cfg(unix)]
pub fn room(folder: &Path) -> io::Result<u64> {
    let system = rustix::fs::statvfs(folder)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// Bytes that may still be written to the file system of a folder: as many as there are, where nobody tells.
#[cfg(not(unix))]
pub fn room(_: &Path) -> io::Result<u64> {
    Ok(u64::MAX)
}

/// Lets two folders of one file system change places, at once: at no moment is either name missing.
///
/// # Errors
/// Where the system or the file system cannot do that; nothing has changed then.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
pub fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

/// Lets two folders of one file system change places, where the system can do that at once: here it cannot.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
pub fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn folders_change_places() {
        let room = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| room.path().join(name));
        for path in [&a, &b] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("who"), path.file_name().unwrap().as_encoded_bytes()).unwrap();
        }
        exchange(&a, &b).unwrap();
        assert_eq!(fs::read(a.join("who")).unwrap(), b"b");
        assert_eq!(fs::read(b.join("who")).unwrap(), b"a");
        assert!(exchange(&a, &room.path().join("gone")).is_err());
        assert_eq!(fs::read(a.join("who")).unwrap(), b"b");
    }

    #[test]
    fn what_is_not_there_is_removed_already() {
        let room = tempfile::tempdir().unwrap();
        remove_folder(&room.path().join("x")).unwrap();
        remove_file(&room.path().join("x")).unwrap();
        fs::write(room.path().join("x"), "").unwrap();
        assert!(remove_folder(&room.path().join("x/y")).is_err(), "a file in the way is told");
    }
}
