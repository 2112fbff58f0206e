//! What an executor has open: the orders that it works on, each with its store and its index, as many as its memory holds.
//!
//! An order lives on a thread of its own, which lends it to the threads that work; whoever wants an item done waits for one of those.
//! There are as many of them as the executor has slots, over all orders. An order is closed when its memory is needed and nothing of it
//! is in hand, and when it was taken back; what was fetched for a run stays as long as the run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::executor::executor_of;
use super::ground::Ground;
use super::in_a_line;
use super::memory::Memory;
use super::mirror::Withdrawn;
use super::order::{OrderError, WorkOrder};
use super::sign::Pulse;
use super::site::{Place, Site};
use super::spills::NoRoom;
use super::worker::{self, Settled, Work};

/// Where an executor works, and with what.
#[derive(Debug)]
pub struct Bench {
    site: Site,
    tools: Arc<Tools>,
    orders: Arc<Orders>,
}

/// Why an item is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsettled {
    /// It is not for this executor.
    #[error("{0}")]
    Refused(String),
    /// An order that was open has been taken back, or is out of reach for a moment.
    #[error("{0}")]
    Gone(String),
    #[error("{0}")]
    Failed(String),
}

#[derive(Debug)]
struct Tools {
    pool: rayon::ThreadPool,
    slots: usize,
    memory: Arc<Memory>,
    spills: PathBuf,
    /// Tells this executor from all others.
    executor: String,
}

/// The orders that are known; the one that was asked for last comes last.
#[derive(Debug, Default)]
struct Orders(Mutex<Vec<Known>>);

/// An order that was opened once, and was not taken back since.
#[derive(Debug)]
struct Known {
    place: Place,
    order: WorkOrder,
    ground: Arc<Ground>,
    /// What was done of it counts however often it is opened.
    pulse: Arc<Pulse>,
    opened: Option<Arc<Opened>>,
    /// Since when it has been seen to be taken back.
    withdrawn: Option<Instant>,
}

/// An order that is open, or about to be, until nobody has this any more.
#[derive(Debug)]
struct Opened {
    requests: mpsc::Sender<Request>,
    /// Why it is open no more.
    ended: Arc<OnceLock<Unsettled>>,
}

#[derive(Debug)]
struct Request {
    number: u32,
    answer: mpsc::Sender<Result<Settled, Unsettled>>,
}

/// Between two looks for orders that were taken back: what is open of them takes room.
const LOOK: Duration = Duration::from_secs(5);
/// What was fetched for a run that nobody drives any more stays so long: it may be gone on with.
const KEEP: Duration = Duration::from_secs(60 * 60);
/// Orders that are known, at most, but for those that are open.
const KNOWN: usize = 16;

