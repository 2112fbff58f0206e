//! Ctrl-C and `kill`: the first asks for a tidy stop, the second ends the process.
//!
//! A hang-up is left alone, so that `nohup miner run` outlives its terminal.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// The last signal that asked for an end.
static SIGNAL: AtomicUsize = AtomicUsize::new(0);

/// From here on, signals set the flag that is returned.
pub fn watch() -> anyhow::Result<&'static AtomicBool> {
    for signal in [SIGINT, SIGTERM] {
        // In this order: the flag that the first signal sets is what the second one finds.
        flag::register_conditional_shutdown(signal, i32::from(status_of(signal)), &INTERRUPTED)
            .and_then(|_| flag::register_usize(signal, &SIGNAL, signal as usize))
            .and_then(|_| flag::register(signal, &INTERRUPTED))
            .context("cannot watch for signals")?;
    }
    // A file that grows beyond `ulimit -f` is then an error of its write, and not the end of the process.
    #[cfg(unix)]
    flag::register(signal_hook::consts::SIGXFSZ, &TOO_LARGE).context("cannot watch for signals")?;
    Ok(&INTERRUPTED)
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
