//! PersistentVolumes and PersistentVolumeClaims.

use mainstay_api::field::Error;
use mainstay_api::{names, time};
use serde_json::Value;

use crate::strategy::validate::volume_sources::{self, access_modes, claim_spec, positive, source};
use crate::strategy::validate::{self, At, Errors, network_volumes, selectors};
use crate::strategy::warnings::objects;
use crate::strategy::{Context, Strategy, base};

/// Sources that a volume can have.
const SOURCES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

/// PersistentVolumes.
pub(crate) struct Volume;

impl Strategy for Volume {
    fn prepare_create(&self, cx: &Context<'_>, obj: &mut Value) {
        base::prepare_create(cx, obj);
        base::set(
            obj,
            "/status",
            serde_json::json!({"phase": "Pending", "lastPhaseTransitionTime": time::seconds(cx.now)}),
        );
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        base::prepare_update(cx, new, old);
        if cx.subresource == "status" {
            let at = |obj: &Value, field: &str| obj.pointer(&format!("/status/{field}")).cloned().unwrap_or_default();
            let (moved, kept) = (
                at(new, "phase") != at(old, "phase"),
                at(new, "lastPhaseTransitionTime") == at(old, "lastPhaseTransitionTime"),
            );
            if moved && kept {
                base::set(new, "/status/lastPhaseTransitionTime", time::seconds(cx.now).into());
            }
        }
    }