impl Bench {
    /// A bench for work of a site, with `slots` items at a time and so many bytes of memory; `executor` tells it from all others.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub fn new(site: Site, spills: PathBuf, executor: String, slots: usize, memory: u64) -> anyhow::Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(slots).build()?;
        let orders = Arc::<Orders>::default();
        let kept = Arc::downgrade(&orders);
        thread::Builder::new().name("orders".to_owned()).spawn(move || Orders::keep(&kept))?;
        let tools = Arc::new(Tools { pool, slots, memory: Memory::of(memory), spills, executor });
        Ok(Self { site, tools, orders })
    }

    /// Whose it is, for people.
    pub fn executor(&self) -> &str {
        executor_of(&self.tools.executor)
    }

    /// Does an item of the order in `folder`, unless it is done, and waits for it. Gives [what it came to](Settled::came_to).
    ///
    /// # Errors
    /// When the order is refused, or cannot be done.
    pub fn settle(&self, folder: &Path, number: u32) -> Result<u64, Unsettled> {
        let (opened, pulse) = self.open(folder).map_err(|error| match error {
            OrderError::Withdrawn { .. } | OrderError::Unreachable(_) if self.orders.know(folder) => {
                Unsettled::Gone(error.to_string())
            }
            error => Unsettled::Refused(error.to_string()),
        })?;
        let _in_hand = pulse.take(number);
        let answer = opened.ask(number);
        match &answer {
            Ok(settled) if settled.is_new => pulse.done(),
            Err(Unsettled::Failed(_)) => pulse.failed(),
            Ok(_) | Err(Unsettled::Refused(_) | Unsettled::Gone(_)) => {}
        }
        answer.map(|settled| settled.came_to)
    }

    fn open(&self, folder: &Path) -> Result<(Arc<Opened>, Arc<Pulse>), OrderError> {
        let place = self.site.find(folder)?;
        let order = self.site.read(&place)?;
        self.site.check(&place, &order)?;
        let (needed, most) = (order.needs.bytes(self.tools.slots), self.tools.memory.most());
        if needed > most {
            return Err(OrderError::TooLittleMemory { needed, memory: most, slots: self.tools.slots });
        }
        let mut orders = self.orders.lock();
        let is_same = |known: &Known| known.place == place && known.order.token == order.token;
        let mut known = match orders.iter().position(is_same) {
            Some(at) => orders.remove(at),
            None => {
                // What was fetched for a run is not fetched again.
                let ground = self.site.ground(&place, orders.iter().map(|known| known.ground.as_ref()))?;
                // Another order of this place is there no more.
                orders.retain(|known| known.place != place);
                Known::new(place, order, Arc::new(ground), &self.tools)
            }
        };
        let opened = match known.opened.take() {
            Some(opened) if opened.ended.get().is_none() => opened,
            failed => {
                if failed.is_some() {
                    // It may do better without others that nobody asks for.
                    orders.iter_mut().filter(|other| other.pulse.is_idle()).for_each(|other| other.opened = None);
                }
                Arc::new(Opened::begin(&known, &self.tools, Arc::downgrade(&self.orders)))
            }
        };
        (known.opened, known.withdrawn) = (Some(opened.clone()), None);
        let pulse = known.pulse.clone();
        if orders.len() >= KNOWN
            && let Some(oldest) = orders.iter().position(|known| known.opened.is_none() && known.pulse.is_idle())
        {
            orders.remove(oldest);
        }
        orders.push(known);
        Ok((opened, pulse))
    }
}

impl Orders {
    fn lock(&self) -> MutexGuard<'_, Vec<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an order in this folder was opened, and not taken back since.
    fn know(&self, folder: &Path) -> bool {
        self.lock().iter().any(|known| known.place.path() == folder)
    }

    /// Closes the order that was asked for least lately, of those of which nothing is in hand.
    fn close_one(&self) {
        let mut orders = self.lock();
        let is_in_the_way = |known: &&mut Known| known.opened.is_some() && known.pulse.is_idle();
        if let Some(known) = orders.iter_mut().find(is_in_the_way) {
            known.opened = None;
        }
    }

    /// Closes orders that were taken back, and forgets what was fetched for runs that are over.
    fn keep(orders: &Weak<Self>) {
        loop {
            thread::sleep(LOOK);
            let Some(orders) = orders.upgrade() else { return };
            let idle: Vec<_> = orders.lock().iter().filter(|known| known.pulse.is_idle()).map(Known::outline).collect();
            // Not under the lock: a store may take long to answer.
            for (ground, order) in idle.into_iter().filter(|(ground, _)| ground.is_withdrawn()) {
                let is_over = ground.is_over(&order);
                let mut orders = orders.lock();
                let is_kept =
                    orders.iter().any(|other| other.order.token != order.token && other.ground.shares(&ground));
                let Some(known) = orders.iter_mut().find(|known| known.order.token == order.token) else { continue };
                known.opened = None;
                let since = *known.withdrawn.get_or_insert_with(Instant::now);
                if is_over || is_kept || since.elapsed() >= KEEP {
                    orders.retain(|known| known.order.token != order.token);
                }
            }
        }
    }
}

impl Known {
    fn new(place: Place, order: WorkOrder, ground: Arc<Ground>, tools: &Tools) -> Self {
        let pulse = Arc::new(Pulse::begin(&ground, &tools.executor));
        Self { place, order, ground, pulse, opened: None, withdrawn: None }
    }

