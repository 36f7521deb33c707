//! The operations of a JSON patch, as forgiving as Kubernetes' own: a missing member of a map is null to `test`, `replace`
//! and `copy`, and indexes count from the end where they are negative.

use serde_json::{Map, Value};

use super::PatchRefused;
use crate::field::go_quote;
use crate::json;

/// Bytes of JSON that the copies of one patch take at the most. Source: `JSONPatchMaxCopyBytes` of the API server.
const COPIES: usize = 3 << 20;
/// Values that are looked at for one patch: far more than a body has, so that it ends only what moves much too often.
const LOOKS: usize = 20_000_000;

static NOTHING: Value = Value::Null;
/// What the library says of all that is not there.
const MISSING: &str = "missing value";

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
    /// Counts what is copied.
    fn copy(&mut self, value: &Value) -> Result<(), PatchRefused> {
        match self.copies.checked_sub(value.to_string().len()) {
            Some(left) => self.copies = left,
            None => return refuse("the copies of the patch are too large"),
        }
        Ok(())
    }

    /// Whether a value may be at a path.
    fn check(&mut self, path: &str, value: &Value) -> Result<(), PatchRefused> {
        let room = json::DEEPEST.checked_sub(path.matches('/').count());
        if room.is_some_and(|room| json::fits(value, room, &mut self.looks)) {
            return Ok(());
        }
        refuse("the patch makes too much of the object")
    }
}

/// Applies one operation.
pub(super) fn apply(
    document: &mut Value,
    operation: &Map<String, Value>,
    limits: &mut Limits,
) -> Result<(), PatchRefused> {
    let kind = operation.get("op").and_then(Value::as_str).unwrap_or("unknown");
    let asked = |field: &str| asked(operation, kind, field);
    let value = operation.get("value").unwrap_or(&NOTHING);
    match kind {
        "add" => add(document, limits, asked("path")?, value.clone()),
        "remove" => remove(document, asked("path")?),
        "replace" => replace(document, limits, asked("path")?, value.clone()),
        "test" => test(document, asked("path")?, value),
        "move" => displace(document, limits, asked("from")?, asked("path")?),
        "copy" => copy(document, limits, asked("from")?, asked("path")?),
        other => refuse(format!("Unexpected kind: {other}")),
    }
}

fn refuse<T>(why: impl Into<String>) -> Result<T, PatchRefused> {
    Err(PatchRefused::Failed(why.into()))
}

/// A path that an operation must have.
fn asked<'o>(operation: &'o Map<String, Value>, kind: &str, field: &str) -> Result<&'o str, PatchRefused> {
    if let Some(path) = operation.get(field).and_then(Value::as_str) {
        return Ok(path);
    }
    refuse(match (kind, field) {
        ("add" | "remove", _) | ("copy", "path") => format!("{kind} operation failed to decode {field}: {MISSING}"),
        (_, "from") => format!("{kind} operation failed to decode from: operation, missing from field: {MISSING}"),
        _ => format!("{kind} operation failed to decode path: operation missing path field: {MISSING}"),
    })
}

fn add(document: &mut Value, limits: &mut Limits, path: &str, value: Value) -> Result<(), PatchRefused> {
    limits.check(path, &value)?;
    let Some((holder, step)) = container(document, path) else {
        return refuse(format!("add operation does not apply: doc is missing path: \"{path}\": {MISSING}"));
    };
    put(holder, &step, value).or_else(|why| refuse(format!("error in add for path: '{path}': {why}")))
}

fn remove(document: &mut Value, path: &str) -> Result<(), PatchRefused> {
    let Some((holder, step)) = container(document, path) else {
        return refuse(format!("remove operation does not apply: doc is missing path: \"{path}\": {MISSING}"));
    };
    match take(holder, &step) {
        Ok(_) => Ok(()),
        Err(why) => refuse(format!("error in remove for path: '{path}': {why}")),
    }
}

fn replace(document: &mut Value, limits: &mut Limits, path: &str, value: Value) -> Result<(), PatchRefused> {
    limits.check(path, &value)?;
    if path.is_empty() {
        if !value.is_object() && !value.is_array() {
            return refuse("replace operation value must be object or array: %!w(<nil>)");
        }
        *document = value;
        return Ok(());
    }
    let missing =
        |what: &str| refuse(format!("replace operation does not apply: doc is missing {what}: {path}: {MISSING}"));
    let Some((holder, step)) = container(document, path) else { return missing("path") };
    match holder {
        Value::Object(map) => drop(map.insert(step, value)),
        Value::Array(list) => match index(&step, list.len()) {
            Ok(index) => list[index] = value,
            Err(_) => return missing("key"),
        },
        _ => return missing("path"),
    }
    Ok(())
}

