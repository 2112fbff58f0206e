//! The negatives of (anchor, positive) pairs: windows out, fills back, then the fallback bands for what is short.

use super::{Ask, Band, Harvest, NegativePick, Params, Reason, Suspect, Tally, Triplet, positives};
use crate::kernel::Distance;
use crate::search::lottery::combine;
use crate::search::{Admits, Fill, Pick, Quest, Rule, Search, Window};
use crate::store::{Prepared, Row};

/// One (anchor, positive) pair on its way.
struct Pair {
    positive: Row,
    d_ap: Distance,
    /// What was found, in the order it was asked for.
    hits: Vec<(Row, Distance, bool)>,
    /// Slots still empty.
    short: u32,
    /// Whether every search for this pair so far was exhaustive.
    exhaustive: bool,
}

/// The pair that a window belongs to, and its slots there: fewer than it has candidates where there are spare ones.
struct Owner {
    pair: usize,
    slots: u32,
}

/// One anchor with everything its quest needs.
struct Asker {
    anchor: Row,
    rules: Vec<Rule>,
    pairs: Vec<Pair>,
}

/// Finds the negatives of every pair and adds triplets, unmined anchors and counts to the harvest.
pub(super) fn find(
    asking: Vec<(Row, Vec<(Row, Distance)>)>,
    store: &Prepared,
    search: &dyn Search,
    params: &Params,
    harvest: &mut Harvest,
) {
    let slots = params.ask.slots();
    let mut askers: Vec<Asker> = asking
        .into_iter()
        .map(|(anchor, positives)| Asker {
            anchor,
            rules: positives::rules(anchor, store, &params.negatives.same, &params.negatives.different),
            pairs: positives
                .into_iter()
                .map(|(positive, d_ap)| Pair { positive, d_ap, hits: Vec::new(), short: slots, exhaustive: true })
                .collect(),
        })
        .collect();
    round(&mut askers, store, search, params, false, |pair| asked_windows(pair, params));
    for &band in &params.fallback {
        round(&mut askers, store, search, params, true, |pair| {
            if pair.short == 0 { Vec::new() } else { vec![(band.window(pair.d_ap, params.margin), pair.short)] }
        });
    }
    if let Some(nearest) = params.negatives.duplicate_distance {
        duplicates(&askers, store, search, Distance::new(nearest), &mut harvest.suspects);
    }
    for asker in askers {
        gather(asker, params, harvest);
    }
}

/// The windows of a pair as the pipeline asks for them, with their counts.
fn asked_windows(pair: &Pair, params: &Params) -> Vec<((Distance, Distance), u32)> {
    match &params.ask {
        Ask::Bands(bands) => {
            bands.iter().map(|&(band, count)| (band.window(pair.d_ap, params.margin), count)).collect()
        }
        Ask::Any(count) => vec![((Distance::MIN, Distance::MAX), *count)],
    }
}

/// One question to the search for all pairs that `windows` has something to ask for.
fn round(
    askers: &mut [Asker],
    store: &Prepared,
    search: &dyn Search,
    params: &Params,
    fallback: bool,
    windows: impl Fn(&Pair) -> Vec<((Distance, Distance), u32)>,
) {
    // Of each asker, its windows in one list, and for each window what it belongs to.
    let mut asked: Vec<(usize, Vec<Window>, Vec<Owner>)> = Vec::new();
    for (index, asker) in askers.iter().enumerate() {
        let (mut list, mut owners) = (Vec::new(), Vec::new());
        for (owner, pair) in asker.pairs.iter().enumerate() {
            let pick = pick(asker.anchor, pair.positive, store, params);
            for ((above, upto), count) in windows(pair) {
                let above = params.negatives.duplicate_distance.map_or(above, |d| above.max(Distance::new(d)));
                list.push(Window { above, upto, count: params.balance.candidates(count), pick });
                owners.push(Owner { pair: owner, slots: count });
            }
        }
        if !list.is_empty() {
            asked.push((index, list, owners));
        }
    }
    let quests: Vec<Quest> = asked
        .iter()
        .map(|(index, windows, _)| askers[*index].quest(store, params.negatives.unlabelled, windows))
        .collect();
    let found = search.find(&quests);
    drop(quests);
    for ((index, _, owners), fills) in asked.into_iter().zip(found) {
        for (Owner { pair, slots }, fill) in owners.into_iter().zip(fills) {
            askers[index].pairs[pair].receive(fill, slots, fallback);
        }
    }
}

