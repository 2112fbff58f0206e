//! The columns and expressions of a pipeline, resolved and with types that can serve.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::Expr;

use super::array::Arrays;
use super::expression::{Columns, ExpressionError, Fault, Typed};
use super::types::{common, describe, is_category, is_embedding, label_lists, list_element, plain};
use super::{Embedding, Params, Section};

/// What is read of each row. Types are those in which values are kept, see [`plain`].
pub(super) struct Selection {
    pub embedding: (Expr, DataType),
    /// The row number without one.
    pub id: Option<Expr>,
    pub id_type: DataType,
    pub label: Option<(Expr, DataType)>,
    pub groups: Vec<(Expr, DataType)>,
    pub carry: Vec<(String, Expr, DataType)>,
    pub filter: Option<Expr>,
}

/// Bytes of an id that an expression makes, of whatever it makes it.
const MADE_ID: u64 = 64;

/// Why a selection cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    #[error("the columns cannot be told apart: {}", .0.strip_backtrace())]
    Columns(DataFusionError),
}

impl Selection {
    /// `arrays` are those that hold the vectors, where they are in no column.
    pub fn resolve(params: &Params, schema: &Schema, arrays: Option<&Arrays>) -> Result<Self, SelectionError> {
        let columns = Columns::new(params.section, schema).map_err(SelectionError::Columns)?;
        let check = |key: &str, text: &str, holds: bool, fault: &dyn Fn() -> Fault| match holds {
            true => Ok(()),
            false => Err(columns.complain(key, text, fault())),
        };
        let group = |key: &str, text: &str| {
            let typed = columns.expression(key, text)?;
            check(key, text, is_category(&typed.data_type), &|| not_a_category(GROUP, &typed.data_type))?;
            Ok::<_, ExpressionError>(kept(typed))
        };
        let embedding = match &params.embedding {
            Embedding::Column(name) => {
                let Typed { expr, data_type } = columns.column("embedding", name)?;
                let holds = is_embedding(&data_type);
                check("embedding", name, holds, &|| not_an_embedding(params, name, &data_type, schema))?;
                (expr, data_type)
            }
            // Holds the place of what is read beside the table.
            Embedding::Arrays(_) => {
                (Expr::Literal(ScalarValue::Null, None), arrays.map_or(DataType::Null, Arrays::data_type))
            }
        };
        let id = params.id.as_ref().map(|text| columns.id("id", text).map(kept)).transpose()?;
        let (id, id_type) = id.map_or((None, DataType::UInt64), |(expr, data_type)| (Some(expr), data_type));
        let label = |text: &String| {
            let Typed { expr, data_type } = columns.expression("label", text)?;
            if let Some(lists) = label_lists(&data_type) {
                return Ok((expr, lists));
            }
            check("label", text, is_category(&data_type), &|| not_a_category(LABEL, &data_type))?;
            Ok::<_, ExpressionError>((expr, plain(&data_type)))
        };
        let label = params.label.as_ref().map(label).transpose()?;
        let groups = params.groups.iter().map(|(name, text)| group(&format!("groups.{name}"), text));
        let groups = groups.collect::<Result<_, _>>()?;
        let carry = params.carry.iter().map(|name| {
            let (expr, data_type) = kept(columns.column("carry", name)?);
            Ok::<_, ExpressionError>((name.clone(), expr, data_type))
        });
        let carry = carry.collect::<Result<_, _>>()?;
        let filter = match &params.filter {
            None => None,
            Some(text) => {
                let typed = columns.expression("where", text)?;
                let boolean = matches!(typed.data_type, DataType::Boolean | DataType::Null);
                check("where", text, boolean, &|| Fault::Type {
                    needed: "rows are kept where a condition is true",
                    found: describe(&typed.data_type),
                    cure: "; compare it with something".to_owned(),
                })?;
                Some(typed.expr)
            }
        };
        Ok(Self { embedding, id, id_type, label, groups, carry, filter })
    }

    /// Whether a row may have several labels.
    pub fn several_labels(&self) -> bool {
        self.label.as_ref().is_some_and(|(_, data_type)| list_element(data_type).is_some())
    }

    /// What a scan computes of each row, in this order: embedding, groups, carried columns, then what there is of label,
    /// id and filter.
    pub fn expressions(&self) -> Vec<Expr> {
        let mut expressions = vec![self.embedding.0.clone()];
        expressions.extend(self.groups.iter().map(|(expr, _)| expr.clone()));
        expressions.extend(self.carry.iter().map(|(_, expr, _)| expr.clone()));
        expressions.extend(self.label.iter().map(|(expr, _)| expr.clone()));
        expressions.extend(self.id.clone());
        expressions.extend(self.filter.clone());
        expressions
    }

    /// The names of all columns that are read, in order.
    pub fn columns_used(&self) -> BTreeSet<String> {
        columns_of(&self.expressions())
    }

