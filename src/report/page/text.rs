//! What others wrote, and numbers, as the page shows them.

use maud::{Markup, Render, html};

use crate::words;

/// A text of the data or the pipeline. Nothing in it can act: markup is escaped, what hides or turns the direction of what
/// follows is written out, and its own direction ends with it.
pub(super) struct Data<'a>(pub(super) &'a str);

impl Render for Data<'_> {
    fn render(&self) -> Markup {
        html! { bdi { (visible(self.0)) } }
    }
}

/// A text in which nothing hides; where it breaks lines, the page does not.
pub(super) fn visible(text: &str) -> String {
    words::visible(text.replace(['\n', '\t'], " ")).to_string()
}

/// Three significant digits, or four; very large and very small numbers as powers of ten.
pub(super) fn number(value: f64) -> String {
    let text = match value.abs() {
        0.0 => "0".to_owned(),
        m if !(1e-4..1e6).contains(&m) => format!("{value:.2e}"),
        m if m >= 100.0 => format!("{value:.0}"),
        m if m >= 10.0 => format!("{value:.1}"),
        m if m >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.5}"),
    };
    text.replace('-', "−")
}

/// The same without zeros at its end: for what was written by hand.
pub(super) fn brief(value: f64) -> String {
    let text = number(value);
    match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A class, or a row that has none.
pub(super) fn class(label: Option<&str>) -> Markup {
    html! { @match label { Some(label) => (Data(label)), None => em { "unlabelled" } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_acts_or_hides() {
        let shown = Data("<script>alert(1)</script>&\"\u{202e}evil\u{0}").render().into_string();
        let expected = "<bdi>&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;\\u{202e}evil\\u{0}</bdi>";
        assert_eq!(shown, expected);
        assert_eq!(visible("naïve\nØ 東京 🙂"), "naïve Ø 東京 🙂");
    }

    #[test]
    fn numbers_keep_three_digits() {
        let told = [0.0, 0.123_456, -1.5, 12.34, 1_234.5, 1e7, 0.001_234, 1e-9].map(number);
        assert_eq!(told, ["0", "0.123", "−1.500", "12.3", "1234", "1.00e7", "0.00123", "1.00e−9"]);
        assert_eq!([0.1, 10.0, 200.0, 1e7].map(brief), ["0.1", "10", "200", "1.00e7"]);
    }
}
