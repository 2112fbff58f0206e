//! From committed harvests to a folder that only waits for its seal.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use serde_json::Value;
use thiserror::Error;

use super::batches::Gathering;
use super::format::{ColumnError, Extent, FormatError, Part};
use super::gather::GatherError;
use super::groups::Groups;
use super::harvest::{self, HarvestError, Harvests};
use super::layout::{self, Grain, NameError, Sheet};
use super::order::{self, OrderError};
use super::parts::{Finished, Parts, TRIPLETS};
use super::seal::Aside;
use super::sealed::{Column, FORMAT, Input, Listed, RowCounts, Sealed, SearchFacts, VERSION};
use super::select::{Selected, select};
use super::sides::{self, SUSPECTS, UNMINED};
use super::stock::{self, Stock};
use super::transform::{self, TRANSFORM};
use super::{Draft, Format, Params};
use crate::disk::{self, sync_folder};
use crate::mine::{self, Ledger, Quotas, Reason, Tally};
use crate::store::{Prepared, Row};

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

/// Bytes of what the rows of a batch carry, at most, unless it is one row: columns of text have room for 2 GiB.
const CARRIED: u64 = 64 << 20;

/// What a result is made of.
pub struct Material<'a> {
    pub store: &'a Arc<Prepared>,
    /// Every partition is committed.
    pub harvests: &'a Harvests,
    pub mine: &'a mine::Params,
    /// Those that were mined with.
    pub quotas: &'a Quotas,
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
    /// A hash of the value of each environment variable in it, by name.
    pub environment: BTreeMap<String, String>,
    pub inputs: Vec<Input>,
    pub search: SearchFacts,
}

/// Whether the output's format can hold the store's columns: worth asking before hours of mining.
pub fn check_columns(store: &Prepared, mine: &mine::Params, output: &Params) -> Result<(), ColumnsError> {
    Ok(output.format.check(Sheet::new(store, mine, output)?.schema())?)
}

/// Writes parts, `unmined.parquet` and `suspects.parquet` into `staging`. Parts that an earlier process finished, as the notes in
/// the folder `parts` tell, stay; whatever else is in `staging` goes first. `on_rows` hears of triplets as they are written.
///
/// A result without triplets has one part without rows, so that readers find the columns.
pub async fn write(
    staging: &Path,
    parts: &Path,
    material: &Material<'_>,
    facts: Facts,
    on_rows: &(dyn Fn(u64) + Sync),
) -> Result<Draft, WriteError> {
    let Material { store, harvests, mine: asked, quotas, output, session } = *material;
    let sheet = Sheet::new(store, asked, output).map_err(ColumnsError::from)?;
    make_staging(staging)?;

    let tallies: Vec<Tally> =
        (0..harvests.partitions()).map(|ordinal| harvests.tally(ordinal)).collect::<Result<_, _>>()?;
    let Selected { chosen, weights, emptied, balanced } =
        select(harvests, &tallies, store, &Arc::new(asked.clone()), quotas, &sheet, session).await?;
    let Stock { tally, left_out, rows, mut unmined, mut suspects } = stock::take(harvests, &chosen, &sheet)?;
    let mut gathering = asked.batches.map(|asked| Gathering::new(asked, &sheet));
    let mut parts = Parts::new(staging, parts, output, &sheet, rows);
    let mut triplets = order::triplets(&chosen, store, output.order, sheet.grain(), asked.seed, session).await?;
    let mut groups = Groups::new(sheet.grain());
    let mut ledger = Ledger::new(store, asked);
    loop {
        let next = triplets.try_next().await?;
        let over = next.is_none();
        groups.push(next.iter().flat_map(harvest::decode));
        while let Some(whole) = groups.next(over) {
            let lines = sheet.lines(&whole);
            if let Some(gathering) = &mut gathering {
                gathering.add(store, &whole, &lines);
            }
            Grain::Pair.groups(&whole).filter(|pair| sheet.keeps(pair)).for_each(|pair| ledger.add(pair));
            for some in layout::stretches(store, lines, CARRIED) {
                parts.write(&some, || Ok(sheet.batch(store, &some, weights.as_deref())?))?;
            }
            on_rows(whole.len() as u64);
        }
        if over {
            break;
        }
    }
    let Finished { listed: parts, escaped } = parts.finish()?;

    suspects.extend(mine::copies(store));
    let batches = match gathering {
        Some(gathering) => Some(gathering.write(staging, store, asked, &searched(store, &unmined))?),
        None => None,
    };
    let (batched, batch_files) = batches.unzip();
    unmined.extend(emptied);
    let unmined = sides::all_unmined(store, unmined)?;
    let suspects = sides::all_suspects(suspects);
    let figures = ledger.finish(&suspects).map_err(GatherError::from)?;
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
    files.extend(batch_files.into_iter().flatten());
    if let Some(fitted) = store.fitted() {
        let rows = transform::rows(fitted);
        let batch = |some: &[usize]| Ok(transform::batch(fitted, some)?);
        files.push(write_side(staging, TRANSFORM, &transform::schema(), &rows, batch)?);
    }
    let rows = RowCounts {
        read: sides::rows_read(store)?,
        anchors: tally.anchors,
        unmined: unmined.len() as u64,
        triplets: tally.triplets(),
    };
    let Facts { program, fingerprint, pipeline, environment, inputs, search } = facts;
    let sealed = Sealed {
        format: FORMAT.to_owned(),
        version: VERSION,
        program,
        fingerprint,
        pipeline,
        environment,
        inputs,
        rows,
        bands: tally.bands.into(),
        unmined: reasons,
        search,
        balance: balanced,
        batches: batched,
        columns: Column::of(sheet.schema()),
        parts,
        files,
    };
    Ok(Draft::new(staging.to_path_buf(), sealed, tally, Aside { left_out, escaped, figures }))
}

/// The rows that were searched for, by what mining says of those that gave nothing.
fn searched(store: &Prepared, unmined: &[(Row, Reason)]) -> Vec<Row> {
    let mut searched = vec![true; store.rows() as usize];
    for (row, reason) in unmined {
        searched[row.index()] = reason.was_searched();
    }
    (0..store.rows()).map(Row).filter(|row| searched[row.index()]).collect()
}

fn make_staging(staging: &Path) -> Result<(), WriteError> {
    let failed = |action| move |source| WriteError::Folder { path: staging.to_path_buf(), action, source };
    let clear = || -> io::Result<()> {
        for entry in fs::read_dir(staging)?.collect::<Result<Vec<_>, _>>()? {
            match (entry.file_name() == OsStr::new(TRIPLETS), entry.file_type()?.is_dir()) {
                (true, _) => {}
                (false, true) => disk::remove_folder(&entry.path())?,
                (false, false) => disk::remove_file(&entry.path())?,
            }
        }
        Ok(())
    };
    fs::create_dir_all(staging.join(TRIPLETS)).map_err(failed("create"))?;
    clear().map_err(failed("clear"))?;
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
    let mut part = Part::create(staging.join(name), Format::Parquet, schema, Extent::of(entries.len() as u64))?;
    for some in entries.chunks(sides::BATCH) {
        part.write(&batch(some)?)?;
    }
    Ok(part.finish(name.to_owned())?)
}
