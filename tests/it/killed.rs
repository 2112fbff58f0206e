//! A run that is killed at random moments, again and again, comes to the same bytes, leaves nothing behind, and repeats little.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::support::{Draw, Room, Rows, STORE, tree};

struct Job {
    room: Room,
    expected: BTreeMap<String, Vec<u8>>,
    /// Of one run in a single go.
    wall: Duration,
    work: Duration,
}

const RUN: [&str; 3] = ["run", "p.toml", "--quiet"];

impl Job {
    fn new(rows: usize, dims: usize, asked: &str) -> Self {
        let (room, mut draw) = (Room::new(), Draw(21));
        let rows = Rows {
            vectors: (0..rows).map(|_| (0..dims).map(|_| draw.unit()).collect()).collect(),
            labels: (0..rows).map(|row| Some(format!("c{}", row % (rows / 300)))).collect(),
            teams: vec![None; rows],
        };
        rows.write(&room.path("store.parquet"));
        room.write("p.toml", &format!("{STORE}{asked}output.path = 'out'\n"));
        let (begun, worked) = (Instant::now(), children());
        room.miner(&RUN).exits(0);
        let (wall, work) = (begun.elapsed(), children() - worked);
        let expected = tree(&room.path("out"));
        fs::remove_dir_all(room.path("out")).unwrap();
        Self { room, expected, wall, work }
    }

    /// Runs, and kills what runs after random times of at most `longest`, until it has ended by itself or was killed so many
    /// times; then it may end. Gives the number of kills.
    fn round(&self, draw: &mut Draw, longest: Duration, most: u32) -> u32 {
        let mut kills = 0;
        loop {
            let mut child = self.room.command(&RUN).stderr(Stdio::piped()).spawn().unwrap();
            if kills < most {
                sleep(longest.mul_f64(draw.below(1 << 20) as f64 / (1 << 20) as f64));
                // Of one that has ended already, nothing happens.
                child.kill().unwrap();
            }
            let ended = child.wait_with_output().unwrap();
            match ended.status.code() {
                Some(status) => {
                    assert_eq!(status, 0, "{}", String::from_utf8_lossy(&ended.stderr));
                    break;
                }
                None => kills += 1,
            }
            // Killed after the seal, it is all there.
            let out = self.room.path("out");
            assert!(!out.exists() || tree(&out) == self.expected, "half an output after kill {kills}");
        }
        assert!(tree(&self.room.path("out")) == self.expected, "other bytes after {kills} kills");
        assert!(!self.room.path(".out.miner").exists(), "scratch is left after {kills} kills");
        fs::remove_dir_all(self.room.path("out")).unwrap();
        kills
    }
}

/// What the children of this process that have ended worked, on all their threads. Only Linux tells; it counts in hundredths of
/// a second.
fn children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<u64>().ok()).unwrap_or(0);
    // Fields 16 and 17; the first after the name is the third.
    Duration::from_millis(10 * (ticks(13) + ticks(14)))
}

pub fn seed() -> u64 {
    let given = std::env::var("MINER_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64);
    eprintln!("MINER_SEED={seed}");
    seed
}

/// Every stage that keeps something, and several parts.
const MUCH: &str = "search.index = 'cells'\nmine.bands = { hard = 4, semi-hard = 4 }\nmine.positives.per_anchor = 4\n\
    prepare.standardize = true\noutput.order = 'random'\noutput.rows_per_file = 50000\n";

#[test]
fn ten_kills_at_random_moments_change_nothing() {
    let job = Job::new(9_000, 64, MUCH);
    let mut draw = Draw(seed());
    // Where the first run was slow by chance, the others are over before they are killed.
    assert!((0..5).any(|_| job.round(&mut draw, job.wall / 3, 10) > 0), "it was never killed");
}

/// Minutes: `cargo test --release --test it soak -- --ignored --nocapture`, with other numbers by MINER_KILLS and MINER_ROWS.
#[test]
#[ignore = "takes a quarter of an hour"]
fn soak() {
    let number = |name: &str, usual: usize| std::env::var(name).map_or(usual, |text| text.parse().expect("a number"));
    let most = number("MINER_KILLS", 200) as u32;
    let job = Job::new(number("MINER_ROWS", 60_000), 128, &MUCH.replace("cells", "exact"));
    eprintln!("uninterrupted: {:.1} s, {:.1} s of work", job.wall.as_secs_f64(), job.work.as_secs_f64());
    let (mut draw, worked) = (Draw(seed()), children());
    let (mut kills, mut rounds) = (0, 0);
    while kills < most {
        kills += job.round(&mut draw, job.wall / 20, most - kills);
        rounds += 1;
        eprintln!("{kills} kills, {rounds} runs completed: the same bytes, no scratch left");
    }
    let repeated = (children() - worked).as_secs_f64() / job.work.as_secs_f64() - f64::from(rounds);
    let each = repeated / f64::from(kills);
    eprintln!("work repeated for each kill: {:.2} % of a run", 100.0 * each);
    assert!(each <= 0.1, "{each}");
}
