//! The line of a pipeline file that a complaint is about, with a caret under the key or its value.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::words::unsigned;

/// What a caret stands under.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Part {
    Key,
    /// The value; of a section, its name.
    #[default]
    Value,
    /// These bytes of a string.
    Within(Range<usize>),
}

/// Columns of a terminal; of a longer line, what is around the caret.
const WIDTH: usize = 100;

/// The line in which a dotted key stands, as compilers show it. Of a key that is missing, the innermost section that is there.
pub(super) fn excerpt(text: &str, key: &str, part: &Part) -> Option<String> {
    let root = DeTable::parse(text).ok()?;
    let found = find(root.get_ref(), key)?;
    Some(marked(text, found.span(text, part)))
}

/// The line in which some bytes begin, with a caret under as many of them as are in it. Signatures are not shown; what is in one
/// has the caret at its beginning.
pub(super) fn marked(text: &str, bytes: Range<usize>) -> String {
    let before = &text[..text.floor_char_boundary(bytes.start)];
    let begin = before.rfind('\n').map_or(0, |end| end + 1);
    let line = text[begin..].lines().next().unwrap_or_default();
    let shown = unsigned(line);
    // What is hidden before it moves it.
    let moved = |at: usize| {
        let before = &line[..line.floor_char_boundary(at - begin)];
        shown.floor_char_boundary(unsigned(before).len())
    };
    let start = moved(bytes.start).min(shown.strip_suffix('…').unwrap_or(&shown).len());
    let mark = AnnotationKind::Primary.span(start..moved(bytes.end).max(start));
    let source = format!("{shown}\n");
    let number = before.matches('\n').count() + 1;
    let snippet = Snippet::source(source.as_str()).line_start(number).annotation(mark);
    Renderer::plain().term_width(WIDTH).render(&[Group::with_level(Level::ERROR).element(snippet)])
}

/// Line and column of the caret under a key that is there, from 1.
pub(super) fn place(text: &str, key: &str, part: &Part) -> Option<(usize, usize)> {
    let root = DeTable::parse(text).ok()?;
    let found = find(root.get_ref(), key).filter(|found| found.value.is_some())?;
    Some(line_and_column(text, found.span(text, part).start))
}

/// Of a byte, from 1.
pub(super) fn line_and_column(text: &str, byte: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(byte)];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (line, column)
}

struct Found<'a> {
    key: Range<usize>,
    /// Nothing where only a part of the dotted key is there.
    value: Option<&'a Spanned<DeValue<'a>>>,
}

fn find<'a>(root: &'a DeTable<'a>, key: &str) -> Option<Found<'a>> {
    let (mut table, mut found) = (Some(root), None);
    let mut names = key.split('.').peekable();
    while let Some(part) = names.next() {
        let mut indices = part.split('[');
        let name = indices.next()?;
        let Some((key, value)) = table.and_then(|table| table.iter().find(|(key, _)| key.get_ref() == name)) else {
            break;
        };
        let element = indices.try_fold(value, |value, index| {
            value.get_ref().as_array()?.get(index.strip_suffix(']')?.parse::<usize>().ok()?)
        });
        found = Some(Found { key: key.span(), value: element.or(Some(value)).filter(|_| names.peek().is_none()) });
        table = value.get_ref().as_table();
    }
    found
}

impl Found<'_> {
    fn span(&self, text: &str, part: &Part) -> Range<usize> {
        let Some(value) = self.value else { return self.key.clone() };
        let (span, key) = (value.span(), self.key.clone());
        match (part, value.get_ref()) {
            (Part::Key, _) => key,
            // A table without braces is spread over lines; its name stands for it.
            (_, DeValue::Table(_)) if !text[span.clone()].starts_with('{') => key,
            (Part::Within(bytes), DeValue::String(string)) => within(&text[span.clone()], string, bytes)
                .map_or(span.clone(), |bytes| span.start + bytes.start..span.start + bytes.end),
            _ => span,
        }
    }
}

