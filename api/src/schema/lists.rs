//! Lists that are sets or maps hold nothing twice.

use std::collections::HashMap;

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
            duplicates(list, schema, path, errors);
            list.iter().enumerate().for_each(|(index, value)| walk(value, of, &path.index(index), errors));
        }
        _ => {}
    }
}

fn duplicates(list: &[Value], schema: &Value, path: &Path, errors: &mut ErrorList) {
    let kind = text(schema, "x-kubernetes-list-type");
    if !matches!(kind, "set" | "map") {
        return;
    }
    let odd = |item: &Value| kind == "map" && !item.is_object() && !item.is_null();
    if let Some(index) = list.iter().position(odd) {
        let why = "must be an object for an array of list-type map";
        return errors.push(Error::invalid(&path.index(index), list[index].clone(), why));
    }
    // Whether what was seen has been told of: once is enough.
    let mut seen: HashMap<Value, bool> = HashMap::new();
    for (index, item) in list.iter().enumerate() {
        let key = if kind == "set" { item.clone() } else { keys_of(item, schema) };
        match seen.get_mut(&key) {
            None => {
                seen.insert(key, false);
            }
            Some(told) => {
                if !std::mem::replace(told, true) {
                    errors.push(Error::duplicate(&path.index(index), key));
                }
            }
        }
    }
}

/// The keys of an element, as far as it has them.
fn keys_of(item: &Value, schema: &Value) -> Value {
    let found = list_keys(schema).filter_map(|key| Some((key.to_owned(), item.get(key).cloned()?)));
    Value::Object(found.collect::<Map<_, _>>())
}
