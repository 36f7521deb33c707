use serde_json::{Map, Value};

/// The `metadata` of an object, made if it is missing.
///
/// # Panics
/// If the object is not a JSON object; decoded objects always are.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    let root = object.as_object_mut().expect("decoded objects are JSON objects");
    child(root, "metadata")
}

/// The map at `key`, made (or made a map) if needed.
fn child<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let slot = parent.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    slot.as_object_mut().expect("it was just made an object")
}

/// Sets a field of `metadata`.
pub fn set(object: &mut Value, field: &str, value: impl Into<Value>) {
    metadata_mut(object).insert(field.to_owned(), value.into());
}

/// Removes a field of `metadata` and returns it.
pub fn remove_field(object: &mut Value, field: &str) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove(field)
}

/// Sets a label.
pub fn set_label(object: &mut Value, key: &str, value: &str) {
    child(metadata_mut(object), "labels").insert(key.to_owned(), value.into());
}

/// Sets an annotation.
pub fn set_annotation(object: &mut Value, key: &str, value: &str) {
    child(metadata_mut(object), "annotations").insert(key.to_owned(), value.into());
}

/// Removes an annotation, and the map with the last of them.
pub fn remove_annotation(object: &mut Value, key: &str) -> Option<Value> {
    let metadata = object.get_mut("metadata")?.as_object_mut()?;
    let annotations = metadata.get_mut("annotations")?.as_object_mut()?;
    let removed = annotations.remove(key);
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    removed
}

/// Adds a finalizer; false if the object has it already.
pub fn add_finalizer(object: &mut Value, finalizer: &str) -> bool {
    if super::has_finalizer(object, finalizer) {
        return false;
    }
    let slot = metadata_mut(object).entry("finalizers").or_insert_with(|| Value::Array(Vec::new()));
    if !slot.is_array() {
        *slot = Value::Array(Vec::new());
    }
    slot.as_array_mut().expect("it was just made an array").push(finalizer.into());
    true
}

/// Removes a finalizer, and the list with the last of them; false if the object does not have it.
pub fn remove_finalizer(object: &mut Value, finalizer: &str) -> bool {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return false };
    let Some(list) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) else { return false };
    let before = list.len();
    list.retain(|present| present != finalizer);
    let changed = list.len() != before;
    if list.is_empty() {
        metadata.remove("finalizers");
    }
    changed
}
