//! Objects inside of objects: their type and metadata.

use serde_json::{Map, Value};

use super::{is_embedded, is_type_field, items, member, properties};
use crate::field::{Error, ErrorList, Path};
use crate::{decode, meta, names, types};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The errors of all embedded resources below a value.
#[must_use]
pub fn embedded_errors(value: &Value, schema: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    walk(value, schema, path, &mut errors);
    errors
}

fn walk(value: &Value, schema: &Value, path: &Path, errors: &mut ErrorList) {
    match value {
        Value::Object(map) => {
            if is_embedded(schema) {
                type_errors(value, path, errors);
            }
            for (key, value) in map {
                let Some(of) = member(schema, key) else { continue };
                if is_embedded(schema) && is_type_field(key) {
                    continue;
                }
                let declared = properties(schema).is_some_and(|all| all.contains_key(key));
                let path = if declared { path.child(key) } else { path.key(key) };
                walk(value, of, &path, errors);
            }
        }
        Value::Array(list) => {
            let Some(of) = items(schema) else { return };
            list.iter().enumerate().for_each(|(index, value)| walk(value, of, &path.index(index), errors));
        }
        _ => {}
    }
}

/// Type and metadata of one embedded object.
pub(super) fn type_errors(value: &Value, path: &Path, errors: &mut ErrorList) {
    let missing = ["apiVersion", "kind"].into_iter().filter(|field| value.get(field).is_none());
    errors.extend(missing.map(|field| Error::required(&path.child(field), "")));
    word_errors(value, "apiVersion", path, errors, |version| match version.matches('/').count() {
        0 | 1 => None,
        _ => Some(format!("unexpected GroupVersion string: {version}")),
    });
    word_errors(value, "kind", path, errors, |kind| {
        let found = names::is_dns1035_label(&kind.to_lowercase());
        let why = || format!("may have mixed case, but should otherwise match: {}", found.join(","));
        (!found.is_empty()).then(why)
    });
    if !value.get("metadata").is_some_and(Value::is_object) {
        return;
    }
    let mut named = value.clone();
    if meta::name(value).is_empty() {
        // A name is not needed here.
        meta::set(&mut named, "name", "fakename");
    }
    let namespaced = !meta::namespace(value).is_empty();
    let form = |name: &str, prefix: bool| names::is_path_segment(name, prefix);
    errors.extend(meta::validate_object_meta(&named, namespaced, &form, &path.child("metadata")));
}

/// What is wrong with a field of text, if it is there.
fn word_errors(
    value: &Value,
    field: &str,
    path: &Path,
    errors: &mut ErrorList,
    wrong: impl Fn(&str) -> Option<String>,
) {
    let path = path.child(field);
    match value.get(field) {
        None => {}
        Some(Value::String(text)) if text.is_empty() => {
            errors.push(Error::invalid(&path, "", "must not be empty"));
        }
        Some(Value::String(text)) => {
            errors.extend(wrong(text).map(|why| Error::invalid(&path, text.as_str(), why)));
        }
        Some(other) => errors.push(Error::invalid(&path, other.clone(), "must be a string")),
    }
}

/// Brings the metadata of the object into its normal form; unknown fields are returned.
///
/// # Errors
/// In the decoder's words, if metadata has values of wrong types.
pub fn coerce_metadata(value: &mut Value) -> Result<Vec<String>, String> {
    let Some(found) = value.get("metadata").filter(|found| !found.is_null()) else { return Ok(Vec::new()) };
    let (kept, unknown) = coerced(found).map_err(|(_, why)| why)?;
    let kept = kept.as_object().filter(|map| !map.is_empty()).map(|map| Value::Object(map.clone()));
    value["metadata"] = kept.unwrap_or_else(|| Value::Object(Map::new()));
    Ok(unknown.iter().map(|field| format!("metadata.{field}")).collect())
}

/// Brings the metadata of embedded resources into its normal form; unknown fields are returned, sorted.
///
/// # Errors
/// In the decoder's words, if metadata or the type of a resource have values of wrong types.
pub fn coerce_embedded(value: &mut Value, schema: &Value) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    coerce_below(value, schema, "", &mut unknown)?;
    unknown.sort();
    Ok(unknown)
}

