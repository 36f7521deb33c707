//! What stands where the scale of a custom object is.

use mainstay_api::field::{Error, Path, go_float};
use serde_json::Value;

const MOST_REPLICAS: i64 = i32::MAX as i64;

/// What is wrong with the number at a path such as `.spec.replicas`, where there may be nothing.
pub(super) fn count_error(object: &Value, path: &str) -> Option<Error> {
    let at = Path::new(path);
    let count = match value_at(object, path) {
        Ok(None) => return None,
        Ok(Some(other)) => match other.as_i64() {
            Some(count) => count,
            None => return Some(Error::invalid(&at, 0, wrong_type(path, other, "int64"))),
        },
        Err(why) => return Some(Error::invalid(&at, 0, why)),
    };
    if count < 0 {
        Some(Error::invalid(&at, count, "should be a non-negative integer"))
    } else if count > MOST_REPLICAS {
        Some(Error::invalid(&at, count, format!("should be less than or equal to {MOST_REPLICAS}")))
    } else {
        None
    }
}

/// What is wrong with the text at a path, which may be none.
pub(super) fn selector_error(object: &Value, path: &str) -> Option<Error> {
    let why = match value_at(object, path) {
        Ok(None | Some(Value::String(_))) => return None,
        Ok(Some(other)) => wrong_type(path, other, "string"),
        Err(why) => why,
    };
    (!path.is_empty()).then(|| Error::invalid(&Path::new(path), "", why))
}

/// The value at a path.
///
/// # Errors
/// On the way is something that has no fields.
fn value_at<'v>(object: &'v Value, path: &str) -> Result<Option<&'v Value>, String> {
    let mut found = object;
    let mut place = String::new();
    for name in path.trim_start_matches('.').split('.') {
        place.push('.');
        place.push_str(name);
        match found {
            Value::Null => return Ok(None),
            Value::Object(map) => match map.get(name) {
                Some(value) => found = value,
                None => return Ok(None),
            },
            other => return Err(wrong_type(&place, other, "map[string]interface{}")),
        }
    }
    Ok(Some(found))
}

fn wrong_type(path: &str, found: &Value, wanted: &str) -> String {
    let kind = match found {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        // Go reads so what is too large for its whole numbers, too.
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    format!("{path} accessor error: {} is of the type {kind}, expected {wanted}", printed(found))
}

/// A value as Go prints it by default.
fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if !number.is_i64() => go_float(number.as_f64().unwrap_or_default()),
        Value::Array(list) => format!("[{}]", list.iter().map(printed).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", printed(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_are_whole_and_not_too_large() {
        let text = |replicas: Value| {
            let object = json!({"spec": {"replicas": replicas}});
            count_error(&object, ".spec.replicas").map(|error| error.to_string()).unwrap_or_default()
        };
        assert_eq!(text(json!(3)), "");
        assert_eq!(text(json!(-1)), ".spec.replicas: Invalid value: -1: should be a non-negative integer");
        assert_eq!(
            text(json!("x")),
            ".spec.replicas: Invalid value: 0: .spec.replicas accessor error: x is of the type string, expected int64"
        );
        let float = "is of the type float64, expected int64";
        assert!(text(json!(2.0)).ends_with(&format!("accessor error: 2 {float}")));
        assert!(text(json!(u64::MAX)).ends_with(float));
        assert!(count_error(&json!({}), ".spec.replicas").is_none());
        assert!(count_error(&json!({"spec": 1}), ".spec.replicas").is_some());
    }

    #[test]
    fn a_selector_is_a_text() {
        let object = json!({"status": {"selector": {"a": [1, "b"]}}});
        assert_eq!(
            selector_error(&object, ".status.selector").map(|error| error.detail).unwrap_or_default(),
            ".status.selector accessor error: map[a:[1 b]] is of the type map[string]interface {}, expected string"
        );
        assert!(selector_error(&object, "").is_none());
    }
}
