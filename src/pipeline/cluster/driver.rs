//! Whoever drives the run: writes the order, hands out what is missing, and waits for commits, never for ever.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::client::{Client, State};
use super::items::Items;
use super::order::{FILE, WorkOrder};
use super::watch::{Ledger, Watch};
use crate::config::Scheduler;
use crate::disk;
use crate::pipeline::engine::Engine;
use crate::report::Shares;

/// The executors of a scheduler, as whoever drives a run sees them.
pub struct Cluster<'a> {
    pub(super) engine: &'a Engine<'a>,
    pub(super) scheduler: Scheduler,
    /// How long nobody may give a sign of life.
    pub(super) patience: Duration,
    /// The folder that all machines see.
    pub(super) work: PathBuf,
}

/// Executors did not do the work.
#[derive(Debug, thiserror::Error)]
#[error(
    "{scheduler}: {missing} of {asked} {what} are not done, though handed out again {ATTEMPTS} times: {why}; what is committed is \
     kept, and the same command goes on from there"
)]
pub struct ClusterError {
    scheduler: Scheduler,
    missing: usize,
    asked: usize,
    what: &'static str,
    why: String,
}

/// Times that work is handed out without a single commit coming of it.
const ATTEMPTS: u32 = 3;
/// For a scheduler to plan what it has accepted.
const PLANNED: Duration = Duration::from_secs(10);
/// For commits of others to be seen here: file systems on a network look for new names every minute.
const UNSEEN: Duration = Duration::from_secs(60);
/// Between two looks at the folder of the run, and between two at whether the run is to stop.
const LOOK: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(50);

impl Cluster<'_> {
    /// Lets executors do the `pending` items of an order, which goes into `folder` meanwhile. Gives what each of them did.
    ///
    /// # Errors
    /// When the work folder cannot be written; when executors do not do the work; when the run was asked to stop.
    pub fn hand_out(
        &self,
        order: &WorkOrder,
        folder: &Path,
        pending: &[u32],
        ledger: &dyn Ledger,
    ) -> anyhow::Result<Shares> {
        if pending.is_empty() {
            return Ok(Shares::new());
        }
        let unusable = || format!("{}: cannot be used to hand out work", folder.display());
        fs::create_dir_all(folder).with_context(unusable)?;
        let folder = folder.canonicalize().with_context(unusable)?;
        let mut watch = Watch::begin(folder.clone(), pending, ledger).with_context(unusable)?;
        order.write(&folder).with_context(unusable)?;
        let _order = Withdrawn(folder.join(FILE));
        let client = Client::new(&self.scheduler)?;
        let (mut attempts, mut number) = (0, 0);
        loop {
            let before = watch.missing().len();
            let Some(why) = self.attempt(&client, &mut watch, folder.join(format!("items-{number}")))? else {
                return Ok(watch.shares());
            };
            let missing = watch.missing().len();
            attempts = if missing < before { 0 } else { attempts + 1 };
            if attempts == ATTEMPTS {
                let (scheduler, what) = (self.scheduler.clone(), order.task.items());
                return Err(ClusterError { scheduler, missing, asked: pending.len(), what, why }.into());
            }
            let told = format!("{}: {why}; {missing} {} are handed out again", self.scheduler, order.task.items());
            self.engine.progress().note(&told);
            number += 1;
        }
    }

    /// Hands out what is missing, once. Gives why it is to be done again; nothing where all is committed.
    fn attempt(&self, client: &Client, watch: &mut Watch, items: PathBuf) -> anyhow::Result<Option<String>> {
        let missing: Vec<u32> = watch.missing().iter().copied().collect();
        let items = Items::write(items, &missing).context("cannot write to the work folder")?;
        let job = match self.submit(client, &items, watch)? {
            Ok(job) => job,
            Err(why) => return Ok(Some(why)),
        };
        let ended = self.follow(client, &job, watch);
        // Where all is committed there may be tasks left that would find that out one by one.
        if !matches!(ended, Ok(Some(Ended { over: true, .. }))) {
            client.cancel(&job);
        }
        Ok(ended?.map(|ended| ended.why))
    }

    /// Hands work to the scheduler, which may be on its way up.
    fn submit(&self, client: &Client, items: &Items, watch: &Watch) -> anyhow::Result<Result<String, String>> {
        let begun = Instant::now();
        loop {
            match client.submit(items, watch.folder()) {
                Ok(job) => return Ok(Ok(job)),
                Err(error) if begun.elapsed() >= self.patience => {
                    let within = self.patience.as_secs();
                    let cure = "start one with `miner scheduler`";
                    return Ok(Err(format!("no scheduler took the work within {within} s ({error:#}); {cure}")));
                }
                Err(_) => self.pause()?,
            }
        }
    }

    /// Waits until all is committed (nothing is given), or this job comes to no more.
    fn follow(&self, client: &Client, job: &str, watch: &mut Watch) -> anyhow::Result<Option<Ended>> {
        let begun = Instant::now();
        let mut heard = begun;
        loop {
            self.pause()?;
            // Asked before commits are looked for: those of a job that is done are there.
            let state = client.state(job);
            if watch.look()? {
                heard = Instant::now();
            }
            if watch.missing().is_empty() {
                return Ok(None);
            }
            if let Some(ended) = self.verdict(state, begun.elapsed(), heard.elapsed(), watch.folder()) {
                return Ok(Some(ended));
            }
        }
    }

    /// Why nothing more will come of a job of this age, if so; `silence` is the time since the last news of it.
    fn verdict(&self, state: anyhow::Result<State>, age: Duration, silence: Duration, folder: &Path) -> Option<Ended> {
        let over = |why: String| Some(Ended { over: true, why });
        match state {
            Err(error) => over(format!("the scheduler is gone ({error:#})")),
            Ok(State::Failed(why)) => over(why),
            Ok(State::Unknown) if age >= PLANNED => {
                over("the scheduler knows of no such work; it may have been started anew".to_owned())
            }
            Ok(State::Done) if silence >= UNSEEN.min(self.patience) => over(format!(
                "executors have done their work, but it is not to be seen in {}; do all machines see the same folder there?",
                folder.display()
            )),
            Ok(State::UnderWay) if silence >= self.patience => {
                let (within, Scheduler { host, port }) = (self.patience.as_secs(), &self.scheduler);
                let cure = format!("miner executor --scheduler {host}:{port} --work {}", self.work.display());
                let why = format!("no executor gave a sign of life within {within} s; is one running? {cure}");
                Some(Ended { over: false, why })
            }
            Ok(_) => None,
        }
    }

    /// A moment, which ends when the run is asked to stop.
    fn pause(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < LOOK {
            self.engine.go_on()?;
            sleep(TICK);
        }
        Ok(())
    }
}

/// How an attempt ended before all was committed.
struct Ended {
    /// Whether the scheduler has nothing more to do for it.
    over: bool,
    why: String,
}

/// An order that is taken back when this is dropped: whoever still has work of it leaves it undone.
struct Withdrawn(PathBuf);

impl Drop for Withdrawn {
    fn drop(&mut self) {
        let _ = disk::remove_file(&self.0);
    }
}
