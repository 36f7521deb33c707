//! Rules of the core kinds that look at more than one member.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::path::{each, has, object, set, text};
use super::quantities;

/// Rules that others build upon.
pub(super) fn before_rules(group: &str, kind: &str, value: &mut Value) {
    if !group.is_empty() {
        return;
    }
    match kind {
        "Pod" => pod(value),
        "ReplicationController" => replication_controller(value),
        "Secret" => secret(value),
        "Node" => node(value),
        "LimitRange" => each(value, "spec.limits[]", &mut limit),
        "Namespace" => namespace(value),
        _ => {}
    }
}

/// Rules that build upon others.
pub(super) fn after_rules(group: &str, kind: &str, value: &mut Value) {
    match (group, kind) {
        ("", "Service") => service(value),
        ("", "Pod") => {
            if value.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|s| s < 0) {
                value["spec"]["terminationGracePeriodSeconds"] = 1.into();
            }
            host_ports(value);
        }
        _ => {}
    }
}

fn pod(value: &mut Value) {
    for place in ["spec.containers[].resources", "spec.initContainers[].resources"] {
        each(value, place, &mut requests_from_limits);
    }
    each(value, "spec", &mut quantities::pod_level);
    each(value, "status", &mut |status| first_of(status, "podIP", "podIPs", true));
}

/// What is limited and not asked for is asked for.
fn requests_from_limits(resources: &mut Value) {
    let limits = resources.get("limits").and_then(Value::as_object).cloned().unwrap_or_default();
    if limits.is_empty() {
        return;
    }
    let requests = object(resources, "requests");
    for (name, amount) in limits {
        requests.entry(name).or_insert(amount);
    }
}

fn host_ports(value: &mut Value) {
    if value.pointer("/spec/hostNetwork") != Some(&Value::Bool(true)) {
        return;
    }
    for place in ["spec.containers[].ports[]", "spec.initContainers[].ports[]"] {
        each(value, place, &mut |port| {
            if !has(port, "hostPort") {
                port["hostPort"] = port["containerPort"].clone();
            }
        });
    }
}

/// A single member and the first of its plural say the same.
fn first_of(value: &mut Value, one: &str, many: &str, objects: bool) {
    let single = text(value, one).to_owned();
    let wrap = |ip: &str| if objects { json!([{"ip": ip}]) } else { json!([ip]) };
    let first =
        value.get(many).and_then(|m| m.get(0)).map(|first| if objects { first["ip"].clone() } else { first.clone() });
    match first {
        None if !single.is_empty() => value[many] = wrap(&single),
        Some(first) if !single.is_empty() && first != single.as_str() => value[many] = wrap(&single),
        Some(first) if single.is_empty() => value[one] = first,
        _ => {}
    }
}

fn replication_controller(value: &mut Value) {
    let Some(labels) = value.pointer("/spec/template/metadata/labels").cloned() else { return };
    if !has(&value["spec"], "selector") {
        value["spec"]["selector"] = labels.clone();
    }
    labels_from(value, labels);
}

/// Objects without labels take those of their template.
pub(super) fn labels_from(value: &mut Value, labels: Value) {
    let metadata = object(value, "metadata");
    if metadata.get("labels").and_then(Value::as_object).is_none_or(|l| l.is_empty()) {
        metadata.insert("labels".to_owned(), labels);
    }
}

/// Plain text is encoded into the data, over what is there.
fn secret(value: &mut Value) {
    let Some(plain) = value.as_object_mut().and_then(|o| o.remove("stringData")) else { return };
    let Some(plain) = plain.as_object().filter(|p| !p.is_empty()) else { return };
    let data = object(value, "data");
    for (key, text) in plain {
        data.insert(key.clone(), STANDARD.encode(text.as_str().unwrap_or_default()).into());
    }
}

fn node(value: &mut Value) {
    each(value, "spec", &mut |spec| first_of(spec, "podCIDR", "podCIDRs", false));
    each(value, "status", &mut |status| {
        if let Some(capacity) = status.get("capacity").cloned() {
            set(status, "allocatable", capacity);
        }
    });
}

fn namespace(value: &mut Value) {
    let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if name.is_empty() {
        return;
    }
    let metadata = &mut value["metadata"];
    object(metadata, "labels").insert("kubernetes.io/metadata.name".to_owned(), name.into());
}

fn limit(limit: &mut Value) {
    if text(limit, "type") != "Container" {
        return;
    }
    for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        let Some(amounts) = limit.get(from).and_then(Value::as_object).cloned() else { continue };
        let filled = object(limit, to);
        for (name, amount) in amounts {
            filled.entry(name).or_insert(amount);
        }
    }
}

fn service(value: &mut Value) {
    let Some(spec) = value.get_mut("spec") else { return };
    match text(spec, "sessionAffinity") {
        "None" => {
            spec.as_object_mut().and_then(|s| s.remove("sessionAffinityConfig"));
        }
        "ClientIP" => {
            set(spec, "sessionAffinityConfig", json!({}));
            set(&mut spec["sessionAffinityConfig"], "clientIP", json!({}));
            set(&mut spec["sessionAffinityConfig"]["clientIP"], "timeoutSeconds", 10800);
        }
        _ => {}
    }
    each(spec, "ports[]", &mut |port| {
        if !has(port, "targetPort") {
            port["targetPort"] = port["port"].clone();
        }
    });
    let kind = text(spec, "type").to_owned();
    let external = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
    if (external || kind == "ClusterIP" && has(spec, "externalIPs")) && !has(spec, "externalTrafficPolicy") {
        spec["externalTrafficPolicy"] = "Cluster".into();
    }
    if external || kind == "ClusterIP" {
        set(spec, "internalTrafficPolicy", "Cluster");
    }
    if kind == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", true);
        each(value, "status.loadBalancer.ingress[]", &mut |ingress| {
            if has(ingress, "ip") {
                set(ingress, "ipMode", "VIP");
            }
        });
    }
}
