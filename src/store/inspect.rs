//! A look at files that nobody has described yet: what their columns hold, and what each could serve as.

use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::Column;
use datafusion::logical_expr::Expr;

use super::Code;
use super::census::Counts;
use super::codes::Coder;
use super::embedding_facts::{EmbeddingCount, EmbeddingFacts};
use super::guess::{Guess, guess};
use super::label_codes::each_set;
use super::look_alikes::{self, LookAlikes};
use super::pace::Pace;
use super::scan::{Scan, ScanError};
use super::sizes::RowBytes;
use super::survey::{SurveyError, agree_on, merged_schema, read_footers, walk_pages};
use super::types::{is_category, is_embedding, is_text, label_lists, list_element, plain};

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
    /// For strings, integers and booleans, and for lists of these of the values in them.
    pub values: Option<ValueFacts>,
    /// Mean number of distinct values in a list; `None` for other types.
    pub several: Option<f64>,
    /// Values that look like others.
    pub look_alikes: Option<LookAlikes>,
    /// For lists of floats.
    pub embedding: Option<EmbeddingFacts>,
}

/// The distinct values of a column, or in its lists, null aside.
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
    let columns = even.iter().map(|field| field.name().clone()).collect();
    walk_pages(&files, &columns)?;
    let expressions = even.iter().map(|field| Expr::Column(Column::new_unqualified(field.name()))).collect();
    let row_bytes = RowBytes::of(&files, &columns).widest;

    let mut looks = Vec::with_capacity(even.len());
    for field in &even {
        let look = Look::begin(field.name(), field.data_type());
        looks.push(look.map_err(|source| fault(path, field.name(), source))?);
    }
    let mut scan = Scan::new(&files, expressions, row_bytes, Pace::slowest(files.len()))?;
    while let Some(stretch) = scan.next().await? {
        for (look, column) in looks.iter_mut().zip(stretch.batch.columns()) {
            look.add(column).map_err(|source| fault(&stretch.place.file.path, &look.name, source))?;
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
    Counting(Counting),
    Beyond(usize),
}

/// Rows by value, or by each value in a list.
struct Counting {
    coder: Coder,
    /// The type of values, or lists of them.
    kept: DataType,
    counts: Counts,
    /// Values in the lists of all rows.
    held: u64,
}

impl Counting {
    fn new(kept: DataType) -> Result<Self, ArrowError> {
        let coder = Coder::new(list_element(&kept).unwrap_or(&kept).clone())?;
        Ok(Self { coder, kept, counts: Counts::default(), held: 0 })
    }

    fn add(&mut self, column: &ArrayRef) -> Result<(), ArrowError> {
        let Self { coder, kept, counts, held } = self;
        let mut see = |codes: &[Code]| codes.iter().filter(|code| !code.is_null()).for_each(|&code| counts.add(code));
        match list_element(kept) {
            None => see(&coder.encode(column)?),
            Some(_) => each_set(coder, column, |set| {
                *held += set.len() as u64;
                see(set);
            })?,
        }
        Ok(())
    }

    /// Bytes of what is kept of the distinct values: each twice, and a slot of a hash table.
    fn held_bytes(&self) -> usize {
        2 * self.coder.bytes() + 112 * self.counts.distinct()
    }
}

impl Look {
    fn begin(name: &str, data_type: &DataType) -> Result<Self, ArrowError> {
        let kept = label_lists(data_type).or_else(|| is_category(data_type).then(|| plain(data_type)));
        let values = kept.map_or(Ok(Values::NotCounted), |kept| Counting::new(kept).map(Values::Counting))?;
        let embedding = is_embedding(data_type).then(|| EmbeddingCount::new(data_type));
        Ok(Self { name: name.to_owned(), data_type: data_type.clone(), nulls: 0, text_bytes: 0, values, embedding })
    }

    fn add(&mut self, column: &ArrayRef) -> Result<(), ArrowError> {
        self.nulls += column.logical_null_count() as u64;
        if let Some(embedding) = &mut self.embedding {
            embedding.add(column);
        }
        if is_text(&self.data_type) {
            let column = cast(column, &plain(&self.data_type))?;
            self.text_bytes += match column.data_type() {
                DataType::LargeUtf8 => column.as_string::<i64>().iter().flatten().map(str::len).sum::<usize>(),
                _ => column.as_string::<i32>().iter().flatten().map(str::len).sum(),
            };
        }
        if let Values::Counting(counting) = &mut self.values {
            counting.add(&cast(column, &counting.kept)?)?;
            if counting.counts.distinct() > MOST_VALUES {
                self.values = Values::Beyond(MOST_VALUES);
            }
        }
        Ok(())
    }

    fn held_bytes(&self) -> usize {
        match &self.values {
            Values::Counting(counting) => counting.held_bytes(),
            _ => 0,
        }
    }

    fn give_up(&mut self) {
        if let Values::Counting(Counting { counts, .. }) = &self.values {
            self.values = Values::Beyond(counts.distinct().saturating_sub(1));
        }
    }

    fn finish(self, rows: u64) -> Result<ColumnFacts, ArrowError> {
        let present = rows - self.nulls;
        let text = is_text(&self.data_type) && present > 0;
        let (mut several, mut look_alikes) = (None, None);
        if let Values::Counting(counting) = &self.values {
            let lists = list_element(&counting.kept).is_some() && present > 0;
            several = lists.then(|| counting.held as f64 / present as f64);
            look_alikes = look_alikes::find(counting.coder.values())?;
        }
        Ok(ColumnFacts {
            several,
            look_alikes,
            text_bytes: text.then(|| self.text_bytes as f64 / present as f64),
            values: match self.values {
                Values::NotCounted => None,
                Values::Beyond(most) => Some(ValueFacts::Beyond(most as u64)),
                Values::Counting(Counting { counts, .. }) => Some(ValueFacts::Counted {
                    distinct: counts.distinct() as u64,
                    single: counts.singletons(),
                    largest: counts.largest(),
                }),
            },
            embedding: self.embedding.map(EmbeddingCount::finish),
            name: self.name,
            data_type: self.data_type,
            nulls: self.nulls,
        })
    }
}
