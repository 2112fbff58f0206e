//! An executor that is slow, and one that hangs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use super::{Cluster, LONG, PARTITIONS, Process, ROWS, send};
use crate::support::Ran;

/// How many partitions of the last run were an executor's, as its report says.
fn share(cluster: &Cluster, executor: &Process) -> usize {
    let Ran { stdout, .. } = cluster.room.miner(&["report", "out", "--json"]).exits(0);
    let report: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let mined = report["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "mine").unwrap();
    let ending = format!("-{}", executor.child.id());
    let shares = mined["executors"].as_object().unwrap().iter();
    let items = |share: &serde_json::Value| share["items"].as_u64().unwrap() as usize;
    shares.filter(|(name, _)| name.ends_with(&ending)).map(|(_, share)| items(share)).sum()
}

#[test]
fn an_executor_that_is_ten_times_slower_leaves_most_to_the_other() {
    let cluster = Cluster::new(ROWS, LONG);
    let [slow, fast] = [cluster.executor("work"), cluster.executor("work")];
    let (over, begun) = (AtomicBool::new(false), Instant::now());
    thread::scope(|scope| {
        let (over, process) = (&over, slow.child.id());
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                send("-STOP", process);
                sleep(Duration::from_millis(270));
                send("-CONT", process);
                sleep(Duration::from_millis(30));
            }
        });
        let ran = cluster.run(60).ends();
        over.store(true, Ordering::Relaxed);
        ran.exits(0);
    });
    let [slow, fast] = [&slow, &fast].map(|executor| share(&cluster, executor));
    eprintln!("{slow} and {fast} partitions in {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(slow + fast, PARTITIONS);
    assert!(fast >= 3 * slow, "{slow} and {fast}");
    cluster.is_as_local();
}

#[test]
fn an_executor_that_hangs_is_given_up_and_does_no_harm_when_it_wakes() {
    let cluster = Cluster::new(ROWS, LONG);
    let [hung, _other] = [cluster.executor("work"), cluster.executor("work")];
    let run = cluster.run(60);
    cluster.until(PARTITIONS / 4);
    hung.signal("-STOP");
    run.ends().exits(0);
    hung.signal("-CONT");
    // What it was mining has nowhere to go, or is there already; it is good for the next run.
    sleep(Duration::from_secs(2));
    cluster.is_as_local();
    drop(_other);
    cluster.run(60).ends().exits(0);
    assert_eq!(share(&cluster, &hung), PARTITIONS);
    cluster.is_as_local();
}
