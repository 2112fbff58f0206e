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

/// The plain type that holds the values of two plain types without loss; `None` where values of the two are never equal,
/// or no type is wide enough.
pub(super) fn common(a: &DataType, b: &DataType) -> Option<DataType> {
    let signed = |data_type: &DataType| data_type.is_signed_integer();
    match (a, b) {
        (DataType::Null, other) | (other, DataType::Null) => Some(other.clone()),
        _ if a == b => Some(a.clone()),
        // A label is a list of one.
        (DataType::List(one), other) | (other, DataType::List(one)) => {
            let other = list_element(other).unwrap_or(other);
            label_lists(&DataType::List(Arc::new(Field::new_list_field(common(one.data_type(), other)?, true))))
        }
        _ if is_text(a) && is_text(b) => Some(DataType::LargeUtf8),
        _ if !a.is_integer() || !b.is_integer() => None,
        _ if signed(a) == signed(b) => Some(if a.primitive_width() < b.primitive_width() { b } else { a }.clone()),
        (DataType::UInt64, _) | (_, DataType::UInt64) => None,
        _ => Some(DataType::Int64),
    }
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

/// The plain type of lists of several labels a row; none where a list holds none, or this is no list.
pub(super) fn label_lists(data_type: &DataType) -> Option<DataType> {
    let element = plain(list_element(data_type)?);
    let label = is_category(&element);
    label.then(|| DataType::List(Arc::new(Field::new_list_field(element, true))))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_common_type_loses_nothing() {
        use DataType::{Boolean, Int16, Int64, LargeUtf8, Null, UInt8, UInt32, UInt64, Utf8};
        for (a, b, expected) in [
            (Utf8, Utf8, Some(Utf8)),
            (Utf8, LargeUtf8, Some(LargeUtf8)),
            (Int16, Int64, Some(Int64)),
            (UInt8, UInt32, Some(UInt32)),
            (UInt8, Int16, Some(Int64)),
            (UInt64, Int16, None),
            (Utf8, Int16, None),
            (Boolean, UInt8, None),
            (Null, Boolean, Some(Boolean)),
        ] {
            assert_eq!((common(&a, &b), common(&b, &a)), (expected.clone(), expected), "{a} {b}");
        }
    }
}
