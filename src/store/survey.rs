//! What the files are, before any row is read: listing, footers, columns, fingerprints.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::file::metadata::ParquetMetaData;
use rayon::prelude::*;

use super::array::{ArrayError, Arrays};
use super::expression::ExpressionError;
use super::files::{self, ListError, Listed};
use super::link_table::LinkSurvey;
use super::matrix::{self, Matrix, MatrixError};
use super::pace::{Load, Pace, Reading};
use super::prepare::PrepareError;
use super::scan::ScanError;
use super::selection::{Selection, SelectionError};
use super::session::batch_rows;
use super::sizes::{RowBytes, row_group_bytes, values_per_row};
use super::stamp::Stamp;
use super::table;
use super::types::{describe, is_text, same_values};
use super::vet::{self, Unsound};
use super::{Embedding, IdPairs, LinkParams, Params, Section, Sources, Transform};
use crate::disk::untrusted;

/// One file of a store.
#[derive(Debug, Clone)]
pub struct InputFile {
    pub path: PathBuf,
    /// The path below the folder that the pipeline names: the same wherever the store lies.
    pub name: String,
    pub bytes: u64,
    pub rows: u64,
    /// Position of its first row in the scan.
    pub first_row: u64,
    /// `key=value` folders on its way, as columns of text; `None` is a hive null.
    pub hive: Vec<(String, Option<String>)>,
    /// Its own columns.
    pub schema: SchemaRef,
    stamp: Stamp,
    metadata: Arc<ParquetMetaData>,
}

/// The files of everything that a job reads.
pub struct Surveys {
    pub store: Survey,
    pub queries: Option<Survey>,
    pub pairs: Option<LinkSurvey>,
    pub scores: Option<LinkSurvey>,
    /// Negatives that are not taken again; see [`Surveys::exclude`].
    pub excluded: Vec<Box<dyn IdPairs>>,
}

/// The files of one table of embeddings in scan order, and what a pipeline wants of them.
pub struct Survey {
    pub files: Vec<InputFile>,
    /// The columns of all files, then those of partition folders.
    pub schema: SchemaRef,
    pub(super) selection: Selection,
    dims: usize,
    /// What a row holds in the columns that are read, and in those that are kept beside its vector.
    row_bytes: RowBytes,
    beside_bytes: RowBytes,
    /// What a row group holds in the columns that are read, at most.
    row_group_bytes: u64,
    /// What the largest pages of these columns hold in one file, unpacked, at most.
    page_bytes: u64,
    fingerprint: String,
    matrix: Option<Matrix>,
    /// Where they hold the vectors.
    arrays: Option<Arrays>,
}

