//! The prepared store, opened.

use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::OnceLock;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use rayon::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::fitting::{Fitted, FittedHeader};
use super::layout::{self, Files, Header};
use super::links::Links;
use super::npy::{self, Element, Npy, Shape};
use super::sets::Sets;
use super::table::Table;
use super::{Classes, Code, Row, Section};
use crate::disk;
use crate::kernel::Metric;

/// A frozen store: `n` rows of `d` values, with ids, classes and groups. Read in place, so cheap to open and to share.
///
/// Its rows are those of the corpus, among which positives and negatives are found, then those of the queries. Without
/// queries the rows of the corpus are the anchors, too.
pub struct Prepared {
    dir: PathBuf,
    /// Where searches put what they derive from it.
    spills: PathBuf,
    header: Header,
    vectors: Npy<f32>,
    labels: Npy<Code>,
    groups: Vec<Npy<Code>>,
    keys: Npy<u64>,
    source_rows: Npy<u64>,
    ids: Table,
    queries: Option<Queries>,
    pairs: Option<Links>,
    scores: Option<Links>,
    excluded: Option<Links>,
    label_values: ArrayRef,
    /// Where a row may have several labels.
    sets: Option<Sets>,
    rejected: RecordBatch,
    /// The rows of the corpus that have each label.
    holders: Classes,
    ranked: OnceLock<Classes>,
    fit: Option<Fit>,
}

/// What a fit made of the vectors.
struct Fit {
    header: FittedHeader,
    vectors: Npy<f32>,
    fitted: Fitted,
}

/// What only queries have.
struct Queries {
    ids: Table,
    own: Npy<Row>,
    ranked: OnceLock<Classes>,
}

/// Anchors with rows that were their negatives in earlier outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excluded {
    /// Each once, however many outputs have it.
    pub pairs: u64,
    /// Rows of those outputs that name an anchor or a negative which is not there any more.
    pub gone: u64,
}

/// Why a prepared store cannot be opened, or a column of it not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{}: cannot be read: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: format {found_format} version {found_version}, expected {} version {}; prepare the store again", .path.display(), layout::FORMAT, layout::VERSION)]
    Version { path: PathBuf, found_format: String, found_version: u32 },
    #[error("{}: cannot be read: {source}", .path.display())]
    Table { path: PathBuf, source: ArrowError },
    #[error("{}: damaged: its bytes are not those that were written; prepare the store again", .path.display())]
    Damaged { path: PathBuf },
    #[error("{}: {what}: found {found}, expected {expected}; prepare the store again", .path.display())]
    Disagrees { path: PathBuf, what: &'static str, found: u64, expected: u64 },
}

impl Prepared {
    /// Holds every byte of a store, and of its fit, against the hashes that were noted when it was written.
    pub fn check(dir: &Path) -> Result<(), OpenError> {
        check_files(dir, &read_header(&dir.join(layout::HEADER))?.files)?;
        let fitted = dir.join(layout::FITTED_HEADER);
        if fitted.exists() { check_files(dir, &read_json::<FittedHeader>(&fitted)?.files) } else { Ok(()) }
    }

    /// Opens what another process may have left behind: every byte is held against the hashes that were noted when it was
    /// written. A fit that does not stand up to that is forgotten.
    pub fn reopen(dir: &Path) -> Result<Self, OpenError> {
        check_files(dir, &read_header(&dir.join(layout::HEADER))?.files)?;
        let path = dir.join(layout::FITTED_HEADER);
        let fit = read_json::<FittedHeader>(&path).and_then(|fit| check_files(dir, &fit.files));
        if fit.is_err() {
            disk::remove_file(&path).map_err(|source| OpenError::Io { path, source })?;
        }
        Self::open(dir)
    }

