//! Changes that webhooks and policies make to an object.

use mainstay_api::status::{ApiResult, Status};
use serde_json::Value;

use super::{review, text};
use crate::registry::Row;

/// Applies a JSON patch; what does not apply is told in the words of Kubernetes' library.
pub(super) fn apply(object: &Value, patch: &Value) -> Result<Value, String> {
    let mut result = object.clone();
    for operation in patch.as_array().into_iter().flatten() {
        let one: json_patch::Patch = serde_json::from_value(Value::Array(vec![operation.clone()]))
            .map_err(|_| "the patch has an operation that is not one".to_owned())?;
        json_patch::patch(&mut result, &one).map_err(|_| refusal(operation))?;
    }
    Ok(result)
}

fn refusal(operation: &Value) -> String {
    let (kind, path) = (text(operation, "/op"), text(operation, "/path"));
    match kind {
        "test" => format!("testing value {path} failed: test failed"),
        "remove" | "replace" | "add" => {
            format!("{kind} operation does not apply: doc is missing path: \"{path}\": missing value")
        }
        _ => format!("error in {kind} for path: '{path}'"),
    }
}

/// A changed object, read again as a request would be: checked for types and defaulted, in the stored version.
///
/// # Errors
/// 500 if the change has made something that is no such object.
pub(super) fn settle(changed: Value, before: &Value, row: &Row) -> ApiResult<Value> {
    if let Some(served) = &row.served {
        let mut changed = changed;
        served.decode(&mut changed).map_err(Status::internal)?;
        return Ok(changed);
    }
    let changed = review::in_stored(changed, before);
    let (group, version) = row.stored.0.split_once('/').unwrap_or(("", &row.stored.0));
    let Some(of) = mainstay_api::types::type_of(group, version, &row.stored.1) else { return Ok(changed) };
    let decoded = mainstay_api::decode::strict(of, &changed);
    if let Some(why) = decoded.errors.first() {
        return Err(Status::internal(why));
    }
    let mut value = decoded.value;
    mainstay_api::defaults::apply(group, version, &row.stored.1, &mut value);
    Ok(value)
}
