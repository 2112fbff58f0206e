//! All that was mined, before balance chooses: shown anchor by anchor, or as claims in the order in which they take their turn.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type, UInt64Type};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SessionContext, col};
use futures::stream;

use super::harvest::{HarvestError, Harvests, decode};
use super::layout::Grain;
use super::order::whole_anchors;
use crate::mine::{self, Claim, Claimant, Triplet};
use crate::store::{Prepared, Row};

/// All candidates, in the order of the harvests.
#[derive(Clone)]
pub(super) struct Candidates {
    pub(super) harvests: Harvests,
    /// The place of the first candidate of each partition.
    pub(super) starts: Vec<u64>,
    pub(super) store: Arc<Prepared>,
    pub(super) params: Arc<mine::Params>,
    /// Whether a pair takes all that it asks for or nothing.
    pub(super) whole_pairs: bool,
}

impl Candidates {
    /// Shows those of each anchor, with the place of the first.
    pub(super) fn anchors(&self, mut see: impl FnMut(u64, &[Triplet])) -> Result<(), HarvestError> {
        let mut place = 0;
        for ordinal in 0..self.harvests.partitions() {
            for triplets in whole_anchors(self.harvests.batches(ordinal)?) {
                for anchor in Grain::Anchor.groups(&triplets?) {
                    see(place, anchor);
                    place += anchor.len() as u64;
                }
            }
        }
        Ok(())
    }

    /// Batches of [`CLAIMS`], in the order that a ration wants.
    pub(super) async fn sorted(&self, session: &SessionContext) -> Result<SendableRecordBatchStream, DataFusionError> {
        let streams = session.copied_config().target_partitions().clamp(1, self.harvests.partitions().max(1) as usize);
        let source = |first: usize| -> Arc<dyn PartitionStream> {
            Arc::new(Claims { candidates: self.clone(), first: first as u32, step: streams as u32 })
        };
        let table = StreamingTable::try_new(CLAIMS.clone(), (0..streams).map(source).collect())?;
        let by = ["turn", "window", "preference", "candidate"].map(|name| col(name).sort(true, false));
        session.read_table(Arc::new(table))?.sort(by.to_vec())?.execute_stream().await
    }

    /// The claims of a partition, batch by batch.
    fn claims(
        self,
        ordinal: u32,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, DataFusionError>> + Send, HarvestError> {
        let batches = self.harvests.batches(ordinal)?;
        let mut claimant = Claimant::new(self.whole_pairs, self.starts[ordinal as usize]);
        Ok(batches.map(move |batch| {
            let batch = batch.map_err(|error| DataFusionError::External(error.into()))?;
            let claim = |triplet: &Triplet| claimant.claim(triplet, &self.store, &self.params);
            let claims: Vec<Claim> = decode(&batch).iter().map(claim).collect();
            Ok(claims_batch(&claims)?)
        }))
    }
}

/// Columns of a [`Claim`], in this order.
static CLAIMS: LazyLock<SchemaRef> = LazyLock::new(|| {
    let long = |name: &str| Field::new(name, DataType::UInt64, false);
    let short = |name: &str| Field::new(name, DataType::UInt32, false);
    Arc::new(Schema::new(vec![
        long("turn"),
        long("window"),
        long("preference"),
        long("candidate"),
        short("anchor"),
        short("positive"),
        short("negative"),
        short("room"),
    ]))
});

fn claims_batch(claims: &[Claim]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let long = |of: fn(&Claim) -> u64| -> ArrayRef { Arc::new(UInt64Array::from_iter_values(claims.iter().map(of))) };
    let short = |of: fn(&Claim) -> u32| -> ArrayRef { Arc::new(UInt32Array::from_iter_values(claims.iter().map(of))) };
    let columns = vec![
        long(|c| c.turn),
        long(|c| c.window),
        long(|c| c.preference),
        long(|c| c.candidate),
        short(|c| c.anchor.0),
        short(|c| c.positive.0),
        short(|c| c.negative.0),
        short(|c| c.room),
    ];
    RecordBatch::try_new(CLAIMS.clone(), columns)
}

pub(super) fn claims(batch: &RecordBatch) -> impl Iterator<Item = Claim> + '_ {
    let long = |column: usize| batch.column(column).as_primitive::<UInt64Type>().values();
    let short = |column: usize| batch.column(column).as_primitive::<UInt32Type>().values();
    let (longs, shorts) = ([0, 1, 2, 3].map(long), [4, 5, 6, 7].map(short));
    (0..batch.num_rows()).map(move |i| {
        let [turn, window, preference, candidate] = longs.map(|values| values[i]);
        let [anchor, positive, negative, room] = shorts.map(|values| values[i]);
        let [anchor, positive, negative] = [anchor, positive, negative].map(Row);
        Claim { turn, window, preference, candidate, anchor, positive, negative, room }
    })
}

/// One stream of the sort: every `step`-th partition from `first`.
struct Claims {
    candidates: Candidates,
    first: u32,
    step: u32,
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "claims of harvests {} + n·{}", self.first, self.step)
    }
}

impl PartitionStream for Claims {
    fn schema(&self) -> &SchemaRef {
        &CLAIMS
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let candidates = self.candidates.clone();
        let ordinals = (self.first..candidates.harvests.partitions()).step_by(self.step as usize);
        let batches = ordinals.flat_map(move |ordinal| {
            let (batches, error) = match candidates.clone().claims(ordinal) {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(DataFusionError::External(error.into())))),
            };
            batches.into_iter().flatten().chain(error)
        });
        Box::pin(RecordBatchStreamAdapter::new(CLAIMS.clone(), stream::iter(batches)))
    }
}