/// Why the files of a store cannot be used as the pipeline says.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    #[error(transparent)]
    List(#[from] ListError),
    #[error("{}: cannot be read: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {source}", .path.display())]
    Unsound { path: PathBuf, source: Unsound },
    #[error("{}: {} no rows", .path.display(), .section.has())]
    NoRows { path: PathBuf, section: Section },
    #[error("{}: {source}", .path.display())]
    Selection { path: PathBuf, source: Box<SelectionError> },
    #[error(
        "column `{column}` is {} in {} but {found} in {}; cast it to one type in all files",
        .expected, .first.display(), .file.display()
    )]
    TypesDiffer { column: String, first: PathBuf, expected: DataType, file: PathBuf, found: DataType },
    #[error(transparent)]
    Matrix(#[from] MatrixError),
    #[error(transparent)]
    Array(#[from] ArrayError),
    #[error("column `{column}` is in {} but not in {}", .first.display(), .file.display())]
    ColumnMissing { column: String, first: PathBuf, file: PathBuf },
    #[error(transparent)]
    DimensionsDiffer(#[from] DimensionsDiffer),
    #[error("{}: names {what} by {}, but their ids are {} now; leave it out of mine.negatives.exclude, or cast the ids to what they were", .path.display(), describe(.found), describe(.expected))]
    OtherIds { path: PathBuf, what: &'static str, found: DataType, expected: DataType },
}

/// Queries must lie in the space of the store.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: the queries' vectors have {queries} values, but those of the store, {}, have {store}; embed both with one model",
    .path.display(), .store_path.display()
)]
pub struct DimensionsDiffer {
    path: PathBuf,
    queries: usize,
    store_path: PathBuf,
    store: usize,
}

impl DimensionsDiffer {
    /// Compares values a vector, where both are known.
    pub(super) fn check(params: [&Params; 2], dims: [Option<usize>; 2]) -> Result<(), Self> {
        match dims {
            [Some(store), Some(queries)] if store != queries => {
                let [store_path, path] = params.map(|params| params.path.clone());
                Err(Self { path, queries, store_path, store })
            }
            _ => Ok(()),
        }
    }
}

/// Looks at the files: footers and content hashes, no rows.
///
/// # Errors
/// A file cannot be read, a column or expression cannot be used, or the tables do not go together.
pub async fn survey(sources: impl Into<Sources<'_>>) -> Result<Surveys, SurveyError> {
    let sources = sources.into();
    let mut store = survey_table(sources.store)?;
    let mut queries = sources.queries.map(survey_table).transpose()?;
    if let (Some(params), Some(queries)) = (sources.queries, &mut queries) {
        let params = [sources.store, params];
        let unfit = |source: ExpressionError| SurveyError::Selection {
            path: params[1].path.clone(),
            source: Box::new(SelectionError::Expression(source)),
        };
        Selection::agree(&mut store.selection, &mut queries.selection, params).map_err(unfit)?;
        let dims = [&store, queries].map(|survey| fixed_dims(&survey.selection.embedding.1));
        DimensionsDiffer::check(params, dims)?;
    }
    let anchors = match (sources.queries, &queries) {
        (Some(params), Some(queries)) => (params, queries),
        _ => (sources.store, &store),
    };
    let links = |params: Option<&LinkParams>| {
        params.map(|params| LinkSurvey::new(params, anchors, (sources.store, &store))).transpose()
    };
    let (pairs, scores) = (links(sources.pairs)?, links(sources.scores)?);
    Ok(Surveys { store, queries, pairs, scores, excluded: Vec::new() })
}

fn survey_table(params: &Params) -> Result<Survey, SurveyError> {
    let files = read_footers(&params.path)?;
    refuse_empty(&files, params.section, &params.path)?;
    let arrays = match &params.embedding {
        Embedding::Arrays(paths) => Some(Arrays::look(paths)?),
        Embedding::Column(_) => None,
    };
    if let Some(arrays) = &arrays {
        arrays.check_rows(&params.path, files.iter().map(|file| file.rows).sum())?;
    }
    let schema = merged_schema(&files);
    let selection = Selection::resolve(params, &schema, arrays.as_ref())
        .map_err(|source| SurveyError::Selection { path: params.path.clone(), source: Box::new(source) })?;
    check_agreement(&files, &selection)?;
    let used = selection.columns_used();
    let page_bytes = walk_pages(&files, &used)?;
    let column = match &params.embedding {
        Embedding::Column(column) => Some(column.as_str()),
        Embedding::Arrays(_) => None,
    };
    let counted = || column.map_or(0, |column| values_per_row(&files, column));
    let dims = fixed_dims(&selection.embedding.1).unwrap_or_else(counted);
    let row_bytes = RowBytes::with_vectors(&files, &used, column, (dims * size_of::<f32>()) as u64);
    let (kept, made) = selection.columns_kept();
    let beside_bytes = RowBytes::of(&files, &kept).and(made);
    let row_group_bytes = row_group_bytes(&files, &used);
    let fingerprint = fingerprint(&files)?;
    let matrix = match &params.fitting.transform {
        Transform::Matrix(path) if params.section == Section::Store => Some(matrix::read(path)?),
        _ => None,
    };
    Ok(Survey {
        files,
        schema,
        selection,
        dims,
        row_bytes,
        beside_bytes,
        row_group_bytes,
        page_bytes,
        fingerprint,
        matrix,
        arrays,
    })
}

impl Surveys {
    /// Whether rows may have several labels: those of the store, and of the queries.
    pub fn several_labels(&self) -> bool {
        self.store.selection.several_labels()
    }

    /// Rows with vectors, before `where`.
    pub fn rows(&self) -> u64 {
        self.tables().map(Survey::rows).sum()
    }

    /// What reading holds at least, one table after the other.
    pub fn reading_bytes(&self) -> u64 {
        self.tables().map(Survey::reading_bytes).max().unwrap_or(0).max(self.links_bytes())
    }

    fn links_bytes(&self) -> u64 {
        self.links().map(LinkSurvey::reading_bytes).max().unwrap_or(0)
    }

    /// How so many threads read where they may hold `room`: the table that holds most.
    pub fn reading(&self, threads: usize, room: u64) -> Reading {
        let readings = self.tables().map(|table| table.reading(threads, room));
        let most = readings.max_by_key(|reading| reading.bytes);
        let most = most.unwrap_or(Reading { bytes: 0, decoders: 1, checkers: 1 });
        Reading { bytes: most.bytes.max(self.links_bytes()), ..most }
    }

    /// Negatives that are not taken again, of outputs that are hashed already.
    ///
    /// # Errors
    /// When ids are text there and numbers here, or the other way round.
    pub fn exclude(&mut self, excluded: Vec<Box<dyn IdPairs>>) -> Result<(), SurveyError> {
        let anchors = self.queries.as_ref().unwrap_or(&self.store);
        let expected = [("anchors", anchors), ("negatives", &self.store)];
        for pairs in &excluded {
            for (found, (what, table)) in pairs.id_types().into_iter().zip(expected) {
                let expected = &table.selection.id_type;
                if is_text(&found) != is_text(expected) {
                    let (path, expected) = (pairs.path().to_owned(), expected.clone());
                    return Err(SurveyError::OtherIds { path, what, found, expected });
                }
            }
        }
        self.excluded = excluded;
        Ok(())
    }

    /// Looks at all files again: they must be those that were surveyed, neither more nor fewer.
    ///
    /// # Errors
    /// The first file that has changed, come or gone.
    pub fn check_unchanged<'a>(&self, sources: impl Into<Sources<'a>>) -> Result<(), PrepareError> {
        let sources = sources.into();
        same_files(&sources.store.path, &self.store.files)?;
        if let (Some(params), Some(queries)) = (sources.queries, &self.queries) {
            same_files(&params.path, &queries.files)?;
        }
        for (params, links) in sources.links().zip(self.links()) {
            same_files(&params.path, &links.files)?;
        }
        self.tables().filter_map(Survey::arrays).try_for_each(Arrays::check_unchanged)?;
        self.excluded.iter().try_for_each(|pairs| pairs.check_unchanged()).map_err(PrepareError::Excluded)?;
        let matrix = self.store.matrix.as_ref();
        Ok(matrix.map_or(Ok(()), |matrix| check_unchanged(&matrix.path, matrix.stamp))?)
    }

    /// The tables of links, in the order of [`Sources::links`].
    pub fn links(&self) -> impl Iterator<Item = &LinkSurvey> {
        self.pairs.iter().chain(&self.scores)
    }

    /// The tables of embeddings.
    fn tables(&self) -> impl Iterator<Item = &Survey> {
        std::iter::once(&self.store).chain(&self.queries)
    }
}

