//! Ctrl-C and `kill`: the first asks for a tidy stop, the second ends the process.
//!
//! A hang-up is left alone, so that `nohup miner run` outlives its terminal.

use std::sync::atomic::AtomicBool;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::status::Status;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From here on, signals set the flag that is returned.
pub fn watch() -> anyhow::Result<&'static AtomicBool> {
    for signal in [SIGINT, SIGTERM] {
        // In this order: the flag that the first signal sets is what the second one finds.
        flag::register_conditional_shutdown(signal, Status::Interrupted as i32, &INTERRUPTED)
            .and_then(|_| flag::register(signal, &INTERRUPTED))
            .context("cannot watch for signals")?;
    }
    Ok(&INTERRUPTED)
}
