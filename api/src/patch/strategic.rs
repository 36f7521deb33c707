//! Strategic merge patch: a merge patch that knows which lists are keyed, and takes directives.

use serde_json::{Map, Value};

use crate::field::{go_text, go_value};
use crate::status::{ApiResult, Status};
use crate::types::Type;

mod diff;
mod merge;
mod order;
mod place;

pub use diff::create_two_way;

/// Applies a strategic merge patch to an object of this type.
///
/// # Errors
/// 400 for directives of the wrong form, 422 for lists of lists, and the bare text (500) for the rest, as
/// Kubernetes answers them.
pub fn apply(object: &Value, patch: &Value, of: &'static Type) -> ApiResult<Value> {
    let empty = Map::new();
    let patch = match patch {
        Value::Object(patch) => patch,
        Value::Null => &empty,
        other => {
            let kind = crate::json::type_name(other);
            return Err(Status::bad_request(format!(
                "json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            )));
        }
    };
    let live = object.as_object().cloned().unwrap_or_default();
    let mut merged = merge::map(live, patch.clone(), place::Place::Struct(of))?;
    // The type is known already: what the patch says of it is passed over.
    for name in ["apiVersion", "kind"] {
        if merged.get(name).is_none_or(Value::is_string) {
            merged.remove(name);
            merged.extend(object.get(name).map(|told| (name.to_owned(), told.clone())));
        }
    }
    Ok(Value::Object(merged))
}

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_PRIMITIVES: &str = "$deleteFromPrimitiveList";
const SET_ORDER: &str = "$setElementOrder";

/// Why a patch does not apply.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum MergeError {
    #[error("invalid patch format of primitive list")]
    PrimitiveList,
    #[error("invalid patch format of retainKeys")]
    RetainKeys,
    #[error("invalid patch format of setElementOrder list")]
    SetElementOrder,
    #[error("lists of lists are not supported")]
    ListOfLists,
    #[error("{0}")]
    Other(String),
}

impl MergeError {
    fn no_merge_key(item: &Map<String, Value>, key: &str) -> MergeError {
        MergeError::Other(format!(
            "map: {} does not contain declared merge key: {key}",
            go_value(&Value::Object(item.clone()))
        ))
    }

    fn order(patch: &[Value], order: &[Value]) -> MergeError {
        let shown = |list: &[Value]| go_value(&Value::Array(list.to_vec()));
        MergeError::Other(format!(
            "The order in patch list:\n{}\n doesn't match {SET_ORDER} list:\n{}\n",
            shown(patch),
            shown(order)
        ))
    }

    fn unknown_directive(directive: &Value, map: &Map<String, Value>) -> MergeError {
        let map = go_value(&Value::Object(map.clone()));
        MergeError::Other(format!("unknown patch type: {} in map: {map}", go_text(directive)))
    }
}

impl From<MergeError> for Status {
    fn from(error: MergeError) -> Status {
        let text = error.to_string();
        match error {
            MergeError::PrimitiveList | MergeError::RetainKeys | MergeError::SetElementOrder => {
                Status::bad_request(text)
            }
            MergeError::ListOfLists => Status::unprocessable(),
            MergeError::Other(_) => Status::plain(text),
        }
    }
}

#[cfg(test)]
mod tests;
