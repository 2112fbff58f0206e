//! What an executor has open: the runs that it works on, each with its store and its index, as many as its memory holds.
//!
//! A run lives on a thread of its own, which lends it to the threads that mine; whoever wants a partition waits for one of those.
//! There are as many of them as the executor has slots, over all runs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;

use super::order::{OrderError, WorkOrder};
use super::sign::Pulse;
use super::worker;
use crate::mine::Tally;
use crate::pipeline::partitions::Partitions;

/// Runs that are open at once, at most.
const OPEN: usize = 4;

/// Where an executor works, and with what.
#[derive(Debug)]
pub struct Bench {
    /// Nothing outside of it is opened.
    root: PathBuf,
    /// Bytes of anonymous memory, at most.
    memory: u64,
    slots: usize,
    tools: Arc<Tools>,
    /// The one that was asked for last comes last.
    open: Mutex<Vec<Arc<Opened>>>,
}

#[derive(Debug)]
struct Tools {
    pool: rayon::ThreadPool,
    spills: PathBuf,
    executor: String,
}

/// A run that is open, or about to be.
#[derive(Debug)]
struct Opened {
    folder: PathBuf,
    order: WorkOrder,
    requests: mpsc::Sender<Request>,
    pulse: Pulse,
    /// Why it is open no more.
    failed: Arc<OnceLock<String>>,
}

#[derive(Debug)]
struct Request {
    ordinal: u32,
    answer: mpsc::Sender<Result<Tally, String>>,
}

impl Bench {
    /// A bench for work under `root`, with `slots` partitions at a time.
    ///
    /// # Errors
    /// When `root` is not there; when threads cannot be started.
    pub fn new(root: &Path, spills: PathBuf, executor: String, slots: usize, memory: u64) -> anyhow::Result<Self> {
        let root = root.canonicalize().map_err(|source| anyhow::anyhow!("{}: {source}", root.display()))?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(slots).build()?;
        let tools = Arc::new(Tools { pool, spills, executor });
        Ok(Self { root, memory, slots, tools, open: Mutex::default() })
    }

    /// Whose it is.
    pub fn executor(&self) -> &str {
        &self.tools.executor
    }

    /// Mines a partition of the run whose order lies in `folder`, unless it is committed, and waits for it. Gives its counts.
    ///
    /// # Errors
    /// When the order is refused, or cannot be done.
    pub fn mine(&self, folder: &Path, ordinal: u32) -> Result<Tally, String> {
        let opened = self.open(folder).map_err(|error| error.to_string())?;
        opened.pulse.asked();
        let answer = opened.ask(ordinal);
        opened.pulse.answered(answer.is_ok());
        answer
    }

    fn open(&self, folder: &Path) -> Result<Arc<Opened>, OrderError> {
        let outside = || OrderError::Outside { folder: folder.to_owned(), root: self.root.clone() };
        // A folder that is not there may lie anywhere.
        let folder =
            folder.canonicalize().map_err(|source| OrderError::Withdrawn { folder: folder.to_owned(), source })?;
        if !folder.starts_with(&self.root) {
            return Err(outside());
        }
        let order = WorkOrder::read(&folder)?;
        let needed = order.needs.bytes(self.slots);
        if needed > self.memory {
            return Err(OrderError::TooLittleMemory { needed, memory: self.memory, slots: self.slots });
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |opened: &Arc<Opened>| opened.folder == folder && opened.order.fingerprint == order.fingerprint;
        let opened = match open.iter().position(is_same) {
            Some(at) if open[at].failed.get().is_none() => open.remove(at),
            _ => {
                open.retain(|opened| opened.folder != folder);
                let held =
                    |open: &[Arc<Opened>]| open.iter().map(|opened| opened.order.needs.bytes(self.slots)).sum::<u64>();
                while open.len() >= OPEN || (!open.is_empty() && held(&open).saturating_add(needed) > self.memory) {
                    open.remove(0);
                }
                Arc::new(Opened::begin(folder, order, &self.tools))
            }
        };
        open.push(opened.clone());
        Ok(opened)
    }
}

impl Opened {
    /// Opens a run on a thread of its own, which ends when nobody asks any more.
    fn begin(folder: PathBuf, order: WorkOrder, tools: &Arc<Tools>) -> Self {
        let (requests, asked) = mpsc::channel();
        let (pulse, failed) = (Pulse::begin(&folder, &tools.executor), Arc::<OnceLock<String>>::default());
        let (place, task, tools, why) = (folder.clone(), order.clone(), tools.clone(), failed.clone());
        let work = move || {
            let answer = |partitions: &Partitions| answer(&tools.pool, partitions, &asked);
            if let Err(error) = worker::with_partitions(&place, &task, &tools.spills, &tools.pool, answer) {
                let _ = why.set(format!("{error:#}"));
            }
        };
        if let Err(error) = thread::Builder::new().name("run".to_owned()).spawn(work) {
            let _ = failed.set(format!("cannot start a thread: {error}"));
        }
        Self { folder, order, requests, pulse, failed }
    }

    fn ask(&self, ordinal: u32) -> Result<Tally, String> {
        let (answer, answered) = mpsc::channel();
        // Where the run is open no more, the request is dropped, and the answer with it.
        let _ = self.requests.send(Request { ordinal, answer });
        answered.recv().unwrap_or_else(|_| {
            let why = self.failed.get().cloned();
            Err(why.unwrap_or_else(|| {
                format!("partition {ordinal}: mining it ended in an error of the program; see its output")
            }))
        })
    }
}

/// Answers requests, one on each thread, until nobody asks any more.
fn answer(pool: &rayon::ThreadPool, partitions: &Partitions, asked: &mpsc::Receiver<Request>) {
    pool.in_place_scope(|scope| {
        for Request { ordinal, answer } in asked {
            scope.spawn(move |_| {
                let tally = match ordinal < partitions.count() {
                    true => partitions.settle(ordinal).map_err(|error| error.to_string()),
                    false => Err(format!("partition {ordinal} of a run of {}", partitions.count())),
                };
                // Who asked may have been stopped.
                let _ = answer.send(tally);
            });
        }
    });
}
