//! Labels that look the same and are not. They may be meant, so this is a hint, and no refusal.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::types::is_text;
use crate::words::counted;

/// Distinct labels that differ only by blanks at their ends or by how Unicode composes their letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookAlikes {
    /// Labels that look like another, less one for each look.
    pub labels: u64,
    pub example: [String; 2],
}

impl fmt::Display for LookAlikes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.example.each_ref().map(|label| label.escape_default());
        let (labels, differ) = (counted(self.labels, "label"), if self.labels == 1 { "differs" } else { "differ" });
        write!(f, "{labels} {differ} from another only by blanks or Unicode form, as \"{a}\" and \"{b}\"")
    }
}

/// Labels with blanks or loose letters that are remembered.
const MOST: usize = 1 << 16;

/// Looks for them among distinct labels.
pub(super) fn find(labels: &[ArrayRef]) -> Result<Option<LookAlikes>, ArrowError> {
    if !labels.iter().all(|labels| is_text(labels.data_type())) {
        return Ok(None);
    }
    let mut loose: HashMap<String, String> = HashMap::new();
    let mut found: Option<LookAlikes> = None;
    let mut add = |a: &str, b: &str| match &mut found {
        Some(found) => found.labels += 1,
        None => found = Some(LookAlikes { labels: 1, example: [a, b].map(str::to_owned) }),
    };
    each(labels, |label| {
        if let Cow::Owned(look) = looks(label) {
            match loose.get(&look) {
                Some(other) => add(other, label),
                None if loose.len() < MOST => drop(loose.insert(look, label.to_owned())),
                None => {}
            }
        }
    })?;
    if !loose.is_empty() {
        each(labels, |label| {
            if let (Cow::Borrowed(_), Some(other)) = (looks(label), loose.get(label)) {
                add(label, other);
            }
        })?;
    }
    Ok(found)
}

fn each(labels: &[ArrayRef], mut on: impl FnMut(&str)) -> Result<(), ArrowError> {
    for labels in labels {
        let labels = cast(labels, &DataType::LargeUtf8)?;
        labels.as_string::<i64>().iter().flatten().for_each(&mut on);
    }
    Ok(())
}

/// Owned where a label does not look as it is written.
fn looks(label: &str) -> Cow<'_, str> {
    let trimmed = label.trim();
    match trimmed.len() == label.len() && is_nfc(label) {
        true => Cow::Borrowed(label),
        false => Cow::Owned(trimmed.nfc().collect()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn blanks_and_composed_letters_are_seen() {
        let text = |labels: &[&str]| find(&[Arc::new(StringArray::from(labels.to_vec())) as ArrayRef]).unwrap();
        assert_eq!(text(&["cat", "dog", "Cat"]), None);
        assert_eq!(text(&["cat ", "dog"]), None, "alone it is only odd");
        let blank = text(&["cat ", "dog", "cat"]).unwrap();
        assert_eq!((blank.labels, &blank.example), (1, &["cat".to_owned(), "cat ".to_owned()]));
        let composed = text(&["caf\u{e9}", "cafe\u{301}", " caf\u{e9}"]).unwrap();
        assert_eq!(composed.labels, 2);
        assert!(composed.to_string().contains("caf\\u{e9}"), "{composed}");
        assert_eq!(find(&[Arc::new(Int64Array::from(vec![1])) as ArrayRef]).unwrap(), None);
    }
}
