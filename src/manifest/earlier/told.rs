//! What rows of any layout tell: who was whose positive and whose negative, as columns of one length.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, ListArray, RecordBatch, UInt8Array, UInt32Array,
};
use arrow::compute::{cast, filter, take};
use arrow::datatypes::{DataType, Float32Type, Int64Type, SchemaRef};
use arrow::error::ArrowError;

use super::strange;
use crate::manifest::Layout;
use crate::mine::Band;

/// Rows of a piece.
const PIECE: usize = 1 << 13;

/// How rows of a store are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// By their ids, which move with them.
    Ids,
    /// By their places in the scan, which hold for the very same store.
    Rows,
}

impl Names {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ids => "ids",
            Self::Rows => "row numbers",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Ids => "id",
            Self::Rows => "row",
        }
    }
}

/// How much of a triplet is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// (anchor, positive).
    Positives,
    /// (anchor, negative): which positive it belongs to, layouts of single candidates do not tell.
    Negatives,
    /// (anchor, positive, negative), with distances.
    Triplets,
}

impl Detail {
    /// The most that a layout tells.
    pub fn of(layout: Layout) -> Self {
        match layout {
            Layout::Triplet | Layout::NTuple | Layout::LabeledList => Self::Triplets,
            Layout::LabeledPair | Layout::Candidates => Self::Negatives,
            Layout::Pair => Self::Positives,
        }
    }
}

/// Some rows of an output, as columns of one length.
#[derive(Debug)]
pub struct Told {
    /// Names of rows, of any integer type or text; none is null.
    pub anchor: ArrayRef,
    /// There, as `negative`, as far as the detail looks at them.
    pub positive: Option<ArrayRef>,
    pub negative: Option<ArrayRef>,
    /// Of the anchor; absent where pairs said what is a positive, and where rows are numbers alone.
    pub label: Option<ArrayRef>,
    /// d(a, n) − d(a, p), of whole triplets alone.
    pub gap: Option<Float64Array>,
    /// By [`Band`] as a number.
    pub band: Option<UInt8Array>,
}

/// The role of the rows that ask.
pub(super) const ANCHOR: &str = "anchor";

/// A role of rows of the corpus that every line of a layout has.
pub(super) fn beside(layout: Layout) -> &'static str {
    match layout {
        Layout::Triplet | Layout::NTuple | Layout::Pair => "positive",
        Layout::LabeledPair | Layout::Candidates => "candidate",
        Layout::LabeledList => "candidates",
    }
}

/// The column that holds the names of a role.
pub(super) fn role_column(role: &str, names: Names) -> String {
    format!("{role}_{}", names.ending())
}

/// Whether a schema has all columns that name rows in a layout.
pub(super) fn names(layout: Layout, schema: &SchemaRef, names: Names) -> bool {
    let roles: &[&str] = match layout {
        Layout::Triplet => &["anchor", "positive", "negative"],
        Layout::NTuple => &["anchor", "positive", "negative_1"],
        Layout::Pair => &["anchor", "positive"],
        Layout::LabeledPair | Layout::Candidates => &["anchor", "candidate"],
        Layout::LabeledList => &["anchor", "candidates"],
    };
    roles.iter().all(|role| schema.column_with_name(&role_column(role, names)).is_some())
}

/// Whether a row says what its rows are to each other.
pub(super) fn marks(layout: Layout, schema: &SchemaRef) -> bool {
    match layout {
        Layout::LabeledPair | Layout::Candidates => schema.column_with_name("label").is_some(),
        _ => true,
    }
}

impl Told {
    /// What a batch of rows in `layout` tells, to the `detail`, in pieces.
    ///
    /// # Errors
    /// A column that is not there, of another type, or null where a row must be named.
    pub fn of(batch: &RecordBatch, layout: Layout, names: Names, detail: Detail) -> Result<Vec<Self>, ArrowError> {
        let columns = Columns { batch, names };
        let pieces = match layout {
            Layout::Triplet => vec![columns.triplets("negative", "d_an", "band")?],
            Layout::NTuple => (1..)
                .map(|i| (format!("negative_{i}"), format!("d_an_{i}"), format!("band_{i}")))
                .take_while(|(role, ..)| batch.column_by_name(&role_column(role, names)).is_some())
                .map(|(role, distance, band)| columns.triplets(&role, &distance, &band))
                .collect::<Result<_, _>>()?,
            Layout::Pair => vec![columns.pairs()?],
            Layout::LabeledPair | Layout::Candidates => columns.candidates()?,
            Layout::LabeledList => vec![columns.lists()?],
        };
        let pieces: Vec<Self> = pieces.into_iter().filter_map(|piece| piece.to(detail)).collect();
        match pieces.iter().all(Self::is_whole) {
            true => Ok(pieces),
            false => Err(strange("a null")),
        }
    }

