//! ReplicaSets and ReplicationControllers.

use mainstay_api::field::{Error, Path};
use mainstay_api::selector::LabelSelector;
use serde_json::Value;

use super::counts::replica_status;
use crate::strategy::rules::{Part, Rules, frozen_spec};
use crate::strategy::validate::selectors::{selector_of_template, template_matches};
use crate::strategy::validate::{At, Errors, template};
use crate::strategy::warnings;

/// ReplicaSets.
pub(crate) const REPLICA_SET: Rules = Rules {
    check: |_, obj, errors| replica_set(obj, errors),
    change: |_, new, old, errors| frozen_spec(new, old, &["selector"], errors),
    status: |_, new, _, errors| {
        replica_status(new, &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"], errors)
    },
    warn: |new, old| warnings::workload("spec.template", new, old),
    ..Rules::PLAIN
};

/// ReplicationControllers.
pub(crate) const REPLICATION_CONTROLLER: Rules = Rules {
    check: |_, obj, errors| replication_controller(obj, errors),
    status: |_, new, _, errors| {
        replica_status(new, &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"], errors)
    },
    change: |_, new, old, errors| unconvertible(new, old, errors),
    warn: |new, old| warnings::workload("spec.template", new, old),
    parts: &[Part::Meta, Part::Check, Part::MetaUpdate, Part::Check, Part::Change],
    ..Rules::PLAIN
};

fn replica_set(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    errors.non_negative(&spec.get("replicas"));
    errors.non_negative(&spec.get("minReadySeconds"));
    replicated_template(&spec, errors);
}

/// The selector, and the template unless nobody knows what the selector chooses.
pub(super) fn replicated_template(spec: &At<'_>, errors: &mut Errors) {
    selector_of_template(spec, "deployment", "invalid label selector", errors);
    if LabelSelector::from_object(spec.get("selector").value).is_ok() {
        template::long_running(&spec.get("template"), "ReplicaSet", errors);
    }
}

/// What could not be said in another version, which an annotation tells, does not change; of anything but the selector
/// nobody could say whether it has.
fn unconvertible(new: &Value, old: &Value, errors: &mut Errors) {
    let (now, was) = (At::spec(new).get("selector"), At::spec(old).get("selector"));
    for (key, told) in At::root(old).get("metadata").get("annotations").entries() {
        let Some(("non-convertible.kubernetes.io", field)) = key.split_once('/') else { continue };
        if !field.contains("selector") {
            let unknown = Error::not_found(&Path::new(field), told.str()).with_detail("unknown non-convertible field");
            errors.0.push(unknown);
        } else if now.map() != was.map() {
            errors.invalid(&now, "cannot update non-convertible selector");
        }
    }
}

fn replication_controller(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    errors.non_negative(&spec.get("minReadySeconds"));
    let selector = spec.get("selector");
    if selector.is_empty() {
        errors.required(&selector, "");
    }
    errors.non_negative(&spec.get("replicas"));
    let pods = spec.get("template");
    if pods.is_null() {
        errors.required(&pods, "");
        return;
    }
    let parsed = LabelSelector::from_map(selector.map());
    template_matches(&parsed, &pods, errors);
    template::long_running(&pods, "ReplicationController", errors);
}
