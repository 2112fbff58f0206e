//! The triplets of all partitions in the order asked for. Every order but that of the anchors is a sort by one 64-bit key, then by
//! anchor, positive and negative: a total order, so the bytes of an output do not depend on how it was sorted. Triplets of which a
//! layout makes one thing (a pair's, an anchor's) share their key, so they stay together.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
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
use super::harvest::{HarvestError, SCHEMA, decode};
use super::layout::{Grain, gap_of};
use super::select::Chosen;
use crate::mine::Triplet;
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

/// Batches of [`SCHEMA`], in `order`; groups of `grain` lie together, but batches end anywhere. `session` sorts, and spills to its own
/// disk manager when its memory is spent.
pub(super) async fn triplets(
    chosen: &Chosen,
    store: &Arc<Prepared>,
    order: Order,
    grain: Grain,
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
        let (first, step) = (first as u32, streams as u32);
        Arc::new(Keyed { chosen, store, key, grain, first, step, schema: keyed_schema() })
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

    /// The key of a group; `keys` are the store's, of the rows that name it.
    pub(super) fn value(self, keys: impl Iterator<Item = u64>, gap: f64) -> u64 {
        match self {
            Self::Random { seed } => combine(&std::iter::once(seed).chain(keys).collect::<Vec<u64>>()),
            Self::GapDescending => !ascending(gap),
            Self::GapAscending => ascending(gap),
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

/// The same triplets in batches that end where an anchor does.
pub(super) fn whole_anchors(
    batches: impl Iterator<Item = Result<RecordBatch, HarvestError>> + Send,
) -> impl Iterator<Item = Result<Vec<Triplet>, HarvestError>> + Send {
    let mut held: Vec<Triplet> = Vec::new();
    // After the last batch comes the end, which lets go of what is held.
    batches.map(Some).chain([None]).filter_map(move |batch| {
        let whole = match batch {
            Some(Ok(batch)) => {
                held.extend(decode(&batch));
                let last = held.last()?.anchor;
                held.partition_point(|triplet| triplet.anchor < last)
            }
            Some(Err(error)) => return Some(Err(error)),
            None => held.len(),
        };
        (whole > 0).then(|| Ok(held.drain(..whole).collect()))
    })
}

/// One stream of a sort: batches with their key as an eighth column.
struct Keyed {
    chosen: Chosen,
    store: Arc<Prepared>,
    key: Key,
    grain: Grain,
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
        let (store, schema, key, grain) = (self.store.clone(), self.schema.clone(), self.key, self.grain);
        let batches = batches(self.chosen.clone(), self.first, self.step);
        let whole: Box<dyn Iterator<Item = Result<Vec<Triplet>, HarvestError>> + Send> = match grain {
            Grain::Triplet => Box::new(batches.map(|batch| Ok(decode(&batch?)))),
            Grain::Pair | Grain::Anchor => Box::new(whole_anchors(batches)),
        };
        let keyed = whole.map(move |triplets| {
            let triplets = triplets.map_err(|error| DataFusionError::External(error.into()))?;
            Ok(with_key(&triplets, &store, key, grain, &schema)?)
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream::iter(keyed).into_stream()))
    }
}

fn with_key(
    triplets: &[Triplet],
    store: &Prepared,
    key: Key,
    grain: Grain,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let keys = store.keys();
    let mut values = Vec::with_capacity(triplets.len());
    for group in grain.groups(triplets) {
        let Triplet { anchor, positive, negative, .. } = group[0];
        let parts = [anchor, positive, negative];
        let named = grain.named(&parts).iter().map(|row| keys[row.index()]);
        values.resize(values.len() + group.len(), key.value(named, gap_of(group)));
    }
    let values: ArrayRef = Arc::new(UInt64Array::from(values));
    let columns = super::harvest::batch(triplets)?.columns().iter().cloned().chain([values]).collect();
    RecordBatch::try_new(schema.clone(), columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Distance;
    use crate::mine::Band;
    use crate::store::Row;

    #[test]
    fn keys_compare_as_gaps_do() {
        let gaps = [-1e30f32, -2.0, -1e-30, -0.0, 1e-45, 0.3, 2.0, 1e30];
        for pair in gaps.windows(2) {
            let of = |key: Key, gap: f32| key.value([0; 3].into_iter(), f64::from(gap));
            assert!(of(Key::GapAscending, pair[0]) < of(Key::GapAscending, pair[1]), "{pair:?}");
            assert!(of(Key::GapDescending, pair[0]) > of(Key::GapDescending, pair[1]), "{pair:?}");
        }
        let of = |gap: f64| Key::GapAscending.value([0; 3].into_iter(), gap);
        assert_eq!(of(-0.0), of(0.0));
    }

    #[test]
    fn random_keys_depend_on_the_seed_and_on_each_place() {
        let of = |seed: u64, keys: [u64; 3]| Key::Random { seed }.value(keys.into_iter(), 0.0);
        let base = of(1, [1, 2, 3]);
        for other in [of(2, [1, 2, 3]), of(1, [2, 1, 3]), of(1, [1, 3, 2]), of(1, [1, 2, 4])] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn batches_are_cut_anew_where_anchors_end() {
        let triplet = |anchor: u32, negative: u32| Triplet {
            anchor: Row(anchor),
            positive: Row(0),
            negative: Row(negative),
            d_ap: Distance::new(0.0),
            d_an: Distance::new(0.0),
            band: Band::Hard,
            fallback: false,
        };
        let all: Vec<Triplet> = [(1, 2), (1, 3), (1, 4), (5, 2), (6, 1), (6, 2)].map(|(a, n)| triplet(a, n)).into();
        for size in 1..=all.len() {
            let batches = all.chunks(size).map(|some| Ok(crate::manifest::harvest::batch(some).unwrap()));
            let whole: Vec<Vec<Triplet>> = whole_anchors(batches).map(Result::unwrap).collect();
            assert_eq!(whole.concat(), all);
            assert!(whole.windows(2).all(|w| w[0].last().unwrap().anchor < w[1][0].anchor), "{size}");
        }
    }
}