    /// The names of the columns that are kept as they are beside the vectors, id and carried ones; and the bytes of an id that is in
    /// no column.
    pub fn columns_kept(&self) -> (BTreeSet<String>, u64) {
        let carried = self.carry.iter().map(|(_, expr, _)| expr);
        let (id, made) = match &self.id {
            Some(id @ Expr::Column(_)) => (Some(id), 0),
            Some(_) => (None, MADE_ID),
            None => (None, size_of::<u64>() as u64),
        };
        (columns_of(carried.chain(id)), made)
    }

    /// Brings the values that are compared across both tables into one type on both sides.
    ///
    /// # Errors
    /// No type holds both without loss.
    pub fn agree(store: &mut Self, queries: &mut Self, params: [&Params; 2]) -> Result<(), ExpressionError> {
        let differ = |key: &str, of: &dyn Fn(&Params) -> Option<String>, types: [&DataType; 2]| {
            let [here, there] = params.map(of);
            let cure = match (&here, &there) {
                (None, _) => format!("; give [store] an {key}, so that its rows are not just numbered"),
                (_, None) => format!("; give [queries] an {key}, so that its rows are not just numbered"),
                (Some(here), Some(there)) => {
                    format!("; cast one of them, e.g. cast({there} as varchar), or cast({here} as varchar) in [store]")
                }
            };
            let fault = Fault::Type {
                needed: "its type must be that of the store's",
                found: format!("{}, and {} in the store", describe(types[1]), describe(types[0])),
                cure,
            };
            let text = there.unwrap_or_else(|| "the row number".to_owned());
            ExpressionError { section: Section::Queries, key: key.to_owned(), text, fault }
        };
        // A row number is as good as an integer of any type.
        let signed = |selection: &Self| selection.id.is_some() && selection.id_type.is_signed_integer();
        if store.id.is_none() && signed(queries) {
            store.id_type = DataType::Int64;
        }
        if queries.id.is_none() && signed(store) {
            queries.id_type = DataType::Int64;
        }
        let types = [&store.id_type, &queries.id_type];
        let id_type = common(types[0], types[1]).ok_or_else(|| differ("id", &|params| params.id.clone(), types))?;
        (store.id_type, queries.id_type) = (id_type.clone(), id_type);
        if let (Some((_, here)), Some((_, there))) = (&mut store.label, &mut queries.label) {
            let of = |params: &Params| params.label.clone();
            let both = common(here, there).ok_or_else(|| differ("label", &of, [&*here, &*there]))?;
            (*here, *there) = (both.clone(), both);
        }
        for (index, ((_, here), (_, there))) in store.groups.iter_mut().zip(&mut queries.groups).enumerate() {
            let (name, of) =
                (&params[0].groups[index].0, |params: &Params| params.groups.get(index).map(|group| group.1.clone()));
            let key = format!("groups.{name}");
            let both = common(here, there).ok_or_else(|| differ(&key, &of, [&*here, &*there]))?;
            (*here, *there) = (both.clone(), both);
        }
        Ok(())
    }
}

/// The names of the columns that expressions speak of.
pub(super) fn columns_of<'a>(expressions: impl IntoIterator<Item = &'a Expr>) -> BTreeSet<String> {
    expressions.into_iter().flat_map(|expr| expr.column_refs()).map(|column| column.name.clone()).collect()
}

fn kept(typed: Typed) -> (Expr, DataType) {
    let data_type = plain(&typed.data_type);
    (typed.expr, data_type)
}

fn not_an_embedding(params: &Params, name: &str, found: &DataType, schema: &Schema) -> Fault {
    let also_label = if params.label.as_deref() == Some(name) { ", and it is the label as well" } else { "" };
    let candidates: Vec<String> = schema
        .fields()
        .iter()
        .filter(|field| is_embedding(field.data_type()))
        .map(|field| format!("`{}`", field.name()))
        .collect();
    let cure = match candidates.as_slice() {
        [] => format!("; no column of the {} looks like an embedding", params.section.name()),
        columns => format!("; columns that look like embeddings: {}", columns.join(", ")),
    };
    Fault::Type {
        needed: "an embedding is a list of f16, f32 or f64",
        found: format!("{}{also_label}", describe(found)),
        cure,
    }
}

/// What may name a class, and what a group.
const LABEL: &str = "a label is a string, an integer or a boolean, or a list of these";
const GROUP: &str = "a group is a string, an integer or a boolean";

fn not_a_category(needed: &'static str, found: &DataType) -> Fault {
    let cure = if list_element(found).is_some() {
        "; choose one of the values, e.g. column[1]"
    } else if found.is_floating() {
        "; cast it, e.g. cast(column as int) or cast(column as varchar)"
    } else {
        "; cast it, e.g. cast(column as varchar)"
    };
    Fault::Type { needed, found: describe(found), cure: cure.to_owned() }
}