fn coerce_below(value: &mut Value, schema: &Value, path: &str, unknown: &mut Vec<String>) -> Result<(), String> {
    match value {
        Value::Object(map) => {
            // The object itself has been looked at.
            if is_embedded(schema) && !path.is_empty() {
                coerce_resource(map, path, unknown)?;
            }
            for (key, value) in map.iter_mut() {
                let Some(of) = member(schema, key) else { continue };
                let declared = properties(schema).is_some_and(|all| all.contains_key(key));
                let below = match path {
                    "" if declared => key.clone(),
                    _ if declared => format!("{path}.{key}"),
                    _ => format!("{path}[{key}]"),
                };
                coerce_below(value, of, &below, unknown)?;
            }
            Ok(())
        }
        Value::Array(list) => {
            let Some(of) = items(schema) else { return Ok(()) };
            list.iter_mut()
                .enumerate()
                .try_for_each(|(index, value)| coerce_below(value, of, &format!("{path}[{index}]"), unknown))
        }
        _ => Ok(()),
    }
}

/// The type and the metadata of one embedded resource.
fn coerce_resource(map: &mut Map<String, Value>, path: &str, unknown: &mut Vec<String>) -> Result<(), String> {
    for field in ["apiVersion", "kind"] {
        if let Some(found) = map.get(field).filter(|found| !found.is_string()) {
            let shown = crate::field::go_json(found);
            return Err(format!("{path}.{field}: Invalid value: {shown}: must be a string"));
        }
    }
    let Some(found) = map.get("metadata") else { return Ok(()) };
    let place = format!("{path}.metadata");
    let (kept, dropped) = match found {
        // Nothing is metadata that says nothing.
        Value::Null => (Value::Object(Map::new()), Vec::new()),
        found => coerced(found).map_err(|(shown, why)| format!("{place}: Invalid value: {shown}: {why}"))?,
    };
    unknown.extend(dropped.iter().map(|field| format!("{place}.{field}")));
    map.insert("metadata".to_owned(), kept);
    Ok(())
}

/// Brings the metadata of the embedded resources of a stored object into its normal form. The object may be older than
/// its schema: what has a wrong type in it is dropped.
pub fn mend_embedded(value: &mut Value, schema: &Value) {
    mend_below(value, schema, true);
}

fn mend_below(value: &mut Value, schema: &Value, root: bool) {
    match value {
        Value::Object(map) => {
            // The object itself was looked at when it was written.
            if is_embedded(schema) && !root {
                mend_resource(map);
            }
            for (key, value) in map.iter_mut() {
                if let Some(of) = member(schema, key) {
                    mend_below(value, of, false);
                }
            }
        }
        Value::Array(list) => {
            let Some(of) = items(schema) else { return };
            list.iter_mut().for_each(|value| mend_below(value, of, false));
        }
        _ => {}
    }
}

/// Metadata that is no object is left alone: there is nothing in it that could be kept.
fn mend_resource(map: &mut Map<String, Value>) {
    for field in ["apiVersion", "kind"] {
        if map.get(field).is_some_and(|found| !found.is_string()) {
            map.remove(field);
        }
    }
    let Some(found) = map.get_mut("metadata") else { return };
    match found {
        Value::Null => *found = Value::Object(Map::new()),
        Value::Object(_) => *found = readable(found),
        _ => {}
    }
}

/// Metadata in normal form without the fields that cannot be read.
fn readable(found: &Value) -> Value {
    if let Ok((kept, _)) = coerced(found) {
        return kept;
    }
    let mut kept = found.clone();
    if let Some(fields) = kept.as_object_mut() {
        fields.retain(|name, value| coerced(&serde_json::json!({ name.as_str(): value })).is_ok());
    }
    coerced(&kept).map_or_else(|_| Value::Object(Map::new()), |(kept, _)| kept)
}

