//! What an executor has open: the orders that it works on, each with its store and its index, as many as its memory holds.
//!
//! An order lives on a thread of its own, which lends it to the threads that work; whoever wants an item done waits for one of those.
//! There are as many of them as the executor has slots, over all orders.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context;

use super::in_a_line;
use super::order::{FILE, OrderError, WorkOrder};
use super::sign::Pulse;
use super::worker::{self, Work};

/// Orders that are open at once, at most.
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

/// Why an item is not done.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsettled {
    /// It is not for this executor.
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Failed(String),
}

#[derive(Debug)]
struct Tools {
    pool: rayon::ThreadPool,
    spills: PathBuf,
    executor: String,
}

/// An order that is open, or about to be.
#[derive(Debug)]
struct Opened {
    folder: PathBuf,
    order: WorkOrder,
    requests: mpsc::Sender<Request>,
    pulse: Arc<Pulse>,
    /// Why it is open no more.
    ended: Arc<OnceLock<String>>,
}

#[derive(Debug)]
struct Request {
    number: u32,
    answer: mpsc::Sender<Result<u64, String>>,
}

impl Bench {
    /// A bench for work under `root`, with `slots` items at a time.
    ///
    /// # Errors
    /// When `root` is not there; when threads cannot be started.
    pub fn new(root: &Path, spills: PathBuf, executor: String, slots: usize, memory: u64) -> anyhow::Result<Self> {
        let absent = || format!("--work {}: expected the folder of run.work; is it mounted?", root.display());
        let root = root.canonicalize().with_context(absent)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(slots).build()?;
        let tools = Arc::new(Tools { pool, spills, executor });
        Ok(Self { root, memory, slots, tools, open: Mutex::default() })
    }

    /// Whose it is.
    pub fn executor(&self) -> &str {
        &self.tools.executor
    }

    /// Does an item of the order in `folder`, unless it is done, and waits for it. Gives what it [came to](Work::settle).
    ///
    /// # Errors
    /// When the order is refused, or cannot be done.
    pub fn settle(&self, folder: &Path, number: u32) -> Result<u64, Unsettled> {
        let opened = self.open(folder).map_err(|error| Unsettled::Refused(error.to_string()))?;
        opened.pulse.asked();
        let answer = opened.ask(number);
        opened.pulse.answered(answer.is_ok());
        answer.map_err(Unsettled::Failed)
    }

    /// Whether an order in this folder was opened lately.
    pub fn knows(&self, folder: &Path) -> bool {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|opened| opened.folder == folder)
    }

    fn open(&self, folder: &Path) -> Result<Arc<Opened>, OrderError> {
        // A folder that is not there may lie anywhere.
        let folder =
            folder.canonicalize().map_err(|source| OrderError::Withdrawn { folder: folder.to_owned(), source })?;
        if !folder.starts_with(&self.root) {
            return Err(OrderError::Outside { folder, root: self.root.clone() });
        }
        let order = WorkOrder::read(&folder)?;
        let needed = order.needs.bytes(self.slots);
        if needed > self.memory {
            return Err(OrderError::TooLittleMemory { needed, memory: self.memory, slots: self.slots });
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |opened: &Arc<Opened>| opened.folder == folder && opened.order.token == order.token;
        let opened = match open.iter().position(is_same) {
            Some(at) if open[at].ended.get().is_none() => open.remove(at),
            ended => {
                // What was done of it before it ended counts.
                let pulse = ended.map(|at| open[at].pulse.clone());
                open.retain(|opened| opened.folder != folder);
                let held =
                    |open: &[Arc<Opened>]| open.iter().map(|opened| opened.order.needs.bytes(self.slots)).sum::<u64>();
                while open.len() >= OPEN || (!open.is_empty() && held(&open).saturating_add(needed) > self.memory) {
                    open.remove(0);
                }
                Arc::new(Opened::begin(folder, order, pulse, &self.tools))
            }
        };
        open.push(opened.clone());
        Ok(opened)
    }
}

impl Opened {
    /// Opens an order on a thread of its own, which ends when nobody asks any more, or the order was taken back.
    fn begin(folder: PathBuf, order: WorkOrder, pulse: Option<Arc<Pulse>>, tools: &Arc<Tools>) -> Self {
        let (requests, asked) = mpsc::channel();
        let pulse = pulse.unwrap_or_else(|| Arc::new(Pulse::begin(&folder, &tools.executor)));
        let ended = Arc::<OnceLock<String>>::default();
        let (place, asked_for, tools, why) = (folder.clone(), order.clone(), tools.clone(), ended.clone());
        let signs = pulse.clone();
        let work = move || {
            let is_over = || signs.is_idle() && !place.join(FILE).exists();
            let answer = |work: &dyn Work| {
                signs.opened(asked_for.bytes(&place));
                answer(&tools.pool, work, &asked, &is_over);
            };
            let worked = worker::with_work(&place, &asked_for, &tools.spills, &tools.pool, answer);
            // Before those who have asked are told that there is no answer.
            let _ = why.set(worked.map_or_else(|error| in_a_line(&error), |()| "its order was taken back".to_owned()));
        };
        if let Err(error) = thread::Builder::new().name("order".to_owned()).spawn(work) {
            let _ = ended.set(format!("cannot start a thread: {error}"));
        }
        Self { folder, order, requests, pulse, ended }
    }

    fn ask(&self, number: u32) -> Result<u64, String> {
        let (answer, answered) = mpsc::channel();
        // Where the order is open no more, the request is dropped, and the answer with it.
        let _ = self.requests.send(Request { number, answer });
        answered.recv().unwrap_or_else(|_| {
            let why = self.ended.get().cloned();
            Err(why.unwrap_or_else(|| format!("item {number}: it ended in an error of the program; see its output")))
        })
    }
}

/// Between two looks at whether an order that nobody asks about was taken back: what is open of it takes room.
const LOOK: Duration = Duration::from_secs(5);

/// Answers requests, one on each thread, until nobody asks any more or all is over.
fn answer(pool: &rayon::ThreadPool, work: &dyn Work, asked: &mpsc::Receiver<Request>, is_over: &dyn Fn() -> bool) {
    pool.in_place_scope(|scope| {
        loop {
            let Request { number, answer } = match asked.recv_timeout(LOOK) {
                Ok(request) => request,
                Err(RecvTimeoutError::Timeout) if !is_over() => continue,
                Err(_) => break,
            };
            scope.spawn(move |_| {
                let came_to = match number < work.items() {
                    true => work.settle(number).map_err(|error| in_a_line(&error)),
                    false => Err(format!("item {number} of {}", work.items())),
                };
                // Who asked may have been stopped.
                let _ = answer.send(came_to);
            });
        }
    });
}
