//! Mounts that only some processes see: a file system that is full, or a folder that is gone for one of them alone.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A process in a namespace of its own, which others enter. It ends with this, or with the test.
pub struct Namespace(Child);

impl Namespace {
    /// Begins one with a `script` that mounts. Where this user may not, nothing is given, and that is told.
    pub fn begin(script: &str) -> Option<Self> {
        let script = format!("{script} && echo ready && exec cat");
        let mut command = Command::new("unshare");
        command.args(ALONE).args(["sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut child) = command.spawn() else { return skipped("there is no unshare") };
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let namespace = Self(child);
        if line == "ready\n" { Some(namespace) } else { skipped("this user may not mount anything") }
    }

    /// With a file system of so many MiB, in memory, at a folder.
    pub fn small(folder: &Path, mebibytes: u32) -> Option<Self> {
        Self::begin(&format!("mount -t tmpfs -o size={mebibytes}m none '{}'", folder.display()))
    }

    /// The same command, for a process in the namespace.
    pub fn command(&self, command: &Command) -> Command {
        let mut entered = entering(self.0.id());
        // Whoever enters begins at the root.
        entered.args(["sh", "-c", "cd \"$0\" && exec \"$@\""]).arg(command.get_current_dir().unwrap());
        entered.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        entered.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        entered
    }

    /// A path as it is seen there.
    pub fn sees(&self, path: &Path) -> PathBuf {
        Path::new("/proc").join(self.0.id().to_string()).join("root").join(path.strip_prefix("/").unwrap())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn skipped<T>(why: &str) -> Option<T> {
    eprintln!("skipped: {why}");
    None
}

/// What a process needs to mount something for itself alone.
const ALONE: [&str; 2] = ["--map-root-user", "--mount"];

/// The same command, in a namespace of its own that is named by its process.
pub fn alone(command: &Command) -> Command {
    let mut unshared = Command::new("unshare");
    unshared.args(ALONE).arg(command.get_program()).args(command.get_args());
    unshared.current_dir(command.get_current_dir().unwrap()).stdin(Stdio::null());
    unshared
}

/// A command in the namespace of a process.
pub fn entering(process: u32) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &process.to_string(), "--user", "--mount", "--preserve-credentials"]);
    command
}
