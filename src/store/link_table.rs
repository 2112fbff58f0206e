//! A table of links: read in the order of its files, ids resolved to rows.
//!
//! While the stores are prepared, the ids of both are known by their digests, so a link is found by two look-ups: no join, and
//! integers of any width are equal by value, as everywhere.

use std::path::PathBuf;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use datafusion::logical_expr::Expr;

use super::expression::{Columns, ExpressionError, Fault, Typed};
use super::flaw::Flaw;
use super::ids::{self, Digest, Seen};
use super::links::Link;
use super::pace::{Load, Pace};
use super::prepare::PrepareError;
use super::rejects::Rejects;
use super::scan::{Scan, Stretch};
use super::selection::{SelectionError, columns_of};
use super::sizes::{RowBytes, row_group_bytes};
use super::survey::{self, InputFile, Survey, SurveyError, agree_on, merged_schema, read_footers};
use super::types::{describe, is_text, plain};
use super::{LinkParams, Params, Row, Section};

/// The files of a table of links in scan order, and what a pipeline wants of them.
pub struct LinkSurvey {
    pub files: Vec<InputFile>,
    left: (Expr, DataType),
    right: (Expr, DataType),
    value: Option<Expr>,
    /// What a row holds in the columns that are read, and an open file before its rows are decoded, at most.
    row_bytes: u64,
    open_bytes: u64,
    fingerprint: String,
}

/// Bytes of a link's ids while they are read, at least: decides how many are read at once.
const ROW_BYTES: u64 = 64;

impl LinkSurvey {
    /// Looks at the files, given the tables whose ids they name: the anchors', and the corpus.
    pub(super) fn new(
        params: &LinkParams,
        anchors: (&Params, &Survey),
        corpus: (&Params, &Survey),
    ) -> Result<Self, SurveyError> {
        let files = read_footers(&params.path)?;
        survey::refuse_empty(&files, params.section, &params.path)?;
        let unfit = |source| SurveyError::Selection { path: params.path.clone(), source: Box::new(source) };
        let columns = Columns::new(params.section, &merged_schema(&files))
            .map_err(|source| unfit(SelectionError::Columns(source)))?;
        let id = |(key, text): &(&str, String), (table, survey): (&Params, &Survey)| {
            let typed = columns.id(key, text)?;
            names(&columns, key, text, &typed, table, &survey.selection.id_type)?;
            Ok((typed.expr, plain(&typed.data_type)))
        };
        let of = |error: ExpressionError| unfit(SelectionError::Expression(error));
        let (left, right) = (id(&params.left, anchors).map_err(of)?, id(&params.right, corpus).map_err(of)?);
        let value = params.value.as_ref().map(|(key, text)| number(&columns, key, text)).transpose().map_err(of)?;
        let used = columns_of(&expressions(&left.0, &right.0, &value));
        used.iter().try_for_each(|column| agree_on(&files, column))?;
        let open_bytes = survey::walk_pages(&files, &used)? + row_group_bytes(&files, &used);
        let row_bytes = RowBytes::of(&files, &used).widest.max(ROW_BYTES);
        let fingerprint = survey::fingerprint(&files)?;
        Ok(Self { files, left, right, value, row_bytes, open_bytes, fingerprint })
    }

    /// Rows of all files.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Bytes that reading holds, as of [`Survey::reading_bytes`].
    pub(super) fn reading_bytes(&self) -> u64 {
        let load = Load::of(&self.files, self.row_bytes, self.open_bytes, 0);
        survey::footer_bytes(&self.files).saturating_add(load.bytes(load.slowest()))
    }

