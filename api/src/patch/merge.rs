//! A merge patch (RFC 7386) as Kubernetes' library applies it: what is new has no null members, not even in lists, except
//! where it takes the place of an object.

use serde_json::{Map, Value};

/// What a patch makes of a value that there is, or of null where there is none.
pub(super) fn merged(own: Value, patch: &Value) -> Value {
    match (own, patch) {
        (Value::Object(mut own), Value::Object(patch)) => {
            merge(&mut own, patch);
            Value::Object(own)
        }
        (Value::Object(_), other) => other.clone(),
        (_, new) => pruned(new),
    }
}

fn merge(own: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        let before = own.remove(name).unwrap_or_default();
        if !value.is_null() {
            own.insert(name.clone(), merged(before, value));
        }
    }
}

/// A value without the null members of its objects. The elements of lists stay.
fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let members = map.iter().filter(|(_, value)| !value.is_null());
            members.map(|(name, value)| (name.clone(), pruned(value))).collect()
        }
        Value::Array(list) => list.iter().map(pruned).collect(),
        other => other.clone(),
    }
}
