//! Walks over objects along their schema: which fields are set, and in which two objects differ.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema::{Atom, Relation, Schema};
use super::set::{FieldSet, Node};
use crate::field::go_json;

/// The step that leads to a list element; None if a key is missing and has no default.
pub(super) fn element_step(relation: &Relation, item: &Value) -> Option<String> {
    match relation {
        Relation::Atomic => None,
        Relation::Set => Some(format!("v:{}", go_json(item))),
        Relation::Keyed(keys) => {
            let mut found = Map::new();
            for (key, default) in keys {
                let value = item.get(key).or(default.as_ref());
                found.extend(value.map(|value| (key.clone(), value.clone())));
            }
            // Some of the keys may be missing, but not all of them.
            (!found.is_empty()).then(|| format!("k:{}", go_json(&Value::Object(found))))
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
    let mut root = Node::default();
    collect(value, schema, &mut root);
    root.below
}

fn collect(value: &Value, schema: Schema<'_>, here: &mut Node) {
    match schema.atom(value) {
        Atom::Scalar(_) | Atom::Map { atomic: true } | Atom::List { relation: Relation::Atomic, .. } => {
            here.member = true;
        }
        Atom::Map { atomic: false } => {
            for (name, child) in value.as_object().into_iter().flatten() {
                let (inner, declared) = schema.child(name).unwrap_or((Schema::Deduced, false));
                let mut there = Node::default();
                collect(child, inner, &mut there);
                there.member |= child.is_null() || child.as_object().is_some_and(Map::is_empty) || !declared;
                here.below.hang(format!("f:{name}"), there);
            }
        }
        Atom::List { relation, element } => {
            for (step, items) in grouped(Some(value), &relation) {
                let mut there = Node::default();
                // What is there twice is told as a whole.
                if let [only] = items.as_slice() {
                    collect(only, element, &mut there);
                }
                there.member = true;
                here.below.hang(step, there);
            }
        }
    }
}

/// How one object differs from another.
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
    let mut root = Difference::default();
    differ(Some(old), Some(new), schema, &mut root);
    Comparison { removed: root.removed.below, modified: root.modified.below, added: root.added.below }
}

/// How two values at one place differ. It is put together from below: a path from the root for each difference would
/// compare the names above it each time, and who sends an object chooses how long they are.
#[derive(Default)]
struct Difference {
    removed: Node,
    modified: Node,
    added: Node,
}

impl Difference {
    fn hang(&mut self, step: &str, below: Difference) {
        for (there, node) in
            [(&mut self.removed, below.removed), (&mut self.modified, below.modified), (&mut self.added, below.added)]
        {
            if node != Node::default() {
                there.below.hang(step.to_owned(), node);
            }
        }
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(_) => false,
    }
}

fn differ(old: Option<&Value>, new: Option<&Value>, schema: Schema<'_>, here: &mut Difference) {
    let shown = new.filter(|value| !value.is_null()).or(old).unwrap_or(&Value::Null);
    let same_kind = matches!(
        (old, new),
        (None | Some(Value::Null | Value::Object(_)), None | Some(Value::Null | Value::Object(_)))
            | (None | Some(Value::Null | Value::Array(_)), None | Some(Value::Null | Value::Array(_)))
    );
    let leaf = !same_kind || (is_empty(old) && is_empty(new));
    if !same_kind {
        differ_kinds(old, new, schema, here);
    }
    match schema.atom(shown) {
        Atom::Map { atomic: false } if !leaf => differ_maps(old, new, schema, here),
        Atom::List { relation, element } if relation != Relation::Atomic && !leaf => {
            differ_lists(old, new, &relation, element, here);
        }
        _ => {
            if let (Some(old), Some(new)) = (old, new)
                && !equal(old, new)
            {
                here.modified.member = true;
            }
        }
    }
    here.added.member |= old.is_none() && new.is_some();
    here.removed.member |= old.is_some() && new.is_none();
}

/// What was in a map that is none any more is gone, and what is in one that was none is new.
fn differ_kinds(old: Option<&Value>, new: Option<&Value>, schema: Schema<'_>, here: &mut Difference) {
    let map = |value: &Option<&Value>| {
        value.is_some_and(|value| value.is_object() && matches!(schema.atom(value), Atom::Map { atomic: false }))
    };
    differ_maps(old.filter(|_| map(&old)), new.filter(|_| map(&new)), schema, here);
}

fn differ_maps(old: Option<&Value>, new: Option<&Value>, schema: Schema<'_>, here: &mut Difference) {
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
        let mut there = Difference::default();
        differ(before, after, inner, &mut there);
        here.hang(&format!("f:{name}"), there);
    }
}

fn differ_lists(
    old: Option<&Value>,
    new: Option<&Value>,
    relation: &Relation,
    element: Schema<'_>,
    here: &mut Difference,
) {
    let (old, new) = (grouped(old, relation), grouped(new, relation));
    let only_new = new.keys().filter(|step| !old.contains_key(*step));
    for step in old.keys().chain(only_new) {
        let before = old.get(step).map(Vec::as_slice).unwrap_or_default();
        let after = new.get(step).map(Vec::as_slice).unwrap_or_default();
        let mut there = Difference::default();
        differ_items(before, after, element, &mut there);
        here.hang(step, there);
    }
}

/// Elements under one key: usually one on each side. Several are compared as a whole.
fn differ_items(old: &[&Value], new: &[&Value], element: Schema<'_>, here: &mut Difference) {
    match (old, new) {
        ([] | [_], [] | [_]) => differ(old.first().copied(), new.first().copied(), element, here),
        ([] | [_], _) => {
            if let [only] = old {
                differ(Some(*only), None, element, here);
            }
            here.added.member = true;
        }
        (_, [] | [_]) => {
            if let [only] = new {
                differ(None, Some(*only), element, here);
            }
            here.removed.member = true;
        }
        _ => {
            let same = old.len() == new.len() && old.iter().zip(new).all(|(a, b)| equal(a, b));
            here.modified.member |= !same;
        }
    }
}

/// Elements by the step that leads to them.
fn grouped<'v>(list: Option<&'v Value>, relation: &Relation) -> BTreeMap<String, Vec<&'v Value>> {
    let mut groups: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for item in list.and_then(Value::as_array).into_iter().flatten() {
        let Some(step) = element_step(relation, item) else { continue };
        groups.entry(step).or_default().push(item);
    }
    groups
}
