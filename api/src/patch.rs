//! Changes to objects as clients send them: JSON patch, merge patch, strategic merge patch.

use serde_json::{Map, Value};

use crate::json::type_name;
use crate::status::{ApiResult, Status};

mod operations;
pub mod strategic;

/// The most operations of a JSON patch.
pub const MAX_OPERATIONS: usize = 10_000;

/// Why an operation of a JSON patch does not apply, in the words of the library that Kubernetes uses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchRefused {
    /// The value at this path is not the one that was tested for.
    #[error("testing value {0} failed: test failed")]
    Test(String),
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// Applies a JSON patch (RFC 6902).
///
/// # Errors
/// 400 if the patch is none, 413 if it has too many operations, 422 if an operation does not apply, or makes
/// too much of the object.
pub fn json_patch(object: &Value, patch: &Value) -> ApiResult<Value> {
    let operations = read_operations(patch)?;
    let (mut result, mut limits) = (object.clone(), operations::Limits::default());
    for operation in operations {
        let done = operation.map(|operation| operations::apply(&mut result, operation, &mut limits));
        if !matches!(done, Some(Ok(()))) {
            return Err(Status::unprocessable());
        }
    }
    Ok(result)
}

/// Applies a JSON patch that does not come from a client but from what changes the objects of clients; a client is told
/// no more than that its patch does not apply.
///
/// # Errors
/// The first operation that does not apply.
pub fn amend(object: &Value, patch: &[Value]) -> Result<Value, PatchRefused> {
    let (mut result, mut limits, nothing) = (object.clone(), operations::Limits::default(), Map::new());
    for operation in patch {
        operations::apply(&mut result, operation.as_object().unwrap_or(&nothing), &mut limits)?;
    }
    Ok(result)
}

/// The operations; none for one without anything in it, which does not apply.
fn read_operations(patch: &Value) -> ApiResult<Vec<Option<&Map<String, Value>>>> {
    let mismatch = |value: &Value, wanted: &str| {
        let kind = type_name(value);
        Err(Status::bad_request(format!("error decoding patch: json: cannot unmarshal {kind} into Go {wanted}")))
    };
    let list: &[Value] = match patch {
        Value::Null => &[],
        Value::Array(list) => list,
        other => return mismatch(other, "value of type []handlers.jsonPatchOp"),
    };
    if list.len() > MAX_OPERATIONS {
        let count = list.len();
        return Err(Status::request_too_large(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}"
        )));
    }
    let mut operations = Vec::with_capacity(list.len());
    for item in list {
        let operation = match item {
            Value::Object(operation) => operation,
            Value::Null => {
                operations.push(None);
                continue;
            }
            other => return mismatch(other, "value of type handlers.jsonPatchOp"),
        };
        for field in ["op", "from", "path"] {
            match operation.get(field) {
                None | Some(Value::Null | Value::String(_)) => {}
                Some(odd) => return mismatch(odd, &format!("struct field jsonPatchOp.{field} of type string")),
            }
        }
        operations.push(Some(operation));
    }
    Ok(operations)
}

/// Applies a merge patch (RFC 7386).
///
/// # Errors
/// 400 if the patch is no object.
pub fn merge_patch(object: &Value, patch: &Value) -> ApiResult<Value> {
    if patch.is_null() {
        return Err(Status::bad_request("Invalid JSON Patch"));
    }
    if !patch.is_object() {
        let kind = type_name(patch);
        return Err(Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        )));
    }
    let mut result = object.clone();
    json_patch::merge(&mut result, patch);
    Ok(result)
}

#[cfg(test)]
mod tests;
