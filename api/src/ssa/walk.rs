//! Walks over objects along their schema: which fields are set, and in which two objects differ.

use serde_json::{Map, Value};

use super::schema::{Atom, Relation, Schema};
use super::set::FieldSet;

/// The step that leads to a list element; None if a key is missing and has no default.
pub(super) fn element_step(relation: &Relation, item: &Value) -> Option<String> {
    match relation {
        Relation::Atomic => None,
        Relation::Set => Some(format!("v:{item}")),
        Relation::Keyed(keys) => {
            let mut found = Map::new();
            for (key, default) in keys {
                let value = item.get(key).filter(|value| !value.is_null()).or(default.as_ref());
                found.extend(value.map(|value| (key.clone(), value.clone())));
            }
            // Some of the keys may be missing, but not all of them.
            (!found.is_empty()).then(|| format!("k:{}", Value::Object(found)))
        }
    }
}

/// Equality of JSON values in which 1 and 1.0 are the same.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => left == right,
    }
}

/// The fields that a configuration sets.
pub(super) fn field_set(value: &Value, schema: Schema<'_>) -> FieldSet {
    let mut set = FieldSet::default();
    collect(value, schema, &mut Vec::new(), &mut set);
    set
}

fn collect(value: &Value, schema: Schema<'_>, path: &mut Vec<String>, set: &mut FieldSet) {
    match schema.atom(value) {
        Atom::Scalar(_) | Atom::Map { atomic: true } | Atom::List { relation: Relation::Atomic, .. } => {
            set.insert(path);
        }
        Atom::Map { atomic: false } => {
            for (name, child) in value.as_object().into_iter().flatten() {
                let (inner, declared) = schema.child(name).unwrap_or((Schema::Deduced, false));
                path.push(format!("f:{name}"));
                collect(child, inner, path, set);
                if child.is_null() || child.as_object().is_some_and(Map::is_empty) || !declared {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Atom::List { relation, element } => {
            for item in value.as_array().into_iter().flatten() {
                let Some(step) = element_step(&relation, item) else { continue };
                path.push(step);
                collect(item, element, path, set);
                set.insert(path);
                path.pop();
            }
        }
    }
}

/// How one object differs from another.
#[derive(Default)]
pub(super) struct Comparison {
    pub removed: FieldSet,
    pub modified: FieldSet,
    pub added: FieldSet,
}

impl Comparison {
    pub(super) fn without(self, ignored: &FieldSet) -> Comparison {
        if ignored.is_empty() {
            return self;
        }
        Comparison {
            removed: self.removed.recursive_difference(ignored),
            modified: self.modified.recursive_difference(ignored),
            added: self.added.recursive_difference(ignored),
        }
    }
}

/// Compares two objects.
pub(super) fn compare(old: &Value, new: &Value, schema: Schema<'_>) -> Comparison {
    let mut comparison = Comparison::default();
    differ(Some(old), Some(new), schema, &mut Vec::new(), &mut comparison);
    comparison
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(_) => false,
    }
}

fn differ(
    old: Option<&Value>,
    new: Option<&Value>,
    schema: Schema<'_>,
    path: &mut Vec<String>,
    comparison: &mut Comparison,
) {
    let shown = new.filter(|value| !value.is_null()).or(old).unwrap_or(&Value::Null);
    let same_kind = matches!(
        (old, new),
        (None | Some(Value::Null | Value::Object(_)), None | Some(Value::Null | Value::Object(_)))
            | (None | Some(Value::Null | Value::Array(_)), None | Some(Value::Null | Value::Array(_)))
    );
    let leaf = !same_kind || (is_empty(old) && is_empty(new));
    match schema.atom(shown) {
        Atom::Map { atomic: false } if !leaf => differ_maps(old, new, schema, path, comparison),
        Atom::List { relation, element } if relation != Relation::Atomic && !leaf => {
            differ_lists(old, new, &relation, element, path, comparison);
        }
        _ => {
            if let (Some(old), Some(new)) = (old, new)
                && !equal(old, new)
            {
                comparison.modified.insert(path);
            }
        }
    }
    match (old, new) {
        (None, Some(_)) => comparison.added.insert(path),
        (Some(_), None) => comparison.removed.insert(path),
        _ => {}
    }
}

fn differ_maps(
    old: Option<&Value>,
    new: Option<&Value>,
    schema: Schema<'_>,
    path: &mut Vec<String>,
    comparison: &mut Comparison,
) {
    let empty = Map::new();
    let old = old.and_then(Value::as_object).unwrap_or(&empty);
    let new = new.and_then(Value::as_object).unwrap_or(&empty);
    let only_new = new.keys().filter(|name| !old.contains_key(*name));
    for name in old.keys().chain(only_new) {
        let (before, after) = (old.get(name), new.get(name));
        if before == after {
            continue;
        }
        let inner = schema.child(name).map_or(Schema::Deduced, |(inner, _)| inner);
        path.push(format!("f:{name}"));
        differ(before, after, inner, path, comparison);
        path.pop();
    }
}

fn differ_lists(
    old: Option<&Value>,
    new: Option<&Value>,
    relation: &Relation,
    element: Schema<'_>,
    path: &mut Vec<String>,
    comparison: &mut Comparison,
) {
    let (old, new) = (grouped(old, relation), grouped(new, relation));
    let only_new = new.iter().filter(|(step, _)| !old.iter().any(|(other, _)| other == step));
    for (step, before) in &old {
        let after = new.iter().find(|(other, _)| other == step).map(|(_, items)| items);
        path.push(step.clone());
        differ_items(before, after.map(Vec::as_slice).unwrap_or_default(), element, path, comparison);
        path.pop();
    }
    for (step, after) in only_new {
        path.push(step.clone());
        differ_items(&[], after, element, path, comparison);
        path.pop();
    }
}

/// Elements under one key: usually one on each side; several are compared as a whole.
fn differ_items(
    old: &[&Value],
    new: &[&Value],
    element: Schema<'_>,
    path: &mut Vec<String>,
    comparison: &mut Comparison,
) {
    if old.len() <= 1 && new.len() <= 1 {
        return differ(old.first().copied(), new.first().copied(), element, path, comparison);
    }
    match (old.is_empty(), new.is_empty()) {
        (true, _) => comparison.added.insert(path),
        (_, true) => comparison.removed.insert(path),
        _ if old.len() == new.len() && old.iter().zip(new).all(|(a, b)| equal(a, b)) => {}
        _ => comparison.modified.insert(path),
    }
}

fn grouped<'v>(list: Option<&'v Value>, relation: &Relation) -> Vec<(String, Vec<&'v Value>)> {
    let mut groups: Vec<(String, Vec<&Value>)> = Vec::new();
    for item in list.and_then(Value::as_array).into_iter().flatten() {
        let Some(step) = element_step(relation, item) else { continue };
        match groups.iter_mut().find(|(known, _)| *known == step) {
            Some((_, items)) => items.push(item),
            None => groups.push((step, vec![item])),
        }
    }
    groups
}
