//! Files that somebody else may have prepared: a link that leads elsewhere, a pipe that never ends, a file without end.
//!
//! Only regular files are opened, and opening never waits. Below a folder no link is followed on the way, by whatever name: folders
//! are opened one in the other, so that none can be exchanged for a link in between.

use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::{Component, Path};

use thiserror::Error;

/// Why such a file is not read; told as what was found.
#[derive(Debug, Error)]
pub enum Refused {
    #[error("no such file")]
    Absent,
    #[error("a path that leads out of the folder")]
    Outside,
    #[error("{0}, not a regular file")]
    NotAFile(&'static str),
    #[error("larger than {most} bytes")]
    TooLarge { most: u64 },
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // In a file there is none either.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Absent,
            _ => Self::Io(error),
        }
    }
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Absent => io::ErrorKind::NotFound.into(),
            Refused::Io(error) => error,
            other => Self::other(other.to_string()),
        }
    }
}

/// Opens a regular file, if need be through links.
///
/// # Errors
/// When there is none, or something else; at once, too, where reading would wait for a writer.
pub fn open(path: &Path) -> Result<File, Refused> {
    // Looked at first: to open a device may already do something to it.
    regular(fs::metadata(path)?.file_type())?;
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, unwaiting().bits().cast_signed());
    let file = options.open(path)?;
    // What it is may have changed meanwhile.
    regular(file.metadata()?.file_type())?;
    Ok(file)
}

/// Opens the regular file `name`, parts divided by `/`, inside `folder`.
///
/// # Errors
/// The same; and when the name leads out of the folder, or through a link.
pub fn open_inside(folder: &Path, name: &str) -> Result<File, Refused> {
    let name = Path::new(name);
    let parts: Option<Vec<_>> = name
        .components()
        .map(|part| match part {
            Component::Normal(part) => Some(part),
            _ => None,
        })
        .collect();
    let (parts, last) = match parts.as_deref() {
        Some([parts @ .., last]) => (parts, last),
        _ => return Err(Refused::Outside),
    };
    inside::open(folder, parts, last)
}

/// Reads the regular file `name` inside `folder`, of at most `most` bytes.
///
/// # Errors
/// Those of [`open_inside`], and when it is larger.
pub fn read_inside(folder: &Path, name: &str, most: u64) -> Result<Vec<u8>, Refused> {
    read(open_inside(folder, name)?, most)
}

/// Reads what is left of a file, at most `most` bytes. Nothing is set apart for a length that the file does not have.
///
/// # Errors
/// When it is larger, or cannot be read.
pub fn read(file: File, most: u64) -> Result<Vec<u8>, Refused> {
    if file.metadata()?.len() > most {
        return Err(Refused::TooLarge { most });
    }
    let mut bytes = Vec::new();
    // It may grow. One more, so that the limit is told from what lies beyond it.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(Refused::Io)?;
    if bytes.len() as u64 > most { Err(Refused::TooLarge { most }) } else { Ok(bytes) }
}

fn regular(found: FileType) -> Result<(), Refused> {
    if found.is_file() { Ok(()) } else { Err(Refused::NotAFile(kind(found))) }
}

/// What something is that is no regular file.
pub fn kind(found: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if found.is_fifo() {
            return "a named pipe";
        }
        if found.is_socket() {
            return "a socket";
        }
        if found.is_block_device() || found.is_char_device() {
            return "a device";
        }
    }
    match () {
        () if found.is_symlink() => "a symbolic link",
        () if found.is_dir() => "a folder",
        () => "something else",
    }
}

/// Neither waits for the other end of a pipe nor takes a terminal over.
#[cfg(unix)]
fn unwaiting() -> rustix::fs::OFlags {
    rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY
}

#[cfg(unix)]
mod inside {
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::path::Path;

