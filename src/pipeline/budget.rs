//! Anonymous memory by formula: what each stage holds at most. Mapped files, the prepared store and the packed rows among
//! them, do not count: the system takes their pages back when it needs them.

use std::path::{Path, PathBuf};

use bytesize::ByteSize;

use super::job::Job;
use super::machine;
use crate::config::Plan;
use crate::kernel::quantised::padded;
use crate::mine::{Batches, NEAREST_VECTORS, PAIRS, partition_rows};
use crate::search::Index;
use crate::search::sizes::{BLOCK, PLANNED_ANCHORS, SAMPLE_OF_A_CELL, SHOWN_ANCHORS, STRETCH, WRITE};
use crate::store::LARGEST_LIST;

/// So much may be taken to find out what a job needs, whatever it may have.
const LOOK: u64 = 64 << 20;
/// The program itself, about 10 MiB, and what its allocator keeps of small blocks given back.
const BASE: u64 = 16 << 20;
/// Of a table of ids already seen: a digest, a place, and a slot of a hash table that is at worst half empty.
const SEEN_ROW: u64 = 40;
/// Of an id, kept twice.
const ID: u64 = 64;
/// Of a link while links are sorted.
const LINK: u64 = 16;
/// Of a pair while it is looked up among scores: two digests, in a hash table that grows by doubling.
const COMPARED: u64 = 3 * (2 * 16 + 1);
/// Of a distinct label beside its own bytes (kept twice): a slot in a hash table and the allocations.
const CODED: u64 = 112;
/// Of a distinct set of labels beside their codes: a slot in a hash table, its place in a list, and an allocation.
const CODED_SET: u64 = 112;
/// Of a label that a row has among several: its number in two lists, one of them ranked.
const HELD: u64 = 4 + 4;
/// Of a row that is looked at as a positive: its number, whether it is admitted, its distance and both once more; of rows that are
/// brought together from several labels the lists, and what merging takes.
const RELATIVE: u64 = 24;
const BROUGHT_TOGETHER: u64 = 16;
/// Of a row in every search: its place in two keyed orders, its label's list, and its partition's.
const INDEXED_ROW: u64 = 8 + 4 + 4;
/// Of a packed row: its number, its label and its offset.
const PACKED_ROW: u64 = 4 + 4 + 4;
/// Rows that are packed before they are written …
const PACKING: u64 = WRITE as u64 * PLACED;
/// … and those that one thread rotates in f64 at a time.
const PLACED: u64 = STRETCH as u64;
/// Of an anchor on its way: its quest and its seeker, beside the quantised vector.
const ANCHOR: u64 = 560;
/// Of a pair: itself, twice; of a window: as asked for, as filled and its taker; of a slot: in a heap, as a hit, as a
/// triplet in a list that grows by doubling, and once more as columns.
const PAIR: u64 = 144;
const WINDOW: u64 = 280;
const TRIPLETS: u64 = 56 + 32;
const SLOT: u64 = 16 + 16 + 24 + TRIPLETS;
/// Of a nearest negative that is skipped, or looked at alone: in a heap, as a hit, in a list.
const RANKED: u64 = 16 + 16 + 8;
/// Of a row while all distances of an anchor are looked at: its number and its distance, both once more, and what guards and scores
/// say of it.
const MEASURED_ROW: u64 = 8 + 8 + 10;
/// Of a thread in a scan: the hits of the anchors that are shown a block.
const HITS: u64 = (SHOWN_ANCHORS * BLOCK * size_of::<u32>()) as u64;
/// Of a row in a graph, beside its vector.
pub const NODE: u64 = 2_800;
/// Triplets laid out at once, those of one row group being encoded, and what a triplet's own columns take.
const LAID_OUT: u64 = 1 << 15;
const ROW_GROUP: u64 = 1 << 17;
const TRIPLET: u64 = 112;
/// Of a row while copies are looked for, and while it waits to be listed as unmined.
const LISTED_ROW: u64 = 40;
/// Of a row and of a class while triplets are counted for the report: how often it is a negative, twice, and whether it has any; its
/// triplets and anchors, in several lists.
const COUNTED_ROW: u64 = 4 + 4 + 1;
const COUNTED_CLASS: u64 = 64;
/// Of the pairs of classes that are counted at once.
const CONFUSED: u64 = 12 << 20;
/// Of two classes that are hard for each other, in a hash table that is at worst half empty and in both their lists.
const MET: u64 = 96;
/// Of a row that goes into batches: its number, twice, and whether it is an anchor and placed.
const PLACED_ROW: u64 = 4 + 4 + 1 + 1;
/// Of a class: its place in a queue that holds it several times, its rows, and lists of what belongs to it.
const QUEUED: u64 = 256;
/// Of a triplet: its rows and its number, both in lists that grow by doubling, and its number once more in what is left.
const QUEUED_TRIPLET: u64 = 2 * (12 + 8) + 8;
/// Of a row or a class: the last batch that has it, and that may not.
const STAMPED: u64 = 4 + 4;
/// Of a row that is left out: its place, its id, and what is wrong with it.
const REJECTED: u64 = 160;
/// Of outputs being read: a row group on its way, batches of it in the types of both, and counts of gaps.
const COMPARING: u64 = 72 << 20;
/// Of a byte of a row group of an output, while that is read.
const UNPACKED: u64 = 8;
/// Of a row of a store that is looked up by its id, as an anchor and as a row of the corpus.
const LOOKED_UP: u64 = 4 + 4;
/// Where neither the user nor the system says how much memory there is.
const UNTOLD: u64 = 1 << 30;
/// What a sort needs to spill the rest.
const SORT: u64 = 16 << 20;

