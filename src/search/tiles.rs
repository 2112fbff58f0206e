//! The store as the quantised kernel reads it: rotated, in blocks of similar scale, int8 in panels.

use std::io;
use std::ops::Range;

use memmap2::Mmap;
use rayon::prelude::*;

use crate::kernel::quantised::{self, PANEL, Query, UPWARD};
use crate::kernel::{Metric, ROTATION_ERROR, Rotation};
use crate::store::{Code, Prepared, Row, Spill};

/// Columns of a block: with a core's anchors, what its second-level cache holds.
pub const BLOCK: usize = 512;
/// Rows that are sorted by scale before they are cut into blocks: their f32 vectors stay in the caches while a block's
/// hits are measured.
pub const STRETCH: usize = 2_048;
/// Stretches packed before they are written.
pub const WRITE: usize = 64;

/// Rows packed for scanning, in the order given, except that neighbours change places.
pub(super) struct Tiles {
    space: Space,
    blocks: Vec<Block>,
    /// Of every packed row, its row in the store, and the label there.
    rows: Vec<Row>,
    labels: Vec<Code>,
    /// Of every run, where its blocks end.
    ends: Vec<usize>,
    /// The blocks' panels; in a file without a name, so that a store may be larger than memory.
    bytes: Option<Mmap>,
    /// The f32 vectors in the same order, where neighbours in the store are not neighbours here.
    vectors: Option<Mmap>,
    /// What each column's score starts from as a fraction of its block's offset, padding included; empty where
    /// nothing does.
    offsets: Vec<f32>,
}

/// Some rows under one scale.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// Positions among the packed rows.
    pub rows: Range<usize>,
    bytes: Range<usize>,
    offsets: Range<usize>,
    pub scale: f64,
    /// Of no row is ‖y − ŷ‖ larger, …
    pub residual: f64,
    /// … nor ‖y‖, …
    pub norm: f64,
    /// … nor the offset's magnitude, of which the columns' offsets are given as fractions.
    pub offset: f64,
}

impl Tiles {
    /// Packs the rows of each run; no block crosses from one run into the next. `gather` keeps a copy of the f32 vectors
    /// in this order, too: worth it where runs jump about in the store.
    ///
    /// # Errors
    /// When the packed rows cannot be kept in files beside the store.
    pub fn new<'a>(
        store: &Prepared,
        space: Space,
        runs: impl IntoIterator<Item = &'a [Row]>,
        gather: bool,
    ) -> io::Result<Self> {
        let mut tiles = Self {
            space,
            blocks: Vec::new(),
            rows: Vec::new(),
            labels: Vec::new(),
            ends: Vec::new(),
            bytes: None,
            vectors: None,
            offsets: Vec::new(),
        };
        let mut stretches: Vec<&[Row]> = Vec::new();
        // Of every run, how many stretches it and those before it have.
        let mut runs_end: Vec<usize> = Vec::new();
        for run in runs {
            stretches.extend(run.chunks(STRETCH));
            runs_end.push(stretches.len());
        }
        let (mut panels, mut vectors, mut written) = (Spill::beside(store)?, Spill::beside(store)?, 0);
        let mut stretches_end: Vec<usize> = Vec::new();
        for stretches in stretches.chunks(WRITE) {
            let packed: Vec<Vec<Packed>> = stretches.par_iter().map(|rows| pack(rows, store, &tiles.space)).collect();
            for packed in packed {
                for packed in packed {
                    panels.write(&packed.block.bytes)?;
                    if gather {
                        packed
                            .rows
                            .iter()
                            .try_for_each(|&row| vectors.write(bytemuck::cast_slice(store.vector(row))))?;
                    }
                    tiles.labels.extend(packed.rows.iter().map(|row| store.labels()[row.index()]));
                    tiles.add(&packed, written);
                    written += packed.block.bytes.len();
                }
                stretches_end.push(tiles.blocks.len());
            }
        }
        tiles.ends = runs_end.iter().map(|&end| end.checked_sub(1).map_or(0, |last| stretches_end[last])).collect();
        (tiles.bytes, tiles.vectors) = (panels.finish()?, vectors.finish()?);
        Ok(tiles)
    }

    fn add(&mut self, packed: &Packed, written: usize) {
        let (rows, offsets) = (self.rows.len(), self.offsets.len());
        self.rows.extend(&packed.rows);
        self.offsets.extend(&packed.offsets);
        self.blocks.push(Block {
            rows: rows..self.rows.len(),
            bytes: written..written + packed.block.bytes.len(),
            offsets: offsets..self.offsets.len(),
            scale: packed.block.scale,
            residual: packed.block.residual,
            norm: packed.norm,
            offset: packed.offset,
        });
    }

    /// In the order of the runs.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The blocks of a run.
    pub fn run(&self, run: usize) -> &[Block] {
        let begin = run.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.blocks[begin..self.ends[run]]
    }

    /// The f32 vectors in the order of the packed rows; `None` where they are read from the store, by row.
    pub fn vectors(&self) -> Option<&[f32]> {
        self.vectors.as_ref().map(|vectors| bytemuck::cast_slice(vectors))
    }

    /// All packed rows.
    pub fn all_rows(&self) -> &[Row] {
        &self.rows
    }

    /// The rows of a block, in the order of its columns.
    pub fn rows(&self, block: &Block) -> &[Row] {
        &self.rows[block.rows.clone()]
    }

    /// Their labels.
    pub fn labels(&self, block: &Block) -> &[Code] {
        &self.labels[block.rows.clone()]
    }

    /// The panels of a block.
    pub fn bytes(&self, block: &Block) -> &[u8] {
        self.bytes.as_ref().map_or(&[], |bytes| &bytes[block.bytes.clone()])
    }

    /// The offsets of a block's columns; empty where no metric needs them.
    pub fn offsets(&self, block: &Block) -> &[f32] {
        &self.offsets[block.offsets.clone()]
    }

    /// A vector as a query, and its squared norm in the space of scores.
    pub fn query(&self, vector: &[f32]) -> (Query, f64) {
        let placed = self.space.place(vector);
        let squared_norm = squared_norm(&placed);
        let mut query = Query::new(&placed);
        query.residual += ROTATION_ERROR * squared_norm.sqrt() * placed.len() as f64;
        (query, squared_norm)
    }
}