    /// Opens the folder that [`super::prepare`] wrote, and [`super::fit`] where it has been there.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let header = read_header(&dir.join(layout::HEADER))?;
        let rows = header.rows as usize;
        let table = |name: &str| open_table(&dir.join(name));
        let asking = header.queries.map_or(0, |queries| queries as usize);
        let corpus = rows.checked_sub(asking).ok_or_else(|| OpenError::Disagrees {
            path: dir.join(layout::HEADER),
            what: "queries",
            found: asking as u64,
            expected: rows as u64,
        })?;
        let ids = table(layout::IDS)?;
        agree(dir, layout::IDS, "rows", ids.rows(), corpus)?;
        let queries = match header.queries {
            None => None,
            Some(_) => Some(open_queries(dir, asking, corpus)?),
        };
        let anchors = header.queries.unwrap_or(header.rows);
        let links = |section: Section, count: Option<u64>, valued| {
            let open = |count| Links::open(dir, section.name(), anchors, corpus as u32, count, valued);
            let failed = |source| OpenError::Io { path: dir.join(section.name()), source };
            count.map(open).transpose().map_err(failed)
        };
        let pairs = links(Section::Pairs, header.pairs, false)?;
        let scores = links(Section::Scores, header.scores, true)?;
        let excluded = links(Section::Exclude, header.excluded.map(|excluded| excluded.pairs), false)?;
        let label_values = table(layout::LABEL_VALUES)?;
        let distinct = header.sets.map_or(header.classes, |sets| sets.labels);
        agree(dir, layout::LABEL_VALUES, "labels", label_values.rows(), distinct)?;
        let sets = header.sets.map(|sets| {
            Sets::open(dir, header.classes, sets)
                .map_err(|source| OpenError::Io { path: dir.join(layout::SET_LABELS), source })
        });
        let sets = sets.transpose()?;
        let whole =
            |name: &str, table: Table| table.read().map_err(|source| OpenError::Table { path: dir.join(name), source });
        let labels: Npy<Code> = array(dir, layout::LABELS, rows)?;
        let largest = labels.values().iter().filter(|code| !code.is_null()).max();
        if let Some(code) = largest.filter(|code| code.index() >= header.classes) {
            return Err(OpenError::Disagrees {
                path: dir.join(layout::LABELS),
                what: "a code beyond the classes",
                found: u64::from(code.0),
                expected: header.classes as u64,
            });
        }
        Ok(Self {
            vectors: open_array(&dir.join(layout::VECTORS), Shape { rows, width: Some(header.dims) })?,
            holders: Classes::of_each(0, corpus, |row| labels_in(sets.as_ref(), &labels.values()[row])),
            labels,
            sets,
            groups: (0..header.groups.len()).map(|g| array(dir, &layout::group(g), rows)).collect::<Result<_, _>>()?,
            keys: array(dir, layout::KEYS, rows)?,
            source_rows: array(dir, layout::SOURCE_ROWS, rows)?,
            ids,
            queries,
            pairs,
            scores,
            excluded,
            label_values: whole(layout::LABEL_VALUES, label_values)?.column(0).clone(),
            rejected: whole(layout::REJECTED, table(layout::REJECTED)?)?,
            ranked: OnceLock::new(),
            fit: Fit::open(dir, rows, header.dims)?,
            dir: dir.to_owned(),
            spills: dir.to_owned(),
            header,
        })
    }

    /// The same, but what searches derive from it goes to another folder: that of a store on a disk of others is slow, or not
    /// theirs to write.
    pub fn spilling_to(self, folder: &Path) -> Self {
        Self { spills: folder.to_owned(), ..self }
    }

    /// Where searches put what they derive from it; its own folder unless another was named.
    pub(super) fn spills(&self) -> &Path {
        &self.spills
    }

    /// The folder it lies in.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// n, of the corpus and the queries.
    pub fn rows(&self) -> u32 {
        self.header.rows
    }

    /// The rows among which positives and negatives are found; from 0.
    pub fn corpus(&self) -> Range<u32> {
        0..self.header.rows - self.header.queries.unwrap_or(0)
    }

    /// The rows that ask: the queries, or else the corpus itself.
    pub fn anchors(&self) -> Range<u32> {
        self.header.rows - self.header.queries.unwrap_or(self.header.rows)..self.header.rows
    }

    /// Whether anchors are not rows of the corpus.
    pub fn has_queries(&self) -> bool {
        self.queries.is_some()
    }

    /// The row of the corpus that is the anchor itself, never its positive or negative: with queries, the one with its id.
    pub fn own(&self, anchor: Row) -> Option<Row> {
        match &self.queries {
            None => Some(anchor),
            Some(queries) => {
                let own = queries.own.values()[(anchor.0 - self.anchors().start) as usize];
                (own != Row::NONE).then_some(own)
            }
        }
    }

    /// Whether pairs say which rows are an anchor's positives, and not labels.
    pub fn has_pairs(&self) -> bool {
        self.pairs.is_some()
    }

    /// The rows that pairs name as an anchor's positives, ascending; none where labels tell.
    pub fn paired(&self, anchor: Row) -> &[Row] {
        self.pairs.as_ref().map_or(&[], |pairs| pairs.of(anchor.0 - self.anchors().start))
    }

    /// The rows that an anchor may have as positives, ascending, and itself perhaps: those that pairs name, or else those that
    /// share a label with it. Of several labels they are brought together here.
    pub fn relatives(&self, anchor: Row) -> Cow<'_, [Row]> {
        if self.has_pairs() {
            return Cow::Borrowed(self.paired(anchor));
        }
        match self.labels_in(&self.labels()[anchor.index()]) {
            [] => Cow::Borrowed(&[]),
            [label] => Cow::Borrowed(self.members(*label)),
            labels => {
                let mut rows: Vec<Row> = labels.iter().flat_map(|&label| self.members(label)).copied().collect();
                // Stable, for it merges lists that ascend.
                rows.sort();
                rows.dedup();
                Cow::Owned(rows)
            }
        }
    }

    /// Whether an anchor has a relative beside itself.
    pub fn has_relatives(&self, anchor: Row) -> bool {
        if self.has_pairs() {
            return !self.paired(anchor).is_empty();
        }
        // Without queries an anchor is a row of each of its own labels.
        let alone = usize::from(!self.has_queries());
        self.labels_in(&self.labels()[anchor.index()]).iter().any(|&label| self.members(label).len() > alone)
    }

    /// Whether a row is among an anchor's [relatives](Prepared::relatives).
    pub fn is_relative(&self, anchor: Row, row: Row) -> bool {
        match &self.pairs {
            Some(_) => self.paired(anchor).binary_search(&row).is_ok(),
            None => self.akin(self.labels()[anchor.index()], self.labels()[row.index()]),
        }
    }

    /// Whether a table gives scores.
    pub fn has_scores(&self) -> bool {
        self.scores.is_some()
    }

    /// The rows that have a score for an anchor, ascending, each with its score; none without `[scores]`.
    pub fn scored(&self, anchor: Row) -> impl Iterator<Item = (Row, f32)> {
        self.scores.iter().flat_map(move |scores| scores.valued(anchor.0 - self.anchors().start))
    }

    /// The score of a row of the corpus for an anchor, where there is one.
    pub fn score(&self, anchor: Row, row: Row) -> Option<f32> {
        self.scores.as_ref()?.value(anchor.0 - self.anchors().start, row)
    }

    /// The rows that were an anchor's negatives in earlier outputs, ascending; none where no such output was read.
    pub fn excluded(&self, anchor: Row) -> &[Row] {
        self.excluded.as_ref().map_or(&[], |excluded| excluded.of(anchor.0 - self.anchors().start))
    }

    /// How many there are of all anchors; nothing where no earlier output was read.
    pub fn exclusions(&self) -> Option<Excluded> {
        self.header.excluded
    }

    /// d.
    pub fn dims(&self) -> usize {
        self.fit.as_ref().map_or(self.header.dims, |fit| fit.header.dims)
    }

    pub fn metric(&self) -> Metric {
        self.fit.as_ref().map_or(self.header.metric, |fit| fit.header.metric)
    }

    /// n × d, row-major; normalised under cosine.
    pub fn vectors(&self) -> &[f32] {
        self.fit.as_ref().map_or(&self.vectors, |fit| &fit.vectors).values()
    }

    /// What a fit made the vectors with.
    pub fn fitted(&self) -> Option<&Fitted> {
        self.fit.as_ref().map(|fit| &fit.fitted)
    }

    /// The dimensions of vectors as they were read.
    pub(super) fn raw_dims(&self) -> usize {
        self.header.dims
    }

    /// A vector as it was read, where a fit made others of them; not normalised.
    pub fn raw(&self, row: Row) -> &[f32] {
        let d = self.header.dims;
        &self.vectors.values()[row.index() * d..][..d]
    }

    /// d values.
    pub fn vector(&self, row: Row) -> &[f32] {
        let start = row.index() * self.dims();
        &self.vectors()[start..start + self.dims()]
    }

    /// Largest L2 norm of a vector.
    pub fn max_norm(&self) -> f64 {
        self.fit.as_ref().map_or(self.header.max_norm, |fit| fit.header.max_norm)
    }

    /// The class of each row: its label, or where it may have several, its set of them. Compare with [`Prepared::akin`].
    pub fn labels(&self) -> &[Code] {
        self.labels.values()
    }

    /// How many classes there are; their codes are `0 … classes − 1`.
    pub fn classes(&self) -> usize {
        self.header.classes
    }

    /// Whether a row may have several labels, so that a class is a set of them.
    pub fn has_several_labels(&self) -> bool {
        self.sets.is_some()
    }

    /// How many distinct labels there are; their codes are `0 … distinct_labels − 1`, those of classes where these are labels.
    pub fn distinct_labels(&self) -> usize {
        self.label_values.len()
    }

    /// The codes of the labels in a class, ascending; none for [`Code::NULL`].
    pub fn labels_in<'a>(&'a self, class: &'a Code) -> &'a [Code] {
        labels_in(self.sets.as_ref(), class)
    }

    /// Whether two classes are one, or share a label; null is akin to nothing.
    #[inline]
    pub fn akin(&self, a: Code, b: Code) -> bool {
        self.shared_label(a, b).is_some()
    }

    /// The first label that two classes share.
    #[inline]
    pub fn shared_label(&self, a: Code, b: Code) -> Option<Code> {
        match &self.sets {
            None => a.agrees(b).then_some(a),
            Some(sets) => sets.shared(a, b),
        }
    }

    /// The rows of the corpus that have a label, ascending; none for [`Code::NULL`].
    pub fn members(&self, label: Code) -> &[Row] {
        self.holders.members(label)
    }

    /// The same rows in an order that their ids alone decide.
    pub fn ranked_members(&self, label: Code) -> &[Row] {
        self.ranked.get_or_init(|| self.holders.ranked(self.keys())).members(label)
    }

    /// How many rows of the corpus share a label with a class, at most: those with several of its labels count as often.
    pub fn most_kin(&self, class: Code) -> usize {
        let kin = self.labels_in(&class).iter().map(|&label| self.members(label).len()).sum::<usize>();
        kin.min(self.corpus().len())
    }

    /// The anchors that have a label, in an order that their ids alone decide.
    pub fn ranked_anchors(&self, label: Code) -> &[Row] {
        let Some(queries) = &self.queries else { return self.ranked_members(label) };
        let ranked = || {
            let Range { start, end } = self.anchors();
            let labels = &self.labels()[start as usize..end as usize];
            Classes::of_each(start, labels.len(), |row| self.labels_in(&labels[row])).ranked(self.keys())
        };
        queries.ranked.get_or_init(ranked).members(label)
    }

    /// Constraint names, in the pipeline's order.
    pub fn group_names(&self) -> &[String] {
        &self.header.groups
    }

    /// The group of each row; `index` as in [`Prepared::group_names`].
    pub fn group(&self, index: usize) -> &[Code] {
        self.groups[index].values()
    }

    /// A 64-bit hash of each row's id, by value: the base of keyed random choices.
    pub fn keys(&self) -> &[u64] {
        self.keys.values()
    }

    /// Position of each row in the scan of its table, before `where`; ascending in the corpus, and in the queries.
    pub fn source_rows(&self) -> &[u64] {
        self.source_rows.values()
    }

    /// The id, then the carried columns of the corpus.
    pub fn schema(&self) -> &SchemaRef {
        self.ids.schema()
    }

    /// The id, then the carried columns of the anchors.
    pub fn anchor_schema(&self) -> &SchemaRef {
        self.queries.as_ref().map_or(self.ids.schema(), |queries| queries.ids.schema())
    }

    /// The values of a column at some rows, in that order, repeats allowed: of [`Prepared::schema`] where they are rows
    /// of the corpus, of [`Prepared::anchor_schema`] where they are queries; one or the other.
    pub fn take(&self, column: usize, rows: &[Row]) -> Result<ArrayRef, OpenError> {
        let failed = |name: &str, source| OpenError::Table { path: self.dir.join(name), source };
        let first = self.corpus().end;
        match &self.queries {
            Some(queries) if rows.first().is_some_and(|row| row.0 >= first) => {
                let rows: Vec<Row> = rows.iter().map(|row| Row(row.0.wrapping_sub(first))).collect();
                queries.ids.take(column, &rows).map_err(|source| failed(layout::QUERY_IDS, source))
            }
            _ => self.ids.take(column, rows).map_err(|source| failed(layout::IDS, source)),
        }
    }

    /// Bytes of a row's id and carried values.
    pub fn beside_bytes(&self, row: Row) -> u64 {
        let (first, row) = (self.corpus().end as usize, row.index());
        match &self.queries {
            Some(queries) if row >= first => queries.ids.row_bytes(row - first),
            _ => self.ids.row_bytes(row),
        }
    }

    /// The value of each label, in its own type.
    pub fn label_values(&self) -> &ArrayRef {
        &self.label_values
    }

    /// Rows left out as unusable: of the queries, the store, the pairs, then the scores, each in scan order. Columns are `section`,
    /// `file`, `file_row` (position in the file), `source_row` (position in the scan), `id` (null where it was; of a pair
    /// or a score the anchor's), `reason`.
    pub fn rejected(&self) -> &RecordBatch {
        &self.rejected
    }

    /// Of the store's survey, see [`super::Survey::fingerprint`].
    pub fn fingerprint(&self) -> &str {
        &self.header.fingerprint
    }
}

