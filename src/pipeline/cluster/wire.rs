//! How an executor waits for a store: never on a thread of another runtime, and not for ever.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::runtime::Runtime;

use crate::remote::RemoteError;

/// The threads that speak with a store.
#[derive(Debug)]
pub struct Wire(Runtime);

/// How long a store that is away is asked again.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two tries.
const RETRY: Duration = Duration::from_secs(1);

impl Wire {
    pub fn new() -> anyhow::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Ok(Self(builder.worker_threads(1).enable_all().build().context("cannot start threads")?))
    }

    /// Asks a store, once but for what its client tries again.
    ///
    /// # Errors
    /// Its own.
    pub fn ask<T: Send>(&self, work: impl AsyncFn() -> anyhow::Result<T> + Sync) -> anyhow::Result<T> {
        thread::scope(|scope| {
            let asked = scope.spawn(|| self.0.block_on(work()));
            asked.join().unwrap_or_else(|_| Err(anyhow!("an error of the program; see its output")))
        })
    }

    /// The same, and again while it may go better.
    ///
    /// # Errors
    /// The last of them.
    pub fn insist<T: Send>(&self, work: impl AsyncFn() -> anyhow::Result<T> + Sync) -> anyhow::Result<T> {
        let begun = Instant::now();
        loop {
            match self.ask(&work) {
                Err(error) if may_pass(&error) && begun.elapsed() < PATIENCE => sleep(RETRY),
                done => return done,
            }
        }
    }
}

/// Whether the same may go better later.
pub fn may_pass(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.downcast_ref().is_some_and(RemoteError::may_pass))
}
