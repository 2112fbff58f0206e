//! Outputs of earlier runs, read without their stores: whom they name, and how far apart.
//!
//! An output may be hostile: its manifest says how to read it, every part is held against its hash before a row of it is decoded,
//! and no more rows are read than are listed.

mod exclusions;
mod told;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::sealed::{Column, LoadError, MANIFEST, Sealed};
use super::verify::{Table, check_file};
use super::{Format, Formulas, Layout};

pub use exclusions::Exclusions;
pub(super) use told::{Detail, Names, Told};

/// A sealed output whose files are what its manifest says.
#[derive(Debug)]
pub struct Earlier {
    path: PathBuf,
    sealed: Sealed,
    format: Format,
    layout: Layout,
    schema: SchemaRef,
}

/// Why an earlier output cannot be used.
#[derive(Debug, Error)]
pub enum EarlierError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{}: {key}: found {found}, expected {expected}: not a manifest that this version of miner writes", .path.join(MANIFEST).display())]
    Unclear { path: PathBuf, key: String, found: String, expected: &'static str },
    #[error("{}: {part}: found {found}, expected {expected}: the output is not what was sealed; mine it again, or take an intact copy", .path.display())]
    Tampered { path: PathBuf, part: String, found: String, expected: String },
    #[error("{}: the output has changed since it was first read; run the same command again", .path.display())]
    Changed { path: PathBuf },
    #[error("{}: {why}; {cure}", .path.display())]
    Unfit { path: PathBuf, why: String, cure: &'static str },
}

/// Types nested deeper than this are none of ours: what parses them descends into each.
const DEEPEST: usize = 32;

impl Earlier {
    /// Reads the manifest of the output in folder `path`, and hashes every part.
    ///
    /// # Errors
    /// No sealed output, a manifest that does not tell how to read the parts, or a part that is not what was sealed.
    pub fn open(path: &Path) -> Result<Self, EarlierError> {
        let sealed = Sealed::load(path)?;
        let unclear = |key: &str, found: &Value, expected| EarlierError::Unclear {
            path: path.to_owned(),
            key: key.to_owned(),
            found: found.to_string(),
            expected,
        };
        let output = &sealed.pipeline["output"];
        let format = format(output)
            .ok_or_else(|| unclear("pipeline.output.format", &output["format"], "parquet, arrow, jsonl, csv or npy"))?;
        let layout = known(&output["layout"])
            .ok_or_else(|| unclear("pipeline.output.layout", &output["layout"], "the name of a layout"))?;
        let field = |(index, column): (usize, &Column)| {
            field(column).ok_or_else(|| {
                let found = Value::String(column.kind.clone());
                unclear(&format!("columns[{index}].type"), &found, "the name of an Arrow type")
            })
        };
        let fields: Vec<Field> = sealed.columns.iter().enumerate().map(field).collect::<Result<_, _>>()?;
        let earlier = Self { path: path.to_owned(), format, layout, schema: Arc::new(Schema::new(fields)), sealed };
        earlier.check_parts()?;
        Ok(earlier)
    }

    /// Whether every part is still what the manifest says, hashed anew.
    ///
    /// # Errors
    /// The first that is not.
    fn check_parts(&self) -> Result<(), EarlierError> {
        let damaged: Vec<_> = self.sealed.parts.par_iter().map(|part| check_file(&self.path, part)).collect();
        match self.sealed.parts.iter().zip(damaged).find_map(|(part, checked)| Some((part, checked.err()?))) {
            None => Ok(()),
            Some((part, (found, expected))) => Err(self.tampered(&part.path, found, expected)),
        }
    }

    /// The folder, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the manifest says.
    pub fn manifest(&self) -> &Sealed {
        &self.sealed
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The types of the names of anchors, and of rows of the corpus; the null type where they have none.
    pub(super) fn name_types(&self, names: Names) -> [DataType; 2] {
        [told::ANCHOR, told::beside(self.layout)].map(|role| {
            let column = told::role_column(role, names);
            let kind = self.schema.column_with_name(&column).map(|(_, field)| field.data_type().clone());
            match kind {
                Some(DataType::List(item)) => item.data_type().clone(),
                kind => kind.unwrap_or(DataType::Null),
            }
        })
    }

    fn changed(&self) -> EarlierError {
        EarlierError::Changed { path: self.path.clone() }
    }

    /// All rows as they stand in the parts, in order.
    fn batches(self: Arc<Self>) -> impl Iterator<Item = Result<RecordBatch, EarlierError>> + Send + use<> {
        (0..self.sealed.parts.len()).flat_map(move |ordinal| {
            let (this, part) = (self.clone(), &self.sealed.parts[ordinal]);
            let damaged = move |found: String| {
                let part = &this.sealed.parts[ordinal];
                this.tampered(&part.path, found, format!("{} rows of the columns listed", part.rows))
            };
            let (table, error) = match Table::open(&self.path, part, self.format, &self.schema) {
                Ok(table) => (Some(table), None),
                Err(found) => (None, Some(Err(damaged(found)))),
            };
            let rows = table.into_iter().flatten().map(move |batch| Ok(batch.map_err(&damaged)?.1));
            rows.chain(error)
        })
    }

    /// What its rows tell, a batch after the other; see [`Told::of`].
    pub(super) fn told(
        self: Arc<Self>,
        names: Names,
        detail: Detail,
    ) -> impl Iterator<Item = Result<Told, EarlierError>> + Send + use<> {
        self.clone().batches().flat_map(move |batch| {
            let told = batch.and_then(|batch| {
                Told::of(&batch, self.layout, names, detail)
                    .map_err(|error| self.tampered("triplets", error.to_string(), self.expected(names)))
            });
            let (some, error) = match told {
                Ok(told) => (told, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            some.into_iter().map(Ok).chain(error)
        })
    }

    fn expected(&self, names: Names) -> String {
        format!("the {} of layout \"{}\" in every row", names.word(), self.layout.name())
    }

    fn tampered(&self, part: &str, found: String, expected: String) -> EarlierError {
        EarlierError::Tampered { path: self.path.clone(), part: part.to_owned(), found, expected }
    }

    /// Whether its rows name rows of the store in this way, and as much of them as `detail` takes.
    ///
    /// # Errors
    /// Says why not.
    pub(super) fn check(&self, names: Names, detail: Detail) -> Result<(), EarlierError> {
        let unfit = |why: String, cure| Err(EarlierError::Unfit { path: self.path.clone(), why, cure });
        let (format, layout) = (self.format.name(), self.layout.name());
        if names == Names::Ids && self.format == Format::Npy {
            let why = format!("output.format = \"{format}\" names rows by their numbers only, and rows may move");
            return unfit(why, "mine it again in another format");
        }
        if !told::names(self.layout, &self.schema, names) {
            let columns = self.sealed.pipeline["output"]["columns"].as_str().unwrap_or_default();
            let why = match columns {
                "" | "all" => format!("its rows have no {} of layout \"{layout}\"", names.word()),
                text => format!("output.columns = \"{text}\" leaves {} out", names.word()),
            };
            return unfit(why, "mine it again with output.columns = \"all\"");
        }
        if detail > Detail::Positives && self.layout == Layout::Pair {
            return unfit(format!("layout \"{layout}\" names no negatives"), "choose an output of another layout");
        }
        match detail != Detail::Triplets && !told::marks(self.layout, &self.schema) {
            false => Ok(()),
            true => {
                let why = format!("layout \"{layout}\" as \"{format}\" does not tell negatives from positives");
                unfit(why, "mine it again in another format")
            }
        }
    }
}

fn known<T: DeserializeOwned>(value: &Value) -> Option<T> {
    serde_json::from_value(value.clone()).ok()
}

/// As a pipeline writes it.
fn format(output: &Value) -> Option<Format> {
    Some(match output["format"].as_str()? {
        "parquet" => Format::Parquet,
        "arrow" => Format::Arrow,
        "jsonl" => Format::Jsonl,
        "csv" => Format::Csv(known::<Formulas>(&output["csv_formulas"])?),
        "npy" => Format::Npy,
        _ => return None,
    })
}

fn field(column: &Column) -> Option<Field> {
    let Column { name, kind, nullable } = column;
    let shallow = kind.matches(['(', '[', '<', '{']).count() <= DEEPEST;
    shallow.then(|| Some(Field::new(name, DataType::from_str(kind).ok()?, *nullable))).flatten()
}

/// What a reader finds wrong with rows.
pub(super) fn strange(found: impl Into<String>) -> ArrowError {
    ArrowError::InvalidArgumentError(found.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_a_manifest_names_is_understood_again() {
        let item = |kind: DataType, nullable| Arc::new(Field::new_list_field(kind, nullable));
        let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        for kind in [
            DataType::Utf8,
            DataType::LargeUtf8,
            DataType::Int8,
            DataType::UInt64,
            DataType::Float32,
            DataType::Boolean,
            dictionary,
            DataType::List(item(DataType::Utf8, false)),
            DataType::List(item(DataType::Int64, true)),
            DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into())),
            DataType::Decimal128(10, 2),
        ] {
            let column = Column { name: "x".to_owned(), kind: kind.to_string(), nullable: true };
            assert_eq!(field(&column).map(|field| field.data_type().clone()), Some(kind));
        }
    }

    #[test]
    fn a_type_without_end_is_refused_before_it_is_parsed() {
        let kind = format!("{}Utf8{}", "List(".repeat(100_000), ")".repeat(100_000));
        assert_eq!(field(&Column { name: "x".to_owned(), kind, nullable: true }), None);
    }
}
