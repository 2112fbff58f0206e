//! Where in an expression a fault is.

use std::ops::Range;

use datafusion::logical_expr::sqlparser::dialect::GenericDialect;
use datafusion::logical_expr::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use super::Fault;

/// The bytes of `text` that a fault is about, where it tells.
pub(super) fn locate(text: &str, fault: &Fault) -> Option<Range<usize>> {
    match fault {
        Fault::UnknownColumn { name, .. } | Fault::Unstable(name) => word(text, name),
        Fault::Sql(message) if message.ends_with("found: EOF") => Some(text.len()..text.len()),
        Fault::Sql(message) => place(message).map_or_else(
            // A function that is not known is quoted.
            || word(text, message.split('\'').nth(1)?),
            |(line, column)| {
                let begin = offset(text, line, column)?;
                let token = tokens(text).into_iter().find(|(range, _)| range.start == begin);
                Some(token.map_or(begin..begin, |(range, _)| range))
            },
        ),
        Fault::TooLong(_) | Fault::ManyRows(_) | Fault::Type { .. } => None,
    }
}

/// The name as it is spelled in the text; SQL folds capitals.
fn word(text: &str, name: &str) -> Option<Range<usize>> {
    let is_it = |token: &Token| matches!(token, Token::Word(word) if word.value.eq_ignore_ascii_case(name));
    tokens(text).into_iter().find(|(_, token)| is_it(token)).map(|(range, _)| range)
}

fn tokens(text: &str) -> Vec<(Range<usize>, Token)> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location().unwrap_or_default();
    let place = |TokenWithSpan { token, span }| {
        let begin = offset(text, span.start.line, span.start.column)?;
        Some((begin..offset(text, span.end.line, span.end.column)?, token))
    };
    tokens.into_iter().filter_map(place).collect()
}

/// What the parser says at the end of a message: ` at Line: 1, Column: 7`.
fn place(message: &str) -> Option<(u64, u64)> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some((line.parse().ok()?, column.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()?))
}

/// The byte at a line and a column, both from 1; columns are characters.
fn offset(text: &str, line: u64, column: u64) -> Option<usize> {
    let before = usize::try_from(line).ok()?.checked_sub(1)?;
    let begin = text.split_inclusive('\n').take(before).map(str::len).sum::<usize>();
    let mut places = text[begin..].char_indices().map(|(at, _)| begin + at).chain([text.len()]);
    places.nth(usize::try_from(column).ok()?.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Section;

    #[test]
    fn a_fault_is_found_in_its_text() {
        let sql = |message: &str| Fault::Sql(message.to_owned());
        let column =
            |name: &str| Fault::UnknownColumn { section: Section::Store, name: name.to_owned(), hint: String::new() };
        for (text, fault, expected) in [
            ("é = lable", column("lable"), Some("lable")),
            ("a = 'lable' or\n Lable = 1", column("lable"), Some("Lable")),
            ("not sql at all", column("lable"), None),
            ("a = ) b", sql("Expected: an expression, found: ) at Line: 1, Column: 5"), Some(")")),
            ("a\n  = 'é", sql("Unterminated string literal at Line: 2, Column: 5"), Some("")),
            ("a or", sql("Expected: an expression, found: EOF"), Some("")),
            ("a = nosuch(b)", sql("Invalid function 'nosuch'.\nDid you mean 'nvl'?"), Some("nosuch")),
            ("a = now()", Fault::Unstable("now".to_owned()), Some("now")),
            ("sum(a)", Fault::ManyRows("an aggregate"), None),
        ] {
            assert_eq!(locate(text, &fault).map(|range| &text[range]), expected, "{text}");
        }
        assert_eq!(locate("a\n  = 'é", &sql("x at Line: 2, Column: 5")), Some(6..6));
    }
}