/// Where bytes of a string are in its quoted form, if that has no escapes.
fn within(quoted: &str, string: &str, bytes: &Range<usize>) -> Option<Range<usize>> {
    let quotes = if quoted.starts_with("\"\"\"") || quoted.starts_with("'''") { 3 } else { 1 };
    let begin = quotes + quoted.get(quotes..)?.find(string)?;
    string.get(bytes.clone())?;
    Some(begin + bytes.start..begin + bytes.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
name = 'x'
[store]
where = \"lable = 'a'\"
label = \"\"\"
a || b\"\"\"
[mine]
bands = { hard = 1, semi-hard = 2 }
fallback = ['easy', 'hrd']
[mine.positives]
pick = \"al\\u006c\"
";

    /// The line and what the caret is under, which is where the error is said to be.
    #[track_caller]
    fn marked(key: &str, part: Part) -> (usize, String) {
        let shown = excerpt(TEXT, key, &part).unwrap();
        let [_, line, carets] = shown.lines().collect::<Vec<_>>()[..] else { panic!("{shown}") };
        let (number, line) = line.split_once(" | ").unwrap();
        let (_, carets) = carets.split_once(" | ").unwrap();
        let begin = carets.find('^').unwrap();
        if let Some(place) = place(TEXT, key, &part) {
            let column = line[..begin].chars().count() + 1;
            assert_eq!(place, (number.trim().parse().unwrap(), column), "{key} {part:?}");
        }
        let marked = line.get(begin..carets.trim_end().len().min(line.len())).unwrap_or_default();
        (number.trim().parse().unwrap(), marked.to_owned())
    }

    #[test]
    fn a_caret_stands_under_what_is_meant() {
        for (key, part, line, expected) in [
            ("name", Part::Key, 1, "name"),
            ("name", Part::Value, 1, "'x'"),
            ("store", Part::Value, 2, "store"),
            ("store.path", Part::Value, 2, "store"),
            ("store.where", Part::Within(0..5), 3, "lable"),
            ("store.where", Part::Within(11..11), 3, "\""),
            ("store.where", Part::Within(7..99), 3, "\"lable = 'a'\""),
            ("store.label", Part::Within(5..6), 5, "b"),
            ("mine.bands", Part::Value, 7, "{ hard = 1, semi-hard = 2 }"),
            ("mine.bands.hard", Part::Value, 7, "1"),
            ("mine.fallback[1]", Part::Value, 8, "'hrd'"),
            ("mine.fallback[7]", Part::Value, 8, "['easy', 'hrd']"),
            ("mine.positives", Part::Value, 9, "positives"),
            ("mine.positives.pick", Part::Within(0..1), 10, "\"al\\u006c\""),
        ] {
            assert_eq!(marked(key, part.clone()), (line, expected.to_owned()), "{key} {part:?}");
        }
        assert_eq!(excerpt(TEXT, "scores.path", &Part::Value), None);
    }

    #[test]
    fn a_signature_is_not_shown_and_no_caret_stands_beyond_what_is() {
        let line = "path = \"https://me:pw@h/ä?X=\"SIG\", label = 5";
        let text = format!("[store]\n{line}\n");
        let shown = "path = \"https://…@h/ä?…";
        let columns = |text: &str| text.chars().count();
        for (marks, column) in [("path", 0), ("h/ä", columns("path = \"https://…@")), ("SIG", columns(shown) - 1)] {
            let at = text.find(marks).unwrap();
            let told = super::marked(&text, at..at + marks.len());
            assert!(told.contains(&format!("2 | {shown}\n")) && !told.contains("SIG"), "{told}");
            let carets = told.lines().last().unwrap().split_once("| ").unwrap().1;
            assert_eq!(carets.find('^'), Some(column), "{told}");
            assert!(columns(carets) <= columns(shown), "{told}");
        }
        for bytes in [0..0, text.len()..text.len(), 0..text.len()] {
            assert!(super::marked(&text, bytes).contains('^'));
        }
        assert!(super::marked("", 0..0).contains('^'));
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let text = format!("where = \"{}zebra = 1{}\"", "a = 1 and ".repeat(99), " and a = 1".repeat(99));
        let shown = excerpt(&text, "where", &Part::Within(990..995)).unwrap();
        assert!(shown.lines().all(|line| line.chars().count() < 120), "{shown}");
        assert!(shown.contains("zebra") && shown.ends_with("^^^^^"), "{shown}");
    }
}