    use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};

    use super::{Refused, regular, unwaiting};

    pub(super) fn open(folder: &Path, parts: &[&OsStr], last: &OsStr) -> Result<File, Refused> {
        let failed = |error| Refused::from(io::Error::from(error));
        let step = |at: &OwnedFd, part: &OsStr, expected: FileType, flags: OFlags| {
            // Looked at first, for a better word than the system's, and because to open a device may do something to it.
            let found = FileType::from_raw_mode(statat(at, part, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?.st_mode);
            if found != expected {
                return Err(Refused::NotAFile(kind(found)));
            }
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | flags;
            openat(at, part, flags, Mode::empty()).map_err(failed)
        };
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        let mut at = rustix::fs::open(folder, flags, Mode::empty()).map_err(failed)?;
        for part in parts {
            at = step(&at, part, FileType::Directory, OFlags::DIRECTORY)?;
        }
        let file = File::from(step(&at, last, FileType::RegularFile, unwaiting())?);
        regular(file.metadata()?.file_type())?;
        Ok(file)
    }

    fn kind(found: FileType) -> &'static str {
        match found {
            FileType::Symlink => "a symbolic link",
            FileType::Directory => "a folder",
            FileType::Fifo => "a named pipe",
            FileType::Socket => "a socket",
            FileType::BlockDevice | FileType::CharacterDevice => "a device",
            // In the place of a folder.
            FileType::RegularFile => "a path through a file",
            FileType::Unknown => "something else",
        }
    }
}

/// Where folders cannot be opened: a link that is put in between looking and opening is followed.
#[cfg(not(unix))]
mod inside {
    use std::ffi::OsStr;
    use std::fs::File;
    use std::path::Path;

    use super::{Refused, kind};

    pub(super) fn open(folder: &Path, parts: &[&OsStr], last: &OsStr) -> Result<File, Refused> {
        let mut place = folder.to_path_buf();
        for part in parts.iter().chain([&last]) {
            place.push(part);
            let found = place.symlink_metadata()?.file_type();
            if found.is_symlink() {
                return Err(Refused::NotAFile(kind(found)));
            }
        }
        super::open(&place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told<T>(outcome: Result<T, Refused>) -> String {
        outcome.err().map_or("opened".to_owned(), |refused| refused.to_string())
    }

    #[test]
    fn a_name_leads_to_a_file_inside_the_folder_or_nowhere() {
        let room = tempfile::tempdir().unwrap();
        let out = room.path().join("out");
        fs::create_dir_all(out.join("sub")).unwrap();
        fs::write(out.join("sub/a"), "inside").unwrap();
        fs::write(room.path().join("secret"), "outside").unwrap();
        assert_eq!(read_inside(&out, "sub/a", 6).unwrap(), b"inside");
        assert_eq!(told(read_inside(&out, "sub/a", 5)), "larger than 5 bytes");
        for name in ["../secret", "/etc/passwd", "", ".", "..", "./../secret", "sub/../../secret"] {
            assert_eq!(told(open_inside(&out, name)), "a path that leads out of the folder", "{name}");
        }
        assert_eq!(told(open_inside(&out, "b")), "no such file");
        assert_eq!(told(open_inside(&out, "sub")), "a folder, not a regular file");
        assert_eq!(told(open(&out)), "a folder, not a regular file");
        assert_eq!(told(open(&out.join("b"))), "no such file");
    }

    #[test]
    #[cfg(unix)]
    fn links_pipes_sockets_and_devices_are_refused_without_waiting() {
        use std::os::unix::fs::symlink;
        use std::os::unix::net::UnixListener;
        use std::process::Command;

        let room = tempfile::tempdir().unwrap();
        let out = room.path().join("out");
        fs::create_dir(&out).unwrap();
        fs::write(room.path().join("secret"), "outside").unwrap();
        symlink(room.path(), out.join("up")).unwrap();
        symlink(room.path().join("secret"), out.join("link")).unwrap();
        symlink("/dev/zero", out.join("zero")).unwrap();
        assert!(Command::new("mkfifo").arg(out.join("pipe")).status().unwrap().success());
        let _listener = UnixListener::bind(out.join("socket")).unwrap();
        fs::write(out.join("file"), "").unwrap();
        for (name, found) in [
            ("up/secret", "a symbolic link, not a regular file"),
            ("link", "a symbolic link, not a regular file"),
            ("zero", "a symbolic link, not a regular file"),
            ("pipe", "a named pipe, not a regular file"),
            ("socket", "a socket, not a regular file"),
            ("file/x", "a path through a file, not a regular file"),
        ] {
            assert_eq!(told(open_inside(&out, name)), found, "{name}");
        }
        // Whom the user names may be a link, but what it leads to is a file.
        open(&out.join("link")).unwrap();
        assert_eq!(told(open(&out.join("zero"))), "a device, not a regular file");
        assert_eq!(told(open(&out.join("pipe"))), "a named pipe, not a regular file");
    }
}
