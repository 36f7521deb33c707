//! What makes a schema structural: every field's type is said once, outside of logical junctors.

use serde_json::Value;

use super::keywords::junctors;
use super::{describes_values, flag, is_embedded, is_int_or_string, items, preserves, properties, text};
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
    for (of, at) in junctors(schema, path) {
        completeness(of, schema, &at, path, &mut errors);
    }
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
    if describes_values(schema) {
        let path = path.child("additionalProperties");
        if level == Level::Root {
            errors.push(Error::forbidden(&path, "must not be used at the root"));
        }
        if let Some(of) = super::additional(schema) {
            invariants(of, Level::Field, &path, errors);
        }
    }
    extensions(schema, path, errors);
    let list = schema.get("allOf").and_then(Value::as_array);
    let unions = (is_union(schema), list.and_then(|list| list.first()).is_some_and(is_union));
    value_validation(schema, unions, path, errors);
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
    if is_embedded(schema) && describes_values(schema) {
        let why = "must not be used if x-kubernetes-embedded-resource is set";
        errors.push(Error::forbidden(&path.child("additionalProperties"), why));
    }
    if level == Level::Root && !kind.is_empty() && kind != "object" {
        errors.push(Error::invalid(&at, kind, "must be object at the root"));
    }
}

fn type_fields(schema: &Value, level: Level, path: &Path, errors: &mut ErrorList) {
    let typed = level == Level::Root || is_embedded(schema);
    let Some(all) = properties(schema).filter(|all| !all.is_empty()) else {
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
    // What only describes is not kept of it.
    let plain = |key: &str| matches!(key, "type" | "properties" | "default" | "externalDocs" | "example");
    names && map.keys().all(|key| plain(key) || !is_set(of, key))
}

/// Whether a keyword says anything: most say nothing where they are empty or false.
fn is_set(of: &Value, key: &str) -> bool {
    match of.get(key) {
        None | Some(Value::Null) => false,
        Some(_) if key == "default" => true,
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Number(_) | Value::Object(_)) => true,
    }
}

/// Whether any of two types will do: exactly an integer or a string. That alone may be said of types in a junctor.
fn is_union(schema: &Value) -> bool {
    schema.get("anyOf") == Some(&serde_json::json!([{"type": "integer"}, {"type": "string"}]))
}

