//! Printer columns, paths of the scale subresource, selectable fields.

use std::collections::BTreeSet;

use mainstay_api::field::{Error, Path};
use mainstay_api::schema::field_path;
use serde_json::Value;

use crate::strategy::validate::{At, Errors};

const KINDS: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
const MOST_SELECTABLE: usize = 8;

pub(super) fn columns(at: &At<'_>, errors: &mut Errors) {
    for column in at.items() {
        errors.needed(&column.get("name"));
        let kind = column.get("type");
        if kind.str().is_empty() {
            errors.required(&kind, &format!("must be one of {}", KINDS.join(",")));
        } else if !KINDS.contains(&kind.str()) {
            errors.invalid(&kind, format!("must be one of {}", KINDS.join(",")));
        }
        let format = column.get("format");
        if !format.str().is_empty() && !FORMATS.contains(&format.str()) {
            errors.invalid(&format, format!("must be one of {}", FORMATS.join(",")));
        }
        let path = At::new(column.get("jsonPath").value, column.path.child("JSONPath"));
        if path.str().is_empty() {
            errors.required(&path, "");
        } else {
            starts_with_dot(&path, errors);
        }
    }
}

fn starts_with_dot(at: &At<'_>, errors: &mut Errors) -> bool {
    if at.str().starts_with('.') {
        return true;
    }
    errors.invalid(at, "must be a simple json path starting with .");
    false
}

pub(super) fn scale(at: &At<'_>, errors: &mut Errors) {
    let Some(scale) = at.opt("scale") else { return };
    replicas_path(&scale.get("specReplicasPath"), ".spec", errors);
    replicas_path(&scale.get("statusReplicasPath"), ".status", errors);
    let selector = scale.get("labelSelectorPath");
    let under = |prefix: &str| selector.str().starts_with(prefix);
    if !selector.str().is_empty() && starts_with_dot(&selector, errors) && !under(".spec.") && !under(".status.") {
        errors.invalid(&selector, "should be a json path under either .spec or .status");
    }
}

fn replicas_path(path: &At<'_>, under: &str, errors: &mut Errors) {
    if path.str().is_empty() {
        errors.required(path, "");
    } else if starts_with_dot(path, errors) && !path.str().starts_with(&format!("{under}.")) {
        errors.invalid(path, format!("should be a json path under {under}"));
    }
}

pub(super) fn selectable(at: &At<'_>, of: &Value, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for field in at.items() {
        let path = field.get("jsonPath");
        if path.str().is_empty() {
            errors.required(&path, "");
            continue;
        }
        let (name, kind) = match field_path(path.str(), of, false) {
            Ok((name, schema)) => (name.to_string(), schema["type"].as_str().unwrap_or_default()),
            Err(why) => {
                errors.invalid(&path, format!("is an invalid path: {why}"));
                continue;
            }
        };
        if name.split('.').next() == Some("metadata") {
            errors.invalid(&path, "must not point to fields in metadata");
        }
        if !matches!(kind, "string" | "boolean" | "integer") {
            errors.invalid(&path, "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.");
        }
        if !seen.insert(name) {
            errors.duplicate(&path);
        }
    }
    if seen.len() > MOST_SELECTABLE {
        let (found, most) = (seen.len() as i64, MOST_SELECTABLE as i64);
        errors.0.push(Error::too_many(&Path::new(&at.path.to_string()), found, most));
    }
}
