//! int8 scans: which columns of a packed block may lie in a query's window?
//!
//! A vector x becomes integers q with one scale s, x ≈ s·q. A tile multiplies six queries by thirty-two columns at a
//! time in exact integer arithmetic, and compares each product with its query's bounds while it is still in a register.
//! Every variant gives the same integers as the portable one, so which one a machine has never changes a result; how far
//! s·t·(q·r) may be from x·y is the caller's to bound, from the residuals that [`pack`] and [`Query`] measure.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(test)]
mod tests;

/// Columns of a panel: two AVX-512 registers of 32-bit sums.
pub const PANEL: usize = 32;
/// Coordinates multiplied by one instruction.
const GROUP: usize = 4;
/// Queries of a tile: with two registers of sums each, enough independent chains to hide the instruction's latency.
const TILE: usize = 6;
/// Sums of the widest register.
const REGISTER: usize = 16;

/// Coordinates of a quantised vector of `d`, zeros at its end included: one byte each.
pub const fn padded(d: usize) -> usize {
    d.div_ceil(GROUP) * GROUP
}

/// The largest magnitude of a quantised coordinate: 127, or less where a sum over `d` products could exceed 2³⁰.
fn levels(d: usize) -> i32 {
    let fitting = ((1u64 << 30) as f64 / d.max(1) as f64).sqrt().floor();
    fitting.min(127.0) as i32
}

/// Rounds coordinates to integers under one scale.
#[derive(Debug, Clone, Copy)]
struct Quantiser {
    /// What one step stands for; more than 0.
    scale: f64,
    levels: f64,
}

/// Adding it moves the nearest integer of a small number to the lowest bits: a rounding that every vector unit has.
const SHIFT: f64 = 6_755_399_441_055_744.0;

impl Quantiser {
    /// For vectors of `d` coordinates of at most this magnitude.
    fn new(d: usize, largest: f64) -> Self {
        let levels = f64::from(levels(d));
        let scale = largest / levels;
        Self { scale: if scale > 0.0 { scale } else { 1.0 }, levels }
    }

    /// Writes q; gives ‖x − s·q‖, rounded up.
    fn steps(self, vector: &[f64], steps: &mut [i8]) -> f64 {
        let mut squares = 0.0;
        for (step, &value) in steps.iter_mut().zip(vector) {
            let shifted = (value / self.scale).clamp(-self.levels, self.levels) + SHIFT;
            *step = shifted.to_bits() as i8;
            let lost = value - self.scale * (shifted - SHIFT);
            squares += lost * lost;
        }
        f64::sqrt(squares) * UPWARD
    }
}

/// f64 sums of squares are themselves rounded; this covers it many times over.
pub const UPWARD: f64 = 1.0 + 1e-9;

