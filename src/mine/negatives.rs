//! The negatives of (anchor, positive) pairs: windows out, fills back, then the fallback bands for what is short.

use super::asker::{Asker, Asking};
use super::balance::pick;
use super::{Ask, Band, Guards, Harvest, Params, Reason, Suspect, Tally, Triplet};
use crate::kernel::Distance;
use crate::search::{Pick, Quest, Search, Window};
use crate::store::Prepared;

/// What a partition is mined from.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub store: &'a Prepared,
    pub search: &'a dyn Search,
    pub params: &'a Params,
}

/// Finds the negatives of every pair and adds triplets, unmined anchors and counts to the harvest.
pub(super) fn find(asking: Vec<Asking>, ground: Ground, harvest: &mut Harvest) {
    let guards = &ground.params.negatives.guards;
    let mut askers: Vec<Asker> = asking.into_iter().map(|asking| Asker::new(asking, guards, ground)).collect();
    fill(&mut askers, guards, ground);
    let settled = match ground.search.settles() {
        Some(exact) => settle(&mut askers, guards, Ground { search: exact, ..ground }),
        None => Vec::new(),
    };
    let guarded = guarded(&askers, &settled, ground);
    if let Some(nearest) = guards.duplicate_distance {
        duplicates(&askers, ground, Distance::new(nearest), &mut harvest.suspects);
    }
    for (asker, guarded) in askers.into_iter().zip(guarded) {
        gather(asker, guarded, ground, harvest);
    }
}

/// All rounds: ranks where a guard asks for them, the bands, the fallback.
fn fill(askers: &mut [Asker], guards: &Guards, ground: Ground) {
    if guards.ranks() > 0 {
        rank(askers, guards, ground);
    }
    let margin = ground.params.margin;
    round(askers, ground, false, |asker| {
        let windows = |owner: usize| asked_windows(asker.pairs[owner].d_ap, ground.params).into_iter();
        (0..asker.pairs.len())
            .flat_map(|owner| windows(owner).map(move |(window, count)| (owner, window, count)))
            .collect()
    });
    for &band in &ground.params.fallback {
        round(askers, ground, true, |asker| {
            let short = asker.pairs.iter().enumerate().filter(|(_, pair)| pair.short > 0);
            short.map(|(owner, pair)| (owner, band.window(pair.d_ap, margin), pair.short)).collect()
        });
    }
}

/// Asks an exact search about those that received nothing, and cannot say that there is nothing. Gives their places, ascending.
fn settle(askers: &mut [Asker], guards: &Guards, ground: Ground) -> Vec<usize> {
    let missed: Vec<usize> = (0..askers.len()).filter(|&index| askers[index].missed()).collect();
    let mut again: Vec<Asker> =
        missed.iter().map(|&index| Asker::new(askers[index].asking(), guards, ground)).collect();
    fill(&mut again, guards, ground);
    missed.iter().zip(again).for_each(|(&index, asker)| askers[index] = asker);
    missed
}

/// The windows of a pair as the pipeline asks for them, with their counts.
fn asked_windows(d_ap: Distance, params: &Params) -> Vec<((Distance, Distance), u32)> {
    match &params.ask {
        Ask::Bands(bands) => bands.iter().map(|&(band, count)| (band.window(d_ap, params.margin), count)).collect(),
        Ask::Any(count) => vec![((Distance::MIN, Distance::MAX), *count)],
    }
}

/// Tells each asker its nearest negatives, of which it must skip some, or may take from some only.
fn rank(askers: &mut [Asker], guards: &Guards, ground: Ground) {
    let everything = [Window { above: Distance::MIN, upto: Distance::MAX, count: guards.ranks(), pick: Pick::Nearest }];
    let quests: Vec<Quest> = askers.iter().map(|asker| asker.quest(ground, &everything)).collect();
    let found = ground.search.find(&quests);
    drop(quests);
    for (asker, fills) in askers.iter_mut().zip(found) {
        for fill in fills {
            asker.take_ranks(fill, guards, ground.store);
        }
    }
}

/// A window of one of an asker's pairs: the pair's index, `(above, upto]`, its slots.
type Want = (usize, (Distance, Distance), u32);

/// Asks the search for what every asker wants: all of it at once, or window by window where what one window receives
/// leaves less for the next.
fn round(askers: &mut [Asker], ground: Ground, fallback: bool, wants: impl Fn(&Asker) -> Vec<Want>) {
    let wanted: Vec<Vec<Want>> = askers.iter().map(wants).collect();
    let most = wanted.iter().map(Vec::len).max().unwrap_or(0);
    let step = if ground.params.negatives.max_per_class.is_some() { 1 } else { most.max(1) };
    for first in (0..most).step_by(step) {
        let asked = askers.iter().zip(&wanted).enumerate().flat_map(|(index, (asker, wants))| {
            let wants = wants.get(first..wants.len().min(first + step)).unwrap_or_default();
            let candidates = |&want: &Want| (want, ground.params.balance.candidates(want.2));
            wants
                .chunk_by(move |a, b| asker.alike(a.0, b.0))
                .map(move |wants| (index, wants.iter().map(candidates).collect()))
        });
        let mut asked: Vec<Asked> = asked.collect();
        while !asked.is_empty() {
            asked = ask(askers, asked, ground, fallback);
        }
    }
}

