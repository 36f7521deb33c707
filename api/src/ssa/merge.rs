//! Merging a configuration into the live object, and taking fields out again.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::schema::{Atom, Relation, Schema};
use super::set::FieldSet;
use super::walk::element_step;

/// The live object with the configuration laid over it.
pub(super) fn merge(live: &Value, config: &Value, schema: Schema<'_>) -> Value {
    match (live, config, schema.atom(config)) {
        (Value::Object(live), Value::Object(config), Atom::Map { atomic: false }) => {
            Value::Object(merge_maps(live, config, schema))
        }
        (Value::Array(live), Value::Array(config), Atom::List { relation, element })
            if relation != Relation::Atomic && !(live.is_empty() && config.is_empty()) =>
        {
            Value::Array(merge_lists(live, config, &relation, element))
        }
        (_, Value::Null, _) if merges(live, schema) => live.clone(),
        _ => config.clone(),
    }
}

/// Whether null leaves the live value alone: it does in maps and lists that merge, like an empty one.
fn merges(live: &Value, schema: Schema<'_>) -> bool {
    match (live, schema.atom(live)) {
        (Value::Object(map), Atom::Map { atomic: false }) => !map.is_empty(),
        (Value::Array(list), Atom::List { relation, .. }) => relation != Relation::Atomic && !list.is_empty(),
        _ => false,
    }
}

fn merge_maps(live: &Map<String, Value>, config: &Map<String, Value>, schema: Schema<'_>) -> Map<String, Value> {
    let mut out = live.clone();
    for (name, value) in config {
        let merged = match live.get(name) {
            Some(old) => {
                let inner = schema.child(name).map_or(Schema::Deduced, |(inner, _)| inner);
                merge(old, value, inner)
            }
            None => value.clone(),
        };
        out.insert(name.clone(), merged);
    }
    out
}

/// Elements of both lists: the configuration's order holds, live-only elements stay where they are among those
/// that both have.
fn merge_lists(live: &[Value], config: &[Value], relation: &Relation, element: Schema<'_>) -> Vec<Value> {
    let steps = |list: &[Value]| -> Vec<String> {
        list.iter().map(|item| element_step(relation, item).unwrap_or_default()).collect()
    };
    let (left, right) = (steps(live), steps(config));
    let mut places: HashMap<&String, usize> = HashMap::new();
    for (at, step) in left.iter().enumerate() {
        places.entry(step).or_insert(at);
    }
    let configured: HashSet<&String> = right.iter().collect();
    let mut shared = right.iter().filter(|step| places.contains_key(step)).peekable();
    let mut taken: HashSet<&String> = HashSet::new();
    let mut out = Vec::with_capacity(live.len().max(config.len()));
    let (mut l, mut r) = (0, 0);
    let merged = |step: &String, config: &Value| match places.get(step) {
        Some(at) => merge(&live[*at], config, element),
        None => config.clone(),
    };
    while l < left.len() || r < right.len() {
        if l < left.len() && r < right.len() {
            let wanted = shared.peek().copied();
            if left[l] != right[r] && configured.contains(&left[l]) && wanted.is_some_and(|step| *step != left[l]) {
                l += 1;
                continue;
            }
        }
        if l < left.len() {
            if !configured.contains(&left[l]) {
                out.push(live[l].clone());
                l += 1;
                continue;
            }
            if taken.contains(&left[l]) {
                l += 1;
                continue;
            }
        }
        if r < right.len() {
            let step = &right[r];
            out.push(merged(step, &config[r]));
            taken.insert(step);
            if l < left.len() && left[l] == *step {
                l += 1;
            }
            r += 1;
            shared.next_if(|next| *next == step);
        }
    }
    out
}

/// The value without the fields of the set. Maps and lists that become empty go too.
pub(super) fn remove(value: &Value, set: &FieldSet, schema: Schema<'_>) -> Value {
    match (value, schema.atom(value)) {
        (Value::Object(map), Atom::Map { atomic: false }) => {
            let mut out = Map::new();
            for (name, child) in map {
                let step = format!("f:{name}");
                if set.has(&step) {
                    continue;
                }
                let inner = schema.child(name).map_or(Schema::Deduced, |(inner, _)| inner);
                match set.below(&step).map(|below| remove(child, below, inner)) {
                    Some(Value::Null) => {}
                    Some(kept) => {
                        out.insert(name.clone(), kept);
                    }
                    None => {
                        out.insert(name.clone(), child.clone());
                    }
                }
            }
            if out.is_empty() && !map.is_empty() { Value::Null } else { Value::Object(out) }
        }
        (Value::Array(list), Atom::List { relation, element }) if relation != Relation::Atomic => {
            let kept: Vec<Value> = list.iter().filter_map(|item| remove_item(item, set, &relation, element)).collect();
            if kept.is_empty() && !list.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        _ => value.clone(),
    }
}

fn remove_item(item: &Value, set: &FieldSet, relation: &Relation, element: Schema<'_>) -> Option<Value> {
    let step = element_step(relation, item)?;
    if set.has(&step) {
        return None;
    }
    Some(match set.below(&step) {
        Some(below) => remove(item, below, element),
        None => item.clone(),
    })
}
