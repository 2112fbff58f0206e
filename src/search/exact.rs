//! Every pair, in quantised products: the result is the one of brute force, to the row.
//!
//! A block of rows meets many anchors while it is in the cache. Integer products are within a known bound of the scores
//! behind the distances, so windows are tested on them first, widened by that bound; only what passes is measured by the
//! kernel that decides. Nothing a window holds can be missed, and nothing else enters it: see [`super::seeker`].

use std::io;

use super::corpus::{self, Corpus, Partly};
use super::ruler::Ruler;
use super::seeker::{self, Scratch, Seeker, Slack};
use super::tiles::{Block, Space, Tiles};
use super::{Found, Quest, Search};
use crate::store::{Prepared, Row};

/// Anchors that meet a block together: what they seek stays in the second-level cache.
pub const ANCHORS: usize = 256;
/// Blocks that all anchors of a call meet before the next ones: their f32 vectors stay in the third-level cache.
const BLOCKS: usize = 16;

/// Exhaustive search over the whole store.
pub struct Exact<'s> {
    pub(super) corpus: Corpus<'s>,
    pub(super) tiles: Tiles,
    ruler: Ruler,
}

impl<'s> Exact<'s> {
    /// Packs the rows that can be anyone's negatives: with `unlabelled`, rows without a label, too.
    ///
    /// # Errors
    /// When the packed rows cannot be kept beside the store.
    pub fn new(store: &'s Prepared, unlabelled: bool) -> io::Result<Self> {
        let corpus = Corpus::new(store, unlabelled);
        let rows: Vec<Row> = corpus.candidates().collect();
        let tiles = Tiles::new(store, Space::of(store), [rows.as_slice()], false)?;
        Ok(Self::over(corpus, tiles))
    }

    /// Searches rows that are packed already.
    pub(super) fn over(corpus: Corpus<'s>, tiles: Tiles) -> Self {
        let ruler = Ruler::new(corpus.store);
        Self { corpus, tiles, ruler }
    }

    /// Seekers for what `found` leaves open.
    pub(super) fn seekers<'a>(
        &'a self,
        quests: &'a [Quest<'a>],
        found: &Partly,
        open: &[usize],
        slack: Slack,
    ) -> Vec<Seeker<'a>> {
        let seeker = |&index: &usize| {
            Seeker::new(index, &quests[index], &found[index], &self.corpus, &self.tiles, &self.ruler, slack)
        };
        open.iter().map(seeker).collect()
    }

    /// Fills what was open with what the seekers received.
    pub(super) fn collect(&self, seekers: Vec<Seeker>, exhaustive: bool, found: &mut Partly) {
        for seeker in seekers {
            let fills = &mut found[seeker.index];
            seeker.finish(exhaustive).for_each(|(window, fill)| fills[window] = Some(fill));
        }
    }

    /// Shows a block to some of the seekers.
    pub(super) fn show(&self, block: &Block, seekers: &mut [Seeker], chosen: &[u32], scratch: &mut Scratch) {
        seeker::show(block, &self.tiles, seekers, chosen, &self.corpus, &self.ruler, scratch);
    }

    /// Shows every block to these seekers.
    fn pass(&self, seekers: &mut [Seeker]) {
        let everyone: Vec<u32> = (0..ANCHORS as u32).collect();
        let mut scratch = Scratch::default();
        for blocks in self.tiles.blocks().chunks(BLOCKS) {
            for seekers in seekers.chunks_mut(ANCHORS) {
                let chosen = &everyone[..seekers.len()];
                for block in blocks {
                    self.show(block, seekers, chosen, &mut scratch);
                }
            }
        }
    }
}

impl Search for Exact<'_> {
    fn find(&self, quests: &[Quest]) -> Vec<Found> {
        let (mut found, open) = self.corpus.without_scan(quests);
        let mut seekers = self.seekers(quests, &found, &open, Slack::Proven);
        self.pass(&mut seekers);
        self.collect(seekers, true, &mut found);
        corpus::settled(found)
    }
}
