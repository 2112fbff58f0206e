//! The rows of two outputs as one table.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;

use super::{Compared, DiffError};
use crate::manifest::Format;
use crate::manifest::earlier::{Detail, Earlier, Names, Told};
use crate::manifest::sealed::{Input, Sealed};
use crate::store::{IdDigest, id_digests};

/// Two outputs that can be compared, and as what.
#[derive(Clone)]
pub(super) struct Subject {
    sides: [Arc<Earlier>; 2],
    names: Names,
    detail: Detail,
}

impl Subject {
    pub(super) fn new(a: &Arc<Earlier>, b: &Arc<Earlier>) -> Result<Self, DiffError> {
        let sides = [a.clone(), b.clone()];
        let names = if sides.iter().any(|side| side.format() == Format::Npy) { Names::Rows } else { Names::Ids };
        let [of_a, of_b] = sides.each_ref().map(|side| Detail::of(side.layout()));
        let detail = of_a.min(of_b);
        sides.iter().try_for_each(|side| side.check(names, detail))?;
        if names == Names::Rows {
            same_stores(a, b)?;
        }
        let [found, other] = sides.each_ref().map(|side| side.name_types(names)[0].clone());
        if is_text(&found) != is_text(&other) {
            let [a, b] = [a, b].map(|side| side.path().display().to_string());
            return Err(DiffError::IdsDiffer { a, b, found: found.to_string(), other: other.to_string() });
        }
        Ok(Self { sides, names, detail })
    }

    pub(super) fn compared(&self) -> Compared {
        match self.detail {
            Detail::Triplets => Compared::Triplets,
            Detail::Negatives => Compared::Negatives,
            Detail::Positives => Compared::Positives,
        }
    }

    /// Whether each row tells its positive.
    pub(super) fn tells_pairs(&self) -> bool {
        self.detail != Detail::Negatives
    }

    pub(super) fn has_negatives(&self) -> bool {
        self.detail != Detail::Positives
    }

    /// Whether both have distances, and so bands.
    pub(super) fn has_gaps(&self) -> bool {
        self.detail == Detail::Triplets && self.names == Names::Ids
    }

    /// Why nothing can be said of the bands of triplets.
    pub(super) fn without_gaps(&self) -> DiffError {
        let by_rows = |side: &&Arc<Earlier>| side.format() == Format::Npy;
        let by_layout = |side: &&Arc<Earlier>| Detail::of(side.layout()) != Detail::Triplets;
        let side = self.sides.iter().find(by_rows).or_else(|| self.sides.iter().find(by_layout));
        let side = side.unwrap_or(&self.sides[0]);
        let what = match side.format() {
            Format::Npy => format!("format \"{}\"", side.format().name()),
            _ => format!("layout \"{}\"", side.layout().name()),
        };
        let why = format!("{what} does not tell which triplets there are, by ids; leave --lost and --store out");
        DiffError::NotComparable { path: side.path().display().to_string(), why }
    }

    pub(super) fn has_labels(&self) -> bool {
        self.sides.iter().all(|side| side.schema().column_with_name("anchor_label").is_some())
    }

    /// Whether a row of one layout counts as much as one of the other.
    pub(super) fn count_alike(&self) -> bool {
        let [a, b] = self.sides.each_ref().map(|side| Detail::of(side.layout()));
        a == b
    }

    /// A table of all rows of both, made by `make` of what a few of them tell.
    pub(super) fn table(&self, schema: SchemaRef, make: Make) -> Result<Arc<StreamingTable>, DataFusionError> {
        let rows: Arc<dyn PartitionStream> = Arc::new(Rows { subject: self.clone(), schema: schema.clone(), make });
        Ok(Arc::new(StreamingTable::try_new(schema, vec![rows])?))
    }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8)
}

/// Row numbers say the same only of the very same tables.
fn same_stores(a: &Earlier, b: &Earlier) -> Result<(), DiffError> {
    let prints = |sealed: &Sealed| -> Vec<(String, String)> {
        let of = |input: &Input| (input.role.clone(), input.fingerprint.clone());
        let tables = sealed.inputs.iter().filter(|input| ["store", "queries"].contains(&input.role.as_str()));
        tables.map(of).collect()
    };
    match prints(a.manifest()) == prints(b.manifest()) {
        true => Ok(()),
        false => Err(DiffError::NotComparable {
            path: b.path().display().to_string(),
            why: format!(
                "one of the two outputs is format \"npy\", which names rows by their numbers, and this one was mined from other \
                 tables than {}; mine them again in a format that names ids",
                a.path().display()
            ),
        }),
    }
}

/// Makes rows of a table of what some rows of an output tell, given its number, 0 or 1.
pub(super) type Make = fn(&Told, u8) -> Result<RecordBatch, ArrowError>;

/// All rows of both, one output after the other.
struct Rows {
    subject: Subject,
    schema: SchemaRef,
    make: Make,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rows of {:?}", self.subject.sides.each_ref().map(|side| side.path()))
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (Subject { sides, names, detail }, make) = (self.subject.clone(), self.make);
        let batches = sides.into_iter().zip(0u8..).flat_map(move |(side, number)| {
            side.told(names, detail).flat_map(move |told| {
                let (told, error) = match told {
                    Ok(told) => (told.pieces(), None),
                    Err(error) => (Vec::new(), Some(Err(DataFusionError::External(Box::new(error))))),
                };
                told.into_iter().map(move |told| Ok(make(&told, number)?)).chain(error)
            })
        });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream::iter(batches)))
    }
}

/// What rows of both outputs are sorted by: the digests of anchor, positive and negative, 16 bytes each (zeros for what is not
/// looked at), then the number of the output.
///
/// One column of bytes, and no text: while the query engine merges, it holds what it sorts by once more, and may have no more memory
/// for that than the rows themselves take.
pub(super) const KEY: &str = "key";
/// Bytes of a digest.
pub(super) const DIGEST: usize = size_of::<IdDigest>();

pub(super) fn sorted_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(KEY, DataType::Binary, false),
        Field::new("gap", DataType::Float64, true),
        Field::new("band", DataType::UInt8, true),
    ]))
}

/// Rows of [`sorted_schema`].
pub(super) fn sorted_rows(told: &Told, side: u8) -> Result<RecordBatch, ArrowError> {
    let rows = told.anchor.len();
    let digests = |names: &Option<ArrayRef>| match names {
        Some(names) => id_digests(names),
        None => Ok(vec![IdDigest::default(); rows]),
    };
    let named = [id_digests(&told.anchor)?, digests(&told.positive)?, digests(&told.negative)?];
    let mut keys = BinaryBuilder::with_capacity(rows, rows * (3 * DIGEST + 1));
    for row in 0..rows {
        let mut key = [side; 3 * DIGEST + 1];
        for (place, digests) in key.chunks_exact_mut(DIGEST).zip(&named) {
            // Big-endian, so that bytes ascend as numbers do.
            place.copy_from_slice(&digests[row].to_be_bytes());
        }
        keys.append_value(key);
    }
    let gap: ArrayRef = match &told.gap {
        Some(gap) => Arc::new(gap.clone()),
        None => new_null_array(&DataType::Float64, rows),
    };
    let band: ArrayRef = match &told.band {
        Some(band) => Arc::new(band.clone()),
        None => new_null_array(&DataType::UInt8, rows),
    };
    RecordBatch::try_new(sorted_schema(), vec![Arc::new(keys.finish()), gap, band])
}
