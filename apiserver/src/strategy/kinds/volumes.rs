//! PersistentVolumes and PersistentVolumeClaims.

mod claim;

use mainstay_api::field::Error;
use mainstay_api::{names, time};
use serde_json::Value;

use crate::strategy::validate::volume_sources::{self, access_modes, positive, source};
use crate::strategy::validate::{self, At, Errors, network_volumes, selectors};
use crate::strategy::warnings::objects;
use crate::strategy::{Context, Strategy, base};

pub(crate) use claim::Claim;

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

/// Notes when the phase changed last, unless the client says so itself.
fn stamp_phase(new: &mut Value, old: &Value, now: String) {
    const TIME: &str = "/status/lastPhaseTransitionTime";
    let at = |obj: &Value, pointer: &str| obj.pointer(pointer).cloned().unwrap_or_default();
    let said = at(new, TIME);
    if at(new, "/status/phase") == at(old, "/status/phase") {
        if said.is_null() {
            base::keep(new, old, ".status.lastPhaseTransitionTime");
        }
    } else if said.is_null() || said == at(old, TIME) {
        base::set(new, TIME, now.into());
    }
}

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
            stamp_phase(new, old, time::seconds(cx.now));
        }
    }

    fn validate_create(&self, _cx: &Context<'_>, obj: &Value) -> mainstay_api::field::ErrorList {
        let mut errors = Errors(base::finalizer_errors(obj));
        volume(obj, &mut errors);
        mount_options(obj, &mut errors);
        errors.0
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> mainstay_api::field::ErrorList {
        let mut errors = Errors::default();
        if cx.subresource.is_empty() {
            // Kubernetes judges a volume as such, and then once more as part of the comparison.
            for again in [false, true] {
                errors.extend(base::meta_errors(cx, new, &|name, prefix| self.name_errors(name, prefix)));
                volume(new, &mut errors);
                if !again {
                    mount_options(new, &mut errors);
                }
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
    spec(&At::spec(obj), mainstay_api::meta::name(obj), Place::Object, errors);
}

/// Only some volumes can be mounted with the options that an annotation of old names.
fn mount_options(obj: &Value, errors: &mut Errors) {
    const KEY: &str = "volume.beta.kubernetes.io/mount-options";
    const MOUNTED: &[&str] = &[
        "gcePersistentDisk",
        "awsElasticBlockStore",
        "glusterfs",
        "nfs",
        "rbd",
        "quobyte",
        "iscsi",
        "cinder",
        "cephfs",
        "azureFile",
        "vsphereVolume",
        "azureDisk",
        "photonPersistentDisk",
    ];
    if mainstay_api::meta::annotation(obj, KEY).is_some() && At::spec(obj).present(MOUNTED).is_empty() {
        let path = At::root(obj).get("metadata").get("annotations").path.child(KEY);
        errors.0.push(Error::forbidden(&path, "may not specify mount options for this volume type"));
    }
}

/// Where the spec of a volume stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a PersistentVolume.
    Object,
    /// In an attachment, where it stands for what a pod has as a volume of its own.
    Inline,
}

/// The spec of a volume, which is called `name`.
pub(crate) fn spec(spec: &At<'_>, name: &str, place: Place, errors: &mut Errors) {
    let inline = place == Place::Inline;
    if inline {
        let (claim, capacity) = (spec.get("claimRef"), spec.get("capacity"));
        for at in [(!claim.is_null()).then_some(claim), (!capacity.is_empty()).then_some(capacity)] {
            at.iter().for_each(|at| errors.forbidden(at, NOT_INLINE));
        }
        if spec.opt("csi").is_none() {
            errors.required(&spec.get("csi"), "has to be specified in the context of inline volumes");
        }
    }
    let modes = spec.get("accessModes");
    if modes.is_empty() {
        errors.required(&modes, "");
    }
    access_modes(&modes, errors);
    if !inline {
        capacity(&spec.get("capacity"), errors);
    }
    let policy = spec.get("persistentVolumeReclaimPolicy");
    if inline && !matches!(policy.str(), "" | "Retain") {
        errors.forbidden(&policy, "may only be Retain in the context of inline volumes");
    } else if !inline && !policy.is_empty() {
        errors.one_of_if_set(&policy, &["Delete", "Recycle", "Retain"]);
    }
    if let Some(affinity) = spec.opt("nodeAffinity") {
        match affinity.opt("required") {
            _ if inline => errors.forbidden(&affinity, NOT_INLINE),
            Some(required) => selectors::node_selector(&required, errors),
            None => errors.required(&affinity.get("required"), "must specify required node constraints"),
        }
    }
    sources(spec, name, place, errors);
    if is_root(spec.get("hostPath").get("path").str()) && policy.str() == "Recycle" {
        errors.forbidden(&policy, "may not be 'recycle' for a hostPath mount of '/'");
    }
    use_of_volume(spec, place, errors);
    attributes_class(spec, errors);
}

const NOT_INLINE: &str = "may not be specified in the context of inline volumes";

/// The root of the host, however it is written.
fn is_root(path: &str) -> bool {
    path.starts_with('/') && path.split('/').all(|part| matches!(part, "" | "." | ".."))
}

/// The class of the volume, and whether it is a file system or a device.
fn use_of_volume(spec: &At<'_>, place: Place, errors: &mut Errors) {
    let (class, mode) = (spec.get("storageClassName"), spec.get("volumeMode"));
    if place == Place::Object {
        errors.name_if_set(&class, names::is_dns1123_subdomain);
        errors.one_of_if_set(&mode, &["Block", "Filesystem"]);
        return;
    }
    if !class.is_empty() {
        errors.forbidden(&class, NOT_INLINE);
    }
    if !mode.is_null() && mode.str() != "Filesystem" {
        errors.forbidden(&mode, "may not specify volumeMode other than Filesystem in the context of inline volumes");
    }
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
        basic(&amount, errors);
        positive(&amount, errors);
    }
}

/// An amount at all.
fn basic(at: &At<'_>, errors: &mut Errors) {
    if at.quantity().is_negative() {
        errors.0.push(Error::invalid(&at.path, at.quantity().value(), "must be a valid resource quantity"));
    }
}

fn sources(spec: &At<'_>, volume: &str, place: Place, errors: &mut Errors) {
    let present = spec.present(SOURCES);
    for (index, name) in present.iter().enumerate() {
        let at = spec.get(name);
        // Of volumes that a driver of old serves there may be a second one.
        if index > 0 && *name != "flexVolume" {
            let at = At::new(at.value, spec.path.child(volume_sources::refused_as(name)));
            errors.forbidden(&at, "may not specify more than 1 volume type");
        } else if *name == "csi" {
            volume_sources::csi_driver_name(&at.get("driver"), errors);
            errors.needed(&at.get("volumeHandle"));
            network_volumes::persistent(name, &at, volume, errors);
        } else if *name == "local" {
            errors.needed(&at.get("path"));
            validate::paths::no_backsteps(&at.get("path"), errors);
            if spec.opt("nodeAffinity").is_none() || place == Place::Inline {
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

/// The old affinity, with the later names of labels where the new one has them.
fn with_later_labels(old: &Value, new: &Value) -> Value {
    const LATER: [(&str, &str); 5] = [
        ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
        ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
        ("beta.kubernetes.io/os", "kubernetes.io/os"),
        ("beta.kubernetes.io/arch", "kubernetes.io/arch"),
        ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type"),
    ];
    let mut changed = old.clone();
    let terms = changed.pointer_mut("/required/nodeSelectorTerms").and_then(Value::as_array_mut);
    for (i, term) in terms.into_iter().flatten().enumerate() {
        let expressions = term.get_mut("matchExpressions").and_then(Value::as_array_mut);
        for (j, expression) in expressions.into_iter().flatten().enumerate() {
            let place = format!("/required/nodeSelectorTerms/{i}/matchExpressions/{j}/key");
            let later = new.pointer(&place).and_then(Value::as_str).unwrap_or_default();
            if LATER.iter().any(|(beta, ga)| expression["key"] == *beta && later == *ga) {
                expression["key"] = later.into();
            }
        }
    }
    changed
}

fn changes(new: &Value, old: &Value, errors: &mut Errors) {
    let (now, was) = (At::spec(new), At::spec(old));
    let pick = |spec: &At<'_>| -> Vec<Value> { SOURCES.iter().map(|name| spec.get(name).value.clone()).collect() };
    let mut compared = now.value.clone();
    // Who expands the volume may become known later.
    if was.opt("csi").is_some_and(|csi| csi.opt("controllerExpandSecretRef").is_none())
        && let Some(csi) = compared.get_mut("csi").and_then(Value::as_object_mut)
    {
        csi.remove("controllerExpandSecretRef");
    }
    if pick(&At::new(&compared, now.path.clone())) != pick(&was) {
        let at = At::new(now.value, now.path.child("persistentvolumesource"));
        errors.forbidden(&at, "spec.persistentvolumesource is immutable after creation\n");
    }
    let mode = At::new(now.get("volumeMode").value, mainstay_api::field::Path::new("volumeMode"));
    errors.immutable(&mode, &was.get("volumeMode"));
    let (affinity, before) = (now.get("nodeAffinity"), was.get("nodeAffinity"));
    if !before.is_null() && *affinity.value != with_later_labels(before.value, affinity.value) {
        let at = At::new(affinity.value, mainstay_api::field::Path::new("nodeAffinity"));
        errors.immutable_struct(&at, &before, "io.k8s.api.core.v1.VolumeNodeAffinity");
        if let Some(error) = errors.0.last_mut() {
            error.detail.push_str(", except for updating from beta label to GA");
        }
    }
    let class = (now.get("volumeAttributesClassName"), was.get("volumeAttributesClassName"));
    if class.0.is_null() && !class.1.is_null() {
        errors.forbidden(&class.0, "update from non-nil value to nil is forbidden");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::testing::context;

    fn told(errors: &[Error]) -> Vec<String> {
        errors.iter().map(ToString::to_string).collect()
    }

    fn create(annotation: &str, source: Value) -> Vec<String> {
        let mut spec = json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}});
        for (name, value) in source.as_object().into_iter().flatten() {
            spec[name] = value.clone();
        }
        let volume = json!({"metadata": {"name": "a", "annotations": {annotation: "ro"}}, "spec": spec});
        context("", "persistentvolumes", |cx| told(&Volume.validate_create(cx, &volume)))
    }

    #[test]
    fn options_are_for_what_is_mounted() {
        const KEY: &str = "volume.beta.kubernetes.io/mount-options";
        let nfs = json!({"nfs": {"server": "s", "path": "/p"}});
        let host = json!({"hostPath": {"path": "/p", "type": ""}});
        assert_eq!(create(KEY, nfs), Vec::<String>::new());
        assert_eq!(create("other", host.clone()), Vec::<String>::new());
        assert_eq!(
            create(KEY, host),
            [
                "metadata.annotations.volume.beta.kubernetes.io/mount-options: Forbidden: may not specify mount options for this volume type"
            ]
        );
    }

    #[test]
    fn a_phase_has_the_time_of_its_beginning() {
        const OLD: &str = "2024-01-01T00:00:00Z";
        let time = |status: Value| {
            let old = json!({"status": {"phase": "Pending", "lastPhaseTransitionTime": OLD}});
            let mut new = json!({"status": status});
            stamp_phase(&mut new, &old, "now".to_owned());
            new["status"]["lastPhaseTransitionTime"].clone()
        };
        assert_eq!(time(json!({"phase": "Pending"})), OLD);
        assert_eq!(time(json!({"phase": "Bound"})), "now");
        assert_eq!(time(json!({"phase": "Bound", "lastPhaseTransitionTime": OLD})), "now");
        assert_eq!(time(json!({"phase": "Bound", "lastPhaseTransitionTime": "later"})), "later");
    }

    #[test]
    fn the_affinity_may_only_take_later_labels() {
        let volume = |key: &str, value: &str| {
            let term = json!({"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]});
            json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}})
        };
        let judge = |new: Value| {
            let mut errors = Errors::default();
            changes(&new, &volume("failure-domain.beta.kubernetes.io/zone", "z"), &mut errors);
            errors.0.len()
        };
        assert_eq!(judge(volume("topology.kubernetes.io/zone", "z")), 0);
        assert_eq!(judge(volume("topology.kubernetes.io/zone", "y")), 1);
        assert_eq!(judge(volume("kubernetes.io/os", "z")), 1);
    }
}
