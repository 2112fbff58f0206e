//! The machinery of a run: threads, an async runtime for DataFusion, a clock for each stage.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
#[cfg(feature = "cluster")]
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;

use super::brake::{Brake, Interrupted};
use crate::report::{Progress, Shares, Stage, StageTime, Unit, Watermark};

/// What steers a run from outside.
pub struct Control<'a> {
    pub progress: &'a dyn Progress,
    pub brake: &'a Brake,
}

/// Threads for computing and a runtime for reading.
pub struct Engine<'a> {
    threads: rayon::ThreadPool,
    runtime: tokio::runtime::Runtime,
    control: &'a Control<'a>,
}

/// Address space of a thread, for expressions of many operators, into which the query engine descends; untouched it is no memory.
const STACK: usize = 16 << 20;

impl<'a> Engine<'a> {
    /// `threads = 0` takes every core.
    pub fn new(threads: usize, control: &'a Control<'a>) -> anyhow::Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .stack_size(STACK)
            .build()
            .context("cannot start threads")?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(pool.current_num_threads())
            .thread_stack_size(STACK)
            .enable_all()
            .build()
            .context("cannot start threads")?;
        Ok(Self { threads: pool, runtime, control })
    }

    /// Runs `work` on the threads of this engine.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.threads.install(work)
    }

    /// Waits for a future of the store or the manifest.
    ///
    /// # Errors
    /// Its own; or when the run was asked to stop, which is looked at whenever the future has waited for something.
    pub fn wait<T, E>(&self, future: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
    where
        anyhow::Error: From<E>,
    {
        let mut future = pin!(future);
        self.runtime.block_on(poll_fn(|context| match self.go_on() {
            Ok(()) => future.as_mut().poll(context).map(|done| done.map_err(anyhow::Error::from)),
            Err(interrupted) => Poll::Ready(Err(interrupted.into())),
        }))
    }

    /// Waits a moment for something, whether or not the run was asked to stop; who does not answer in time is not waited for.
    #[cfg(feature = "cluster")]
    pub fn part<T>(&self, limit: Duration, future: impl Future<Output = T>) {
        let _ = self.runtime.block_on(async { tokio::time::timeout(limit, future).await });
    }

    pub fn threads(&self) -> usize {
        self.threads.current_num_threads()
    }

    pub fn progress(&self) -> &dyn Progress {
        self.control.progress
    }

    pub fn brake(&self) -> &Brake {
        self.control.brake
    }

    /// # Errors
    /// When the run was asked to stop.
    pub fn go_on(&self) -> Result<(), Interrupted> {
        self.control.brake.go_on()
    }
}

/// Times the stages of a run, shows each while it lasts, and watches their memory.
pub struct Watch<'a> {
    progress: &'a dyn Progress,
    start: Instant,
    times: Vec<StageTime>,
    memory: Watermark,
}

/// What the stages took.
pub struct Taken {
    pub stages: Vec<StageTime>,
    /// Since the watch was started.
    pub seconds: f64,
    /// Most anonymous memory since then, where the system tells.
    pub memory: Option<u64>,
}

impl<'a> Watch<'a> {
    pub fn new(progress: &'a dyn Progress) -> Self {
        Self { progress, start: Instant::now(), times: Vec::new(), memory: Watermark::begin() }
    }

    /// Runs one stage. `work` reports its advance, and says in a few words what came of it.
    pub fn stage<T>(
        &mut self,
        name: &'static str,
        total: Option<u64>,
        unit: Unit,
        work: impl FnOnce(&dyn Stage) -> anyhow::Result<(T, String)>,
    ) -> anyhow::Result<T> {
        let start = Instant::now();
        let stage = self.progress.stage(name, total, unit);
        let (result, summary) = work(stage.as_ref())?;
        stage.finish(&summary);
        self.times.push(StageTime {
            name: name.into(),
            seconds: start.elapsed().as_secs_f64(),
            executors: Shares::new(),
        });
        Ok(result)
    }

    /// Says who did what of the last stage.
    pub fn credit(&mut self, executors: Shares) {
        if let Some(stage) = self.times.last_mut() {
            stage.executors = executors;
        }
    }

    /// Stops.
    pub fn end(self) -> Taken {
        Taken { stages: self.times, seconds: self.start.elapsed().as_secs_f64(), memory: self.memory.end() }
    }
}
