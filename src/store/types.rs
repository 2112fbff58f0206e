//! What the types of columns are good for.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};

/// The type in which values are kept: views and dictionaries become the plain type of their values, at every depth.
/// Files that differ only in such encodings agree.
pub(super) fn plain(data_type: &DataType) -> DataType {
    let child = |field: &FieldRef| Arc::new(Field::new(field.name(), plain(field.data_type()), true));
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => plain(values),
        DataType::List(field) | DataType::ListView(field) => DataType::List(child(field)),
        DataType::LargeList(field) | DataType::LargeListView(field) => DataType::LargeList(child(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(child(field), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(child).collect()),
        other => other.clone(),
    }
}

/// Whether two types hold the same values, however they are encoded.
pub(super) fn same_values(a: &DataType, b: &DataType) -> bool {
    plain(a).equals_datatype(&plain(b))
}

/// The element type of a list of any kind.
pub(super) fn list_element(data_type: &DataType) -> Option<&DataType> {
    match data_type {
        DataType::List(f) | DataType::LargeList(f) | DataType::ListView(f) | DataType::LargeListView(f) => {
            Some(f.data_type())
        }
        DataType::FixedSizeList(f, _) => Some(f.data_type()),
        _ => None,
    }
}

/// Whether a column of this type can be read as one vector a row.
pub(super) fn is_embedding(data_type: &DataType) -> bool {
    match data_type {
        DataType::FixedSizeList(f, _) | DataType::List(f) | DataType::LargeList(f) => {
            matches!(f.data_type(), DataType::Float16 | DataType::Float32 | DataType::Float64)
        }
        _ => false,
    }
}

pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(plain(data_type), DataType::Utf8 | DataType::LargeUtf8)
}

/// Whether values of this type name a row.
pub(super) fn is_id(data_type: &DataType) -> bool {
    is_text(data_type) || data_type.is_integer()
}

/// Whether values of this type name a class or a group.
pub(super) fn is_category(data_type: &DataType) -> bool {
    is_text(data_type)
        || matches!(plain(data_type), DataType::Boolean | DataType::Null)
        || plain(data_type).is_integer()
}

/// The type in words, for someone who does not know Arrow.
pub(super) fn describe(data_type: &DataType) -> String {
    let kind = match plain(data_type) {
        DataType::Utf8 | DataType::LargeUtf8 => "text".to_owned(),
        DataType::Boolean => "booleans".to_owned(),
        DataType::Null => "only nulls".to_owned(),
        plain if plain.is_integer() => "one integer a row".to_owned(),
        plain if plain.is_floating() => "one number a row".to_owned(),
        plain => match list_element(&plain) {
            Some(element) => return format!("lists of {element}"),
            None => return data_type.to_string(),
        },
    };
    format!("{kind} ({data_type})")
}
