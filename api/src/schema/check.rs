//! Whether a schema of a definition is one that Kubernetes accepts: structural, and with sound keywords and defaults.

use serde_json::Value;

use super::{Structural, Validator, embedded, flag, is_embedded, items, list_keys, properties, structure, text};
use crate::field::{Error, ErrorList, Path};

const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];

/// What is wrong with a schema.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Problems {
    /// Errors of structure, defaults and keywords, in Kubernetes' order.
    pub errors: ErrorList,
    /// Whether the schema sets any default.
    pub defaults: bool,
}

/// Checks the root of a schema that stands at `path`.
#[must_use]
pub fn check(schema: &Value, path: &Path) -> Problems {
    let mut errors = ErrorList::new();
    if !has_unsupported(schema) {
        errors.extend(structure::errors(schema, path));
        if errors.is_empty() {
            default_errors(schema, path, true, &mut errors);
        }
    }
    keywords(schema, path, &mut errors);
    Problems { errors, defaults: has_defaults(schema) }
}

/// The direct subschemas of a schema with their paths, in Kubernetes' order.
pub(super) fn children<'v>(schema: &'v Value, path: &Path) -> Vec<(&'v Value, Path)> {
    let mut out = Vec::new();
    if let Some(values) = super::additional(schema) {
        out.push((values, path.child("additionalProperties")));
    }
    for (name, of) in properties(schema).into_iter().flatten() {
        out.push((of, path.child("properties").key(name)));
    }
    out.extend(items(schema).map(|of| (of, path.child("items"))));
    out
}

fn junctors<'v>(schema: &'v Value, path: &Path) -> Vec<(&'v Value, Path)> {
    let mut out = Vec::new();
    for key in ["allOf", "anyOf", "oneOf"] {
        let list = schema.get(key).and_then(Value::as_array).into_iter().flatten();
        out.extend(list.enumerate().map(|(index, of)| (of, path.child(key).index(index))));
    }
    out.extend(schema.get("not").filter(|of| of.is_object()).map(|of| (of, path.child("not"))));
    out
}

fn has_unsupported(schema: &Value) -> bool {
    const UNSUPPORTED: [&str; 7] =
        ["$ref", "$schema", "id", "additionalItems", "definitions", "dependencies", "patternProperties"];
    let here = UNSUPPORTED.iter().any(|key| schema.get(key).is_some_and(|value| !value.is_null()));
    let none = Path::nil();
    here || schema.get("items").is_some_and(Value::is_array)
        || children(schema, &none).iter().chain(&junctors(schema, &none)).any(|(of, _)| has_unsupported(of))
}

fn has_defaults(schema: &Value) -> bool {
    schema.get("default").is_some_and(|default| !default.is_null())
        || children(schema, &Path::nil()).iter().any(|(of, _)| has_defaults(of))
}

fn keywords(schema: &Value, path: &Path, errors: &mut ErrorList) {
    forbidden(schema, path, errors);
    if flag(schema, "uniqueItems") {
        let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(Error::forbidden(&path.child("uniqueItems"), why));
    }
    let both = properties(schema).is_some_and(|all| !all.is_empty())
        && schema.get("additionalProperties").is_some_and(|values| values != &Value::Bool(true) && !values.is_null());
    if both {
        let why = "additionalProperties and properties are mutual exclusive";
        errors.push(Error::forbidden(&path.child("additionalProperties"), why));
    }
    for (of, path) in children(schema, path).into_iter().chain(junctors(schema, path)) {
        keywords(of, &path, errors);
    }
    if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
        let at = path.child("x-kubernetes-preserve-unknown-fields");
        errors.push(Error::invalid(&at, false, "must be true or undefined"));
    }
    map_type(schema, path, errors);
    list_type(schema, path, errors);
}

fn forbidden(schema: &Value, path: &Path, errors: &mut ErrorList) {
    for key in ["id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"] {
        if schema.get(key).is_some_and(|value| !value.is_null()) {
            errors.push(Error::forbidden(&path.child(key), format!("{key} is not supported")));
        }
    }
    match text(schema, "type") {
        "" => {}
        "null" => {
            let why = "type cannot be set to null, use nullable as an alternative";
            errors.push(Error::forbidden(&path.child("type"), why));
        }
        kind if !TYPES.contains(&kind) => errors.push(Error::not_supported(&path.child("type"), kind, &TYPES)),
        _ => {}
    }
    if schema.get("items").is_some_and(Value::is_array) {
        let why = "items must be a schema object and not an array";
        errors.push(Error::forbidden(&path.child("items"), why));
    }
}

/// The keyword `key` needs the schema to be of a type.
fn needs_type(schema: &Value, path: &Path, kind: &str, key: &str, errors: &mut ErrorList) -> bool {
    let why = format!("must be {kind} if {key} is specified");
    match text(schema, "type") {
        found if found == kind => return true,
        "" => errors.push(Error::required(&path.child("type"), why)),
        found => errors.push(Error::invalid(&path.child("type"), found, why)),
    }
    false
}