    /// What is to be asked of it.
    fn outline(&self) -> (Arc<Ground>, WorkOrder) {
        (self.ground.clone(), self.order.clone())
    }
}

impl Opened {
    /// Opens an order on a thread of its own.
    fn begin(known: &Known, tools: &Arc<Tools>, orders: Weak<Orders>) -> Self {
        let (requests, asked) = mpsc::channel();
        let ended = Arc::<OnceLock<Unsettled>>::default();
        let (order, ground, pulse) = (known.order.clone(), known.ground.clone(), known.pulse.clone());
        let (tools, why) = (tools.clone(), ended.clone());
        let work = move || {
            let worked = catch_unwind(AssertUnwindSafe(|| work(&order, &ground, &pulse, &tools, &orders, &asked)));
            // Before those who have asked are told that there is no answer.
            let _ = why.set(match worked {
                Ok(Ok(())) => Unsettled::Gone("its order was taken back".to_owned()),
                Ok(Err(error)) if error.is::<NoRoom>() => Unsettled::Refused(in_a_line(&error)),
                Ok(Err(error)) => Unsettled::Failed(in_a_line(&error)),
                Err(_) => Unsettled::Failed(OF_THE_PROGRAM.to_owned()),
            });
        };
        if let Err(error) = thread::Builder::new().name("order".to_owned()).spawn(work) {
            let _ = ended.set(Unsettled::Failed(format!("cannot start a thread: {error}")));
        }
        Self { requests, ended }
    }

    fn ask(&self, number: u32) -> Result<Settled, Unsettled> {
        let (answer, answered) = mpsc::channel();
        // Where the order is open no more, the request is dropped, and the answer with it.
        let _ = self.requests.send(Request { number, answer });
        answered.recv().unwrap_or_else(|_| {
            let why = || Unsettled::Failed(format!("item {number}: {OF_THE_PROGRAM}"));
            Err(self.ended.get().cloned().unwrap_or_else(why))
        })
    }
}

/// What is said of a panic, which has said the rest itself.
const OF_THE_PROGRAM: &str = "it ended in an error of the program; see its output";

/// Works on an order until nobody can ask any more, as soon as there is memory for it.
fn work(
    order: &WorkOrder,
    ground: &Ground,
    pulse: &Pulse,
    tools: &Tools,
    orders: &Weak<Orders>,
    asked: &mpsc::Receiver<Request>,
) -> anyhow::Result<()> {
    let mut looked = Instant::now();
    let wait = || {
        if let Some(orders) = orders.upgrade() {
            orders.close_one();
        }
        let is_time = looked.elapsed() >= LOOK;
        if is_time {
            looked = Instant::now();
        }
        !(is_time && ground.is_withdrawn())
    };
    let Some(_part) = tools.memory.take(order.needs.bytes(tools.slots), wait) else { return Ok(()) };
    ground.open(order, &tools.spills)?;
    let folder = ground.folder();
    worker::with_work(&folder, order, &tools.spills, &tools.pool, |work| {
        pulse.opened(order.bytes(&folder));
        ground.lend(order, work, |work| answer(&tools.pool, work, asked))
    })?
}

/// Answers requests, one on each thread, until nobody can ask any more.
fn answer(pool: &rayon::ThreadPool, work: &dyn Work, asked: &mpsc::Receiver<Request>) {
    pool.in_place_scope(|scope| {
        for Request { number, answer } in asked {
            scope.spawn(move |_| {
                let settled = match number < work.items() {
                    true => work.settle(number).map_err(unsettled),
                    false => Err(Unsettled::Failed(format!("item {number} of {}", work.items()))),
                };
                // Who asked may have been stopped.
                let _ = answer.send(settled);
            });
        }
    });
}

fn unsettled(error: anyhow::Error) -> Unsettled {
    let why = in_a_line(&error);
    if error.is::<Withdrawn>() { Unsettled::Gone(why) } else { Unsettled::Failed(why) }
}
