//! What Kubernetes demands of metadata, in its words.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{FOREGROUND_FINALIZER, ORPHAN_FINALIZER, options::validate_field_manager};
use crate::field::{Error, ErrorList, Path, go_quote};
use crate::names;

/// The most that all annotations of an object may take, keys and values, in bytes.
pub const ANNOTATIONS_MAX: usize = 256 * 1024;
const SUBRESOURCE_MAX: usize = 256;

/// Validates metadata on creation, after a name has been generated.
///
/// `name_errors(name, prefix)` is the kind's rule for names; `prefix` is true for generateName.
#[must_use]
pub fn validate_object_meta(
    object: &Value,
    namespaced: bool,
    name_errors: &dyn Fn(&str, bool) -> Vec<String>,
    path: &Path,
) -> ErrorList {
    let mut errors = ErrorList::new();
    let generate_name = super::generate_name(object);
    if !generate_name.is_empty() {
        errors.extend(invalid_each(&path.child("generateName"), generate_name, name_errors(generate_name, true)));
    }
    let name = super::name(object);
    let name_path = path.child("name");
    if name.is_empty() {
        errors.push(Error::required(&name_path, "name or generateName is required"));
    } else {
        errors.extend(invalid_each(&name_path, name, name_errors(name, false)));
    }
    errors.extend(namespace_errors(object, namespaced, &path.child("namespace")));
    let generation = super::generation(object);
    if generation < 0 {
        let detail = "must be greater than or equal to 0";
        errors.push(Error::invalid(&path.child("generation"), generation, detail));
    }
    errors.extend(validate_labels(super::labels(object), &path.child("labels")));
    errors.extend(validate_annotations(super::annotations(object), &path.child("annotations")));
    errors.extend(validate_owner_references(super::owner_references(object), &path.child("ownerReferences")));
    errors.extend(validate_finalizers(object, &path.child("finalizers")));
    errors.extend(validate_managed_fields(super::managed_fields(object), &path.child("managedFields")));
    errors
}

fn namespace_errors(object: &Value, namespaced: bool, path: &Path) -> ErrorList {
    let namespace = super::namespace(object);
    match (namespaced, namespace.is_empty()) {
        (true, true) => vec![Error::required(path, "")],
        (true, false) => invalid_each(path, namespace, names::is_dns1123_label(namespace)),
        (false, false) => vec![Error::forbidden(path, "not allowed on this type")],
        (false, true) => ErrorList::new(),
    }
}

/// Validates the metadata of an update.
#[must_use]
pub fn validate_object_meta_update(new: &Value, old: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    if super::is_deleting(old) {
        errors.extend(new_finalizers(new, old, &path.child("finalizers")));
    }
    if super::resource_version(new).is_empty() {
        errors.push(Error::invalid(&path.child("resourceVersion"), "", "must be specified for an update"));
    }
    let generation = super::generation(new);
    if generation < super::generation(old) {
        errors.push(Error::invalid(&path.child("generation"), generation, "must not be decremented"));
    }
    for field in ["name", "namespace", "uid"] {
        errors.extend(validate_immutable(&text(new, field), &text(old, field), &path.child(field)));
    }
    for field in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        errors.extend(validate_immutable(&get(new, field), &get(old, field), &path.child(field)));
    }
    errors.extend(validate_labels(super::labels(new), &path.child("labels")));
    errors.extend(validate_annotations(super::annotations(new), &path.child("annotations")));
    errors.extend(validate_owner_references(super::owner_references(new), &path.child("ownerReferences")));
    errors.extend(validate_managed_fields(super::managed_fields(new), &path.child("managedFields")));
    errors
}

fn text(object: &Value, field: &str) -> Value {
    Value::from(super::text(object, field))
}

fn get(object: &Value, field: &str) -> Value {
    super::field(object, field).cloned().unwrap_or_default()
}

fn invalid_each(path: &Path, value: &str, messages: Vec<String>) -> ErrorList {
    messages.into_iter().map(|message| Error::invalid(path, value, message)).collect()
}

/// Demands that a field has not changed; absent and null are the same.
#[must_use]
pub fn validate_immutable(new: &Value, old: &Value, path: &Path) -> ErrorList {
    if new == old { ErrorList::new() } else { vec![Error::invalid(path, new.clone(), "field is immutable")] }
}

/// Validates a label key.
#[must_use]
pub fn validate_label_name(name: &str, path: &Path) -> ErrorList {
    invalid_each(path, name, names::is_qualified_name(name))
}

/// Validates label keys and values.
#[must_use]
pub fn validate_labels(labels: Option<&Map<String, Value>>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (key, value) in labels.into_iter().flatten() {
        errors.extend(validate_label_name(key, path));
        let value = value.as_str().unwrap_or_default();
        errors.extend(invalid_each(path, value, names::is_label_value(value)));
    }
    errors
}

