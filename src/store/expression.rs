//! What a pipeline says of columns, resolved against the columns there are.

use std::fmt;
use std::ops::Range;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DataFusionError, SchemaError};
use datafusion::execution::SessionState;
use datafusion::logical_expr::sqlparser::dialect::GenericDialect;
use datafusion::logical_expr::sqlparser::keywords::Keyword;
use datafusion::logical_expr::sqlparser::parser::ParserError;
use datafusion::logical_expr::sqlparser::tokenizer::{Token, Tokenizer};
use datafusion::logical_expr::{Expr, ExprSchemable, Volatility};

use super::Section;
use super::locate::locate;
use super::session::{Means, session};
use super::types::{describe, is_id};

/// A column name or an SQL expression that cannot be used: `label = "lable": …`.
#[derive(Debug)]
pub struct ExpressionError {
    pub section: Section,
    /// The key of the section.
    pub key: String,
    /// What it says.
    pub text: String,
    pub fault: Fault,
}

/// Characters of an expression that are shown.
const SHOWN: usize = 500;

impl ExpressionError {
    /// The bytes of the text that the fault is about, where it tells.
    pub fn place(&self) -> Option<Range<usize>> {
        locate(&self.text, &self.fault)
    }
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is longer than a screen is known by its beginning.
        let end = self.text.char_indices().nth(SHOWN).map(|(end, _)| end);
        let (text, more) = (&self.text[..end.unwrap_or(self.text.len())], if end.is_some() { "…" } else { "" });
        write!(f, "{}.{} = {text:?}{more}: {}", self.section.name(), self.key, self.fault)
    }
}

impl std::error::Error for ExpressionError {}

