//! What a pipeline says of its output.

use serde::{Deserialize, Serialize};

/// The file format of the triplets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Parquet,
    /// Arrow IPC file.
    Arrow,
    /// One JSON object a line.
    Jsonl,
    Csv(Formulas),
    /// Row indices only, as a numpy array of uint64.
    Npy,
}

/// What becomes of a text in CSV that a spreadsheet would take for a formula.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Formulas {
    /// An apostrophe goes before text that begins with = + - @, a tab, a carriage return or an apostrophe.
    #[default]
    Escape,
    /// It is written as it is.
    Keep,
}

/// What one row of the files says. All layouts hold the same mined facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// (anchor, positive, negative).
    #[default]
    Triplet,
    /// (anchor, positive, negative_1 … negative_n), n being all negatives asked for; pairs with fewer are left out.
    NTuple,
    /// (anchor, positive), each once.
    Pair,
    /// (anchor, candidate, label): of each anchor its positives with 1, then its negatives with 0, each once.
    LabeledPair,
    /// (anchor, candidates, labels): one list a pair, the positive first.
    LabeledList,
    /// (anchor, candidate, distance, rank): every row found for an anchor, once, the nearest first.
    Candidates,
}

impl Layout {
    /// As written in a pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Self::Triplet => "triplet",
            Self::NTuple => "n-tuple",
            Self::Pair => "pair",
            Self::LabeledPair => "labeled-pair",
            Self::LabeledList => "labeled-list",
            Self::Candidates => "candidates",
        }
    }
}

/// Which facts of a row are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    All,
    /// The values of one carried column alone, as text trainers take them.
    Carried(String),
}

/// How rows are shared out among files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// So many a file, but for the last; at least 1.
    Rows(u64),
    /// So many files, at least 1, with equally many rows, or one more or less.
    Shards(u32),
}

impl Split {
    /// Rows of each file, of `total` in all. Without rows there is one empty file at least, so that readers find the columns.
    pub(super) fn sizes(self, total: u64) -> impl Iterator<Item = u64> {
        let count = match self {
            Self::Rows(rows) => total.div_ceil(rows.max(1)).max(1),
            Self::Shards(count) => u64::from(count),
        };
        let end = move |file: u64| match self {
            Self::Rows(rows) => total.min(file.saturating_mul(rows)),
            Self::Shards(_) => (u128::from(total) * u128::from(file) / u128::from(count)) as u64,
        };
        (0..count).map(move |file| end(file + 1) - end(file))
    }
}

/// The order of the rows. Layouts that tell of a pair or of an anchor as a whole are ordered by pair or anchor, whose gap is
/// that of its nearest negative and its farthest positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// By anchor, in scan order of the store.
    #[default]
    Anchor,
    /// By a keyed hash of (seed, ids).
    Random,
    /// By gap, descending.
    EasyToHard,
    /// By gap, ascending.
    HardToEasy,
}

impl Order {
    /// As written in a pipeline.
    pub fn name(self) -> &'static str {
        match self {
            Self::Anchor => "anchor",
            Self::Random => "random",
            Self::EasyToHard => "easy-to-hard",
            Self::HardToEasy => "hard-to-easy",
        }
    }
}

/// How the result is written.
#[derive(Debug, Clone)]
pub struct Params {
    pub format: Format,
    pub layout: Layout,
    pub columns: Columns,
    pub order: Order,
    pub split: Split,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_share_all_rows() {
        let sizes = |split: Split, total: u64| split.sizes(total).collect::<Vec<_>>();
        assert_eq!(sizes(Split::Rows(4), 10), [4, 4, 2]);
        assert_eq!(sizes(Split::Rows(5), 10), [5, 5]);
        assert_eq!(sizes(Split::Rows(u64::MAX), 10), [10]);
        assert_eq!(sizes(Split::Rows(4), 0), [0]);
        assert_eq!(sizes(Split::Shards(3), 10), [3, 3, 4]);
        assert_eq!(sizes(Split::Shards(3), 2), [0, 1, 1]);
        assert_eq!(sizes(Split::Shards(2), 0), [0, 0]);
        assert_eq!(sizes(Split::Shards(7), u64::MAX).iter().sum::<u64>(), u64::MAX);
    }
}