/// The largest magnitude among some coordinates.
pub fn largest(vector: &[f64]) -> f64 {
    vector.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

/// A block of columns in panels, under one scale.
///
/// Of panel p, group g of four coordinates, column c: the bytes from `((p · groups + g) · 32 + c) · 4` on hold its four
/// integers plus 128. Columns beyond the last are zero vectors.
#[derive(Debug)]
pub struct PackedBlock {
    pub bytes: Vec<u8>,
    pub scale: f64,
    /// No column's ‖y − s·q‖ is larger.
    pub residual: f64,
}

/// Packs vectors of `d` coordinates.
pub fn pack(columns: &[&[f64]], d: usize) -> PackedBlock {
    let quantiser = Quantiser::new(d, columns.iter().fold(0.0, |most, column| largest(column).max(most)));
    let mut bytes = vec![ZERO; columns.len().div_ceil(PANEL) * padded(d) * PANEL];
    let mut steps = vec![0; padded(d)];
    let mut residual = 0.0f64;
    for (panel, columns) in bytes.chunks_exact_mut((padded(d) * PANEL).max(1)).zip(columns.chunks(PANEL)) {
        for (index, column) in columns.iter().enumerate() {
            residual = residual.max(quantiser.steps(column, &mut steps[..d]));
            for (group, steps) in steps.chunks_exact(GROUP).enumerate() {
                let place = &mut panel[(group * PANEL + index) * GROUP..][..GROUP];
                place.iter_mut().zip(steps).for_each(|(byte, &step)| *byte = step as u8 ^ ZERO);
            }
        }
    }
    PackedBlock { bytes, scale: quantiser.scale, residual }
}

/// The byte of a coordinate 0: flipping the sign bit adds 128.
const ZERO: u8 = 0x80;

/// A vector to be looked for.
#[derive(Debug, Clone)]
pub struct Query {
    values: Vec<i8>,
    /// Takes the 128 of every packed byte back.
    start: i32,
    pub scale: f64,
    /// ‖x − s·q‖, rounded up.
    pub residual: f64,
}

impl Query {
    pub fn new(vector: &[f64]) -> Self {
        let quantiser = Quantiser::new(vector.len(), largest(vector));
        let mut values = vec![0; padded(vector.len())];
        let residual = quantiser.steps(vector, &mut values);
        // Beyond some hundred thousand dimensions it wraps, as do the sums that it corrects: both by the same.
        let start = values.iter().fold(0i32, |start, &step| start.wrapping_sub(128 * i32::from(step)));
        Self { values, start, scale: quantiser.scale, residual }
    }

    /// Coordinates, padding included.
    pub fn dims(&self) -> usize {
        self.values.len()
    }
}

/// What a query looks for in one block: columns whose sum is in `lo ..= hi`, but not in `gap_lo ..= gap_hi`.
#[derive(Debug, Clone, Copy)]
pub struct Aim<'a> {
    pub query: &'a Query,
    pub lo: i32,
    pub hi: i32,
    /// No gap when it ends before it begins.
    pub gap_lo: i32,
    pub gap_hi: i32,
    /// A column's sum begins with its offset times this, rounded to the nearest integer.
    pub offset_scale: f32,
}

impl<'a> Aim<'a> {
    /// Wants every column; the offsets play no part.
    pub fn everything(query: &'a Query) -> Self {
        Self { query, lo: i32::MIN, hi: i32::MAX, gap_lo: 1, gap_hi: 0, offset_scale: 0.0 }
    }
}

/// The columns that each aim of a sweep wants, in their order.
#[derive(Debug, Clone, Default)]
pub struct Hits {
    columns: Vec<u32>,
    /// Where the columns of each aim end.
    ends: Vec<usize>,
    /// Columns found so far by the queries of one tile, each with a stretch of its own.
    slots: Vec<u32>,
}

impl Hits {
    /// The columns that each aim wants, in the order of the aims.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| &self.columns[begin..end])
    }

    /// Makes room for the columns of a tile's queries, and for one register behind each.
    fn open(&mut self, queries: usize, columns: usize) -> Slots<'_> {
        let size = columns + REGISTER;
        self.slots.resize(self.slots.len().max(queries * size), 0);
        Slots { columns: &mut self.slots, size, counts: [0; TILE] }
    }

    fn close(&mut self, queries: usize, columns: usize, counts: [usize; TILE]) {
        for (slot, count) in self.slots.chunks_exact(columns + REGISTER).zip(counts).take(queries) {
            self.columns.extend_from_slice(&slot[..count]);
            self.ends.push(self.columns.len());
        }
    }
}

/// The hits of one tile's queries.
struct Slots<'a> {
    columns: &'a mut [u32],
    size: usize,
    counts: [usize; TILE],
}

impl Slots<'_> {
    /// Adds the columns from `first` on whose bit is set in `wanted`.
    fn collect(&mut self, query: usize, wanted: u32, first: u32) {
        let mut rest = wanted;
        while rest != 0 {
            self.columns[query * self.size + self.counts[query]] = first + rest.trailing_zeros();
            self.counts[query] += 1;
            rest &= rest - 1;
        }
    }
}

/// Finds every column of a block that some aim wants. Columns beyond the block's last are zero vectors, and may be among
/// them.
///
/// `bytes` are [`PackedBlock::bytes`] of vectors of as many dimensions as the queries; `offsets` is empty, or has one
/// value a column, the padding's included, of magnitude 2³⁰ at most when scaled.
///
/// # Panics
/// When the lengths do not fit each other.
pub fn sweep(aims: &[Aim], bytes: &[u8], offsets: &[f32], hits: &mut Hits) {
    BEST.sweep(aims, bytes, offsets, hits);
}

