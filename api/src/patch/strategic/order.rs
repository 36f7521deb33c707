//! In which order merged lists come out: the patch's order wins, the live order holds the rest in place.

use serde_json::{Map, Value};

use super::MergeError;
use crate::json;

/// Whether two elements are the same one: by key, or as scalars if the key is empty.
pub(super) fn same(left: &Value, right: &Value, key: &str) -> bool {
    if key.is_empty() {
        return left == right;
    }
    matches!((left.get(key), right.get(key)), (Some(left), Some(right)) if left == right)
}

fn index(list: &[Value], item: &Value, key: &str) -> Option<usize> {
    list.iter().position(|other| same(other, item, key))
}

/// Puts merged elements in order: those of `patch` by its order, the others by the live order, the two interleaved
/// by the live order where both are known there.
pub(super) fn arrange(
    merged: Vec<Value>,
    patch: &[Value],
    live: &[Value],
    key: &str,
) -> Result<Vec<Value>, MergeError> {
    let mut ours = Vec::new();
    let mut others = Vec::new();
    for item in merged {
        key_of(&item, key)?;
        match index(patch, &item, key) {
            Some(at) => ours.push((at, item)),
            None => others.push((index(live, &item, key).unwrap_or(usize::MAX), item)),
        }
    }
    ours.sort_by_key(|(at, _)| *at);
    others.sort_by_key(|(at, _)| *at);
    Ok(interleave(others, ours.into_iter().map(|(_, item)| item).collect(), live, key))
}

fn interleave(others: Vec<(usize, Value)>, ours: Vec<Value>, live: &[Value], key: &str) -> Vec<Value> {
    let mut out = Vec::with_capacity(others.len() + ours.len());
    let mut others = others.into_iter().peekable();
    for item in ours {
        let at = index(live, &item, key);
        while let (Some(at), Some((other, _))) = (at, others.peek()) {
            if *other >= at {
                break;
            }
            out.extend(others.next().map(|(_, item)| item));
        }
        out.push(item);
    }
    out.extend(others.map(|(_, item)| item));
    out
}

/// Refuses an element of a keyed list that has no such key.
pub(super) fn key_of(item: &Value, key: &str) -> Result<(), MergeError> {
    if key.is_empty() {
        return Ok(());
    }
    let map = map_of(item)?;
    if map.contains_key(key) { Ok(()) } else { Err(MergeError::no_merge_key(map, key)) }
}

/// Refuses an element that is no map.
pub(super) fn map_of(item: &Value) -> Result<&Map<String, Value>, MergeError> {
    item.as_object().ok_or_else(|| {
        MergeError::Other(format!("expected a map[string]interface {{}}, but received a {}", go_type(item)))
    })
}

/// The Go type that a decoded JSON value has, in the words of patches.
pub(super) fn go_type(value: &Value) -> &'static str {
    if value.is_null() { "%!s(<nil>)" } else { json::go_type(value) }
}
