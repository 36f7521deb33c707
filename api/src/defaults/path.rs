//! Places inside objects: `spec.containers[].ports[]`; `[]` is every element, `{}` every map value.

use serde_json::{Map, Value};

/// Runs `act` on every value at a place.
pub(super) fn each(value: &mut Value, place: &str, act: &mut dyn FnMut(&mut Value)) {
    if place.is_empty() {
        return act(value);
    }
    let (step, rest) = place.split_once('.').unwrap_or((place, ""));
    let name = step.trim_end_matches(['[', ']', '{', '}']);
    let Some(child) = value.get_mut(name) else { return };
    if step.ends_with("[]") {
        child.as_array_mut().into_iter().flatten().for_each(|v| each(v, rest, act));
    } else if step.ends_with("{}") {
        child.as_object_mut().into_iter().flat_map(Map::values_mut).for_each(|v| each(v, rest, act));
    } else if !child.is_null() {
        each(child, rest, act);
    }
}

/// Sets a member that is absent or null.
pub(super) fn set(value: &mut Value, name: &str, default: impl Into<Value>) {
    if let Some(map) = value.as_object_mut()
        && map.get(name).is_none_or(Value::is_null)
    {
        map.insert(name.to_owned(), default.into());
    }
}

/// The text of a member, empty if there is none.
pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a member holds something: not absent, null, empty or zero.
pub(super) fn has(value: &Value, name: &str) -> bool {
    match value.get(name) {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(values)) => !values.is_empty(),
        Some(Value::Object(members)) => !members.is_empty(),
        Some(Value::Number(number)) => number.as_f64() != Some(0.0),
        Some(Value::Bool(true)) => true,
    }
}

/// Fills `spec.a.b` with the object it is missing, and gives it.
pub(super) fn object<'a>(value: &'a mut Value, name: &str) -> &'a mut Map<String, Value> {
    if !value.get(name).is_some_and(Value::is_object) {
        value[name] = Value::Object(Map::new());
    }
    value[name].as_object_mut().expect("it was made an object above")
}
