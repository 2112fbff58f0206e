//! What balance leaves of the candidates of all partitions: one bit a candidate, so that every later stage reads the harvests as
//! they lie, and no order has to be made twice.

use std::sync::Arc;

use arrow::array::{BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use super::candidates::{Candidates, claims};
use super::cut::cut;
use super::harvest::{HarvestError, Harvests};
use super::layout::{Grain, Sheet};
use super::order::OrderError;
use crate::mine::{self, Balanced, Claim, Claimant, LabelCounts, Quotas, Ration, Reason, Spread, Tally, Triplet};
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
    /// Of lines, by the class of their anchor; 1 without.
    pub(super) weights: Option<Vec<f32>>,
    /// Anchors that mining found triplets for, and that are left without: by balance, or by the layout after it.
    pub(super) emptied: Vec<(Row, Reason)>,
    /// None where no balance was asked for.
    pub(super) balanced: Option<Balanced>,
}

/// Chooses among the candidates of all partitions, whose counts are `tallies`, what the lines of `sheet` are made of. `session`
/// sorts, and spills.
pub(super) async fn select(
    harvests: &Harvests,
    tallies: &[Tally],
    store: &Arc<Prepared>,
    params: &Arc<mine::Params>,
    quotas: &Quotas,
    sheet: &Sheet,
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
    let whole_pairs = sheet.layout().takes_whole_pairs();
    let (store, params) = (store.clone(), params.clone());
    let candidates = Candidates { harvests: harvests.clone(), starts, store, params, whole_pairs };
    let (store, params) = (&candidates.store, &candidates.params);

    let mut bits = BooleanBufferBuilder::new(all);
    bits.append_n(all, balance.max_uses.is_none());
    let mut balanced = Balanced { added_pairs: quotas.added(), ..Balanced::default() };
    if let Some(most) = balance.max_uses {
        let mut ration = Ration::new(store, params, whole_pairs, most);
        let mut sorted = candidates.sorted(session).await?;
        let mut grant = |candidate: u64| bits.set_bit(candidate as usize, true);
        while let Some(batch) = sorted.try_next().await? {
            claims(&batch).for_each(|claim| ration.hear(&claim, &mut grant));
        }
        ration.end(&mut grant);
        (balanced.refilled, balanced.emptied) = (ration.refilled(), ration.emptied());
    }
    if let Some(most) = balance.triplets {
        balanced.cut = cut(&candidates, &mut bits, sheet, most)?;
    }
    let bits = bits.finish();

    let (mut keeps, mut emptied) = (vec![false; store.rows() as usize], Vec::new());
    let mut counts = LabelCounts::new(store);
    candidates.anchors(|first, triplets| {
        let kept: Vec<Triplet> =
            (first..).zip(triplets).filter(|(place, _)| bits.value(*place as usize)).map(|(_, t)| *t).collect();
        let anchor = triplets[0].anchor;
        match sheet.grain().groups(&kept).map(|group| sheet.lines_of(group)).sum::<u64>() {
            0 => emptied.push((anchor, why_empty(triplets, sheet, store, params))),
            lines => {
                keeps[anchor.index()] = true;
                counts.add(anchor, lines);
            }
        }
    })?;
    balanced.lines = counts.spread();
    (balanced.anchors_before, balanced.left_out) = before(store, params);
    balanced.anchors_after = after(store, |row| keeps[row.index()]);
    let kept = balance.selects().then(|| Arc::new(Kept { starts: candidates.starts, bits }));
    if kept.is_none() {
        // What the layout leaves out by itself is counted with its lines.
        emptied.clear();
    }
    Ok(Selected {
        chosen: Chosen { harvests: candidates.harvests, kept },
        weights: mine::weights(balance.weights, counts.by_label()),
        emptied,
        balanced: Some(balanced),
    })
}

/// Why an anchor is left without lines that has these candidates: balance took them, unless without it there would be none, either.
pub(super) fn why_empty(candidates: &[Triplet], sheet: &Sheet, store: &Prepared, params: &mine::Params) -> Reason {
    let mut claimant = Claimant::new(true, 0);
    let whole = |pair: &[Triplet]| {
        // Of each window as many as it has slots; the others are spare.
        let claims: Vec<Claim> = pair.iter().map(|triplet| claimant.claim(triplet, store, params)).collect();
        let windows = claims.chunk_by(|a, b| a.window == b.window);
        let filled: u64 = windows.map(|window| (window.len() as u64).min(u64::from(window[0].room))).sum();
        filled == params.ask.slots()
    };
    let could = !sheet.layout().takes_whole_pairs() || Grain::Pair.groups(candidates).any(whole);
    if could { Reason::BalancedAway } else { Reason::BandEmpty }
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
    let mut of_class = LabelCounts::new(store);
    for row in store.anchors().map(Row) {
        if !store.labels()[row.index()].is_null() && counts(row) {
            of_class.add(row, 1);
        }
    }
    of_class.spread()
}
