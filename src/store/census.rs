//! How many anchors and positives there are: what can be said of tables without reading their vectors.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use arrow::array::{Array, ArrayRef, new_null_array};
use arrow::compute::{cast, filter};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::logical_expr::Expr;
use serde::{Deserialize, Serialize};

use super::codes::Coder;
use super::ids::Digest;
use super::label_codes::LabelCoder;
use super::link_table::LinkSurvey;
use super::look_alikes::{self, LookAlikes};
use super::pace::Pace;
use super::prepare::PrepareError;
use super::scan::{Scan, ScanError, Stretch};
use super::selection::{Selection, columns_of};
use super::sizes::RowBytes;
use super::survey::{Survey, Surveys};
use super::usable::{self, Labels, LeftOut};
use super::{Code, Params, Sources};

/// What anchors and their positives there are. Rows that preparing will reject are counted with the rest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Census {
    /// Rows of all files of the store.
    pub rows: u64,
    /// Of these, kept by `where`.
    pub kept: u64,
    /// By label: how many labels the store has, rows of the most frequent, and labels of one row.
    pub classes: u64,
    pub largest_class: u64,
    pub singletons: u64,
    /// Of each number of anchors, how many classes have so many; empty where pairs tell.
    #[serde(skip)]
    pub class_anchors: BTreeMap<u64, u64>,
    /// Rows kept whose label is null.
    pub unlabelled: u64,
    /// Of all distinct labels together.
    pub label_bytes: u64,
    /// Where a row may have several labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sets: Option<SetCensus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look_alikes: Option<LookAlikes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries: Option<QueryCensus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pairs: Option<LinkCensus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<LinkCensus>,
    /// Where pairs and scores are both told by ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scored_pairs: Option<ScoredPairs>,
    /// Rows, of the store or the queries, that have a positive.
    pub anchors: u64,
    /// The most positives that an anchor has.
    pub most_positives: u64,
    /// Of all anchors together, the rows that are looked at as positives.
    pub relatives: u64,
}

impl Census {
    /// Anchors, so many of each class at most.
    pub fn anchors_of_classes(&self, most: u64) -> u64 {
        self.class_anchors.iter().map(|(&anchors, &classes)| anchors.min(most) * classes).sum()
    }
}

/// The sets of labels of a census.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SetCensus {
    /// Distinct sets, and the labels in all of them together.
    pub sets: u64,
    pub members: u64,
    /// Labels of all rows together, and of the row that has most.
    pub held: u64,
    pub most: u64,
}

/// The queries of a census.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryCensus {
    /// Rows of all files.
    pub rows: u64,
    /// Of these, kept by `where`.
    pub kept: u64,
}

/// The pairs of a census, or the scores.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkCensus {
    pub rows: u64,
    /// Distinct anchors that they name.
    pub anchors: u64,
    /// The most that one anchor has.
    pub most: u64,
}

/// Of some (anchor, positive) pairs, each once, those that have a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoredPairs {
    pub pairs: u64,
    pub scored: u64,
}

