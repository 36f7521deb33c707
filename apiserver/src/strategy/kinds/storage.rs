//! StorageClasses, VolumeAttributesClasses, VolumeAttachments, CSI objects.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_api::field::Error;
use mainstay_api::names;
use serde_json::Value;

use super::volumes::{self, Place};
use crate::strategy::Context;
use crate::strategy::rules::{self, Part, Rules, frozen_spec};
use crate::strategy::validate::volume_sources::csi_driver_name;
use crate::strategy::validate::{At, Errors, quantities, selectors};
use crate::strategy::warnings::objects;

/// StorageClasses.
pub(crate) const CLASS: Rules = Rules {
    check: |_, obj, errors| class(obj, errors),
    warn: |new, _| objects::storage_class(new),
    change: |_, new, old, errors| {
        let (new, old) = (At::root(new), At::root(old));
        errors.immutable(&new.get("parameters"), &old.get("parameters"));
        errors.immutable_plain(&new.get("provisioner"), &old.get("provisioner"));
        for field in ["reclaimPolicy", "volumeBindingMode"] {
            errors.immutable(&new.get(field), &old.get(field));
        }
    },
    parts: rules::CHECK_FIRST,
    ..Rules::PLAIN
};

/// VolumeAttributesClasses.
pub(crate) const ATTRIBUTES_CLASS: Rules = Rules {
    check: |_, obj, errors| {
        let root = At::root(obj);
        provisioner(&root.get("driverName"), errors);
        let parameters = root.get("parameters");
        self::parameters(&parameters, errors);
        if parameters.is_empty() {
            errors.required(&parameters, "must contain at least one key/value pair");
        }
    },
    change: |_, new, old, errors| {
        let (new, old) = (At::root(new), At::root(old));
        for field in ["driverName", "parameters"] {
            if new.get(field).value != old.get(field).value {
                errors.forbidden(&new.get(field), format!("updates to {field} are forbidden."));
            }
        }
    },
    parts: rules::CHANGE_FIRST,
    ..Rules::PLAIN
};

/// VolumeAttachments.
pub(crate) const ATTACHMENT: Rules = Rules {
    check: |_, obj, errors| attachment(obj, errors),
    change: attached,
    status: |cx, new, old, errors| {
        for _ in 0..2 {
            attachment(new, errors);
        }
        attached(cx, new, old, errors);
    },
    // Kubernetes judges an attachment as such, and then once more as part of the comparison.
    parts: &[Part::Meta, Part::Check, Part::Meta, Part::Check, Part::Change],
    ..Rules::PLAIN
};

fn attached(_: &Context<'_>, new: &Value, old: &Value, errors: &mut Errors) {
    errors.immutable_struct(&At::spec(new), &At::spec(old), "io.k8s.api.storage.v1.VolumeAttachmentSpec");
}

/// CSIDrivers.
pub(crate) const DRIVER: Rules = Rules {
    check: |_, obj, errors| driver(obj, errors),
    change: |_, new, old, errors| {
        let (now, was) = (At::spec(new), At::spec(old));
        let attach = At::new(now.get("attachRequired").value, now.path.child("attachedRequired"));
        errors.immutable(&attach, &was.get("attachRequired"));
        frozen_spec(new, old, &["volumeLifecycleModes"], errors);
    },
    warn: |new, _| {
        let spec = At::spec(new);
        let leaks = !spec.get("tokenRequests").is_empty() && spec.opt("serviceAccountTokenInSecrets").is_none();
        let text = "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes";
        leaks.then(|| text.to_owned()).into_iter().collect()
    },
    ..Rules::PLAIN
};

/// CSINodes.
pub(crate) const NODE: Rules = Rules {
    check: |_, obj, errors| node(obj, errors),
    change: |_, new, old, errors| {
        let (now, was) = (At::spec(new).get("drivers"), At::spec(old).get("drivers"));
        for old in was.items() {
            for new in now.items().filter(|new| new.get("name").value == old.get("name").value) {
                let (new, old) = (without_allocatable(&new), without_allocatable(&old));
                let (new, old) = (At::new(&new, now.path.clone()), At::new(&old, now.path.clone()));
                errors.immutable_struct(&new, &old, "io.k8s.api.storage.v1.CSINodeDriver");
            }
        }
    },
    parts: &[Part::Meta, Part::Check, Part::Meta, Part::Check, Part::Change],
    ..Rules::PLAIN
};