impl Survey {
    /// Rows of all files, before `where`.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Bytes of all files, but for arrays.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Values a vector, as the footers tell it: exact where the type tells, and else unless vectors are null or ragged.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Mean bytes of a row in memory, as far as the footers tell.
    pub fn row_bytes(&self) -> u64 {
        self.row_bytes.mean
    }

    /// Of these, the id and the carried columns.
    pub fn beside_bytes(&self) -> u64 {
        self.beside_bytes.mean
    }

    /// What decides how many rows are read at once, and how many stand together in the prepared store.
    pub(super) fn widest_row(&self) -> u64 {
        self.row_bytes.widest
    }

    pub(super) fn widest_beside(&self) -> u64 {
        self.beside_bytes.widest
    }

    /// Bytes that reading holds at least: footers, row groups as they lie on the disk, pages, batches on their way, and what is
    /// gathered to be written.
    pub fn reading_bytes(&self) -> u64 {
        let load = self.load();
        self.held_bytes().saturating_add(load.bytes(load.slowest()))
    }

    fn reading(&self, threads: usize, room: u64) -> Reading {
        let (load, pace) = (self.load(), self.pace(threads, room));
        let bytes = self.held_bytes().saturating_add(load.bytes(pace));
        Reading { bytes, decoders: pace.units.min(threads), checkers: pace.wave }
    }

    /// How far ahead so many threads read where they may hold `room`.
    pub(super) fn pace(&self, threads: usize, room: u64) -> Pace {
        self.load().pace(threads, room.saturating_sub(self.held_bytes()))
    }

    fn load(&self) -> Load {
        let arrays = self.arrays.as_ref().map_or(0, |arrays| arrays.batch_bytes(batch_rows(self.widest_row())));
        Load::of(&self.files, self.widest_row(), self.row_group_bytes + self.page_bytes, arrays)
    }

