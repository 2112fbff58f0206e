//! Who works in a folder: a lock that the system releases when its holder ends, however it ends, and in it the holder's name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A folder that is locked until this is dropped.
pub struct Lock {
    file: File,
    path: PathBuf,
    /// Who held it last and did not come to let go of it.
    left: Option<Holder>,
}

/// A process, as others can find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub host: String,
    /// Of the host, since it was switched on; empty where the system does not tell.
    boot: String,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} on host {}", self.pid, self.host)
    }
}

/// Why a folder cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{folder}: another run is working on this output{}; wait for it, or stop it first", .holder.as_ref().map(|holder| format!(": {holder}")).unwrap_or_default(), folder = .folder.display())]
    Busy { folder: PathBuf, holder: Option<Holder> },
    #[error(
        "{path}: {holder} was working on this output and has not said that it ended; on a shared file system nobody can see \
         from here whether it still does. If it is gone, delete this file and run again: the run goes on from there",
        path = .path.display()
    )]
    Elsewhere { path: PathBuf, holder: Holder },
    #[error("{path}: cannot be locked: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl Lock {
    /// Locks a folder, which is made where it is not there.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let path = folder.join("lock");
        let failed = |source| LockError::Io { path: path.clone(), source };
        loop {
            fs::create_dir_all(folder).map_err(|source| LockError::Io { path: folder.to_owned(), source })?;
            // Not truncated: it may name a holder.
            let mut file = match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path) {
                // The folder has gone again with the run that it belonged to.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(failed)?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::Busy { folder: folder.to_owned(), holder: Holder::read(&mut file) });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            if !is_at(&file, &path) {
                // What was locked is a file without a name: its run removed it in between.
                continue;
            }
            let (me, left) = (Holder::myself(), Holder::read(&mut file));
            if let Some(holder) = left.clone().filter(|left| left.may_live(&me, is_local(&file))) {
                return Err(LockError::Elsewhere { path, holder });
            }
            me.write(&mut file).map_err(failed)?;
            return Ok(Self { file, path, left });
        }
    }

    /// Who held it last, where that ended without letting go: killed, or with its machine.
    pub fn left(&self) -> Option<&Holder> {
        self.left.as_ref()
    }

    /// Names the file that is locked: on one machine no other file has this name, in whatever container.
    #[cfg(feature = "cluster")]
    pub fn id(&self) -> String {
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let (device, number) = self.file.metadata().map(|file| inode(&file)).unwrap_or_default();
        format!("{} {device}:{number}", path.display())
    }

    /// The file that is locked.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Lock {
    /// Says that this run has ended. The system unlocks the file when it is closed.
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}

impl Holder {
    /// This one.
    pub(super) fn myself() -> Self {
        Self { pid: std::process::id(), host: host(), boot: boot() }
    }

    fn read(file: &mut File) -> Option<Self> {
        let mut text = String::new();
        file.rewind().ok()?;
        // A line is short; whatever else it is, it names nobody.
        file.take(4_096).read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn write(&self, file: &mut File) -> io::Result<()> {
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(serde_json::to_string(self)?.as_bytes())
    }

    /// Whether both are of one machine, and neither of a container that is told from it.
    #[cfg(feature = "cluster")]
    pub(super) fn is_of_one_machine(&self, other: &Self) -> bool {
        !self.boot.is_empty() && self.boot == other.boot && self.host == other.host
    }

    /// Whether one that left without a word may still be at work although its lock is not to be seen: not where one machine
    /// keeps all locks of a file system. A system that runs since the same moment is the same machine, whatever its name in a
    /// container is.
    fn may_live(&self, me: &Self, local: bool) -> bool {
        let same = self.host == me.host || (!me.boot.is_empty() && self.boot == me.boot);
        !local && !same
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    matches!((file.metadata(), fs::metadata(path)), (Ok(locked), Ok(named)) if inode(&locked) == inode(&named))
}

/// What tells files apart, whatever their names are.
#[cfg(unix)]
fn inode(file: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

#[cfg(all(not(unix), feature = "cluster"))]
fn inode(_: &fs::Metadata) -> (u64, u64) {
    (0, 0)
}

/// Elsewhere a file that is open keeps its name.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

fn host() -> String {
    let told = ["HOSTNAME", "COMPUTERNAME"].iter().find_map(|name| std::env::var(name).ok());
    kernel("hostname").or(told).unwrap_or_else(|| "unknown".to_owned())
}

fn boot() -> String {
    kernel("random/boot_id").unwrap_or_default()
}

/// What Linux tells of itself.
fn kernel(name: &str) -> Option<String> {
    let told = fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).ok()?;
    Some(told.trim().to_owned()).filter(|told| !told.is_empty())
}

/// Whether a file lies in a file system that one machine has to itself; of one that is not known, better not.
#[cfg(target_os = "linux")]
fn is_local(file: &File) -> bool {
    /// ext, XFS, Btrfs, tmpfs, ramfs, overlayfs, F2FS, ZFS, bcachefs.
    const LOCAL: [u32; 9] = [
        0xef53,
        0x5846_5342,
        0x9123_683e,
        0x0102_1994,
        0x8584_58f6,
        0x794c_7630,
        0xf2f5_2010,
        0x2fc1_2fc1,
        0xca45_1a4e,
    ];
    rustix::fs::fstatfs(file).is_ok_and(|found| LOCAL.contains(&(found.f_type as u32)))
}

#[cfg(not(target_os = "linux"))]
fn is_local(_: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(host: &str, boot: &str) -> Holder {
        Holder { pid: 7, host: host.into(), boot: boot.into() }
    }

    #[test]
    fn the_second_is_told_who_the_first_is() {
        let room = tempfile::tempdir().unwrap();
        let folder = room.path().join("x");
        let first = Lock::acquire(&folder).unwrap();
        assert_eq!(first.left(), None);
        let told = Lock::acquire(&folder).err().unwrap().to_string();
        assert!(told.contains(&format!("process {} on host {}", std::process::id(), host())), "{told}");
        drop(first);
        assert_eq!(Lock::acquire(&folder).unwrap().left(), None, "the first has let go");
    }

    #[test]
    fn one_that_was_killed_is_named_and_followed() {
        let room = tempfile::tempdir().unwrap();
        let gone = serde_json::to_string(&holder(&host(), "an earlier boot")).unwrap();
        fs::write(room.path().join("lock"), gone).unwrap();
        assert_eq!(Lock::acquire(room.path()).unwrap().left().unwrap().pid, 7);
        fs::write(room.path().join("lock"), "no holder").unwrap();
        assert_eq!(Lock::acquire(room.path()).unwrap().left(), None);
    }

    #[test]
    fn only_another_machine_that_shares_the_file_system_may_still_be_at_work() {
        let me = holder("a", "1");
        assert!(holder("b", "2").may_live(&me, false));
        assert!(!holder("b", "2").may_live(&me, true), "one machine keeps all locks");
        assert!(!holder("a", "2").may_live(&me, false), "it has been started again");
        assert!(!holder("b", "1").may_live(&me, false), "another container");
        assert!(holder("b", "").may_live(&holder("a", ""), false));
    }

    #[test]
    #[cfg(unix)]
    fn a_lock_whose_file_was_removed_locks_nothing() {
        let room = tempfile::tempdir().unwrap();
        let folder = room.path().join("x");
        let first = Lock::acquire(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(!is_at(&first.file, first.path()));
        assert!(Lock::acquire(&folder).is_ok());
    }
}
