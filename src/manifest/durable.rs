//! Files and folders that survive a power cut.

use std::fs::File;
use std::io;
use std::path::Path;

/// Makes the names inside a folder durable: a rename is only safe on disk once its folder is.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    // The parent of a plain name is empty: the current folder.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    // Elsewhere a folder cannot be opened as a file, and the file system orders this itself.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
