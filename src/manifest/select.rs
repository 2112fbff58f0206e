//! What balance leaves of the candidates of all partitions: one bit a candidate, so that every later stage reads the harvests as
//! they lie, and no order has to be made twice.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch, UInt32Array, UInt64Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type, UInt64Type};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SessionContext, col};
use futures::TryStreamExt;
use futures::stream;

use super::harvest::{HarvestError, Harvests, decode};
use super::order::OrderError;
use crate::mine::{self, Balanced, Claim, Claimant, Quotas, Ration, Spread, Tally, Triplet};
use crate::store::{Prepared, Row};

/// The triplets of a run: all that was mined, or what balance left of it.
#[derive(Clone)]
pub(super) struct Chosen {
    harvests: Harvests,
    kept: Option<Arc<Kept>>,
}

/// Candidates by their place in the harvests.
struct Kept {
    /// Of the first candidate of each partition.
    starts: Vec<u64>,
    bits: BooleanBuffer,
}

impl Chosen {
    pub(super) fn partitions(&self) -> u32 {
        self.harvests.partitions()
    }

    /// Whether not all that was mined is there.
    pub(super) fn selects(&self) -> bool {
        self.kept.is_some()
    }

    /// The triplets of a partition, as batches of [`super::harvest::SCHEMA`].
    pub(super) fn batches(
        &self,
        ordinal: u32,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, HarvestError>> + Send + use<>, HarvestError> {
        let kept = self.kept.clone();
        let mut next = kept.as_ref().map_or(0, |kept| kept.starts[ordinal as usize]) as usize;
        Ok(self.harvests.batches(ordinal)?.map(move |batch| {
            let batch = batch?;
            let Some(kept) = &kept else { return Ok(batch) };
            let bits = kept.bits.slice(next, batch.num_rows());
            next += batch.num_rows();
            Ok(filter_record_batch(&batch, &BooleanArray::new(bits, None))?)
        }))
    }
}

/// The outcome of a choice.
pub(super) struct Selected {
    pub(super) chosen: Chosen,
    /// Of triplets, by the class of their anchor; 1 without.
    pub(super) weights: Option<Vec<f32>>,
    /// Anchors that mining found triplets for, and balance left without.
    pub(super) emptied: Vec<Row>,
    /// None where no balance was asked for.
    pub(super) balanced: Option<Balanced>,
}

/// Chooses among the candidates of all partitions, whose counts are `tallies`. `session` sorts, and spills.
pub(super) async fn select(
    harvests: &Harvests,
    tallies: &[Tally],
    store: &Arc<Prepared>,
    params: &Arc<mine::Params>,
    quotas: &Quotas,
    session: &SessionContext,
) -> Result<Selected, OrderError> {
    let balance = params.balance;
    if !balance.is_on() {
        let chosen = Chosen { harvests: harvests.clone(), kept: None };
        return Ok(Selected { chosen, weights: None, emptied: Vec::new(), balanced: None });
    }
    let mut starts = vec![0];
    for tally in tallies {
        starts.push(starts.last().copied().unwrap_or(0) + tally.triplets());
    }
    let all = starts.last().copied().unwrap_or(0) as usize;
    let filled: u64 = tallies.iter().map(Tally::filled).sum();
    let candidates = Candidates { harvests: harvests.clone(), starts, store: store.clone(), params: params.clone() };

    let mut bits = BooleanBufferBuilder::new(all);
    bits.append_n(all, balance.max_uses.is_none());
    let mut balanced = Balanced { added_pairs: quotas.added(), ..Balanced::default() };
    if let Some(most) = balance.max_uses {
        let mut ration = Ration::new(store, params, most);
        let mut sorted = candidates.sorted(session).await?;
        while let Some(batch) = sorted.try_next().await? {
            for claim in claims(&batch) {
                if ration.takes(&claim) {
                    bits.set_bit(claim.candidate as usize, true);
                }
            }
        }
        (balanced.refilled, balanced.emptied) = (ration.refilled(), filled - ration.filled());
    }
    if let Some(most) = balance.triplets {
        balanced.cut = cut(&candidates, &mut bits, most)?;
    }
    let bits = bits.finish();

    let (mut has, mut keeps) = (vec![false; store.rows() as usize], vec![false; store.rows() as usize]);
    let mut counts = vec![0; store.classes()];
    candidates.each(|place, triplet| {
        has[triplet.anchor.index()] = true;
        if bits.value(place as usize) {
            keeps[triplet.anchor.index()] = true;
            if let Some(count) = counts.get_mut(store.labels()[triplet.anchor.index()].index()) {
                *count += 1;
            }
        }
    })?;
    let rows = || (0..store.rows()).map(Row);
    let emptied = rows().filter(|row| has[row.index()] && !keeps[row.index()]).collect();
    balanced.triplets = Spread::of(&counts);
    (balanced.anchors_before, balanced.left_out) = before(store, params);
    balanced.anchors_after = after(store, |row| keeps[row.index()]);
    let kept = balance.selects().then(|| Arc::new(Kept { starts: candidates.starts, bits }));
    Ok(Selected {
        chosen: Chosen { harvests: candidates.harvests, kept },
        weights: mine::weights(balance.weights, &counts),
        emptied,
        balanced: Some(balanced),
    })
}

/// Rows that could be anchors, by class, and how many of them `anchors_per_class` leaves out.
pub(super) fn before(store: &Prepared, params: &mine::Params) -> (Spread, u64) {
    let mut left_out = 0;
    let spread = after(store, |row| {
        let could = mine::has_kin(row, store);
        left_out += u64::from(could && !mine::is_anchor(row, store, params));
        could
    });
    (spread, left_out)
}

/// The rows that ask, have a label, and are such as `counts`, by class.
pub(super) fn after(store: &Prepared, mut counts: impl FnMut(Row) -> bool) -> Spread {
    let mut of_class = vec![0; store.classes()];
    for row in store.anchors().map(Row) {
        let label = store.labels()[row.index()];
        if !label.is_null() && counts(row) {
            of_class[label.index()] += 1;
        }
    }
    Spread::of(&of_class)
}

/// Keeps, of those whose bit is set, the `most` with the smallest tickets; gives the number of the others.
///
/// The last ticket that is kept is found by counting: how many begin with each 16 bits, then those of one such group in order.
/// Tickets are hashes, so that a group holds about one in 2¹⁶ of them.
fn cut(candidates: &Candidates, bits: &mut BooleanBufferBuilder, most: u64) -> Result<u64, HarvestError> {
    let ticket = |triplet: &Triplet| {
        let rows = [triplet.anchor, triplet.positive, triplet.negative];
        mine::ticket(candidates.params.seed, rows.map(|row| candidates.store.keys()[row.index()]))
    };
    let mut groups = vec![0u64; 1 << 16];
    candidates
        .each(|place, triplet| groups[(ticket(triplet) >> 48) as usize] += u64::from(bits.get_bit(place as usize)))?;
    let all: u64 = groups.iter().sum();
    if all <= most {
        return Ok(0);
    }
    let (mut before, mut group) = (0, 0);
    while before + groups[group as usize] < most {
        before += groups[group as usize];
        group += 1;
    }
    let mut tickets = Vec::new();
    candidates.each(|place, triplet| {
        let ticket = ticket(triplet);
        if ticket >> 48 == group && bits.get_bit(place as usize) {
            tickets.push((ticket, place));
        }
    })?;
    tickets.sort_unstable();
    let last = tickets.get((most - before - 1) as usize).copied().unwrap_or((0, 0));
    candidates.each(|place, triplet| {
        if (ticket(triplet), place) > last {
            bits.set_bit(place as usize, false);
        }
    })?;
    Ok(all - most)
}

/// All candidates, in the order of the harvests.
#[derive(Clone)]
struct Candidates {
    harvests: Harvests,
    /// The place of the first candidate of each partition.
    starts: Vec<u64>,
    store: Arc<Prepared>,
    params: Arc<mine::Params>,
}

impl Candidates {
    /// Shows each, with its place.
    fn each(&self, mut see: impl FnMut(u64, &Triplet)) -> Result<(), HarvestError> {
        let mut place = 0;
        for ordinal in 0..self.harvests.partitions() {
            for batch in self.harvests.batches(ordinal)? {
                for triplet in decode(&batch?) {
                    see(place, &triplet);
                    place += 1;
                }
            }
        }
        Ok(())
    }

    /// Batches of [`CLAIMS`], in the order that a ration wants.
    async fn sorted(&self, session: &SessionContext) -> Result<SendableRecordBatchStream, DataFusionError> {
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
        let mut claimant = Claimant::new(self.starts[ordinal as usize]);
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
        short(|c| c.negative.0),
        short(|c| c.room),
    ];
    RecordBatch::try_new(CLAIMS.clone(), columns)
}

fn claims(batch: &RecordBatch) -> impl Iterator<Item = Claim> + '_ {
    let long = |column: usize| batch.column(column).as_primitive::<UInt64Type>().values();
    let short = |column: usize| batch.column(column).as_primitive::<UInt32Type>().values();
    let (longs, shorts) = ([0, 1, 2, 3].map(long), [4, 5, 6].map(short));
    (0..batch.num_rows()).map(move |i| {
        let [turn, window, preference, candidate] = longs.map(|values| values[i]);
        let [anchor, negative, room] = shorts.map(|values| values[i]);
        Claim { turn, window, preference, candidate, anchor: Row(anchor), negative: Row(negative), room }
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