/// Every sum of some queries with a block's columns, padding included: one row a query, without offsets.
///
/// # Panics
/// When the lengths do not fit each other.
pub fn products(queries: &[&Query], bytes: &[u8], sums: &mut Vec<i32>) {
    BEST.products(queries, bytes, sums);
}

/// The best variant of this machine.
static BEST: std::sync::LazyLock<Variant> = std::sync::LazyLock::new(|| Variant::available()[0]);

/// The instructions that [`sweep`] and [`products`] use on this machine.
pub(super) fn instructions() -> &'static str {
    match *BEST {
        #[cfg(target_arch = "x86_64")]
        Variant::Avx512Vnni => "avx512vnni",
        #[cfg(target_arch = "x86_64")]
        Variant::Avx2 => "avx2",
        Variant::Portable => "portable",
    }
}

/// A way to do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Variant {
    /// Those that this machine can run, best first.
    fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
                found.push(Self::Avx512Vnni);
            }
            if is_x86_feature_detected!("avx2") {
                found.push(Self::Avx2);
            }
        }
        found.push(Self::Portable);
        found
    }

    /// [`sweep`] by this variant.
    fn sweep(self, aims: &[Aim], bytes: &[u8], offsets: &[f32], hits: &mut Hits) {
        hits.columns.clear();
        hits.ends.clear();
        let panel_bytes = aims.first().map_or(0, |first| first.query.values.len() * PANEL);
        if panel_bytes == 0 {
            hits.ends.resize(aims.len(), 0);
            return;
        }
        assert!(aims.iter().all(|aim| aim.query.values.len() * PANEL == panel_bytes), "queries of one store");
        assert!(bytes.len().is_multiple_of(panel_bytes), "whole panels");
        let columns = bytes.len() / panel_bytes * PANEL;
        assert!(offsets.is_empty() || offsets.len() == columns, "an offset a column");
        let panels = Panels { bytes, size: panel_bytes, offsets };
        for aims in aims.chunks(TILE) {
            let mut slots = hits.open(aims.len(), columns);
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni => avx512::sweep(aims, panels, &mut slots),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::sweep(aims, panels, &mut slots),
                Self::Portable => portable::sweep(aims, panels, &mut slots),
            }
            let counts = slots.counts;
            hits.close(aims.len(), columns, counts);
        }
    }

    /// [`products`] by this variant.
    fn products(self, queries: &[&Query], bytes: &[u8], sums: &mut Vec<i32>) {
        sums.clear();
        let Some(panel_bytes) = queries.first().map(|first| first.values.len() * PANEL).filter(|bytes| *bytes > 0)
        else {
            return;
        };
        assert!(queries.iter().all(|query| query.values.len() * PANEL == panel_bytes), "queries of one store");
        assert!(bytes.len().is_multiple_of(panel_bytes), "whole panels");
        let panels = Panels { bytes, size: panel_bytes, offsets: &[] };
        let columns = bytes.len() / panel_bytes * PANEL;
        sums.resize(queries.len() * columns, 0);
        for (queries, sums) in queries.chunks(TILE).zip(sums.chunks_mut(TILE * columns)) {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Avx512Vnni => avx512::products(queries, panels, sums),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2::products(queries, panels, sums),
                Self::Portable => portable::products(queries, panels, sums),
            }
        }
    }
}

/// The panels of a block, whose lengths fit each other.
#[derive(Clone, Copy)]
struct Panels<'a> {
    bytes: &'a [u8],
    size: usize,
    offsets: &'a [f32],
}

impl<'a> Panels<'a> {
    /// Each panel with its offsets, if it has any, and the number of its first column.
    fn iter(self) -> impl Iterator<Item = (&'a [u8], Option<&'a [f32; PANEL]>, u32)> {
        self.bytes.chunks_exact(self.size).enumerate().map(move |(index, panel)| {
            let first = index * PANEL;
            let offsets = self.offsets.get(first..first + PANEL).and_then(|offsets| offsets.as_array());
            (panel, offsets, first as u32)
        })
    }
}