/// The most that each stage holds, in bytes, but for sorts, which take what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub reading: u64,
    pub fitting: u64,
    pub indexing: u64,
    pub mining: u64,
    pub writing: u64,
}

/// There is too little memory for a job.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: {given}: this job needs at least {needed} MiB ({stage}: {why}); give it that{}", .file.display(),
    if *.threads > 1 { ", or fewer threads" } else { "" }
)]
pub struct TooLittleMemory {
    file: PathBuf,
    given: String,
    needed: u64,
    stage: &'static str,
    why: &'static str,
    threads: u64,
}

impl Budget {
    pub fn of(job: &Job) -> Self {
        let tables = tables(job) + graphs(job);
        let small = small(job);
        let sort = if job.sorts { SORT } else { 0 };
        let chosen = balance(job).saturating_add(batches(job));
        let written = written(job, job.triplets());
        Self {
            reading: small + reading(job),
            fitting: if job.fitting_bytes == 0 {
                0
            } else {
                small + job.fitting_bytes.max(nearest(job)) + job.rows * CLASSED_ROW
            },
            indexing: small + tables + indexing(job),
            mining: job.threads.saturating_mul(partition(job)).max(measured(job)).saturating_add(small + tables),
            writing: (small + tables + job.rows * (LISTED_ROW + COUNTED_ROW) + written + sort)
                .saturating_add(job.classes * COUNTED_CLASS + CONFUSED.min(job.triplets().saturating_mul(128)))
                .saturating_add(chosen),
        }
    }

