//! Vectors: from any list of floats to checked, prepared rows of f32.

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, GenericListArray, OffsetSizeTrait};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float16Type, Float32Type, Float64Type};
use half::f16;

use super::flaw::Flaw;
use crate::kernel::{Metric, normalise, squared_norm};

/// What a vector is by itself: its width, and its squared norm once it is prepared, or what is wrong with it. An error where that
/// goes before any question of width.
pub(super) type Look = Result<(usize, Result<f64, Flaw>), Flaw>;

/// Holds vectors against each other: all have one width.
pub(super) struct Judge {
    /// Fixed by the type, or by the first good vector.
    dims: Option<usize>,
    /// Largest squared norm of a good vector.
    max_squared_norm: f64,
}

impl Judge {
    pub fn new(data_type: &DataType) -> Self {
        let dims = match data_type {
            DataType::FixedSizeList(_, size) => usize::try_from(*size).ok(),
            _ => None,
        };
        Self { dims, max_squared_norm: 0.0 }
    }

    pub fn dims(&self) -> Option<usize> {
        self.dims
    }

    pub fn max_norm(&self) -> f64 {
        self.max_squared_norm.sqrt()
    }

    /// The squared norm of the next vector, or what is wrong with it.
    pub fn judge(&mut self, look: Look) -> Result<f64, Flaw> {
        let (found, squared_norm) = look?;
        let expected = self.dims.unwrap_or(found);
        if found != expected {
            return Err(Flaw::Ragged { found, expected });
        }
        let squared_norm = squared_norm?;
        self.max_squared_norm = self.max_squared_norm.max(squared_norm);
        self.dims = Some(expected);
        Ok(squared_norm)
    }
}

/// Copies as f32; every value must be finite, there and here.
fn append<T: Float>(source: &[T], prepared: &mut Vec<f32>) -> Result<(), Flaw> {
    let start = prepared.len();
    prepared.extend(source.iter().map(|value| value.to_f32()));
    // Without an early exit this is a few vector instructions.
    if prepared[start..].iter().fold(true, |all, value| all & value.is_finite()) {
        return Ok(());
    }
    let element = prepared[start..].iter().position(|value| !value.is_finite()).unwrap_or(0);
    let value = source[element].to_f64();
    Err(if value.is_finite() { Flaw::OutOfRange { element, value } } else { Flaw::NotFinite { element, value } })
}

/// Normalises in f64, rounds to f32, where the metric asks for it. Returns the squared norm of what it leaves.
pub(super) fn finish(vector: &mut [f32], metric: Metric) -> Result<f64, Flaw> {
    let squared = squared_norm(vector);
    if !metric.normalises() {
        let fits = squared <= Metric::MAX_SQUARED_NORM;
        return if fits { Ok(squared) } else { Err(Flaw::TooLong { norm: squared.sqrt() }) };
    }
    if squared == 0.0 {
        return Err(Flaw::ZeroNorm);
    }
    normalise(vector, squared);
    Ok(squared_norm(vector))
}

/// The embedding column of one batch.
pub(super) struct Vectors<'a> {
    values: Values<'a>,
    bounds: Bounds<'a>,
    nulls: Option<&'a NullBuffer>,
    element_nulls: Option<&'a NullBuffer>,
}

