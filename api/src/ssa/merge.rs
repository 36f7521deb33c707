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
/// that both have. What the live list has twice under one key is replaced, not merged.
fn merge_lists(live: &[Value], config: &[Value], relation: &Relation, element: Schema<'_>) -> Vec<Value> {
    let steps = |list: &[Value]| -> Vec<String> {
        list.iter().map(|item| element_step(relation, item).unwrap_or_default()).collect()
    };
    let (left, right) = (steps(live), steps(config));
    let mut found: HashMap<&String, Option<&Value>> = HashMap::new();
    for (step, item) in left.iter().zip(live) {
        found.entry(step).and_modify(|twice| *twice = None).or_insert(Some(item));
    }
    let configured: HashSet<&String> = right.iter().collect();
    let mut shared = right.iter().filter(|step| found.contains_key(step)).peekable();
    let mut taken: HashSet<&String> = HashSet::new();
    let mut out = Vec::with_capacity(live.len().max(config.len()));
    let (mut l, mut r) = (0, 0);
    let merged = |r: usize| match found.get(&right[r]) {
        Some(Some(live)) => merge(live, &config[r], element),
        _ => config[r].clone(),
    };
    while l < left.len() || r < right.len() {
        if l < left.len() && r < right.len() {
            if left[l] == right[r] {
                out.push(merged(r));
                taken.insert(&right[r]);
                shared.next();
                (l, r) = (l + 1, r + 1);
                continue;
            }
            let wanted = shared.peek().copied();
            if configured.contains(&left[l]) && wanted.is_some_and(|step| *step != left[l]) {
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
            }
        }
        if r < right.len() {
            out.push(merged(r));
            taken.insert(&right[r]);
            shared.next_if(|next| **next == right[r]);
            r += 1;
        }
    }
    out
}

/// The value without the fields of the set: null if nothing is left, or if it cannot be taken apart. What loses all that
/// is in it stays, empty. Kubernetes 1.36 has it so up to 1.36.2; before and after, it is null there. Source: #306 and
/// #331 of kubernetes-sigs/structured-merge-diff.
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
                out.insert(name.clone(), remove_below(child, &step, set, inner));
            }
            if out.is_empty() { Value::Null } else { Value::Object(out) }
        }
        (Value::Array(list), Atom::List { relation, element }) if relation != Relation::Atomic => {
            let kept: Vec<Value> = list.iter().filter_map(|item| remove_item(item, set, &relation, element)).collect();
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        (Value::Object(_) | Value::Array(_), _) => Value::Null,
        _ => value.clone(),
    }
}

fn remove_item(item: &Value, set: &FieldSet, relation: &Relation, element: Schema<'_>) -> Option<Value> {
    let step = element_step(relation, item)?;
    (!set.has(&step)).then(|| remove_below(item, &step, set, element))
}

/// What is at a step, without what the set has below it.
fn remove_below(child: &Value, step: &str, set: &FieldSet, schema: Schema<'_>) -> Value {
    let Some(below) = set.below(step) else { return child.clone() };
    match (remove(child, below, schema), child) {
        (Value::Null, Value::Object(_)) => Value::Object(Map::new()),
        (Value::Null, Value::Array(_)) => Value::Array(Vec::new()),
        (kept, _) => kept,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::walk::{compare, field_set};
    use super::*;
    use crate::types::type_of;

    fn deployment() -> Schema<'static> {
        Schema::Struct(type_of("apps", "v1", "Deployment").unwrap())
    }

    fn container(rest: Value) -> Value {
        let mut container = json!({"name": "c"});
        container.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!({"spec": {"template": {"spec": {"containers": [container]}}}})
    }

    #[test]
    fn what_loses_all_that_is_in_it_stays_empty() {
        let whole = container(json!({"securityContext": {"runAsUser": 1}, "env": [{"name": "A"}]}));
        let mut gone = field_set(&whole, deployment());
        gone.subtract(&field_set(&container(json!({"securityContext": {}})), deployment()));
        assert_eq!(remove(&whole, &gone, deployment()), container(json!({"securityContext": {}, "env": []})));
        let all = FieldSet::of_fields(&[&["spec"]]);
        assert_eq!(remove(&whole, &all, deployment()), Value::Null);
    }

    #[test]
    fn what_is_there_twice_is_one_thing() {
        let env = |list: Value| container(json!({"env": list}));
        let live = env(json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}, {"name": "B"}]));
        let config = env(json!([{"name": "A", "valueFrom": {}}, {"name": "C"}]));
        let merged = env(json!([{"name": "A", "valueFrom": {}}, {"name": "C"}, {"name": "B"}]));
        assert_eq!(merge(&live, &config, deployment()), merged);
        let place = |set: &FieldSet| {
            let path = "/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"c\"}/f:env/k:{\"name\":\"A\"}";
            set.to_json().pointer(path).cloned()
        };
        assert_eq!(place(&field_set(&live, deployment())), Some(json!({})));
        let change = compare(&live, &merged, deployment());
        assert_eq!(place(&change.removed), Some(json!({})));
        assert_eq!(place(&change.added), Some(json!({".": {}, "f:name": {}, "f:valueFrom": {}})));
        let change = compare(&merged, &live, deployment());
        assert_eq!(place(&change.added), Some(json!({})));
        assert_eq!(place(&change.removed), Some(json!({".": {}, "f:name": {}, "f:valueFrom": {}})));
    }

    #[test]
    fn a_map_that_is_none_any_more_has_lost_what_was_in_it() {
        let (map, text) = (json!({"free": {"a": 1}}), json!({"free": "x"}));
        let change = compare(&map, &text, Schema::Deduced);
        assert_eq!(change.modified.to_json(), json!({"f:free": {}}));
        assert_eq!(change.removed.to_json(), json!({"f:free": {"f:a": {}}}));
        let change = compare(&text, &map, Schema::Deduced);
        assert_eq!(change.modified.to_json(), json!({"f:free": {}}));
        assert_eq!(change.added.to_json(), json!({"f:free": {"f:a": {}}}));
    }
}