    /// Whether labels may be read to find out what a job needs: what reading takes by itself, as footers and page headers tell it,
    /// fits into what the plan, or else the machine, gives.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_reading(plan: &Plan, reading_bytes: u64, threads: u64) -> Result<(), TooLittleMemory> {
        if reading_bytes <= LOOK {
            return Ok(());
        }
        let reading = Self { reading: BASE + reading_bytes, fitting: 0, indexing: 0, mining: 0, writing: 0 };
        reading.check(plan, threads)
    }

    /// The least that would do.
    pub fn least(&self) -> u64 {
        self.stages().into_iter().map(|(bytes, ..)| bytes).max().unwrap_or(0)
    }

    /// What is taken: the least, but where reading takes more.
    pub fn taken(&self, job: &Job) -> u64 {
        self.least().max(self.reading + job.reading.bytes.saturating_sub(job.reading_bytes))
    }

    /// Anchors of which all distances are looked at together: as many as the least has room for.
    pub fn measured_together(&self, job: &Job) -> usize {
        let held = small(job) + tables(job) + graphs(job);
        together(self.least().saturating_sub(held), job.negatives, job.threads)
    }

    /// What `memory` leaves to the sorts of the last stage.
    pub fn sorts(&self, job: &Job, memory: u64) -> u64 {
        let set_apart = if job.sorts { SORT } else { 0 };
        set_apart + memory.saturating_sub(self.writing)
    }

    /// Whether the job fits into what the plan, or else the machine, gives.
    ///
    /// # Errors
    /// When it does not.
    pub fn check(&self, plan: &Plan, threads: u64) -> Result<(), TooLittleMemory> {
        let Some(memory) = given(plan) else { return Ok(()) };
        self.fits(memory, plan.run.memory.is_some(), &plan.file, threads)
    }

    fn fits(&self, memory: u64, asked: bool, file: &Path, threads: u64) -> Result<(), TooLittleMemory> {
        let (needed, stage, why) = self.stages().into_iter().max_by_key(|(bytes, ..)| *bytes).unwrap_or_default();
        if needed <= memory {
            return Ok(());
        }
        let size = size(memory);
        let given = match asked {
            true => format!("run.memory = \"{size}\""),
            false => format!("run.memory is not set, and three quarters of this machine's are {size}"),
        };
        Err(TooLittleMemory { file: file.into(), given, needed: needed.div_ceil(1 << 20), stage, why, threads })
    }

    /// What checking an output holds: reading the inputs, then all rows of the output as lines, made anew and compared, and their
    /// batches.
    fn of_check(job: &Job, output: &Output) -> u64 {
        let small = small(job);
        let reading = reading(job);
        let line = LINE + output.members * MEMBER;
        let again = output.again.saturating_mul(TRIPLETS);
        // A row group on its way, and the same made anew.
        let columns = written(job, output.rows);
        let lines = output.rows.saturating_mul(line).saturating_add(again).saturating_add(columns);
        // Where the search is opened again, it is made before the rows are read.
        let graphs = if output.opens { graphs(job) } else { 0 };
        let mining = job.threads.saturating_mul(partition(job)).saturating_add(tables(job) + graphs);
        let reading = if output.opens { reading.max(tables(job) + graphs + indexing(job)) } else { reading };
        let checking = lines.saturating_add(mining).saturating_add(job.rows * LISTED_ROW).saturating_add(batches(job));
        reading.max(checking).saturating_add(small)
    }

    /// Whether an output can be checked in `memory`, or in what the machine gives.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check_output(job: &Job, output: &Output, memory: Option<u64>, file: &Path) -> Result<(), TooLittleMemory> {
        let (needed, asked) = (Self::of_check(job, output), memory.is_some());
        match memory.or_else(machine::memory) {
            Some(memory) if needed > memory => {
                let given = match asked {
                    true => format!("--memory {}", size(memory)),
                    false => format!("three quarters of this machine's memory are {}", size(memory)),
                };
                let (needed, stage, why) = (needed.div_ceil(1 << 20), "checking", "all rows of the output, made anew");
                Err(TooLittleMemory { file: file.into(), given, needed, stage, why, threads: job.threads })
            }
            _ => Ok(()),
        }
    }

    /// What comparing two outputs leaves to sorts, of `memory` or of what the machine gives. `file` is one of the outputs, `job` the run
    /// of the later one where its store is at hand, too.
    ///
    /// # Errors
    /// When that is too little to spill the rest.
    pub fn check_diff(memory: Option<u64>, file: &Path, job: Option<&Job>) -> Result<u64, TooLittleMemory> {
        let at_hand = |job: &Job| coders(job) + rejected(job) + tables(job) + job.rows * LOOKED_UP;
        let held = BASE + COMPARING + job.map_or(0, at_hand);
        let reading = job.map_or(0, |job| Self::of(job).reading);
        let (needed, given) = (reading.max(held + SORT), memory.or_else(machine::memory).unwrap_or(UNTOLD));
        if needed <= given {
            return Ok(given - held);
        }
        let given = match memory {
            Some(memory) => format!("--memory {}", size(memory)),
            None => format!("three quarters of this machine's memory are {}", size(given)),
        };
        let (needed, stage, why) =
            (needed.div_ceil(1 << 20), "comparing", "rows of two parts on their way, and the sort");
        Err(TooLittleMemory { file: file.into(), given, needed, stage, why, threads: 1 })
    }

    fn stages(&self) -> [(u64, &'static str, &'static str); 5] {
        [
            (self.reading, "reading", "ids already seen, labels, row groups and batches on their way"),
            (self.fitting, "preparing", "matrices of dimensions × dimensions, and vectors on their way"),
            (self.indexing, "indexing", "keyed orders, row numbers, rows being packed or linked"),
            (self.mining, "mining", "the tables of all rows, and a partition's candidates on each thread"),
            (
                self.writing,
                "writing",
                "the tables of all rows, a row group being encoded, balance, batches, and the sort",
            ),
        ]
    }
}

