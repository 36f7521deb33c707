//! What every kind does with a write, by the facts of its row: who owns the status, and when the generation moves.

use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::meta;
use mainstay_api::resource::Resource;
use serde_json::Value;

use super::same::same_at;
use super::{Context, features};

/// Drops the fields that only a subresource may write.
pub(crate) fn prepare_create(cx: &Context<'_>, obj: &mut Value) {
    for path in &cx.resource.reset {
        remove(obj, path);
    }
    features::drop_disabled(&cx.resource.group, &cx.resource.resource, obj, None);
}

/// Keeps what this endpoint may not write, then moves the generation.
pub(crate) fn prepare_update(cx: &Context<'_>, new: &mut Value, old: &Value) {
    let reset = match cx.subresource {
        "" => &cx.resource.reset,
        name => match cx.resource.subresource(name) {
            Some(subresource) => &subresource.reset,
            None => return,
        },
    };
    for path in reset {
        keep(new, old, path);
    }
    features::drop_disabled(&cx.resource.group, &cx.resource.resource, new, Some(old));
    // Whoever writes the status does not change what is wanted, even if annotations count as that.
    if cx.subresource != "status" {
        move_generation(cx.resource, new, old);
    } else if meta::generation(old) > 0 {
        meta::set(new, "generation", meta::generation(old));
    }
}

/// Takes the value at `path` (`.spec`, `.metadata.labels`) from `old`, or removes it where `old` has none.
pub(crate) fn keep(new: &mut Value, old: &Value, path: &str) {
    let pointer = path.replace('.', "/");
    if pointer == "/metadata" {
        keep_metadata(new, old);
        return;
    }
    match old.pointer(&pointer) {
        Some(value) => set(new, &pointer, value.clone()),
        None => remove(new, path),
    }
}

/// All of the metadata but for what a write always says: who manages the fields, and the version it is based on.
fn keep_metadata(new: &mut Value, old: &Value) {
    let mut metadata = old.get("metadata").cloned().unwrap_or_default();
    for field in ["managedFields", "resourceVersion"] {
        let own = new.pointer(&format!("/metadata/{field}")).cloned();
        match (own, metadata.as_object_mut()) {
            (Some(own), Some(metadata)) => drop(metadata.insert(field.to_owned(), own)),
            (None, Some(metadata)) => drop(metadata.remove(field)),
            _ => {}
        }
    }
    set(new, "/metadata", metadata);
}

/// Sets the value at a JSON pointer, making the objects on the way.
pub(crate) fn set(obj: &mut Value, pointer: &str, value: Value) {
    let mut at = obj;
    for step in pointer.split('/').skip(1) {
        if !at.is_object() {
            *at = Value::Object(serde_json::Map::new());
        }
        at = at.as_object_mut().expect("it was just made an object").entry(step).or_insert(Value::Null);
    }
    *at = value;
}

/// Removes the value at a path such as `.status`.
pub(crate) fn remove(obj: &mut Value, path: &str) {
    let Some((parent, name)) = path.rsplit_once('.') else { return };
    let parent = obj.pointer_mut(&parent.replace('.', "/"));
    if let Some(parent) = parent.and_then(Value::as_object_mut) {
        parent.remove(name);
    }
}

/// Adds one to the generation if anything that the row watches has changed.
pub(crate) fn move_generation(resource: &Resource, new: &mut Value, old: &Value) {
    let Some(generation) = &resource.generation else { return };
    let before = meta::generation(old);
    let changed = generation.watched.iter().any(|path| differs(resource, path, new, old));
    match before + i64::from(changed) {
        0 => drop(meta::remove_field(new, "generation")),
        now => meta::set(new, "generation", now),
    }
}

fn differs(resource: &Resource, path: &str, new: &Value, old: &Value) -> bool {
    if path == "*" {
        return content(new) != content(old);
    }
    let pointer = if path.starts_with('.') { path.replace('.', "/") } else { format!("/{}", path.replace('.', "/")) };
    !same_at(resource.object_type(), &pointer, new, old)
}

/// Everything but type, metadata and status.
fn content(obj: &Value) -> Vec<(&String, &Value)> {
    let fields = obj.as_object().into_iter().flatten();
    fields.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status" | "apiVersion" | "kind")).collect()
}

/// The metadata of a changed object for itself, as kinds judge it once more than the engine does.
pub(crate) fn meta_errors(cx: &Context<'_>, obj: &Value, names: &dyn Fn(&str, bool) -> Vec<String>) -> ErrorList {
    let mut errors = object_meta_errors(cx, obj, names);
    errors.extend(finalizer_errors(obj));
    errors
}

/// The same without the names of finalizers.
pub(super) fn object_meta_errors(
    cx: &Context<'_>,
    obj: &Value,
    names: &dyn Fn(&str, bool) -> Vec<String>,
) -> ErrorList {
    meta::validate_object_meta(obj, cx.resource.namespaced, names, &Path::new("metadata"))
}

/// The metadata of a changed object beside the old, as kinds judge it once more than the engine does.
pub(crate) fn meta_update_errors(new: &Value, old: &Value) -> ErrorList {
    let mut errors = object_meta_update_errors(new, old);
    errors.extend(finalizer_errors(new));
    errors
}

/// The same without the names of finalizers.
pub(super) fn object_meta_update_errors(new: &Value, old: &Value) -> ErrorList {
    meta::validate_object_meta_update(new, old, &Path::new("metadata"))
}

/// Finalizers of built-in kinds are fully qualified, or the ones that everybody knows.
pub(crate) fn finalizer_errors(obj: &Value) -> ErrorList {
    const KNOWN: [&str; 3] = ["kubernetes", meta::ORPHAN_FINALIZER, meta::FOREGROUND_FINALIZER];
    let path = Path::new("metadata").child("finalizers");
    let bad = |name: &str| !name.contains('/') && !KNOWN.contains(&name);
    let all = meta::finalizers(obj).enumerate().filter(|(_, name)| bad(name));
    all.map(|(index, name)| {
        Error::invalid(&path.index(index), name, "name is neither a standard finalizer name nor is it fully qualified")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use mainstay_api::resource;
    use serde_json::json;

    use super::{finalizer_errors, move_generation};

    #[test]
    fn an_amount_in_another_form_is_no_other_generation() {
        let row = resource::find("apps", "v1", "statefulsets").unwrap();
        let set = |size: &str| {
            let claim = json!({"spec": {"resources": {"requests": {"storage": size}}}});
            json!({"metadata": {"generation": 4}, "spec": {"volumeClaimTemplates": [claim]}})
        };
        let moved = |size: &str| {
            let mut new = set(size);
            move_generation(row, &mut new, &set("1Gi"));
            new["metadata"]["generation"].as_i64()
        };
        assert_eq!((moved("1073741824"), moved("2Gi")), (Some(4), Some(5)));
    }

    #[test]
    fn a_finalizer_that_is_no_name_is_not_qualified_either() {
        let obj = json!({"metadata": {"finalizers": ["a b", "", "a b/c", "orphan", "kubernetes", "nope"]}});
        let fields: Vec<String> = finalizer_errors(&obj).iter().map(|error| error.field.clone()).collect();
        assert_eq!(fields, ["metadata.finalizers[0]", "metadata.finalizers[1]", "metadata.finalizers[5]"]);
    }
}
