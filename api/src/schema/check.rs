//! Whether a schema of a definition is one that Kubernetes accepts: structural, and with sound keywords and defaults.

use serde_json::{Value, json};

use super::{
    Structural, Validator, embedded, is_embedded, is_type_field, items, keywords, properties, structure, weight,
};
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
            let place = Place { root: true, way: Vec::new(), in_meta: false };
            default_errors(schema, &Structural::new(schema.clone()), path, &place, &mut errors);
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

/// Where a default stands in the resource that it is a part of.
struct Place {
    root: bool,
    /// The way there from the resource.
    way: Vec<Step>,
    /// It is in what says what the resource is.
    in_meta: bool,
}

#[derive(Clone)]
enum Step {
    Field(String),
    Item,
}

impl Place {
    fn below(&self, step: Step, in_meta: bool) -> Self {
        let way = self.way.iter().cloned().chain([step]).collect();
        Self { root: false, way, in_meta: self.in_meta || in_meta }
    }

    /// A resource that has nothing but a default.
    fn resource_of(&self, default: &Value) -> Value {
        let around = |inner: Value, step: &Step| match step {
            Step::Field(name) => json!({ name: inner }),
            Step::Item => json!([inner]),
        };
        let mut resource = json!({"apiVersion": "validation/v1", "kind": "Validation"});
        let set = self.way.iter().rev().fold(default.clone(), around);
        for (name, value) in set.as_object().into_iter().flatten() {
            resource[name] = value.clone();
        }
        resource
    }
}

/// `whole` is the schema that this one is a part of.
fn default_errors(schema: &Value, whole: &Structural, path: &Path, place: &Place, errors: &mut ErrorList) {
    let embedded = Place { root: place.root, way: Vec::new(), in_meta: false };
    let place = if is_embedded(schema) { &embedded } else { place };
    if let Some(default) = schema.get("default").filter(|default| !default.is_null()) {
        errors.extend(one_default(schema, whole, default, &path.child("default"), place));
    }
    // Kubernetes does not look at those of a map's values.
    if let Some(of) = items(schema) {
        default_errors(of, whole, &path.child("items"), &place.below(Step::Item, false), errors);
    }
    for (name, of) in properties(schema).into_iter().flatten() {
        let in_meta = is_type_field(name) && (place.root || is_embedded(schema));
        let place = place.below(Step::Field(name.clone()), in_meta);
        default_errors(of, whole, &path.child("properties").key(name), &place, errors);
    }
}

fn one_default(schema: &Value, whole: &Structural, default: &Value, path: &Path, place: &Place) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut found = ErrorList::new();
    if place.in_meta {
        let why = embedded::meta_fault(&mut place.resource_of(default));
        let why = why.map(|why| format!("must result in valid metadata: {why}"));
        found.extend(why.map(|why| Error::invalid(path, default.clone(), why)));
    } else {
        if !is_pruned(default, schema, place.root) {
            errors.push(Error::invalid(path, default.clone(), "must not have unknown fields"));
        }
        if place.root && default.is_object() && !is_embedded(schema) {
            embedded::type_errors(default, path, &mut found);
        }
        found.extend(embedded::embedded_errors(default, schema, path));
    }
    if found.is_empty() {
        found = Validator::new(whole).at(&path.to_string()).errors(default, schema, None);
    }
    errors.extend(found);
    errors
}

/// Whether a schema knows all that is in a default of it; the root is a resource.
fn is_pruned(default: &Value, schema: &Value, root: bool) -> bool {
    let mut pruned = json!({ "default": default });
    let mut holder = json!({"properties": {"default": schema}});
    if root {
        holder["properties"]["default"]["x-kubernetes-embedded-resource"] = true.into();
    }
    super::prune(&mut pruned, &holder);
    pruned.get("default") == Some(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(schema: &Value) -> Vec<String> {
        check(schema, &Path::new("s")).errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_says_what_a_resource_is_has_valid_defaults() {
        let inner = |field: &str, of: Value| {
            let own = json!({"type": "object", "x-kubernetes-embedded-resource": true, "properties": {field: of}});
            texts(&json!({"type": "object", "properties": {"e": own}}))
        };
        let metadata = |default: Value| inner("metadata", json!({"type": "object", "default": default}));
        assert!(metadata(json!({"name": "a"})).is_empty(), "what metadata has is known");
        assert_eq!(metadata(json!({"name": 5})).len(), 1, "{:?}", metadata(json!({"name": 5})));
        let kind = |default: &str| inner("kind", json!({"type": "string", "default": default}));
        assert!(kind("Pod").is_empty());
        let found = kind("pod!");
        assert!(
            found[0].starts_with(
                "s.properties[e].properties[kind].default: Invalid value: \"pod!\": must result in valid metadata: kind: Invalid value: \"pod!\": may have mixed case"
            ),
            "{found:?}"
        );
    }

    #[test]
    fn a_default_of_the_root_is_a_resource() {
        let own = json!({"type": "object", "default": {"apiVersion": "v1", "kind": "A"}});
        assert!(texts(&own).is_empty(), "{:?}", texts(&own));
    }
}
