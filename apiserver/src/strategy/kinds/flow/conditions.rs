//! The status of both kinds.

use mainstay_api::field::Error;
use serde_json::Value;

use crate::strategy::validate::{At, Errors};

/// Conditions have a type each.
pub(super) fn conditions(obj: &Value, errors: &mut Errors) {
    let mut seen = std::collections::HashSet::new();
    for condition in At::root(obj).get("status").get("conditions").items() {
        let kind = condition.get("type");
        if !seen.insert(kind.str()) {
            errors.0.push(Error::duplicate(&kind.path, kind.str()));
        }
        if kind.str().is_empty() {
            errors.required(&kind, "must not be empty");
        }
    }
}
