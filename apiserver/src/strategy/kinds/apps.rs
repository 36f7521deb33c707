//! Deployments, ReplicaSets, StatefulSets, DaemonSets, ReplicationControllers, PodTemplates, ControllerRevisions.

use mainstay_api::field::Error;
use mainstay_api::selector::LabelSelector;
use mainstay_api::{meta, names};
use serde_json::{Value, json};

use crate::strategy::rules::{self, Part, Rules, frozen_spec};
use crate::strategy::validate::selectors::{
    at_most_all, int_or_percent, label_selector, number_of, selector_of_template, template_matches,
};
use crate::strategy::validate::{At, Errors, template, volume_sources};
use crate::strategy::warnings;

/// Deployments.
pub(crate) const DEPLOYMENT: Rules = Rules {
    check: |_, obj, errors| deployment(obj, errors),
    change: |_, new, old, errors| frozen_spec(new, old, &["selector"], errors),
    status: |_, new, old, errors| deployment_status(new, old, errors),
    warn: |new, old| warnings::workload("spec.template", new, old),
    ..Rules::PLAIN
};

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

/// DaemonSets.
pub(crate) const DAEMON_SET: Rules = Rules {
    check: |_, obj, errors| daemon_set(obj, errors),
    change: |_, new, old, errors| daemon_set_change(new, old, errors),
    status: |_, new, old, errors| {
        daemon_set_status(new, errors);
        collisions(new, old, errors);
    },
    settle: count_templates,
    warn: |new, old| {
        let template = |obj: &Value| obj.pointer("/spec/template").cloned();
        let changed = old.is_none_or(|old| template(new) != template(old));
        if changed { warnings::template("spec.template", new, old) } else { Vec::new() }
    },
    ..Rules::PLAIN
};

/// ReplicationControllers.
pub(crate) const REPLICATION_CONTROLLER: Rules = Rules {
    check: |_, obj, errors| replication_controller(obj, errors),
    status: |_, new, _, errors| {
        replica_status(new, &["fullyLabeledReplicas", "readyReplicas", "availableReplicas"], errors)
    },
    warn: |new, old| warnings::workload("spec.template", new, old),
    parts: &[Part::Meta, Part::Check, Part::MetaUpdate, Part::Check, Part::Change],
    ..Rules::PLAIN
};

/// PodTemplates.
pub(crate) const POD_TEMPLATE: Rules = Rules {
    check: |_, obj, errors| template::template(&At::root(obj).get("template"), errors),
    warn: |new, old| warnings::template("template", new, old),
    ..Rules::PLAIN
};

/// ControllerRevisions.
pub(crate) const CONTROLLER_REVISION: Rules = Rules {
    check: |_, obj, errors| {
        let root = At::root(obj);
        errors.non_negative(&root.get("revision"));
        match root.get("data") {
            data if data.is_null() => errors.required(&data, "data is mandatory"),
            data if data.value.is_object() => {}
            data => errors.required(&data, "data must be a valid JSON object"),
        }
    },
    change: |_, new, old, errors| errors.immutable(&At::root(new).get("data"), &At::root(old).get("data")),
    ..Rules::PLAIN
};

