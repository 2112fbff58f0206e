//! The triplets of all partitions in the order asked for. Every order but that of the anchors is a sort by one 64-bit key, then by
//! anchor, positive and negative: a total order, so the bytes of an output do not depend on how it was sorted.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Float32Type, Schema, SchemaRef, UInt32Type};
use arrow::error::ArrowError;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SessionContext, col};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use thiserror::Error;

use super::Order;
use super::harvest::{HarvestError, SCHEMA};
use super::select::Chosen;
use crate::search::lottery::combine;
use crate::store::Prepared;

/// Why the triplets could not be brought into order.
#[derive(Debug, Error)]
pub enum OrderError {
    #[error(transparent)]
    Harvest(#[from] HarvestError),
    #[error("cannot sort the triplets: {0}")]
    Sort(#[from] DataFusionError),
    #[error("cannot sort the triplets: {0}")]
    Arrow(#[from] ArrowError),
}

/// Batches of [`SCHEMA`], in `order`. `session` sorts, and spills to its own disk manager when its memory is spent.
pub(super) async fn triplets(
    chosen: &Chosen,
    store: &Arc<Prepared>,
    order: Order,
    seed: u64,
    session: &SessionContext,
) -> Result<BoxStream<'static, Result<RecordBatch, OrderError>>, OrderError> {
    let Some(key) = Key::of(order, seed) else {
        let all = batches(chosen.clone(), 0, 1);
        return Ok(stream::iter(all.map(|batch| Ok(batch?))).boxed());
    };
    // As many streams as the engine has workers, not one a partition: a merge of thousands would need memory for each.
    let streams = session.copied_config().target_partitions().clamp(1, chosen.partitions().max(1) as usize);
    let source = |first: usize| -> Arc<dyn PartitionStream> {
        let (chosen, store) = (chosen.clone(), store.clone());
        Arc::new(Keyed { chosen, store, key, first: first as u32, step: streams as u32, schema: keyed_schema() })
    };
    let table = StreamingTable::try_new(keyed_schema(), (0..streams).map(source).collect())?;
    let by = ["key", "anchor", "positive", "negative"].map(|name| col(name).sort(true, false));
    let sorted = session.read_table(Arc::new(table))?.sort(by.to_vec())?.execute_stream().await?;
    let plain: Vec<usize> = (0..SCHEMA.fields().len()).collect();
    Ok(sorted.map(move |batch| Ok(batch?.project(&plain)?)).boxed())
}

/// What triplets are sorted by.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key {
    Random { seed: u64 },
    GapDescending,
    GapAscending,
}

impl Key {
    /// None for the order of the anchors, which the partitions have by themselves.
    pub(super) fn of(order: Order, seed: u64) -> Option<Self> {
        match order {
            Order::Anchor => None,
            Order::Random => Some(Self::Random { seed }),
            Order::EasyToHard => Some(Self::GapDescending),
            Order::HardToEasy => Some(Self::GapAscending),
        }
    }

    /// The key of one triplet; `keys` are the store's, of anchor, positive and negative.
    pub(super) fn value(self, keys: [u64; 3], d_ap: f32, d_an: f32) -> u64 {
        match self {
            Self::Random { seed } => combine(&[seed, keys[0], keys[1], keys[2]]),
            Self::GapDescending => !ascending(f64::from(d_an) - f64::from(d_ap)),
            Self::GapAscending => ascending(f64::from(d_an) - f64::from(d_ap)),
        }
    }
}

/// Bits that compare as the numbers do.
fn ascending(gap: f64) -> u64 {
    // Adding zero makes −0 and 0 one number.
    let bits = (gap + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// Bytes of a triplet on its way through a sort.
pub const KEYED_ROW: u64 = 30;

fn keyed_schema() -> SchemaRef {
    let mut fields = SCHEMA.fields().to_vec();
    fields.push(Arc::new(Field::new("key", DataType::UInt64, false)));
    Arc::new(Schema::new(fields))
}

/// The triplets of every `step`-th partition from `first`, one batch after the other.
fn batches(chosen: Chosen, first: u32, step: u32) -> impl Iterator<Item = Result<RecordBatch, HarvestError>> + Send {
    let ordinals = (first..chosen.partitions()).step_by(step as usize);
    ordinals.flat_map(move |ordinal| {
        let (batches, error) = match chosen.batches(ordinal) {
            Ok(batches) => (Some(batches), None),
            Err(error) => (None, Some(Err(error))),
        };
        batches.into_iter().flatten().chain(error)
    })
}

/// One stream of a sort: batches with their key as an eighth column.
struct Keyed {
    chosen: Chosen,
    store: Arc<Prepared>,
    key: Key,
    first: u32,
    step: u32,
    schema: SchemaRef,
}

impl fmt::Debug for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "harvests {} + n·{} by {:?}", self.first, self.step, self.key)
    }
}

impl PartitionStream for Keyed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (store, schema, key) = (self.store.clone(), self.schema.clone(), self.key);
        let keyed = batches(self.chosen.clone(), self.first, self.step).map(move |batch| {
            let batch = batch.map_err(|error| DataFusionError::External(error.into()))?;
            Ok(with_key(&batch, &store, key, &schema)?)
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream::iter(keyed).into_stream()))
    }
}

fn with_key(batch: &RecordBatch, store: &Prepared, key: Key, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let rows = [0, 1, 2].map(|column| batch.column(column).as_primitive::<UInt32Type>().values());
    let distances = [3, 4].map(|column| batch.column(column).as_primitive::<Float32Type>().values());
    let keys = store.keys();
    let value = |i: usize| key.value(rows.map(|rows| keys[rows[i] as usize]), distances[0][i], distances[1][i]);
    let values: ArrayRef = Arc::new(UInt64Array::from_iter_values((0..batch.num_rows()).map(value)));
    let columns = batch.columns().iter().cloned().chain([values]).collect();
    RecordBatch::try_new(schema.clone(), columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_compare_as_gaps_do() {
        let gaps = [-1e30f32, -2.0, -1e-30, -0.0, 1e-45, 0.3, 2.0, 1e30];
        for pair in gaps.windows(2) {
            let of = |key: Key, d_an: f32| key.value([0; 3], 0.0, d_an);
            assert!(of(Key::GapAscending, pair[0]) < of(Key::GapAscending, pair[1]), "{pair:?}");
            assert!(of(Key::GapDescending, pair[0]) > of(Key::GapDescending, pair[1]), "{pair:?}");
        }
        assert_eq!(Key::GapAscending.value([0; 3], 0.0, -0.0), Key::GapAscending.value([0; 3], 0.0, 0.0));
    }

    #[test]
    fn random_keys_depend_on_the_seed_and_on_each_place() {
        let of = |seed: u64, keys: [u64; 3]| Key::Random { seed }.value(keys, 0.0, 0.0);
        let base = of(1, [1, 2, 3]);
        for other in [of(2, [1, 2, 3]), of(1, [2, 1, 3]), of(1, [1, 3, 2]), of(1, [1, 2, 4])] {
            assert_ne!(base, other);
        }
    }
}