    /// As of [`Survey::fingerprint`].
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    pub(super) fn scan(&self) -> Result<Scan<'_>, PrepareError> {
        let expressions = expressions(&self.left.0, &self.right.0, &self.value);
        Ok(Scan::new(&self.files, expressions, self.row_bytes, Pace::slowest(self.files.len()))?)
    }

    /// The anchors' ids of some rows of [`LinkSurvey::scan`].
    pub(super) fn lefts(&self, stretch: &Stretch) -> Result<ArrayRef, ArrowError> {
        cast(stretch.batch.column(0), &self.left.1)
    }

    /// Of some rows, both ids; those with a null are left out.
    pub(super) fn digests(&self, stretch: &Stretch) -> Result<Vec<[Digest; 2]>, ArrowError> {
        let (lefts, rights) = (self.lefts(stretch)?, self.rights(stretch)?);
        let (of_left, of_right) = (ids::digests(&lefts)?, ids::digests(&rights)?);
        let whole = |&row: &usize| lefts.is_valid(row) && rights.is_valid(row);
        Ok((0..lefts.len()).filter(whole).map(|row| [of_left[row], of_right[row]]).collect())
    }

    /// The ids of the rows of the corpus.
    fn rights(&self, stretch: &Stretch) -> Result<ArrayRef, ArrowError> {
        cast(stretch.batch.column(1), &self.right.1)
    }
}

fn expressions(left: &Expr, right: &Expr, value: &Option<Expr>) -> Vec<Expr> {
    [left, right].into_iter().chain(value).cloned().collect()
}

/// Whether these ids can be those of a table: texts of texts, integers of integers.
fn names(
    columns: &Columns,
    key: &str,
    text: &str,
    typed: &Typed,
    table: &Params,
    id_type: &DataType,
) -> Result<(), ExpressionError> {
    if is_text(&typed.data_type) == is_text(id_type) {
        return Ok(());
    }
    let whose = table.section.name();
    let cure = match (&table.id, is_text(id_type)) {
        (None, _) => format!("; rows of the {whose} have numbers for ids unless {whose}.id says otherwise"),
        (Some(_), true) => format!("; cast it, e.g. cast({text} as varchar)"),
        (Some(_), false) => format!("; cast it, e.g. cast({text} as bigint)"),
    };
    let found = format!("{}, and {} in {whose}.id", describe(&typed.data_type), describe(id_type));
    Err(columns.complain(key, text, Fault::Type { needed: "it must name rows by their ids", found, cure }))
}

fn number(columns: &Columns, key: &str, text: &str) -> Result<Expr, ExpressionError> {
    let typed = columns.expression(key, text)?;
    if plain(&typed.data_type).is_numeric() {
        return Ok(typed.expr);
    }
    let (needed, found) = ("one number a row is needed", describe(&typed.data_type));
    Err(columns.complain(key, text, Fault::Type { needed, found, cure: String::new() }))
}

/// The rows of one side, to be found by their ids.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub section: Section,
    pub seen: &'a Seen,
    pub id_type: &'a DataType,
}

/// Reads all links. Those that name no row are rejected.
pub(super) async fn resolve(
    params: &LinkParams,
    survey: &LinkSurvey,
    anchors: Named<'_>,
    corpus: Named<'_>,
) -> Result<(Vec<Link>, Rejects), PrepareError> {
    let mut links = Vec::new();
    let mut rejects = Rejects::new(params.section, params.bad_rows, anchors.id_type.clone());
    let mut scan = survey.scan()?;
    while let Some(stretch) = scan.next().await? {
        let unfit = |source| PrepareError::Column { path: stretch.place.file.path.clone(), source };
        let ids = Ids::of(survey, &stretch).map_err(unfit)?;
        let mut flawed = Vec::new();
        for (row, link) in (0..).zip(ids.links(params, &stretch, anchors, corpus).map_err(unfit)?) {
            match link {
                Ok(link) => links.push(link),
                Err(flaw) => flawed.push((row, flaw)),
            }
        }
        let lefts = cast(&ids.lefts, anchors.id_type).map_err(unfit)?;
        rejects.add(stretch.place, &lefts, &flawed).map_err(unfit)?;
        if rejects.beyond_listing() {
            break;
        }
    }
    Ok((links, rejects))
}

/// The ids of some rows.
struct Ids {
    lefts: ArrayRef,
    rights: ArrayRef,
}

impl Ids {
    fn of(survey: &LinkSurvey, stretch: &Stretch) -> Result<Self, ArrowError> {
        Ok(Self { lefts: survey.lefts(stretch)?, rights: survey.rights(stretch)? })
    }

