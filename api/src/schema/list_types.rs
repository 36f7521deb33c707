//! The keywords that say what a list or a map is for those who merge it.

use serde_json::Value;

use super::{flag, items, list_keys, properties, text};
use crate::field::{Error, ErrorList, Path};

const LIST: &str = "x-kubernetes-list-type";
const KEYS: &str = "x-kubernetes-list-map-keys";
const MAP: &str = "x-kubernetes-map-type";
/// Keys of a list that are looked at; each is compared with all others, and what is wrong with one shows them all.
const MOST_KEYS: usize = 32;

/// What is wrong with these keywords of one node.
pub(super) fn errors(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let kind = |key: &str| schema.get(key).and_then(Value::as_str);
    if let Some(map) = kind(MAP) {
        needs_type(schema, path, "object", MAP, errors);
        if !matches!(map, "atomic" | "granular") {
            errors.push(Error::not_supported(&path.child(MAP), map, &["atomic", "granular"]));
        }
    }
    let list = kind(LIST);
    if let Some(list) = list {
        if needs_type(schema, path, "array", LIST, errors) && list == "set" {
            elements_of_set(schema, path, errors);
        }
        if !matches!(list, "atomic" | "set" | "map") {
            errors.push(Error::not_supported(&path.child(LIST), list, &["atomic", "set", "map"]));
        }
    }
    let keys: Vec<&str> = list_keys(schema).collect();
    if keys.len() > MOST_KEYS {
        let (found, most) = (keys.len() as i64, MOST_KEYS as i64);
        return errors.push(Error::too_many(&path.child(KEYS), found, most));
    }
    let why = "must be map if x-kubernetes-list-map-keys is non-empty";
    match list.filter(|list| *list != "map") {
        Some(list) if !keys.is_empty() => errors.push(Error::invalid(&path.child(LIST), list, why)),
        None if list.is_none() && !keys.is_empty() => errors.push(Error::required(&path.child(LIST), why)),
        _ => {}
    }
    if list == Some("map") {
        list_of_maps(schema, path, &keys, errors);
    }
    if let Some(list) = list.filter(|list| matches!(*list, "map" | "set")) {
        without_nulls(schema, path, list, &keys, errors);
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

fn elements_of_set(schema: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(of) = items(schema) else { return };
    let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
    let list = of.get(LIST).and_then(Value::as_str);
    let path = path.child("items");
    match text(of, "type") {
        "array" if list.is_some_and(|list| list != "atomic") => {
            errors.push(Error::invalid(&path.child(LIST), list, why));
        }
        // What Kubernetes shows is the type of the list that the element is not.
        "object" if text(of, MAP) != "atomic" => errors.push(Error::invalid(&path.child(MAP), list, why)),
        _ => {}
    }
}

fn list_of_maps(schema: &Value, path: &Path, keys: &[&str], errors: &mut ErrorList) {
    let keys_path = path.child(KEYS);
    if keys.is_empty() {
        errors.push(Error::required(&keys_path, "must not be empty if x-kubernetes-list-type is map"));
    }
    let items_path = path.child("items");
    let Some(of) = items(schema) else {
        if schema.get("items").is_none_or(Value::is_null) {
            errors.push(Error::required(&items_path, "must have a schema if x-kubernetes-list-type is map"));
        }
        return;
    };
    let kind = text(of, "type");
    if kind != "object" {
        let why = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(Error::invalid(&items_path.child("type"), kind, why));
        return;
    }
    let shown = || keys.iter().map(|key| Value::from(*key)).collect::<Vec<_>>();
    for (index, key) in keys.iter().enumerate() {
        match properties(of).and_then(|all| all.get(*key)) {
            None => errors.push(Error::invalid(&keys_path, shown(), "entries must all be names of item properties")),
            Some(property) if matches!(text(property, "type"), "array" | "object") => {
                let at = items_path.child("properties").key(key).child("type");
                let why = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                // What Kubernetes shows is the type of the element.
                errors.push(Error::invalid(&at, kind, why));
            }
            Some(_) => {}
        }
        if keys[..index].contains(key) {
            errors.push(Error::invalid(&keys_path, shown(), "must not contain duplicate entries"));
        }
    }
}

/// Elements and their keys are there.
fn without_nulls(schema: &Value, path: &Path, list: &str, keys: &[&str], errors: &mut ErrorList) {
    let Some(of) = items(schema) else { return };
    let path = path.child("items");
    if flag(of, "nullable") {
        let why = format!("cannot be nullable when x-kubernetes-list-type is {list}");
        errors.push(Error::forbidden(&path.child("nullable"), why));
    }
    if list != "map" {
        return;
    }
    for key in keys {
        let Some(property) = properties(of).and_then(|all| all.get(*key)) else { continue };
        let at = path.child("properties").key(key);
        let required = of.get("required").and_then(Value::as_array).into_iter().flatten();
        let needed = required.into_iter().any(|name| name.as_str() == Some(key));
        if !needed && property.get("default").is_none_or(Value::is_null) {
            let why =
                "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
            errors.push(Error::required(&at.child("default"), why));
        }
        if flag(property, "nullable") {
            let why = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
            errors.push(Error::forbidden(&at.child("nullable"), why));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(schema: &Value) -> Vec<String> {
        let mut found = ErrorList::new();
        errors(schema, &Path::new("s"), &mut found);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_list_of_maps_says_what_tells_them_apart() {
        let of = json!({"type": "object", "properties": {"k": {"type": "object", "nullable": true}}});
        assert_eq!(
            texts(&json!({"type": "array", "x-kubernetes-list-type": "map", "items": of,
                "x-kubernetes-list-map-keys": ["k", "k"]}))
            .iter()
            .map(|text| text.split(": ").next().unwrap_or_default().to_owned())
            .collect::<Vec<_>>(),
            [
                "s.items.properties[k].type",
                "s.items.properties[k].type",
                "s.x-kubernetes-list-map-keys",
                "s.items.properties[k].default",
                "s.items.properties[k].nullable",
                "s.items.properties[k].default",
                "s.items.properties[k].nullable",
            ]
        );
        assert_eq!(
            texts(&json!({"type": "object", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]})),
            [
                "s.type: Invalid value: \"object\": must be array if x-kubernetes-list-type is specified",
                "s.items: Required value: must have a schema if x-kubernetes-list-type is map",
            ]
        );
    }

    #[test]
    fn there_are_not_endlessly_many_keys() {
        let keys: Vec<String> = (0..100_000).map(|_| "k".to_owned()).collect();
        let schema = json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys,
            "items": {"type": "object"}});
        assert_eq!(texts(&schema), ["s.x-kubernetes-list-map-keys: Too many: 100000: must have at most 32 items"]);
    }

    #[test]
    fn what_is_in_a_set_is_atomic() {
        let set = |of: Value| json!({"type": "array", "x-kubernetes-list-type": "set", "items": of});
        let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
        assert_eq!(
            texts(&set(json!({"type": "object"}))),
            [format!("s.items.x-kubernetes-map-type: Invalid value: null: {why}")]
        );
        assert_eq!(
            texts(&set(json!({"type": "array", "x-kubernetes-list-type": "map"}))),
            [format!("s.items.x-kubernetes-list-type: Invalid value: \"map\": {why}")]
        );
        assert!(texts(&set(json!({"type": "object", "x-kubernetes-map-type": "atomic"}))).is_empty());
    }
}