/// How many volumes a driver can attach may change.
fn without_allocatable(driver: &At<'_>) -> Value {
    let mut driver = driver.value.clone();
    driver.as_object_mut().and_then(|driver| driver.remove("allocatable"));
    driver
}

/// CSIStorageCapacities.
pub(crate) const CAPACITY: Rules = Rules {
    warn: |new, _| objects::storage_capacity(new),
    check: |_, obj, errors| {
        let root = At::root(obj);
        selectors::label_selector(&root.get("nodeTopology"), errors);
        let class = root.get("storageClassName");
        errors.each(&class, names::is_dns1123_subdomain(class.str()));
        quantities::non_negative(&root.get("capacity"), errors);
    },
    change: |_, new, old, errors| {
        let (new, old) = (At::root(new), At::root(old));
        errors.immutable(&new.get("nodeTopology"), &old.get("nodeTopology"));
        errors.immutable_plain(&new.get("storageClassName"), &old.get("storageClassName"));
    },
    parts: rules::CHECK_FIRST,
    ..Rules::PLAIN
};

fn class(obj: &Value, errors: &mut Errors) {
    let root = At::root(obj);
    provisioner(&root.get("provisioner"), errors);
    parameters(&root.get("parameters"), errors);
    let policy = root.get("reclaimPolicy");
    if !policy.is_empty() {
        errors.one_of_if_set(&policy, &["Delete", "Retain"]);
    }
    let mode = root.get("volumeBindingMode");
    if mode.is_null() {
        errors.required(&mode, "");
    } else {
        errors.one_of_if_set(&mode, &["Immediate", "WaitForFirstConsumer"]);
    }
    topologies(&root.get("allowedTopologies"), errors);
}

/// Who makes volumes, or changes them.
fn provisioner(at: &At<'_>, errors: &mut Errors) {
    if at.str().is_empty() {
        errors.required(at, "");
        return;
    }
    let lower = Value::from(at.str().to_lowercase());
    let at = At::new(&lower, at.path.clone());
    errors.each(&at, names::is_qualified_name(at.str()));
}

/// Where volumes of a class may be: no term twice, and in a term no key twice.
fn topologies(list: &At<'_>, errors: &mut Errors) {
    // Kubernetes begins with as many empty terms as there are terms.
    let mut seen: Vec<BTreeMap<&str, BTreeSet<&str>>> = vec![BTreeMap::new(); list.len()];
    for topology in list.items() {
        let expressions = topology.get("matchLabelExpressions");
        let mut term = BTreeMap::new();
        for expression in expressions.items() {
            let (key, values) = (expression.get("key"), expression.get("values"));
            errors.needed(&values);
            let mut set = BTreeSet::new();
            for value in values.items() {
                if !set.insert(value.str()) {
                    errors.duplicate(&value);
                }
            }
            errors.extend(mainstay_api::meta::validate_label_name(key.str(), &key.path));
            if term.insert(key.str(), set).is_some() {
                errors.duplicate(&key);
            }
        }
        for _ in seen.iter().filter(|other| **other == term) {
            errors.0.push(Error::duplicate(&expressions.path, ""));
        }
        seen.push(term);
    }
}

fn parameters(at: &At<'_>, errors: &mut Errors) {
    if at.len() > 512 {
        errors.0.push(Error::too_long(&at.path, 512));
        return;
    }
    let mut size = 0;
    for (key, value) in at.entries() {
        if key.is_empty() {
            errors.0.push(Error::invalid(&at.path, key, "field can not be empty."));
        }
        size += key.len() + value.str().len();
    }
    if size > 256 * 1024 {
        errors.0.push(Error::too_long(&at.path, 256 * 1024));
    }
}

fn attachment(obj: &Value, errors: &mut Errors) {
    const ONE: &str = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    let spec = At::spec(obj);
    let source = spec.get("source");
    let (name, inline) = (source.get("persistentVolumeName"), source.get("inlineVolumeSpec"));
    match (name.is_null(), inline.is_null()) {
        (true, true) => errors.required(&source, ONE),
        (false, false) => errors.forbidden(&source, ONE),
        (false, true) if name.str().is_empty() => {
            errors.required(&name, "must specify non empty persistentVolumeName");
        }
        (false, true) => {}
        (true, false) => volumes::spec(&inline, "", Place::Inline, errors),
    }
    let (node, attacher) = (spec.get("nodeName"), spec.get("attacher"));
    errors.each(&node, names::is_dns1123_subdomain(node.str()));
    attachment_status(&At::root(obj).get("status"), errors);
    // Only a new attachment is held to these.
    let new = mainstay_api::meta::resource_version(obj).is_empty();
    if new && !attacher.str().is_empty() {
        csi_driver_name(&attacher, errors);
    }
    if new && !name.is_null() {
        errors.each(&name, names::is_dns1123_subdomain(name.str()));
    }
    errors.needed(&attacher);
}