enum Values<'a> {
    F16(&'a [f16]),
    F32(&'a [f32]),
    F64(&'a [f64]),
}

/// Where each row's values lie.
enum Bounds<'a> {
    Fixed(usize),
    Offsets(&'a [i32]),
    LargeOffsets(&'a [i64]),
}

impl<'a> Vectors<'a> {
    /// `None` for a column that is not a list of floats.
    pub fn of(column: &'a ArrayRef) -> Option<Self> {
        match column.data_type() {
            DataType::FixedSizeList(..) => {
                let list: &FixedSizeListArray = column.as_fixed_size_list();
                Self::new(list.values(), Bounds::Fixed(usize::try_from(list.value_length()).ok()?), list.nulls())
            }
            DataType::List(_) => {
                let list: &GenericListArray<i32> = column.as_list();
                Self::new(list.values(), Bounds::Offsets(list.value_offsets()), list.nulls())
            }
            DataType::LargeList(_) => {
                let list: &GenericListArray<i64> = column.as_list();
                Self::new(list.values(), Bounds::LargeOffsets(list.value_offsets()), list.nulls())
            }
            _ => None,
        }
    }

    fn new(elements: &'a ArrayRef, bounds: Bounds<'a>, nulls: Option<&'a NullBuffer>) -> Option<Self> {
        let values = match elements.data_type() {
            DataType::Float16 => Values::F16(slice::<Float16Type>(elements)),
            DataType::Float32 => Values::F32(slice::<Float32Type>(elements)),
            DataType::Float64 => Values::F64(slice::<Float64Type>(elements)),
            _ => return None,
        };
        let element_nulls = elements.nulls().filter(|nulls| nulls.null_count() > 0);
        Some(Self { values, bounds, nulls, element_nulls })
    }

    /// Values in the first `rows` vectors together.
    pub fn values(&self, rows: usize) -> usize {
        match self.bounds {
            Bounds::Fixed(size) => rows * size,
            Bounds::Offsets(offsets) => (offsets[rows] - offsets[0]) as usize,
            Bounds::LargeOffsets(offsets) => (offsets[rows] - offsets[0]) as usize,
        }
    }

    /// Checks the vector at `row` by itself. A good one is appended to `prepared`, as the metric asks for it.
    pub fn look(&self, row: usize, metric: Metric, prepared: &mut Vec<f32>) -> Look {
        let range = self.range(row)?;
        if range.is_empty() {
            return Err(Flaw::EmptyVector);
        }
        let (start, width) = (prepared.len(), range.len());
        let appended = match &self.values {
            Values::F16(values) => append(&values[range], prepared),
            Values::F32(values) => append(&values[range], prepared),
            Values::F64(values) => append(&values[range], prepared),
        };
        let squared_norm = appended.and_then(|()| finish(&mut prepared[start..], metric));
        if squared_norm.is_err() {
            prepared.truncate(start);
        }
        Ok((width, squared_norm))
    }

    /// Appends the values at `row` as f64, and says how many.
    pub fn append_to(&self, row: usize, values: &mut Vec<f64>) -> Result<usize, Flaw> {
        let range = self.range(row)?;
        match &self.values {
            Values::F16(slice) => values.extend(slice[range.clone()].iter().map(|value| value.to_f64())),
            Values::F32(slice) => values.extend(slice[range.clone()].iter().map(|value| f64::from(*value))),
            Values::F64(slice) => values.extend_from_slice(&slice[range.clone()]),
        }
        Ok(range.len())
    }

    /// Values of each of the first `rows` vectors, nulls aside; `None` where they differ, or there are none.
    pub fn common_length(&self, rows: usize) -> Option<usize> {
        let mut lengths = (0..rows).filter_map(|row| Some(self.range(row).ok()?.len()));
        let first = lengths.next()?;
        lengths.all(|length| length == first).then_some(first)
    }

    fn range(&self, row: usize) -> Result<std::ops::Range<usize>, Flaw> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return Err(Flaw::NullVector);
        }
        let range = match self.bounds {
            Bounds::Fixed(size) => row * size..(row + 1) * size,
            Bounds::Offsets(offsets) => between(offsets, row),
            Bounds::LargeOffsets(offsets) => between(offsets, row),
        };
        match self.element_nulls.and_then(|nulls| range.clone().position(|element| nulls.is_null(element))) {
            Some(element) => Err(Flaw::NullElement { element }),
            None => Ok(range),
        }
    }
}

fn between<O: OffsetSizeTrait>(offsets: &[O], row: usize) -> std::ops::Range<usize> {
    offsets[row].as_usize()..offsets[row + 1].as_usize()
}

fn slice<T: ArrowPrimitiveType>(elements: &ArrayRef) -> &[T::Native] {
    elements.as_primitive::<T>().values()
}

/// The three element types.
trait Float: Copy {
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
}

impl Float for f16 {
    fn to_f32(self) -> f32 {
        self.into()
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Float for f32 {
    fn to_f32(self) -> f32 {
        self
    }
    fn to_f64(self) -> f64 {
        self.into()
    }
}

impl Float for f64 {
    fn to_f32(self) -> f32 {
        self as f32
    }
    fn to_f64(self) -> f64 {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{FixedSizeListArray, LargeListArray, ListArray};

    use super::*;

    fn push_all(column: ArrayRef, metric: Metric) -> (Vec<Result<(), Flaw>>, Vec<f32>) {
        let vectors = Vectors::of(&column).unwrap();
        let (mut judge, mut prepared) = (Judge::new(column.data_type()), Vec::new());
        let mut push = |row| {
            let start = prepared.len();
            let judged = judge.judge(vectors.look(row, metric, &mut prepared)).map(|_| ());
            // One that is good by itself may be ragged beside others.
            prepared.truncate(if judged.is_ok() { prepared.len() } else { start });
            judged
        };
        let results = (0..column.len()).map(&mut push).collect();
        (results, prepared)
    }

    #[test]
    fn every_layout_and_float_gives_the_same_vectors() {
        let rows = [[3.0f32, 4.0], [0.0, 2.0]];
        let f32s = rows.map(|row| Some(row.map(Some)));
        let f64s = rows.map(|row| Some(row.map(|v| Some(f64::from(v)))));
        let f16s = rows.map(|row| Some(row.map(|v| Some(f16::from_f32(v)))));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(f32s, 2)),
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(f32s)),
            Arc::new(LargeListArray::from_iter_primitive::<Float64Type, _, _>(f64s)),
            Arc::new(ListArray::from_iter_primitive::<Float16Type, _, _>(f16s)),
        ];
        for column in columns {
            let (data_type, sliced) = (column.data_type().clone(), column.slice(1, 1));
            assert_eq!(push_all(column, Metric::Cosine).1, [0.6, 0.8, 0.0, 1.0], "{data_type}");
            assert_eq!(push_all(sliced, Metric::Dot).1, [0.0, 2.0], "{data_type}");
        }
    }

    #[test]
    fn each_flaw_is_told() {
        let column = ListArray::from_iter_primitive::<Float64Type, _, _>([
            None,
            Some(vec![]),
            Some(vec![Some(1.0), None]),
            Some(vec![Some(1.0), Some(f64::NAN)]),
            Some(vec![Some(f64::NEG_INFINITY), Some(0.0)]),
            Some(vec![Some(0.0), Some(1e39)]),
            Some(vec![Some(0.0), Some(0.0)]),
            Some(vec![Some(1e25), Some(0.0)]),
            Some(vec![Some(1.0), Some(0.0)]),
            Some(vec![Some(1.0)]),
        ]);
        let column: ArrayRef = Arc::new(column);
        let (cosine, prepared) = push_all(column.clone(), Metric::Cosine);
        let (euclidean, _) = push_all(column, Metric::Euclidean);
        let flaw = |results: &[Result<(), Flaw>], row: usize| format!("{:?}", results[row]);
        assert_eq!(cosine[0], Err(Flaw::NullVector));
        assert_eq!(cosine[1], Err(Flaw::EmptyVector));
        assert_eq!(cosine[2], Err(Flaw::NullElement { element: 1 }));
        assert_eq!(flaw(&cosine, 3), "Err(NotFinite { element: 1, value: NaN })");
        assert_eq!(cosine[4], Err(Flaw::NotFinite { element: 0, value: f64::NEG_INFINITY }));
        assert_eq!(cosine[5], Err(Flaw::OutOfRange { element: 1, value: 1e39 }));
        assert_eq!((cosine[6].clone(), euclidean[6].clone()), (Err(Flaw::ZeroNorm), Ok(())));
        assert!(cosine[7].is_ok() && matches!(euclidean[7], Err(Flaw::TooLong { .. })));
        assert_eq!(cosine[9], Err(Flaw::Ragged { found: 1, expected: 2 }));
        assert_eq!(prepared, [1.0, 0.0, 1.0, 0.0]);
    }
}
