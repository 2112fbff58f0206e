//! A look at files that nobody has described yet: what their columns hold, and what each could serve as.

use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::Column;
use datafusion::logical_expr::Expr;

use super::census::ClassCount;
use super::embedding_facts::{EmbeddingCount, EmbeddingFacts};
use super::guess::{Guess, guess};
use super::look_alikes::LookAlikes;
use super::scan::{Scan, ScanError};
use super::survey::{SurveyError, agree_on, merged_schema, read_footers, read_sizes, walk_pages};
use super::types::{is_category, is_embedding, is_text, plain};

/// What the files at a path hold.
#[derive(Debug)]
pub struct Inspection {
    pub files: usize,
    pub bytes: u64,
    pub rows: u64,
    /// In the order of the files, partition folders last.
    pub columns: Vec<ColumnFacts>,
    /// Columns that some files lack, or have in another type; nothing else is said of them.
    pub uneven: Vec<String>,
    pub guess: Guess,
}

/// What one column holds.
#[derive(Debug)]
pub struct ColumnFacts {
    pub name: String,
    pub data_type: DataType,
    pub nulls: u64,
    /// Mean bytes of the texts; `None` for other types.
    pub text_bytes: Option<f64>,
    /// For strings, integers and booleans.
    pub values: Option<ValueFacts>,
    /// Values that look like others.
    pub look_alikes: Option<LookAlikes>,
    /// For lists of floats.
    pub embedding: Option<EmbeddingFacts>,
}

/// The distinct values of a column, null aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueFacts {
    Counted {
        distinct: u64,
        /// Values that occur once.
        single: u64,
        /// Rows of the most frequent value.
        largest: u64,
    },
    /// More than this many: not counted further.
    Beyond(u64),
}

/// Why files cannot be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error(transparent)]
    Survey(#[from] SurveyError),
    #[error(transparent)]
    Scan(#[from] ScanError),
    #[error("{}: column `{column}` cannot be looked at: {source}", .path.display())]
    Column { path: PathBuf, column: String, source: ArrowError },
}

/// Reads everything at `path` once: a file, a pattern or a folder.
pub async fn inspect(path: &Path) -> Result<Inspection, InspectError> {
    let files = read_footers(path)?;
    let schema = merged_schema(&files);
    let (even, uneven): (Vec<_>, Vec<_>) =
        schema.fields().iter().partition(|field| agree_on(&files, field.name()).is_ok());
    walk_pages(&files, &even.iter().map(|field| field.name().clone()).collect())?;
    let expressions = even.iter().map(|field| Expr::Column(Column::new_unqualified(field.name()))).collect();
    let row_bytes = read_sizes(&files, &even.iter().map(|field| field.name().clone()).collect()).0;

    let mut looks = Vec::with_capacity(even.len());
    for field in &even {
        let look = Look::begin(field.name(), field.data_type());
        looks.push(look.map_err(|source| fault(path, field.name(), source))?);
    }
    let mut scan = Scan::new(&files, expressions, row_bytes)?;
    while let Some(stretch) = scan.next().await? {
        for (look, column) in looks.iter_mut().zip(stretch.batch.columns()) {
            look.add(column).map_err(|source| fault(&stretch.file.path, &look.name, source))?;
        }
        while looks.iter().map(Look::held_bytes).sum::<usize>() > VALUE_BYTES {
            looks.iter_mut().max_by_key(|look| look.held_bytes()).into_iter().for_each(Look::give_up);
        }
    }
    let rows = files.iter().map(|file| file.rows).sum();
    let finish = |look: Look| {
        let name = look.name.clone();
        look.finish(rows).map_err(|source| fault(path, &name, source))
    };
    let columns: Vec<ColumnFacts> = looks.into_iter().map(finish).collect::<Result<_, _>>()?;
    Ok(Inspection {
        files: files.len(),
        bytes: files.iter().map(|file| file.bytes).sum(),
        rows,
        guess: guess(&columns, rows),
        columns,
        uneven: uneven.iter().map(|field| field.name().clone()).collect(),
    })
}

fn fault(path: &Path, column: &str, source: ArrowError) -> InspectError {
    InspectError::Column { path: path.to_owned(), column: column.to_owned(), source }
}

/// A column with more distinct values is not counted further …
const MOST_VALUES: usize = 1_000_000;
/// … nor is the largest, once those of all columns together take more than this.
const VALUE_BYTES: usize = 512 << 20;

/// One column while it is read.
struct Look {
    name: String,
    data_type: DataType,
    nulls: u64,
    text_bytes: usize,
    values: Values,
    embedding: Option<EmbeddingCount>,
}

enum Values {
    NotCounted,
    Counting(ClassCount),
    Beyond(usize),
}

impl Look {
    fn begin(name: &str, data_type: &DataType) -> Result<Self, ArrowError> {
        let values = match is_category(data_type) {
            true => Values::Counting(ClassCount::new(plain(data_type))?),
            false => Values::NotCounted,
        };
        let embedding = is_embedding(data_type).then(|| EmbeddingCount::new(data_type));
        Ok(Self { name: name.to_owned(), data_type: data_type.clone(), nulls: 0, text_bytes: 0, values, embedding })
    }

    fn add(&mut self, column: &ArrayRef) -> Result<(), ArrowError> {
        self.nulls += column.logical_null_count() as u64;
        if let Some(embedding) = &mut self.embedding {
            embedding.add(column);
        }
        if matches!(self.values, Values::NotCounted) {
            return Ok(());
        }
        let column = cast(column, &plain(&self.data_type))?;
        self.text_bytes += match column.data_type() {
            DataType::Utf8 => column.as_string::<i32>().iter().flatten().map(str::len).sum(),
            DataType::LargeUtf8 => column.as_string::<i64>().iter().flatten().map(str::len).sum(),
            _ => 0,
        };
        if let Values::Counting(count) = &mut self.values {
            count.add(&column)?;
            if count.classes() > MOST_VALUES {
                self.values = Values::Beyond(MOST_VALUES);
            }
        }
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        match &self.values {
            Values::Counting(count) => count.held_bytes(),
            _ => 0,
        }
    }

    fn give_up(&mut self) {
        if let Values::Counting(count) = &self.values {
            self.values = Values::Beyond(count.classes().saturating_sub(1));
        }
    }

    fn finish(self, rows: u64) -> Result<ColumnFacts, ArrowError> {
        let present = rows - self.nulls;
        let text = is_text(&self.data_type) && present > 0;
        let look_alikes = match &self.values {
            Values::Counting(count) => count.look_alikes()?,
            _ => None,
        };
        Ok(ColumnFacts {
            look_alikes,
            text_bytes: text.then(|| self.text_bytes as f64 / present as f64),
            values: match self.values {
                Values::NotCounted => None,
                Values::Beyond(most) => Some(ValueFacts::Beyond(most as u64)),
                Values::Counting(count) => Some(ValueFacts::Counted {
                    distinct: count.classes() as u64,
                    single: count.singletons(),
                    largest: count.largest(),
                }),
            },
            embedding: self.embedding.map(EmbeddingCount::finish),
            name: self.name,
            data_type: self.data_type,
            nulls: self.nulls,
        })
    }
}