    /// The same in pieces of a few thousand rows: what sorts them holds several at a time.
    pub fn pieces(&self) -> Vec<Self> {
        let piece = |first: usize| {
            let rows = PIECE.min(self.anchor.len() - first);
            let some = |column: &Option<ArrayRef>| column.as_ref().map(|column| column.slice(first, rows));
            Self {
                anchor: self.anchor.slice(first, rows),
                positive: some(&self.positive),
                negative: some(&self.negative),
                label: some(&self.label),
                gap: self.gap.as_ref().map(|gap| gap.slice(first, rows)),
                band: self.band.as_ref().map(|band| band.slice(first, rows)),
            }
        };
        (0..self.anchor.len()).step_by(PIECE).map(piece).collect()
    }

    fn to(self, detail: Detail) -> Option<Self> {
        match detail {
            Detail::Triplets => self.positive.is_some().then_some(self),
            Detail::Negatives => {
                self.negative.is_some().then_some(Self { positive: None, gap: None, band: None, ..self })
            }
            Detail::Positives => {
                self.positive.is_some().then_some(Self { negative: None, gap: None, band: None, ..self })
            }
        }
    }

    fn is_whole(&self) -> bool {
        let named = [Some(&self.anchor), self.positive.as_ref(), self.negative.as_ref()];
        named.into_iter().flatten().all(|column| column.null_count() == 0)
            && self.gap.as_ref().is_none_or(|gap| gap.null_count() == 0)
            && self.band.as_ref().is_none_or(|band| band.null_count() == 0)
    }
}

/// Columns of a batch by what they are for.
struct Columns<'a> {
    batch: &'a RecordBatch,
    names: Names,
}

impl Columns<'_> {
    fn column(&self, name: &str) -> Result<ArrayRef, ArrowError> {
        self.batch.column_by_name(name).cloned().ok_or_else(|| strange(format!("no column {name}")))
    }

    fn role(&self, role: &str) -> Result<ArrayRef, ArrowError> {
        self.column(&role_column(role, self.names))
    }

    fn label(&self) -> Option<ArrayRef> {
        self.batch.column_by_name("anchor_label").cloned()
    }

    /// Of numbers alone there are no distances.
    fn distances(&self, name: &str) -> Result<Option<Float32Array>, ArrowError> {
        let column = self.batch.column_by_name(name);
        column.map(|column| Ok(cast(column, &DataType::Float32)?.as_primitive::<Float32Type>().clone())).transpose()
    }

    fn triplets(&self, role: &str, distance: &str, band: &str) -> Result<Told, ArrowError> {
        let (d_ap, d_an) = (self.distances("d_ap")?, self.distances(distance)?);
        Ok(Told {
            anchor: self.role("anchor")?,
            positive: Some(self.role("positive")?),
            negative: Some(self.role(role)?),
            label: self.label(),
            gap: d_ap.zip(d_an).map(|(d_ap, d_an)| gaps(&d_ap, &d_an)),
            band: self.batch.column_by_name(band).map(bands).transpose()?,
        })
    }

    fn pairs(&self) -> Result<Told, ArrowError> {
        let (anchor, positive) = (self.role("anchor")?, Some(self.role("positive")?));
        Ok(Told { anchor, positive, negative: None, label: self.label(), gap: None, band: None })
    }

    /// The positives, then the negatives.
    fn candidates(&self) -> Result<Vec<Told>, ArrowError> {
        let marks = is_positive(&self.column("label")?)?;
        let some = |marks: &BooleanArray, column: ArrayRef| filter(&column, marks);
        let (anchor, candidate, label) = (self.role("anchor")?, self.role("candidate")?, self.label());
        let of = |marks: &BooleanArray, positive: bool| -> Result<Told, ArrowError> {
            let named = Some(some(marks, candidate.clone())?);
            let (positive, negative) = if positive { (named, None) } else { (None, named) };
            let label = label.clone().map(|label| some(marks, label)).transpose()?;
            Ok(Told { anchor: some(marks, anchor.clone())?, positive, negative, label, gap: None, band: None })
        };
        Ok(vec![of(&marks, true)?, of(&arrow::compute::not(&marks)?, false)?])
    }

    /// A list begins with the positive.
    fn lists(&self) -> Result<Told, ArrowError> {
        let candidates = self.role("candidates")?;
        let lists = list(&candidates)?;
        let (mut lines, mut firsts, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for (line, ends) in (0u32..).zip(lists.offsets().windows(2)) {
            for place in ends[0] + 1..ends[1] {
                lines.push(line);
                firsts.push(ends[0] as u32);
                others.push(place as u32);
            }
        }
        let [lines, firsts, others] = [lines, firsts, others].map(UInt32Array::from);
        let same = |name: &str, column: &ArrayRef| match list(column)?.offsets() == lists.offsets() {
            true => Ok(list(column)?.values().clone()),
            false => Err(strange(format!("lists of another length in {name}"))),
        };
        let beside = |name: &str| self.batch.column_by_name(name).map(|column| same(name, column)).transpose();
        let (distances, names) = (beside("distances")?, beside("bands")?);
        let gap = |distances: ArrayRef| -> Result<Float64Array, ArrowError> {
            let [d_ap, d_an] = [take(&distances, &firsts, None)?, take(&distances, &others, None)?];
            let [d_ap, d_an] = [cast(&d_ap, &DataType::Float32)?, cast(&d_an, &DataType::Float32)?];
            Ok(gaps(d_ap.as_primitive(), d_an.as_primitive()))
        };
        Ok(Told {
            anchor: take(&self.role("anchor")?, &lines, None)?,
            positive: Some(take(lists.values(), &firsts, None)?),
            negative: Some(take(lists.values(), &others, None)?),
            label: self.label().map(|label| take(&label, &lines, None)).transpose()?,
            gap: distances.map(gap).transpose()?,
            band: names.map(|names| bands(&take(&names, &others, None)?)).transpose()?,
        })
    }
}

