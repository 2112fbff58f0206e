//! Texts in which values of environment variables give way to their names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// What is not to be shown, and what is shown instead.
pub(super) struct Needle {
    text: String,
    shown: String,
    /// Only where no letter or digit is beside it.
    word: bool,
}

/// Shorter values are found where they are not meant.
const SHORTEST: usize = 4;

/// Values, in every spelling in which they may be quoted.
pub(super) fn values(values: &BTreeMap<String, String>, copies: &[(String, String)]) -> Vec<Needle> {
    needles(values, copies, |value| spellings(value).into_iter().map(|text| (text, false)).collect())
}

/// These, and every single word of them.
pub(super) fn values_and_words(values: &BTreeMap<String, String>, copies: &[(String, String)]) -> Vec<Needle> {
    needles(values, copies, |value| {
        let words = value.split(|c| !is_of_a_word(c)).map(|word| (word.to_owned(), true));
        spellings(value).into_iter().map(|text| (text, false)).chain(words).collect()
    })
}

fn needles(
    values: &BTreeMap<String, String>,
    copies: &[(String, String)],
    texts: impl Fn(&str) -> Vec<(String, bool)>,
) -> Vec<Needle> {
    let needle = |(name, value): (&String, &String)| {
        let shown = format!("${{{name}}}");
        texts(value).into_iter().map(move |(text, word)| Needle { text, shown: shown.clone(), word })
    };
    let copy = |(folder, name): &(String, String)| Needle { text: folder.clone(), shown: name.clone(), word: false };
    let mut needles: Vec<Needle> = values.iter().flat_map(needle).chain(copies.iter().map(copy)).collect();
    needles.retain(|needle| needle.text.chars().count() >= SHORTEST);
    // Of two that fit, the longer one leaves less.
    needles.sort_by_key(|needle| std::cmp::Reverse(needle.text.len()));
    needles
}

/// A value as it is, in SQL's quotes, in those of Rust and JSON, and as a path without what paths lose.
fn spellings(value: &str) -> Vec<String> {
    let mut short = String::new();
    for part in Path::new(value).components() {
        match part {
            Component::RootDir => short.push('/'),
            Component::Normal(name) => {
                if !short.is_empty() && !short.ends_with('/') {
                    short.push('/');
                }
                short.push_str(&name.to_string_lossy());
            }
            _ => {}
        }
    }
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut spellings = vec![
        value.to_owned(),
        value.replace('\'', "''"),
        value.replace('"', "\"\""),
        value.escape_debug().to_string(),
        json.trim_matches('"').to_owned(),
        short,
    ];
    spellings.sort();
    spellings.dedup();
    spellings
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Capitals make no difference: SQL folds the names of columns.
pub(super) fn hide<'a>(text: &'a str, needles: &[Needle]) -> Cow<'a, str> {
    if needles.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut rest, mut found) = (String::with_capacity(text.len()), text, false);
    while let Some(next) = rest.chars().next() {
        // A name that stands there already is not looked into.
        if let Some(named) = needles.iter().find(|needle| rest.starts_with(&needle.shown)) {
            shown.push_str(&named.shown);
            rest = &rest[named.shown.len()..];
        } else if let Some(needle) = needles.iter().find(|needle| needle.begins(shown.chars().next_back(), rest)) {
            shown.push_str(&needle.shown);
            rest = &rest[needle.text.len()..];
            found = true;
        } else {
            shown.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    if found { Cow::Owned(shown) } else { Cow::Borrowed(text) }
}

impl Needle {
    fn begins(&self, before: Option<char>, rest: &str) -> bool {
        let stands_alone = || {
            let after = rest[self.text.len()..].chars().next();
            !before.is_some_and(is_of_a_word) && !after.is_some_and(is_of_a_word)
        };
        let here = rest.get(..self.text.len()).is_some_and(|head| head.eq_ignore_ascii_case(&self.text));
        here && (!self.word || stands_alone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(value: &str, text: &str) -> String {
        hide(text, &values(&BTreeMap::from([("S".to_owned(), value.to_owned())]), &[])).into_owned()
    }

    #[test]
    fn a_value_is_found_in_every_spelling() {
        for (value, text, shown) in [
            ("hunter2", "cannot cast 'hunter2' to int", "cannot cast '${S}' to int"),
            ("Hunter2", "no column `hunter2`", "no column `${S}`"),
            ("hunter2", "xhunter2x hunter2hunter2", "x${S}x ${S}${S}"),
            ("o'brien", "'o''brien' o'brien", "'${S}' ${S}"),
            ("a\"b\\c", r#"found "a\"b\\c""#, r#"found "${S}""#),
            ("../data//x/", "/r/data/x/a.parquet: gone", "/r/${S}/a.parquet: gone"),
            ("/srv/x/", "/srv/x//a /srv/x/a", "${S}/a ${S}a"),
            ("abc", "abc", "abc"),
            ("", "abc", "abc"),
            ("höhle", "die höhle", "die ${S}"),
            // Not within its own name.
            ("${S}", "${S} ${S", "${S} ${S"),
        ] {
            assert_eq!(hidden(value, text), shown, "{value:?}");
        }
    }

    #[test]
    fn a_copy_is_called_as_what_it_is_a_copy_of() {
        let copies = [("./out/.x.miner/inputs/0f".to_owned(), "s3://${S}/a".to_owned())];
        let shown =
            hide("./out/.x.miner/inputs/0f/k=1/b.parquet: gone", &values(&BTreeMap::new(), &copies)).into_owned();
        assert_eq!(shown, "s3://${S}/a/k=1/b.parquet: gone");
    }

    #[test]
    fn words_of_a_value_are_found_where_they_stand_alone() {
        let of = BTreeMap::from([("S".to_owned(), "name = 'zebra' or x".to_owned())]);
        let shown = hide("found: zebra at, names, or x; NAME", &values_and_words(&of, &[])).into_owned();
        assert_eq!(shown, "found: ${S} at, names, or x; ${S}");
    }
}