/// Reads labels, `where` and the ids in tables of links; no vectors.
///
/// # Errors
/// Those of [`super::prepare`] that these alone can tell.
pub async fn census(sources: impl Into<Sources<'_>>, surveys: &Surveys) -> Result<Census, PrepareError> {
    let sources = sources.into();
    let label_type = surveys.store.selection.label.as_ref().map_or(&DataType::Null, |(_, data_type)| data_type);
    let mut count = ClassCount::new(label_type).map_err(unfit(&sources.store.path))?;
    let kept = read_labels(sources.store, &surveys.store, &mut |labels| count.add(labels)).await?;
    let (distinct, labelled) = (count.labels.distinct(), kept - count.nulls);
    let mut census = Census {
        rows: surveys.store.rows(),
        kept,
        classes: distinct as u64,
        largest_class: count.labels.largest(),
        singletons: count.labels.singletons(),
        class_anchors: histogram(count.classes().filter(|(class, _)| count.kin(class, 1) > 0).map(|(_, rows)| rows)),
        unlabelled: if sources.store.label.is_some() { count.nulls } else { 0 },
        label_bytes: count.coder.bytes() as u64,
        sets: None,
        look_alikes: count.look_alikes().map_err(unfit(&sources.store.path))?,
        queries: None,
        pairs: None,
        scores: None,
        scored_pairs: None,
        anchors: 0,
        most_positives: 0,
        relatives: 0,
    };
    for (class, rows) in count.classes() {
        let kin = count.kin(&class, 1).min(kept);
        census.anchors += if kin > 0 { rows } else { 0 };
        census.relatives += rows * kin;
        census.most_positives = census.most_positives.max(kin.saturating_sub(1));
    }
    let held = count.held;
    let mut matched = None;
    if let (Some(params), Some(survey)) = (sources.queries, &surveys.queries) {
        let (mut asking, mut relatives, mut most) = (Counts::default(), 0, 0);
        let mut add = |labels: &ArrayRef| {
            for class in count.coder.encode(labels)? {
                // Null, and what no row of the store has, have no kin.
                let kin = count.kin(&class, 0).min(kept);
                if kin > 0 {
                    asking.add(class);
                }
                relatives += kin;
                most = most.max(kin);
            }
            Ok(())
        };
        let kept = read_labels(params, survey, &mut add).await?;
        census.queries = Some(QueryCensus { rows: survey.rows(), kept });
        let anchors = asking.0.iter().sum();
        (census.anchors, census.relatives, census.most_positives) = (anchors, relatives, most);
        census.class_anchors = histogram(asking.0.into_iter().filter(|&anchors| anchors > 0));
        matched = Some(anchors);
    }
    census.sets = count.sets();
    // Whether rows can be used is not known yet.
    let rejected = LeftOut::default();
    usable::check_labels(&sources, Labels { rows: kept, labelled, distinct, held, matched, rejected })?;
    if let (Some(params), Some(survey)) = (sources.pairs, &surveys.pairs) {
        let pairs = count_links(survey, &unfit(&params.path)).await?;
        let asking = census.queries.as_ref().map_or(kept, |queries| queries.kept);
        (census.anchors, census.relatives) = (pairs.anchors.min(asking), pairs.rows);
        census.most_positives = pairs.most.min(kept);
        census.pairs = Some(pairs);
        census.class_anchors = BTreeMap::new();
    }
    if let (Some(params), Some(survey)) = (sources.scores, &surveys.scores) {
        census.scores = Some(count_links(survey, &unfit(&params.path)).await?);
    }
    if let (Some(pairs), Some(scores)) = (&surveys.pairs, &surveys.scores) {
        census.scored_pairs = Some(count_scored(pairs, scores, &unfit(&sources.store.path)).await?);
    }
    Ok(census)
}

/// Of each value, how often it is there.
fn histogram(values: impl Iterator<Item = u64>) -> BTreeMap<u64, u64> {
    let mut histogram = BTreeMap::new();
    values.for_each(|value| *histogram.entry(value).or_default() += 1);
    histogram
}

fn unfit(path: &Path) -> impl Fn(ArrowError) -> PrepareError {
    let path = path.to_owned();
    move |source| PrepareError::Column { path: path.clone(), source }
}

/// Hands on the labels of the rows that `where` keeps, all null where there are none; gives their number.
async fn read_labels(
    params: &Params,
    survey: &Survey,
    add: &mut dyn FnMut(&ArrayRef) -> Result<(), ArrowError>,
) -> Result<u64, PrepareError> {
    let selection = &survey.selection;
    if selection.label.is_none() && selection.filter.is_none() {
        // Footers have told.
        return Ok(survey.rows());
    }
    let mut scan = label_scan(survey)?;
    let mut kept = 0;
    while let Some(stretch) = scan.next().await? {
        let labels = kept_labels(&stretch, selection).and_then(|labels| add(&labels).map(|()| labels));
        kept += labels.map_err(unfit(&params.path))?.len() as u64;
    }
    usable::check_rows(params, survey.rows(), kept, kept)?;
    Ok(kept)
}

/// What there is of labels and conditions, in batches as wide as what they are told from.
pub(super) fn label_scan(survey: &Survey) -> Result<Scan<'_>, ScanError> {
    let selection = &survey.selection;
    let mut expressions: Vec<Expr> = selection.label.iter().map(|(label, _)| label.clone()).collect();
    expressions.extend(selection.filter.clone());
    let row_bytes = RowBytes::of(&survey.files, &columns_of(&expressions)).widest;
    Scan::new(&survey.files, expressions, row_bytes, Pace::slowest(survey.files.len()))
}

fn kept_labels(stretch: &Stretch, selection: &Selection) -> Result<ArrayRef, ArrowError> {
    let labels = match &selection.label {
        Some((_, data_type)) => cast(stretch.batch.column(0), data_type)?,
        None => new_null_array(&DataType::Null, stretch.batch.num_rows()),
    };
    match &selection.filter {
        Some(_) => match stretch.keeps(stretch.batch.num_columns() - 1)? {
            Some(keeps) => filter(&labels, &keeps),
            None => Ok(labels),
        },
        None => Ok(labels),
    }
}

