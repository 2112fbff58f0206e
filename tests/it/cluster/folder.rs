//! A work folder that is full, or out of reach: for a while, for good, for one executor alone.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use super::namespace::{Namespace, alone, entering};
use super::{Cluster, LONG, PARTITIONS, Process, ROWS};

/// MiB of the work folder that all of it fits in.
const ROOM: u32 = 64;

/// Takes what room there is, but for some bytes. Gives what has to go for there to be room.
fn fill(cluster: &Cluster, but: u64) -> PathBuf {
    let path = cluster.work().join("filler");
    let mut file = File::create(&path).unwrap();
    while file.write_all(&[1; 1 << 16]).is_ok() {}
    let length = file.metadata().unwrap().len();
    file.set_len(length.saturating_sub(but)).unwrap();
    path
}

fn small() -> Option<Cluster> {
    let cluster = Cluster::within(super::room(ROWS, LONG), &[], |room| Namespace::small(&room.path("work"), ROOM));
    cluster.namespace.is_some().then_some(cluster)
}

#[test]
fn a_folder_that_is_full_before_anything_is_prepared_is_told() {
    let Some(cluster) = small() else { return };
    let _executor = cluster.executor("work");
    let filler = fill(&cluster, 1 << 20);
    let ran = cluster.run(60).ends().exits(1);
    let parts = ["/work/", "os error 28", "make room, and run the same command again"];
    assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{}", ran.stderr);
    fs::remove_file(filler).unwrap();
    cluster.run(60).ends().exits(0);
    cluster.is_as_local();
}

#[test]
fn a_folder_that_fills_up_while_executors_commit_is_told_and_gone_on_in() {
    let Some(cluster) = small() else { return };
    let _executors = [cluster.executor("work"), cluster.executor("work")];
    let run = cluster.run(60);
    cluster.until(PARTITIONS / 8);
    let filler = fill(&cluster, 0);
    run.tells("os error 28");
    fs::remove_file(filler).unwrap();
    cluster.until(PARTITIONS / 4);
    run.signal("-INT");
    run.ends().exits(130);

    // And nobody makes room within its patience.
    let run = cluster.run(4);
    cluster.until(PARTITIONS / 2);
    let filler = fill(&cluster, 0);
    let ran = run.ends().exits(1);
    let parts = ["/work/", "os error 28", "make room, and run the same command again"];
    assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{}", ran.stderr);
    fs::remove_file(filler).unwrap();
    assert!(cluster.committed() >= PARTITIONS / 2, "what is committed is kept");
    cluster.run(60).ends().exits(0);
    cluster.is_as_local();
}

#[test]
fn a_folder_that_is_out_of_reach_for_seconds_changes_nothing() {
    let cluster = Cluster::new(ROWS, LONG);
    let _executors = [cluster.executor("work"), cluster.executor("work")];
    let run = cluster.run(60);
    let [work, away] = ["work", "away"].map(|name| cluster.room.path(name));
    for (part, seconds) in [(8, 1), (4, 3), (2, 2)] {
        cluster.until(PARTITIONS / part);
        fs::rename(&work, &away).unwrap();
        sleep(Duration::from_secs(seconds));
        fs::rename(&away, &work).unwrap();
    }
    let ran = run.ends().exits(0);
    assert_eq!(ran.stderr.matches("the work folder cannot be used").count(), 1, "{}", ran.stderr);
    cluster.is_as_local();
}

#[test]
fn a_folder_that_does_not_come_back_ends_the_run() {
    let cluster = Cluster::new(ROWS, LONG);
    let _executors = [cluster.executor("work"), cluster.executor("work")];
    let run = cluster.run(3);
    let [work, away] = ["work", "away"].map(|name| cluster.room.path(name));
    cluster.until(PARTITIONS / 4);
    fs::rename(&work, &away).unwrap();
    let ran = run.ends().exits(1);
    let parts = ["the work folder could not be used for 3 s", "/work/", "os error 2"];
    assert!(parts.iter().all(|part| ran.stderr.contains(part)), "{}", ran.stderr);
    assert!(!work.exists(), "nothing is made where it was");
    fs::rename(&away, &work).unwrap();
    cluster.run(60).ends().exits(0);
    cluster.is_as_local();
}

#[test]
fn an_executor_that_alone_has_lost_the_folder_changes_nothing() {
    // Whether mounts may be made at all.
    if Namespace::begin("true").is_none() {
        return;
    }
    let cluster = Cluster::new(ROWS, LONG);
    let good = cluster.executor("work");
    let lost = Process::start(alone(&cluster.executor_command("work", &[])));
    let run = cluster.run(60);
    let work = cluster.room.path("work");
    let mounts = |args: &[&str]| assert!(entering(lost.child.id()).args(args).arg(&work).status().unwrap().success());
    for part in [8, 4] {
        cluster.until(PARTITIONS / part);
        // Whoever could do all the work meanwhile waits: only the one that has lost the folder takes items.
        good.signal("-STOP");
        mounts(&["mount", "-t", "tmpfs", "none"]);
        sleep(Duration::from_secs(2));
        mounts(&["umount", "--lazy"]);
        good.signal("-CONT");
    }
    cluster.until(PARTITIONS / 2);
    mounts(&["mount", "-t", "tmpfs", "none"]);
    run.ends().exits(0);
    cluster.is_as_local();
}
