//! `miner inspect`

use std::fs::File;
use std::io::Write;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use bytesize::ByteSize;
use comfy_table::Table;
use triplet_miner::store::{self, ColumnFacts, Guess, Inspection, ValueFacts};
use triplet_miner::words::{is_hidden, visible};

use super::output::table;

/// Looks at the store at `path`; with `write`, begins a pipeline there. Returns what to print.
pub fn run(path: &Path, write: Option<&Path>, runtime: &tokio::runtime::Runtime) -> anyhow::Result<String> {
    let path = std::path::absolute(path).with_context(|| format!("{}: cannot be found", path.display()))?;
    let inspection = runtime.block_on(store::inspect(&path))?;
    let mut text = describe(&path, &inspection);
    if let Some(file) = write {
        begin_pipeline(file, &path, &inspection)?;
        text += &format!("\nWrote {0}; look at it with `miner plan {0}`.\n", visible(file.display()));
    }
    Ok(text)
}

fn describe(path: &Path, inspection: &Inspection) -> String {
    let Inspection { files, bytes, rows, columns, uneven, guess } = inspection;
    let files = if *files == 1 { String::new() } else { format!(" in {files} files") };
    let mut text = format!("{}: {rows} rows{files}, {}\n", visible(path.display()), ByteSize(*bytes));

    let mut all = table(&["column", "type", "nulls", "distinct", "serves as"]);
    for column in columns {
        let ColumnFacts { name, data_type, nulls, values, .. } = column;
        let (distinct, role) = (distinct(values), role(guess, column));
        let (name, data_type) = (visible(name).to_string(), visible(data_type).to_string());
        all.add_row([name, data_type, nulls.to_string(), distinct, role]);
    }
    section(&mut text, "Columns", all);

    let mut vectors =
        table(&["column", "dimensions", "least norm", "median", "largest", "zero", "repeated", "unusable"]);
    for (column, facts) in columns.iter().filter_map(|column| Some((column, column.embedding.as_ref()?))) {
        let norms = facts.norms.map_or(["–"; 3].map(String::from), |norms| norms.map(|norm| format!("{norm:.4}")));
        let unusable: Vec<String> = facts.unusable.iter().map(|(kind, rows)| format!("{rows} {kind}")).collect();
        let unusable = if unusable.is_empty() { "0".to_owned() } else { unusable.join(", ") };
        let mut row =
            vec![visible(&column.name).to_string(), facts.dims.map_or("–".to_owned(), |dims| dims.to_string())];
        row.extend(norms);
        row.extend([facts.zero.to_string(), facts.repeated.to_string(), unusable]);
        vectors.add_row(row);
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

fn begin_pipeline(file: &Path, store: &Path, inspection: &Inspection) -> anyhow::Result<()> {
    let text = pipeline(file, store, inspection)?;
    if file.exists() {
        bail!("{}: is there already; give another name, or remove it", file.display());
    }
    let mut created = File::create_new(file).with_context(|| format!("{}: cannot be written", file.display()))?;
    created.write_all(text.as_bytes()).with_context(|| format!("{}: cannot be written", file.display()))
}

/// A pipeline that runs as it is.
fn pipeline(file: &Path, store: &Path, inspection: &Inspection) -> anyhow::Result<String> {
    let guess = &inspection.guess;
    let facts = |name: &String| inspection.columns.iter().find(|column| column.name == *name);
    let Some(embedding) = guess.embedding.as_ref().and_then(facts) else {
        bail!("{}: no column holds vectors (lists of f16, f32 or f64), so there is nothing to mine", store.display());
    };
    let Some(label) = guess.label.as_ref().and_then(facts) else {
        bail!(
            "{}: no column can be a label: strings, integers or booleans that repeat, or lists of them",
            store.display()
        );
    };
    let mut lines = vec![
        format!(
            "# Begun by `miner inspect` on {} rows. `miner plan` says what it will do, `miner run` does it.",
            inspection.rows
        ),
        String::new(),
        "[store]".to_owned(),
        format!("path = {}", quoted(&relative(store, file)?)),
    ];
    lines.push(match &guess.id {
        Some(id) => format!("id = {}", quoted(id)),
        None => "# id: no column is unique and without nulls, so rows go by their number".to_owned(),
    });
    let vectors = embedding.embedding.as_ref();
    let dims = vectors.and_then(|facts| facts.dims).unwrap_or_default();
    lines.push(format!("embedding = {}  # {dims} dimensions", quoted(&embedding.name)));
    let classes = match (label.values, label.several) {
        (Some(ValueFacts::Counted { distinct, single, .. }), None) => {
            format!("  # {distinct} classes, {single} of one row")
        }
        (Some(ValueFacts::Counted { distinct, .. }), Some(several)) => {
            format!("  # several labels a row: {several:.1} of {distinct}; sharing one makes a positive")
        }
        _ => String::new(),
    };
    lines.push(format!("label = {}{classes}", quoted(&label.name)));
    if !guess.carry.is_empty() {
        let names: Vec<String> = guess.carry.iter().map(|name| quoted(name)).collect();
        lines.push(format!("carry = [{}]  # copied into the output beside the ids", names.join(", ")));
    }
    let bad = vectors.map_or(0, |facts| facts.zero + facts.unusable.values().sum::<u64>());
    if bad > 0 {
        lines.push(format!("bad_rows = \"skip\"  # {bad} vectors cannot be used; \"error\" refuses the store"));
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    lines.extend([
        String::new(),
        "[mine]".to_owned(),
        "metric = \"cosine\"  # or euclidean, sqeuclidean, dot".to_owned(),
        "margin = 0.2".to_owned(),
        "bands = { semi-hard = 1 }  # negatives for each pair: hard, semi-hard, easy, or any".to_owned(),
        String::new(),
        "[output]".to_owned(),
        format!("path = {}", quoted(&format!("out/{stem}"))),
    ]);
    Ok(lines.join("\n") + "\n")
}

/// As a TOML string, on one line, in which nothing is hidden or an environment variable.
fn quoted(text: &str) -> String {
    let character = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        // All have four digits at most.
        hidden if is_hidden(hidden) => format!("\\u{:04x}", u32::from(hidden)),
        plain => plain.to_string(),
    };
    let text: String = text.replace("${", "$${").chars().map(character).collect();
    format!("\"{text}\"")
}

/// The way from the folder of `file` to the store.
fn relative(store: &Path, file: &Path) -> anyhow::Result<String> {
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Without links, `..` leads where it seems to; a pattern has no real path of its own.
    let folder = folder.canonicalize().with_context(|| format!("{}: no such folder", folder.display()))?;
    let store = store.canonicalize().unwrap_or_else(|_| store.to_owned());
    let shared = folder.components().zip(store.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(shared).map(|_| Component::ParentDir);
    let way: PathBuf = up.chain(store.components().skip(shared)).collect();
    let way = way.into_os_string().into_string();
    way.map_err(|way| anyhow::anyhow!("{}: not valid UTF-8, which TOML needs", way.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_name_stays_on_its_line_and_is_read_as_it_was() {
        for name in ["plain", "a \"b\" \\ c", "two\nlines\t", "\u{1b}[2J\u{9b}\u{202e}", "''", ""] {
            let text = quoted(name);
            assert!(!text.chars().any(is_hidden), "{text}");
            let table: toml::Table = format!("name = {text}").parse().unwrap();
            assert_eq!(table["name"].as_str(), Some(name));
        }
        assert_eq!(quoted("${HOME}"), "\"$${HOME}\"");
    }
}
