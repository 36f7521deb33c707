//! StorageClasses, VolumeAttributesClasses, VolumeAttachments, CSI objects.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_api::field::Error;
use mainstay_api::names;
use serde_json::Value;

use crate::strategy::rules::{self, Rules, frozen_spec};
use crate::strategy::validate::volume_sources::csi_driver_name;
use crate::strategy::validate::{At, Errors, quantities, selectors};
use crate::strategy::warnings::objects;

/// StorageClasses.
pub(crate) const CLASS: Rules = Rules {
    check: |_, obj, errors| class(obj, errors),
    warn: |new, _| objects::storage_class(new),
    change: |_, new, old, errors| {
        let (new, old) = (At::root(new), At::root(old));
        for field in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
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
        csi_driver_name(&root.get("driverName"), errors);
        let parameters = root.get("parameters");
        if parameters.is_empty() {
            errors.required(&parameters, "must contain at least one key/value pair");
        }
        self::parameters(&parameters, errors);
    },
    change: |_, new, old, errors| {
        let (new, old) = (At::root(new), At::root(old));
        for field in ["driverName", "parameters"] {
            if new.get(field).value != old.get(field).value {
                errors.forbidden(&new.get(field), format!("updates to {field} are forbidden."));
            }
        }
    },
    ..Rules::PLAIN
};

/// VolumeAttachments.
pub(crate) const ATTACHMENT: Rules = Rules {
    check: |_, obj, errors| attachment(obj, errors),
    change: |_, new, old, errors| {
        errors.immutable_struct(&At::spec(new), &At::spec(old), "io.k8s.api.storage.v1.VolumeAttachmentSpec");
    },
    ..Rules::PLAIN
};

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
pub(crate) const NODE: Rules = Rules { check: |_, obj, errors| node(obj, errors), ..Rules::PLAIN };

/// CSIStorageCapacities.
pub(crate) const CAPACITY: Rules = Rules {
    warn: |new, _| objects::storage_capacity(new),
    check: |_, obj, errors| {
        let root = At::root(obj);
        errors.name(&root.get("storageClassName"), names::is_dns1123_subdomain);
        for field in ["capacity", "maximumVolumeSize"] {
            quantities::non_negative(&root.get(field), errors);
        }
        selectors::label_selector(&root.get("nodeTopology"), errors);
    },
    change: |_, new, old, errors| {
        for field in ["nodeTopology", "storageClassName"] {
            errors.immutable(&At::root(new).get(field), &At::root(old).get(field));
        }
    },
    ..Rules::PLAIN
};

fn class(obj: &Value, errors: &mut Errors) {
    let root = At::root(obj);
    let provisioner = root.get("provisioner");
    if provisioner.str().is_empty() {
        errors.required(&provisioner, "");
    } else {
        let lower = provisioner.str().to_lowercase();
        for why in names::is_qualified_name(&lower) {
            errors.0.push(Error::invalid(&provisioner.path, lower.as_str(), why));
        }
    }
    parameters(&root.get("parameters"), errors);
    errors.one_of_if_set(&root.get("reclaimPolicy"), &["Delete", "Retain"]);
    let mode = root.get("volumeBindingMode");
    if mode.is_null() {
        errors.required(&mode, "");
    } else {
        errors.one_of_if_set(&mode, &["Immediate", "WaitForFirstConsumer"]);
    }
    topologies(&root.get("allowedTopologies"), errors);
}

/// Where volumes of a class may be: no term twice, and in a term no key twice.
fn topologies(list: &At<'_>, errors: &mut Errors) {
    let mut seen: Vec<BTreeMap<&str, BTreeSet<&str>>> = Vec::new();
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
        if seen.contains(&term) {
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
    let spec = At::spec(obj);
    csi_driver_name(&spec.get("attacher"), errors);
    let source = spec.get("source");
    let (name, inline) = (source.get("persistentVolumeName"), source.get("inlineVolumeSpec"));
    match (name.is_null(), inline.is_null()) {
        (true, true) => {
            errors.required(&source, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
        }
        (false, false) => {
            errors.invalid(&source, "must specify exactly one of inlineVolumeSpec and persistentVolumeName")
        }
        (false, true) => {
            if name.str().is_empty() {
                errors.required(&name, "must specify non empty persistentVolumeName");
            }
            errors.each(&name, names::is_dns1123_subdomain(name.str()));
        }
        (true, false) => {}
    }
    let node = spec.get("nodeName");
    for why in names::is_dns1123_subdomain(node.str()) {
        errors.0.push(Error::invalid(&node.path, node.str(), why));
    }
}

fn driver(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    for field in ["attachRequired", "podInfoOnMount", "storageCapacity"] {
        if spec.opt(field).is_none() {
            errors.required(&spec.get(field), "");
        }
    }
    let policy = spec.get("fsGroupPolicy");
    errors.one_of_if_set(&policy, &["File", "None", "ReadWriteOnceWithFSType"]);
    let period = spec.get("nodeAllocatableUpdatePeriodSeconds");
    if !period.is_null() && period.int() < 10 {
        errors.invalid(&period, "must be greater than or equal to 10 seconds");
    }
    let mut audiences = std::collections::HashSet::new();
    for request in spec.get("tokenRequests").items() {
        let audience = request.get("audience");
        if !audiences.insert(audience.str()) {
            errors.0.push(Error::duplicate(&audience.path, audience.str()));
        }
        if let Some(seconds) = request.opt("expirationSeconds") {
            if seconds.int() < 600 {
                errors.invalid(&seconds, "may not specify a duration less than 10 minutes");
            } else if seconds.int() > 1 << 32 {
                errors.invalid(&seconds, "may not specify a duration larger than 2^32 seconds");
            }
        }
    }
    for mode in spec.get("volumeLifecycleModes").items() {
        if !matches!(mode.str(), "Ephemeral" | "Persistent") {
            errors
                .unsupported(&At::new(mode.value, spec.get("volumeLifecycleModes").path), &["Ephemeral", "Persistent"]);
        }
    }
}

fn node(obj: &Value, errors: &mut Errors) {
    let drivers = At::spec(obj).get("drivers");
    let mut seen = std::collections::HashSet::new();
    for driver in drivers.items() {
        let name = driver.get("name");
        csi_driver_name(&name, errors);
        if !name.str().is_empty() && !seen.insert(name.str()) {
            errors.duplicate(&name);
        }
        errors.needed(&driver.get("nodeID"));
        errors.non_negative(&driver.get("allocatable").get("count"));
        let mut keys = std::collections::HashSet::new();
        for key in driver.get("topologyKeys").items() {
            if !keys.insert(key.str()) {
                errors.0.push(Error::duplicate(&driver.path, key.str()));
            }
            errors.each(&key, names::is_qualified_name(key.str()));
        }
    }
}