fn attachment_status(status: &At<'_>, errors: &mut Errors) {
    const METADATA_MAX: i64 = 256 * 1024;
    let metadata = status.get("attachmentMetadata");
    let size: usize = metadata.entries().map(|(key, value)| key.len() + value.str().len()).sum();
    if i64::try_from(size).is_ok_and(|size| size > METADATA_MAX) {
        errors.0.push(Error::too_long(&metadata.path, METADATA_MAX));
    }
    for error in ["attachError", "detachError"].into_iter().filter_map(|field| status.opt(field)) {
        let (message, code) = (error.get("message"), error.get("errorCode"));
        if message.str().len() > 1024 {
            // Kubernetes names the other limit.
            errors.0.push(Error::too_long(&message.path, METADATA_MAX));
        }
        if code.int() < 0 {
            errors.in_range(&code, 0, i64::from(i32::MAX));
        }
    }
}

fn driver(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    for (field, shown) in [
        ("attachRequired", "attachedRequired"),
        ("podInfoOnMount", "podInfoOnMount"),
        ("storageCapacity", "storageCapacity"),
    ] {
        if spec.opt(field).is_none() {
            errors.required(&spec.get(shown), "");
        }
    }
    errors.one_of_if_set(&spec.get("fsGroupPolicy"), &["File", "None", "ReadWriteOnceWithFSType"]);
    token_requests(&spec.get("tokenRequests"), errors);
    let modes = spec.get("volumeLifecycleModes");
    for mode in modes.items() {
        errors.one_of_if_set(&At::new(mode.value, modes.path.clone()), &["Persistent", "Ephemeral"]);
    }
    let period = spec.get("nodeAllocatableUpdatePeriodSeconds");
    if !period.is_null() && period.int() < 10 {
        errors.invalid(&period, "must be greater than or equal to 10 seconds");
    }
    let secret = spec.get("serviceAccountTokenInSecrets");
    if !secret.is_null() && spec.get("tokenRequests").is_empty() {
        errors.invalid(&secret, "serviceAccountTokenInSecrets is set but no tokenRequests are specified");
    }
}

fn token_requests(list: &At<'_>, errors: &mut Errors) {
    let mut audiences = BTreeSet::new();
    for request in list.items() {
        let audience = request.get("audience");
        if !audiences.insert(audience.str()) {
            errors.0.push(Error::duplicate(&audience.path, audience.str()));
            continue;
        }
        let Some(seconds) = request.opt("expirationSeconds") else { continue };
        if seconds.int() < 600 {
            errors.invalid(&seconds, "may not specify a duration less than 10 minutes");
        } else if seconds.int() > 1 << 32 {
            errors.invalid(&seconds, "may not specify a duration larger than 2^32 seconds");
        }
    }
}

fn node(obj: &Value, errors: &mut Errors) {
    const ID_MAX: usize = 256;
    let mut seen = BTreeSet::new();
    for driver in At::spec(obj).get("drivers").items() {
        let (name, id) = (driver.get("name"), driver.get("nodeID"));
        csi_driver_name(&name, errors);
        errors.needed(&id);
        if id.str().len() > ID_MAX {
            errors.invalid(&id, format!("must be {ID_MAX} characters or less"));
        }
        errors.non_negative(&driver.get("allocatable").get("count"));
        if !seen.insert(name.str()) {
            errors.0.push(Error::duplicate(&name.path, name.str()));
        }
        let mut keys = BTreeSet::new();
        for key in driver.get("topologyKeys").items() {
            // They are told of at the driver.
            let at = At::new(key.value, driver.path.clone());
            errors.needed(&at);
            if !keys.insert(key.str()) {
                errors.duplicate(&at);
            }
            errors.each(&at, names::is_qualified_name(key.str()));
        }
    }
}

#[cfg(test)]
mod tests;
