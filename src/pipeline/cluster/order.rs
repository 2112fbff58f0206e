//! What an executor must know to work on a run: one file in the run's work folder, written by whoever drives the run.
//!
//! Nothing of the environment is in it, and no expression: what these say went into the prepared store.

use std::hash::{BuildHasher, RandomState};
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::recipe::Recipe;
use super::{RUN, seen};
use crate::disk;
use crate::kernel::quantised::padded;
use crate::manifest::Harvests;
use crate::mine;
use crate::pipeline::budget::{Budget, NODE};
use crate::pipeline::crew::Commission;
use crate::pipeline::job::Job;
use crate::pipeline::program;
use crate::search::sizes::ASSIGNED;
use crate::search::{Assignment, Hnsw, HnswParams, Index};
use crate::words::counted;

/// The file that holds an order, in a folder of its own.
pub const FILE: &str = "work-order.json";

/// An order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkOrder {
    pub program: Program,
    /// Of the run.
    pub fingerprint: String,
    /// Tells this order from others of the same run: what executors did is counted by order.
    pub token: u64,
    /// The prepared store; this and all paths below are seen from the folder of the order.
    pub store: PathBuf,
    pub needs: Needs,
    pub task: Task,
}

/// What is to be done, item by item.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Graphs are built, a shard each, and kept in a folder under a key.
    Build { graphs: PathBuf, key: String, params: HnswParams },
    /// Rows are brought to their cells, a stretch at a time, in a folder that has the centres. `unlabelled` as in [`crate::search::Exact::new`].
    Assign { assignment: PathBuf, unlabelled: bool },
    /// Partitions are mined, and committed to a folder.
    Mine { index: Recipe, params: Box<mine::Params>, partitions: PathBuf },
}

impl Task {
    /// What each of its items is, for people.
    pub fn item(&self) -> &'static str {
        match self {
            Self::Build { .. } => "graph",
            Self::Assign { .. } => "stretch",
            Self::Mine { .. } => "partition",
        }
    }

    /// What it reads beside the store: a file, or a folder with all that is in it.
    pub fn reads(&self) -> Option<PathBuf> {
        match self {
            Self::Build { .. } | Self::Mine { index: Recipe::Exact, .. } => None,
            Self::Assign { assignment, .. } => Some(assignment.join(Assignment::CENTRES)),
            Self::Mine { index: Recipe::Cells { kept, .. }, .. } => Some(kept.clone()),
            Self::Mine { index: Recipe::Hnsw { graphs, .. }, .. } => Some(graphs.clone()),
        }
    }

    /// The folder in which results appear.
    pub fn results(&self) -> &Path {
        match self {
            Self::Build { graphs, .. } => graphs,
            Self::Assign { assignment, .. } => assignment,
            Self::Mine { partitions, .. } => partitions,
        }
    }

    /// The files that an item leaves there, in the order in which they appear: with the last it is done.
    pub fn leaves(&self, item: u32) -> Vec<String> {
        match self {
            Self::Build { .. } => Hnsw::files(item).into(),
            Self::Assign { .. } => vec![Assignment::file(item)],
            Self::Mine { .. } => vec![Harvests::file(item)],
        }
    }
}

/// The name in the folder of all runs of an output of what an order in its folder `place` calls `path`.
///
/// # Errors
/// When it leads outside.
pub fn inside(place: &str, path: &Path) -> Result<String, OrderError> {
    let outside = || OrderError::Astray { path: path.to_owned() };
    let mut parts: Vec<&str> = place.split('/').collect();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop().ok_or_else(outside)?),
            Component::Normal(name) => parts.push(name.to_str().ok_or_else(outside)?),
            _ => return Err(outside()),
        }
    }
    if parts.is_empty() { Err(outside()) } else { Ok(parts.join("/")) }
}

/// The program that a run is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    pub version: String,
    /// A hash of the executable: two builds of one version may differ in what they mine.
    pub build: String,
}

/// What the work takes: bytes of anonymous memory, and of disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// While store and index are opened.
    pub opening: u64,
    /// As long as they are open.
    pub held: u64,
    /// And for each item that is being done.
    pub item: u64,
    /// On the disk of each executor, for what the search derives from the store.
    pub packed: u64,
}

/// Why an executor does not do what it is asked to.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    #[error("{}: lies outside {root}, the only folder whose work this executor does; name the folder of run.work with --work", .folder.display())]
    Outside { folder: PathBuf, root: String },
    #[error("{}: leads out of the folder of the run; a work order names what lies in it alone", .path.display())]
    Astray { path: PathBuf },
    #[error("{}: no folder of a run that is at work: {source}", .folder.display())]
    Withdrawn { folder: PathBuf, source: io::Error },
    #[error("{0}")]
    Unreachable(String),
    #[error(
        "this executor is miner {} (build {}), and the run is of miner {} (build {}); install one program on all machines",
        .found.version, short(&.found.build), .expected.version, short(&.expected.build)
    )]
    Stranger { found: Program, expected: Program },
    #[error("{}: no work order: {source}", .path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error(
        "this run takes {} MiB with {}, and the executor has {} MiB; give it more with --memory, or fewer --slots",
        .needed >> 20, counted(*.slots as u64, "slot"), .memory >> 20
    )]
    TooLittleMemory { needed: u64, memory: u64, slots: usize },
}

