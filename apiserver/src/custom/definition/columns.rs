//! Printer columns, paths of the scale subresource, selectable fields.

use mainstay_api::field::{Error, Path};
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
    let mut seen = Vec::new();
    for field in at.items() {
        let path = field.get("jsonPath");
        if path.str().is_empty() {
            errors.required(&path, "");
            continue;
        }
        let kind = match resolve(path.str(), of) {
            Ok(schema) => schema["type"].as_str().unwrap_or_default(),
            Err(why) => {
                errors.invalid(&path, format!("is an invalid path: {why}"));
                continue;
            }
        };
        if path.str().starts_with(".metadata.") || path.str() == ".metadata" {
            errors.invalid(&path, "must not point to fields in metadata");
        }
        if !matches!(kind, "string" | "boolean" | "integer") {
            errors.invalid(&path, "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.");
        }
        if seen.contains(&path.str()) {
            errors.duplicate(&path);
        } else {
            seen.push(path.str());
        }
    }
    if seen.len() > MOST_SELECTABLE {
        let (found, most) = (seen.len() as i64, MOST_SELECTABLE as i64);
        errors.0.push(Error::too_many(&Path::new(&at.path.to_string()), found, most));
    }
}

/// The schema a path such as `.spec.color` leads to, or why it leads nowhere.
fn resolve<'s>(path: &str, root: &'s Value) -> Result<&'s Value, String> {
    let mut schema = root;
    let mut rest = path;
    while !rest.is_empty() {
        let Some(after) = rest.strip_prefix('.') else {
            return Err(match rest.split(['.', '[', ']']).next() {
                _ if rest.starts_with('[') => "array notation is not allowed".to_owned(),
                Some("") | None => "expected [ or . but got: ]".to_owned(),
                Some(word) => format!("expected [ or . but got: {word}"),
            });
        };
        if after.is_empty() {
            return Err("unexpected end of JSON path".to_owned());
        }
        let end = after.find(['.', '[', ']']).unwrap_or(after.len());
        let next = match schema.get("properties") {
            Some(properties) => properties.get(&after[..end]),
            None => schema.get("additionalProperties").filter(|schema| schema.is_object()),
        };
        schema = next.ok_or("does not refer to a valid field")?;
        rest = &after[end..];
    }
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::resolve;

    #[test]
    fn paths_lead_to_declared_fields_only() {
        let text = json!({"type": "string"});
        let schema = json!({"properties": {"spec": {"properties": {
            "color": text, "tags": {"type": "array"}, "notes": {"additionalProperties": text}}}}});
        assert_eq!(resolve(".spec.color", &schema), Ok(&text));
        assert_eq!(resolve(".spec.notes.any", &schema), Ok(&text));
        for (path, why) in [
            (".spec.nope", "does not refer to a valid field"),
            (".spec.color.deep", "does not refer to a valid field"),
            ("spec.color", "expected [ or . but got: spec"),
            (".spec.tags[0]", "array notation is not allowed"),
            (".spec.", "unexpected end of JSON path"),
        ] {
            assert_eq!(resolve(path, &schema), Err(why.to_owned()), "{path}");
        }
    }
}