fn labels_in<'a>(sets: Option<&'a Sets>, class: &'a Code) -> &'a [Code] {
    match sets {
        _ if class.is_null() => &[],
        None => slice::from_ref(class),
        Some(sets) => sets.of(*class),
    }
}

impl Fit {
    fn open(dir: &Path, rows: usize, d: usize) -> Result<Option<Self>, OpenError> {
        let path = dir.join(layout::FITTED_HEADER);
        if !path.exists() {
            return Ok(None);
        }
        let header: FittedHeader = read_json(&path)?;
        let shape = |rows, width| Shape { rows, width: Some(width) };
        let mean: Npy<f64> = open_array(&dir.join(layout::MEAN), shape(1, d))?;
        let matrix: Npy<f64> = open_array(&dir.join(layout::MATRIX), shape(header.dims, d))?;
        let vectors = open_array(&dir.join(layout::FITTED_VECTORS), shape(rows, header.dims))?;
        let fitted = Fitted { mean, matrix, name: header.name.clone(), floored: header.floored };
        Ok(Some(Self { vectors, fitted, header }))
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, OpenError> {
    disk::kept(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })
}

/// Whether files have the hashes that were noted.
fn check_files(dir: &Path, files: &Files) -> Result<(), OpenError> {
    files.par_iter().try_for_each(|(name, expected)| {
        let path = dir.join(name);
        // What stands before the values of an array is compared when it is opened.
        let from = if name.ends_with(".npy") { npy::HEADER as u64 } else { 0 };
        match disk::digest(&path, from) {
            Ok(found) if found == *expected => Ok(()),
            Ok(_) => Err(OpenError::Damaged { path }),
            Err(source) => Err(OpenError::Io { path, source }),
        }
    })
}

fn read_header(path: &Path) -> Result<Header, OpenError> {
    let header: Header = read_json(path)?;
    if header.format != layout::FORMAT || header.version != layout::VERSION {
        let (found_format, found_version) = (header.format, header.version);
        return Err(OpenError::Version { path: path.to_owned(), found_format, found_version });
    }
    Ok(header)
}

fn open_queries(dir: &Path, rows: usize, corpus: usize) -> Result<Queries, OpenError> {
    let ids = open_table(&dir.join(layout::QUERY_IDS))?;
    agree(dir, layout::QUERY_IDS, "rows", ids.rows(), rows)?;
    let own: Npy<Row> = array(dir, layout::OWN, rows)?;
    let strange = own.values().iter().find(|row| **row != Row::NONE && row.index() >= corpus);
    match strange {
        None => Ok(Queries { ids, own, ranked: OnceLock::new() }),
        Some(row) => {
            let (path, what) = (dir.join(layout::OWN), "a row beyond the corpus");
            Err(OpenError::Disagrees { path, what, found: u64::from(row.0), expected: corpus as u64 })
        }
    }
}

fn array<T: Element>(dir: &Path, name: &str, rows: usize) -> Result<Npy<T>, OpenError> {
    open_array(&dir.join(name), Shape { rows, width: None })
}

fn open_array<T: Element>(path: &Path, shape: Shape) -> Result<Npy<T>, OpenError> {
    Npy::open(path, shape).map_err(|source| OpenError::Io { path: path.to_owned(), source })
}

fn open_table(path: &Path) -> Result<Table, OpenError> {
    Table::open(path).map_err(|source| OpenError::Table { path: path.to_owned(), source })
}

fn agree(dir: &Path, name: &str, what: &'static str, found: usize, expected: usize) -> Result<(), OpenError> {
    if found == expected {
        return Ok(());
    }
    Err(OpenError::Disagrees { path: dir.join(name), what, found: found as u64, expected: expected as u64 })
}
