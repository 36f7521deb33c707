//! StatefulSets.

use std::collections::HashSet;

use mainstay_api::field::Error;
use mainstay_api::selector::LabelSelector;
use mainstay_api::{meta, names, types};
use serde_json::{Value, json};

use super::counts::{at_most, collisions};
use crate::strategy::rules::{self, Rules};
use crate::strategy::same::same;
use crate::strategy::validate::selectors::{at_most_all, int_or_percent, number_of, selector_of_template};
use crate::strategy::validate::{At, Errors, template, volume_sources};
use crate::strategy::warnings;

/// StatefulSets.
pub(crate) const STATEFUL_SET: Rules = Rules {
    check: |_, obj, errors| stateful_set(obj, errors),
    change: |_, new, old, errors| stateful_set_change(new, old, errors),
    status: |_, new, old, errors| {
        stateful_set_status(new, errors);
        collisions(new, old, errors);
    },
    warn: |new, old| warnings::stateful_set(new, old),
    names: rules::label,
    ..Rules::PLAIN
};

fn stateful_set(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    stateful_strategy(&spec, errors);
    for policy in ["whenDeleted", "whenScaled"] {
        let at = spec.get("persistentVolumeClaimRetentionPolicy").get(policy);
        if !matches!(at.str(), "Retain" | "Delete") && !spec.get("persistentVolumeClaimRetentionPolicy").is_null() {
            errors.unsupported(&at, &["Retain", "Delete"]);
        }
    }
    errors.non_negative(&spec.get("replicas"));
    errors.non_negative(&spec.get("minReadySeconds"));
    errors.non_negative(&spec.get("ordinals").get("start"));
    // It cannot be changed, so only a creator is told.
    if meta::resource_version(obj).is_empty() {
        errors.name_if_set(&spec.get("serviceName"), names::is_dns1123_label);
    }
    selector_of_template(&spec, "statefulset", "", errors);
    for claim in spec.get("volumeClaimTemplates").items() {
        volume_sources::claim_spec(&claim.get("spec"), errors);
    }
    if LabelSelector::from_object(spec.get("selector").value).is_ok() {
        stateful_template(&spec, errors);
    } else {
        template::always_restarts(&spec.get("template"), "StatefulSet", errors);
    }
}

/// The template is judged with the volumes that the claims will be.
fn stateful_template(spec: &At<'_>, errors: &mut Errors) {
    let mut merged = spec.get("template").value.clone();
    let claims = spec.get("volumeClaimTemplates");
    let own = merged.pointer("/spec/volumes").and_then(Value::as_array).cloned().unwrap_or_default();
    let names: Vec<&str> = claims.items().map(|claim| claim.get("metadata").get("name").str()).collect();
    let taken: HashSet<&str> = names.iter().copied().collect();
    let mut volumes: Vec<Value> =
        names.iter().map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": "claim"}})).collect();
    let is_taken = |volume: &Value| volume["name"].as_str().is_some_and(|name| taken.contains(name));
    volumes.extend(own.into_iter().filter(|volume| !is_taken(volume)));
    if !claims.is_empty() && merged.get("spec").is_some_and(Value::is_object) {
        merged["spec"]["volumes"] = Value::Array(volumes);
    }
    let at = At::new(&merged, spec.get("template").path);
    template::long_running(&at, "StatefulSet", errors);
}

fn stateful_strategy(spec: &At<'_>, errors: &mut Errors) {
    match spec.get("podManagementPolicy").str() {
        "OrderedReady" | "Parallel" => {}
        "" => errors.required(&spec.get("podManagementPolicy"), ""),
        _ => {
            let detail = "must be 'OrderedReady' or 'Parallel'";
            errors.invalid(&spec.get("podManagementPolicy"), detail);
        }
    }
    let strategy = spec.get("updateStrategy");
    let rolling = strategy.get("rollingUpdate");
    match strategy.get("type").str() {
        "" => errors.required(&strategy, ""),
        "OnDelete" => {
            if !rolling.is_null() {
                let why = "only allowed for updateStrategy 'RollingUpdate'";
                errors.0.push(Error::invalid_text(&rolling.path, internal_partition(&rolling), why));
            }
        }
        "RollingUpdate" => {
            errors.non_negative(&rolling.get("partition"));
            if let Some(unavailable) = rolling.opt("maxUnavailable") {
                int_or_percent(&unavailable, errors);
                if number_of(&unavailable) == 0 {
                    errors.invalid(&unavailable, "cannot be 0");
                }
                at_most_all(&unavailable, errors);
            }
        }
        kind => {
            let shown = if rolling.is_null() { "null".to_owned() } else { internal_partition(&rolling) };
            let text = format!("{{\"Type\":{},\"RollingUpdate\":{shown}}}", json!(kind));
            errors.0.push(Error::invalid_text(&strategy.path, text, "must be 'RollingUpdate' or 'OnDelete'"));
        }
    }
}

/// How a StatefulSet rolls, in its internal form.
fn internal_partition(rolling: &At<'_>) -> String {
    let (partition, unavailable) = (rolling.get("partition").int(), rolling.get("maxUnavailable"));
    format!("{{\"Partition\":{partition},\"MaxUnavailable\":{}}}", unavailable.value)
}

fn stateful_set_change(new: &Value, old: &Value, errors: &mut Errors) {
    const MAY_CHANGE: &[&str] = &[
        "replicas",
        "template",
        "updateStrategy",
        "minReadySeconds",
        "ordinals",
        "persistentVolumeClaimRetentionPolicy",
        "revisionHistoryLimit",
    ];
    let rest = |obj: &Value| {
        let mut spec = obj.get("spec").cloned().unwrap_or_default();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|field, _| !MAY_CHANGE.contains(&field.as_str()));
        }
        spec
    };
    let (now, was) = (rest(new), rest(old));
    let of = types::by_name("io.k8s.api.apps.v1.StatefulSetSpec");
    if of.is_none_or(|of| !same(of, &now, &was)) {
        let why = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
        errors.forbidden(&At::spec(new), why);
    }
}

fn stateful_set_status(new: &Value, errors: &mut Errors) {
    let status = At::root(new).get("status");
    for field in [
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ] {
        errors.non_negative(&status.get(field));
    }
    at_most(
        &status,
        &["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"],
        "replicas",
        "status.replicas",
        errors,
    );
    at_most(&status, &["availableReplicas"], "readyReplicas", "status.readyReplicas", errors);
}