fn test(document: &mut Value, path: &str, value: &Value) -> Result<(), PatchRefused> {
    let found = if path.is_empty() {
        &*document
    } else {
        let Some((holder, step)) = container(document, path) else {
            return refuse(format!("test operation does not apply: is missing path: {path}: {MISSING}"));
        };
        match get(holder, &step) {
            Ok(found) => found,
            Err(why) => return refuse(format!("error in test for path: '{path}': {why}")),
        }
    };
    if same(found, value) { Ok(()) } else { Err(PatchRefused::Test(path.to_owned())) }
}

fn displace(document: &mut Value, limits: &mut Limits, from: &str, path: &str) -> Result<(), PatchRefused> {
    let missing = |what: &str, place: &str| {
        refuse(format!("move operation does not apply: doc is missing {what} path: {place}: {MISSING}"))
    };
    let Some((holder, step)) = container(document, from) else { return missing("from", from) };
    let value = match take(holder, &step) {
        Ok(value) => value,
        Err(why) => return refuse(format!("error in move for path: '{step}': {why}")),
    };
    limits.check(path, &value)?;
    let Some((holder, step)) = container(document, path) else { return missing("destination", path) };
    put(holder, &step, value).or_else(|why| refuse(format!("error in move for path: '{path}': {why}")))
}

fn copy(document: &mut Value, limits: &mut Limits, from: &str, path: &str) -> Result<(), PatchRefused> {
    let missing = |what: &str, place: &str| {
        refuse(format!("copy operation does not apply: doc is missing {what} path: {place}: {MISSING}"))
    };
    let Some((holder, step)) = container(document, from) else { return missing("from", from) };
    let value = match get(holder, &step) {
        Ok(value) => value.clone(),
        Err(why) => return refuse(format!("error in copy for from: '{from}': {why}")),
    };
    limits.copy(&value)?;
    limits.check(path, &value)?;
    let Some((holder, step)) = container(document, path) else { return missing("destination", path) };
    put(holder, &step, value).or_else(|why| refuse(format!("error while adding value during copy: {why}")))
}

/// Kubernetes compares numbers as they are written, and writes no `.0` itself.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(_), Value::Number(b)) if b.is_f64() && b.as_f64().is_some_and(|b| b.fract() == 0.0) => false,
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
                let index = index(&step, list.len()).ok()?;
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

/// A position below `len`; negative ones count from the end. An error says why it is none.
fn index(step: &str, len: usize) -> Result<usize, String> {
    let invalid = || format!("strconv.Atoi: parsing {}: invalid syntax", go_quote(step));
    let number: i64 = step.parse().map_err(|_| invalid())?;
    let outside = || format!("Unable to access invalid index: {number}: invalid index referenced");
    let length = i64::try_from(len).map_err(|_| outside())?;
    let counted = if number < 0 { number + length } else { number };
    usize::try_from(counted).ok().filter(|_| counted < length).ok_or_else(outside)
}

/// What is at the last step; a missing member is null.
fn get<'h>(holder: &'h Value, step: &str) -> Result<&'h Value, String> {
    match holder {
        Value::Array(list) => Ok(&list[index(step, list.len())?]),
        other => Ok(other.get(step).unwrap_or(&NOTHING)),
    }
}

fn put(holder: &mut Value, step: &str, value: Value) -> Result<(), String> {
    match holder {
        Value::Array(list) if step == "-" => list.push(value),
        Value::Array(list) => {
            let improper = |why: String| match step.parse::<i64>() {
                Ok(_) => why,
                Err(_) => format!("value was not a proper array index: '{step}': {why}"),
            };
            list.insert(index(step, list.len() + 1).map_err(improper)?, value);
        }
        other => other[step] = value,
    }
    Ok(())
}

fn take(holder: &mut Value, step: &str) -> Result<Value, String> {
    match holder {
        Value::Array(list) => {
            let index = index(step, list.len())?;
            Ok(list.remove(index))
        }
        other => {
            let member = other.as_object_mut().and_then(|map| map.remove(step));
            member.ok_or_else(|| format!("Unable to remove nonexistent key: {step}: {MISSING}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(mut document: Value, operation: Value) -> Option<Value> {
        apply(&mut document, operation.as_object().unwrap(), &mut Limits::default()).ok().map(|()| document)
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
    fn a_document_is_replaced_by_another_and_not_by_a_bare_value() {
        let replaced = |value: Value| applied(json!({"a": 1}), json!({"op": "replace", "path": "", "value": value}));
        assert_eq!(replaced(json!({"b": 2})), Some(json!({"b": 2})));
        assert_eq!(replaced(json!([1])), Some(json!([1])));
        assert_eq!((replaced(json!("x")), replaced(Value::Null)), (None, None));
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
        let test =
            |value: Value| applied(json!({"a/b~c": 1}), json!({"op": "test", "path": "/a~1b~0c", "value": value}));
        assert!(test(json!(1)).is_some());
        assert!(test(json!(1.0)).is_none(), "it is written otherwise");
    }
}
