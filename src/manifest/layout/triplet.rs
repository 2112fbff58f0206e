//! (anchor, positive, negative): one line a triplet.

use super::columns::{Description, Fact, Of, column};
use super::lines::{Lines, Member, gap_of};
use crate::mine::Triplet;

pub(super) fn describe() -> Description {
    let (positive, negative) = (Of::Member(0), Of::Member(1));
    Description {
        roles: vec![("anchor".into(), Of::Anchor), ("positive".into(), positive), ("negative".into(), negative)],
        facts: vec![
            column("anchor_label", Fact::Label, Of::Anchor),
            column("negative_label", Fact::Label, negative),
            column("d_ap", Fact::Distance, positive),
            column("d_an", Fact::Distance, negative),
            column("band", Fact::Band, negative),
            column("fallback", Fact::Fallback, negative),
            column("weight", Fact::Weight, Of::Anchor),
        ],
        always: &[],
        numbers: &[],
    }
}

pub(super) fn lines(group: &[Triplet], lines: &mut Lines) {
    for triplet in group {
        let gap = gap_of(std::slice::from_ref(triplet));
        lines.push(triplet.anchor, 0, gap, [Member::positive(triplet), Member::negative(triplet)]);
    }
}
