//! Where triplets are entered, one by one, on their way out.

use std::collections::BTreeSet;

use super::hubs::most_used;
use super::{ClassShare, Classes, Confused, Confusion, Evenness, Example, Figures, Hub, Hubs, SuspectPair};
use super::{confusion, histogram};
use crate::mine::{Band, LabelCounts, Params, Suspect, Triplet, has_kin};
use crate::store::{Code, Exhibit, OpenError, Prepared, Row};

/// Triplets, suspects and classes that are shown.
const HARDEST: usize = 6;
const SUSPECTS: usize = 6;
const LARGEST: usize = 10;

/// Counts triplets: 5 bytes a row and 8 a class, however many triplets there are.
pub struct Ledger<'s> {
    store: &'s Prepared,
    params: &'s Params,
    distances: histogram::Counter<4>,
    gaps: histogram::Counter<3>,
    fallback: [u64; 3],
    triplets: LabelCounts<'s>,
    confusion: confusion::Counter,
    /// By row of the corpus.
    uses: Vec<u32>,
    /// By row that asks: whether it has a triplet.
    mined: Vec<bool>,
    hardest: Vec<Triplet>,
}

impl<'s> Ledger<'s> {
    /// Of a run over `store` that asks for `params`.
    pub fn new(store: &'s Prepared, params: &'s Params) -> Self {
        Self {
            store,
            params,
            distances: histogram::Counter::new(),
            gaps: histogram::Counter::new(),
            fallback: [0; 3],
            triplets: LabelCounts::new(store),
            confusion: confusion::Counter::default(),
            uses: vec![0; store.corpus().len()],
            mined: vec![false; store.anchors().len()],
            hardest: Vec::with_capacity(HARDEST + 1),
        }
    }

    /// Enters triplets, in any order.
    pub fn add(&mut self, triplets: &[Triplet]) {
        for triplet in triplets {
            let (band, gap) = (triplet.band as usize, triplet.gap());
            self.distances.add(triplet.d_ap.get().into(), 0);
            self.distances.add(triplet.d_an.get().into(), 1 + band);
            self.gaps.add(gap, band);
            self.fallback[band] += u64::from(triplet.fallback);
            let uses = &mut self.uses[triplet.negative.index()];
            *uses = uses.saturating_add(1);
            self.mined[(triplet.anchor.0 - self.store.anchors().start) as usize] = true;
            if !self.store.has_pairs() {
                self.triplets.add(triplet.anchor, 1);
                if triplet.band != Band::Easy {
                    let class = |row: Row| self.store.labels()[row.index()];
                    self.confusion.add((class(triplet.anchor), class(triplet.negative)), triplet);
                }
            }
            self.rank(triplet);
        }
    }

    /// Keeps the hardest triplets, one an anchor.
    fn rank(&mut self, triplet: &Triplet) {
        let hardest = &mut self.hardest;
        if hardest.len() == HARDEST && hardest.last().is_some_and(|last| triplet.hardness(last).is_ge()) {
            return;
        }
        match hardest.iter().position(|other| other.anchor == triplet.anchor) {
            Some(place) if triplet.hardness(&hardest[place]).is_ge() => return,
            Some(place) => drop(hardest.remove(place)),
            None => {}
        }
        hardest.insert(hardest.partition_point(|other| other.hardness(triplet).is_lt()), *triplet);
        hardest.truncate(HARDEST);
    }

