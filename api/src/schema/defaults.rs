//! Defaults, and nulls where a schema knows none.

use serde_json::{Map, Value};

use super::{additional, flag, items, member, properties};

/// Sets the defaults of fields that are missing, or null where null is not allowed.
pub fn apply_defaults(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(map) => default_members(map, schema),
        Value::Array(list) => {
            if let Some(items) = items(schema) {
                list.iter_mut().for_each(|value| {
                    default_null(value, items);
                    apply_defaults(value, items);
                });
            }
        }
        _ => {}
    }
}

fn default_members(map: &mut Map<String, Value>, schema: &Value) {
    for (name, of) in properties(schema).into_iter().flatten() {
        let Some(default) = default_of(of) else { continue };
        let missing = map.get(name).is_none_or(|value| value.is_null() && !flag(of, "nullable"));
        if missing {
            map.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in map.iter_mut() {
        let Some(of) = properties(schema).and_then(|all| all.get(name)).or_else(|| additional(schema)) else {
            continue;
        };
        default_null(value, of);
        apply_defaults(value, of);
    }
}

fn default_null(value: &mut Value, schema: &Value) {
    if value.is_null()
        && !flag(schema, "nullable")
        && let Some(default) = default_of(schema)
    {
        *value = default.clone();
    }
}

fn default_of(schema: &Value) -> Option<&Value> {
    schema.get("default").filter(|default| !default.is_null())
}

/// Removes null fields that may not be null and have no default.
pub fn drop_null_fields(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(map) => map.retain(|name, value| {
            let Some(of) = member(schema, name) else { return true };
            if value.is_null() && !flag(of, "nullable") && default_of(of).is_none() {
                return false;
            }
            drop_null_fields(value, of);
            true
        }),
        Value::Array(list) => {
            if let Some(items) = items(schema) {
                list.iter_mut().for_each(|value| drop_null_fields(value, items));
            }
        }
        _ => {}
    }
}
