//! Positions and dense codes: the only names a row or a class has inside a run.

/// Position in the prepared store, `0 … n − 1`, in scan order, the queries' rows after those of the corpus. Private to a
/// run: files speak ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Row(pub u32);

impl Row {
    /// Stands for no row in an array of rows.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// As an index into an array of one value a row.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A label, a set of labels or a group value as a dense number, in order of first appearance; [`Code::NULL`] for null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Code(pub u32);

impl Code {
    /// The code of null. Null equals nothing: compare with [`Code::agrees`], not `==`.
    pub const NULL: Self = Self(u32::MAX);

    /// Both present and the same value.
    pub fn agrees(self, other: Self) -> bool {
        self == other && self != Self::NULL
    }

    /// Whether this is null.
    pub fn is_null(self) -> bool {
        self == Self::NULL
    }

    /// As an index into an array of one value a code; meaningless for null.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}
