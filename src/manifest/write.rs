//! From committed harvests to a folder that only waits for its seal.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::BatchCoalescer;
use arrow::datatypes::{SchemaRef, UInt8Type};
use arrow::error::ArrowError;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use serde_json::Value;
use thiserror::Error;

use super::durable::sync_folder;
use super::format::{ColumnError, FormatError, Part};
use super::gather::GatherError;
use super::harvest::{HarvestError, Harvests, SCHEMA};
use super::layout::{Layout, NameError};
use super::order::{self, OrderError};
use super::sealed::{Column, FORMAT, Input, Listed, RowCounts, Sealed, SearchFacts, VERSION};
use super::sides::{self, SUSPECTS, UNMINED};
use super::transform::{self, TRANSFORM};
use super::{Draft, Format, Params};
use crate::mine::{self, Reason, Tally};
use crate::store::Prepared;

/// The folder of the parts.
pub(super) const TRIPLETS: &str = "triplets";

/// Triplets that are laid out and encoded at once.
const BATCH: usize = 1 << 15;

/// Why a result could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    #[error(transparent)]
    Harvest(#[from] HarvestError),
    #[error(transparent)]
    Order(#[from] OrderError),
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Columns(#[from] ColumnsError),
    #[error("cannot lay out the result: {0}")]
    Gather(#[from] GatherError),
    #[error("cannot lay out the result: {0}")]
    Arrow(#[from] ArrowError),
    #[error("{}: cannot {action}: {source}", path.display())]
    Folder { path: PathBuf, action: &'static str, source: io::Error },
}

/// The columns asked for cannot stand in one file.
#[derive(Debug, Error)]
pub enum ColumnsError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Kind(#[from] ColumnError),
}

/// What a result is made of.
pub struct Material<'a> {
    pub store: &'a Arc<Prepared>,
    /// Every partition is committed.
    pub harvests: &'a Harvests,
    pub mine: &'a mine::Params,
    pub output: &'a Params,
    /// Sorts, and spills, where an order asks for it.
    pub session: &'a SessionContext,
}

/// What the manifest says beside what is counted here.
#[derive(Debug, Clone)]
pub struct Facts {
    pub program: String,
    pub fingerprint: String,
    pub pipeline: Value,
    pub inputs: Vec<Input>,
    pub search: SearchFacts,
}

/// Whether the output's format can hold the store's columns: worth asking before hours of mining.
pub fn check_columns(store: &Prepared, unlabelled: bool, format: Format) -> Result<(), ColumnsError> {
    Ok(format.check(Layout::new(store, unlabelled)?.schema())?)
}

/// Writes parts, `unmined.parquet` and `suspects.parquet` into `staging`, which is emptied first. `on_rows` hears of triplets as
/// they are written.
///
/// A result without triplets has one part without rows, so that readers find the columns.
pub async fn write(
    staging: &Path,
    material: &Material<'_>,
    facts: Facts,
    on_rows: &(dyn Fn(u64) + Sync),
) -> Result<Draft, WriteError> {
    let Material { store, harvests, mine: asked, output, session } = *material;
    let layout = Layout::new(store, asked.negatives.unlabelled).map_err(ColumnsError::from)?;
    make_staging(staging)?;

    let mut parts = Parts::new(staging, output, layout.schema().clone());
    let mut triplets = order::triplets(harvests, store, output.order, asked.seed, session).await?;
    let mut coalescer = BatchCoalescer::new(SCHEMA.clone(), BATCH);
    let mut bands = [0; 3];
    loop {
        let next = triplets.try_next().await?;
        let over = next.is_none();
        match next {
            Some(batch) => coalescer.push_batch(batch)?,
            None => coalescer.finish_buffered_batch()?,
        }
        while let Some(mined) = coalescer.next_completed_batch() {
            for &band in mined.column(5).as_primitive::<UInt8Type>().values() {
                bands[usize::from(band)] += 1;
            }
            parts.write(layout.batch(store, &mined)?)?;
            on_rows(mined.num_rows() as u64);
        }
        if over {
            break;
        }
    }
    let parts = parts.finish()?;

    let (mut tally, mut unmined, mut suspects) = (Tally::default(), Vec::new(), mine::copies(store));
    for ordinal in 0..harvests.partitions() {
        let aside = harvests.aside(ordinal)?;
        tally += &aside.tally;
        unmined.extend(aside.unmined);
        suspects.extend(aside.suspects);
    }
    let unmined = sides::all_unmined(store, unmined)?;
    let suspects = sides::all_suspects(suspects);
    let mut reasons: BTreeMap<Reason, u64> = Reason::ALL.into_iter().map(|reason| (reason, 0)).collect();
    for entry in &unmined {
        *reasons.entry(entry.reason()).or_default() += 1;
    }
    let mut files = vec![
        write_side(staging, UNMINED, &sides::unmined_schema(store), &unmined, |some| {
            sides::unmined_batch(store, some)
        })?,
        write_side(staging, SUSPECTS, &sides::suspects_schema(store), &suspects, |some| {
            sides::suspects_batch(store, some)
        })?,
    ];
    if let Some(fitted) = store.fitted() {
        let rows = transform::rows(fitted);
        let batch = |some: &[usize]| Ok(transform::batch(fitted, some)?);
        files.push(write_side(staging, TRANSFORM, &transform::schema(), &rows, batch)?);
    }
    let rows = RowCounts {
        read: u64::from(store.rows()) + store.rejected().num_rows() as u64,
        anchors: tally.anchors,
        unmined: unmined.len() as u64,
        triplets: bands.iter().sum(),
    };
    let Facts { program, fingerprint, pipeline, inputs, search } = facts;
    let sealed = Sealed {
        format: FORMAT.to_owned(),
        version: VERSION,
        program,
        fingerprint,
        pipeline,
        inputs,
        rows,
        bands: bands.into(),
        unmined: reasons,
        search,
        columns: Column::of(layout.schema()),
        parts,
        files,
    };
    Ok(Draft::new(staging.to_path_buf(), output.clone(), sealed, tally))
}

fn make_staging(staging: &Path) -> Result<(), WriteError> {
    let failed = |action| move |source| WriteError::Folder { path: staging.to_path_buf(), action, source };
    match fs::remove_dir_all(staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("clear")(error)),
        _ => fs::create_dir_all(staging.join(TRIPLETS)).map_err(failed("create")),
    }?;
    sync_folder(staging).map_err(failed("sync"))
}

/// Writes one of the files beside the triplets.
fn write_side<T>(
    staging: &Path,
    name: &str,
    schema: &SchemaRef,
    entries: &[T],
    batch: impl Fn(&[T]) -> Result<RecordBatch, GatherError>,
) -> Result<Listed, WriteError> {
    let mut part = Part::create(staging.join(name), Format::Parquet, schema)?;
    for some in entries.chunks(sides::BATCH) {
        part.write(&batch(some)?)?;
    }
    Ok(part.finish(name.to_owned())?)
}

/// `triplets/part-00000.parquet`, …: each but the last with exactly `rows_per_file` rows.
struct Parts<'a> {
    staging: &'a Path,
    output: &'a Params,
    schema: SchemaRef,
    open: Option<Part>,
    done: Vec<Listed>,
}

/// The name of a part inside the output.
pub(super) fn part_name(ordinal: usize, format: Format) -> String {
    format!("{TRIPLETS}/part-{ordinal:05}.{}", format.extension())
}

impl<'a> Parts<'a> {
    fn new(staging: &'a Path, output: &'a Params, schema: SchemaRef) -> Self {
        Self { staging, output, schema, open: None, done: Vec::new() }
    }

    fn write(&mut self, mut batch: RecordBatch) -> Result<(), FormatError> {
        while batch.num_rows() > 0 {
            let mut part = self.part()?;
            let room = self.output.rows_per_file.saturating_sub(part.rows()).max(1);
            let rows = usize::try_from(room).map_or(batch.num_rows(), |room| room.min(batch.num_rows()));
            part.write(&batch.slice(0, rows))?;
            batch = batch.slice(rows, batch.num_rows() - rows);
            if part.rows() < self.output.rows_per_file {
                self.open = Some(part);
            } else {
                self.end(part)?;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<Listed>, FormatError> {
        if self.open.is_none() && self.done.is_empty() {
            let mut part = self.part()?;
            // CSV writes its header with the first batch, even an empty one.
            part.write(&RecordBatch::new_empty(self.schema.clone()))?;
            self.open = Some(part);
        }
        if let Some(part) = self.open.take() {
            self.end(part)?;
        }
        Ok(self.done)
    }

    fn part(&mut self) -> Result<Part, FormatError> {
        match self.open.take() {
            Some(part) => Ok(part),
            None => {
                let path = self.staging.join(part_name(self.done.len(), self.output.format));
                Part::create(path, self.output.format, &self.schema)
            }
        }
    }

    fn end(&mut self, part: Part) -> Result<(), FormatError> {
        let listed = part.finish(part_name(self.done.len(), self.output.format))?;
        self.done.push(listed);
        Ok(())
    }
}
