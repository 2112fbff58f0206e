//! What stands beside the triplets: rows that gave none, and likely label noise.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, Float32Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::{cast, interleave};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;

use super::gather::{self, GatherError};
use crate::mine::{Reason, Suspect};
use crate::store::{Prepared, Row, Section};

pub(super) const UNMINED: &str = "unmined.parquet";
/// Name of the list of likely label noise.
pub const SUSPECTS: &str = "suspects.parquet";

/// Rows a batch.
pub(super) const BATCH: usize = 1 << 16;

/// One row of the input that gave no triplet, or a pair or a score that names no rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unmined {
    Kept(Row, Reason),
    /// An index into [`Prepared::rejected`].
    Rejected(usize),
}

impl Unmined {
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Kept(_, reason) => reason,
            Self::Rejected(_) => Reason::Rejected,
        }
    }
}

/// Scan positions of the rejected rows, each in its own table.
pub(super) fn rejected_places(store: &Prepared) -> Result<UInt64Array, ArrowError> {
    let places = store.rejected().column_by_name("source_row").map(|column| cast(column, &DataType::UInt64));
    let missing = || ArrowError::SchemaError("the rejected rows have no column source_row".to_owned());
    Ok(places.ok_or_else(missing)??.as_primitive::<UInt64Type>().clone())
}

/// The section whose table each rejected row is of.
fn sections(store: &Prepared) -> Result<&StringArray, ArrowError> {
    let missing = || ArrowError::SchemaError("the rejected rows have no column section".to_owned());
    Ok(store.rejected().column_by_name("section").ok_or_else(missing)?.as_string::<i32>())
}

/// How many rejected rows are of the anchors' table; they come first.
pub(super) fn rejected_anchors(store: &Prepared) -> Result<usize, ArrowError> {
    let asking = if store.has_queries() { Section::Queries } else { Section::Store };
    Ok(sections(store)?.iter().take_while(|section| *section == Some(asking.name())).count())
}

/// Rows of the store and the queries that `where` keeps, those skipped as bad included.
pub(super) fn rows_read(store: &Prepared) -> Result<u64, ArrowError> {
    let of_links = [Section::Pairs, Section::Scores].map(|section| Some(section.name()));
    let rows = sections(store)?.iter().filter(|section| !of_links.contains(section)).count();
    Ok(u64::from(store.rows()) + rows as u64)
}

/// All of them: the anchors' table in scan order, then the rejected rows of the others.
pub(super) fn all_unmined(store: &Prepared, mut kept: Vec<(Row, Reason)>) -> Result<Vec<Unmined>, ArrowError> {
    kept.sort_unstable_by_key(|&(row, _)| row);
    let places = rejected_places(store)?;
    let mut rejected = (0..rejected_anchors(store)?).peekable();
    let mut all = Vec::with_capacity(kept.len() + places.len());
    for (row, reason) in kept {
        let place = store.source_rows()[row.index()];
        while let Some(index) = rejected.next_if(|&index| places.value(index) < place) {
            all.push(Unmined::Rejected(index));
        }
        all.push(Unmined::Kept(row, reason));
    }
    all.extend(rejected.map(Unmined::Rejected));
    all.extend((rejected_anchors(store)?..places.len()).map(Unmined::Rejected));
    Ok(all)
}

/// `id` is null where that is what was wrong with the row; `detail` says what was wrong with a rejected one.
pub(super) fn unmined_schema(store: &Prepared) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", gather::id_type(store), true),
        Field::new("reason", DataType::Utf8, false),
        Field::new("row", DataType::UInt64, false),
        Field::new("detail", DataType::Utf8, true),
    ]))
}

pub(super) fn unmined_batch(store: &Prepared, entries: &[Unmined]) -> Result<RecordBatch, GatherError> {
    static NAMES: LazyLock<StringArray> =
        LazyLock::new(|| StringArray::from_iter_values(Reason::ALL.iter().map(|reason| reason.name())));
    let rejected = store.rejected();
    let missing = |name: &str| ArrowError::SchemaError(format!("the rejected rows have no column {name}"));
    let column = |name: &str| rejected.column_by_name(name).ok_or_else(|| missing(name));
    let (files, file_rows, whys) = (column("file")?, column("file_row")?, column("reason")?);
    let sections = column("section")?;
    // With one table there is no doubt which one is meant.
    let several = store.has_queries() || store.has_pairs() || store.has_scores();
    let places = rejected_places(store)?;

    let mut kept = Vec::new();
    let mut sources = Vec::with_capacity(entries.len());
    let mut reasons = Vec::with_capacity(entries.len());
    let mut rows = Vec::with_capacity(entries.len());
    let mut details = Vec::with_capacity(entries.len());
    for &entry in entries {
        match entry {
            Unmined::Kept(row, reason) => {
                sources.push((0, kept.len()));
                kept.push(row);
                reasons.push((0, reason as usize));
                rows.push(store.source_rows()[row.index()]);
                details.push(None);
            }
            Unmined::Rejected(index) => {
                sources.push((1, index));
                reasons.push((0, Reason::Rejected as usize));
                rows.push(places.value(index));
                let text = |column: &ArrayRef| array_value_to_string(column, index);
                let section = if several { format!("{}: ", text(sections)?) } else { String::new() };
                details.push(Some(format!("{section}{}, row {}: {}", text(files)?, text(file_rows)?, text(whys)?)));
            }
        }
    }
    let rejected_ids = cast(column("id")?, &gather::id_type(store))?;
    let ids = interleave(&[gather::ids(store, &kept)?.as_ref(), rejected_ids.as_ref()], &sources)?;
    let columns: Vec<ArrayRef> = vec![
        ids,
        interleave(&[&*NAMES], &reasons)?,
        Arc::new(UInt64Array::from(rows)),
        Arc::new(StringArray::from(details)),
    ];
    Ok(RecordBatch::try_new(unmined_schema(store), columns)?)
}

/// Each pair once, the nearest first.
pub(super) fn all_suspects(mut suspects: Vec<Suspect>) -> Vec<Suspect> {
    suspects.sort_unstable_by_key(|s| (s.distance, s.a, s.b));
    suspects.dedup_by_key(|s| (s.a, s.b));
    suspects
}

pub(super) fn suspects_schema(store: &Prepared) -> SchemaRef {
    let (id, label) = (gather::id_type(store), gather::label_type(store));
    let mut fields = Vec::new();
    for role in ["a", "b"] {
        fields.push(Field::new(format!("{role}_id"), id.clone(), false));
        if !store.has_pairs() {
            fields.push(Field::new(format!("{role}_label"), label.clone(), false));
        }
    }
    fields.push(Field::new("distance", DataType::Float32, false));
    fields.extend(["a_row", "b_row"].map(|name| Field::new(name, DataType::UInt64, false)));
    Arc::new(Schema::new(fields))
}

pub(super) fn suspects_batch(store: &Prepared, suspects: &[Suspect]) -> Result<RecordBatch, GatherError> {
    let a: Vec<Row> = suspects.iter().map(|s| s.a).collect();
    let b: Vec<Row> = suspects.iter().map(|s| s.b).collect();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for rows in [&a, &b] {
        columns.push(gather::ids(store, rows)?);
        if !store.has_pairs() {
            columns.push(gather::labels(store, rows)?);
        }
    }
    columns.push(Arc::new(Float32Array::from_iter_values(suspects.iter().map(|s| s.distance.get()))));
    columns.extend([gather::places(store, &a), gather::places(store, &b)]);
    Ok(RecordBatch::try_new(suspects_schema(store), columns)?)
}
