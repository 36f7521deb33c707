//! Object metadata on erased objects: reading, writing, validating.

use serde_json::{Map, Value};

mod names;
mod options;
mod validate;
mod write;

pub use names::{GENERATED_NAME_MAX, SUFFIX_ALPHABET, SUFFIX_LENGTH, generated_name};
pub use options::{manager_of_user_agent, validate_dry_run, validate_field_manager, validate_field_validation};
pub use validate::{
    ANNOTATIONS_MAX, validate_annotations, validate_finalizers, validate_immutable, validate_label_name,
    validate_labels, validate_managed_fields, validate_object_meta, validate_object_meta_update,
    validate_owner_references,
};
pub use write::{
    add_finalizer, metadata_mut, remove_annotation, remove_field, remove_finalizer, set, set_annotation, set_label,
};

/// The finalizer of a foreground deletion.
pub const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
/// The finalizer of a deletion that leaves the dependents alone.
pub const ORPHAN_FINALIZER: &str = "orphan";

/// The `metadata` of an object.
#[must_use]
pub fn metadata(object: &Value) -> Option<&Map<String, Value>> {
    object.get("metadata")?.as_object()
}

fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    metadata(object)?.get(name)
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    field(object, name).and_then(Value::as_str).unwrap_or_default()
}

/// `apiVersion`, or the empty string.
#[must_use]
pub fn api_version(object: &Value) -> &str {
    object.get("apiVersion").and_then(Value::as_str).unwrap_or_default()
}

/// `kind`, or the empty string.
#[must_use]
pub fn kind(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

/// The group and the version of an apiVersion: `("", "v1")`, `("apps", "v1")`. None if it has two slashes.
#[must_use]
pub fn split_api_version(api_version: &str) -> Option<(&str, &str)> {
    match api_version.split_once('/') {
        None => Some(("", api_version)),
        Some((_, version)) if version.contains('/') => None,
        Some(pair) => Some(pair),
    }
}

/// `metadata.name`, or the empty string.
#[must_use]
pub fn name(object: &Value) -> &str {
    text(object, "name")
}

/// `metadata.generateName`, or the empty string.
#[must_use]
pub fn generate_name(object: &Value) -> &str {
    text(object, "generateName")
}

/// `metadata.namespace`, or the empty string.
#[must_use]
pub fn namespace(object: &Value) -> &str {
    text(object, "namespace")
}

/// `metadata.uid`, or the empty string.
#[must_use]
pub fn uid(object: &Value) -> &str {
    text(object, "uid")
}

/// `metadata.resourceVersion`, or the empty string.
#[must_use]
pub fn resource_version(object: &Value) -> &str {
    text(object, "resourceVersion")
}

/// `metadata.generation`, or 0.
#[must_use]
pub fn generation(object: &Value) -> i64 {
    field(object, "generation").and_then(Value::as_i64).unwrap_or_default()
}

/// `metadata.creationTimestamp` as written.
#[must_use]
pub fn creation_timestamp(object: &Value) -> Option<&str> {
    field(object, "creationTimestamp")?.as_str()
}

/// `metadata.deletionTimestamp` as written; present while the object is being deleted.
#[must_use]
pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    field(object, "deletionTimestamp")?.as_str()
}

/// Whether the object is being deleted.
#[must_use]
pub fn is_deleting(object: &Value) -> bool {
    deletion_timestamp(object).is_some()
}

/// `metadata.deletionGracePeriodSeconds`.
#[must_use]
pub fn deletion_grace_period_seconds(object: &Value) -> Option<i64> {
    field(object, "deletionGracePeriodSeconds")?.as_i64()
}

/// `metadata.labels`.
#[must_use]
pub fn labels(object: &Value) -> Option<&Map<String, Value>> {
    field(object, "labels")?.as_object()
}

/// One label.
#[must_use]
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    labels(object)?.get(key)?.as_str()
}

/// `metadata.annotations`.
#[must_use]
pub fn annotations(object: &Value) -> Option<&Map<String, Value>> {
    field(object, "annotations")?.as_object()
}

/// One annotation.
#[must_use]
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    annotations(object)?.get(key)?.as_str()
}

/// `metadata.finalizers`.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    list(object, "finalizers").iter().filter_map(Value::as_str)
}

/// Whether the object has the finalizer.
#[must_use]
pub fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    finalizers(object).any(|present| present == finalizer)
}

/// `metadata.ownerReferences`.
#[must_use]
pub fn owner_references(object: &Value) -> &[Value] {
    list(object, "ownerReferences")
}

/// The owner reference of the controller that manages the object.
#[must_use]
pub fn controller_of(object: &Value) -> Option<&Value> {
    owner_references(object).iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
}

/// `metadata.managedFields`.
#[must_use]
pub fn managed_fields(object: &Value) -> &[Value] {
    list(object, "managedFields")
}

/// `namespace/name`, or the bare name of a cluster-scoped object.
#[must_use]
pub fn key(object: &Value) -> String {
    match namespace(object) {
        "" => name(object).to_owned(),
        namespace => format!("{namespace}/{}", name(object)),
    }
}

fn list<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    field(object, name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests;
