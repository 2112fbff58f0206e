//! Labels as codes: of each row its class, and of each class the labels in it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::{sort_to_indices, take};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::Code;
use super::codes::Coder;
use super::types::list_element;

/// Gives the label of each row a code; of lists, each distinct set of labels.
pub(super) enum LabelCoder {
    One(Coder),
    Several(SetCoder),
}

/// What coded labels come to.
pub(super) struct Coded {
    /// The values of labels, in the order of their codes.
    pub values: ArrayRef,
    /// Of lists, the labels of each class.
    pub sets: Option<Vec<Box<[Code]>>>,
}

impl LabelCoder {
    /// Of labels of a type in which they are kept.
    pub fn new(data_type: &DataType) -> Result<Self, ArrowError> {
        Ok(match list_element(data_type) {
            None => Self::One(Coder::new(data_type.clone())?),
            Some(element) => Self::Several(SetCoder::new(element)?),
        })
    }

    /// The classes of a batch of rows.
    pub fn encode(&mut self, values: &ArrayRef) -> Result<Vec<Code>, ArrowError> {
        match self {
            Self::One(coder) => coder.encode(values),
            Self::Several(coder) => coder.encode(values),
        }
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        match self {
            Self::One(coder) => coder.len(),
            Self::Several(coder) => coder.sets.len(),
        }
    }

    /// How many distinct labels there are.
    pub fn labels(&self) -> usize {
        match self {
            Self::One(coder) => coder.len(),
            Self::Several(coder) => coder.labels.len(),
        }
    }

    /// The codes of the labels in a class; none for null.
    pub fn labels_in<'a>(&'a self, class: &'a Code) -> &'a [Code] {
        match self {
            _ if class.is_null() => &[],
            Self::One(_) => std::slice::from_ref(class),
            Self::Several(coder) => &coder.sets[class.index()],
        }
    }

    /// The distinct labels, batch by batch.
    pub fn values(&self) -> &[ArrayRef] {
        match self {
            Self::One(coder) => coder.values(),
            Self::Several(coder) => coder.labels.values(),
        }
    }

    /// Bytes of the distinct labels, as they are told apart.
    pub fn bytes(&self) -> usize {
        match self {
            Self::One(coder) => coder.bytes(),
            Self::Several(coder) => coder.labels.bytes(),
        }
    }

    /// The sets of lists, in the order of their codes.
    pub fn sets(&self) -> Option<&[Arc<[Code]>]> {
        match self {
            Self::One(_) => None,
            Self::Several(coder) => Some(&coder.sets),
        }
    }

    /// Ends it. Labels of lists get other codes, which ascend with their values.
    pub fn finish(self) -> Result<Coded, ArrowError> {
        match self {
            Self::One(coder) => Ok(Coded { values: coder.into_values()?, sets: None }),
            Self::Several(coder) => coder.finish(),
        }
    }
}

/// Gives each distinct set of labels a code, in order of first appearance. A label that a list repeats counts once, nulls in it
/// count for nothing, and a list without labels is as good as null.
pub(super) struct SetCoder {
    /// The labels themselves.
    labels: Coder,
    codes: HashMap<Arc<[Code]>, u32>,
    /// Labels by code, ascending.
    sets: Vec<Arc<[Code]>>,
}

impl SetCoder {
    fn new(element: &DataType) -> Result<Self, ArrowError> {
        Ok(Self { labels: Coder::new(element.clone())?, codes: HashMap::new(), sets: Vec::new() })
    }

    fn encode(&mut self, values: &ArrayRef) -> Result<Vec<Code>, ArrowError> {
        let mut classes = Vec::with_capacity(values.len());
        let (codes, sets) = (&mut self.codes, &mut self.sets);
        each_set(&mut self.labels, values, |set| {
            classes.push(if set.is_empty() { Code::NULL } else { intern(set, codes, sets) });
        })?;
        Ok(classes)
    }