/// What is wrong with what a resource says of itself, if anything is.
pub(super) fn meta_fault(resource: &mut Value) -> Option<String> {
    let shown = |field: &str, found: &str, why: &str| Some(format!("{field}: Invalid value: {found}: {why}"));
    for field in ["apiVersion", "kind"] {
        if let Some(found) = resource.get(field).filter(|found| !found.is_string()) {
            return shown(field, &crate::field::go_json(found), "must be a string");
        }
    }
    if let Some(found) = resource.get("metadata").filter(|found| !found.is_null()) {
        match coerced(found) {
            Ok((kept, _)) => resource["metadata"] = kept,
            Err((found, why)) => return shown("metadata", &found, &why),
        }
    }
    let mut errors = ErrorList::new();
    type_errors(resource, &Path::nil(), &mut errors);
    (!errors.is_empty()).then(|| crate::field::aggregate(&errors))
}

/// Metadata in normal form and its unknown fields, or the value and what is wrong with it.
fn coerced(found: &Value) -> Result<(Value, Vec<String>), (String, String)> {
    let Some(of) = types::by_name(OBJECT_META) else { return Ok((found.clone(), Vec::new())) };
    let shown = crate::field::go_json(found);
    if !found.is_object() {
        let what = go_kind(found);
        return Err((shown, format!("json: cannot unmarshal {what} into Go value of type v1.ObjectMeta")));
    }
    let decoded = decode::strict(of, found);
    if let Some(why) = decoded.errors.first() {
        return Err((shown, why.to_owned()));
    }
    let field = |text: &String| {
        let text = text.trim_start_matches("unknown field ").trim_matches('"');
        text.trim_start_matches("metadata.").to_owned()
    };
    Ok((decoded.value, decoded.unknown.iter().map(field).collect()))
}

fn go_kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::Array(_) => "array",
        Value::Object(_) | Value::Null => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_embedded_is_read_as_resources_are() {
        let open = json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true});
        let schema =
            json!({"type": "object", "properties": {"a": open, "m": {"type": "object", "additionalProperties": open}}});
        let read = |mut value: Value| coerce_embedded(&mut value, &schema).map(|unknown| (value, unknown));
        let nothing = json!({"a": {"metadata": null}});
        assert_eq!(read(nothing), Ok((json!({"a": {"metadata": {}}}), Vec::new())));
        let inner = json!({"kind": "A", "metadata": {"name": "b", "x": 1}});
        let (_, unknown) = read(json!({"a": inner, "m": {"k": inner}})).unwrap();
        assert_eq!(unknown, ["a.metadata.x", "m[k].metadata.x"]);
        assert_eq!(read(json!({"a": {"kind": 5}})), Err("a.kind: Invalid value: 5: must be a string".to_owned()));
    }

    #[test]
    fn of_what_is_stored_the_readable_part_stays() {
        let open = json!({"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true});
        let schema = json!({"type": "object", "properties": {"l": {"type": "array", "items": open}}});
        let mended = |resource: Value| {
            let mut value = json!({"kind": 1, "l": [resource]});
            mend_embedded(&mut value, &schema);
            assert_eq!(value["kind"], 1, "the object itself");
            value["l"][0].take()
        };
        let metadata = json!({"name": "b", "x": 1, "labels": {"a": 1, "b": "c"}, "annotations": {"d": "e"}});
        assert_eq!(
            mended(json!({"apiVersion": 2, "kind": "A", "spec": 3, "metadata": metadata})),
            json!({"kind": "A", "spec": 3, "metadata": {"name": "b", "annotations": {"d": "e"}}})
        );
        assert_eq!(mended(json!({"metadata": {"name": "b", "x": 1}})), json!({"metadata": {"name": "b"}}));
        assert_eq!(mended(json!({"metadata": null})), json!({"metadata": {}}));
        assert_eq!(mended(json!({"metadata": "b"})), json!({"metadata": "b"}));
    }

    #[test]
    fn what_is_missing_is_told_first() {
        let schema = json!({"x-kubernetes-embedded-resource": true});
        let errors = embedded_errors(&json!({"apiVersion": "a/b/c"}), &schema, &Path::new("e"));
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["e.kind", "e.apiVersion"]);
    }
}
