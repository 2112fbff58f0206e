//! Streams the rows of all tables, checks each, and freezes those that pass.

use std::path::{Path, PathBuf};

use arrow::array::new_empty_array;
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use rayon::prelude::*;

use super::codes::Coder;
use super::draft::{Draft, Rows, WriteError};
use super::examine::Examined;
use super::fit::{FitError, check_dims};
use super::ids::{self, Seen};
use super::label_codes::{Coded, LabelCoder};
use super::layout::{self, Header};
use super::link_table::{self, Named, TwoValues};
use super::links::{self, Link};
use super::prepared::Excluded;
use super::rejects::{BadRowsFound, Rejects};
use super::scan::ScanError;
use super::sets::SetsHeader;
use super::side::Side;
use super::survey::{DimensionsDiffer, Survey, Surveys};
use super::table_scan::TableScan;
use super::usable::{self, Labels, Useless};
use super::{Code, IdPairs, LinkParams, PairsError, Params, Row, Section, Sources};
use crate::disk;

/// Why a store is refused, or cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error(transparent)]
    Scan(#[from] ScanError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("{}: a column cannot be brought into the type it is kept in: {source}", .path.display())]
    Column { path: PathBuf, source: ArrowError },
    #[error("{0}")]
    BadRows(BadRowsFound),
    #[error(transparent)]
    Useless(#[from] Useless),
    #[error(transparent)]
    DimensionsDiffer(#[from] DimensionsDiffer),
    #[error(transparent)]
    TwoValues(#[from] Box<TwoValues>),
    #[error(transparent)]
    Fit(#[from] Box<FitError>),
    #[error(transparent)]
    Excluded(PairsError),
    #[error("{}: the store has more than {MAX_ROWS} rows; keep fewer with `where`", .path.display())]
    TooManyRows { path: PathBuf },
}

/// Rows are numbered in 32 bits, and the last number stands for null.
const MAX_ROWS: u64 = u32::MAX as u64 - 1;

/// Reads all rows of all tables once, and writes the prepared store into the folder `dir`, its header last. Where `[prepare]`
/// learns from the vectors, they are left as they are for [`super::fit`].
/// `room` bounds what is on its way, in bytes, where that is more than [the least](Surveys::reading_bytes); `on_rows` hears how many
/// rows with vectors each step has read. Where it fails, the folder is gone.
///
/// # Errors
/// A file cannot be read or has changed; a row cannot be used and the pipeline does not allow skipping; nothing is left;
/// no anchor can have a positive; the folder cannot be written.
pub async fn prepare(
    sources: impl Into<Sources<'_>>,
    surveys: &Surveys,
    dir: &Path,
    room: u64,
    on_rows: &(dyn Fn(u64) + Sync),
) -> Result<(), PrepareError> {
    let prepared = read_all(sources.into(), surveys, dir, room, on_rows).await;
    if prepared.is_err() {
        // Half a store helps nobody, and may be what fills the disk. What went wrong before matters more than this.
        let _ = disk::remove_folder(dir);
    }
    prepared
}

async fn read_all(
    sources: Sources<'_>,
    surveys: &Surveys,
    dir: &Path,
    room: u64,
    on_rows: &(dyn Fn(u64) + Sync),
) -> Result<(), PrepareError> {
    let mut preparation = Preparation::begin(sources.store, &surveys.store, dir)?;
    preparation.read(room, on_rows).await?;
    if let (Some(params), Some(survey)) = (sources.queries, &surveys.queries) {
        preparation.turn_to(params, survey)?;
        preparation.read(room, on_rows).await?;
    }
    for (params, survey) in sources.links().zip(surveys.links()) {
        preparation.link(params, survey).await?;
    }
    preparation.exclude(&surveys.excluded)?;
    preparation.finish(sources)
}

/// A stretch that was examined, or why it cannot be.
type Checked<'a> = Result<Examined<'a>, PrepareError>;

struct Preparation<'a> {
    draft: Draft,
    /// What is being read: the corpus, then the queries.
    side: Side<'a>,
    /// The corpus, once the queries are read.
    corpus: Option<Corpus<'a>>,
    labels: Option<LabelCoder>,
    groups: Vec<Coder>,
    /// Rows that passed, of all tables.
    rows: u64,
    /// Of the rows of the corpus, those with a label.
    labelled: u64,
    /// The labels that they have, all together.
    held: u64,
    /// Queries whose label some row of the corpus has.
    matched: u64,
    /// Of each table of links, how many there are, and its rows that make none.
    links: Vec<(Section, u64, Rejects)>,
    excluded: Option<Excluded>,
}

/// What is known of the corpus when the queries come.
struct Corpus<'a> {
    side: Side<'a>,
    labels: usize,
}

impl<'a> Preparation<'a> {
    fn begin(params: &'a Params, survey: &'a Survey, dir: &Path) -> Result<Self, PrepareError> {
        let selection = &survey.selection;
        let coder = |(_, data_type): &(_, DataType)| {
            Coder::new(data_type.clone()).map_err(|source| PrepareError::Column { path: params.path.clone(), source })
        };
        let label_coder = |(_, data_type): &(_, DataType)| {
            LabelCoder::new(data_type).map_err(|source| PrepareError::Column { path: params.path.clone(), source })
        };
        let side = Side::new(params, survey);
        Ok(Self {
            draft: Draft::create(dir, side.fields(), survey.widest_beside(), selection.groups.len())?,
            side,
            corpus: None,
            labels: selection.label.as_ref().map(label_coder).transpose()?,
            groups: selection.groups.iter().map(coder).collect::<Result<_, _>>()?,
            rows: 0,
            labelled: 0,
            held: 0,
            matched: 0,
            links: Vec::new(),
            excluded: None,
        })
    }

    /// What follows are queries.
    fn turn_to(&mut self, params: &'a Params, survey: &'a Survey) -> Result<(), PrepareError> {
        let queries = Side::new(params, survey);
        self.draft.turn_to_queries(queries.fields(), survey.widest_beside())?;
        let side = std::mem::replace(&mut self.side, queries);
        self.corpus = Some(Corpus { side, labels: self.labels.as_ref().map_or(0, LabelCoder::labels) });
        Ok(())
    }

    /// Reads the whole of a side. While some stretches are examined, on all threads, those before them are added in order.
    async fn read(&mut self, room: u64, on_rows: &(dyn Fn(u64) + Sync)) -> Result<(), PrepareError> {
        let (survey, examiner) = (self.side.survey, self.side.examiner());
        let pace = survey.pace(rayon::current_num_threads(), room);
        let mut scan = TableScan::new(survey, pace)?;
        let mut ready = Vec::new();
        while !self.side.rejects.beyond_listing() {
            let (stretches, ended) = match scan.wave(pace.wave).await {
                Ok(stretches) => (stretches, Ok(())),
                Err(failed) => (Vec::new(), Err(failed)),
            };
            let last = stretches.is_empty();
            let examine = || stretches.into_par_iter().map(|stretch| examiner.examine(stretch)).collect();
            let (added, examined) = rayon::join(|| self.add_all(std::mem::take(&mut ready), on_rows), examine);
            added?;
            if self.side.rejects.beyond_listing() {
                break;
            }
            ended?;
            if last {
                break;
            }
            ready = examined;
            if pace.wave == 1 {
                // Nothing more is held than what is being added.
                self.add_all(std::mem::take(&mut ready), on_rows)?;
            }
        }
        let Side { params, rejects, kept, rows, judge, .. } = &self.side;
        refuse(rejects, *kept)?;
        usable::check_rows(params, survey.rows(), *kept, *rows)?;
        Ok(usable::check_width(params, judge.dims(), rejects.widths(), *kept)?)
    }

    /// Adds stretches in order, up to one after which there are more rows to be listed than can be.
    fn add_all(&mut self, stretches: Vec<Checked>, on_rows: &(dyn Fn(u64) + Sync)) -> Result<(), PrepareError> {
        for stretch in stretches {
            let stretch = stretch?;
            let rows = stretch.rows.len() as u64;
            self.add(stretch)?;
            on_rows(rows);
            if self.side.rejects.beyond_listing() {
                break;
            }
        }
        Ok(())
    }

    fn add(&mut self, stretch: Examined) -> Result<(), PrepareError> {
        let place = stretch.place;
        let unfit = |source| PrepareError::Column { path: place.file.path.clone(), source };
        let passed = self.side.take_in(stretch).map_err(unfit)?;
        if let Some(dims) = self.side.judge.dims() {
            // Not only when all is read.
            check_dims(&self.side.params.fitting, self.side.survey.matrix(), dims).map_err(Box::new)?;
        }
        if let Some(Corpus { side, .. }) = &self.corpus {
            let dims = [side.judge.dims(), self.side.judge.dims()];
            DimensionsDiffer::check([side.params, self.side.params], dims)?;
        }
        self.rows += passed.rows.len() as u64;
        if self.rows > MAX_ROWS {
            return Err(PrepareError::TooManyRows { path: self.side.params.path.clone() });
        }
        let labels = match (&mut self.labels, &passed.columns.label) {
            (Some(coder), Some(values)) => coder.encode(values).map_err(unfit)?,
            _ => vec![Code::NULL; passed.rows.len()],
        };
        if let Some(coder) = &self.labels {
            for labels in labels.iter().map(|class| coder.labels_in(class)).filter(|labels| !labels.is_empty()) {
                match &self.corpus {
                    None => (self.labelled, self.held) = (self.labelled + 1, self.held + labels.len() as u64),
                    Some(corpus) => {
                        self.matched += u64::from(labels.iter().any(|label| label.index() < corpus.labels));
                    }
                }
            }
        }
        let groups = self.groups.iter_mut().zip(&passed.columns.groups).map(|(coder, values)| coder.encode(values));
        let first = place.source_row();
        let digests = || passed.rows.iter().map(|&row| passed.digests[row as usize]);
        let own = |corpus: &Corpus| digests().map(|digest| corpus.own(&self.side, digest)).collect::<Vec<Row>>();
        self.draft.append(Rows {
            vectors: &passed.vectors,
            labels: &labels,
            groups: &groups.collect::<Result<Vec<_>, _>>().map_err(unfit)?,
            keys: &digests().map(ids::key).collect::<Vec<_>>(),
            source_rows: &passed.rows.iter().map(|&row| first + u64::from(row)).collect::<Vec<_>>(),
            own: &self.corpus.as_ref().map(own).unwrap_or_default(),
            table: passed.columns.table,
        })?;
        Ok(())
    }

    /// Reads a table of links, and writes those that name rows of both sides.
    async fn link(&mut self, params: &LinkParams, survey: &link_table::LinkSurvey) -> Result<(), PrepareError> {
        let corpus = self.corpus.as_ref().map_or(&self.side, |corpus| &corpus.side);
        let (anchors, to) = (named(&self.side), named(corpus));
        let (mut links, rejects) = link_table::resolve(params, survey, anchors, to).await?;
        refuse(&rejects, survey.rows())?;
        if links.is_empty() {
            let (path, roles) = (params.path.clone(), [params.left.0, params.right.0]);
            return Err(Useless::NoLinks { path, roles, rows: survey.rows() }.into());
        }
        if let Err(twice) = links::sort(&mut links) {
            return Err(link_table::two_values(params, survey, anchors, to, twice).await.map(Box::new)?.into());
        }
        let (section, valued) = (params.section, params.value.is_some());
        self.draft.write_links(section.name(), self.side.rows as u32, &links, valued)?;
        self.links.push((section, links.len() as u64, rejects));
        Ok(())
    }

    /// Reads which negatives anchors have had, and keeps those of rows that are still there.
    fn exclude(&mut self, earlier: &[Box<dyn IdPairs>]) -> Result<(), PrepareError> {
        if earlier.is_empty() {
            return Ok(());
        }
        let corpus = self.corpus.as_ref().map_or(&self.side, |corpus| &corpus.side);
        let (mut links, mut gone) = (Vec::new(), 0);
        for pairs in earlier {
            let unfit = |source| PrepareError::Column { path: pairs.path().to_owned(), source };
            for pairs in pairs.pairs() {
                let [anchors, negatives] = pairs.map_err(PrepareError::Excluded)?;
                let (anchors, negatives) = (ids::digests(&anchors), ids::digests(&negatives));
                for (anchor, negative) in anchors.map_err(unfit)?.into_iter().zip(negatives.map_err(unfit)?) {
                    match (self.side.seen.row(anchor), corpus.seen.row(negative)) {
                        (Some(left), Some(right)) => links.push(Link { left, right: Row(right), value: 0.0 }),
                        _ => gone += 1,
                    }
                }
            }
        }
        // None of them has a number, so no two contradict each other.
        let _ = links::sort(&mut links);
        self.draft.write_links(Section::Exclude.name(), self.side.rows as u32, &links, false)?;
        self.excluded = Some(Excluded { pairs: links.len() as u64, gone });
        Ok(())
    }

    fn finish(self, sources: Sources) -> Result<(), PrepareError> {
        let Self { mut draft, side, corpus, labels, rows, labelled, held, matched, links, excluded, .. } = self;
        let (store, queries, distinct) = match corpus {
            Some(Corpus { side: store, labels }) => (store, Some(side), labels),
            None => (side, None, labels.as_ref().map_or(0, LabelCoder::labels)),
        };
        let matched = queries.is_some().then_some(matched);
        let rejected =
            Rejects::left_out([Some(&store), queries.as_ref()].into_iter().flatten().map(|side| &side.rejects));
        usable::check_labels(&sources, Labels { rows: store.rows, labelled, distinct, held, matched, rejected })?;
        let count = |section| links.iter().find(|(of, ..)| *of == section).map(|(_, count, _)| *count);
        let unfit = |source| PrepareError::Column { path: store.params.path.clone(), source };
        let classes = labels.as_ref().map_or(0, LabelCoder::classes);
        let Coded { values, sets } = match labels {
            Some(coder) => coder.finish().map_err(unfit)?,
            None => Coded { values: new_empty_array(&DataType::Null), sets: None },
        };
        let counted = |sets: &Vec<Box<[Code]>>| SetsHeader {
            labels: values.len(),
            members: sets.iter().map(|set| set.len()).sum(),
        };
        let norms = [Some(&store), queries.as_ref()].into_iter().flatten().map(|side| side.judge.max_norm());
        let header = Header {
            format: layout::FORMAT.to_owned(),
            version: layout::VERSION,
            rows: rows as u32,
            queries: queries.as_ref().map(|side| side.rows as u32),
            pairs: count(Section::Pairs),
            scores: count(Section::Scores),
            excluded,
            dims: store.judge.dims().unwrap_or(0),
            metric: store.params.reading_metric(),
            max_norm: norms.fold(0.0, f64::max),
            classes,
            sets: sets.as_ref().map(counted),
            groups: store.params.groups.iter().map(|(name, _)| name.clone()).collect(),
            fingerprint: store.survey.fingerprint().to_owned(),
            files: layout::Files::new(),
        };
        if let Some(sets) = sets {
            draft.write_sets(&sets)?;
        }
        let path = store.params.path.clone();
        let tables = queries.map(|side| side.rejects).into_iter().chain([store.rejects]);
        let tables = tables.chain(links.into_iter().map(|(.., rejects)| rejects));
        let freeze = || {
            let batches: Vec<_> = tables.map(Rejects::into_batch).collect::<Result<_, ArrowError>>()?;
            concat_batches(&batches[0].schema(), &batches)
        };
        let rejected = freeze().map_err(|source| PrepareError::Column { path, source })?;
        Ok(draft.finish(header, values, rejected)?)
    }
}

impl Corpus<'_> {
    /// The row with the id of a query. Row numbers of two tables have nothing to do with each other.
    fn own(&self, queries: &Side, digest: ids::Digest) -> Row {
        let named = self.side.params.id.is_some() && queries.params.id.is_some();
        self.side.seen.row(digest).filter(|_| named).map_or(Row::NONE, Row)
    }
}

fn named<'s>(side: &'s Side) -> Named<'s> {
    let seen: &Seen = &side.seen;
    Named { section: side.section(), seen, id_type: &side.survey.selection.id_type }
}

/// Refuses a table with bad rows that may not be left out, or are too many; of `rows` rows that were looked at.
fn refuse(rejects: &Rejects, rows: u64) -> Result<(), PrepareError> {
    rejects.refusal(rows).map_or(Ok(()), |found| Err(PrepareError::BadRows(found)))
}