/// Counts links by anchor. Those that name no row are counted with the rest.
async fn count_links(
    survey: &LinkSurvey,
    unfit: &impl Fn(ArrowError) -> PrepareError,
) -> Result<LinkCensus, PrepareError> {
    let mut scan = survey.scan()?;
    let mut coder: Option<Coder> = None;
    let mut counts = Counts::default();
    while let Some(stretch) = scan.next().await? {
        let ids = survey.lefts(&stretch).map_err(unfit)?;
        let coder = match &mut coder {
            Some(coder) => coder,
            None => coder.insert(Coder::new(ids.data_type().clone()).map_err(unfit)?),
        };
        let codes = coder.encode(&ids).map_err(unfit)?;
        codes.into_iter().filter(|code| !code.is_null()).for_each(|code| counts.add(code));
    }
    Ok(LinkCensus { rows: survey.rows(), anchors: counts.distinct() as u64, most: counts.largest() })
}

/// Counts pairs of ids that have a score.
async fn count_scored(
    pairs: &LinkSurvey,
    scores: &LinkSurvey,
    unfit: &impl Fn(ArrowError) -> PrepareError,
) -> Result<ScoredPairs, PrepareError> {
    let mut unscored: HashSet<[Digest; 2]> = HashSet::new();
    let mut scan = pairs.scan()?;
    while let Some(stretch) = scan.next().await? {
        unscored.extend(pairs.digests(&stretch).map_err(unfit)?);
    }
    let count = unscored.len() as u64;
    let mut scan = scores.scan()?;
    while let Some(stretch) = scan.next().await? {
        for link in scores.digests(&stretch).map_err(unfit)? {
            unscored.remove(&link);
        }
    }
    Ok(ScoredPairs { pairs: count, scored: count - unscored.len() as u64 })
}

/// Rows by the code of a value.
#[derive(Default)]
pub(super) struct Counts(Vec<u64>);

impl Counts {
    /// Counts a row.
    pub fn add(&mut self, code: Code) {
        if code.index() >= self.0.len() {
            self.0.resize(code.index() + 1, 0);
        }
        self.0[code.index()] += 1;
    }

    pub fn of(&self, code: Code) -> u64 {
        self.0.get(code.index()).copied().unwrap_or(0)
    }

    /// Distinct values.
    pub fn distinct(&self) -> usize {
        self.0.len()
    }

    /// Rows of the most frequent value.
    pub fn largest(&self) -> u64 {
        self.0.iter().copied().max().unwrap_or(0)
    }

    /// Values of one row.
    pub fn singletons(&self) -> u64 {
        self.0.iter().filter(|&&rows| rows == 1).count() as u64
    }
}

/// Rows by label; of lists, by each label in them.
struct ClassCount {
    coder: LabelCoder,
    labels: Counts,
    /// By class, where that is another thing.
    sets: Counts,
    nulls: u64,
    /// Labels of all rows together.
    held: u64,
}

impl ClassCount {
    /// Of labels of a type in which they are kept.
    fn new(data_type: &DataType) -> Result<Self, ArrowError> {
        let coder = LabelCoder::new(data_type)?;
        Ok(Self { coder, labels: Counts::default(), sets: Counts::default(), nulls: 0, held: 0 })
    }

    fn add(&mut self, values: &ArrayRef) -> Result<(), ArrowError> {
        for class in self.coder.encode(values)? {
            let labels = self.coder.labels_in(&class);
            if labels.is_empty() {
                self.nulls += 1;
                continue;
            }
            self.held += labels.len() as u64;
            labels.iter().for_each(|&label| self.labels.add(label));
            if self.coder.sets().is_some() {
                self.sets.add(class);
            }
        }
        Ok(())
    }

    /// The classes, and their rows.
    fn classes(&self) -> impl Iterator<Item = (Code, u64)> {
        let counts = if self.coder.sets().is_some() { &self.sets } else { &self.labels };
        (0..).map(Code).zip(counts.0.iter().copied())
    }

    /// Of a class, the rows that share a label with it where more than `alone` have that, at most: those that share several count
    /// as often.
    fn kin(&self, class: &Code, alone: u64) -> u64 {
        self.coder.labels_in(class).iter().map(|&label| self.labels.of(label)).filter(|&rows| rows > alone).sum()
    }

    /// Labels that look like others.
    fn look_alikes(&self) -> Result<Option<LookAlikes>, ArrowError> {
        look_alikes::find(self.coder.values())
    }

    fn sets(&self) -> Option<SetCensus> {
        let sets = self.coder.sets()?;
        let sizes = || sets.iter().map(|set| set.len() as u64);
        Some(SetCensus {
            sets: sets.len() as u64,
            members: sizes().sum(),
            held: self.held,
            most: sizes().max().unwrap_or(0),
        })
    }
}
