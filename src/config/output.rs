//! `[output]`: what is written.

use super::error::{Complaint, nearest};
use super::spec::{ALL_COLUMNS, FormatSpec, OutputSpec, ROWS_PER_FILE, Spec};
use crate::manifest::{self, Columns, Format, Layout, Order, Split};
use crate::mine::Ask;

/// Columns of negatives that a row of n-tuples may have: a table of more is a mistake.
const LONGEST_TUPLE: u64 = 1_000;

pub(super) fn output(spec: &Spec, ask: &Ask) -> Result<manifest::Params, Complaint> {
    let asked = &spec.output;
    let (format, layout) = (format(asked)?, asked.layout);
    let columns = columns(spec)?;
    if layout == Layout::NTuple && ask.slots() > LONGEST_TUPLE {
        let message = format!(
            "mine.bands asks for {} negatives, which would be a column each; at most 1,000, or choose labeled-list",
            ask.slots()
        );
        return Err(Complaint::new("output.layout", message));
    }
    if layout == Layout::LabeledList && matches!(format, Format::Csv(_) | Format::Npy) {
        let message = format!("cannot hold the lists of layout \"{}\"; use parquet, arrow or jsonl", layout.name());
        return Err(Complaint::new("output.format", message));
    }
    if format == Format::Npy {
        if columns != Columns::All {
            let message = "format \"npy\" holds row indices, not values; leave columns out, or choose another format";
            return Err(Complaint::new("output.columns", message));
        }
        if !spec.store.carry.is_empty() {
            let message =
                "format \"npy\" holds row indices only, so nothing is carried; leave it out, or choose another format";
            return Err(Complaint::new("store.carry", message));
        }
    }
    Ok(manifest::Params { format, layout, columns, order: asked.order, split: split(spec)? })
}

fn format(asked: &OutputSpec) -> Result<Format, Complaint> {
    let format = match asked.format {
        FormatSpec::Parquet => Format::Parquet,
        FormatSpec::Arrow => Format::Arrow,
        FormatSpec::Jsonl => Format::Jsonl,
        FormatSpec::Csv => return Ok(Format::Csv(asked.csv_formulas.unwrap_or_default())),
        FormatSpec::Npy => Format::Npy,
    };
    match asked.csv_formulas {
        None => Ok(format),
        Some(_) => {
            let message =
                format!("has a meaning only with output.format = \"csv\", not \"{}\"; leave it out", format.name());
            Err(Complaint::new("output.csv_formulas", message))
        }
    }
}

fn columns(spec: &Spec) -> Result<Columns, Complaint> {
    let asked = spec.output.columns.as_str();
    if asked == ALL_COLUMNS {
        return Ok(Columns::All);
    }
    let carried = &spec.store.carry;
    if carried.iter().any(|column| column == asked) {
        return Ok(Columns::Carried(asked.to_owned()));
    }
    let cure = match nearest(asked, carried.iter().map(String::as_str)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("write carry = [\"{asked}\"] in [store]"),
    };
    Err(Complaint::new("output.columns", format!("expected \"all\" or a carried column; {cure}")))
}

fn split(spec: &Spec) -> Result<Split, Complaint> {
    let asked = &spec.output;
    let Some(shards) = asked.shards else {
        return match asked.rows_per_file.unwrap_or(ROWS_PER_FILE) {
            0 => Err(Complaint::new("output.rows_per_file", "must be at least 1")),
            rows => Ok(Split::Rows(rows)),
        };
    };
    let refuse = |message: String| Err(Complaint::new("output.shards", message));
    if asked.rows_per_file.is_some() {
        return refuse(
            "decides how many rows a file has, and so does output.rows_per_file; leave one of them out".into(),
        );
    }
    if !(1..=10_000).contains(&shards) {
        return refuse("must be from 1 to 10,000".into());
    }
    match asked.order {
        Order::EasyToHard | Order::HardToEasy => Ok(Split::Shards(shards)),
        Order::Anchor | Order::Random => refuse(format!(
            "cuts rows by their gap, which output.order = \"{}\" does not sort by; choose easy-to-hard or hard-to-easy, or \
             rows_per_file instead",
            asked.order.name()
        )),
    }
}