    fn validate_create(&self, _cx: &Context<'_>, obj: &Value) -> mainstay_api::field::ErrorList {
        let mut errors = Errors::default();
        volume(obj, &mut errors);
        errors.0
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> mainstay_api::field::ErrorList {
        let mut errors = Errors::default();
        if cx.subresource.is_empty() {
            // Kubernetes judges a volume as such, and then once more as part of the comparison.
            for _ in 0..2 {
                errors.extend(base::meta_errors(cx, new, &|name, prefix| self.name_errors(name, prefix)));
                volume(new, &mut errors);
            }
            changes(new, old, &mut errors);
        } else {
            errors.extend(base::meta_update_errors(new, old));
        }
        errors.0
    }

    fn warnings(&self, cx: &Context<'_>, new: &Value, _old: Option<&Value>) -> Vec<String> {
        if cx.subresource.is_empty() { objects::volume(new) } else { Vec::new() }
    }
}

fn volume(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let modes = spec.get("accessModes");
    if modes.is_empty() {
        errors.required(&modes, "");
    }
    access_modes(&modes, errors);
    capacity(&spec.get("capacity"), errors);
    let policy = spec.get("persistentVolumeReclaimPolicy");
    if !policy.is_empty() {
        errors.one_of_if_set(&policy, &["Delete", "Recycle", "Retain"]);
    }
    if let Some(affinity) = spec.opt("nodeAffinity") {
        match affinity.opt("required") {
            Some(required) => selectors::node_selector(&required, errors),
            None => errors.required(&affinity.get("required"), "must specify required node constraints"),
        }
    }
    sources(&spec, mainstay_api::meta::name(obj), errors);
    if spec.get("hostPath").get("path").str() == "/" && policy.str() == "Recycle" {
        errors.forbidden(&policy, "may not be 'recycle' for a hostPath mount of '/'");
    }
    errors.name_if_set(&spec.get("storageClassName"), names::is_dns1123_subdomain);
    errors.one_of_if_set(&spec.get("volumeMode"), &["Block", "Filesystem"]);
    attributes_class(&spec, errors);
}

/// The class of a volume's attributes, which only CSI drivers know.
fn attributes_class(spec: &At<'_>, errors: &mut Errors) {
    let Some(class) = spec.opt("volumeAttributesClassName") else { return };
    if class.str().is_empty() {
        errors.required(&class, "an empty string is disallowed");
    } else {
        errors.each(&class, names::is_dns1123_subdomain(class.str()));
    }
    if spec.opt("csi").is_none() {
        errors.required(&spec.get("csi"), "has to be specified when using volumeAttributesClassName");
    }
}

fn capacity(at: &At<'_>, errors: &mut Errors) {
    if at.is_empty() {
        errors.required(at, "");
    }
    match at.opt("storage") {
        Some(_) if at.len() == 1 => {}
        _ => {
            errors.0.push(validate::shown(Error::not_supported(&at.path, at.value.clone(), &["storage"]), at));
        }
    }
    for (_, amount) in at.entries() {
        positive(&amount, errors);
    }
}

fn sources(spec: &At<'_>, volume: &str, errors: &mut Errors) {
    let present = spec.present(SOURCES);
    for (index, name) in present.iter().enumerate() {
        let at = spec.get(name);
        if index > 0 {
            let at = At::new(at.value, spec.path.child(volume_sources::refused_as(name)));
            errors.forbidden(&at, "may not specify more than 1 volume type");
        } else if *name == "csi" {
            volume_sources::csi_driver_name(&at.get("driver"), errors);
            errors.needed(&at.get("volumeHandle"));
            network_volumes::persistent(name, &at, volume, errors);
        } else if *name == "local" {
            errors.needed(&at.get("path"));
            validate::volumes::no_backsteps(&at.get("path"), errors);
            if spec.get("nodeAffinity").opt("required").is_none() {
                errors.required(&spec.get("nodeAffinity"), "Local volume requires node affinity");
            }
        } else if *name == "iscsi" {
            network_volumes::persistent(name, &at, volume, errors);
            network_volumes::iscsi(&at, "must be valid format", errors);
            if let Some(secret) = at.opt("secretRef") {
                errors.needed(&secret.get("name"));
            }
        } else {
            source(name, &at, errors);
            network_volumes::persistent(name, &at, volume, errors);
        }
    }
    if present.is_empty() {
        errors.required(spec, "must specify a volume type");
    }
}

fn changes(new: &Value, old: &Value, errors: &mut Errors) {
    let (now, was) = (At::spec(new), At::spec(old));
    let pick = |spec: &At<'_>| -> Vec<Value> { SOURCES.iter().map(|name| spec.get(name).value.clone()).collect() };
    if pick(&now) != pick(&was) {
        let at = At::new(now.value, now.path.child("persistentvolumesource"));
        errors.forbidden(&at, "spec.persistentvolumesource is immutable after creation\n");
    }
    let mode = At::new(now.get("volumeMode").value, mainstay_api::field::Path::new("volumeMode"));
    errors.immutable(&mode, &was.get("volumeMode"));
    let (affinity, before) = (now.get("nodeAffinity"), was.get("nodeAffinity"));
    if !before.is_null() && affinity.value != before.value {
        let path = mainstay_api::field::Path::new("nodeAffinity");
        let why = "field is immutable, except for updating from beta label to GA";
        errors.0.push(Error::invalid(&path, affinity.value.clone(), why));
    }
    let class = (now.get("volumeAttributesClassName"), was.get("volumeAttributesClassName"));
    if class.0.is_null() && !class.1.is_null() {
        errors.forbidden(&class.0, "update from non-nil value to nil is forbidden");
    }
}

/// PersistentVolumeClaims.
pub(crate) struct Claim;

impl Strategy for Claim {
    fn prepare_create(&self, cx: &Context<'_>, obj: &mut Value) {
        base::prepare_create(cx, obj);
        base::set(obj, "/status", serde_json::json!({"phase": "Pending"}));
        drop_odd_source(obj);
        copy_source(obj);
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        base::prepare_update(cx, new, old);
        if cx.subresource.is_empty() {
            if At::spec(old).opt("dataSource").is_none() {
                drop_odd_source(new);
            }
            copy_source(new);
        }
    }

