//! What two manifests say differently, key by key.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Value, json};

use crate::manifest::sealed::Sealed;

/// Keys with other values, those of a manifest as `a.b`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changes {
    /// What was asked for.
    pub pipeline: Vec<Change>,
    /// What was read, and by which version of the program.
    pub inputs: Vec<Change>,
    /// What came of it: rows, bands, reasons, the search and its recall, balance, batches.
    pub results: Vec<Change>,
}

/// A key with its two values; none where it is not there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    pub key: String,
    pub a: Option<Value>,
    pub b: Option<Value>,
}

/// How a run is called and where its output lies: two runs that differ in nothing else are alike.
const PLACES: [&str; 2] = ["name", "output.path"];

impl Changes {
    pub(super) fn of(a: &Sealed, b: &Sealed) -> Self {
        Self {
            pipeline: changes(&a.pipeline, &b.pipeline),
            inputs: changes(&inputs(a), &inputs(b)),
            results: changes(&results(a), &results(b)),
        }
    }

    /// Whether anything differs but places and names.
    pub(super) fn any(&self) -> bool {
        let elsewhere = |key: &str| key.ends_with(".path");
        self.pipeline.iter().any(|change| !PLACES.contains(&change.key.as_str()))
            || self.inputs.iter().any(|change| !elsewhere(&change.key))
            || !self.results.is_empty()
    }
}

/// By role, as a pipeline has its sections; a role that comes again is counted.
fn inputs(sealed: &Sealed) -> Value {
    let mut inputs = json!({ "program": sealed.program });
    for input in &sealed.inputs {
        let again = (2..).map(|number| format!("{}[{number}]", input.role));
        let mut keys = std::iter::once(input.role.clone()).chain(again);
        if let Some(key) = keys.find(|key| inputs.get(key).is_none()) {
            inputs[key] = json!({ "path": input.path, "rows": input.rows, "fingerprint": input.fingerprint });
        }
    }
    inputs
}

fn results(sealed: &Sealed) -> Value {
    let Sealed { rows, bands, unmined, search, balance, batches, .. } = sealed;
    json!({ "rows": rows, "bands": bands, "unmined": unmined, "search": search, "balance": balance, "batches": batches })
}

fn changes(a: &Value, b: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(String::new(), Some(a), Some(b), &mut changes);
    changes
}

/// Tables are gone into; anything else is one value.
fn compare(key: String, a: Option<&Value>, b: Option<&Value>, changes: &mut Vec<Change>) {
    let tables = [a, b].map(|value| value.and_then(Value::as_object));
    match tables {
        [Some(in_a), Some(in_b)] => {
            for name in in_a.keys().chain(in_b.keys()).collect::<BTreeSet<_>>() {
                let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                compare(below, in_a.get(name), in_b.get(name), changes);
            }
        }
        _ if a == b => {}
        _ => changes.push(Change { key, a: a.cloned(), b: b.cloned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_dotted_and_in_order_and_lists_are_one_value() {
        let a = json!({ "z": 1, "mine": { "margin": 0.2, "same": ["x"], "seed": 1 }, "gone": { "deep": true } });
        let b = json!({ "z": 2, "mine": { "margin": 0.3, "same": ["x", "y"], "seed": 1 }, "new": null });
        let told = changes(&a, &b);
        let keys: Vec<&str> = told.iter().map(|change| change.key.as_str()).collect();
        assert_eq!(keys, ["gone", "mine.margin", "mine.same", "new", "z"]);
        assert_eq!((&told[1].a, &told[1].b), (&Some(json!(0.2)), &Some(json!(0.3))));
        assert_eq!((&told[0].b, &told[3].a, &told[3].b), (&None, &None, &Some(Value::Null)));
        assert_eq!(changes(&a, &a), []);
    }
}
