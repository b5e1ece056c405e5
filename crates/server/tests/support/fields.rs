//! The exact field sets of bodies, from the public description of the API (`data/fields.json`).

use std::sync::LazyLock;

use serde_json::Value;

static FIELDS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../data/fields.json")).expect("the file is JSON"));

/// Asserts that a body has exactly the fields that the description gives to this operation's answer.
#[track_caller]
pub(crate) fn assert_fields(operation: &str, body: &Value) {
    let wanted = FIELDS["fields"][operation].as_array();
    let wanted: Vec<_> = wanted.unwrap_or_else(|| panic!("data/fields.json has no {operation}")).iter().collect();
    let mut keys: Vec<_> = body.as_object().expect("an object").keys().map(|key| Value::from(key.as_str())).collect();
    keys.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    assert_eq!(keys.iter().collect::<Vec<_>>(), wanted, "fields of {operation}");
}
