//! Floor 0. *How is a number told, or a word of somebody else's?* The same way everywhere, and so that it can do nothing. And what
//! is never told.

mod numbers;

pub use numbers::{counted, duration, percent, percent_of, roughly, thousands};

use std::borrow::Cow;
use std::fmt::{self, Display, Write};

use serde::Serialize;

/// Whether a character does something instead of being seen: drives a terminal (C0, DEL, C1), breaks a line or paragraph, or turns
/// the order of those that follow.
pub fn is_hidden(c: char) -> bool {
    let separates_or_turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || separates_or_turns
}

/// A word from a file or its name, as it may stand in a line: what is [hidden](is_hidden) shows as an escape, as in `\u{1b}` or `\n`.
pub fn visible<T: Display>(word: T) -> Visible<T> {
    Visible(word)
}

/// See [`visible`].
pub struct Visible<T>(T);

impl<T: Display> Display for Visible<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(is_hidden) {
            let (plain, after) = rest.split_at(at);
            let mut after = after.chars();
            write!(self.0, "{plain}{}", after.next().unwrap_or_default().escape_default())?;
            rest = after.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Lines laid out here, of which only the breaks between them are left as they are.
pub fn visible_lines(text: &str) -> String {
    text.split('\n').map(|line| visible(line).to_string()).collect::<Vec<_>>().join("\n")
}

/// As JSON of several lines, the last of them ended, too. Readers find every character again; whoever looks at it sees escapes.
///
/// # Errors
/// When the value is none that JSON knows.
pub fn json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(escaped(&serde_json::to_string_pretty(value)?) + "\n")
}

/// The same on one line, which is not ended.
///
/// # Errors
/// When the value is none that JSON knows.
pub fn json_line(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(escaped(&serde_json::to_string(value)?))
}

/// JSON without hidden characters. They stand in strings only, but for line breaks, which strings have escaped.
fn escaped(json: &str) -> String {
    let mut seen = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        // All have four digits at most.
        match is_hidden(c) && c != '\n' {
            true => seen += &format!("\\u{:04x}", u32::from(c)),
            false => seen.push(c),
        }
    }
    seen
}

/// A text whose URLs keep to themselves what may open doors: `…` stands for user and password, and for the query, where
/// signatures are.
pub fn without_credentials(text: &str) -> Cow<'_, str> {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        let end = url.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`')).unwrap_or(url.len());
        let end = url[..end].trim_end_matches([':', ';', ',']).len();
        let (url, after) = url.split_at(end);
        let (address, query) = match url.split_once('?') {
            Some((address, _)) => (address, "?…"),
            None => (url, ""),
        };
        shown.push_str(before);
        // A password may hold a slash that nobody encoded, so the last `@` counts, wherever it is.
        match address.rsplit_once('@') {
            Some((_, host)) => shown.extend(["…@", host]),
            None => shown.push_str(address),
        }
        shown.push_str(query);
        rest = after;
    }
    match shown.is_empty() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(shown + rest),
    }
}

/// The same of a line of somebody's own, in which a quote may end a URL before its end: of what follows the `?` of the first one
/// nothing is shown.
pub fn unsigned(line: &str) -> Cow<'_, str> {
    match line.find("://").and_then(|at| Some(at + line[at..].find('?')?)) {
        Some(query) => Cow::Owned(without_credentials(&line[..query]).into_owned() + "?…"),
        None => without_credentials(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_something_is_shown_instead() {
        for (word, shown) in [
            ("plain, é, 日本, a\\b 'c'", "plain, é, 日本, a\\b 'c'"),
            ("\u{1b}[2J", r"\u{1b}[2J"),
            ("a\nb\tc\rd\0", r"a\nb\tc\rd\u{0}"),
            ("\u{7f}\u{9b}31m\u{85}", r"\u{7f}\u{9b}31m\u{85}"),
            ("x\u{202e}y\u{2066}z\u{200f}\u{61c}", r"x\u{202e}y\u{2066}z\u{200f}\u{61c}"),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
            ("", ""),
        ] {
            assert_eq!(visible(word).to_string(), shown);
        }
        assert_eq!(visible_lines("a\n  b\u{1b}\r\n"), "a\n  b\\u{1b}\\r\n");
    }

    #[test]
    fn json_is_read_as_it_was_written() {
        let all: String = (0..=0x2100).filter_map(char::from_u32).collect();
        let text = json(&[&all]).unwrap();
        assert!(!text.chars().any(|c| is_hidden(c) && c != '\n'));
        assert_eq!(text.matches('\n').count(), 3, "one value a line");
        assert_eq!(serde_json::from_str::<[String; 1]>(&text).unwrap(), [&*all]);
        let line = json_line(&[&all]).unwrap();
        assert!(!line.chars().any(is_hidden));
        assert_eq!(serde_json::from_str::<[String; 1]>(&line).unwrap(), [all]);
    }

    #[test]
    fn urls_tell_no_password_and_no_signature() {
        for (text, shown) in [
            ("a/b.parquet: gone", "a/b.parquet: gone"),
            ("https://host/a.parquet", "https://host/a.parquet"),
            ("x = \"https://me:p/w@host/a?sig=9\": no", "x = \"https://…@host/a?…\": no"),
            ("s3://b/k?X=1: not there; az://u@c/d, too", "s3://b/k?…: not there; az://…@c/d, too"),
        ] {
            assert_eq!(without_credentials(text), shown);
        }
        for (line, shown) in [
            ("a = 'what?'", "a = 'what?'"),
            ("a = 's3://b/c', 5", "a = 's3://b/c', 5"),
            ("a = \"https://me:p@h/a?X=\"SIG\"SIG\" # ?", "a = \"https://…@h/a?…"),
        ] {
            assert_eq!(unsigned(line), shown);
        }
    }
}
