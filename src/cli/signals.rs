//! Ctrl-C and `kill`: the first asks for a tidy stop, and ends the process where that does not come soon; the second ends it at
//! once.
//!
//! A hang-up is left alone, so that `nohup miner run` outlives its terminal.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use triplet_miner::pipeline::{Brake, Interrupted};

use super::status::Status;
use super::{log, output};

static BRAKE: Brake = Brake::new();
static WATCHED: AtomicBool = AtomicBool::new(false);
/// The last signal that asked for an end.
static SIGNAL: AtomicUsize = AtomicUsize::new(0);

/// Between two looks at whether a signal has come.
const PAUSE: Duration = Duration::from_millis(20);
/// For a tidy stop: many a partition is finished in it.
const GRACE: Duration = Duration::from_secs(1);

/// From here on, signals pull the brake that is returned, however often this is asked for.
pub fn watch() -> anyhow::Result<&'static Brake> {
    // A second handler would take the first signal for the second.
    if WATCHED.swap(true, Ordering::SeqCst) {
        return Ok(&BRAKE);
    }
    for signal in [SIGINT, SIGTERM] {
        // In this order: the flag that the first signal sets is what the second one finds.
        flag::register_conditional_shutdown(signal, i32::from(status_of(signal)), &BRAKE.asked)
            .and_then(|_| flag::register_usize(signal, &SIGNAL, signal as usize))
            .and_then(|_| flag::register(signal, &BRAKE.asked))
            .context("cannot watch for signals")?;
    }
    // A file that grows beyond `ulimit -f` is then an error of its write, and not the end of the process.
    #[cfg(unix)]
    flag::register(signal_hook::consts::SIGXFSZ, &TOO_LARGE).context("cannot watch for signals")?;
    thread::Builder::new().name("signals".to_owned()).spawn(end_soon).context("cannot watch for signals")?;
    Ok(&BRAKE)
}

/// Waits for a signal, then for a tidy stop, then no more.
fn end_soon() {
    while BRAKE.go_on().is_ok() {
        thread::sleep(PAUSE);
    }
    thread::sleep(GRACE);
    if BRAKE.may_end() {
        if io::stderr().is_terminal() && !log::is_json() {
            // A bar may stand there.
            output::beside("");
        }
        output::complain(&Interrupted.to_string(), None, Status::Interrupted);
        // Without what else ends with a process: threads are still at work.
        low_level::exit(i32::from(status()));
    }
}

/// Nobody looks at it.
#[cfg(unix)]
static TOO_LARGE: AtomicBool = AtomicBool::new(false);

/// The status of a run that stopped because it was asked to.
pub fn status() -> u8 {
    let signal = SIGNAL.load(Ordering::SeqCst);
    status_of(if signal == 0 { SIGINT } else { signal as i32 })
}

/// As shells have it.
fn status_of(signal: i32) -> u8 {
    (128 + signal) as u8
}
