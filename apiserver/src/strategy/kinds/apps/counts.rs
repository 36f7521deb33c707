//! The counts in a workload's status.

use mainstay_api::field::Error;
use serde_json::Value;

use crate::strategy::validate::{At, Errors};

/// Collisions are counted, never forgotten.
pub(super) fn collisions(new: &Value, old: &Value, errors: &mut Errors) {
    let of = |obj| At::root(obj).get("status").get("collisionCount");
    let (count, before) = (of(new), of(old));
    if !before.is_null() && (count.is_null() || count.int() < before.int()) {
        errors.0.push(Error::invalid(&count.path, count.int(), "cannot be decremented"));
    }
}

/// None of these fields is greater than the one that limits them.
pub(super) fn at_most(status: &At<'_>, fields: &[&str], limit: &str, shown: &str, errors: &mut Errors) {
    let max = status.get(limit).int();
    for field in fields {
        let at = status.get(field);
        if at.int() > max {
            errors.invalid(&at, format!("cannot be greater than {shown}"));
        }
    }
}

/// What the status of a ReplicaSet counts, and of what came before it.
pub(super) fn replica_status(new: &Value, fields: &[&str], errors: &mut Errors) {
    let status = At::root(new).get("status");
    for field in [
        "replicas",
        "fullyLabeledReplicas",
        "readyReplicas",
        "availableReplicas",
        "terminatingReplicas",
        "observedGeneration",
    ] {
        errors.non_negative(&status.get(field));
    }
    at_most(&status, fields, "replicas", "status.replicas", errors);
    at_most(&status, &["availableReplicas"], "readyReplicas", "readyReplicas", errors);
}
