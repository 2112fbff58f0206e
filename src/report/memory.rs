//! How much memory this process takes.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Looks at this process's anonymous memory again and again, on a thread of its own, and remembers the most.
pub struct Watermark {
    most: Arc<AtomicU64>,
    over: Sender<()>,
    watcher: JoinHandle<()>,
}

/// Between two looks, which take some twenty microseconds each.
const PAUSE: Duration = Duration::from_millis(5);

impl Watermark {
    pub fn begin() -> Self {
        let (over, ended) = channel();
        let most = Arc::new(AtomicU64::new(0));
        let seen = most.clone();
        let watcher = std::thread::spawn(move || {
            loop {
                seen.fetch_max(anonymous().unwrap_or(0), Ordering::Relaxed);
                // Also over when the watermark was dropped without a question.
                if ended.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Self { most, over, watcher }
    }

    /// The most that was seen, in bytes; `None` where the system does not tell.
    pub fn end(self) -> Option<u64> {
        drop(self.over);
        self.watcher.join().ok()?;
        Some(self.most.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0)
    }
}

/// Anonymous memory of this process: what it was given, without the files it maps.
fn anonymous() -> Option<u64> {
    // Only Linux keeps the figure in a file.
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_is_remembered() {
        let watermark = Watermark::begin();
        let bytes = std::hint::black_box(vec![1u8; 64 << 20]);
        std::thread::sleep(20 * PAUSE);
        let held = bytes.len() as u64;
        drop(bytes);
        assert!(watermark.end() >= Some(held));
    }
}
