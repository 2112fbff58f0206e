//! Rows of a layout before they become columns: an anchor and the rows that stand beside it.

use crate::kernel::Distance;
use crate::mine::{Band, Triplet};
use crate::store::Row;

/// What a row is to its line's anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::manifest) enum Role {
    Positive,
    /// Mined for the positive that stands first in the line.
    Negative {
        band: Band,
        fallback: bool,
    },
    /// A negative without a positive beside it: no band can be told.
    Other,
}

/// A row beside an anchor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::manifest) struct Member {
    pub(in crate::manifest) row: Row,
    /// To the anchor.
    pub(in crate::manifest) distance: Distance,
    pub(in crate::manifest) role: Role,
}

impl Member {
    pub(super) fn positive(triplet: &Triplet) -> Self {
        Self { row: triplet.positive, distance: triplet.d_ap, role: Role::Positive }
    }

    pub(super) fn negative(triplet: &Triplet) -> Self {
        let role = Role::Negative { band: triplet.band, fallback: triplet.fallback };
        Self { row: triplet.negative, distance: triplet.d_an, role }
    }

    pub(super) fn other(triplet: &Triplet) -> Self {
        Self { row: triplet.negative, distance: triplet.d_an, role: Role::Other }
    }
}

/// One row of a layout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::manifest) struct Line<'a> {
    pub(in crate::manifest) anchor: Row,
    /// Among the lines of its group, from 0.
    pub(in crate::manifest) place: u32,
    /// Of its group, see [`gap`].
    pub(in crate::manifest) gap: f64,
    pub(in crate::manifest) members: &'a [Member],
}

/// Lines, one after the other.
#[derive(Debug, Clone, Default)]
pub(in crate::manifest) struct Lines {
    heads: Vec<Head>,
    members: Vec<Member>,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    anchor: Row,
    place: u32,
    gap: f64,
    /// Where its members end; they begin where those of the line before end.
    end: usize,
}

impl Lines {
    pub(in crate::manifest) fn push(
        &mut self,
        anchor: Row,
        place: u32,
        gap: f64,
        members: impl IntoIterator<Item = Member>,
    ) {
        self.members.extend(members);
        self.heads.push(Head { anchor, place, gap, end: self.members.len() });
    }

    pub(in crate::manifest) fn len(&self) -> usize {
        self.heads.len()
    }

    pub(in crate::manifest) fn get(&self, index: usize) -> Line<'_> {
        let Head { anchor, place, gap, end } = self.heads[index];
        let start = if index == 0 { 0 } else { self.heads[index - 1].end };
        Line { anchor, place, gap, members: &self.members[start..end] }
    }

    pub(in crate::manifest) fn iter(&self) -> impl ExactSizeIterator<Item = Line<'_>> + Clone {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Of all lines, in their order.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Some of the lines, in the order of `indices`.
    pub(in crate::manifest) fn select(&self, indices: &[usize]) -> Self {
        let mut selected = Self::default();
        for &index in indices {
            let Line { anchor, place, gap, members } = self.get(index);
            selected.push(anchor, place, gap, members.iter().copied());
        }
        selected
    }

    pub(in crate::manifest) fn append(&mut self, later: &Self) {
        for Line { anchor, place, gap, members } in later.iter() {
            self.push(anchor, place, gap, members.iter().copied());
        }
    }

    /// Says anew what the group of a line is like.
    pub(in crate::manifest) fn set_group(&mut self, index: usize, place: u32, gap: f64) {
        let head = &mut self.heads[index];
        (head.place, head.gap) = (place, gap);
    }
}

/// The gap of a group: d(a, n) of its nearest negative − d(a, p) of its farthest positive. Of one pair that is the least gap of its
/// triplets, of one triplet its own.
pub(in crate::manifest) fn gap(d_ap: impl Iterator<Item = Distance>, d_an: impl Iterator<Item = Distance>) -> f64 {
    let (far, near) = (d_ap.max().unwrap_or(Distance::MIN), d_an.min().unwrap_or(Distance::MAX));
    f64::from(near.get()) - f64::from(far.get())
}

/// Which triplets a layout must see together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::manifest) enum Grain {
    Triplet,
    /// Those of one anchor and positive.
    Pair,
    Anchor,
}

impl Grain {
    /// Whether two triplets, one after the other, belong together.
    pub(in crate::manifest) fn joins(self, a: &Triplet, b: &Triplet) -> bool {
        match self {
            Self::Triplet => false,
            Self::Pair => (a.anchor, a.positive) == (b.anchor, b.positive),
            Self::Anchor => a.anchor == b.anchor,
        }
    }

    /// The groups of triplets that lie together.
    pub(in crate::manifest) fn groups(self, triplets: &[Triplet]) -> impl Iterator<Item = &[Triplet]> {
        triplets.chunk_by(move |a, b| self.joins(a, b))
    }

    /// Those of the anchor, the positive and the negative that name a group.
    pub(in crate::manifest) fn named<T>(self, parts: &[T; 3]) -> &[T] {
        match self {
            Self::Triplet => parts,
            Self::Pair => &parts[..2],
            Self::Anchor => &parts[..1],
        }
    }
}

/// The gap of a group of triplets.
pub(in crate::manifest) fn gap_of(group: &[Triplet]) -> f64 {
    gap(group.iter().map(|t| t.d_ap), group.iter().map(|t| t.d_an))
}
