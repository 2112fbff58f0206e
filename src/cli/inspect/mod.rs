//! `miner inspect`

mod begin;
mod page;

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytesize::ByteSize;
use clap::ValueHint;
use comfy_table::Table;
use triplet_miner::config::Reads;
use triplet_miner::pipeline::{self, Control, Copies};
use triplet_miner::remote::Address;
use triplet_miner::report::Silent;
use triplet_miner::store::{self, ArrayFacts, ColumnFacts, EmbeddingFacts, Guess, Inspection, ValueFacts};
use triplet_miner::words::{counted, thousands, visible};

use super::output::{self, table};
use super::signals;
use super::status::{self, Status};

/// Look at a store: columns, dimensions, labels, what is bad; suggest a pipeline
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miner inspect embeddings.parquet
  miner inspect 'shards/*.parquet' --write mine.toml
  miner inspect table.parquet --vectors embeddings.npy --write mine.toml")]
pub struct Args {
    /// A Parquet file, a glob or a folder; or an array of vectors: .npy, .npz, .fvecs, .bvecs. Or the URL of one
    #[arg(value_hint = ValueHint::AnyPath)]
    path: PathBuf,
    /// An array that holds the vectors of the table's rows, in its order
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    vectors: Option<PathBuf>,
    /// Write the suggested pipeline to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    write: Option<PathBuf>,
}

/// An array beside a table.
struct Beside {
    path: PathBuf,
    facts: ArrayFacts,
}

pub fn run(args: &Args) -> anyhow::Result<Status> {
    output::text(&look(args)?)?;
    Ok(Status::Done)
}

