//! What this machine has: memory to give, and the speed of the loop that most of a run is spent in.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::kernel::quantised::{Aim, Hits, Query, pack, sweep};
use crate::kernel::{Measure, Metric};

/// The memory that a run takes when it is not told: three quarters of what the machine has, or its control group may
/// use. `None` where the system does not tell.
pub fn memory() -> Option<u64> {
    // Only Linux keeps the figures in files.
    let whole = meminfo_total(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
    Some(limits.fold(whole, u64::min) / 4 * 3)
}

fn meminfo_total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The files that may limit the memory of a process in these control groups: of version 2 and of version 1, of the group
/// itself and of all above it. Inside a container the group's own path is often not there, but its root is the limit.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let of = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (root, file) = match parts.next()? {
            "" => ("/sys/fs/cgroup", "memory.max"),
            controllers if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let own = Path::new(parts.next()?.trim_start_matches('/')).to_owned();
        Some(own.ancestors().map(|group| Path::new(root).join(group).join(file)).collect::<Vec<_>>())
    };
    groups.lines().filter_map(of).flatten().collect()
}

/// Of the pairs that a scan looks at, those whose distance it measures. Fitted to whole runs of nearest picks (`benches/peers`),
/// so that it covers what is collected and thrown away, too.
const MEASURED: f64 = 0.05;
/// Long enough for a figure that repeats, short enough to go unnoticed.
const LISTEN: Duration = Duration::from_millis(4);
/// On a busy machine the first goes may last that long alone, most of it spent waiting for others.
const GOES: usize = 32;

/// Seconds that one thread takes to look at a pair of `d` dimensions: its share of a quantised tile, and of measuring what
/// the tile lets through. Measured here and now.
pub fn pair_seconds(d: usize) -> f64 {
    const ANCHORS: usize = 96;
    let d = d.max(1);
    let vector: Vec<f64> = (0..d).map(|i| (i % 7) as f64 - 3.0).collect();
    let columns = vec![vector.as_slice(); (1 << 16) / d + 64];
    let (block, query, mut hits) = (pack(&columns, d), Query::new(&vector), Hits::default());
    let aim = Aim { lo: i32::MAX, ..Aim::everything(&query) };
    let aims = [aim; ANCHORS];
    let tile = seconds(|| sweep(&aims, &block.bytes, &[], &mut hits)) / (ANCHORS * columns.len()) as f64;

    // Rows here and there in more than the second-level cache holds, as a scan finds them.
    let rows = (1 << 20) / d + 64;
    let (anchor, vectors) = (vec![0.5; d], vec![0.25f32; rows * d]);
    let scattered: Vec<u32> = (0..1_024).map(|i| (i * 7_919 % rows) as u32).collect();
    let (measure, mut distances) = (Measure::of(Metric::Cosine), Vec::new());
    let row = seconds(|| measure.distances(&anchor, &vectors, &scattered, &mut distances)) / scattered.len() as f64;
    tile + MEASURED * row
}

/// The quickest of many goes: what others do at the same time only adds to the rest.
fn seconds(mut work: impl FnMut()) -> f64 {
    let (begin, mut quickest, mut goes) = (Instant::now(), Duration::MAX, 0);
    while goes < GOES || begin.elapsed() < LISTEN {
        goes += 1;
        let start = Instant::now();
        work();
        quickest = quickest.min(start.elapsed());
    }
    quickest.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_both_versions_of_control_groups_are_looked_for() {
        let files = limit_files("4:memory:/box/a\n3:cpuset:/\n0::/box\n");
        let expected = [
            "/sys/fs/cgroup/memory/box/a/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/box/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/box/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(files, expected.map(PathBuf::from));
        assert_eq!(meminfo_total("MemTotal:       2048 kB\nMemFree: 1 kB\n"), Some(2 << 20));
    }

    #[test]
    fn a_pair_takes_longer_in_more_dimensions() {
        assert!(pair_seconds(16) > 0.0 && pair_seconds(1_024) > pair_seconds(16));
    }
}
