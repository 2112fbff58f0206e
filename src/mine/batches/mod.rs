//! Batches: of rows, P classes by K of each, or of triplets. None holds a false negative: a trainer that takes everything in a batch
//! for everything else's negative is never wrong, as far as the labels and the store can tell.

mod classes;
mod entries;
mod of_triplets;
mod pk;

pub use entries::Entries;
pub use of_triplets::without_false_negatives;
pub use pk::{Hardness, pk};

use serde::{Deserialize, Serialize};

use crate::store::{Prepared, Row};

/// Which batches are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Batches {
    /// Rows of the store.
    Pk(Pk),
    /// Triplets, `size` of them a batch.
    Triplets { size: u32 },
}

/// A batch has `classes` classes with `per_class` rows of each, or with all rows of a class that has fewer; both are at least 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pk {
    pub classes: u32,
    pub per_class: u32,
}

impl Batches {
    /// As written in pipelines and manifests.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pk(_) => "pk",
            Self::Triplets { .. } => "triplets",
        }
    }

    /// The key of the number of classes that a batch needs (of anchors, where pairs tell), and that number.
    pub fn classes(&self) -> (&'static str, u32) {
        match *self {
            Self::Pk(Pk { classes, .. }) => ("batches.classes", classes),
            Self::Triplets { size } => ("batches.size", size),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batched {
    /// [`Batches::name`].
    pub kind: String,
    pub batches: u64,
    /// Rows or triplets in them, each as often as it comes.
    pub entries: u64,
    /// Anchors or triplets that are in none.
    pub remainder: u64,
}

/// Whether two rows of different classes must not meet: they may well be one thing under two labels.
pub fn clash(store: &Prepared, duplicate_distance: Option<f32>, a: Row, b: Row) -> bool {
    let (x, y) = (store.vector(a), store.vector(b));
    x == y || duplicate_distance.is_some_and(|near| store.metric().distance(x, y).get() <= near)
}