fn map_type(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let key = "x-kubernetes-map-type";
    let Some(kind) = schema.get(key).and_then(Value::as_str) else { return };
    needs_type(schema, path, "object", key, errors);
    if !matches!(kind, "atomic" | "granular") {
        errors.push(Error::not_supported(&path.child(key), kind, &["granular", "atomic"]));
    }
}

fn list_type(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let key = "x-kubernetes-list-type";
    let keys: Vec<&str> = list_keys(schema).collect();
    let why = "must be map if x-kubernetes-list-map-keys is non-empty";
    let Some(kind) = schema.get(key).and_then(Value::as_str) else {
        if !keys.is_empty() {
            errors.push(Error::required(&path.child(key), why));
        }
        return;
    };
    if !needs_type(schema, path, "array", key, errors) {
        return;
    }
    if !matches!(kind, "atomic" | "set" | "map") {
        errors.push(Error::not_supported(&path.child(key), kind, &["atomic", "set", "map"]));
    }
    if kind != "map" && !keys.is_empty() {
        errors.push(Error::invalid(&path.child(key), kind, why));
    }
    match kind {
        "map" => list_of_maps(schema, path, &keys, errors),
        "set" => list_as_set(schema, path, errors),
        _ => {}
    }
}

fn list_of_maps(schema: &Value, path: &Path, keys: &[&str], errors: &mut ErrorList) {
    let keys_path = path.child("x-kubernetes-list-map-keys");
    if keys.is_empty() {
        errors.push(Error::required(&keys_path, "must not be empty if x-kubernetes-list-type is map"));
    }
    let Some(of) = items(schema) else {
        errors.push(Error::required(&path.child("items"), "must have a schema if x-kubernetes-list-type is map"));
        return;
    };
    let items_path = path.child("items");
    if text(of, "type") != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(Error::invalid(&items_path.child("type"), text(of, "type"), why));
        return;
    }
    for key in keys {
        let at = items_path.child("properties").key(key);
        let Some(property) = properties(of).and_then(|all| all.get(*key)) else {
            let shown: Vec<Value> = keys.iter().map(|key| Value::from(*key)).collect();
            errors.push(Error::invalid(&keys_path, shown, "entries must all be names of item properties"));
            continue;
        };
        if matches!(text(property, "type"), "array" | "object") {
            let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
            errors.push(Error::invalid(&at.child("type"), text(property, "type"), why));
        }
        let required = of.get("required").and_then(Value::as_array).into_iter().flatten();
        let needed = required.into_iter().any(|name| name.as_str() == Some(key));
        if !needed && property.get("default").is_none() {
            let why =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(Error::required(&at.child("default"), why));
        }
        if flag(property, "nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(Error::forbidden(&at.child("nullable"), why));
        }
    }
    if (1..keys.len()).any(|index| keys[..index].contains(&keys[index])) {
        let shown: Vec<Value> = keys.iter().map(|key| Value::from(*key)).collect();
        errors.push(Error::invalid(&keys_path, shown, "must not contain duplicate entries"));
    }
}

fn list_as_set(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(of) = items(schema) else {
        errors.push(Error::required(&path.child("items"), "must have a schema if x-kubernetes-list-type is set"));
        return;
    };
    let path = path.child("items");
    if flag(of, "nullable") {
        errors.push(Error::forbidden(&path.child("nullable"), "cannot be nullable when x-kubernetes-list-type is set"));
    }
    let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let (key, kind) = match text(of, "type") {
        "array" => ("x-kubernetes-list-type", of.get("x-kubernetes-list-type")),
        "object" => ("x-kubernetes-map-type", of.get("x-kubernetes-map-type")),
        _ => return,
    };
    match kind.and_then(Value::as_str) {
        None if key == "x-kubernetes-list-type" => {}
        None => errors.push(Error::required(&path.child(key), why)),
        Some("atomic") => {}
        Some(kind) => errors.push(Error::invalid(&path.child(key), kind, why)),
    }
}

fn default_errors(schema: &Value, path: &Path, root: bool, errors: &mut ErrorList) {
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        one_default(schema, default, &path.child("default"), root, errors);
    }
    for (of, path) in children(schema, path) {
        default_errors(of, &path, false, errors);
    }
}

fn one_default(schema: &Value, default: &Value, path: &Path, root: bool, errors: &mut ErrorList) {
    let typed = root || is_embedded(schema);
    let mut pruned = serde_json::json!({ "default": default });
    let holder = serde_json::json!({"properties": {"default": schema}});
    super::prune(&mut pruned, &holder);
    if pruned.get("default") != Some(default) {
        errors.push(Error::invalid(path, default.clone(), "must not have unknown fields"));
        return;
    }
    let found = Validator::new(&Structural::new(schema.clone())).at(&path.to_string()).errors(default, schema, None);
    if !found.is_empty() {
        errors.extend(found);
        return;
    }
    if typed {
        embedded::type_errors(default, path, errors);
    }
    errors.extend(super::list_errors(default, schema, path));
}
