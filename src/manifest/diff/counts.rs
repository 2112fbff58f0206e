//! How often rows are negatives, and classes are anchors, in the one output and in the other.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use datafusion::functions_aggregate::expr_fn::sum;
use datafusion::prelude::{SessionContext, col};
use futures::StreamExt;
use serde::Serialize;

use super::DiffError;
use super::rows::{Make, Subject};
use crate::manifest::earlier::Told;

/// Rows that are the negative of many: the ten of each output that are so most often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hubs {
    /// Among the ten of both.
    pub stayed: Vec<Hub>,
    /// Among those of the first output, or of the second, only.
    pub went: Vec<Hub>,
    pub came: Vec<Hub>,
}

/// A row by its id, and how often it is a negative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hub {
    pub id: String,
    pub a: u64,
    pub b: u64,
}

/// How triplets are shared among the classes of their anchors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classes {
    /// Classes of either output.
    pub classes: u64,
    /// The share of the triplets that would have to change their class: half the sum of all differences of shares.
    pub shift: f64,
    /// Those whose share has changed most, that one first.
    pub moved: Vec<Class>,
}

/// A class, and the triplets that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Class {
    pub label: String,
    pub a: u64,
    pub b: u64,
}

/// Hubs of each output.
const HUBS: usize = 10;
/// Classes that are told.
const CLASSES: usize = 10;

pub(super) async fn hubs(subject: &Subject, session: &SessionContext) -> Result<Hubs, DiffError> {
    let mut tops = [Top::new(HUBS), Top::new(HUBS)];
    counted(subject, session, negatives, |id, [a, b]| {
        let [of_a, of_b] = &mut tops;
        of_a.add(a.into(), &id, [a, b]);
        of_b.add(b.into(), &id, [a, b]);
    })
    .await?;
    let [of_a, of_b] = tops.map(Top::into_ranked);
    let hub = |(id, [a, b]): &Counted| Hub { id: id.clone(), a: *a, b: *b };
    let some = |these: &[Counted], also: bool, others: &[Counted]| {
        these.iter().filter(|these| others.contains(these) == also).map(hub).collect::<Vec<Hub>>()
    };
    Ok(Hubs { stayed: some(&of_a, true, &of_b), went: some(&of_a, false, &of_b), came: some(&of_b, false, &of_a) })
}

/// `totals` are the rows of each output.
pub(super) async fn classes(
    subject: &Subject,
    totals: [u64; 2],
    session: &SessionContext,
) -> Result<Classes, DiffError> {
    let [all_a, all_b] = totals.map(|total| u128::from(total.max(1)));
    // In whole numbers, of which a sum does not depend on the order in which groups come.
    let (mut classes, mut shift, mut top) = (0, 0u128, Top::new(CLASSES));
    counted(subject, session, labels, |label, [a, b]| {
        classes += 1;
        let difference = (u128::from(b) * all_a).abs_diff(u128::from(a) * all_b);
        shift += difference;
        // One that has as many as before lost or won a share by the others alone.
        if a != b {
            top.add(difference, &label, [a, b]);
        }
    })
    .await?;
    let class = |(label, [a, b]): Counted| Class { label, a, b };
    let shift = shift as f64 / (2 * all_a * all_b) as f64;
    Ok(Classes { classes, shift, moved: top.into_ranked().into_iter().map(class).collect() })
}

/// A value with its counts in both outputs.
type Counted = (String, [u64; 2]);

/// The values of the largest weights, ties by value.
struct Top {
    most: usize,
    kept: BTreeSet<(u128, Reverse<String>, [u64; 2])>,
}

impl Top {
    fn new(most: usize) -> Self {
        Self { most, kept: BTreeSet::new() }
    }

    /// What has no weight is not kept.
    fn add(&mut self, weight: u128, value: &str, counts: [u64; 2]) {
        let full = self.kept.len() >= self.most;
        if weight == 0 || full && self.kept.first().is_some_and(|(least, ..)| weight < *least) {
            return;
        }
        self.kept.insert((weight, Reverse(value.to_owned()), counts));
        if self.kept.len() > self.most {
            self.kept.pop_first();
        }
    }

    /// The largest first.
    fn into_ranked(self) -> Vec<Counted> {
        self.kept.into_iter().rev().map(|(_, value, counts)| (value.0, counts)).collect()
    }
}

fn schema() -> SchemaRef {
    let count = |name: &str| Field::new(name, DataType::UInt64, false);
    Arc::new(Schema::new(vec![Field::new("value", DataType::LargeUtf8, true), count("a"), count("b")]))
}

fn counted_rows(values: &ArrayRef, side: u8) -> Result<RecordBatch, ArrowError> {
    let (values, rows) = (cast(values, &DataType::LargeUtf8)?, values.len());
    let count = |of: u8| -> ArrayRef { Arc::new(UInt64Array::from_value(u64::from(side == of), rows)) };
    RecordBatch::try_new(schema(), vec![values, count(0), count(1)])
}

fn negatives(told: &Told, side: u8) -> Result<RecordBatch, ArrowError> {
    counted_rows(told.negative.as_ref().unwrap_or(&told.anchor), side)
}

fn labels(told: &Told, side: u8) -> Result<RecordBatch, ArrowError> {
    let labels = told.label.as_ref().unwrap_or(&told.anchor);
    let texts = match labels.data_type() {
        // Several labels are told as they stand in the list.
        DataType::List(_) | DataType::LargeList(_) => {
            let text = |row: usize| array_value_to_string(labels, row);
            Arc::new((0..labels.len()).map(|row| text(row).map(Some)).collect::<Result<StringArray, _>>()?)
        }
        _ => labels.clone(),
    };
    counted_rows(&texts, side)
}

/// Counts values in both outputs, and hands each over once, in any order.
async fn counted(
    subject: &Subject,
    session: &SessionContext,
    make: Make,
    mut take: impl FnMut(String, [u64; 2]),
) -> Result<(), DiffError> {
    let table = session.read_table(subject.table(schema(), make)?)?;
    let sums = ["a", "b"].map(|name| sum(col(name)).alias(name));
    let mut groups = table.aggregate(vec![col("value")], sums.to_vec())?.execute_stream().await?;
    while let Some(batch) = groups.next().await.transpose()? {
        let count = |column: usize| cast(batch.column(column), &DataType::UInt64);
        let (a, b) = (count(1)?, count(2)?);
        let (a, b) = (a.as_primitive::<UInt64Type>(), b.as_primitive::<UInt64Type>());
        let values = batch.column(0);
        for row in 0..batch.num_rows() {
            let value = if values.is_null(row) { "null".to_owned() } else { array_value_to_string(values, row)? };
            take(value, [a.value(row), b.value(row)]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_and_ties_go_by_value() {
        let mut top = Top::new(2);
        for (weight, value) in [(3, "c"), (0, "never"), (5, "z"), (3, "a"), (3, "b")] {
            top.add(weight, value, [1, 2]);
        }
        assert_eq!(top.into_ranked(), [("z".to_owned(), [1, 2]), ("a".to_owned(), [1, 2])]);
    }
}
