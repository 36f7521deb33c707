//! Rules outside the core group that look at more than one member.

use serde_json::{Value, json};

use super::core::labels_from;
use super::path::{each, has, object, set, text};

/// Runs before the plain rules.
pub(super) fn before_rules(group: &str, version: &str, kind: &str, value: &mut Value) {
    match (group, kind) {
        ("apps", "Deployment") => {
            each(value, "metadata.annotations", &mut |annotations| {
                renumber(annotations, "deprecated.deployment.rollback.rollbackTo");
            });
            rolling(value, "strategy", &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))])
        }
        ("apps", "DaemonSet") => {
            count_templates(value);
            rolling(value, "updateStrategy", &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))])
        }
        ("apps", "StatefulSet") => stateful_set(value),
        ("batch", "Job") => job(value),
        ("autoscaling", "HorizontalPodAutoscaler") if version == "v2" => autoscaler(value),
        ("networking.k8s.io", "NetworkPolicy") => network_policy(value),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding" | "RoleBinding") => each(value, "subjects[]", &mut subject),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(value),
        ("resource.k8s.io", "ResourceClaim") => each(value, "spec.devices.requests[]", &mut device_request),
        ("resource.k8s.io", "ResourceClaimTemplate") => {
            each(value, "spec.spec.devices.requests[]", &mut device_request)
        }
        _ => {}
    }
}

fn rolling(value: &mut Value, member: &str, limits: &[(&str, Value)]) {
    let Some(strategy) = value.get_mut("spec").map(|spec| &mut spec[member]) else { return };
    if !matches!(text(strategy, "type"), "" | "RollingUpdate") {
        return;
    }
    let rolling = object(strategy, "rollingUpdate");
    for (name, limit) in limits {
        rolling.entry(*name).or_insert_with(|| limit.clone());
    }
}

/// The count of templates is a number inside Kubernetes, so whoever writes a daemon set writes it too.
fn count_templates(value: &mut Value) {
    const COUNT: &str = "deprecated.daemonset.template.generation";
    let metadata = object(value, "metadata");
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    set(annotations, COUNT, "0");
    renumber(annotations, COUNT);
}

/// An annotation that is a number inside Kubernetes comes back as numbers are written.
fn renumber(annotations: &mut Value, name: &str) {
    if let Ok(number) = text(annotations, name).parse::<i64>() {
        annotations[name] = number.to_string().into();
    }
}

fn stateful_set(value: &mut Value) {
    let Some(spec) = value.get_mut("spec") else { return };
    let strategy = &mut spec["updateStrategy"];
    if text(strategy, "type").is_empty() {
        object(strategy, "rollingUpdate");
        strategy["type"] = "RollingUpdate".into();
    }
    if text(strategy, "type") == "RollingUpdate" {
        each(strategy, "rollingUpdate", &mut |rolling| set(rolling, "partition", 0));
    }
    each(spec, "volumeClaimTemplates[]", &mut |claim| {
        claim["apiVersion"] = "v1".into();
        claim["kind"] = "PersistentVolumeClaim".into();
    });
}

fn job(value: &mut Value) {
    if let Some(labels) = value.pointer("/spec/template/metadata/labels").cloned() {
        labels_from(value, labels);
    }
    let Some(spec) = value.get_mut("spec") else { return };
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        spec["completions"] = 1.into();
    }
    set(spec, "parallelism", 1);
    let indexed = spec.get("backoffLimitPerIndex").is_some();
    set(spec, "backoffLimit", if indexed { i32::MAX } else { 6 });
    let policed = spec.get("podFailurePolicy").is_some();
    set(spec, "podReplacementPolicy", if policed { "Failed" } else { "TerminatingOrFailed" });
}

fn autoscaler(value: &mut Value) {
    let Some(spec) = value.get_mut("spec") else { return };
    if !has(spec, "metrics") {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        spec["metrics"] = json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}]);
    }
    each(spec, "behavior", &mut |behavior| {
        let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
        let pods = json!({"type": "Pods", "value": 4, "periodSeconds": 15});
        set(behavior, "scaleUp", json!({}));
        set(behavior, "scaleDown", json!({}));
        let up = &mut behavior["scaleUp"];
        set(up, "stabilizationWindowSeconds", 0);
        set(up, "selectPolicy", "Max");
        set(up, "policies", json!([pods, percent]));
        let down = &mut behavior["scaleDown"];
        set(down, "selectPolicy", "Max");
        set(down, "policies", json!([percent]));
    });
}

fn network_policy(value: &mut Value) {
    let Some(spec) = value.get_mut("spec") else { return };
    if !has(spec, "policyTypes") {
        spec["policyTypes"] = if has(spec, "egress") { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) };
    }
}

fn subject(subject: &mut Value) {
    if matches!(text(subject, "kind"), "User" | "Group") && !has(subject, "apiGroup") {
        subject["apiGroup"] = "rbac.authorization.k8s.io".into();
    }
}

fn definition(value: &mut Value) {
    let storage = value
        .pointer("/spec/versions")
        .and_then(Value::as_array)
        .and_then(|versions| versions.iter().find(|v| v["storage"] == true).and_then(|v| v.get("name")).cloned());
    each(value, "spec.names", &mut |names| {
        let kind = text(names, "kind").to_owned();
        if !kind.is_empty() {
            set(names, "singular", kind.to_lowercase());
            set(names, "listKind", format!("{kind}List"));
        }
    });
    if let Some(storage) = storage
        && !value.get("status").is_some_and(|s| has(s, "storedVersions"))
    {
        object(value, "status").insert("storedVersions".to_owned(), json!([storage]));
    }
}

fn device_request(request: &mut Value) {
    let count = &mut |device: &mut Value| {
        if matches!(text(device, "allocationMode"), "" | "ExactCount") && !has(device, "count") {
            device["count"] = 1.into();
        }
    };
    each(request, "exactly", count);
    each(request, "firstAvailable[]", count);
}