impl Asker {
    fn quest<'a>(&'a self, store: &'a Prepared, unlabelled: bool, windows: &'a [Window]) -> Quest<'a> {
        let label = store.labels()[self.anchor.index()];
        let admits = Admits { own: Some(self.anchor), label, unlabelled, rules: &self.rules };
        Quest { vector: store.vector(self.anchor), admits, windows }
    }
}

/// Near-duplicates listed for one anchor, at most: enough to see a problem, few enough to read.
const DUPLICATES: u32 = 16;

/// Lists the labelled rows of other classes that the near-duplicate guard keeps away from the anchors.
fn duplicates(askers: &[Asker], store: &Prepared, search: &dyn Search, nearest: Distance, suspects: &mut Vec<Suspect>) {
    let window = [Window { above: Distance::MIN, upto: nearest, count: DUPLICATES, pick: Pick::Nearest }];
    let quests: Vec<Quest> = askers.iter().map(|asker| asker.quest(store, false, &window)).collect();
    for (asker, fills) in askers.iter().zip(search.find(&quests)) {
        let hits = fills.into_iter().flat_map(|fill| fill.hits);
        suspects.extend(hits.map(|hit| Suspect {
            a: asker.anchor.min(hit.row),
            b: asker.anchor.max(hit.row),
            distance: hit.distance,
        }));
    }
}

impl Pair {
    /// Takes what a window of `slots` slots received.
    fn receive(&mut self, fill: Fill, slots: u32, fallback: bool) {
        self.exhaustive &= fill.exhaustive;
        self.short -= (fill.hits.len() as u32).min(slots);
        self.hits.extend(fill.hits.into_iter().map(|hit| (hit.row, hit.distance, fallback)));
    }
}

/// Random picks of one pair share a key, whatever the band: it depends on (seed, ids) alone.
fn pick(anchor: Row, positive: Row, store: &Prepared, params: &Params) -> Pick {
    match params.pick {
        NegativePick::Nearest => Pick::Nearest,
        NegativePick::Random => {
            let keys = store.keys();
            Pick::Random { key: combine(&[params.seed, keys[anchor.index()], keys[positive.index()]]) }
        }
    }
}

fn gather(asker: Asker, params: &Params, harvest: &mut Harvest) {
    let before = harvest.triplets.len();
    let mut tally = Tally { anchors: 1, pairs: asker.pairs.len() as u64, ..Tally::default() };
    let mut exhaustive = true;
    for pair in asker.pairs {
        tally.asked += u64::from(params.ask.slots());
        *(if pair.exhaustive { &mut tally.exhausted } else { &mut tally.missed }) += u64::from(pair.short);
        exhaustive &= pair.exhaustive;
        for (negative, d_an, fallback) in pair.hits {
            let band = Band::of(pair.d_ap, d_an, params.margin);
            tally.bands[band as usize] += 1;
            tally.fallback += u64::from(fallback);
            harvest.triplets.push(Triplet {
                anchor: asker.anchor,
                positive: pair.positive,
                negative,
                d_ap: pair.d_ap,
                d_an,
                band,
                fallback,
            });
        }
    }
    harvest.tally += &tally;
    if harvest.triplets.len() == before {
        let reason = if exhaustive { Reason::BandEmpty } else { Reason::SearchMissed };
        harvest.unmined.push((asker.anchor, reason));
    }
}