    /// The figures; `suspects` come the nearest first.
    ///
    /// # Errors
    /// When rows of the store cannot be read as text.
    pub fn finish(self, suspects: &[Suspect]) -> Result<Figures, OpenError> {
        let (store, params) = (self.store, self.params);
        let classes = if store.has_pairs() { None } else { Some(self.classes()?) };
        let (counted, top) = (self.confusion.finish(), most_used(&self.uses));
        let suspects = &suspects[..suspects.len().min(SUSPECTS)];

        let examples = || counted.top.iter().map(|(.., triplet)| triplet).chain(&self.hardest);
        let mut rows: BTreeSet<Row> = examples().flat_map(|t| [t.anchor, t.positive, t.negative]).collect();
        rows.extend(suspects.iter().flat_map(|suspect| [suspect.a, suspect.b]));
        rows.extend(top.iter().map(|(row, _)| row));
        let shown = store.exhibits(&rows)?;
        let show = |row: Row| shown.get(&row).cloned().unwrap_or_default();

        let confused = |&((anchor, negative), triplets, triplet): &(confusion::Pair, u64, Triplet)| {
            let (anchor, negative) = (store.class_text(anchor)?, store.class_text(negative)?);
            Ok(Confused { anchor, negative, triplets, example: Example::of(&triplet, show) })
        };
        let confusion = Confusion {
            active: counted.active,
            slack: counted.slack,
            top: counted.top.iter().map(confused).collect::<Result<_, OpenError>>()?,
            classes: counted.classes.iter().map(|&class| store.class_text(class)).collect::<Result<_, _>>()?,
            counts: counted.matrix,
        };
        let is_negative =
            |row: usize| params.negatives.unlabelled || store.has_pairs() || !store.labels()[row].is_null();
        let uses: Vec<u32> =
            self.uses.into_iter().enumerate().filter(|&(row, _)| is_negative(row)).map(|(_, uses)| uses).collect();
        let top = top.into_iter().map(|(row, uses)| Hub { row: show(row), uses }).collect();
        let [hard, semi_hard, easy] = Band::ALL.map(Band::name);
        Ok(Figures {
            metric: store.metric(),
            margin: params.margin,
            distances: self.distances.finish(["positive", hard, semi_hard, easy]),
            gaps: self.gaps.finish([hard, semi_hard, easy]),
            fallback: self.fallback,
            confusion: classes.is_some().then_some(confusion),
            classes,
            hubs: Hubs::of(uses, top),
            hardest: self.hardest.iter().map(|triplet| Example::of(triplet, show)).collect(),
            suspects: (suspects.iter())
                .map(|s| SuspectPair { a: show(s.a), b: show(s.b), distance: s.distance.get() })
                .collect(),
        })
    }

    fn classes(&self) -> Result<Classes, OpenError> {
        let store = self.store;
        let (mut before, mut anchors) = (LabelCounts::new(store), LabelCounts::new(store));
        for (row, &mined) in store.anchors().map(Row).zip(&self.mined) {
            before.add(row, u64::from(has_kin(row, store)));
            anchors.add(row, u64::from(mined));
        }
        let [before, anchors, triplets] = [&before, &anchors, &self.triplets].map(LabelCounts::by_label);
        let mut largest: Vec<usize> = (0..before.len()).filter(|&label| before[label] > 0).collect();
        let evenness = |counts: &[u64]| Evenness::of(largest.iter().map(|&label| counts[label]).collect());
        let [even_before, even_anchors, even_triplets] = [before, anchors, triplets].map(evenness);
        largest.sort_unstable_by_key(|&label| (std::cmp::Reverse(before[label]), label));
        largest.truncate(LARGEST);
        let share = |label: usize| {
            let text = store.label_text(Code(label as u32))?;
            Ok(ClassShare { label: text, before: before[label], anchors: anchors[label], triplets: triplets[label] })
        };
        Ok(Classes {
            before: even_before,
            anchors: even_anchors,
            triplets: even_triplets,
            largest: largest.into_iter().map(share).collect::<Result<_, OpenError>>()?,
        })
    }
}

impl Example {
    fn of(triplet: &Triplet, show: impl Fn(Row) -> Exhibit) -> Self {
        Self {
            anchor: show(triplet.anchor),
            positive: show(triplet.positive),
            negative: show(triplet.negative),
            d_ap: triplet.d_ap.get(),
            d_an: triplet.d_an.get(),
            band: triplet.band,
        }
    }
}
