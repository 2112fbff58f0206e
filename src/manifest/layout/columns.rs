//! Columns of a layout, named one by one; what they hold follows from the lines and the store.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float32Array, Int32Array, Int64Array, ListArray, StringArray, UInt32Array,
    UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Int32Type};

use super::lines::{Lines, Member, Role};
use crate::manifest::gather::{self, GatherError};
use crate::mine::Band;
use crate::store::{Prepared, Row};

/// What a column tells of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    Id,
    /// Position in the scan of the input.
    Row,
    Label,
    /// To the anchor.
    Distance,
    Band,
    Fallback,
    Weight,
    /// 1 of a positive, 0 of a negative.
    Mark,
    /// Among the lines of the anchor, from 1.
    Rank,
    /// A column of the schema of its table: of the anchors, or of the corpus.
    Carried(usize),
}

/// Of which row of a line a column tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Anchor,
    Member(usize),
    /// Of all members, in a list.
    Members,
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) fact: Fact,
    pub(super) of: Of,
}

pub(super) fn column(name: impl Into<String>, fact: Fact, of: Of) -> Column {
    Column { name: name.into(), fact, of }
}

/// What a layout says of itself.
pub(super) struct Description {
    /// The rows of a line by the prefix of their columns: an id, a position and each carried column of all of them.
    pub(super) roles: Vec<(String, Of)>,
    /// Columns that stand between the positions and the carried columns.
    pub(super) facts: Vec<Column>,
    /// Those of the facts that stand beside a carried column alone, too …
    pub(super) always: &'static [&'static str],
    /// … and those that stand in an array of row indices.
    pub(super) numbers: &'static [&'static str],
}

/// All batches share these values, so that an Arrow file has one dictionary.
static BANDS: LazyLock<ArrayRef> =
    LazyLock::new(|| Arc::new(StringArray::from_iter_values(Band::ALL.iter().map(|band| band.name()))));

impl Column {
    /// `unlabelled`: whether rows without a label may be negatives. `array`: whether it stands in an array of uint64.
    pub(super) fn field(&self, store: &Prepared, unlabelled: bool, array: bool) -> Field {
        let list = self.of == Of::Members;
        let (kind, nullable) = match self.fact {
            Fact::Mark | Fact::Rank if array => (DataType::UInt64, false),
            Fact::Id => (gather::id_type(store), false),
            Fact::Row => (DataType::UInt64, false),
            Fact::Label => (gather::label_type(store), unlabelled && self.of != Of::Anchor),
            Fact::Distance | Fact::Weight => (DataType::Float32, false),
            // In a list the positive has none.
            Fact::Band if list => (DataType::Utf8, true),
            Fact::Band => (DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), false),
            Fact::Fallback => (DataType::Boolean, false),
            Fact::Mark => (DataType::Int64, false),
            Fact::Rank => (DataType::UInt32, false),
            Fact::Carried(column) => {
                let schema = if self.of == Of::Anchor { store.anchor_schema() } else { store.schema() };
                (gather::plain(schema.field(column).data_type()), true)
            }
        };
        if list {
            Field::new(&self.name, DataType::List(Arc::new(Field::new_list_field(kind, nullable))), false)
        } else {
            Field::new(&self.name, kind, nullable)
        }
    }

    /// The column's values; `field` is what [`Column::field`] gave.
    pub(super) fn values(
        &self,
        store: &Prepared,
        lines: &Lines,
        weights: Option<&[f32]>,
        field: &Field,
    ) -> Result<ArrayRef, GatherError> {
        let some: Vec<Member>;
        let members: &[Member] = match self.of {
            Of::Members => lines.members(),
            Of::Member(index) => {
                some = lines.iter().map(|line| line.members[index]).collect();
                &some
            }
            Of::Anchor => &[],
        };
        let rows: Vec<Row> = match self.of {
            Of::Anchor => lines.iter().map(|line| line.anchor).collect(),
            _ => members.iter().map(|member| member.row).collect(),
        };
        let marks = || members.iter().map(|member| i64::from(member.role == Role::Positive));
        let ranks = || lines.iter().map(|line| line.place + 1);
        let array = *field.data_type() == DataType::UInt64;
        let values: ArrayRef = match self.fact {
            Fact::Mark if array => Arc::new(UInt64Array::from_iter_values(marks().map(|mark| mark as u64))),
            Fact::Rank if array => Arc::new(UInt64Array::from_iter_values(ranks().map(u64::from))),
            Fact::Id => gather::ids(store, &rows)?,
            Fact::Row => gather::places(store, &rows),
            Fact::Label => gather::labels(store, &rows)?,
            Fact::Distance => Arc::new(Float32Array::from_iter_values(members.iter().map(|m| m.distance.get()))),
            Fact::Weight => Arc::new(weigh(store, lines, weights)),
            Fact::Band => bands(members, self.of)?,
            Fact::Fallback => Arc::new(members.iter().map(|member| Some(fallback(member))).collect::<BooleanArray>()),
            Fact::Mark => Arc::new(Int64Array::from_iter_values(marks())),
            Fact::Rank => Arc::new(UInt32Array::from_iter_values(ranks())),
            Fact::Carried(column) => gather::values(store, column, &rows)?,
        };
        match field.data_type() {
            DataType::List(item) if self.of == Of::Members => {
                let offsets = OffsetBuffer::from_lengths(lines.iter().map(|line| line.members.len()));
                Ok(Arc::new(ListArray::try_new(item.clone(), offsets, values, None)?))
            }
            _ => Ok(values),
        }
    }
}

/// A row without a label has no class, and can be an anchor with a weight only in a forged output.
fn weigh(store: &Prepared, lines: &Lines, weights: Option<&[f32]>) -> Float32Array {
    let weight =
        |row: Row| weights.map_or(Some(1.0), |weights| weights.get(store.labels()[row.index()].index()).copied());
    Float32Array::from_iter_values(lines.iter().map(|line| weight(line.anchor).unwrap_or(0.0)))
}

fn fallback(member: &Member) -> bool {
    matches!(member.role, Role::Negative { fallback: true, .. })
}

fn bands(members: &[Member], of: Of) -> Result<ArrayRef, GatherError> {
    let band = |member: &Member| match member.role {
        Role::Negative { band, .. } => Some(band),
        Role::Positive | Role::Other => None,
    };
    if of == Of::Members {
        return Ok(Arc::new(members.iter().map(|member| band(member).map(Band::name)).collect::<StringArray>()));
    }
    let keys: Int32Array = members.iter().map(|member| band(member).map(|band| band as i32)).collect();
    Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, BANDS.clone())?))
}
