//! (anchor, candidates, labels): one line a pair, its positive and then its negatives, the nearest first. That is what listwise losses
//! take, and what sentence-transformers' own miner writes.

use super::columns::{Description, Fact, Of, column};
use super::lines::{Lines, Member, gap_of};
use crate::mine::Triplet;

pub(super) fn describe() -> Description {
    Description {
        roles: vec![("anchor".into(), Of::Anchor), ("candidates".into(), Of::Members)],
        facts: vec![
            column("anchor_label", Fact::Label, Of::Anchor),
            column("candidates_label", Fact::Label, Of::Members),
            column("distances", Fact::Distance, Of::Members),
            column("labels", Fact::Mark, Of::Members),
            column("bands", Fact::Band, Of::Members),
            column("fallbacks", Fact::Fallback, Of::Members),
            column("weight", Fact::Weight, Of::Anchor),
        ],
        always: &["labels"],
        numbers: &[],
    }
}

pub(super) fn lines(group: &[Triplet], lines: &mut Lines) {
    pair_line(group, lines);
}

/// All triplets of a pair in one line.
pub(super) fn pair_line(group: &[Triplet], lines: &mut Lines) {
    let Some(first) = group.first() else { return };
    let mut negatives: Vec<Member> = group.iter().map(Member::negative).collect();
    negatives.sort_unstable_by_key(|negative| (negative.distance, negative.row));
    lines.push(first.anchor, 0, gap_of(group), std::iter::once(Member::positive(first)).chain(negatives));
}
