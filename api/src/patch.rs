//! Changes to objects as clients send them: JSON patch, merge patch, strategic merge patch.

use serde_json::{Map, Value};

use crate::status::{ApiResult, Status};

mod operations;
pub mod strategic;
mod syntax;

pub use syntax::{parse as parse_json, type_name as json_type_name};

/// The most operations of a JSON patch.
pub const MAX_OPERATIONS: usize = 10_000;

/// Applies a JSON patch (RFC 6902), given as the bytes of the body.
///
/// # Errors
/// 400 if the patch cannot be read, 413 if it has too many operations, 422 if an operation does not apply.
pub fn json_patch(object: &Value, patch: &[u8]) -> ApiResult<Value> {
    let operations = read_operations(patch)?;
    let mut result = object.clone();
    for operation in &operations {
        if !operations::apply(&mut result, operation) {
            return Err(Status::unprocessable());
        }
    }
    Ok(result)
}

fn read_operations(patch: &[u8]) -> ApiResult<Vec<Map<String, Value>>> {
    let mismatch = |value: &Value, wanted: &str| {
        let kind = json_type_name(value);
        Err(Status::bad_request(format!("error decoding patch: json: cannot unmarshal {kind} into Go {wanted}")))
    };
    let list = match read(patch)? {
        Value::Null => Vec::new(),
        Value::Array(list) => list,
        other => return mismatch(&other, "value of type []handlers.jsonPatchOp"),
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
            // An operation without anything in it, which does not apply.
            Value::Null => Map::new(),
            other => return mismatch(&other, "value of type handlers.jsonPatchOp"),
        };
        for field in ["op", "from", "path"] {
            match operation.get(field) {
                None | Some(Value::Null | Value::String(_)) => {}
                Some(odd) => return mismatch(odd, &format!("struct field jsonPatchOp.{field} of type string")),
            }
        }
        operations.push(operation);
    }
    Ok(operations)
}

/// Applies a merge patch (RFC 7386), given as the bytes of the body.
///
/// # Errors
/// 400 if the patch cannot be read.
pub fn merge_patch(object: &Value, patch: &[u8]) -> ApiResult<Value> {
    let patch = read(patch)?;
    if patch.is_null() {
        return Err(Status::bad_request("Invalid JSON Patch"));
    }
    if !patch.is_object() {
        let kind = json_type_name(&patch);
        return Err(Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        )));
    }
    let mut result = object.clone();
    json_patch::merge(&mut result, &patch);
    Ok(result)
}

fn read(patch: &[u8]) -> ApiResult<Value> {
    parse_json(patch).map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))
}

#[cfg(test)]
mod tests;
