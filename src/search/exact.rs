//! Every pair, in quantised products: the result is the one of brute force, to the row.
//!
//! A block of rows meets many anchors while it is in the cache. Integer products are within a known bound of the scores
//! behind the distances, so windows are tested on them first, widened by that bound; only what passes is measured by the
//! kernel that decides. Nothing a window holds can be missed, and nothing else enters it: see [`super::seeker`].

use std::io;

use super::corpus::Corpus;
use super::ruler::Ruler;
use super::seeker::{self, Seeker};
use super::tiles::Tiles;
use super::{Found, Quest, Search};
use crate::store::{Prepared, Row};

/// Anchors that meet a block together: what they seek stays in the second-level cache.
const ANCHORS: usize = 256;
/// Blocks that all anchors of a call meet before the next ones: their f32 vectors stay in the third-level cache.
const BLOCKS: usize = 16;

/// Exhaustive search over the whole store.
pub struct Exact<'s> {
    pub(super) corpus: Corpus<'s>,
    tiles: Tiles,
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
        let tiles = Tiles::new(store, [rows.as_slice()])?;
        Ok(Self { corpus, tiles, ruler: Ruler::new(store) })
    }

    /// Shows every block to these seekers.
    fn pass(&self, seekers: &mut [Seeker]) {
        let everyone: Vec<u32> = (0..ANCHORS as u32).collect();
        let mut scratch = seeker::Scratch::default();
        for blocks in self.tiles.blocks().chunks(BLOCKS) {
            for seekers in seekers.chunks_mut(ANCHORS) {
                let chosen = &everyone[..seekers.len()];
                for block in blocks {
                    seeker::show(block, &self.tiles, seekers, chosen, &self.corpus, &self.ruler, &mut scratch);
                }
            }
        }
    }
}

impl Search for Exact<'_> {
    fn find(&self, quests: &[Quest]) -> Vec<Found> {
        let (mut found, open) = self.corpus.without_scan(quests);
        let seeker = |&index: &usize| {
            Seeker::new(index, &quests[index], &found[index], &self.corpus, &self.tiles, &self.ruler)
        };
        let mut seekers: Vec<Seeker> = open.iter().map(seeker).collect();
        self.pass(&mut seekers);
        for seeker in seekers {
            let index = seeker.index;
            seeker.finish(&self.corpus, true).for_each(|(window, fill)| found[index][window] = Some(fill));
        }
        found.into_iter().map(|fills| fills.into_iter().map(Option::unwrap_or_default).collect()).collect()
    }
}
