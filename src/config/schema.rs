//! The JSON Schema of a pipeline: for editors, and the one list of known keys.

use serde_json::Value;

use super::error::{Complaint, nearest};
use super::spec::Spec;

/// JSON Schema (draft 2020-12) of pipeline.toml.
pub fn json_schema() -> Value {
    schemars::schema_for!(Spec).to_value()
}

/// Complains of the first key that the schema does not know, naming the nearest one that it does.
pub fn check_keys(table: &toml::Table) -> Result<(), Complaint> {
    let schema = json_schema();
    walk(table, &schema, &schema, "")
}

fn walk(table: &toml::Table, node: &Value, root: &Value, path: &str) -> Result<(), Complaint> {
    let Some(known) = resolve(node, root).get("properties").and_then(Value::as_object) else {
        // A free map (groups), or no table at all: deserializing says which.
        return Ok(());
    };
    for (key, value) in table {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let Some(node) = known.get(key) else {
            let hint = match nearest(key, known.keys().map(String::as_str)) {
                Some(name) => format!("did you mean `{name}`? "),
                None => String::new(),
            };
            let section = if path.is_empty() { "a pipeline".to_owned() } else { format!("[{path}]") };
            let all = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(Complaint::of_key(full, format!("unknown key; {hint}{section} knows {all}")));
        };
        match value {
            toml::Value::Table(inner) => walk(inner, node, root, &full)?,
            // Read as a list of the fields, it would say something.
            toml::Value::Array(_) if resolve(node, root).get("properties").is_some() => {
                return Err(Complaint::new(full, format!("expected a table, as in {key} = {{ … }}, not a list")));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Follows `$ref`, alone, beside a description, or beside null for a section that may be left out.
fn resolve<'a>(node: &'a Value, root: &'a Value) -> &'a Value {
    let choices = node.get("anyOf").and_then(Value::as_array);
    let node = choices.and_then(|choices| choices.iter().find(|choice| choice.get("$ref").is_some())).unwrap_or(node);
    let target =
        node.get("$ref").and_then(Value::as_str).and_then(|reference| root.pointer(reference.strip_prefix('#')?));
    target.unwrap_or(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        let complaint = check_keys(&text.parse().unwrap()).unwrap_err();
        format!("{}: {}", complaint.key, complaint.message)
    }

    #[test]
    fn an_unknown_key_names_the_nearest_and_all_of_its_section() {
        assert_eq!(
            complaint("[mine.positives]\nper_ancor = 1"),
            "mine.positives.per_ancor: unknown key; did you mean `per_anchor`? \
             [mine.positives] knows different, max_distance, min_distance, per_anchor, pick, same"
        );
        assert_eq!(
            complaint("[qeries]"),
            "qeries: unknown key; did you mean `queries`? a pipeline knows balance, batches, mine, name, output, pairs, prepare, queries, run, scores, search, store"
        );
        assert_eq!(
            complaint("[mine]\nbands = [1, 2]"),
            "mine.bands: expected a table, as in bands = { … }, not a list"
        );
        assert!(
            complaint("[mine]\nbands = { semihard = 1 }")
                .starts_with("mine.bands.semihard: unknown key; did you mean `semi-hard`?")
        );
    }

    #[test]
    fn group_names_are_free() {
        assert_eq!(check_keys(&"[store.groups]\nwriter = 'w'".parse().unwrap()), Ok(()));
    }

    #[test]
    fn every_default_that_is_written_is_known() {
        let text = "[store]\npath='a'\nembedding='e'\nlabel='l'\n[output]\npath='o'";
        let spec: Spec = toml::from_str(text).unwrap();
        let written: toml::Table = toml::from_str(&toml::to_string(&spec).unwrap()).unwrap();
        assert_eq!(check_keys(&written), Ok(()));
    }
}
