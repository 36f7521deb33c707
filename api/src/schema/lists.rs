//! Lists that are sets or maps hold nothing twice.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{items, list_keys, member, properties, text};
use crate::field::{Error, ErrorList, Path};

/// The duplicates in all sets and maps below a value.
#[must_use]
pub fn list_errors(value: &Value, schema: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    walk(value, schema, path, &mut errors);
    errors
}

fn walk(value: &Value, schema: &Value, path: &Path, errors: &mut ErrorList) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let Some(of) = member(schema, key) else { continue };
                let declared = properties(schema).is_some_and(|all| all.contains_key(key));
                let path = if declared { path.child(key) } else { path.key(key) };
                walk(value, of, &path, errors);
            }
        }
        Value::Array(list) => {
            let Some(of) = items(schema) else { return };
            duplicates(list, schema, of, path, errors);
            list.iter().enumerate().for_each(|(index, value)| walk(value, of, &path.index(index), errors));
        }
        _ => {}
    }
}

fn duplicates(list: &[Value], schema: &Value, of: &Value, path: &Path, errors: &mut ErrorList) {
    let shown = |item: &Value| match text(schema, "x-kubernetes-list-type") {
        "set" => Some(item.clone()),
        "map" => Some(keys_of(item, schema, of)),
        _ => None,
    };
    let mut seen: HashSet<Value> = HashSet::new();
    for (index, item) in list.iter().enumerate() {
        let Some(key) = shown(item) else { return };
        if seen.contains(&key) {
            errors.push(Error::duplicate(&path.index(index), key));
        } else {
            seen.insert(key);
        }
    }
}

/// The keys of an element with the defaults of those that are missing.
fn keys_of(item: &Value, schema: &Value, of: &Value) -> Value {
    let default = |key: &str| properties(of)?.get(key)?.get("default").cloned();
    let found =
        list_keys(schema).filter_map(|key| Some((key.to_owned(), item.get(key).cloned().or_else(|| default(key))?)));
    Value::Object(found.collect::<Map<_, _>>())
}