/// What there is to check of an output.
pub struct Output {
    /// Of all parts, as the manifest tells: no more are read.
    pub rows: u64,
    /// Rows of the store that stand in one of them.
    pub members: u64,
    /// Triplets that are mined again, at most.
    pub again: u64,
    /// Whether an approximate search is opened again.
    pub opens: bool,
}

/// Of a row that is checked: its head, part by part and in a list of all, and its place in the files and among the others.
const LINE: u64 = 2 * 24 + 2 * 8;
/// Of each row of the store that it names: the same, and a triplet.
const MEMBER: u64 = 2 * 16 + 28;

fn size(memory: u64) -> String {
    match memory % (1 << 20) {
        0 => format!("{}MiB", memory >> 20),
        _ => ByteSize(memory).to_string(),
    }
}

/// The memory that a run may take; `None` where neither the plan nor the system tells.
pub fn given(plan: &Plan) -> Option<u64> {
    plan.run.memory.or_else(machine::memory)
}

/// The same of a prepared store of so many rows alone, in what the plan or else the machine gives.
pub fn measured_together(plan: &Plan, rows: u64, threads: usize) -> usize {
    together(given(plan).unwrap_or(UNTOLD).saturating_sub(BASE + rows * INDEXED_ROW), rows, threads as u64)
}

fn together(room: u64, negatives: u64, threads: u64) -> usize {
    (room / (negatives * MEASURED_ROW).max(1)).clamp(1, threads.max(1)) as usize
}

/// What stays from the first stage to the last, whatever the others hold.
fn small(job: &Job) -> u64 {
    BASE + coders(job) + rejected(job)
}

/// Two stretches of triplets that are laid out, one with what its lists take to be encoded, and a row group that is; of a few triplets
/// each is all of them. What is written of one has what stands beside the vectors of three rows of the store, or four.
fn written(job: &Job, triplets: u64) -> u64 {
    (3 * LAID_OUT.min(triplets) + ROW_GROUP.min(triplets)) * (TRIPLET + job.beside() * job.beside_bytes)
}

/// The list of rows that are left out, which stays to the end; in the worst case it is all of them.
fn rejected(job: &Job) -> u64 {
    if job.skips { ((job.rows + job.links) * REJECTED).min(LARGEST_LIST) } else { 0 }
}

/// Bytes of a row group of files that have so many bytes and rows.
pub fn of_a_row_group((bytes, rows): (u64, u64)) -> u64 {
    bytes.min(bytes.div_ceil(rows.max(1)).saturating_mul(ROW_GROUP))
}

/// Reading the inputs: the tables, then earlier outputs, a part after the other.
fn reading(job: &Job) -> u64 {
    let earlier = COMPARING.min(job.excluded_bytes.saturating_mul(UNPACKED));
    job.reading_bytes.max(earlier) + read(job)
}

/// What stays of what was read, while there is more to read.
fn read(job: &Job) -> u64 {
    job.rows * SEEN_ROW + (job.links + job.excluded) * LINK
}

/// What tables may hold on their way, of what the plan or else the machine gives: more than the least lets more threads read.
pub fn reading_room(plan: &Plan, job: &Job) -> u64 {
    given(plan).unwrap_or(UNTOLD).saturating_sub(small(job) + read(job))
}

/// Of a row while a transform is learned: its place in its class; while before and after are compared: its key and number,
/// in two lists that grow by doubling, and whether it is in the sample.
const CLASSED_ROW: u64 = 4 + 5 * 16 + 1;

/// Copies of vectors that are compared before and after.
fn nearest(job: &Job) -> u64 {
    (NEAREST_VECTORS as u64).min(job.rows) * (4 * job.read_dims as u64 + 128)
}

/// What a search keeps of all rows; cells know each row's.
fn tables(job: &Job) -> u64 {
    let quota = if job.oversample_to > 0 { 4 } else { 0 };
    let cell = if job.index == Index::Cells { 4 + 4 } else { 0 };
    let held = job.sets.as_ref().map_or(0, |sets| HELD * sets.held);
    job.rows * (INDEXED_ROW + PACKED_ROW + cell + quota + 4 * job.groups) + 16 * job.classes + held
}

