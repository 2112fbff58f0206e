//! The columns and expressions of a pipeline, resolved and with types that can serve.

use std::collections::BTreeSet;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::DataFusionError;
use datafusion::logical_expr::Expr;

use super::Params;
use super::expression::{Columns, ExpressionError, Fault, Typed};
use super::types::{describe, is_category, is_embedding, is_id, list_element, plain};

/// What is read of each row. Types are those in which values are kept, see [`plain`].
pub(super) struct Selection {
    pub embedding: (Expr, DataType),
    pub id: Option<(Expr, DataType)>,
    pub label: (Expr, DataType),
    pub groups: Vec<(Expr, DataType)>,
    pub carry: Vec<(String, Expr, DataType)>,
    pub filter: Option<Expr>,
}

/// Why a selection cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    #[error(transparent)]
    Expression(#[from] ExpressionError),
    #[error("the columns cannot be told apart: {}", .0.strip_backtrace())]
    Columns(DataFusionError),
}

impl Selection {
    pub fn resolve(params: &Params, schema: &Schema) -> Result<Self, SelectionError> {
        let columns = Columns::new(schema).map_err(SelectionError::Columns)?;
        let category = |key: &str, text: &str| {
            let typed = columns.expression(key, text)?;
            check(key, text, is_category(&typed.data_type), || not_a_category(&typed.data_type))?;
            Ok::<_, ExpressionError>(kept(typed))
        };
        let embedding = columns.column("embedding", &params.embedding)?;
        check("embedding", &params.embedding, is_embedding(&embedding.data_type), || {
            not_an_embedding(params, &embedding.data_type, schema)
        })?;
        let id = match &params.id {
            None => None,
            Some(text) => {
                let typed = columns.expression("id", text)?;
                check("id", text, is_id(&typed.data_type), || not_an_id(&typed.data_type))?;
                Some(kept(typed))
            }
        };
        let label = category("label", &params.label)?;
        let groups = params.groups.iter().map(|(name, text)| category(&format!("groups.{name}"), text));
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
                check("where", text, boolean, || Fault::Type {
                    needed: "rows are kept where a condition is true",
                    found: describe(&typed.data_type),
                    cure: "; compare it with something".to_owned(),
                })?;
                Some(typed.expr)
            }
        };
        Ok(Self { embedding: (embedding.expr, embedding.data_type), id, label, groups, carry, filter })
    }

    /// What a scan computes of each row, in this order: embedding, label, groups, carried columns, id, filter.
    pub fn expressions(&self) -> Vec<Expr> {
        let mut expressions = vec![self.embedding.0.clone(), self.label.0.clone()];
        expressions.extend(self.groups.iter().map(|(expr, _)| expr.clone()));
        expressions.extend(self.carry.iter().map(|(_, expr, _)| expr.clone()));
        expressions.extend(self.id.iter().map(|(expr, _)| expr.clone()));
        expressions.extend(self.filter.clone());
        expressions
    }

    /// The names of all columns that are read, in order.
    pub fn columns_used(&self) -> BTreeSet<String> {
        let expressions = self.expressions();
        expressions.iter().flat_map(|expr| expr.column_refs()).map(|column| column.name.clone()).collect()
    }
}

fn kept(typed: Typed) -> (Expr, DataType) {
    let data_type = plain(&typed.data_type);
    (typed.expr, data_type)
}

fn check(key: &str, text: &str, holds: bool, fault: impl FnOnce() -> Fault) -> Result<(), ExpressionError> {
    if holds {
        return Ok(());
    }
    Err(ExpressionError { key: key.to_owned(), text: text.to_owned(), fault: fault() })
}

fn not_an_embedding(params: &Params, found: &DataType, schema: &Schema) -> Fault {
    let also_label = if params.label == params.embedding { ", and it is the label as well" } else { "" };
    let candidates: Vec<String> = schema
        .fields()
        .iter()
        .filter(|field| is_embedding(field.data_type()))
        .map(|field| format!("`{}`", field.name()))
        .collect();
    let cure = match candidates.as_slice() {
        [] => "; no column of the store looks like an embedding".to_owned(),
        columns => format!("; columns that look like embeddings: {}", columns.join(", ")),
    };
    Fault::Type {
        needed: "an embedding is a list of f16, f32 or f64",
        found: format!("{}{also_label}", describe(found)),
        cure,
    }
}

fn not_a_category(found: &DataType) -> Fault {
    let cure = if list_element(found).is_some() {
        "; several labels a row are not supported, choose one of them, e.g. column[1]"
    } else if found.is_floating() {
        "; cast it, e.g. cast(column as int) or cast(column as varchar)"
    } else {
        "; cast it, e.g. cast(column as varchar)"
    };
    Fault::Type {
        needed: "a label or group is a string, an integer or a boolean",
        found: describe(found),
        cure: cure.to_owned(),
    }
}

fn not_an_id(found: &DataType) -> Fault {
    let cure = "; cast it, e.g. cast(column as varchar), or leave `id` out to use the row number".to_owned();
    Fault::Type { needed: "an id is a string or an integer", found: describe(found), cure }
}