fn list(column: &ArrayRef) -> Result<&ListArray, ArrowError> {
    column.as_list_opt::<i32>().filter(|lists| lists.null_count() == 0).ok_or_else(|| strange("a null, or no lists"))
}

/// In f64, where the difference of two f32 is exact, or nearly so.
fn gaps(d_ap: &Float32Array, d_an: &Float32Array) -> Float64Array {
    d_ap.iter().zip(d_an).map(|(d_ap, d_an)| Some(f64::from(d_an?) - f64::from(d_ap?))).collect()
}

/// Marks are 1 and 0.
fn is_positive(marks: &ArrayRef) -> Result<BooleanArray, ArrowError> {
    let marks = cast(marks, &DataType::Int64)?;
    let marks = marks.as_primitive::<Int64Type>().iter().map(|mark| match mark {
        Some(mark @ (0 | 1)) => Ok(Some(mark == 1)),
        _ => Err(strange("a label that is neither 1 nor 0")),
    });
    marks.collect()
}

fn bands(names: &ArrayRef) -> Result<UInt8Array, ArrowError> {
    let names = cast(names, &DataType::Utf8)?;
    let number = |name: Option<&str>| {
        let band = Band::ALL.into_iter().find(|band| Some(band.name()) == name);
        band.map(|band| Some(band as u8)).ok_or_else(|| strange(format!("the band {}", name.unwrap_or("null"))))
    };
    names.as_string::<i32>().iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::Field;

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn ids(values: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    /// (anchor, positive, negative), with −1 for what is not told.
    fn rows(told: &[Told]) -> Vec<(i64, i64, i64)> {
        let of =
            |column: Option<&ArrayRef>, row: usize| column.map_or(-1, |c| c.as_primitive::<Int64Type>().value(row));
        let of_piece = |piece: &Told| {
            let row = |row| {
                (of(Some(&piece.anchor), row), of(piece.positive.as_ref(), row), of(piece.negative.as_ref(), row))
            };
            (0..piece.anchor.len()).map(row).collect::<Vec<_>>()
        };
        told.iter().flat_map(of_piece).collect()
    }

    #[test]
    fn candidates_are_told_apart_by_their_marks() {
        let marked =
            batch(vec![("anchor_id", ids(&[1, 1, 2])), ("candidate_id", ids(&[5, 6, 7])), ("label", ids(&[1, 0, 0]))]);
        let told = |detail| rows(&Told::of(&marked, Layout::LabeledPair, Names::Ids, detail).unwrap());
        assert_eq!(told(Detail::Negatives), [(1, -1, 6), (2, -1, 7)]);
        assert_eq!(told(Detail::Positives), [(1, 5, -1)]);
        let forged = batch(vec![("anchor_id", ids(&[1])), ("candidate_id", ids(&[5])), ("label", ids(&[2]))]);
        assert!(Told::of(&forged, Layout::Candidates, Names::Ids, Detail::Negatives).is_err());
    }

    #[test]
    fn lists_begin_with_the_positive() {
        fn lists(lengths: [usize; 2], values: ArrayRef) -> ArrayRef {
            let item = Arc::new(Field::new_list_field(values.data_type().clone(), true));
            Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), values, None).unwrap())
        }
        let distances: ArrayRef = Arc::new(Float32Array::from(vec![0.5, 0.25, 1.0, 0.0, 0.125]));
        let names: ArrayRef =
            Arc::new(StringArray::from(vec![None, Some("hard"), Some("easy"), None, Some("semi-hard")]));
        let of = |lengths| {
            batch(vec![
                ("anchor_id", ids(&[1, 2])),
                ("candidates_id", lists([3, 2], ids(&[5, 6, 7, 8, 9]))),
                ("distances", lists(lengths, distances.clone())),
                ("bands", lists([3, 2], names.clone())),
            ])
        };
        let told = Told::of(&of([3, 2]), Layout::LabeledList, Names::Ids, Detail::Triplets).unwrap();
        assert_eq!(rows(&told), [(1, 5, 6), (1, 5, 7), (2, 8, 9)]);
        assert_eq!(told[0].gap.as_ref().unwrap().values(), &[-0.25, 0.5, 0.125]);
        assert_eq!(told[0].band.as_ref().unwrap().values(), &[0, 2, 1]);
        assert!(Told::of(&of([2, 3]), Layout::LabeledList, Names::Ids, Detail::Triplets).is_err());
    }
}
