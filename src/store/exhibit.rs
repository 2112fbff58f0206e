//! Rows as people read them: what the examples of a report show.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::Array;
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use serde::{Deserialize, Serialize};

use super::layout;
use super::prepared::{OpenError, Prepared};
use super::{Code, Row};

/// Letters of a value that are kept, at most; an ellipsis stands for the others.
const LONGEST: usize = 240;

/// A row as text, to show and not to compute with: long values are cut.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhibit {
    pub id: String,
    /// Several are told with commas; absent where the row has none, or pairs take the place of labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Carried columns with their values; nulls are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried: Vec<(String, String)>,
}

impl Prepared {
    /// Some rows as text.
    ///
    /// # Errors
    /// When a column cannot be read.
    pub fn exhibits(&self, rows: &BTreeSet<Row>) -> Result<BTreeMap<Row, Exhibit>, OpenError> {
        let mut exhibits = BTreeMap::new();
        // Rows of the corpus come first; queries have columns of their own.
        let queries = rows.range(Row(self.corpus().end)..).copied().collect();
        let corpus: Vec<Row> = rows.range(..Row(self.corpus().end)).copied().collect();
        for (rows, schema) in [(corpus, self.schema()), (queries, self.anchor_schema())] {
            let columns: Vec<_> =
                (0..schema.fields().len()).map(|column| self.take(column, &rows)).collect::<Result<_, _>>()?;
            for (at, &row) in rows.iter().enumerate() {
                let mut exhibit = Exhibit { label: self.class_text(self.labels()[row.index()])?, ..Exhibit::default() };
                for (column, (values, field)) in columns.iter().zip(schema.fields()).enumerate() {
                    let text = || self.text(values.as_ref(), at);
                    match column {
                        0 => exhibit.id = text()?,
                        _ if values.is_null(at) => {}
                        _ => exhibit.carried.push((field.name().clone(), text()?)),
                    }
                }
                exhibits.insert(row, exhibit);
            }
        }
        Ok(exhibits)
    }

    /// A class as text: its label, or all of them; none for [`Code::NULL`].
    ///
    /// # Errors
    /// When labels of this type cannot be told.
    pub fn class_text(&self, class: Code) -> Result<Option<String>, OpenError> {
        let texts: Vec<String> =
            self.labels_in(&class).iter().map(|&label| self.label_text(label)).collect::<Result<_, _>>()?;
        Ok((!texts.is_empty()).then(|| cut(texts.join(", "))))
    }

    /// One label as text; its code is less than [`Prepared::distinct_labels`].
    ///
    /// # Errors
    /// When labels of this type cannot be told.
    pub fn label_text(&self, label: Code) -> Result<String, OpenError> {
        self.text(self.label_values().as_ref(), label.index())
    }

    fn text(&self, values: &dyn Array, at: usize) -> Result<String, OpenError> {
        let failed = |source: ArrowError| OpenError::Table { path: self.dir().join(layout::IDS), source };
        Ok(cut(array_value_to_string(values, at).map_err(failed)?))
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_between_letters() {
        assert_eq!(cut("é".repeat(LONGEST)), "é".repeat(LONGEST));
        assert_eq!(cut("é".repeat(LONGEST + 1)), "é".repeat(LONGEST) + "…");
    }
}
