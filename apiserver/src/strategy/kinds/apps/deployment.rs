//! Deployments.

use mainstay_api::field::Error;
use mainstay_api::meta;
use serde_json::Value;

use super::counts::{at_most, collisions};
use super::replicas::replicated_template;
use super::rolling::unknown_strategy;
use crate::strategy::rules::{Rules, frozen_spec};
use crate::strategy::validate::selectors::{at_most_all, int_or_percent, number_of};
use crate::strategy::validate::{At, Errors, quantities};
use crate::strategy::warnings;

/// The revision to go back to, for which old versions had a field.
const ROLLBACK: &str = "deprecated.deployment.rollback.rollbackTo";

/// Deployments.
pub(crate) const DEPLOYMENT: Rules = Rules {
    check: |_, obj, errors| deployment(obj, errors),
    change: |_, new, old, errors| frozen_spec(new, old, &["selector"], errors),
    status: |_, new, old, errors| deployment_status(new, old, errors),
    warn: |new, old| warnings::workload("spec.template", new, old),
    ..Rules::PLAIN
};

fn deployment(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    errors.non_negative(&spec.get("replicas"));
    replicated_template(&spec, errors);
    deployment_strategy(&spec.get("strategy"), errors);
    errors.non_negative(&spec.get("minReadySeconds"));
    errors.non_negative(&spec.get("revisionHistoryLimit"));
    let revision = meta::annotation(obj, ROLLBACK).and_then(|text| text.parse::<i64>().ok());
    if let Some(revision) = revision.filter(|revision| *revision < 0) {
        errors.0.push(Error::invalid(&spec.path.child("rollback").child("version"), revision, quantities::NEGATIVE));
    }
    if let Some(deadline) = spec.opt("progressDeadlineSeconds") {
        errors.non_negative(&deadline);
        if deadline.int() <= spec.get("minReadySeconds").int() {
            errors.invalid(&deadline, "must be greater than minReadySeconds");
        }
    }
}

fn deployment_strategy(strategy: &At<'_>, errors: &mut Errors) {
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").str() {
        "Recreate" => {
            if !rolling.is_null() {
                errors.forbidden(&rolling, "may not be specified when strategy `type` is 'Recreate'");
            }
        }
        "RollingUpdate" => {
            if rolling.is_null() {
                errors.required(&rolling, "this should be defaulted and never be nil");
                return;
            }
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            int_or_percent(&unavailable, errors);
            int_or_percent(&surge, errors);
            if number_of(&unavailable) == 0 && number_of(&surge) == 0 {
                errors.invalid(&unavailable, "may not be 0 when `maxSurge` is 0");
            }
            at_most_all(&unavailable, errors);
        }
        _ => unknown_strategy(strategy, &["Recreate", "RollingUpdate"], errors),
    }
}

fn deployment_status(new: &Value, old: &Value, errors: &mut Errors) {
    let status = At::root(new).get("status");
    for field in [
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "terminatingReplicas",
        "collisionCount",
    ] {
        errors.non_negative(&status.get(field));
    }
    at_most(&status, &["updatedReplicas", "readyReplicas", "availableReplicas"], "replicas", "status.replicas", errors);
    at_most(&status, &["availableReplicas"], "readyReplicas", "readyReplicas", errors);
    collisions(new, old, errors);
}