fn deployment(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    errors.non_negative(&spec.get("replicas"));
    let mut labels = Errors::default();
    selector_of_template(&spec, &mut labels);
    errors.extend(labels.0);
    template::long_running(&spec.get("template"), "ReplicaSet", errors);
    deployment_strategy(&spec.get("strategy"), errors);
    errors.non_negative(&spec.get("minReadySeconds"));
    errors.non_negative(&spec.get("revisionHistoryLimit"));
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

/// The whole strategy is shown, in its internal form.
fn unknown_strategy(strategy: &At<'_>, supported: &[&str], errors: &mut Errors) {
    let kind = strategy.get("type").str();
    let rolling = strategy.get("rollingUpdate");
    let shown = if rolling.is_null() { "null".to_owned() } else { internal_rolling(&rolling) };
    let text = format!("{{\"Type\":{},\"RollingUpdate\":{shown}}}", json!(kind));
    let mut error = Error::not_supported(&strategy.path, "", supported);
    error.value = mainstay_api::field::Shown::Text(text);
    errors.0.push(error);
}

fn internal_rolling(rolling: &At<'_>) -> String {
    let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
    format!("{{\"MaxUnavailable\":{},\"MaxSurge\":{}}}", unavailable.value, surge.value)
}

/// How a StatefulSet rolls, in its internal form.
fn internal_partition(rolling: &At<'_>) -> String {
    let (partition, unavailable) = (rolling.get("partition").int(), rolling.get("maxUnavailable"));
    format!("{{\"Partition\":{partition},\"MaxUnavailable\":{}}}", unavailable.value)
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

/// Collisions are counted, never forgotten.
fn collisions(new: &Value, old: &Value, errors: &mut Errors) {
    let of = |obj| At::root(obj).get("status").get("collisionCount");
    let (count, before) = (of(new), of(old));
    if !before.is_null() && (count.is_null() || count.int() < before.int()) {
        errors.0.push(Error::invalid(&count.path, count.int(), "cannot be decremented"));
    }
}

fn at_most(status: &At<'_>, fields: &[&str], limit: &str, shown: &str, errors: &mut Errors) {
    let max = status.get(limit).int();
    for field in fields {
        let at = status.get(field);
        if at.int() > max {
            errors.invalid(&at, format!("cannot be greater than {shown}"));
        }
    }
}

fn replica_status(new: &Value, fields: &[&str], errors: &mut Errors) {
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

fn replica_set(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    errors.non_negative(&spec.get("replicas"));
    errors.non_negative(&spec.get("minReadySeconds"));
    selector_of_template(&spec, errors);
    template::long_running(&spec.get("template"), "ReplicaSet", errors);
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
    errors.name_if_set(&spec.get("serviceName"), names::is_dns1123_label);
    stateful_selector(&spec, errors);
    for claim in spec.get("volumeClaimTemplates").items() {
        volume_sources::claim_spec(&claim.get("spec"), errors);
    }
    stateful_template(&spec, errors);
}

/// The template is judged with the volumes that the claims will be.
fn stateful_template(spec: &At<'_>, errors: &mut Errors) {
    let mut merged = spec.get("template").value.clone();
    let claims = spec.get("volumeClaimTemplates");
    let own = merged.pointer("/spec/volumes").and_then(Value::as_array).cloned().unwrap_or_default();
    let names: Vec<&str> =
        claims.items().map(|claim| claim.get("metadata").get("name").value.as_str().unwrap_or_default()).collect();
    let mut volumes: Vec<Value> =
        names.iter().map(|name| json!({"name": name, "persistentVolumeClaim": {"claimName": "claim"}})).collect();
    volumes.extend(own.into_iter().filter(|volume| !names.iter().any(|name| volume["name"] == *name)));
    if !claims.is_empty() && merged.get("spec").is_some_and(Value::is_object) {
        merged["spec"]["volumes"] = Value::Array(volumes);
    }
    let at = At::new(&merged, spec.get("template").path);
    template::long_running(&at, "StatefulSet", errors);
}

fn stateful_selector(spec: &At<'_>, errors: &mut Errors) {
    let selector = spec.get("selector");
    if selector.is_null() {
        errors.required(&selector, "");
    } else {
        label_selector(&selector, errors);
        if selector.get("matchLabels").len() + selector.get("matchExpressions").len() == 0 {
            errors.invalid(&selector, "empty selector is invalid for statefulset");
        }
    }
    match LabelSelector::from_object(selector.value) {
        Ok(parsed) => template_matches(&parsed, &spec.get("template"), errors),
        Err(_) => errors.invalid(&selector, ""),
    }
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
    if rest(new) != rest(old) {
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

fn daemon_set(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    let (selector, pods) = (spec.get("selector"), spec.get("template"));
    label_selector(&selector, errors);
    if let Ok(parsed) = LabelSelector::from_object(selector.value)
        && !parsed.matches_object(pods.value)
    {
        errors.invalid(&pods.get("metadata").get("labels"), "`selector` does not match template `labels`");
    }
    if !selector.is_null() && selector.get("matchLabels").len() + selector.get("matchExpressions").len() == 0 {
        errors.invalid(&selector, "empty selector is invalid for daemonset");
    }
    template::long_running(&pods, "DaemonSet", errors);
    errors.non_negative(&spec.get("minReadySeconds"));
    daemon_strategy(&spec.get("updateStrategy"), errors);
    errors.non_negative(&spec.get("revisionHistoryLimit"));
}

/// How often the template has changed, which an annotation tells for the sake of old clients.
fn count_templates(new: &mut Value, old: Option<&Value>) {
    const COUNT: &str = "deprecated.daemonset.template.generation";
    let count = match old {
        None => 1,
        Some(old) => {
            let before = meta::annotation(old, COUNT).and_then(|text| text.parse::<i64>().ok()).unwrap_or_default();
            let template = |obj: &Value| obj.pointer("/spec/template").cloned();
            before + i64::from(template(new) != template(old))
        }
    };
    meta::set_annotation(new, COUNT, &count.to_string());
}

fn daemon_strategy(strategy: &At<'_>, errors: &mut Errors) {
    match strategy.get("type").str() {
        "OnDelete" => {}
        "RollingUpdate" => {
            let rolling = strategy.get("rollingUpdate");
            if rolling.is_null() {
                errors.required(&rolling, "");
                return;
            }
            let (unavailable, surge) = (rolling.get("maxUnavailable"), rolling.get("maxSurge"));
            int_or_percent(&unavailable, errors);
            int_or_percent(&surge, errors);
            at_most_all(&unavailable, errors);
            at_most_all(&surge, errors);
            match (number_of(&unavailable) != 0, number_of(&surge) != 0) {
                (true, true) => errors.invalid(&surge, "may not be set when maxUnavailable is non-zero"),
                (false, false) => errors.required(&unavailable, "cannot be 0 when maxSurge is 0"),
                _ => {}
            }
        }
        _ => unknown_strategy(strategy, &["RollingUpdate", "OnDelete"], errors),
    }
}

fn daemon_set_change(new: &Value, old: &Value, errors: &mut Errors) {
    let selector = (At::spec(new).get("selector"), At::spec(old).get("selector"));
    let mut frozen = Errors::default();
    frozen.immutable(&selector.0, &selector.1);
    // A DaemonSet's selector is judged before the rest.
    errors.0.splice(0..0, frozen.0);
}

fn daemon_set_status(new: &Value, errors: &mut Errors) {
    let status = At::root(new).get("status");
    for field in [
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ] {
        errors.non_negative(&status.get(field));
    }
}
