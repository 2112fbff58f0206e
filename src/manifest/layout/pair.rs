//! (anchor, positive): one line a pair that has a triplet.

use super::columns::{Description, Fact, Of, column};
use super::lines::{Lines, Member, gap_of};
use crate::mine::Triplet;

pub(super) fn describe() -> Description {
    Description {
        roles: vec![("anchor".into(), Of::Anchor), ("positive".into(), Of::Member(0))],
        facts: vec![
            column("anchor_label", Fact::Label, Of::Anchor),
            column("d_ap", Fact::Distance, Of::Member(0)),
            column("weight", Fact::Weight, Of::Anchor),
        ],
        always: &[],
        numbers: &[],
    }
}

pub(super) fn lines(group: &[Triplet], lines: &mut Lines) {
    if let Some(first) = group.first() {
        lines.push(first.anchor, 0, gap_of(group), [Member::positive(first)]);
    }
}