    /// The link of each row, or what is wrong with it.
    fn links(
        &self,
        params: &LinkParams,
        stretch: &Stretch,
        anchors: Named<'_>,
        corpus: Named<'_>,
    ) -> Result<Vec<Result<Link, Flaw>>, ArrowError> {
        let Self { lefts, rights } = self;
        let values = stretch.batch.columns().get(2).map(|values| cast(values, &DataType::Float64)).transpose()?;
        let (of_left, of_right) = (ids::digests(lefts)?, ids::digests(rights)?);
        let link = |row: usize| {
            let left = find(params.left.0, lefts, &of_left, anchors, row)?;
            let right = Row(find(params.right.0, rights, &of_right, corpus, row)?);
            let value = match (&params.value, &values) {
                (Some((key, _)), Some(values)) => finite(key, values, row)?,
                _ => 0.0,
            };
            Ok(Link { left, right, value })
        };
        Ok((0..lefts.len()).map(link).collect())
    }
}

/// Two ids with two numbers.
#[derive(Debug, thiserror::Error)]
#[error(
    "{}: {} {:?} and {} {:?} have more than one {value}: {}; keep one of them",
    .path.display(), .left.0, .left.1, .right.0, .right.1, places(.found)
)]
pub struct TwoValues {
    path: PathBuf,
    /// What each of the two is, and its id.
    left: (&'static str, String),
    right: (&'static str, String),
    /// What the number is.
    value: &'static str,
    /// The file and the row of each number.
    found: Vec<(PathBuf, u64, f32)>,
}

fn places(found: &[(PathBuf, u64, f32)]) -> String {
    let place = |(file, row, value): &(PathBuf, u64, f32)| format!("{value} in {}, row {row}", file.display());
    found.iter().map(place).collect::<Vec<_>>().join(", ")
}

/// Where a link stands that [`super::links::sort`] met with two numbers.
pub(super) async fn two_values(
    params: &LinkParams,
    survey: &LinkSurvey,
    anchors: Named<'_>,
    corpus: Named<'_>,
    [twin, _]: [Link; 2],
) -> Result<TwoValues, PrepareError> {
    let mut told = TwoValues {
        path: params.path.clone(),
        left: (params.left.0, String::new()),
        right: (params.right.0, String::new()),
        value: params.value.as_ref().map_or("number", |(key, _)| key),
        found: Vec::new(),
    };
    let mut scan = survey.scan()?;
    while let Some(stretch) = scan.next().await? {
        let unfit = |source| PrepareError::Column { path: stretch.place.file.path.clone(), source };
        let ids = Ids::of(survey, &stretch).map_err(unfit)?;
        for (row, link) in ids.links(params, &stretch, anchors, corpus).map_err(unfit)?.into_iter().enumerate() {
            let Ok(link) = link else { continue };
            let same = (link.left, link.right) == (twin.left, twin.right);
            if same && told.found.first().is_none_or(|(.., first)| *first != link.value) {
                told.left.1 = shortened(array_value_to_string(&ids.lefts, row).unwrap_or_default());
                told.right.1 = shortened(array_value_to_string(&ids.rights, row).unwrap_or_default());
                told.found.push((stretch.place.file.path.clone(), stretch.place.file_row + row as u64, link.value));
            }
            if told.found.len() == 2 {
                return Ok(told);
            }
        }
    }
    Ok(told)
}

fn find(role: &'static str, ids: &ArrayRef, digests: &[Digest], table: Named, row: usize) -> Result<u32, Flaw> {
    if ids.is_null(row) {
        return Err(Flaw::NullLink { role });
    }
    table.seen.row(digests[row]).ok_or_else(|| Flaw::UnknownId {
        role,
        id: shortened(array_value_to_string(ids, row).unwrap_or_default()),
        table: table.section,
    })
}

/// An id of which there is no other word than its own: not more of it than a person reads.
fn shortened(mut id: String) -> String {
    if let Some((end, _)) = id.char_indices().nth(100) {
        id.truncate(end);
        id.push('…');
    }
    id
}

fn finite(role: &'static str, values: &ArrayRef, row: usize) -> Result<f32, Flaw> {
    if values.is_null(row) {
        return Err(Flaw::NoNumber { role, value: "null".to_owned() });
    }
    let value = values.as_primitive::<Float64Type>().value(row);
    match (value as f32).is_finite() {
        // Adding zero makes −0 and 0 one number.
        true => Ok(value as f32 + 0.0),
        false => Err(Flaw::NoNumber { role, value: value.to_string() }),
    }
}