    fn finish(self) -> Result<Coded, ArrowError> {
        drop(self.codes);
        let values = self.labels.into_values()?;
        let order = sort_to_indices(&values, None, None)?;
        let mut ranks = vec![0; order.len()];
        for (rank, &label) in (0..).zip(order.values()) {
            ranks[label as usize] = rank;
        }
        let renamed = |set: Arc<[Code]>| {
            let mut set: Box<[Code]> = set.iter().map(|label| Code(ranks[label.index()])).collect();
            set.sort_unstable();
            set
        };
        let sets = self.sets.into_iter().map(renamed).collect();
        Ok(Coded { values: take(&values, &order, None)?, sets: Some(sets) })
    }
}

/// There are no more distinct sets than rows, so their codes fit.
fn intern(set: &[Code], codes: &mut HashMap<Arc<[Code]>, u32>, sets: &mut Vec<Arc<[Code]>>) -> Code {
    if let Some(&code) = codes.get(set) {
        return Code(code);
    }
    let (code, set) = (sets.len() as u32, Arc::from(set));
    sets.push(Arc::clone(&set));
    codes.insert(set, code);
    Code(code)
}

/// Shows the labels of each row of a batch of lists: ascending, each once.
pub(super) fn each_set(labels: &mut Coder, values: &ArrayRef, mut see: impl FnMut(&[Code])) -> Result<(), ArrowError> {
    let lists = values.as_list::<i32>();
    let ends = lists.value_offsets();
    let span = |row: usize| match lists.is_null(row) {
        true => 0..0,
        false => ends[row] as usize..ends[row + 1] as usize,
    };
    // What lies between lists, and below null ones, is no label of anyone.
    let used: UInt64Array = (0..lists.len()).flat_map(span).map(|place| Some(place as u64)).collect();
    let codes = labels.encode(&take(lists.values(), &used, None)?)?;
    let (mut begin, mut set) = (0, Vec::new());
    for row in 0..lists.len() {
        let end = begin + span(row).len();
        set.clear();
        set.extend(codes[begin..end].iter().filter(|label| !label.is_null()));
        set.sort_unstable();
        set.dedup();
        see(&set);
        begin = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, ListArray, StringArray};
    use arrow::buffer::{NullBuffer, OffsetBuffer};
    use arrow::datatypes::Field;

    use super::*;

    #[test]
    fn a_list_is_the_set_of_its_labels() {
        let items = StringArray::from(vec![
            Some("b"),
            Some("a"),
            Some("b"),
            None,
            Some("ghost"),
            Some("a"),
            Some("b"),
            None,
            Some("c"),
        ]);
        let field = Arc::new(Field::new_list_field(DataType::Utf8, true));
        // [b a b], [], null over a value, [null a b], [null], [c]: of a null list nothing counts.
        let ends = OffsetBuffer::new(vec![0, 3, 3, 5, 7, 8, 9].into());
        let valid = NullBuffer::from(vec![true, true, false, true, true, true]);
        let lists: ArrayRef = Arc::new(ListArray::new(field, ends, Arc::new(items), Some(valid)));
        let mut coder = LabelCoder::new(lists.data_type()).unwrap();
        let null = Code::NULL;
        assert_eq!(coder.encode(&lists).unwrap(), [Code(0), null, null, Code(0), null, Code(1)]);
        assert_eq!(coder.encode(&lists.slice(3, 3)).unwrap(), [Code(0), null, Code(1)]);
        assert_eq!((coder.classes(), coder.labels()), (2, 3));
        assert_eq!(coder.labels_in(&Code(0)).len(), 2);
        assert!(coder.labels_in(&null).is_empty());
        let Coded { values, sets } = coder.finish().unwrap();
        assert_eq!(values.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(sets.unwrap(), [Box::from([0, 1].map(Code)), Box::from([2].map(Code))]);
    }

    #[test]
    fn one_label_is_its_own_class() {
        let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None, Some(-1), Some(7)]));
        let mut coder = LabelCoder::new(values.data_type()).unwrap();
        assert_eq!(coder.encode(&values).unwrap(), [Code(0), Code::NULL, Code(1), Code(0)]);
        assert_eq!((coder.classes(), coder.labels(), coder.labels_in(&Code(1))), (2, 2, &[Code(1)][..]));
        assert!(coder.sets().is_none() && coder.finish().unwrap().sets.is_none());
    }
}
