//! PersistentVolumeClaims.

use mainstay_api::field::{Error, ErrorList, Path};
use mainstay_api::{meta, names, types};
use serde_json::{Value, json};

use super::basic;
use crate::strategy::same::same;
use crate::strategy::validate::volume_sources::claim_spec;
use crate::strategy::validate::{At, Errors, quantities};
use crate::strategy::warnings::objects;
use crate::strategy::{Context, Strategy, base};

/// PersistentVolumeClaims.
pub(crate) struct Claim;

impl Strategy for Claim {
    fn prepare_create(&self, cx: &Context<'_>, obj: &mut Value) {
        base::prepare_create(cx, obj);
        base::set(obj, "/status", json!({"phase": "Pending"}));
        drop_odd_source(obj, None);
        copy_source(obj);
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        base::prepare_update(cx, new, old);
        if cx.subresource.is_empty() {
            drop_odd_source(new, Some(old));
            copy_source(new);
        }
    }

    fn validate_create(&self, _cx: &Context<'_>, obj: &Value) -> ErrorList {
        let mut errors = Errors(base::finalizer_errors(obj));
        claim_spec(&At::spec(obj), &mut errors);
        errors.0
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> ErrorList {
        let mut errors = Errors::default();
        if cx.subresource == "status" {
            errors.extend(base::meta_update_errors(new, old));
            claim_status(new, &mut errors);
        } else {
            // Kubernetes judges a claim as such, and then once more as part of the comparison.
            for again in [false, true] {
                if again {
                    errors.extend(base::meta_update_errors(new, old));
                }
                errors.extend(base::meta_errors(cx, new, &|name, prefix| self.name_errors(name, prefix)));
                claim_spec(&At::spec(new), &mut errors);
            }
            claim_changes(new, old, &mut errors);
        }
        errors.0
    }

    fn warnings(&self, cx: &Context<'_>, new: &Value, _old: Option<&Value>) -> Vec<String> {
        if cx.subresource.is_empty() { objects::claim(new) } else { Vec::new() }
    }
}

/// Alone, `dataSource` has only ever taken claims and snapshots; what else it says is passed over. So is a
/// `dataSourceRef` to another namespace. What the claim had it keeps.
fn drop_odd_source(obj: &mut Value, old: Option<&Value>) {
    let had = |field: &str| old.is_some_and(|old| At::spec(old).opt(field).is_some());
    let abroad = !At::spec(obj).get("dataSourceRef").get("namespace").is_empty();
    if abroad && !had("dataSourceRef") {
        base::remove(obj, ".spec.dataSourceRef");
    }
    let alone = At::spec(obj).opt("dataSourceRef").is_none() && !had("dataSource") && !had("dataSourceRef");
    if alone && !is_old_source(&At::spec(obj).get("dataSource")) {
        base::remove(obj, ".spec.dataSource");
    }
}

/// Whether claims could be made from this before there was `dataSourceRef`.
fn is_old_source(source: &At<'_>) -> bool {
    matches!(
        (source.get("apiGroup").str(), source.get("kind").str()),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    )
}

/// `dataSource` and `dataSourceRef` say the same unless the latter crosses namespaces.
fn copy_source(obj: &mut Value) {
    let spec = At::spec(obj);
    let (source, reference) =
        (spec.opt("dataSource").map(|at| at.value.clone()), spec.opt("dataSourceRef").map(|at| at.value.clone()));
    match (source, reference) {
        (Some(source), None) => base::set(obj, "/spec/dataSourceRef", source),
        (None, Some(reference)) if At::root(&reference).get("namespace").is_empty() => {
            base::set(obj, "/spec/dataSource", reference);
            base::remove(obj, ".spec.dataSource.namespace");
        }
        _ => {}
    }
}

fn claim_status(new: &Value, errors: &mut Errors) {
    const RESIZING: &[&str] = &[
        "ControllerResizeInProgress",
        "ControllerResizeInfeasible",
        "NodeResizeInProgress",
        "NodeResizeInfeasible",
        "NodeResizePending",
    ];
    let status = At::root(new).get("status");
    status.get("capacity").entries().for_each(|(_, at)| basic(&at, errors));
    let list = status.get("allocatedResourceStatuses");
    for (name, at) in list.entries() {
        claim_resource(name, &list, errors);
        if !RESIZING.contains(&at.str()) {
            errors.0.push(Error::not_supported(&list.path, name, RESIZING));
        }
    }
    let list = status.get("allocatedResources");
    for (name, at) in list.entries() {
        let before = errors.0.len();
        claim_resource(name, &list, errors);
        if errors.0.len() == before {
            basic(&at, errors);
        }
    }
}

/// What a claim can have of: storage, or what somebody else has named.
fn claim_resource(name: &str, list: &At<'_>, errors: &mut Errors) {
    let texts = names::is_qualified_name(name);
    if texts.is_empty() && quantities::is_native(name) && name != "storage" {
        errors.0.push(Error::not_supported(&list.path, name, &["storage"]));
    }
    errors.0.extend(texts.into_iter().map(|text| Error::invalid(&list.path, name, text)));
}

/// The annotation that named the class of a claim before there was a field.
const CLASS: &str = "volume.beta.kubernetes.io/storage-class";

/// A class may come later where none was given, or where only the annotation gave it.
fn may_name_class(new: &Value, old: &Value) -> bool {
    let (class, before) = (At::spec(new).get("storageClassName"), At::spec(old).get("storageClassName"));
    before.is_null() && !class.is_null() && meta::annotation(old, CLASS).is_none_or(|was| was == class.str())
}

/// A class that was named in an annotation once may become a field, and else the annotation stays.
fn class_annotation(new: &Value, old: &Value, errors: &mut Errors) {
    let (now, was) = (meta::annotation(new, CLASS), meta::annotation(old, CLASS));
    let (class, before) = (At::spec(new).get("storageClassName"), At::spec(old).get("storageClassName"));
    let becomes_field =
        was.is_some() && before.is_null() && class.value.as_str() == was && now.is_none_or(|_| now == was);
    if !becomes_field && now.unwrap_or_default() != was.unwrap_or_default() {
        let path = At::root(new).get("metadata").get("annotations").path.child(CLASS);
        errors.0.push(Error::invalid(&path, now.unwrap_or_default(), "field is immutable"));
    }
}

fn claim_changes(new: &Value, old: &Value, errors: &mut Errors) {
    const WHY: &str =
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";
    class_annotation(new, old, errors);
    let (now, was) = (At::spec(new), At::spec(old));
    let bound = At::root(old).get("status").get("phase").str() == "Bound";
    let mut comparable = now.value.clone();
    // Who binds the claim names its volume, once.
    if was.get("volumeName").is_null() {
        take(&mut comparable, was.value, "volumeName");
    }
    if may_name_class(new, old) {
        take(&mut comparable, was.value, "storageClassName");
    }
    if bound {
        if let Some(requests) = comparable.pointer_mut("/resources/requests") {
            take(requests, was.get("resources").get("requests").value, "storage");
        }
        take(&mut comparable, was.value, "volumeAttributesClassName");
    }
    let of = types::by_name("io.k8s.api.core.v1.PersistentVolumeClaimSpec");
    if of.is_none_or(|of| !same(of, &comparable, was.value)) {
        errors.forbidden(&now, WHY);
    }
    let size = |at: &At<'_>| at.get("resources").get("requests").get("storage").quantity();
    if size(&now) < size(&was) {
        let capacity = At::root(old).get("status").get("capacity").get("storage").quantity();
        if size(&now) < capacity || size(&now) == capacity {
            let at = now.get("resources").get("requests").get("storage");
            errors.forbidden(&at, "field can not be less than status.capacity");
        }
    }
    let mode = At::new(now.get("volumeMode").value, Path::new("volumeMode"));
    errors.immutable(&mode, &was.get("volumeMode"));
    attributes_class(&now, old, errors);
}

/// Attributes that the volume has by now came with some class.
fn attributes_class(now: &At<'_>, old: &Value, errors: &mut Errors) {
    let (class, before) = (now.get("volumeAttributesClassName"), At::spec(old).get("volumeAttributesClassName"));
    let current = At::root(old).get("status").get("currentVolumeAttributesClassName");
    if current.is_null() || class.value == before.value {
        return;
    }
    if class.is_null() {
        errors.forbidden(&class, "update to nil is forbidden when status.currentVolumeAttributesClassName is not nil");
    } else if class.str().is_empty() {
        errors.forbidden(
            &class,
            "update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil",
        );
    }
}

fn take(spec: &mut Value, old: &Value, field: &str) {
    let Some(map) = spec.as_object_mut() else { return };
    match old.get(field) {
        Some(value) => drop(map.insert(field.to_owned(), value.clone())),
        None => drop(map.remove(field)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(judge: impl FnOnce(&mut Errors)) -> Vec<String> {
        let mut errors = Errors::default();
        judge(&mut errors);
        errors.0.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_bound_claim_takes_another_class_but_does_not_lose_it() {
        let claim = |class: Value, current: Value| {
            let spec = json!({"accessModes": ["ReadWriteOnce"], "volumeAttributesClassName": class});
            json!({"spec": spec, "status": {"phase": "Bound", "currentVolumeAttributesClassName": current}})
        };
        let change = |class: Value, current: Value| {
            let old = claim("silver".into(), current);
            told(|errors| claim_changes(&claim(class, Value::Null), &old, errors))
        };
        assert_eq!(change("gold".into(), "silver".into()), Vec::<String>::new());
        assert_eq!(change("".into(), Value::Null), Vec::<String>::new());
        assert_eq!(
            change("".into(), "silver".into()),
            [
                "spec.volumeAttributesClassName: Forbidden: update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil"
            ]
        );
    }

    #[test]
    fn a_claim_asks_for_the_same_however_it_is_written() {
        let claim = |size: &str| json!({"spec": {"resources": {"requests": {"storage": size}}}});
        let change = |size: &str| told(|errors| claim_changes(&claim(size), &claim("1Gi"), errors)).len();
        assert_eq!((change("1073741824"), change("2Gi")), (0, 1));
    }

    #[test]
    fn a_class_comes_later_unless_the_annotation_names_another() {
        let may = |annotation: Value, class: Value| {
            let old = json!({"metadata": {"annotations": {CLASS: annotation}}, "spec": {}});
            may_name_class(&json!({"spec": {"storageClassName": class}}), &old)
        };
        assert!(may(Value::Null, "fast".into()));
        assert!(may("fast".into(), "fast".into()));
        assert!(!may("slow".into(), "fast".into()));
        assert!(!may(Value::Null, Value::Null));
    }

    #[test]
    fn what_a_claim_is_made_from_is_said_twice() {
        let made = |spec: Value, old: Option<Value>| {
            let (mut claim, old) = (json!({"spec": spec}), old.map(|spec| json!({"spec": spec})));
            drop_odd_source(&mut claim, old.as_ref());
            copy_source(&mut claim);
            claim["spec"].take()
        };
        let (claim, odd) = (json!({"kind": "PersistentVolumeClaim", "name": "b"}), json!({"kind": "Pod", "name": "b"}));
        let both = |source: &Value| json!({"dataSource": source, "dataSourceRef": source});
        assert_eq!(made(json!({"dataSource": claim}), None), both(&claim));
        assert_eq!(made(json!({"dataSource": odd}), None), json!({}));
        assert_eq!(made(json!({"dataSource": odd}), Some(both(&odd))), both(&odd));
        let differ = json!({"dataSource": odd, "dataSourceRef": claim});
        assert_eq!(made(differ.clone(), None), differ);
        let mut abroad = claim.clone();
        abroad["namespace"] = "x".into();
        assert_eq!(made(json!({"dataSourceRef": abroad}), None), json!({}));
        abroad["namespace"] = "".into();
        assert_eq!(made(json!({"dataSourceRef": abroad}), None)["dataSource"], claim);
    }

    #[test]
    fn only_storage_is_resized() {
        let claim = json!({"status": {"allocatedResourceStatuses": {"storage": "Odd", "cpu": "NodeResizePending"}}});
        let told = told(|errors| claim_status(&claim, errors));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.iter().all(|text| text.starts_with("status.allocatedResourceStatuses: Unsupported value: ")));
    }
}
