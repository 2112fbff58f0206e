//! Whoever drives the run: writes the order, hands out what is missing, and waits for commits, never for ever.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::attempts::{Attempts, End, Standing};
use super::board::Board;
use super::client::{Client, State};
use super::dial::DialError;
use super::in_a_line;
use super::items::Items;
use super::lease::{self, Lease};
use super::order::WorkOrder;
use super::roster;
use super::watch::{Ledger, Watch};
use crate::config::{Meeting, Scheduler, Tls};
use crate::pipeline::engine::Engine;
use crate::remote::Address;
use crate::report::{Progress, Shares};
use crate::words::counted;

/// The executors of a scheduler, as whoever drives a run sees them.
pub struct Cluster<'a> {
    pub(super) engine: &'a Engine<'a>,
    pub(super) scheduler: Scheduler,
    pub(super) tls: Option<Tls>,
    /// How long nobody may give a sign of life.
    pub(super) patience: Duration,
    pub(super) meeting: Meeting,
    /// Where they meet in a store: the folder of all runs of this output.
    pub(super) store: Option<Address>,
    /// Leave to drive there.
    pub(super) lease: Option<&'a Lease>,
}

/// Executors did not do the work.
#[derive(Debug, thiserror::Error)]
#[error(
    "{scheduler}: {missing} of {} are not done{}: {why}; what is committed is kept, and the same command goes on from there",
    counted(*.asked as u64, .what), though(*.again)
)]
pub struct ClusterError {
    scheduler: Scheduler,
    missing: usize,
    asked: usize,
    what: &'static str,
    /// Times that they were handed out again, since the last one that was done.
    again: u32,
    why: String,
}

fn though(again: u32) -> String {
    if again == 0 { String::new() } else { format!(", though handed out again {}", counted(again.into(), "time")) }
}

