//! What reaches the user: results on standard output, complaints on standard error.
//!
//! Nothing leaves here that drives a terminal. Line breaks are ours: whoever puts somebody else's words into lines makes them
//! [visible](words::visible).

use std::fmt::Display;
use std::io::{self, Write};

use anyhow::Context;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use console::style;
use serde::Serialize;
use triplet_miner::words;

use super::log::{self, Event, Level, Record};
use super::status::Status;

/// As text, or as JSON.
pub fn either(value: &(impl Display + Serialize), as_json: bool) -> anyhow::Result<()> {
    if as_json { json(value) } else { text(value) }
}

/// Text that ends in exactly one line break.
pub fn text(value: &impl Display) -> anyhow::Result<()> {
    bytes(format!("{}\n", words::visible_lines(value.to_string().trim_end())).as_bytes())
}

pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    bytes(words::json(value).context("cannot be written as JSON")?.as_bytes())
}

/// An empty table whose columns, but for the first, are numbers.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Whoever closed the pipe has read what they wanted: `miner plan FILE | head -1` is no failure.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// The last words of a command that failed: what is wrong, the lines of the pipeline that say it, and the exit status that follows.
pub fn complain(message: &str, excerpt: Option<&str>, status: Status) {
    if log::is_json() {
        let (level, event, status) = (Level::Error, Event::Error, Some(status.code()));
        return beside(
            &Record { level, event, message: message.to_owned(), excerpt, status, ..Record::default() }.json(),
        );
    }
    let error = style("error:").for_stderr().red().bold();
    beside(&format!("{error} {}", words::visible_lines(message)));
    if let Some(lines) = excerpt {
        beside(&words::visible_lines(lines));
    }
}

/// What deserves attention, and stops nothing.
pub fn warn(message: &str) {
    if log::is_json() {
        let message = message.to_owned();
        return beside(&Record { level: Level::Warning, message, ..Record::default() }.json());
    }
    beside(&format!("{} {}", style("warning:").for_stderr().yellow().bold(), words::visible(message)));
}

/// A line on standard error, whose words are [visible](words::visible) already. Where that is closed, nobody is there to be told.
pub fn beside(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
