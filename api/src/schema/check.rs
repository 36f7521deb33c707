//! Whether a schema of a definition is one that Kubernetes accepts: structural, and with sound keywords and defaults.

use serde_json::Value;

use super::{Structural, Validator, embedded, is_embedded, items, keywords, properties, structure, weight};
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
    if weight::path_bytes(schema, 0) > weight::MOST_OF_SCHEMA {
        let why = "must not have so much below such long names";
        return Problems { errors: vec![Error::invalid(path, "", why)], ..Problems::default() };
    }
    let mut errors = ErrorList::new();
    let supported = !has_unsupported(schema);
    if supported {
        errors.extend(structure::errors(schema, path));
        if errors.is_empty() && has_defaults(schema) {
            default_errors(schema, &Structural::new(schema.clone()), path, true, &mut errors);
        }
    }
    let sound = supported && errors.is_empty();
    keywords::errors(schema, path, &mut errors);
    if !supported && errors.is_empty() {
        // The one keyword that nothing else tells of.
        errors.push(Error::invalid(path, "", "OpenAPIV3Schema 'schema' is not supported"));
    }
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
    let prunes = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false));
    let none = Path::nil();
    here || prunes
        || schema.get("items").is_some_and(Value::is_array)
        || children(schema, &none).iter().chain(&keywords::junctors(schema, &none)).any(|(of, _)| has_unsupported(of))
}

fn has_defaults(schema: &Value) -> bool {
    schema.get("default").is_some_and(|default| !default.is_null())
        || children(schema, &Path::nil()).iter().any(|(of, _)| has_defaults(of))
}

/// `whole` is the schema that this one is a part of.
fn default_errors(schema: &Value, whole: &Structural, path: &Path, root: bool, errors: &mut ErrorList) {
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        errors.extend(one_default(schema, whole, default, &path.child("default"), root));
    }
    // Kubernetes does not look at those of a map's values.
    let below = properties(schema).into_iter().flatten();
    let below = below.map(|(name, of)| (of, path.child("properties").key(name)));
    for (of, path) in items(schema).map(|of| (of, path.child("items"))).into_iter().chain(below) {
        default_errors(of, whole, &path, false, errors);
    }
}

fn one_default(schema: &Value, whole: &Structural, default: &Value, path: &Path, root: bool) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut pruned = serde_json::json!({ "default": default });
    let holder = serde_json::json!({"properties": {"default": schema}});
    super::prune(&mut pruned, &holder);
    if pruned.get("default") != Some(default) {
        errors.push(Error::invalid(path, default.clone(), "must not have unknown fields"));
    }
    let mut found = ErrorList::new();
    if root && default.is_object() && !is_embedded(schema) {
        embedded::type_errors(default, path, &mut found);
    }
    found.extend(embedded::embedded_errors(default, schema, path));
    if found.is_empty() {
        found = Validator::new(whole).at(&path.to_string()).errors(default, schema, None);
    }
    errors.extend(found);
    errors
}