    fn validate_create(&self, _cx: &Context<'_>, obj: &Value) -> mainstay_api::field::ErrorList {
        let mut errors = Errors::default();
        claim_spec(&At::spec(obj), &mut errors);
        errors.0
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> mainstay_api::field::ErrorList {
        let mut errors = Errors::default();
        if cx.subresource == "status" {
            errors.extend(base::meta_update_errors(new, old));
            claim_status(new, &mut errors);
        } else {
            errors.extend(base::meta_errors(cx, new, &|name, prefix| self.name_errors(name, prefix)));
            claim_spec(&At::spec(new), &mut errors);
            errors.extend(base::meta_update_errors(new, old));
            claim_changes(new, old, &mut errors);
        }
        errors.0
    }

    fn warnings(&self, cx: &Context<'_>, new: &Value, _old: Option<&Value>) -> Vec<String> {
        if cx.subresource.is_empty() { objects::claim(new) } else { Vec::new() }
    }
}

/// `dataSource` has only ever taken claims and snapshots; what else it says is passed over. `dataSourceRef` stays within
/// the namespace.
fn drop_odd_source(obj: &mut Value) {
    let source = At::spec(obj).get("dataSource");
    let (group, kind) = (source.get("apiGroup"), source.get("kind"));
    let known = matches!(
        (group.str(), kind.str()),
        ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
    );
    if !known {
        base::remove(obj, ".spec.dataSource");
    }
    base::remove(obj, ".spec.dataSourceRef.namespace");
}

/// `dataSource` and `dataSourceRef` say the same unless the latter crosses namespaces.
fn copy_source(obj: &mut Value) {
    let spec = At::spec(obj);
    let (source, reference) =
        (spec.opt("dataSource").map(|at| at.value.clone()), spec.opt("dataSourceRef").map(|at| at.value.clone()));
    match (source, reference) {
        (Some(source), None) => base::set(obj, "/spec/dataSourceRef", source),
        (None, Some(reference)) if reference.get("namespace").is_none_or(Value::is_null) => {
            base::set(obj, "/spec/dataSource", reference)
        }
        _ => {}
    }
}

fn claim_status(new: &Value, errors: &mut Errors) {
    for (_, at) in At::root(new).get("status").get("capacity").entries() {
        if at.quantity().is_negative() {
            errors.0.push(Error::invalid(&at.path, at.quantity().value(), "must be a valid resource quantity"));
        }
    }
}

fn claim_changes(new: &Value, old: &Value, errors: &mut Errors) {
    const WHY: &str =
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";
    let (now, was) = (At::spec(new), At::spec(old));
    let bound = At::root(old).get("status").get("phase").str() == "Bound";
    let mut comparable = now.value.clone();
    // Who binds the claim names its volume, once; a class may come later where none was given.
    for field in ["volumeName", "storageClassName"] {
        if was.get(field).is_null() {
            take(&mut comparable, was.value, field);
        }
    }
    if bound {
        let request = was.get("resources").get("requests").get("storage").value.clone();
        if comparable.pointer("/resources/requests/storage").is_some() {
            base::set(&mut comparable, "/resources/requests/storage", request);
        }
        take(&mut comparable, was.value, "volumeAttributesClassName");
    }
    if comparable != *was.value {
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
    let mode = At::new(now.get("volumeMode").value, mainstay_api::field::Path::new("volumeMode"));
    errors.immutable(&mode, &was.get("volumeMode"));
    let class = (now.get("volumeAttributesClassName"), was.get("volumeAttributesClassName"));
    if !class.1.is_null() && class.0.value != class.1.value {
        if class.0.is_null() {
            errors.forbidden(&class.0, "update from non-nil value to nil is forbidden");
        } else if class.0.str().is_empty() {
            errors.forbidden(&class.0, "update from non-nil value to an empty string is forbidden");
        }
    }
}

fn take(spec: &mut Value, old: &Value, field: &str) {
    let Some(map) = spec.as_object_mut() else { return };
    match old.get(field) {
        Some(value) => drop(map.insert(field.to_owned(), value.clone())),
        None => drop(map.remove(field)),
    }
}
