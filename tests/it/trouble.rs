//! Disks that are full or not to be written, inputs that change meanwhile, two runs on one output, names nobody expects: an error
//! that says so, the old output as it was, and a next run that goes on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::interrupted::{prepare, start};
use crate::support::{Draw, Room, Rows, STORE, sample, tree};

/// A store that takes a moment, and a pipeline that writes to `output`.
fn small(room: &Room, name: &str, more: &str) {
    let mut draw = Draw(9);
    let rows = Rows {
        vectors: (0..2_000).map(|_| (0..16).map(|_| draw.unit()).collect()).collect(),
        labels: (0..2_000).map(|row| Some(format!("c{}", row % 25))).collect(),
        teams: vec![None; 2_000],
    };
    rows.write(&room.path("store.parquet"));
    room.write(name, &format!("{STORE}{more}"));
}

/// A file system in memory of so many KiB, where this process may mount one.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: PathBuf, kib: u32) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"]).arg(&at).stderr(Stdio::null());
        match mount.status() {
            Ok(status) if status.success() => Some(Self(at)),
            _ => {
                eprintln!("SKIPPED: mounting a file system takes rights that this process does not have");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        assert!(
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap().success()
        );
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_and_gone_on_from() {
    let room = Room::new();
    for (index, work) in [("exact", "disk"), ("hnsw", "disk"), ("cells", "elsewhere")] {
        let asked = format!("search.index = '{index}'\nmine.positives.per_anchor = 8\noutput.order = 'random'\n");
        small(&room, "p.toml", &format!("{asked}output.path = 'disk/out'\nrun.work = '{work}'\n"));
        let whole = room.run("whole", &format!("{STORE}{asked}"));
        let Some(disk) = Mounted::new(room.path("disk"), 4_096) else { return };
        room.miner(&["run", "p.toml", "--quiet", "--set", "mine.seed=3"]).exits(0);
        let old = tree(&room.path("disk/out"));
        let mut failed = 0;
        // From far too small: each time a little more room, which the files of others leave.
        for free in (0..40).map(|step| step * 150) {
            let filler = room.path("disk/filler");
            let _ = fs::remove_file(&filler);
            fill(&filler, free << 10);
            let ran = room.miner(&["run", "p.toml", "--quiet", "--overwrite"]);
            if ran.status == Some(0) {
                break;
            }
            failed += 1;
            assert_eq!(ran.status, Some(1), "{}", ran.stderr);
            assert!(ran.stderr.contains("os error 28") && ran.stderr.contains("make room"), "{}", ran.stderr);
            assert!(tree(&room.path("disk/out")) == old, "{free} KiB free");
        }
        assert!(failed > 0, "{index}: the disk was never full");
        let manifest =
            |out: &Path| tree(out).into_iter().filter(|(name, _)| name.starts_with("triplets")).collect::<Vec<_>>();
        assert!(manifest(&room.path("disk/out")) == manifest(&whole), "{index}");
        drop(disk);
        for name in ["whole", "elsewhere"] {
            let _ = fs::remove_dir_all(room.path(name));
        }
    }
}

/// Writes a file until so many bytes are free.
fn fill(path: &Path, free: u64) {
    use std::io::Write;
    let mut file = File::create(path).unwrap();
    while file.write_all(&[0; 4_096]).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(free)).unwrap();
}

#[test]
fn a_file_that_may_not_grow_is_an_error_and_not_the_end_of_the_process() {
    let room = Room::new();
    small(&room, "p.toml", "output.path = 'out'\n");
    let run = format!("ulimit -f 64; exec {} run p.toml --quiet", env!("CARGO_BIN_EXE_miner"));
    let ended = Command::new("sh").args(["-c", &run]).current_dir(room.path("")).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(told.contains("store") && told.contains("os error 27"), "{told}");
    room.miner(&["run", "p.toml", "--quiet"]).exits(0);
}

#[test]
fn an_output_that_cannot_be_written_is_told_before_any_work() {
    let room = Room::new();
    small(&room, "p.toml", "output.path = 'disk/out'\nrun.work = 'work'\n");
    let Some(disk) = Mounted::new(room.path("disk"), 4_096) else { return };
    disk.remount("ro");
    let told = room.miner(&["run", "p.toml", "--quiet"]).exits(1).stderr;
    assert!(told.contains("os error 30") && told.contains(".out.miner"), "{told}");
    assert!(!room.path("work").exists(), "nothing was read yet");
    disk.remount("rw");
    room.miner(&["run", "p.toml", "--quiet"]).exits(0);
    assert!(room.path("disk/out/manifest.json").exists());
    assert_eq!(fs::read_dir(room.path("work")).unwrap().count(), 0, "scratch is gone from both places");
    assert_eq!(fs::read_dir(room.path("disk")).unwrap().count(), 1);
}

#[test]
fn without_permission_nothing_is_touched() {
    use std::os::unix::fs::PermissionsExt;
    let room = Room::new();
    small(&room, "p.toml", "output.path = 'closed/out'\n");
    fs::create_dir(room.path("closed")).unwrap();
    for path in ["", "p.toml", "store.parquet"] {
        fs::set_permissions(room.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Root may write anywhere: then the run is somebody else's.
    let mut run = match unprivileged() {
        Some(run) => run,
        None => {
            fs::set_permissions(room.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
            Command::new(env!("CARGO_BIN_EXE_miner"))
        }
    };
    let ended = run.args(["run", "p.toml", "--quiet"]).current_dir(room.path("")).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(told.contains("os error 13") && told.contains(".out.miner"), "{told}");
    fs::set_permissions(room.path("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    room.miner(&["run", "p.toml", "--quiet"]).exits(0);
}

/// For root, the program without its rights; the program is copied to where anybody may run it.
fn unprivileged() -> Option<Command> {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let program = std::env::temp_dir().join(format!("miner-{}", std::process::id()));
    let mut command = Command::new("sh");
    command.args([
        "-c",
        // The shell copies it: a process that is started here meanwhile would hold the copy open for writing.
        "program=$1; cp \"$2\" \"$program\"; shift 2; setpriv --reuid=65534 --regid=65534 --clear-groups \"$program\" \"$@\"; status=$?; \
        rm \"$program\"; exit $status",
        "sh",
    ]);
    command.arg(program).arg(env!("CARGO_BIN_EXE_miner"));
    Some(command)
}

#[test]
fn what_stands_in_the_way_is_told_and_stays() {
    let room = Room::new();
    small(&room, "p.toml", "output.path = 'out'\n");
    room.write("out", "mine");
    let told = room.miner(&["run", "p.toml", "--quiet", "--overwrite"]).exits(2).stderr;
    assert!(told.contains("output.path") && told.contains("a file; expected a folder"), "{told}");
    assert_eq!(fs::read_to_string(room.path("out")).unwrap(), "mine");
    let told = room.miner(&["run", "p.toml", "--quiet", "--set", "output.path=out/below"]).exits(1).stderr;
    assert!(told.contains("os error 20"), "{told}");
    room.write("a/.out.miner", "in the way");
    let told = room.miner(&["run", "p.toml", "--quiet", "--set", "output.path=a/out"]).exits(1).stderr;
    assert!(told.contains(".out.miner"), "{told}");
}

#[test]
fn names_as_long_as_systems_take_them_and_no_longer() {
    let room = Room::new();
    small(&room, "p.toml", "output.path = 'out'\n");
    let named = |name: &str| room.miner(&["run", "p.toml", "--quiet", "--set", &format!("output.path={name}")]);
    let longest = "x".repeat(255);
    named(&longest).exits(0);
    assert!(room.path(&longest).join("manifest.json").exists());
    let told = named(&"x".repeat(256)).exits(1).stderr;
    assert!(told.contains("os error 36"), "{told}");
    let deep = vec!["y".repeat(250); 14].join("/");
    named(&deep).exits(0);
    let told = named(&vec!["y".repeat(250); 17].join("/")).exits(1).stderr;
    assert!(told.contains("os error 36"), "{told}");
}

#[test]
#[cfg(target_os = "linux")]
fn names_that_are_no_text_are_kept_apart_as_outputs_and_refused_as_inputs() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let room = Room::new();
    small(&room, "p.toml", "output.path = 'out'\n");
    let pipeline = fs::read_to_string(room.path("p.toml")).unwrap();
    let at = |path: &str| pipeline.replace("store.parquet", path);
    let run = |folder: &Path, text: &str| {
        fs::write(folder.join("p.toml"), text).unwrap();
        let mut run = Command::new(env!("CARGO_BIN_EXE_miner"));
        let ended =
            run.args(["run", "--quiet"]).arg(folder.join("p.toml")).current_dir(room.path("")).output().unwrap();
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    for name in [b"a\xff", b"a\xfe"] {
        let folder = room.path("").join(OsStr::from_bytes(name));
        fs::create_dir(&folder).unwrap();
        assert_eq!(run(&folder, &at(room.path("store.parquet").to_str().unwrap())), (Some(0), String::new()));
        assert!(folder.join("out/manifest.json").exists());
        fs::create_dir(folder.join("in")).unwrap();
        fs::copy(room.path("store.parquet"), folder.join("in").join(OsStr::from_bytes(b"\xff.parquet"))).unwrap();
        for path in ["in", "in/*.parquet"] {
            let (status, told) = run(&folder, &at(path));
            assert_eq!(status, Some(3), "{told}");
            assert!(told.contains("not UTF-8"), "{told}");
        }
    }
}

/// Stops the run while it mines, does something to its files, and lets it go on.
fn meanwhile(room: &Room, mut child: Child, change: impl Fn()) -> (Option<i32>, String) {
    let signal = |name: &str| Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    signal("-STOP");
    let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&change));
    signal("-CONT");
    let status = child.wait().unwrap().code();
    let mut told = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut told).unwrap();
    changed.expect("the change itself");
    assert!(!room.path("out").exists(), "{told}");
    (status, told)
}

#[test]
fn inputs_that_change_under_a_run_are_never_mixed() {
    let room = Room::new();
    prepare(&room, "");
    let store = room.path("store.parquet");
    let honest = fs::read(&store).unwrap();
    let modified = fs::metadata(&store).unwrap().modified().unwrap();
    let changes: [(&str, &dyn Fn()); 4] = [
        ("changed", &|| {
            // Another file in its place, of the same size and time.
            fs::write(room.path("other"), &honest).unwrap();
            File::options().write(true).open(room.path("other")).unwrap().set_modified(modified).unwrap();
            fs::rename(room.path("other"), &store).unwrap();
        }),
        ("changed", &|| File::options().append(true).open(&store).unwrap().set_len(honest.len() as u64 + 1).unwrap()),
        ("changed", &|| File::options().write(true).open(&store).unwrap().set_len(100).unwrap()),
        ("gone", &|| fs::remove_file(&store).unwrap()),
    ];
    for (number, (expected, change)) in changes.into_iter().enumerate() {
        fs::write(&store, &honest).unwrap();
        File::options().write(true).open(&store).unwrap().set_modified(modified).unwrap();
        let _ = fs::remove_dir_all(room.path(".out.miner"));
        let (status, told) = meanwhile(&room, start(&room), change);
        assert_eq!(status, Some(3), "{number}: {told}");
        assert!(told.contains("store.parquet") && told.contains(expected), "{number}: {told}");
    }
    fs::write(&store, &honest).unwrap();
    room.miner(&["run", "p.toml", "--quiet"]).exits(0);
}

#[test]
fn a_file_that_comes_under_a_run_is_seen() {
    let room = Room::new();
    prepare(&room, "");
    fs::create_dir(room.path("stores")).unwrap();
    fs::rename(room.path("store.parquet"), room.path("stores/a.parquet")).unwrap();
    let pipeline = fs::read_to_string(room.path("p.toml")).unwrap().replace("store.parquet", "stores");
    room.write("p.toml", &pipeline);
    let (status, told) = meanwhile(&room, start(&room), || {
        fs::copy(sample("glosses.parquet"), room.path("stores/b.parquet")).unwrap();
    });
    assert_eq!(status, Some(3), "{told}");
    assert!(told.contains("1 file at first, 2 now, or others"), "{told}");
}

/// The folder of a run may hold another output, where a process was killed as one had taken the other's place.
#[test]
fn parts_of_another_output_are_not_sealed_with_those_of_a_run() {
    let room = Room::new();
    prepare(&room, "output.rows_per_file = 40000\n");
    let mut first = start(&room);
    first.kill().unwrap();
    first.wait().unwrap();
    let scratch = fs::read_dir(room.path(".out.miner")).unwrap().map(|entry| entry.unwrap().path());
    let run = scratch.filter(|path| path.is_dir()).find(|path| path.join("partitions").is_dir()).unwrap();
    let triplets = run.join("output/triplets");
    fs::create_dir_all(triplets.join("nested")).unwrap();
    for name in ["part-00000.parquet", "part-00017.parquet", "part-00000.csv"] {
        fs::write(triplets.join(name), "of another").unwrap();
    }
    room.miner(&["run", "p.toml", "--quiet"]).exits(0);
    room.miner(&["verify", "out"]).exits(0);
    let mut names: Vec<_> = tree(&room.path("out/triplets")).into_keys().collect();
    names.sort_unstable();
    assert_eq!(names, ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]);
}

#[test]
fn a_second_run_is_told_who_the_first_is() {
    let room = Room::new();
    prepare(&room, "");
    let mut first = start(&room);
    // However fast it is, it is not over before the others begin.
    Command::new("kill").args(["-STOP", &first.id().to_string()]).status().unwrap();
    for more in [vec![], vec!["--set", "run.work=elsewhere"], vec!["--fresh"]] {
        let told = room.miner(&[vec!["run", "p.toml", "--quiet"], more].concat()).exits(1).stderr;
        assert!(told.contains("another run is working on this output"), "{told}");
        assert!(told.contains(&format!("process {} on host ", first.id())), "{told}");
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let told = room.miner(&["run", "p.toml"]).exits(0).stderr;
    assert!(told.contains(&format!("process {} on host ", first.id())), "who was killed is told: {told}");
}
