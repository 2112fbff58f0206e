//! (anchor, positive, negative_1 … negative_n): one line a pair that got all the negatives it asked for, the nearest first.

use super::columns::{Description, Fact, Of, column};
use super::labeled_list::pair_line;
use super::lines::Lines;
use crate::mine::Triplet;

pub(super) fn describe(slots: u64) -> Description {
    let negatives = || (1..=slots as usize).map(|i| (format!("negative_{i}"), Of::Member(i)));
    let mut roles = vec![("anchor".into(), Of::Anchor), ("positive".into(), Of::Member(0))];
    roles.extend(negatives());
    let mut facts = vec![column("anchor_label", Fact::Label, Of::Anchor)];
    facts.extend(negatives().map(|(name, of)| column(format!("{name}_label"), Fact::Label, of)));
    facts.push(column("d_ap", Fact::Distance, Of::Member(0)));
    for (name, fact) in [("d_an", Fact::Distance), ("band", Fact::Band), ("fallback", Fact::Fallback)] {
        facts.extend((1..=slots as usize).map(|i| column(format!("{name}_{i}"), fact, Of::Member(i))));
    }
    facts.push(column("weight", Fact::Weight, Of::Anchor));
    Description { roles, facts, always: &[], numbers: &[] }
}

pub(super) fn lines(group: &[Triplet], slots: u64, lines: &mut Lines) {
    if group.len() as u64 == slots {
        pair_line(group, lines);
    }
}
