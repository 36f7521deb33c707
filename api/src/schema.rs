//! Structural schemas: what a custom resource definition says of its objects, and what follows for an object — pruning,
//! defaults, validation in Kubernetes' words.
//!
//! A schema stays the JSON that the definition carries; [`Structural`] adds what is worth computing once.

use std::collections::HashMap;

use regex::Regex;
use serde_json::{Map, Value};

mod check;
mod defaults;
mod embedded;
mod field_path;
mod formats;
mod keywords;
mod limits;
mod list_types;
mod lists;
pub(crate) mod pattern;
mod prune;
mod rules;
mod structure;
mod validate;
mod weight;

pub use check::{Problems, check};
pub use defaults::{apply_defaults, drop_null_fields};
pub use embedded::{coerce_embedded, coerce_metadata, embedded_errors, mend_embedded};
pub use field_path::field_path;
pub(crate) use formats::duration;
pub use formats::is_known as is_known_format;
pub use lists::list_errors;
pub use prune::prune;
pub(crate) use rules::rules_of;
pub use validate::Validator;
pub use weight::is_unwieldy;

/// Whether a text has a format.
pub(crate) fn fits_format(format: &str, text: &str) -> bool {
    formats::fits(format, text)
}

/// A schema with its regular expressions compiled.
#[derive(Debug, Clone, Default)]
pub struct Structural {
    root: Value,
    patterns: HashMap<String, Regex>,
}

impl Structural {
    /// Compiles a schema. Patterns that do not compile match nothing here; the definition's validation refuses them.
    #[must_use]
    pub fn new(root: Value) -> Self {
        let mut patterns = HashMap::new();
        collect_patterns(&root, &mut patterns);
        Self { root, patterns }
    }

    /// The schema as the definition has it.
    #[must_use]
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// The schema of a property of the root.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&Value> {
        properties(&self.root)?.get(name)
    }
}

fn collect_patterns(schema: &Value, into: &mut HashMap<String, Regex>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(pattern)) = map.get("pattern")
                && !into.contains_key(pattern)
                && let Ok(regex) = pattern::compiled(pattern)
            {
                into.insert(pattern.clone(), regex);
            }
            map.values().for_each(|value| collect_patterns(value, into));
        }
        Value::Array(list) => list.iter().for_each(|value| collect_patterns(value, into)),
        _ => {}
    }
}

pub(crate) fn flag(schema: &Value, name: &str) -> bool {
    schema.get(name).and_then(Value::as_bool).unwrap_or_default()
}

pub(crate) fn text<'v>(schema: &'v Value, name: &str) -> &'v str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object)
}

/// The schema of a map's values; `true` is no schema.
pub(crate) fn additional(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|values| values.is_object())
}

/// Whether a schema says something of the keys that it does not name, if only that there may be any or none.
pub(crate) fn describes_values(schema: &Value) -> bool {
    schema.get("additionalProperties").is_some_and(|values| !values.is_null())
}

pub(crate) fn items(schema: &Value) -> Option<&Value> {
    schema.get("items").filter(|items| items.is_object())
}

/// The schema of a key of an object.
pub(crate) fn member<'v>(schema: &'v Value, key: &str) -> Option<&'v Value> {
    properties(schema).and_then(|all| all.get(key)).or_else(|| additional(schema))
}

pub(crate) fn preserves(schema: &Value) -> bool {
    flag(schema, "x-kubernetes-preserve-unknown-fields")
}

pub(crate) fn is_embedded(schema: &Value) -> bool {
    flag(schema, "x-kubernetes-embedded-resource")
}

pub(crate) fn is_int_or_string(schema: &Value) -> bool {
    flag(schema, "x-kubernetes-int-or-string")
}

/// Whether this field says what an object is, wherever an object has a type of its own.
pub(crate) fn is_type_field(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}

/// The keys of a list of type map.
pub(crate) fn list_keys(schema: &Value) -> impl Iterator<Item = &str> {
    schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The elements of a list by their keys, if the list is of type map.
pub(crate) struct Elements<'v> {
    keys: Vec<&'v str>,
    found: HashMap<Vec<Option<&'v Value>>, &'v Value>,
}

impl<'v> Elements<'v> {
    pub(crate) fn of(schema: &'v Value, list: Option<&'v Value>) -> Self {
        let keys: Vec<&str> = list_keys(schema).collect();
        let is_map = text(schema, "x-kubernetes-list-type") == "map";
        let mut found = HashMap::new();
        for item in list.filter(|_| is_map).and_then(Value::as_array).into_iter().flatten() {
            found.entry(keys.iter().map(|key| item.get(key)).collect()).or_insert(item);
        }
        Self { keys, found }
    }

    /// The element with the same keys; of several the first.
    pub(crate) fn like(&self, item: &Value) -> Option<&'v Value> {
        let keys: Vec<Option<&Value>> = self.keys.iter().map(|key| item.get(key)).collect();
        self.found.get(&keys).copied()
    }
}

#[cfg(test)]
mod tests;
