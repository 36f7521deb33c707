//! The other way round: which patch turns one object into another.

use serde_json::{Map, Value, json};

use super::order::same;
use super::place::{Place, Strategy};
use super::{DELETE_PRIMITIVES, DIRECTIVE, RETAIN_KEYS, SET_ORDER};
use crate::types::Type;

type Object = Map<String, Value>;

/// The strategic merge patch that turns `original` into `modified`; an empty object if they are equal.
#[must_use]
pub fn create_two_way(original: &Value, modified: &Value, of: &'static Type) -> Value {
    let empty = Object::new();
    let original = original.as_object().unwrap_or(&empty);
    let modified = modified.as_object().unwrap_or(&empty);
    Value::Object(map(original, modified, Place::Struct(of), false))
}

fn map(original: &Object, modified: &Object, place: Place, retain_keys: bool) -> Object {
    let mut patch = Object::new();
    for (name, new) in modified {
        match original.get(name) {
            None => {
                patch.insert(name.clone(), new.clone());
            }
            Some(old) if old == new => {}
            Some(old) => field(&mut patch, name, old, new, place.field(name)),
        }
    }
    for name in original.keys().filter(|name| !modified.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    if retain_keys && !patch.is_empty() && !modified.is_empty() {
        let keys: Vec<Value> = modified.keys().map(|name| Value::from(name.as_str())).collect();
        patch.insert(RETAIN_KEYS.to_owned(), Value::Array(keys));
    }
    patch
}

fn field(patch: &mut Object, name: &str, old: &Value, new: &Value, strategy: Strategy) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) if !strategy.replace => {
            let inner = map(old, new, strategy.inside, strategy.retain_keys);
            if !inner.is_empty() {
                patch.insert(name.to_owned(), Value::Object(inner));
            }
        }
        (Value::Array(old), Value::Array(new)) if strategy.merge => list(patch, name, old, new, strategy),
        _ => {
            patch.insert(name.to_owned(), new.clone());
        }
    }
}

fn list(patch: &mut Object, name: &str, old: &[Value], new: &[Value], strategy: Strategy) {
    let keyed = |list: &[Value]| list.iter().all(|item| item.get(strategy.key).is_some());
    if strategy.key.is_empty() {
        return scalars(patch, name, old, new);
    }
    if !keyed(old) || !keyed(new) {
        patch.insert(name.to_owned(), Value::Array(new.to_vec()));
        return;
    }
    let mut changes = Vec::new();
    for item in new {
        match old.iter().find(|other| same(other, item, strategy.key)) {
            None => changes.push(item.clone()),
            Some(before) if before == item => {}
            Some(before) => {
                let (Value::Object(before), Value::Object(after)) = (before, item) else { continue };
                let mut change = map(before, after, strategy.elements, strategy.retain_keys);
                if !change.is_empty() {
                    change.insert(strategy.key.to_owned(), after[strategy.key].clone());
                    changes.push(Value::Object(change));
                }
            }
        }
    }
    for gone in old.iter().filter(|item| !new.iter().any(|other| same(other, item, strategy.key))) {
        changes.push(json!({(strategy.key): gone[strategy.key], (DIRECTIVE): "delete"}));
    }
    let order: Vec<Value> = new.iter().map(|item| json!({(strategy.key): item[strategy.key]})).collect();
    if !changes.is_empty() {
        patch.insert(name.to_owned(), Value::Array(changes));
    }
    if !order.is_empty() {
        patch.insert(format!("{SET_ORDER}/{name}"), Value::Array(order));
    }
}

fn scalars(patch: &mut Object, name: &str, old: &[Value], new: &[Value]) {
    let missing = |from: &[Value], list: &[Value]| -> Vec<Value> {
        from.iter().filter(|item| !list.contains(item)).cloned().collect()
    };
    let (added, removed) = (missing(new, old), missing(old, new));
    if !added.is_empty() {
        patch.insert(name.to_owned(), Value::Array(added));
    }
    if !removed.is_empty() {
        patch.insert(format!("{DELETE_PRIMITIVES}/{name}"), Value::Array(removed));
    }
    if !new.is_empty() {
        patch.insert(format!("{SET_ORDER}/{name}"), Value::Array(new.to_vec()));
    }
}