/// What to print.
fn look(args: &Args) -> anyhow::Result<String> {
    let path = absolute(&args.path)?;
    let is_array = store::names_array(&shown(&path));
    if is_array && (args.write.is_some() || args.vectors.is_some()) {
        let message = "an array has no labels; name the table first, and this as --vectors";
        return Err(status::wrong(format!("{}: {message}", shown(&args.path).display())));
    }
    let vectors = args.vectors.as_ref().map(|path| absolute(path)).transpose()?;
    let reads = if is_array { Reads::Arrays } else { Reads::Table };
    let places = [(reads, Some(&path)), (Reads::Arrays, vectors.as_ref())];
    let places = places.into_iter().filter_map(|(reads, path)| Some((reads, path?.as_path())));
    let control = Control { progress: &Silent, brake: signals::watch()? };
    let copies = pipeline::copies_for_a_look(places, &control)?;
    if is_array {
        let array = Beside::of(path, &copies)?;
        return Ok(array.describe() + &array.in_a_pipeline());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().build().context("cannot start threads")?;
    let inspection = runtime.block_on(store::inspect(&copies.local(Reads::Table, &path)));
    let inspection = inspection.map_err(|error| copies.veil(error.into()))?;
    let mut text = describe(&shown(&path), &inspection);
    let array = vectors.map(|path| Beside::of(path, &copies)?.fitting(&inspection)).transpose()?;
    if let Some(array) = &array {
        text += &format!("\n{}", array.describe());
    }
    if let Some(file) = &args.write {
        begin::pipeline(file, &path, &inspection, array.as_ref(), &copies)?;
        text += &format!("\nWrote {0}; look at it with `miner plan {0}`.\n", visible(file.display()));
    }
    Ok(text)
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    if let Some(address) = path.to_str().and_then(Address::parse) {
        address.with_context(|| shown(path).display().to_string())?;
        return Ok(path.to_owned());
    }
    std::path::absolute(path).with_context(|| format!("{}: cannot be found", path.display()))
}

/// A URL without its secrets; a path as it is.
fn shown(path: &Path) -> PathBuf {
    Address::at(path).map_or_else(|| path.to_owned(), |address| address.name().into())
}

fn describe(path: &Path, inspection: &Inspection) -> String {
    let Inspection { files, bytes, rows, columns, uneven, guess } = inspection;
    let files = if *files == 1 { String::new() } else { format!(" in {}", counted(*files as u64, "file")) };
    let rows = counted(*rows, "row");
    let mut text = format!("{}: {rows}{files}, {}\n", visible(path.display()), ByteSize(*bytes));

    let mut all = table(&["column", "type", "nulls", "distinct", "serves as"]);
    for column in columns {
        let ColumnFacts { name, data_type, nulls, values, .. } = column;
        let (distinct, role) = (distinct(values), role(guess, column));
        let (name, data_type) = (visible(name).to_string(), visible(data_type).to_string());
        all.add_row([name, data_type, nulls.to_string(), distinct, role]);
    }
    section(&mut text, "Columns", all);

    let mut vectors = table(&[&["column"], &VECTORS[..]].concat());
    for (column, facts) in columns.iter().filter_map(|column| Some((column, column.embedding.as_ref()?))) {
        vectors.add_row(std::iter::once(visible(&column.name).to_string()).chain(vectors_told(facts)));
    }
    section(&mut text, "Vectors", vectors);

    let mut labels = table(&["column", "classes", "of one row", "largest class", "labels a row"]);
    for column in columns {
        if let Some(ValueFacts::Counted { distinct, single, largest }) = column.values
            && largest > 1
        {
            let several = column.several.map_or("1".to_owned(), |several| format!("{several:.1}"));
            let counts = [distinct, single, largest].map(|count| count.to_string());
            labels.add_row([visible(&column.name).to_string()].into_iter().chain(counts).chain([several]));
        }
    }
    section(&mut text, "As labels", labels);
    for (name, alike) in columns.iter().filter_map(|column| Some((&column.name, column.look_alikes.as_ref()?))) {
        text += &format!("\nIn `{}` {alike}\n", visible(name));
    }
    if !uneven.is_empty() {
        text += &format!("\nNot looked at, since the files disagree on them: {}\n", visible(uneven.join(", ")));
    }
    text
}

/// What is told of vectors.
const VECTORS: [&str; 7] = ["dimensions", "least norm", "median", "largest", "zero", "repeated", "unusable"];

fn vectors_told(facts: &EmbeddingFacts) -> [String; 7] {
    let [least, median, largest] =
        facts.norms.map_or(["–"; 3].map(String::from), |norms| norms.map(|norm| format!("{norm:.4}")));
    let unusable: Vec<String> = facts.unusable.iter().map(|(kind, rows)| format!("{rows} {kind}")).collect();
    let unusable = if unusable.is_empty() { "0".to_owned() } else { unusable.join(", ") };
    let dims = facts.dims.map_or("–".to_owned(), |dims| dims.to_string());
    [dims, least, median, largest, facts.zero.to_string(), facts.repeated.to_string(), unusable]
}

fn section(text: &mut String, title: &str, table: Table) {
    if table.row_count() > 0 {
        *text += &format!("\n{title}\n{}\n", table.trim_fmt());
    }
}

fn distinct(values: &Option<ValueFacts>) -> String {
    match values {
        None => "–".to_owned(),
        Some(ValueFacts::Counted { distinct, .. }) => distinct.to_string(),
        Some(ValueFacts::Beyond(most)) => format!("> {most}"),
    }
}

fn role(guess: &Guess, ColumnFacts { name, several, .. }: &ColumnFacts) -> String {
    let label = guess.label.as_ref() == Some(name);
    let roles = [
        (guess.id.as_ref() == Some(name), "id"),
        (guess.embedding.as_ref() == Some(name), "embedding"),
        (label && several.is_none(), "label"),
        (label && several.is_some(), "several labels a row"),
        (guess.carry.contains(name), "text"),
    ];
    roles.iter().filter(|(serves, _)| *serves).map(|(_, role)| *role).collect::<Vec<_>>().join(", ")
}

impl Beside {
    fn of(path: PathBuf, copies: &Copies) -> anyhow::Result<Self> {
        let facts = store::inspect_arrays(&copies.local(Reads::Arrays, &path));
        Ok(Self { facts: facts.map_err(|error| copies.veil(error.into()))?, path })
    }

    /// Insists on a vector for each row of a table.
    fn fitting(self, table: &Inspection) -> anyhow::Result<Self> {
        if self.facts.rows != table.rows {
            let (vectors, rows) = (counted(self.facts.rows, "vector"), counted(table.rows, "row"));
            let message = format!("{vectors}, but the table has {rows}; expected one for each");
            return Err(status::refused(format!("{}: {message}", shown(&self.path).display())));
        }
        Ok(self)
    }

    fn describe(&self) -> String {
        let ArrayFacts { files, bytes, rows, dims, scalar, vectors } = &self.facts;
        let files = if *files == 1 { String::new() } else { format!(" in {}", counted(*files as u64, "file")) };
        let (shown, rows) = (shown(&self.path), thousands(*rows));
        let mut text =
            format!("{}: {rows} × {dims} {}{files}, {}\n", visible(shown.display()), scalar.name(), ByteSize(*bytes));
        let mut told = table(&VECTORS);
        told.add_row(vectors_told(vectors));
        section(&mut text, "Vectors", told);
        text
    }

    fn in_a_pipeline(&self) -> String {
        let (name, rows) = (page::quoted(&shown(&self.path).to_string_lossy()), counted(self.facts.rows, "row"));
        format!(
            "\nIn a pipeline, beside a table of {rows} in the same order:\n\n[store]\npath = \"table.parquet\"\nvectors = {name}\n"
        )
    }
}