    /// What stays at any pace.
    fn held_bytes(&self) -> u64 {
        footer_bytes(&self.files).saturating_add(table::gathered_bytes(self.rows(), self.widest_beside()))
    }

    /// What `prepare.transform` names, where it is a file.
    pub fn matrix(&self) -> Option<&Matrix> {
        self.matrix.as_ref()
    }

    /// What holds the vectors, where the table has none.
    pub fn arrays(&self) -> Option<&Arrays> {
        self.arrays.as_ref()
    }

    /// The file that holds a row of the scan, and the row's place in it.
    pub(super) fn place(&self, source_row: u64) -> (&InputFile, u64) {
        let after = self.files.partition_point(|file| file.first_row <= source_row);
        let file = &self.files[after.saturating_sub(1)];
        (file, source_row - file.first_row)
    }

    /// Of the content of all files but arrays, in order, and the values of partition folders: BLAKE3, in hex.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl InputFile {
    /// Rows of each row group, in order.
    pub(super) fn group_rows(&self) -> impl ExactSizeIterator<Item = u64> {
        // A footer with fewer than none is refused.
        self.metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
    }

    pub(super) fn metadata(&self) -> &Arc<ParquetMetaData> {
        &self.metadata
    }

    pub(super) fn modified(&self) -> SystemTime {
        self.stamp.modified
    }

    /// # Errors
    /// When the file is not the one that was surveyed, or not there any more.
    pub(super) fn check_unchanged(&self) -> Result<(), ScanError> {
        check_unchanged(&self.path, self.stamp)
    }

    /// Partition folders that are columns: the file's own column of the same name stands.
    pub(super) fn hive_columns(&self) -> impl Iterator<Item = (Field, Option<&str>)> {
        self.hive
            .iter()
            .filter(|(name, _)| self.schema.column_with_name(name).is_none())
            .map(|(name, value)| (Field::new(name, DataType::Utf8, true), value.as_deref()))
    }

    /// The type of a column, be it of the file or of a partition folder.
    fn type_of(&self, column: &str) -> Option<DataType> {
        match self.schema.column_with_name(column) {
            Some((_, field)) => Some(field.data_type().clone()),
            None => self.hive.iter().any(|(name, _)| name == column).then_some(DataType::Utf8),
        }
    }
}

/// Lists the files and reads their footers, in parallel.
pub(super) fn read_footers(path: &Path) -> Result<Vec<InputFile>, SurveyError> {
    let listed = files::list(path)?;
    let footers: Vec<_> = listed.into_par_iter().map(read_footer).collect();
    let mut first_row = 0;
    let mut files = Vec::with_capacity(footers.len());
    for footer in footers {
        let file = InputFile { first_row, ..footer? };
        first_row += file.rows;
        files.push(file);
    }
    Ok(files)
}

fn read_footer(listed: Listed) -> Result<InputFile, SurveyError> {
    let Listed { path, name, hive } = listed;
    let io = |source| SurveyError::Io { path: path.clone(), source };
    let mut file = untrusted::open(&path).map_err(|refused| io(refused.into()))?;
    let found = file.metadata().map_err(io)?;
    let stamp = Stamp::of(&found).map_err(io)?;
    let footer =
        vet::footer(&mut file, found.len()).map_err(|source| SurveyError::Unsound { path: path.clone(), source })?;
    let metadata = footer.metadata().clone();
    let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
    let schema = footer.schema().clone();
    Ok(InputFile { path, name, bytes: stamp.bytes, rows, first_row: 0, hive, schema, stamp, metadata })
}

/// Whether `path` still names these files, and they are as they were.
fn same_files(path: &Path, files: &[InputFile]) -> Result<(), ScanError> {
    let path = path.to_owned();
    let listed = match files::list(&path) {
        Ok(listed) => listed,
        Err(source) => return Err(ScanError::Gone { path, source }),
    };
    if !listed.iter().map(|file| &file.path).eq(files.iter().map(|file| &file.path)) {
        return Err(ScanError::OtherFiles { path, before: files.len(), now: listed.len() });
    }
    files.iter().try_for_each(InputFile::check_unchanged)
}

pub(super) fn check_unchanged(path: &Path, stamp: Stamp) -> Result<(), ScanError> {
    match stamp.is_still_at(path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(ScanError::Changed { path: path.to_owned() }),
        Err(source) => Err(ScanError::Io { path: path.to_owned(), source }),
    }
}

