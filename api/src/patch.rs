//! Changes to objects as clients send them: JSON patch, merge patch, strategic merge patch.

use serde_json::Value;

use crate::status::{ApiResult, Status};

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
    let patch = read(patch)?;
    let Value::Array(operations) = patch else {
        let kind = json_type_name(&patch);
        return Err(Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {kind} into Go value of type []handlers.jsonPatchOp"
        )));
    };
    if let Some(odd) = operations.iter().find(|operation| !operation.is_object()) {
        let kind = json_type_name(odd);
        return Err(Status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {kind} into Go value of type handlers.jsonPatchOp"
        )));
    }
    if operations.len() > MAX_OPERATIONS {
        let count = operations.len();
        return Err(Status::request_too_large(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}"
        )));
    }
    let patch: json_patch::Patch =
        serde_json::from_value(Value::Array(operations)).map_err(|_| Status::unprocessable())?;
    let mut result = object.clone();
    json_patch::patch(&mut result, &patch).map_err(|_| Status::unprocessable())?;
    Ok(result)
}

/// Applies a merge patch (RFC 7386), given as the bytes of the body.
///
/// # Errors
/// 400 if the patch cannot be read.
pub fn merge_patch(object: &Value, patch: &[u8]) -> ApiResult<Value> {
    let patch = read(patch)?;
    if !matches!(patch, Value::Object(_) | Value::Array(_)) {
        return Err(Status::bad_request("Invalid JSON Patch"));
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