/// Windows of one of the askers that admit the same negatives, each with the rows that are wanted of it, spare ones among them.
type Asked = (usize, Vec<(Want, u32)>);

/// Asks for some windows of some askers; gives those that are to be asked for again.
fn ask(askers: &mut [Asker], asked: Vec<Asked>, ground: Ground, fallback: bool) -> Vec<Asked> {
    let windows: Vec<Vec<Window>> = asked
        .iter()
        .map(|(index, wants)| wants.iter().map(|(want, count)| window(&askers[*index], want, *count, ground)).collect())
        .collect();
    let quests: Vec<Quest> = asked
        .iter()
        .zip(&windows)
        .map(|((index, wants), windows)| askers[*index].guarded_quest(wants[0].0.0, ground, windows))
        .collect();
    let found = ground.search.find(&quests);
    drop(quests);
    let mut again = Vec::new();
    for ((index, wants), fills) in asked.into_iter().zip(found) {
        let mut short = Vec::new();
        for ((want, count), fill) in wants.into_iter().zip(fills) {
            if fill.passed_over {
                short.push((want, count.saturating_sub(fill.hits.len() as u32)));
            }
            askers[index].receive(want.0, want.2, fill, fallback, ground);
        }
        if !short.is_empty() {
            again.push((index, short));
        }
    }
    again
}

/// A band's window, as far as the pair's guards leave it open.
fn window(asker: &Asker, &(owner, (above, upto), _): &Want, count: u32, ground: Ground) -> Window {
    let pair = &asker.pairs[owner];
    let pick = pick((asker.anchor, pair.positive), ground.store, ground.params);
    Window { above: above.max(pair.span.0), upto: upto.min(pair.span.1), count, pick }
}

/// Of each asker, the slots that only guards left empty: those that fill when it asks again without any. Those that were settled ask
/// as exactly again.
fn guarded(askers: &[Asker], settled: &[usize], ground: Ground) -> Vec<u64> {
    let mut guarded = vec![0; askers.len()];
    if ground.params.negatives.guards.set().next().is_none() {
        return guarded;
    }
    let free = Guards::default();
    let short = (0..askers.len()).filter(|&index| askers[index].short() > 0);
    let (exactly, others) = short.partition::<Vec<usize>, _>(|index| settled.binary_search(index).is_ok());
    let exact = ground.search.settles().unwrap_or(ground.search);
    for (short, search) in [(others, ground.search), (exactly, exact)] {
        let ground = Ground { search, ..ground };
        let again = short.iter().map(|&index| Asker::new(askers[index].asking(), &free, ground));
        let mut again: Vec<Asker> = again.collect();
        fill(&mut again, &free, ground);
        for (&index, asker) in short.iter().zip(&again) {
            guarded[index] = askers[index].short().saturating_sub(asker.short());
        }
    }
    guarded
}

/// Near-duplicates listed for one anchor, at most: enough to see a problem, few enough to read.
const DUPLICATES: u32 = 16;

/// Lists the rows that the near-duplicate guard keeps away from the anchors: labelled ones of other classes, or, where
/// pairs say what is a positive, those that no pair names.
fn duplicates(askers: &[Asker], ground: Ground, nearest: Distance, suspects: &mut Vec<Suspect>) {
    let store = ground.store;
    let window = [Window { above: Distance::MIN, upto: nearest, count: DUPLICATES, pick: Pick::Nearest }];
    let labelled = |asker| {
        let mut quest = Asker::quest(asker, ground, &window);
        quest.admits.unlabelled = store.has_pairs();
        quest
    };
    let quests: Vec<Quest> = askers.iter().map(labelled).collect();
    for (asker, fills) in askers.iter().zip(ground.search.find(&quests)) {
        let hits = fills.into_iter().flat_map(|fill| fill.hits);
        suspects.extend(hits.map(|hit| Suspect::of(store, asker.anchor, hit.row, hit.distance)));
    }
}

fn gather(asker: Asker, guarded: u64, Ground { store, params, .. }: Ground, harvest: &mut Harvest) {
    let before = harvest.triplets.len();
    let pairs = asker.pairs.len() as u64;
    let mut tally = Tally { anchors: 1, pairs, scored: asker.scored_pairs(store), guarded, ..Tally::default() };
    let (mut exhaustive, mut left) = (true, guarded);
    for pair in asker.pairs {
        tally.asked += params.ask.slots();
        // What guards took is counted once.
        let taken = left.min(u64::from(pair.short));
        left -= taken;
        *(if pair.exhaustive { &mut tally.exhausted } else { &mut tally.missed }) += u64::from(pair.short) - taken;
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
        let reason = match (guarded, exhaustive) {
            (1.., _) => Reason::Guarded,
            (0, true) => Reason::BandEmpty,
            (0, false) => Reason::SearchMissed,
        };
        harvest.unmined.push((asker.anchor, reason));
    }
}