/// A number that nobody else has.
pub fn token() -> u64 {
    RandomState::new().hash_one(std::process::id())
}

fn short(build: &str) -> &str {
    build.get(..12).unwrap_or(build)
}

impl Program {
    pub fn this() -> Self {
        Self { version: program::VERSION.to_owned(), build: program::build().to_owned() }
    }
}

/// Bytes of a dimension of a row that is packed for a scan.
const BYTES: usize = size_of::<i8>();

impl Needs {
    pub fn of_mining(job: &Job) -> Self {
        let with = |threads| Budget::of(&Job { threads, ..job.clone() });
        let held = with(0).mining;
        let bytes = match job.index {
            Index::Exact | Index::Auto | Index::Hnsw => BYTES,
            Index::Cells => BYTES + size_of::<f32>(),
        };
        let packed = job.negatives.saturating_mul((bytes * padded(job.dims)) as u64);
        Self { opening: with(job.threads).indexing, held, item: with(1).mining - held, packed }
    }

    /// Of building a graph no more than its shard is in memory.
    pub fn of_building(job: &Job) -> Self {
        let shards = u64::from(Hnsw::shards(job.corpus.min(u64::from(u32::MAX)) as u32));
        Self {
            opening: 0,
            held: 0,
            item: job.corpus.div_ceil(shards) * (size_of::<f32>() as u64 * job.dims as u64 + NODE),
            packed: 0,
        }
    }

    /// Of bringing rows to their cells: the rows, the centres, and as many rows as are multiplied with all centres at a time.
    pub fn of_assigning(job: &Job) -> Self {
        let (vector, cells) = (size_of::<f64>() as u64 * job.dims as u64 + 64, job.cells);
        let held = job.corpus * size_of::<u32>() as u64 + 2 * cells * vector;
        Self { opening: held, held, item: ASSIGNED as u64 * (2 * vector + cells * size_of::<i32>() as u64), packed: 0 }
    }

    /// The most that they come to, with so many items at a time.
    pub fn bytes(&self, slots: usize) -> u64 {
        self.opening.max(self.held.saturating_add(self.item.saturating_mul(slots as u64)))
    }
}

/// Of a file, or of all files in a folder.
fn bytes_below(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let inside = entries.map(|entry| bytes_below(&entry.path())).sum::<u64>();
    inside + fs::metadata(path).ok().filter(fs::Metadata::is_file).map_or(0, |file| file.len())
}

/// What all versions of the program tell alike.
#[derive(Deserialize)]
struct Head {
    program: Program,
}

impl WorkOrder {
    /// One of this program for a run whose scratch holds what is worked with.
    pub fn new(run: &Commission, needs: Needs, task: Task) -> Self {
        let token = token();
        let (fingerprint, store) = (run.fingerprint.to_owned(), seen(RUN, &run.scratch.store()));
        Self { program: Program::this(), fingerprint, token, store, needs, task }
    }

    /// Bytes of what is opened for it, as it lies in the work folder; `folder` is its own.
    pub fn bytes(&self, folder: &Path) -> u64 {
        let index = match &self.task {
            Task::Mine { index: Recipe::Cells { kept, .. }, .. } => Some(kept),
            Task::Mine { index: Recipe::Hnsw { graphs, .. }, .. } => Some(graphs),
            Task::Assign { assignment, .. } => Some(assignment),
            Task::Mine { index: Recipe::Exact, .. } | Task::Build { .. } => None,
        };
        [Some(&self.store), index].into_iter().flatten().map(|path| bytes_below(&folder.join(path))).sum()
    }

    /// Writes it into an existing folder, whole or not at all.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        disk::keep(&folder.join(FILE), self)
    }

    /// Whether it keeps to the folder of all runs of its output, in which its own is `place`.
    ///
    /// # Errors
    /// When a path leads outside.
    pub fn check(&self, place: &str) -> Result<(), OrderError> {
        self.paths().try_for_each(|path| inside(place, &path).map(drop))
    }

    /// All that it names.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.reads().chain([self.task.results().to_owned()])
    }

    /// All that it reads.
    pub fn reads(&self) -> impl Iterator<Item = PathBuf> {
        std::iter::once(self.store.clone()).chain(self.task.reads())
    }

    /// Reads the order of a folder.
    ///
    /// # Errors
    /// When there is none any more; when it is of another program.
    pub fn read(folder: &Path) -> Result<Self, OrderError> {
        let path = folder.join(FILE);
        let bytes = disk::read(&path).map_err(|source| OrderError::Withdrawn { folder: folder.to_owned(), source })?;
        Self::parse(&bytes, path)
    }

    /// An order as it was found at `path`.
    ///
    /// # Errors
    /// When it is of another program, or none.
    pub fn parse(bytes: &[u8], path: PathBuf) -> Result<Self, OrderError> {
        let malformed = |source| OrderError::Malformed { path: path.clone(), source };
        // Another version's order may hold what this one does not know.
        let Head { program: expected } = serde_json::from_slice(bytes).map_err(malformed)?;
        let found = Program::this();
        if found != expected {
            return Err(OrderError::Stranger { found, expected });
        }
        serde_json::from_slice(bytes).map_err(malformed)
    }
}
