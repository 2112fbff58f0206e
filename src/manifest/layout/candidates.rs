//! (anchor, candidate, distance, rank): every row found for an anchor, positive or negative, once, the nearest first: what a reranker
//! should score.

use super::columns::{Description, Fact, Of, column};
use super::lines::{Lines, Member, gap_of};
use crate::mine::Triplet;

pub(super) fn describe() -> Description {
    let candidate = Of::Member(0);
    Description {
        roles: vec![("anchor".into(), Of::Anchor), ("candidate".into(), candidate)],
        facts: vec![
            column("anchor_label", Fact::Label, Of::Anchor),
            column("candidate_label", Fact::Label, candidate),
            column("distance", Fact::Distance, candidate),
            column("rank", Fact::Rank, candidate),
            column("label", Fact::Mark, candidate),
        ],
        always: &["distance", "rank"],
        numbers: &["rank"],
    }
}

pub(super) fn lines(group: &[Triplet], lines: &mut Lines) {
    let Some(first) = group.first() else { return };
    for (place, member) in (0..).zip(members(group)) {
        lines.push(first.anchor, place, gap_of(group), [member]);
    }
}

/// Positives and negatives of an anchor, each once, the nearest first.
pub(super) fn members(group: &[Triplet]) -> Vec<Member> {
    let mut members: Vec<Member> = group.iter().flat_map(|t| [Member::positive(t), Member::other(t)]).collect();
    members.sort_unstable_by_key(|member| (member.distance, member.row));
    members.dedup_by_key(|member| member.row);
    members
}