/// What graphs hold of all rows.
fn graphs(job: &Job) -> u64 {
    if job.index == Index::Hnsw { job.rows * (4 * job.dims as u64 + NODE) } else { 0 }
}

/// What making an index takes beside the tables: a copy of the row numbers, keys while they are sorted, and rows being packed or cells
/// being trained.
fn indexing(job: &Job) -> u64 {
    let packing = PACKING.min(job.rows) * (padded(job.dims) as u64 + 64)
        + job.threads * PLACED.min(job.rows) * (8 * job.dims as u64 + 64);
    job.rows * 16 + packing.max(training(job))
}

/// Of cells while they are trained: the sample, placed, quantised and summed, and the centres.
fn training(job: &Job) -> u64 {
    let sample = (SAMPLE_OF_A_CELL as u64 * job.cells).min(job.rows);
    (sample * 2 + job.cells * 3) * (8 * job.dims as u64 + 64)
}

/// Distinct labels, told apart when they are counted and again when rows are prepared, of each group as many values, and the ids of
/// anchors that pairs or scores name, when they are counted.
/// They lie in pieces so small that the allocator keeps most of them to the end.
fn coders(job: &Job) -> u64 {
    let paired = job.links.min(job.asking) * (CODED + ID);
    let sets = job.sets.as_ref().map_or(0, |sets| sets.sets * CODED_SET + 4 * sets.members);
    (2 + job.groups) * (job.classes * CODED + 2 * job.label_bytes) + 2 * sets + paired + job.compared * COMPARED
}

/// What balance keeps while it looks at all candidates: of each whether it stays, of each row its uses and whether it is an anchor
/// with something left, of each class its counts.
fn balance(job: &Job) -> u64 {
    if !job.balance.is_on() {
        return 0;
    }
    let bits = if job.balance.selects() { job.mined() / 8 } else { 0 };
    let uses = if job.balance.max_uses.is_some() { 4 } else { 0 };
    bits.saturating_add(job.rows * (uses + 2)).saturating_add(job.classes * 64)
}

/// What batches are made from.
fn batches(job: &Job) -> u64 {
    match job.batches {
        None => 0,
        Some(Batches::Pk(_)) => {
            let linked = job.triplets().min(job.classes.saturating_mul(job.classes) / 2);
            linked.saturating_mul(MET).saturating_add(job.rows * PLACED_ROW).saturating_add(job.classes * QUEUED)
        }
        Some(Batches::Triplets { .. }) => {
            // Where pairs tell, anchors stand in the place of classes.
            let queues = if job.links > 0 { job.asking } else { job.classes };
            let stamps = (job.corpus + job.classes) * STAMPED;
            job.triplets().saturating_mul(QUEUED_TRIPLET).saturating_add(queues * QUEUED + stamps)
        }
    }
}

/// One anchor whose distances to all rows are looked at, to tell what guards take.
fn measured(job: &Job) -> u64 {
    if job.guarded { job.negatives * MEASURED_ROW } else { 0 }
}

/// One partition being mined.
fn partition(job: &Job) -> u64 {
    // Cells plan the visits of so many anchors together: what is known of each cell and anchor, and who visits which.
    let planned = 2 * (PLANNED_ANCHORS as u64).min(job.anchors) * job.cells * 4;
    let anchors = u64::from(partition_rows(job.asking.min(u64::from(u32::MAX)) as u32)).min(job.anchors);
    let pairs = job.pairs_of(anchors);
    // So many pairs are mined together; what they gave stays until the partition is committed.
    let together = pairs.min((PAIRS as u64).saturating_add(job.pairs));
    // Of each pair, the rows that its scores leave.
    let mined =
        together.saturating_mul(PAIR + 4 * job.scored + job.windows * WINDOW + job.candidates * (SLOT - TRIPLETS));
    let given = pairs.saturating_mul(job.candidates * TRIPLETS);
    let together = if job.sets.is_some() { BROUGHT_TOGETHER } else { 0 };
    let relatives = job.largest_class.max(job.most_positives + 1) * (RELATIVE + together);
    // Of the exceptions of an anchor as many as anchors have on average, in two lists.
    let excepted = 2 * 4 * job.excluded.div_ceil(job.asking.max(1));
    let anchors = anchors.saturating_mul(ANCHOR + padded(job.dims) as u64 + job.ranks * RANKED + excepted);
    anchors.saturating_add(mined).saturating_add(given).saturating_add(relatives + HITS + planned)
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
