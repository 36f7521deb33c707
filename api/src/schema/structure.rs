//! What makes a schema structural: every field's type is said once, outside of logical junctors.

use serde_json::Value;

use super::{flag, is_embedded, is_int_or_string, items, preserves, properties, text};
use crate::field::{Error, ErrorList, Path};

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Root,
    Item,
    Field,
}

/// The errors of the root of a schema, sorted as Kubernetes sorts them.
pub(super) fn errors(schema: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    invariants(schema, Level::Root, path, &mut errors);
    errors.sort_by_cached_key(ToString::to_string);
    errors
}

fn invariants(schema: &Value, level: Level, path: &Path, errors: &mut ErrorList) {
    if text(schema, "type") == "array" && items(schema).is_none() {
        errors.push(Error::required(&path.child("items"), "must be specified"));
    }
    if let Some(of) = items(schema) {
        invariants(of, Level::Item, &path.child("items"), errors);
    }
    for (name, of) in properties(schema).into_iter().flatten() {
        invariants(of, Level::Field, &path.child("properties").key(name), errors);
    }
    if schema.get("additionalProperties").is_some_and(|values| !values.is_null()) {
        let path = path.child("additionalProperties");
        if level == Level::Root {
            errors.push(Error::forbidden(&path, "must not be used at the root"));
        }
        if let Some(of) = super::additional(schema) {
            invariants(of, Level::Field, &path, errors);
        }
    }
    extensions(schema, path, errors);
    value_validation(schema, path, errors);
    types(schema, level, path, errors);
    type_fields(schema, level, path, errors);
}

fn extensions(schema: &Value, path: &Path, errors: &mut ErrorList) {
    if !is_int_or_string(schema) {
        return;
    }
    for key in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
        if flag(schema, key) {
            let why = "must be false if x-kubernetes-int-or-string is true";
            errors.push(Error::invalid(&path.child(key), true, why));
        }
    }
}

fn types(schema: &Value, level: Level, path: &Path, errors: &mut ErrorList) {
    let at = path.child("type");
    let kind = text(schema, "type");
    if is_embedded(schema) && kind != "object" {
        let why = "must be object if x-kubernetes-embedded-resource is true";
        errors.push(if kind.is_empty() { Error::required(&at, why) } else { Error::invalid(&at, kind, why) });
    } else if kind.is_empty() && !is_int_or_string(schema) && !preserves(schema) {
        let why = match level {
            Level::Root => "must not be empty at the root",
            Level::Item => "must not be empty for specified array items",
            Level::Field => "must not be empty for specified object fields",
        };
        errors.push(Error::required(&at, why));
    }
    if is_embedded(schema) && super::additional(schema).is_some() {
        let why = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(Error::forbidden(&path.child("additionalProperties"), why));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(Error::invalid(&at, kind, "must be object at the root"));
    }
}

fn type_fields(schema: &Value, level: Level, path: &Path, errors: &mut ErrorList) {
    let typed = level == Level::Root || is_embedded(schema);
    let Some(all) = properties(schema) else {
        if is_embedded(schema) && !preserves(schema) {
            let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
            errors.push(Error::required(&path.child("properties"), why));
        }
        return;
    };
    for (name, kind) in [("kind", "string"), ("apiVersion", "string"), ("metadata", "object")] {
        let Some(of) = all.get(name).filter(|_| typed) else { continue };
        let at = path.child("properties").key(name);
        if text(of, "type") != kind {
            errors.push(Error::invalid(&at.child("type"), text(of, "type"), format!("must be {kind}")));
        }
        if name == "metadata" && level == Level::Root && !is_plain_metadata(of) {
            let why =
                "must not specify anything other than name and generateName, but metadata is implicitly specified";
            errors.push(Error::forbidden(&at, why));
        }
    }
}

/// Metadata may say something of `name` and `generateName` only.
fn is_plain_metadata(of: &Value) -> bool {
    let Some(map) = of.as_object() else { return false };
    let names =
        properties(of).is_none_or(|all| all.keys().all(|name| matches!(name.as_str(), "name" | "generateName")));
    names && map.keys().all(|key| matches!(key.as_str(), "type" | "properties" | "default"))
}

/// Whether a list of schemas is exactly an integer or a string.
fn is_union(list: Option<&Value>) -> bool {
    list == Some(&serde_json::json!([{"type": "integer"}, {"type": "string"}]))
}

fn value_validation(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let union = is_int_or_string(schema);
    for key in ["anyOf", "allOf", "oneOf"] {
        if key == "anyOf" && union && is_union(schema.get(key)) {
            continue;
        }
        let list = schema.get(key).and_then(Value::as_array).into_iter().flatten();
        for (index, of) in list.enumerate() {
            let skip = key == "allOf" && index == 0 && union && is_union(of.get("anyOf"));
            nested(of, schema, skip, &path.child(key).index(index), path, errors);
        }
    }
    if let Some(of) = schema.get("not").filter(|of| of.is_object()) {
        nested(of, schema, false, &path.child("not"), path, errors);
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && let Some(why) = super::pattern::error(pattern)
    {
        let why = format!("must be a valid regular expression, but isn't: {why}");
        errors.push(Error::invalid(&path.child("pattern"), pattern, why));
    }
}

/// A schema inside of a junctor validates values and says nothing of structure.
fn nested(of: &Value, outer: &Value, skip_union: bool, path: &Path, outer_path: &Path, errors: &mut ErrorList) {
    if !skip_union {
        value_validation(of, path, errors);
    }
    if let Some(inner) = items(of) {
        let at = path.child("items");
        match items(outer) {
            Some(outer) => nested(inner, outer, false, &at, &outer_path.child("items"), errors),
            None => {
                let why = format!("because it is defined in {at}");
                errors.push(Error::required(&outer_path.child("items"), why));
            }
        }
    }
    let nothing = Value::Object(serde_json::Map::new());
    for (name, inner) in properties(of).into_iter().flatten() {
        let outer = properties(outer).and_then(|all| all.get(name)).unwrap_or(&nothing);
        let at = path.child("properties").key(name);
        nested(inner, outer, false, &at, &outer_path.child("properties").key(name), errors);
    }
    for (key, why) in FORBIDDEN {
        let set = of.get(key).is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)));
        if set && of.get(key).and_then(Value::as_str) != Some("") {
            errors.push(Error::forbidden(&path.child(key), format!("must be {why} to be structural")));
        }
    }
    if properties(of).is_some_and(|all| all.contains_key("metadata")) {
        let why = "must not be specified in a nested context";
        errors.push(Error::forbidden(&path.child("properties").key("metadata"), why));
    }
}

const FORBIDDEN: [(&str, &str); 14] = [
    ("type", "empty"),
    ("additionalProperties", "undefined"),
    ("default", "undefined"),
    ("title", "empty"),
    ("description", "empty"),
    ("nullable", "false"),
    ("externalDocs", "undefined"),
    ("x-kubernetes-preserve-unknown-fields", "false"),
    ("x-kubernetes-embedded-resource", "false"),
    ("x-kubernetes-int-or-string", "false"),
    ("x-kubernetes-list-map-keys", "empty"),
    ("x-kubernetes-list-type", "undefined"),
    ("x-kubernetes-map-type", "undefined"),
    ("x-kubernetes-validations", "empty"),
];
