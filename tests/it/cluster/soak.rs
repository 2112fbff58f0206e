//! Runs that lose an executor at a random moment, one after another.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Cluster, LONG, ROWS};
use crate::killed::seed;
use crate::support::Draw;

/// Of each index a job of some seconds, and how long it takes when nothing happens.
struct Job {
    index: &'static str,
    cluster: Cluster,
    undisturbed: Duration,
}

impl Job {
    fn new(index: &'static str, rows: usize, asked: &str) -> Self {
        let cluster = Cluster::new(rows, asked);
        let _executors = [cluster.executor("work"), cluster.executor("work")];
        let begun = Instant::now();
        cluster.run(60).ends().exits(0);
        let undisturbed = begun.elapsed();
        let job = Self { index, cluster, undisturbed };
        job.is_right();
        job
    }

    /// Compares, and leaves nothing to begin with.
    fn is_right(&self) {
        self.cluster.is_as_local();
        for entry in fs::read_dir(self.cluster.room.path("work")).unwrap() {
            // Graphs are kept from run to run.
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
    }

    fn lose_one(&self, draw: &mut Draw) -> String {
        let cluster = &self.cluster;
        let mut executors = [cluster.executor("work"), cluster.executor("work")];
        let begun = Instant::now();
        let run = cluster.run(60);
        let fraction = |draw: &mut Draw| draw.below(1 << 20) as f64 / (1 << 20) as f64;
        sleep(self.undisturbed.mul_f64(fraction(draw)));
        let victim = draw.below(2) as usize;
        executors[victim].kill();
        let (killed, committed) = (begun.elapsed(), cluster.committed());
        let comes_back = draw.below(2) == 1;
        if comes_back {
            sleep(Duration::from_secs(2).mul_f64(fraction(draw)));
            executors[victim] = cluster.executor("work");
        }
        run.ends().exits(0);
        let took = begun.elapsed();
        self.is_right();
        format!(
            "{}: killed after {:.2} s ({committed} partitions){}; {:.1} s in all, {:.1} s undisturbed",
            self.index,
            killed.as_secs_f64(),
            if comes_back { ", started again" } else { "" },
            took.as_secs_f64(),
            self.undisturbed.as_secs_f64(),
        )
    }
}

/// Minutes: `cargo test --release --features cluster --test it cluster::soak -- --ignored --nocapture`, with other numbers by
/// MINER_RUNS, MINER_ROWS and MINER_SEED. One executor of two is killed (SIGKILL) at a random moment of each run; every other one
/// comes back.
#[test]
#[ignore = "takes some minutes"]
fn each_run_loses_an_executor() {
    let number = |name: &str, usual: usize| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
    let (runs, rows, mut draw) = (number("MINER_RUNS", 20), number("MINER_ROWS", ROWS), Draw(seed()));
    let (cells, hnsw) = (LONG.replace("exact", "cells"), "search.index = 'hnsw'\nmine.bands = { hard = 1 }\n");
    let jobs = [("exact", rows, LONG), ("cells", rows, &cells), ("hnsw", rows / 4, hnsw)];
    let jobs = jobs.map(|(index, rows, asked)| Job::new(index, rows, asked));
    for run in 0..runs {
        eprintln!("{:>3} {}", run + 1, jobs[run % jobs.len()].lose_one(&mut draw));
    }
}
