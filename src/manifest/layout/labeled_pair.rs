//! (anchor, candidate, label): of each anchor its positives with 1, then its negatives with 0, the nearest first, each once.

use super::candidates::members;
use super::columns::{Description, Fact, Of, column};
use super::lines::{Lines, Role, gap_of};
use crate::mine::Triplet;

pub(super) fn describe() -> Description {
    let candidate = Of::Member(0);
    Description {
        roles: vec![("anchor".into(), Of::Anchor), ("candidate".into(), candidate)],
        facts: vec![
            column("anchor_label", Fact::Label, Of::Anchor),
            column("candidate_label", Fact::Label, candidate),
            column("distance", Fact::Distance, candidate),
            column("label", Fact::Mark, candidate),
            column("weight", Fact::Weight, Of::Anchor),
        ],
        always: &["label"],
        numbers: &["label"],
    }
}

pub(super) fn lines(group: &[Triplet], lines: &mut Lines) {
    let Some(first) = group.first() else { return };
    let mut members = members(group);
    // Stable: the nearest stay first.
    members.sort_by_key(|member| member.role != Role::Positive);
    for (place, member) in (0..).zip(members) {
        lines.push(first.anchor, place, gap_of(group), [member]);
    }
}
