//! Labels and groups as dense codes.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, UInt32Array, new_empty_array};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};

use super::Code;

/// Gives each distinct value a code, in order of first appearance.
pub(super) struct Coder {
    data_type: DataType,
    /// Any type of value as bytes that are equal when the values are.
    converter: RowConverter,
    codes: HashMap<Box<[u8]>, u32>,
    bytes: usize,
    /// The distinct values, batch by batch.
    values: Vec<ArrayRef>,
}

impl Coder {
    pub fn new(data_type: DataType) -> Result<Self, ArrowError> {
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())])?;
        Ok(Self { data_type, converter, codes: HashMap::new(), bytes: 0, values: Vec::new() })
    }

    /// The codes of a batch of values of the coder's type. There are fewer distinct values than rows, so they fit.
    pub fn encode(&mut self, values: &ArrayRef) -> Result<Vec<Code>, ArrowError> {
        let nulls = values.logical_nulls();
        let rows = self.converter.convert_columns(std::slice::from_ref(values))?;
        let mut first_seen: Vec<u32> = Vec::new();
        let codes = (0..values.len())
            .map(|row| {
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    return Code::NULL;
                }
                let bytes = rows.row(row);
                if let Some(&code) = self.codes.get(bytes.as_ref()) {
                    return Code(code);
                }
                let code = self.codes.len() as u32;
                self.bytes += bytes.as_ref().len();
                self.codes.insert(bytes.as_ref().into(), code);
                first_seen.push(row as u32);
                Code(code)
            })
            .collect();
        if !first_seen.is_empty() {
            self.values.push(take(values, &UInt32Array::from(first_seen), None)?);
        }
        Ok(codes)
    }

    /// How many distinct values there are.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// The distinct values, batch by batch.
    pub fn values(&self) -> &[ArrayRef] {
        &self.values
    }

    /// Bytes of the distinct values, as they are told apart.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The distinct values, in the order of their codes.
    pub fn into_values(self) -> Result<ArrayRef, ArrowError> {
        if self.values.is_empty() {
            return Ok(new_empty_array(&self.data_type));
        }
        concat(&self.values.iter().map(|values| values.as_ref()).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Int64Array, NullArray, StringArray};

    use super::*;

    fn encode(batches: Vec<ArrayRef>) -> (Vec<u32>, ArrayRef) {
        let mut coder = Coder::new(batches[0].data_type().clone()).unwrap();
        let codes = batches.iter().flat_map(|batch| coder.encode(batch).unwrap()).map(|code| code.0).collect();
        (codes, coder.into_values().unwrap())
    }

    #[test]
    fn codes_follow_first_appearance_across_batches() {
        let null = Code::NULL.0;
        let text = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
        let (codes, values) =
            encode(vec![text(vec![Some("b"), None, Some("a"), Some("b")]), text(vec![Some("a"), Some(""), Some("c")])]);
        assert_eq!(codes, [0, null, 1, 0, 1, 2, 3]);
        assert_eq!(&values, &text(vec![Some("b"), Some("a"), Some(""), Some("c")]));
        let (codes, values) = encode(vec![Arc::new(Int64Array::from(vec![Some(7), Some(-1), None, Some(7)]))]);
        assert_eq!((codes, values.len()), (vec![0, 1, null, 0], 2));
        let (codes, _) = encode(vec![Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))]);
        assert_eq!(codes, [0, 1, null]);
        let (codes, values) = encode(vec![Arc::new(NullArray::new(2))]);
        assert_eq!((codes, values.len()), (vec![null, null], 0));
    }
}
