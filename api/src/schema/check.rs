//! Whether a schema of a definition is one that Kubernetes accepts: structural, and with sound keywords and defaults.

use serde_json::Value;

use super::{Structural, Validator, embedded, is_embedded, items, keywords, properties, structure};
use crate::field::{Error, ErrorList, Path};

/// What is wrong with a schema.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Problems {
    /// Errors of structure, defaults and keywords, in Kubernetes' order.
    pub errors: ErrorList,
    /// Whether the schema sets any default.
    pub defaults: bool,
    /// Whether its structure and its defaults are sound, so that its rules can be looked at.
    pub sound: bool,
}

/// Checks the root of a schema that stands at `path`.
#[must_use]
pub fn check(schema: &Value, path: &Path) -> Problems {
    let mut errors = ErrorList::new();
    let supported = !has_unsupported(schema);
    if supported {
        errors.extend(structure::errors(schema, path));
        if errors.is_empty() {
            default_errors(schema, path, true, &mut errors);
        }
    }
    let sound = supported && errors.is_empty();
    keywords::errors(schema, path, &mut errors);
    Problems { errors, defaults: has_defaults(schema), sound }
}

/// The direct subschemas of a schema with their paths, in Kubernetes' order.
pub(super) fn children<'v>(schema: &'v Value, path: &Path) -> Vec<(&'v Value, Path)> {
    let mut out = Vec::new();
    if let Some(values) = super::additional(schema) {
        out.push((values, path.child("additionalProperties")));
    }
    for (name, of) in properties(schema).into_iter().flatten() {
        out.push((of, path.child("properties").key(name)));
    }
    out.extend(items(schema).map(|of| (of, path.child("items"))));
    out
}

fn has_unsupported(schema: &Value) -> bool {
    const UNSUPPORTED: [&str; 7] =
        ["$ref", "$schema", "id", "additionalItems", "definitions", "dependencies", "patternProperties"];
    let here = UNSUPPORTED.iter().any(|key| schema.get(key).is_some_and(|value| !value.is_null()));
    let none = Path::nil();
    here || schema.get("items").is_some_and(Value::is_array)
        || children(schema, &none).iter().chain(&keywords::junctors(schema, &none)).any(|(of, _)| has_unsupported(of))
}

fn has_defaults(schema: &Value) -> bool {
    schema.get("default").is_some_and(|default| !default.is_null())
        || children(schema, &Path::nil()).iter().any(|(of, _)| has_defaults(of))
}

fn default_errors(schema: &Value, path: &Path, root: bool, errors: &mut ErrorList) {
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        one_default(schema, default, &path.child("default"), root, errors);
    }
    for (of, path) in children(schema, path) {
        default_errors(of, &path, false, errors);
    }
}

fn one_default(schema: &Value, default: &Value, path: &Path, root: bool, errors: &mut ErrorList) {
    let mut pruned = serde_json::json!({ "default": default });
    let holder = serde_json::json!({"properties": {"default": schema}});
    super::prune(&mut pruned, &holder);
    if pruned.get("default") != Some(default) {
        errors.push(Error::invalid(path, default.clone(), "must not have unknown fields"));
    }
    let mut found = ErrorList::new();
    if root || is_embedded(schema) {
        embedded::type_errors(default, path, &mut found);
    }
    if found.is_empty() {
        let whole = Structural::new(schema.clone());
        found = Validator::new(&whole).at(&path.to_string()).errors(default, schema, None);
    }
    if found.is_empty() {
        found = super::list_errors(default, schema, path);
    }
    errors.extend(found);
}
