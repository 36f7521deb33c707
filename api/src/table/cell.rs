//! What cells are made of.

use serde_json::{Map, Value};

use crate::selector::LabelSelector;

pub(super) const NONE: &str = "<none>";
pub(super) const UNSET: &str = "<unset>";

/// The value at a JSON pointer.
pub(super) fn at<'v>(object: &'v Value, pointer: &str) -> Option<&'v Value> {
    object.pointer(pointer).filter(|value| !value.is_null())
}

/// The text at a JSON pointer, or the empty string.
pub(super) fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    at(object, pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The text at a JSON pointer, or `other` if it is empty.
pub(super) fn text_or<'v>(object: &'v Value, pointer: &str, other: &'v str) -> &'v str {
    match text(object, pointer) {
        "" => other,
        text => text,
    }
}

/// The scalar at a JSON pointer as text, or `other`.
pub(super) fn shown_or(object: &Value, pointer: &str, other: &str) -> String {
    at(object, pointer).map_or_else(|| other.to_owned(), crate::field::go_value)
}

/// The number at a JSON pointer, or 0.
pub(super) fn number(object: &Value, pointer: &str) -> i64 {
    at(object, pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// The boolean at a JSON pointer, or `other`.
pub(super) fn flag(object: &Value, pointer: &str, other: bool) -> bool {
    at(object, pointer).and_then(Value::as_bool).unwrap_or(other)
}

/// The list at a JSON pointer.
pub(super) fn list<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    at(object, pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The map at a JSON pointer.
pub(super) fn map<'v>(object: &'v Value, pointer: &str) -> Option<&'v Map<String, Value>> {
    at(object, pointer)?.as_object()
}

/// How many elements or keys there are at a JSON pointer.
pub(super) fn count(object: &Value, pointer: &str) -> usize {
    match at(object, pointer) {
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    }
}

/// One field of each element, joined.
pub(super) fn joined(list: &[Value], pointer: &str, separator: &str) -> String {
    list.iter().map(|item| text(item, pointer)).collect::<Vec<_>>().join(separator)
}

/// Texts of a list, joined.
pub(super) fn texts(list: &[Value], separator: &str) -> String {
    joined(list, "", separator)
}

/// The text, or `other` if it is empty.
pub(super) fn or(text: String, other: &str) -> String {
    if text.is_empty() { other.to_owned() } else { text }
}

/// A map of labels as `k=v`.
pub(super) fn labels(object: &Value, pointer: &str) -> String {
    let pairs = map(object, pointer).into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    or(pairs.join(","), NONE)
}

/// A label selector as text.
pub(super) fn selector(object: &Value, pointer: &str) -> String {
    match at(object, pointer).map(LabelSelector::from_object) {
        None => NONE.to_owned(),
        Some(Ok(selector)) => or(selector.to_string(), NONE),
        Some(Err(_)) => "<error>".to_owned(),
    }
}

/// The first `limit` texts, and how many more there are.
pub(super) fn more(items: &[String], limit: usize) -> String {
    match items.len() {
        total if total > limit => format!("{} + {} more...", items[..limit].join(","), total - limit),
        _ => or(items.join(","), UNSET),
    }
}

/// The condition of a type.
pub(super) fn condition<'v>(object: &'v Value, kind: &str) -> Option<&'v Value> {
    list(object, "/status/conditions").iter().find(|condition| text(condition, "/type") == kind)
}

/// Whether the condition of a type is true.
pub(super) fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| text(condition, "/status") == "True")
}

/// Names and images of the containers under a pod spec.
pub(super) fn containers(object: &Value, spec: &str) -> [String; 2] {
    let containers = list(object, &format!("{spec}/containers"));
    [joined(containers, "/name", ","), joined(containers, "/image", ",")]
}

/// The addresses of a load balancer.
pub(super) fn load_balancer(object: &Value) -> Vec<String> {
    let entries = list(object, "/status/loadBalancer/ingress").iter();
    let mut found: Vec<String> = entries
        .map(|entry| text_or(entry, "/ip", text(entry, "/hostname")).to_owned())
        .filter(|address| !address.is_empty())
        .collect();
    found.sort();
    found.dedup();
    found
}