/// Validates annotation keys, which may be in any case, and the total size.
#[must_use]
pub fn validate_annotations(annotations: Option<&Map<String, Value>>, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut size = 0;
    for (key, value) in annotations.into_iter().flatten() {
        errors.extend(invalid_each(path, key, names::is_qualified_name(&key.to_lowercase())));
        size += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size > ANNOTATIONS_MAX {
        errors.push(Error::too_long(path, 256 * 1024));
    }
    errors
}

/// Validates owner references: complete, no events, one controller.
#[must_use]
pub fn validate_owner_references(owners: &[Value], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut controller: Option<String> = None;
    for owner in owners {
        errors.extend(owner_errors(owner, path));
        if owner.get("controller").and_then(Value::as_bool) != Some(true) {
            continue;
        }
        let this = format!("{}/{}", part(owner, "kind"), part(owner, "name"));
        match &controller {
            None => controller = Some(this),
            Some(first) => {
                let detail = format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                );
                let shown: Vec<String> = owners.iter().map(owner_text).collect();
                errors.push(Error::invalid_text(path, format!("[{}]", shown.join(",")), detail));
            }
        }
    }
    errors
}

fn part<'a>(owner: &'a Value, field: &str) -> &'a str {
    owner.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn owner_errors(owner: &Value, path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let api_version = part(owner, "apiVersion");
    let (group, version) = super::split_api_version(api_version).unwrap_or_default();
    if version.is_empty() {
        errors.push(Error::invalid(&path.child("apiVersion"), api_version, "version must not be empty"));
    }
    for field in ["kind", "name", "uid"] {
        if part(owner, field).is_empty() {
            errors.push(Error::invalid(&path.child(field), "", "must not be empty"));
        }
    }
    if (group, version, part(owner, "kind")) == ("", "v1", "Event") {
        let detail = "/v1, Kind=Event is disallowed from being an owner";
        errors.push(Error::invalid_text(path, owner_text(owner), detail));
    }
    errors
}

/// An owner reference as Kubernetes prints it: fields in the order of the type, the first four always.
fn owner_text(owner: &Value) -> String {
    let mut fields: Vec<String> = ["apiVersion", "kind", "name", "uid"]
        .iter()
        .map(|field| format!("\"{field}\":{}", Value::from(part(owner, field))))
        .collect();
    for field in ["controller", "blockOwnerDeletion"] {
        if let Some(flag) = owner.get(field).and_then(Value::as_bool) {
            fields.push(format!("\"{field}\":{flag}"));
        }
    }
    format!("{{{}}}", fields.join(","))
}

/// Validates finalizers: qualified names, not both kinds of deletion.
#[must_use]
pub fn validate_finalizers(object: &Value, path: &Path) -> ErrorList {
    let finalizers: Vec<&str> = super::finalizers(object).collect();
    let mut errors: ErrorList =
        finalizers.iter().flat_map(|name| invalid_each(path, name, names::is_qualified_name(name))).collect();
    if finalizers.contains(&ORPHAN_FINALIZER) && finalizers.contains(&FOREGROUND_FINALIZER) {
        let detail = format!("finalizer {ORPHAN_FINALIZER} and {FOREGROUND_FINALIZER} cannot be both set");
        errors.push(Error::invalid(path, finalizers, detail));
    }
    errors
}

fn new_finalizers(new: &Value, old: &Value, path: &Path) -> ErrorList {
    let before: BTreeSet<&str> = super::finalizers(old).collect();
    let after: BTreeSet<&str> = super::finalizers(new).collect();
    let added: Vec<String> = after.difference(&before).map(|name| go_quote(name)).collect();
    if added.is_empty() {
        return ErrorList::new();
    }
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
        added.join(", ")
    );
    vec![Error::forbidden(path, detail)]
}

/// Validates managed fields as far as they are not decoded.
#[must_use]
pub fn validate_managed_fields(entries: &[Value], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    for (at, entry) in entries.iter().enumerate() {
        let path = path.index(at);
        let operation = part(entry, "operation");
        if !matches!(operation, "Apply" | "Update") {
            errors.push(Error::invalid(&path.child("operation"), operation, "must be `Apply` or `Update`"));
        }
        let fields_type = part(entry, "fieldsType");
        if !matches!(fields_type, "" | "FieldsV1") {
            errors.push(Error::invalid(&path.child("fieldsType"), fields_type, "must be `FieldsV1`"));
        }
        errors.extend(validate_field_manager(part(entry, "manager"), &path.child("manager")));
        if part(entry, "subresource").len() > SUBRESOURCE_MAX {
            errors.push(Error::too_long(&path.child("subresource"), 256));
        }
    }
    errors
}