/// The coordinates in which rows are quantised.
///
/// The score s of two vectors is x·y for cosine and dot; for the Euclidean metrics, which do not change when everything
/// moves together, (x − c)·(y − c) − ‖y − c‖²/2 with c the corpus's mean, so that a common offset costs no precision.
pub(super) struct Space {
    centre: Vec<f64>,
    rotation: Rotation,
}

impl Space {
    /// The coordinates of a store.
    pub fn of(store: &Prepared) -> Self {
        Self::around(store, || mean(store))
    }

    /// The same, where the [centre](Self::centre) is known; it is asked for only if there is one.
    pub fn around(store: &Prepared, centre: impl FnOnce() -> Vec<f64>) -> Self {
        let centre = if moves_together(store.metric()) { centre() } else { Vec::new() };
        Self { centre, rotation: Rotation::new(store.dims()) }
    }

    /// c, where scores are counted from it.
    pub fn centre(&self) -> Option<&Vec<f64>> {
        Some(&self.centre).filter(|centre| !centre.is_empty())
    }

    /// Whether scores have offsets.
    pub fn is_centred(&self) -> bool {
        self.centre().is_some()
    }

    /// A vector in these coordinates.
    pub fn place(&self, vector: &[f32]) -> Vec<f64> {
        let mut placed: Vec<f64> = vector.iter().copied().map(f64::from).collect();
        placed.iter_mut().zip(&self.centre).for_each(|(value, centre)| *value -= centre);
        self.rotation.apply(&mut placed);
        placed
    }
}

/// Whether distances stay as they are when all rows and anchors move together.
fn moves_together(metric: Metric) -> bool {
    match metric {
        Metric::Cosine | Metric::Dot => false,
        Metric::Euclidean | Metric::SqEuclidean => true,
    }
}

/// Any point will do; the mean is the best one. Summed in row order, so that it is the same everywhere.
fn mean(store: &Prepared) -> Vec<f64> {
    let mut sums = vec![0.0; store.dims()];
    let rows = store.corpus().len();
    for vector in store.vectors().chunks_exact(store.dims()).take(rows) {
        sums.iter_mut().zip(vector).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sums.iter_mut().for_each(|sum| *sum /= rows as f64);
    sums
}

pub(super) fn squared_norm(vector: &[f64]) -> f64 {
    vector.iter().map(|value| value * value).sum()
}

struct Packed {
    rows: Vec<Row>,
    block: quantised::PackedBlock,
    offsets: Vec<f32>,
    offset: f64,
    norm: f64,
}

/// Cuts a stretch into blocks of rows whose largest coordinates are alike.
fn pack(rows: &[Row], store: &Prepared, space: &Space) -> Vec<Packed> {
    let d = store.dims();
    let mut placed: Vec<(f64, Row, Vec<f64>)> = rows
        .iter()
        .map(|&row| {
            let vector = space.place(store.vector(row));
            (quantised::largest(&vector), row, vector)
        })
        .collect();
    placed.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let block = |placed: &[(f64, Row, Vec<f64>)]| {
        let columns: Vec<&[f64]> = placed.iter().map(|(_, _, vector)| vector.as_slice()).collect();
        let squares: Vec<f64> = columns.iter().map(|vector| squared_norm(vector)).collect();
        let most = squares.iter().fold(0.0, |most: f64, square| most.max(*square));
        let (norm, mut offset, mut offsets) = (most.sqrt() * UPWARD, 0.0, Vec::new());
        if space.is_centred() && most > 0.0 {
            offset = 0.5 * most;
            offsets.extend(squares.iter().map(|square| (-square / most) as f32));
        }
        if space.is_centred() {
            offsets.resize(columns.len().next_multiple_of(PANEL), 0.0);
        }
        let mut block = quantised::pack(&columns, d);
        block.residual += ROTATION_ERROR * norm * d as f64;
        Packed { rows: placed.iter().map(|&(_, row, _)| row).collect(), block, offsets, offset, norm }
    };
    placed.chunks(BLOCK).map(block).collect()
}