/// What is wrong with an expression.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("{} no column `{name}`; {hint}", .section.has())]
    UnknownColumn { section: Section, name: String, hint: String },
    #[error("not a valid SQL expression: {0}")]
    Sql(String),
    #[error(
        "it chains {0} operators, and {MOST_OPERATORS} at most are read; many values are `column in ('a', 'b', …)`"
    )]
    TooLong(usize),
    #[error("{0} looks beyond its own row; an expression here is computed for each row alone")]
    ManyRows(&'static str),
    #[error("{0}() gives another value on each run, so the result could not be repeated")]
    Unstable(String),
    #[error("{needed}; found {found}{cure}")]
    Type { needed: &'static str, found: String, cure: String },
}

/// The columns of a table, and the SQL that may be said over them.
pub(super) struct Columns {
    section: Section,
    state: SessionState,
    schema: DFSchema,
}

/// An expression and the type of its values.
pub(super) struct Typed {
    pub expr: Expr,
    pub data_type: DataType,
}

impl Columns {
    /// # Errors
    /// Two columns have the same name.
    pub fn new(section: Section, schema: &Schema) -> Result<Self, DataFusionError> {
        Ok(Self { section, state: session(&Means::SCAN, 1)?.state(), schema: DFSchema::try_from(schema.clone())? })
    }

    /// A complaint about what a key says.
    pub fn complain(&self, key: &str, text: &str, fault: Fault) -> ExpressionError {
        ExpressionError { section: self.section, key: key.to_owned(), text: text.to_owned(), fault }
    }

    /// A column by its name.
    pub fn column(&self, key: &str, name: &str) -> Result<Typed, ExpressionError> {
        self.find(name).ok_or_else(|| self.complain(key, name, self.unknown(name)))
    }

    /// A column by its name as it is, dots and capitals included; else an SQL expression.
    pub fn expression(&self, key: &str, text: &str) -> Result<Typed, ExpressionError> {
        if let Some(column) = self.find(text) {
            return Ok(column);
        }
        self.parse(text).map_err(|fault| self.complain(key, text, fault))
    }

    /// The same, of ids.
    pub fn id(&self, key: &str, text: &str) -> Result<Typed, ExpressionError> {
        let typed = self.expression(key, text)?;
        if is_id(&typed.data_type) {
            return Ok(typed);
        }
        let cure = match self.section {
            Section::Store | Section::Queries => {
                "; cast it, e.g. cast(column as varchar), or leave `id` out to use the row number"
            }
            Section::Pairs | Section::Scores | Section::Exclude => "; cast it, e.g. cast(column as varchar)",
        };
        let (needed, found) = ("an id is a string or an integer", describe(&typed.data_type));
        Err(self.complain(key, text, Fault::Type { needed, found, cure: cure.to_owned() }))
    }

    fn find(&self, name: &str) -> Option<Typed> {
        let field = self.schema.as_arrow().column_with_name(name)?.1;
        Some(Typed { expr: Expr::Column(Column::new_unqualified(name)), data_type: field.data_type().clone() })
    }

    fn parse(&self, text: &str) -> Result<Typed, Fault> {
        let operators = operators(text);
        if operators > MOST_OPERATORS {
            return Err(Fault::TooLong(operators));
        }
        let expr = self
            .state
            .create_logical_expr(text, &self.schema)
            .map_err(|error| self.explain(&error))?
            .unalias_nested()
            .data;
        refuse_what_is_not_of_one_row(&expr)?;
        // Planning finds what parsing does not: functions over the wrong types.
        self.state.create_physical_expr(expr.clone(), &self.schema).map_err(|error| self.explain(&error))?;
        let data_type = expr.get_type(&self.schema).map_err(|error| self.explain(&error))?;
        Ok(Typed { expr, data_type })
    }

    fn explain(&self, error: &DataFusionError) -> Fault {
        match error.find_root() {
            DataFusionError::SchemaError(schema_error, _) => match schema_error.as_ref() {
                SchemaError::FieldNotFound { field, .. } => self.unknown(&field.flat_name()),
                other => Fault::Sql(other.to_string()),
            },
            DataFusionError::SQL(error, _) => match error.as_ref() {
                ParserError::ParserError(text) | ParserError::TokenizerError(text) => Fault::Sql(text.clone()),
                other => Fault::Sql(other.to_string()),
            },
            other => Fault::Sql(one_line(&other.strip_backtrace())),
        }
    }

    fn unknown(&self, name: &str) -> Fault {
        let names = self.schema.as_arrow().fields().iter().map(|field| field.name().as_str());
        Fault::UnknownColumn { section: self.section, name: name.to_owned(), hint: hint(name, names) }
    }
}

/// Each operator of a chain is one more level that the query engine descends, some 4 KiB of a stack, in time that grows with the square.
const MOST_OPERATORS: usize = 1_024;

/// Words that stand between two operands; other words are names, values, or the arms of a `case`.
const CHAINING: [Keyword; 16] = [
    Keyword::AND,
    Keyword::OR,
    Keyword::XOR,
    Keyword::NOT,
    Keyword::IS,
    Keyword::IN,
    Keyword::LIKE,
    Keyword::ILIKE,
    Keyword::RLIKE,
    Keyword::REGEXP,
    Keyword::SIMILAR,
    Keyword::BETWEEN,
    Keyword::OVERLAPS,
    Keyword::DIV,
    Keyword::AT,
    Keyword::COLLATE,
];

/// Operators in an expression. What is no SQL is found by the parser.
fn operators(text: &str) -> usize {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize().unwrap_or_default();
    let chains = |token: &&Token| match token {
        Token::Whitespace(_) | Token::Comma | Token::LParen | Token::RParen | Token::Number(..) | Token::EOF => false,
        Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) => false,
        Token::Word(word) => CHAINING.contains(&word.keyword),
        _ => true,
    };
    tokens.iter().filter(chains).count()
}

/// Below this Jaro-Winkler similarity a name is no likely misspelling.
const SIMILAR: f64 = 0.75;