/// The columns of all files in order of first appearance, then those of partition folders.
pub(super) fn merged_schema(files: &[InputFile]) -> SchemaRef {
    let mut fields: Vec<Field> = Vec::new();
    let own = files.iter().flat_map(|file| file.schema.fields().iter().map(|field| field.as_ref().clone()));
    let hive = files.iter().flat_map(|file| file.hive_columns().map(|(field, _)| field));
    let mut names = std::collections::HashSet::new();
    for field in own.chain(hive) {
        if names.insert(field.name().clone()) {
            fields.push(field);
        }
    }
    Arc::new(Schema::new(fields))
}

/// Looks at every page of some columns. Returns the bytes that the largest of one file take together, at most.
pub(super) fn walk_pages(files: &[InputFile], used: &BTreeSet<String>) -> Result<u64, SurveyError> {
    let largest: Vec<_> = files
        .par_iter()
        .map(|file| {
            let unsound = |source| SurveyError::Unsound { path: file.path.clone(), source };
            let mut content = File::open(&file.path).map_err(|error| unsound(error.into()))?;
            vet::pages(&mut content, &file.metadata, |column| used.contains(column)).map_err(unsound)
        })
        .collect();
    largest.into_iter().try_fold(0, |most, bytes| Ok(bytes?.max(most)))
}

/// What footers hold in memory.
pub(super) fn footer_bytes(files: &[InputFile]) -> u64 {
    files.iter().map(|file| file.metadata.memory_size() as u64).sum()
}

fn check_agreement(files: &[InputFile], selection: &Selection) -> Result<(), SurveyError> {
    selection.columns_used().iter().try_for_each(|column| agree_on(files, column))
}

pub(super) fn refuse_empty(files: &[InputFile], section: Section, path: &Path) -> Result<(), SurveyError> {
    match files.iter().all(|file| file.rows == 0) {
        true => Err(SurveyError::NoRows { path: path.to_owned(), section }),
        false => Ok(()),
    }
}

/// Values a vector, where the type tells.
fn fixed_dims(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeList(_, size) => usize::try_from(*size).ok(),
        _ => None,
    }
}

/// Whether every file has a column, and in one type.
pub(super) fn agree_on(files: &[InputFile], column: &str) -> Result<(), SurveyError> {
    let mut holders = files.iter().filter_map(|file| Some((file, file.type_of(column)?)));
    let Some((first, expected)) = holders.next() else { return Ok(()) };
    for file in files {
        let (column, first, path) = (column.to_owned(), first.path.clone(), file.path.clone());
        match file.type_of(&column) {
            None => return Err(SurveyError::ColumnMissing { column, first, file: path }),
            Some(found) if !same_values(&found, &expected) => {
                return Err(SurveyError::TypesDiffer { column, first, expected, file: path, found });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// What tells the content of a table, whatever its columns are for: of all files their bytes, their rows and their fingerprint, as
/// [`Survey::fingerprint`] and [`LinkSurvey::fingerprint`] tell it.
///
/// # Errors
/// A file cannot be read, or is no Parquet file.
pub fn identify(path: &Path) -> Result<(u64, u64, String), SurveyError> {
    let files = read_footers(path)?;
    let sum = |of: fn(&InputFile) -> u64| files.iter().map(of).sum();
    Ok((sum(|file| file.bytes), sum(|file| file.rows), fingerprint(&files)?))
}

pub(super) fn fingerprint(files: &[InputFile]) -> Result<String, SurveyError> {
    let hashes: Vec<io::Result<blake3::Hash>> = files.par_iter().map(|file| hash_file(&file.path)).collect();
    let mut whole = blake3::Hasher::new();
    for (file, hash) in files.iter().zip(hashes) {
        let hash = hash.map_err(|source| SurveyError::Io { path: file.path.clone(), source })?;
        whole.update(hash.as_bytes());
        for (key, value) in &file.hive {
            // Lengths keep neighbouring texts apart.
            for text in [Some(key), value.as_ref()] {
                whole.update(&text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
                whole.update(text.map_or(b"", |text| text.as_bytes()));
            }
        }
        whole.update(&(file.hive.len() as u64).to_le_bytes());
    }
    Ok(whole.finalize().to_hex().to_string())
}

pub(super) fn hash_file(path: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut io::BufReader::with_capacity(1 << 20, File::open(path)?), &mut hasher)?;
    Ok(hasher.finalize())
}