/// For a scheduler to plan what it has accepted.
const PLANNED: Duration = Duration::from_secs(10);
/// For a scheduler that has accepted it to answer again: a single call may be lost.
const UNHEARD: Duration = Duration::from_secs(5);
/// For commits of others to be seen here: file systems on a network look for new names every minute.
const UNSEEN: Duration = Duration::from_secs(60);
/// An executor that has work in hand gives a sign each second; file systems on a network show it some seconds later.
const SILENT: Duration = Duration::from_secs(30);
/// Between two looks at the folder of the run, at most; what has just begun may be over soon.
const LOOK: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_millis(20);
/// And as a part of the time that an attempt has taken.
const PART: u32 = 20;
/// Between two looks at whether the run is to stop.
const TICK: Duration = Duration::from_millis(20);

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
        let board = Board::new(self, order, folder).with_context(unusable)?;
        let mut watch = Watch::begin(board, pending, ledger).with_context(unusable)?;
        watch.board().put_up().with_context(unusable)?;
        let client = Client::new(&self.scheduler, self.tls.as_ref())?;
        let mut said = Said { progress: self.engine.progress(), scheduler: &self.scheduler, told: BTreeSet::new() };
        let mut attempts = Attempts::new(pending.len());
        // What the last attempt that failed came to, and what was missing then.
        let mut failed_at = None;
        while let Some(Ended { end, why }) = self.attempt(&client, &mut watch, &mut said)? {
            let (missing, again) = (watch.missing().len(), attempts.again());
            let [silent, stands] = [watch.silence(), watch.standstill()].map(|length| length >= self.patience);
            let (failed, is_hopeful) = (watch.executors().failed(), watch.executors().is_hopeful(self.patience));
            let standing = Standing { missing, failed, silent, stands, is_hopeful };
            let Some(pause) = attempts.next(end, standing) else {
                let (scheduler, what) = (self.scheduler.clone(), order.task.item());
                let why = match failed_at {
                    // Whoever failed before keeps silent for longer and longer.
                    Some((then, said)) if end == End::Silent && then == missing => format!("{said}; since then {why}"),
                    _ => why,
                };
                return Err(ClusterError { scheduler, missing, asked: pending.len(), what, again, why }.into());
            };
            // Which partition or process it was is no matter.
            said.once(
                &why.replace(|c: char| c.is_ascii_digit(), ""),
                &format!("{why}; handed out again: {}", counted(missing as u64, order.task.item())),
            );
            if end == End::Over {
                failed_at = Some((missing, why));
            }
            self.rest(pause, &mut watch, &mut said)?;
            if watch.missing().is_empty() {
                break;
            }
            watch.board().renew()?;
        }
        Ok(watch.shares())
    }

    /// Hands out what is missing, once. Gives why it is to be done again; nothing where all is committed.
    fn attempt(&self, client: &Client, watch: &mut Watch, said: &mut Said) -> anyhow::Result<Option<Ended>> {
        let items = Items::of(&watch.due());
        let job = match self.submit(client, &items, watch, said)? {
            Ok(job) => job,
            Err(why) => return Ok(Some(Ended { end: End::Away, why })),
        };
        let ended = self.follow(client, &job, watch, said);
        // Where all is committed there may be tasks left that would find that out one by one; and of a job that is handed out again
        // nothing more is to be handed out.
        client.cancel(&job);
        ended
    }

    /// Hands work to the scheduler, which may be on its way up.
    fn submit(
        &self,
        client: &Client,
        items: &Items,
        watch: &Watch,
        said: &mut Said,
    ) -> anyhow::Result<Result<String, String>> {
        let (begun, within) = (Instant::now(), self.patience.as_secs());
        loop {
            match client.submit(items, &watch.board().place()) {
                Ok(job) => return Ok(Ok(job)),
                Err(error) if error.downcast_ref().is_some_and(DialError::is_final) => {
                    return Ok(Err(format!("{error:#}")));
                }
                Err(error) if begun.elapsed() >= self.patience => {
                    let cure = "start one with `miner scheduler`";
                    return Ok(Err(format!("no scheduler took the work within {within} s ({error:#}); {cure}")));
                }
                Err(error) => {
                    said.once("away", &format!("does not answer ({error:#}); tried again for {within} s"));
                    self.pause(LOOK)?;
                }
            }
        }
    }

    /// Looks what is committed, in the same folder.
    fn look(&self, watch: &mut Watch, said: &mut Said) -> anyhow::Result<()> {
        if let Err(error) = watch.look() {
            return self.bear(error, watch.blindness(), said);
        }
        for (executor, items) in watch.executors().silent(SILENT) {
            let items = counted(items as u64, watch.board().item());
            let line = format!(
                "{executor} has given no sign of life for {} s, with {items} in hand; others are given what it does not do",
                SILENT.as_secs()
            );
            said.once(executor, &line);
        }
        Ok(())
    }

    /// Bears with a folder that has failed for so long.
    ///
    /// # Errors
    /// When patience is over.
    fn bear(&self, error: anyhow::Error, length: Duration, said: &mut Said) -> anyhow::Result<()> {
        self.engine.go_on()?;
        let within = self.patience.as_secs();
        if length >= self.patience {
            return Err(error.context(format!("the work folder could not be used for {within} s")));
        }
        let why = in_a_line(&error);
        said.once("folder", &format!("the work folder cannot be used ({why}); tried again for {within} s"));
        Ok(())
    }

    /// Waits until all is committed (nothing is given), or this job comes to no more.
    fn follow(&self, client: &Client, job: &str, watch: &mut Watch, said: &mut Said) -> anyhow::Result<Option<Ended>> {
        let begun = Instant::now();
        let mut answered = begun;
        loop {
            self.pause((begun.elapsed() / PART).clamp(SOON, LOOK))?;
            // Asked before commits are looked for: those of a job that is done are there.
            let state = client.state(job);
            self.look(watch, said)?;
            if watch.missing().is_empty() {
                return Ok(None);
            }
            match &state {
                Ok(_) => answered = Instant::now(),
                Err(_) if answered.elapsed() < UNHEARD => continue,
                Err(_) => {}
            }
            if let Some(ended) = self.verdict(client, state, begun.elapsed(), watch) {
                return Ok(Some(ended));
            }
        }
    }

    /// Why nothing more will come of a job of this age, if so.
    fn verdict(&self, client: &Client, state: anyhow::Result<State>, age: Duration, watch: &Watch) -> Option<Ended> {
        let (over, silence) = (|why: String| Some(Ended { end: End::Over, why }), age.min(watch.silence()));
        match state {
            Err(error) => over(format!("the scheduler is gone ({error:#})")),
            Ok(State::Failed(why)) => over(why),
            Ok(State::Refused(why)) => Some(Ended { end: End::Refused, why }),
            Ok(State::Unknown) if age >= PLANNED => {
                over("the scheduler knows of no such work; it may have been started anew".to_owned())
            }
            Ok(State::Done) if watch.damaged() > 0 => {
                over(format!("{} came damaged, and went", counted(watch.damaged(), "result")))
            }
            Ok(State::Done) if silence >= UNSEEN.min(self.patience) => over(format!(
                "executors have done their work, but it is not to be seen in {}; do all machines see the same folder there?",
                watch.board().place()
            )),
            Ok(State::UnderWay) if silence >= self.patience => {
                let within = self.patience.as_secs();
                let why = format!("no executor gave a sign of life within {within} s; {}", self.who(client));
                Some(Ended { end: End::Silent, why })
            }
            Ok(_) => None,
        }
    }

    /// So long, unless all is committed before.
    fn rest(&self, pause: Duration, watch: &mut Watch, said: &mut Said) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < pause && !watch.missing().is_empty() {
            self.pause(LOOK)?;
            self.look(watch, said)?;
        }
        Ok(())
    }

    /// Who could have given one, and what to do.
    fn who(&self, client: &Client) -> String {
        let cure = roster::cure(&self.scheduler, &self.meeting);
        match client.executors() {
            Err(_) => format!("is one running? {cure}"),
            Ok(executors) if executors.is_empty() => format!("the scheduler knows of none; start one: {cure}"),
            Ok(executors) => format!(
                "the scheduler knows of {}; do other runs keep them, or do they not see {}?",
                counted(executors.len() as u64, "executor"),
                self.meeting
            ),
        }
    }

    /// A moment, which ends when the run is asked to stop.
    fn pause(&self, length: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        lease::check(self.lease)?;
        while begun.elapsed() < length {
            self.engine.go_on()?;
            sleep(TICK.min(length));
        }
        Ok(())
    }
}

/// How an attempt ended before all was committed.
struct Ended {
    end: End,
    why: String,
}

/// What was told of a cluster, each thing once.
struct Said<'a> {
    progress: &'a dyn Progress,
    scheduler: &'a Scheduler,
    told: BTreeSet<String>,
}

impl Said<'_> {
    /// Tells a `line`, unless one of the same matter was.
    fn once(&mut self, matter: &str, line: &str) {
        if self.told.insert(matter.to_owned()) {
            self.progress.note(&format!("{}: {line}", self.scheduler));
        }
    }
}
