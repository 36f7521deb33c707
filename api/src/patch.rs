//! Changes to objects as clients send them: JSON patch, merge patch, strategic merge patch.

use serde_json::{Map, Value};

use crate::json::type_name;
use crate::status::{ApiResult, Status};

mod merge;
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
    apply_operations(object, &read_operations(patch, &VALIDATED)?)
}

/// Applies a JSON patch of a client that wants no fields validated: what an operation says is looked at only where the
/// operation is applied.
///
/// # Errors
/// As [`json_patch()`], in other words where the patch is none.
pub fn json_patch_unvalidated(object: &Value, patch: &Value) -> ApiResult<Value> {
    apply_operations(object, &read_operations(patch, &UNVALIDATED)?)
}

fn apply_operations(object: &Value, operations: &[Option<&Map<String, Value>>]) -> ApiResult<Value> {
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

/// What reads a JSON patch, in the words of its errors.
struct Reader {
    /// Before what is wrong.
    prefix: &'static str,
    list: &'static str,
    operation: &'static str,
    /// The fields of an operation that have to be texts.
    texts: &'static [&'static str],
}

const VALIDATED: Reader = Reader {
    prefix: "error decoding patch: ",
    list: "[]handlers.jsonPatchOp",
    operation: "handlers.jsonPatchOp",
    texts: &["op", "from", "path"],
};
const UNVALIDATED: Reader =
    Reader { prefix: "", list: "jsonpatch.Patch", operation: "jsonpatch.Operation", texts: &[] };

impl Reader {
    fn mismatch(&self, value: &Value, wanted: &str) -> Status {
        let (prefix, kind) = (self.prefix, type_name(value));
        Status::bad_request(format!("{prefix}json: cannot unmarshal {kind} into Go {wanted}"))
    }

    fn check(&self, operation: &Map<String, Value>) -> ApiResult<()> {
        for field in self.texts {
            match operation.get(*field) {
                None | Some(Value::Null | Value::String(_)) => {}
                Some(odd) => {
                    return Err(self.mismatch(odd, &format!("struct field jsonPatchOp.{field} of type string")));
                }
            }
        }
        Ok(())
    }
}

/// The operations; none for one without anything in it, which does not apply.
fn read_operations<'p>(patch: &'p Value, reader: &Reader) -> ApiResult<Vec<Option<&'p Map<String, Value>>>> {
    let list: &[Value] = match patch {
        Value::Null => &[],
        Value::Array(list) => list,
        other => return Err(reader.mismatch(other, &format!("value of type {}", reader.list))),
    };
    let mut operations = Vec::with_capacity(list.len());
    for item in list {
        let operation = match item {
            Value::Object(operation) => operation,
            Value::Null => {
                operations.push(None);
                continue;
            }
            other => return Err(reader.mismatch(other, &format!("value of type {}", reader.operation))),
        };
        reader.check(operation)?;
        operations.push(Some(operation));
    }
    if list.len() > MAX_OPERATIONS {
        let count = list.len();
        return Err(Status::request_too_large(format!(
            "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {count}"
        )));
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
    Ok(merge::merged(object.clone(), patch))
}

#[cfg(test)]
mod tests;
