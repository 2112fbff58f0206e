//! Which rows of the store the rows of a file say they are made of.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_empty_array};
use arrow::datatypes::{DataType, UInt32Type, UInt64Type};

use super::{Column, Fact, Of, Sheet};

/// What a batch of an output claims.
pub(in crate::manifest) struct Claims {
    /// Scan position of the anchor, and its column's name.
    anchors: ArrayRef,
    members: Vec<Told>,
    list: bool,
    ranks: Option<ArrayRef>,
}

/// A column of positions of members, with its name, and that of their flags, where there is one.
struct Told {
    name: String,
    places: ArrayRef,
    fallbacks: Option<ArrayRef>,
}

/// One member as claimed.
pub(in crate::manifest) struct Claim<'a> {
    pub(in crate::manifest) column: &'a str,
    pub(in crate::manifest) place: u64,
    pub(in crate::manifest) fallback: Option<bool>,
}

impl Sheet {
    /// Whether rows of the output name rows of the store.
    pub(in crate::manifest) fn names_rows(&self) -> bool {
        self.columns.iter().any(|column| column.fact == Fact::Row)
    }

    /// Of a batch with the columns of [`Sheet::schema`]; `None` where they name no rows.
    pub(in crate::manifest) fn claims(&self, batch: &RecordBatch) -> Option<Claims> {
        let find = |fact: Fact, of: Of| {
            let found = self.columns.iter().position(|column| (column.fact, column.of) == (fact, of))?;
            Some(batch.column(found).clone())
        };
        let told = |Column { name, of, .. }: &Column| {
            let places = find(Fact::Row, *of).unwrap_or_else(|| new_empty_array(&DataType::UInt64));
            Told { name: name.clone(), places, fallbacks: find(Fact::Fallback, *of) }
        };
        let members = self.columns.iter().filter(|column| column.fact == Fact::Row && column.of != Of::Anchor);
        Some(Claims {
            anchors: find(Fact::Row, Of::Anchor)?,
            members: members.clone().map(told).collect(),
            ranks: self.columns.iter().position(|column| column.fact == Fact::Rank).map(|at| batch.column(at).clone()),
            list: members.clone().any(|column| column.of == Of::Members),
        })
    }
}

impl Claims {
    pub(in crate::manifest) fn anchor(&self, row: usize) -> Claim<'_> {
        let place = self.anchors.as_primitive::<UInt64Type>().value(row);
        Claim { column: "anchor_row", place, fallback: None }
    }

    /// Where the row says that it stands in its group, from 0; 0 if it does not say.
    pub(in crate::manifest) fn place(&self, row: usize) -> u32 {
        let rank = |ranks: &ArrayRef| match ranks.as_primitive_opt::<UInt32Type>() {
            Some(ranks) => u64::from(ranks.value(row)),
            None => ranks.as_primitive::<UInt64Type>().value(row),
        };
        // Stands for a rank that is none: whatever the row says then, it is not this.
        const NONE: u32 = u32::MAX - 1;
        self.ranks.as_ref().map_or(0, |ranks| {
            rank(ranks).checked_sub(1).and_then(|place| u32::try_from(place).ok()).map_or(NONE, |place| place.min(NONE))
        })
    }

    /// The members of a row, in order.
    pub(in crate::manifest) fn members(&self, row: usize) -> Vec<Claim<'_>> {
        let mut claims = Vec::with_capacity(self.members.len());
        for Told { name, places, fallbacks } in &self.members {
            if !self.list {
                let place = places.as_primitive::<UInt64Type>().value(row);
                let fallback = fallbacks.as_ref().map(|flags| flags.as_boolean().value(row));
                claims.push(Claim { column: name, place, fallback });
                continue;
            }
            let places = places.as_list::<i32>().value(row);
            let flags = fallbacks.as_ref().map(|flags| flags.as_list::<i32>().value(row));
            for (i, &place) in places.as_primitive::<UInt64Type>().values().iter().enumerate() {
                // Lists of a forged file may be of different lengths.
                let flag = flags.as_ref().filter(|flags| i < flags.len()).map(|flags| flags.as_boolean().value(i));
                claims.push(Claim { column: name, place, fallback: flag });
            }
        }
        claims
    }
}
