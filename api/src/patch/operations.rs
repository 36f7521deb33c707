//! The operations of a JSON patch, as forgiving as Kubernetes' own: a missing member of a map is null to `test`, `replace`
//! and `copy`, and indexes count from the end where they are negative.

use serde_json::{Map, Value};

use crate::json;

/// Bytes of JSON that the copies of one patch take at the most. Source: `JSONPatchMaxCopyBytes` of the API server.
const COPIES: usize = 3 << 20;
/// Values that are looked at for one patch: far more than a body has, so that it ends only what moves much too often.
const LOOKS: usize = 20_000_000;

static NOTHING: Value = Value::Null;

/// What the operations of one patch may still do: each is short, however much it makes of an object.
pub(super) struct Limits {
    copies: usize,
    looks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { copies: COPIES, looks: LOOKS }
    }
}

impl Limits {
    /// Whether a value may be copied.
    fn copies(&mut self, value: &Value) -> bool {
        let left = self.copies.checked_sub(value.to_string().len());
        self.copies = left.unwrap_or_default();
        left.is_some()
    }

    /// Whether a value may be at a path.
    fn takes(&mut self, path: &str, value: &Value) -> bool {
        let room = json::DEEPEST.checked_sub(path.matches('/').count());
        room.is_some_and(|room| json::fits(value, room, &mut self.looks))
    }
}

/// Applies one operation; false if it does not apply.
pub(super) fn apply(document: &mut Value, operation: &Map<String, Value>, limits: &mut Limits) -> bool {
    let text = |field: &str| operation.get(field).and_then(Value::as_str).unwrap_or_default();
    let value = operation.get("value").unwrap_or(&NOTHING);
    let path = text("path");
    let new = match text("op") {
        "remove" => return take(document, path).is_some(),
        "test" => return get(document, path).is_some_and(|found| same(found, value)),
        "add" | "replace" => Some(value.clone()),
        "move" => take(document, text("from")),
        "copy" => get(document, text("from")).filter(|found| limits.copies(found)).cloned(),
        _ => None,
    };
    let Some(new) = new.filter(|new| limits.takes(path, new)) else { return false };
    let done = if text("op") == "replace" { replace(document, path, new) } else { add(document, path, new) };
    done.is_some()
}

/// Numbers are equal by value, however they are written.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => found == wanted,
    }
}

/// The container that a path leads into, and the last step.
fn container<'d>(document: &'d mut Value, path: &str) -> Option<(&'d mut Value, String)> {
    let mut steps: Vec<String> = path.split('/').skip(1).map(unescape).collect();
    let last = steps.pop()?;
    let mut at = document;
    for step in steps {
        at = match at {
            Value::Object(map) => map.get_mut(&step)?,
            Value::Array(list) => {
                let index = index(&step, list.len())?;
                list.get_mut(index)?
            }
            _ => return None,
        };
    }
    (at.is_object() || at.is_array()).then_some((at, last))
}

fn unescape(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// A position below `len`; negative ones count from the end.
fn index(step: &str, len: usize) -> Option<usize> {
    let number: i64 = step.parse().ok()?;
    let len = i64::try_from(len).ok()?;
    let number = if number < 0 { number + len } else { number };
    usize::try_from(number).ok().filter(|_| number < len)
}

fn get<'d>(document: &'d mut Value, path: &str) -> Option<&'d Value> {
    if path.is_empty() {
        return Some(document);
    }
    match container(document, path)? {
        (Value::Object(map), step) => Some(map.get(&step).unwrap_or(&NOTHING)),
        (Value::Array(list), step) => list.get(index(&step, list.len())?),
        _ => None,
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Option<()> {
    match container(document, path)? {
        (Value::Object(map), step) => drop(map.insert(step, value)),
        (Value::Array(list), step) if step == "-" => list.push(value),
        (Value::Array(list), step) => list.insert(index(&step, list.len() + 1)?, value),
        _ => return None,
    }
    Some(())
}

fn replace(document: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *document = value;
        return Some(());
    }
    match container(document, path)? {
        (Value::Object(map), step) => drop(map.insert(step, value)),
        (Value::Array(list), step) => {
            let index = index(&step, list.len())?;
            *list.get_mut(index)? = value;
        }
        _ => return None,
    }
    Some(())
}

fn take(document: &mut Value, path: &str) -> Option<Value> {
    match container(document, path)? {
        (Value::Object(map), step) => map.remove(&step),
        (Value::Array(list), step) => {
            let index = index(&step, list.len())?;
            Some(list.remove(index))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(mut document: Value, operation: Value) -> Option<Value> {
        apply(&mut document, operation.as_object().unwrap(), &mut Limits::default()).then_some(document)
    }

    #[test]
    fn a_missing_member_is_null() {
        let object = || json!({"a": {"b": "1"}});
        assert!(applied(object(), json!({"op": "test", "path": "/a/none", "value": null})).is_some());
        assert!(applied(object(), json!({"op": "test", "path": "/a/none", "value": "1"})).is_none());
        let replaced = applied(object(), json!({"op": "replace", "path": "/a/c", "value": "2"})).unwrap();
        assert_eq!(replaced, json!({"a": {"b": "1", "c": "2"}}));
    }

    #[test]
    fn what_is_not_there_cannot_go_or_hold_anything() {
        let object = || json!({"a": {"b": "1"}});
        assert!(applied(object(), json!({"op": "remove", "path": "/a/none"})).is_none());
        assert!(applied(object(), json!({"op": "add", "path": "/none/x", "value": 1})).is_none());
        assert!(applied(object(), json!({"op": "move", "from": "/a/none", "path": "/x"})).is_none());
        assert!(applied(object(), json!({"op": "explode", "path": "/a"})).is_none());
    }

    #[test]
    fn lists_by_index() {
        let list = || json!({"l": [1, 2, 3]});
        let with = |operation: Value| applied(list(), operation).map(|done| done["l"].clone());
        assert_eq!(with(json!({"op": "add", "path": "/l/-", "value": 4})), Some(json!([1, 2, 3, 4])));
        assert_eq!(with(json!({"op": "add", "path": "/l/1", "value": 9})), Some(json!([1, 9, 2, 3])));
        assert_eq!(with(json!({"op": "remove", "path": "/l/-1"})), Some(json!([1, 2])));
        assert_eq!(with(json!({"op": "replace", "path": "/l/3", "value": 9})), None);
        assert_eq!(with(json!({"op": "copy", "from": "/l/0", "path": "/l/-"})), Some(json!([1, 2, 3, 1])));
    }

    #[test]
    fn escaped_keys() {
        let done = applied(json!({"a/b~c": 1}), json!({"op": "test", "path": "/a~1b~0c", "value": 1.0}));
        assert!(done.is_some());
    }
}
