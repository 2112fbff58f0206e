//! What an executor has open: the orders that it works on, each with its store and its index, as many as its memory holds.
//!
//! An order lives on a thread of its own, which lends it to the threads that work; whoever wants an item done waits for one of those.
//! There are as many of them as the executor has slots, over all orders.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use super::depot::NoRoom;
use super::ground::Ground;
use super::in_a_line;
use super::order::{OrderError, WorkOrder};
use super::sign::Pulse;
use super::site::{Place, Site};
use super::worker::{self, Work};

/// Orders that are open at once, at most.
const OPEN: usize = 4;

/// Where an executor works, and with what.
#[derive(Debug)]
pub struct Bench {
    site: Site,
    /// Bytes of anonymous memory, at most.
    memory: u64,
    slots: usize,
    tools: Arc<Tools>,
    /// The one that was asked for last comes last.
    open: Mutex<Vec<Arc<Opened>>>,
}

/// Why an item is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    place: Place,
    ground: Arc<Ground>,
    order: WorkOrder,
    requests: mpsc::Sender<Request>,
    pulse: Arc<Pulse>,
    /// Why it is open no more.
    ended: Arc<OnceLock<Unsettled>>,
}

#[derive(Debug)]
struct Request {
    number: u32,
    answer: mpsc::Sender<Result<u64, Unsettled>>,
}

impl Bench {
    /// A bench for work of a site, with `slots` items at a time.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub fn new(site: Site, spills: PathBuf, executor: String, slots: usize, memory: u64) -> anyhow::Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(slots).build()?;
        let tools = Arc::new(Tools { pool, spills, executor });
        Ok(Self { site, memory, slots, tools, open: Mutex::default() })
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
        answer
    }

    /// Whether an order in this folder was opened lately.
    pub fn knows(&self, folder: &Path) -> bool {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|opened| opened.place.path() == folder)
    }

    fn open(&self, folder: &Path) -> Result<Arc<Opened>, OrderError> {
        let place = self.site.find(folder)?;
        let order = self.site.read(&place)?;
        let needed = order.needs.bytes(self.slots);
        if needed > self.memory {
            return Err(OrderError::TooLittleMemory { needed, memory: self.memory, slots: self.slots });
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |opened: &Arc<Opened>| opened.place == place && opened.order.token == order.token;
        let opened = match open.iter().position(is_same) {
            Some(at) if open[at].ended.get().is_none() => open.remove(at),
            ended => {
                // What was done of it before it ended counts, and what was fetched for it, or for its run, is not fetched again.
                let pulse = ended.map(|at| open[at].pulse.clone());
                let ground = match ended {
                    Some(at) => open[at].ground.clone(),
                    None => Arc::new(self.site.ground(&place, open.iter().map(|opened| opened.ground.as_ref()))?),
                };
                // What failed may do better without others that nobody asks for.
                open.retain(|opened| opened.place != place && (ended.is_none() || !opened.pulse.is_idle()));
                let held =
                    |open: &[Arc<Opened>]| open.iter().map(|opened| opened.order.needs.bytes(self.slots)).sum::<u64>();
                while open.len() >= OPEN || (!open.is_empty() && held(&open).saturating_add(needed) > self.memory) {
                    open.remove(0);
                }
                Arc::new(Opened::begin(place, ground, order, pulse, &self.tools))
            }
        };
        open.push(opened.clone());
        Ok(opened)
    }
}

impl Opened {
    /// Opens an order on a thread of its own, which ends when nobody asks any more, or the order was taken back.
    fn begin(
        place: Place,
        ground: Arc<Ground>,
        order: WorkOrder,
        pulse: Option<Arc<Pulse>>,
        tools: &Arc<Tools>,
    ) -> Self {
        let (requests, asked) = mpsc::channel();
        let pulse = pulse.unwrap_or_else(|| Arc::new(Pulse::begin(&ground, &tools.executor)));
        let ended = Arc::<OnceLock<Unsettled>>::default();
        let (here, asked_for, tools, why) = (ground.clone(), order.clone(), tools.clone(), ended.clone());
        let signs = pulse.clone();
        let work = move || {
            let is_over = || signs.is_idle() && here.is_over(&asked_for);
            let answer = |work: &dyn Work| {
                signs.opened(asked_for.bytes(&here.folder()));
                here.lend(&asked_for, work, |work| answer(&tools.pool, work, &asked, &is_over))
            };
            let worked = here
                .open(&asked_for)
                .and_then(|()| worker::with_work(&here.folder(), &asked_for, &tools.spills, &tools.pool, answer)?);
            // Before those who have asked are told that there is no answer.
            let _ = why.set(match worked {
                Ok(()) => Unsettled::Failed("its order was taken back".to_owned()),
                Err(error) if error.is::<NoRoom>() => Unsettled::Refused(in_a_line(&error)),
                Err(error) => Unsettled::Failed(in_a_line(&error)),
            });
        };
        if let Err(error) = thread::Builder::new().name("order".to_owned()).spawn(work) {
            let _ = ended.set(Unsettled::Failed(format!("cannot start a thread: {error}")));
        }
        Self { place, ground, order, requests, pulse, ended }
    }

    fn ask(&self, number: u32) -> Result<u64, Unsettled> {
        let (answer, answered) = mpsc::channel();
        // Where the order is open no more, the request is dropped, and the answer with it.
        let _ = self.requests.send(Request { number, answer });
        answered.recv().unwrap_or_else(|_| {
            let why = || format!("item {number}: it ended in an error of the program; see its output");
            Err(self.ended.get().cloned().unwrap_or_else(|| Unsettled::Failed(why())))
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
                    true => work.settle(number).map_err(|error| Unsettled::Failed(in_a_line(&error))),
                    false => Err(Unsettled::Failed(format!("item {number} of {}", work.items()))),
                };
                // Who asked may have been stopped.
                let _ = answer.send(came_to);
            });
        }
    });
}
