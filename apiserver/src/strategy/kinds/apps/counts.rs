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
            errors.0.push(Error::invalid(&at.path, at.int(), format!("cannot be greater than {shown}")));
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
        "observedGeneration",
        "terminatingReplicas",
    ] {
        errors.non_negative(&status.get(field));
    }
    at_most(&status, fields, "replicas", "status.replicas", errors);
    at_most(&status, &["availableReplicas"], "readyReplicas", "readyReplicas", errors);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_count_that_is_absent_is_shown_as_zero() {
        let mut errors = Errors::default();
        let object = json!({"status": {"replicas": -1}});
        at_most(&At::root(&object).get("status"), &["readyReplicas"], "replicas", "status.replicas", &mut errors);
        let told: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["status.readyReplicas: Invalid value: 0: cannot be greater than status.replicas"]);
    }

    #[test]
    fn whoever_ends_is_judged_after_what_was_observed() {
        let mut errors = Errors::default();
        let object = json!({"status": {"observedGeneration": -1, "terminatingReplicas": -2}});
        replica_status(&object, &[], &mut errors);
        let told: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
        let why = "must be greater than or equal to 0";
        assert_eq!(
            told,
            [
                format!("status.observedGeneration: Invalid value: -1: {why}"),
                format!("status.terminatingReplicas: Invalid value: -2: {why}"),
            ]
        );
    }
}