/// `unions`: whether `anyOf` is the union of an integer and a string, and whether that of the first of `allOf` is.
fn value_validation(schema: &Value, unions: (bool, bool), path: &Path, errors: &mut ErrorList) {
    for key in ["anyOf", "allOf", "oneOf"] {
        if key == "anyOf" && unions.0 {
            continue;
        }
        let list = schema.get(key).and_then(Value::as_array).into_iter().flatten();
        for (index, of) in list.enumerate() {
            let union = key == "allOf" && index == 0 && unions.1;
            nested(of, union, &path.child(key).index(index), errors);
        }
    }
    if let Some(of) = schema.get("not").filter(|of| of.is_object()) {
        nested(of, false, &path.child("not"), errors);
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && let Some(why) = super::pattern::error(pattern)
    {
        let why = format!("must be a valid regular expression, but isn't: {why}");
        errors.push(Error::invalid(&path.child("pattern"), pattern, why));
    }
}

/// Items and properties that a junctor of the root tells of are in the schema itself; `whole` is the part of that.
fn completeness(of: &Value, whole: &Value, path: &Path, whole_path: &Path, errors: &mut ErrorList) {
    for (of, at) in junctors(of, path) {
        completeness(of, whole, &at, whole_path, errors);
    }
    let mut part = |of: &Value, whole: Option<&Value>, path: Path, whole_path: Path| match whole {
        Some(whole) => completeness(of, whole, &path, &whole_path, errors),
        None => errors.push(Error::required(&whole_path, format!("because it is defined in {path}"))),
    };
    if let Some(of) = items(of) {
        part(of, items(whole), path.child("items"), whole_path.child("items"));
    }
    for (name, of) in properties(of).into_iter().flatten() {
        let below = |path: &Path| path.child("properties").key(name);
        part(of, properties(whole).and_then(|all| all.get(name)), below(path), below(whole_path));
    }
}

/// A schema inside of a junctor validates values and says nothing of structure.
fn nested(of: &Value, union: bool, path: &Path, errors: &mut ErrorList) {
    value_validation(of, (union, false), path, errors);
    if let Some(of) = items(of) {
        nested(of, false, &path.child("items"), errors);
    }
    for (name, of) in properties(of).into_iter().flatten() {
        nested(of, false, &path.child("properties").key(name), errors);
    }
    for (key, why) in FORBIDDEN {
        if is_set(of, key) {
            errors.push(Error::forbidden(&path.child(key), format!("must be {why} to be structural")));
        }
    }
    if properties(of).is_some_and(|all| all.contains_key("metadata")) {
        let why = "must not be specified in a nested context";
        errors.push(Error::forbidden(&path.child("properties").key("metadata"), why));
    }
}

const FORBIDDEN: [(&str, &str); 13] = [
    ("type", "empty"),
    ("additionalProperties", "undefined"),
    ("default", "undefined"),
    ("title", "empty"),
    ("description", "empty"),
    ("nullable", "false"),
    ("x-kubernetes-preserve-unknown-fields", "false"),
    ("x-kubernetes-embedded-resource", "false"),
    ("x-kubernetes-int-or-string", "false"),
    ("x-kubernetes-list-map-keys", "empty"),
    ("x-kubernetes-list-type", "undefined"),
    ("x-kubernetes-map-type", "undefined"),
    ("x-kubernetes-validations", "empty"),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(schema: &Value) -> Vec<String> {
        errors(schema, &Path::new("s")).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn junctors_of_the_root_tell_of_what_is_in_it() {
        let own = json!({"a": {"type": "object"}});
        let any = json!([{"properties": {"a": {"properties": {"b": {}}}, "c": {}}}]);
        assert_eq!(
            texts(&json!({"type": "object", "properties": own, "anyOf": any})),
            [
                "s.properties[a].properties[b]: Required value: because it is defined in s.anyOf[0].properties[a].properties[b]",
                "s.properties[c]: Required value: because it is defined in s.anyOf[0].properties[c]",
            ]
        );
        let below = json!({"type": "object", "properties": own, "anyOf": any});
        assert!(texts(&json!({"type": "object", "properties": {"x": below}})).is_empty());
    }

    #[test]
    fn what_is_empty_is_not_said() {
        let of = |of: Value| texts(&json!({"type": "object", "properties": {"a": {"type": "string", "anyOf": [of]}}}));
        assert!(of(json!({"description": "", "nullable": false, "x-kubernetes-list-map-keys": []})).is_empty());
        assert!(of(json!({"externalDocs": {"url": "a"}, "example": 1})).is_empty(), "neither says anything of values");
        assert_eq!(
            of(json!({"default": false})),
            ["s.properties[a].anyOf[0].default: Forbidden: must be undefined to be structural"]
        );
        let metadata = json!({"type": "object", "nullable": false, "properties": {"name": {"type": "string"}}});
        assert!(texts(&json!({"type": "object", "properties": {"metadata": metadata}})).is_empty());
        let inner = json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {}, "additionalProperties": true});
        assert_eq!(texts(&json!({"type": "object", "properties": {"a": inner}})).len(), 2);
    }

    #[test]
    fn an_integer_or_a_string_may_be_said_of_any_field() {
        let union = json!([{"type": "integer"}, {"type": "string"}]);
        let of = |of: Value| texts(&json!({"type": "object", "properties": {"a": of}}));
        assert!(of(json!({"type": "string", "anyOf": union})).is_empty());
        assert!(of(json!({"type": "string", "allOf": [{"anyOf": union}]})).is_empty());
        assert_eq!(
            of(json!({"anyOf": union})),
            ["s.properties[a].type: Required value: must not be empty for specified object fields"]
        );
        assert_eq!(of(json!({"type": "string", "allOf": [{}, {"anyOf": union}]})).len(), 2);
    }
}