fn hint<'a>(name: &str, columns: impl Iterator<Item = &'a str>) -> String {
    let lower = name.to_lowercase();
    let mut names: Vec<(f64, &str)> =
        columns.map(|column| (strsim::jaro_winkler(&lower, &column.to_lowercase()), column)).collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near = names.iter().take_while(|(similarity, _)| *similarity >= SIMILAR).count();
    let quoted: Vec<String> = names.iter().map(|(_, column)| format!("`{column}`")).collect();
    match near {
        0 => format!("its columns are {}", quoted.join(", ")),
        _ => format!("nearest: {}", quoted[..near.min(3)].join(", ")),
    }
}

fn refuse_what_is_not_of_one_row(expr: &Expr) -> Result<(), Fault> {
    let mut fault = None;
    let walked = expr.apply(|node| {
        fault = match node {
            Expr::AggregateFunction(_) | Expr::GroupingSet(_) => Some(Fault::ManyRows("an aggregate")),
            Expr::WindowFunction(_) => Some(Fault::ManyRows("a window function")),
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_) => {
                Some(Fault::ManyRows("a subquery"))
            }
            Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
                Some(Fault::Unstable(call.func.name().to_owned()))
            }
            _ => None,
        };
        Ok(if fault.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (fault, walked) {
        (Some(fault), _) => Err(fault),
        (None, Err(error)) => Err(Fault::Sql(one_line(&error.strip_backtrace()))),
        (None, Ok(_)) => Ok(()),
    }
}

/// The query engine lists its suggestions in lines.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Field;

    use super::*;

    fn columns() -> Columns {
        let field = |name, data_type| Field::new(name, data_type, true);
        let fields = vec![
            field("id", DataType::Int64),
            field("Id", DataType::Utf8),
            field("a.b-c", DataType::Utf8),
            field("label", DataType::Utf8),
        ];
        Columns::new(Section::Store, &Schema::new(fields)).unwrap()
    }

    fn refusal(text: &str) -> String {
        columns().expression("label", text).err().unwrap().to_string()
    }

    #[test]
    fn names_are_taken_as_they_are() {
        let columns = columns();
        for (text, expected) in [
            ("id", DataType::Int64),
            ("Id", DataType::Utf8),
            ("a.b-c", DataType::Utf8),
            ("\"a.b-c\" || label", DataType::Utf8),
            ("Id || 'x'", DataType::Utf8),
            ("id + 1", DataType::Int64),
            ("label = 'x'", DataType::Boolean),
        ] {
            assert_eq!(columns.expression("label", text).ok().map(|t| t.data_type), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_reason() {
        assert!(refusal("lable").contains("nearest: `label`"), "{}", refusal("lable"));
        assert!(refusal("lower(lable)").contains("nearest: `label`"), "{}", refusal("lower(lable)"));
        assert!(refusal("q").contains("its columns are"), "{}", refusal("q"));
        assert!(refusal("LABEL").contains("nearest: `label`"), "{}", refusal("LABEL"));
        assert!(refusal("count(id)").contains("an aggregate"), "{}", refusal("count(id)"));
        assert!(
            refusal("row_number() over (order by id)").contains("window"),
            "{}",
            refusal("row_number() over (order by id)")
        );
        assert!(refusal("(select 1)").contains("subquery"), "{}", refusal("(select 1)"));
        assert!(refusal("uuid()").contains("uuid()"), "{}", refusal("uuid()"));
        assert!(refusal("now()").contains("now()"), "{}", refusal("now()"));
        assert!(refusal("label ||").contains("not a valid SQL expression"), "{}", refusal("label ||"));
        assert!(refusal("nosuch(label)").contains("nosuch"), "{}", refusal("nosuch(label)"));
        assert!(refusal(&vec!["id = 1"; 600].join(" or ")).contains("it chains 1199 operators"));
        let many = format!("label in ({})", vec!["'x'"; 20_000].join(", "));
        assert!(columns().expression("where", &many).is_ok(), "a list is no chain");
    }
}
