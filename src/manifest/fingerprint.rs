//! The name of a run: equal for equal inputs, pipeline and program version, different otherwise.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::sealed::Input;

/// BLAKE3, in hex, of canonical JSON: keys sorted, no white space. `pipeline` is the resolved one, without `[run]`, as written;
/// `environment` holds a hash of each variable in it.
///
/// A file's row count is left out: it follows from the content, which has its own fingerprint, and is not known this early.
pub fn fingerprint(
    inputs: &[Input],
    pipeline: &Value,
    environment: &BTreeMap<String, String>,
    program: &str,
) -> String {
    let input = |i: &Input| json!({ "role": i.role, "path": i.path, "bytes": i.bytes, "fingerprint": i.fingerprint });
    let inputs: Vec<Value> = inputs.iter().map(input).collect();
    let mut subject = json!({ "program": program, "inputs": inputs, "pipeline": pipeline, "environment": environment });
    subject.sort_all_objects();
    blake3::hash(subject.to_string().as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn input(fingerprint: &str) -> Input {
        let (role, path) = ("store".to_owned(), "a.parquet".to_owned());
        Input { role, path, bytes: 3, rows: 7, fingerprint: fingerprint.to_owned(), listing: None }
    }

    #[test]
    fn only_what_can_change_the_result_changes_it() {
        let of = |inputs: &[Input], pipeline: Value| fingerprint(inputs, &pipeline, &BTreeMap::new(), "1");
        let base = of(&[input("x")], json!({"a": 1, "b": {"c": 2, "d": 3}}));
        assert_eq!(base, of(&[Input { rows: 0, ..input("x") }], json!({"b": {"d": 3, "c": 2}, "a": 1})));
        assert_ne!(base, of(&[input("y")], json!({"a": 1, "b": {"c": 2, "d": 3}})));
        assert_ne!(base, of(&[input("x")], json!({"a": 1, "b": {"c": 2, "d": 4}})));
        assert_ne!(base, of(&[input("x"), input("x")], json!({"a": 1, "b": {"c": 2, "d": 3}})));
        let pipeline = json!({"a": 1, "b": {"c": 2, "d": 3}});
        assert_ne!(base, fingerprint(&[input("x")], &pipeline, &BTreeMap::new(), "2"));
        let environment = BTreeMap::from([("TOKEN".to_owned(), "0123".to_owned())]);
        assert_ne!(base, fingerprint(&[input("x")], &pipeline, &environment, "1"));
    }
}
