//! Which columns could serve as what. A guess, for someone to correct.

use std::cmp::Reverse;

use super::inspect::{ColumnFacts, ValueFacts};
use super::types::{is_id, is_text};

/// Column names a pipeline could begin with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guess {
    pub embedding: Option<String>,
    pub id: Option<String>,
    pub label: Option<String>,
    /// Other columns that could be the label, or name groups, the likeliest first.
    pub other_labels: Vec<String>,
    /// Texts worth having beside the triplets.
    pub carry: Vec<String>,
}

/// Texts longer than this on average are to be read, not to name something.
const NAME_BYTES: f64 = 40.0;
/// Texts longer than this are worth having beside the triplets.
const TEXT_BYTES: f64 = 12.0;

/// Likely names, the likeliest first.
const LABEL_NAMES: [&str; 13] = [
    "label",
    "class",
    "target",
    "category",
    "intent",
    "family",
    "topic",
    "y",
    "labels",
    "tags",
    "classes",
    "categories",
    "topics",
];
/// Columns that say which rows are for what: they tell classes apart, and nobody learns from that.
const SPLIT_NAMES: [&str; 4] = ["split", "fold", "subset", "partition"];
const ID_NAMES: [&str; 6] = ["id", "key", "uuid", "guid", "pk", "name"];

pub(super) fn guess(columns: &[ColumnFacts], rows: u64) -> Guess {
    let embedding = columns
        .iter()
        .filter_map(|column| Some((column, column.embedding.as_ref()?.dims?)))
        .max_by_key(|(_, dims)| *dims)
        .map(|(column, _)| column.name.clone());
    let id = columns
        .iter()
        .filter(|column| is_id(&column.data_type) && is_unique(column, rows))
        .filter(|column| column.text_bytes.unwrap_or(0.0) <= NAME_BYTES)
        // Of equals the first: `max_by_key` takes the last.
        .rev()
        .max_by_key(|column| named(column, &ID_NAMES));
    let is_id = |column: &ColumnFacts| id.is_some_and(|id| id.name == column.name);
    let mut labels: Vec<(&ColumnFacts, u64)> = columns
        .iter()
        .filter(|column| !is_id(column))
        .filter_map(|column| Some((column, paired_rows(column, rows).ok()?)))
        .collect();
    labels.sort_by_key(|(column, paired)| {
        let is_split = named(column, &SPLIT_NAMES) > 0;
        Reverse((!is_split, named(column, &LABEL_NAMES), column.several.is_none(), *paired, is_text(&column.data_type)))
    });
    let mut labels = labels.into_iter().map(|(column, _)| column.name.clone());
    let (label, other_labels) = (labels.next(), labels.collect());
    let id = id.map(|column| column.name.clone());
    let carry = columns
        .iter()
        .filter(|column| column.text_bytes.is_some_and(|bytes| bytes > TEXT_BYTES))
        .map(|column| column.name.clone())
        .filter(|name| Some(name) != id.as_ref() && Some(name) != label.as_ref())
        .collect();
    Guess { embedding, id, label, other_labels, carry }
}

fn is_unique(column: &ColumnFacts, rows: u64) -> bool {
    let unique = matches!(column.values, Some(ValueFacts::Counted { distinct, .. }) if distinct == rows);
    unique && column.nulls == 0 && column.several.is_none()
}

/// Whether a column can be the label, as far as its values tell.
///
/// # Errors
/// Why it cannot, as what is said of the column.
pub fn can_be_label(column: &ColumnFacts, rows: u64) -> Result<(), &'static str> {
    paired_rows(column, rows).map(|_| ())
}

/// Rows that share a value with another row, where there are two values or more, and not too long; of lists a guess.
fn paired_rows(column: &ColumnFacts, rows: u64) -> Result<u64, &'static str> {
    let (distinct, single) = match column.values {
        None if column.embedding.is_some() => return Err("holds vectors"),
        None => return Err("neither strings, integers or booleans, nor lists of them"),
        Some(ValueFacts::Beyond(_)) => return Err("has too many different values"),
        Some(ValueFacts::Counted { distinct, single, .. }) => (distinct, single),
    };
    let paired = (rows - column.nulls).saturating_sub(single);
    match () {
        () if distinct == 0 => Err("is null in every row"),
        () if distinct == 1 => Err("has the same value in every row"),
        () if paired == 0 => Err("has another value in every row"),
        () if column.text_bytes.unwrap_or(0.0) > NAME_BYTES => Err("holds texts too long to name a class"),
        () => Ok(paired),
    }
}

/// How well a name fits: the whole name, then its first or last word, earlier names before later ones; 0 not at all.
fn named(column: &ColumnFacts, names: &[&str]) -> usize {
    let name = column.name.to_lowercase();
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    let (first, last) = (words.next(), words.next_back());
    let rank = |word: Option<&str>| names.iter().position(|name| Some(*name) == word).map_or(0, |at| names.len() - at);
    match rank(Some(&name)) {
        0 => rank(first).max(rank(last)),
        whole => names.len() + whole,
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DataType;

    use super::*;

    fn column(name: &str, distinct: u64) -> ColumnFacts {
        let values = Some(ValueFacts::Counted { distinct, single: 0, largest: 900 });
        let (name, data_type) = (name.to_owned(), DataType::Utf8);
        let (several, look_alikes, embedding) = (None, None, None);
        ColumnFacts { name, data_type, nulls: 0, text_bytes: Some(5.0), values, several, look_alikes, embedding }
    }

    #[test]
    fn what_rows_are_for_is_no_label_where_another_column_can_be() {
        let guessed = |columns: &[ColumnFacts]| guess(columns, 1_000);
        let of_both = guessed(&[column("split", 2), column("cat", 51)]);
        assert_eq!(of_both.label.as_deref(), Some("cat"));
        assert_eq!(of_both.other_labels, ["split"]);
        assert_eq!(guessed(&[column("cv_fold", 5), column("brand", 9)]).label.as_deref(), Some("brand"));
        assert_eq!(guessed(&[column("split", 2)]).label.as_deref(), Some("split"), "there is nothing else");
    }
}
