//! Warnings of formats that nothing checks.

use std::collections::HashSet;

use mainstay_api::field::go_quote;
use mainstay_api::schema::is_known_format;
use serde_json::Value;

/// What is warned of in a definition, unless it was in `old` already.
pub(super) fn warnings(definition: &Value, old: Option<&Value>) -> Vec<String> {
    let known: HashSet<&str> = old.map(unknown).into_iter().flatten().collect();
    let found = unknown(definition).into_iter().filter(|format| !known.contains(format));
    found.map(|format| format!("unrecognized format {}", go_quote(format))).collect()
}

/// The unknown formats in the schemas of all versions, each once.
fn unknown(definition: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
    let schemas = versions.filter_map(|version| version.pointer("/schema/openAPIV3Schema"));
    schemas.for_each(|schema| collect(schema, &mut found));
    let mut seen = HashSet::new();
    found.retain(|format| seen.insert(*format));
    found
}

fn collect<'v>(schema: &'v Value, found: &mut Vec<&'v str>) {
    let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
    if !is_known_format(text("type"), text("format")) {
        found.push(text("format"));
    }
    let object = |key: &str| schema.get(key).filter(|of| of.is_object());
    let list = |key: &str| schema.get(key).and_then(Value::as_array).into_iter().flatten();
    let below = object("items").into_iter().chain(list("items"));
    let below = below.chain(list("allOf")).chain(list("anyOf")).chain(list("oneOf")).chain(object("not"));
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(|all| all.values());
    for of in below.chain(properties).chain(object("additionalProperties")) {
        collect(of, found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::warnings;

    fn definition(formats: &[(&str, &str)]) -> Value {
        let of = |(kind, format): &(&str, &str)| json!({"type": "array", "items": {"type": kind, "format": format}});
        let properties: serde_json::Map<String, Value> =
            formats.iter().enumerate().map(|(index, pair)| (format!("p{index}"), of(pair))).collect();
        json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}}]}})
    }

    #[test]
    fn formats_that_nothing_checks_are_told_of_once() {
        let known = [("string", "date-time"), ("integer", "int64"), ("number", "double"), ("string", "k8s-short-name")];
        assert!(warnings(&definition(&known), None).is_empty());
        let odd = definition(&[("string", "colour"), ("string", "colour"), ("string", "int32"), ("integer", "float")]);
        let texts = ["colour", "int32", "float"].map(|format| format!("unrecognized format \"{format}\""));
        assert_eq!(warnings(&odd, None), texts);
        assert!(warnings(&odd, Some(&odd)).is_empty());
        assert_eq!(warnings(&odd, Some(&definition(&[("string", "colour")]))), texts[1..]);
    }
}
