//! Cells of the core group.

use jiff::Timestamp;
use serde_json::Value;

use super::cell::*;
use super::{age, pod};
use crate::meta;

/// The cells of an object of the core group, and of events of either group.
pub(super) fn cells(group: &str, resource: &str, object: &Value, now: Timestamp) -> Option<Vec<Value>> {
    let name: Value = meta::name(object).into();
    let age: Value = age(at(object, "/metadata/creationTimestamp"), now).into();
    if (group, resource) == ("events.k8s.io", "events") {
        return Some(event(object, now));
    }
    if !group.is_empty() {
        return None;
    }
    Some(match resource {
        "pods" => pod::cells(object, now),
        "configmaps" => {
            let total = count(object, "/data") + count(object, "/binaryData");
            vec![name, total.into(), age]
        }
        "secrets" => vec![name, text(object, "/type").into(), count(object, "/data").into(), age],
        "serviceaccounts" => vec![name, age],
        "namespaces" => vec![name, text(object, "/status/phase").into(), age],
        "nodes" => node(object, age),
        "endpoints" => vec![name, endpoints(object).into(), age],
        "events" => event(object, now),
        "persistentvolumeclaims" => claim(object, age),
        "persistentvolumes" => volume(object, age),
        "podtemplates" => {
            let [names, images] = containers(object, "/template/spec");
            vec![name, names.into(), images.into(), labels(object, "/template/metadata/labels").into()]
        }
        "resourcequotas" => vec![name, quota(object, false).into(), quota(object, true).into(), age],
        "services" => service(object, age),
        "componentstatuses" => component(object),
        _ => return None,
    })
}

fn node(node: &Value, age: Value) -> Vec<Value> {
    let mut status = match condition(node, "Ready").map(|ready| text(ready, "/status")) {
        Some("True") => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if flag(node, "/spec/unschedulable", false) {
        status.push_str(",SchedulingDisabled");
    }
    let mut roles: Vec<&str> = Vec::new();
    for (key, value) in meta::labels(node).into_iter().flatten() {
        match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => roles.push(role),
            None if key == "kubernetes.io/role" => roles.push(value.as_str().unwrap_or_default()),
            None => {}
        }
    }
    roles.retain(|role| !role.is_empty());
    roles.sort_unstable();
    roles.dedup();
    let address = |kind: &str| {
        let mut addresses = list(node, "/status/addresses").iter();
        addresses.find(|address| text(address, "/type") == kind).map_or(NONE, |address| text(address, "/address"))
    };
    let info = |field: &str| text_or(node, field, "<unknown>");
    let mut kernel = info("/status/nodeInfo/kernelVersion").to_owned();
    match text(node, "/status/nodeInfo/architecture") {
        "" => {}
        architecture => kernel = format!("{kernel} ({architecture})"),
    }
    vec![
        meta::name(node).into(),
        status.into(),
        or(roles.join(","), NONE).into(),
        age,
        text(node, "/status/nodeInfo/kubeletVersion").into(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        info("/status/nodeInfo/osImage").into(),
        kernel.into(),
        info("/status/nodeInfo/containerRuntimeVersion").into(),
    ]
}

fn endpoints(object: &Value) -> String {
    let subsets = list(object, "/subsets");
    if subsets.is_empty() {
        return NONE.to_owned();
    }
    let mut found = Vec::new();
    for subset in subsets {
        let addresses = list(subset, "/addresses").iter().map(|address| text(address, "/ip"));
        if list(subset, "/ports").is_empty() {
            found.extend(addresses.map(str::to_owned));
            continue;
        }
        for port in list(subset, "/ports") {
            let port = number(port, "/port");
            let host = |ip: &str| if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") };
            found.extend(addresses.clone().map(host));
        }
    }
    if found.is_empty() { String::new() } else { more(&found, 3) }
}

fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    let either = |core: &str, new: &str| at(event, core).or_else(|| at(event, new)).cloned();
    let first = either("/firstTimestamp", "/deprecatedFirstTimestamp").or_else(|| at(event, "/eventTime").cloned());
    let last = match at(event, "/series") {
        Some(series) => at(series, "/lastObservedTime").cloned(),
        None => either("/lastTimestamp", "/deprecatedLastTimestamp").or_else(|| first.clone()),
    };
    let about = at(event, "/involvedObject").or_else(|| at(event, "/regarding")).cloned().unwrap_or_default();
    let mut object = text(&about, "/kind").to_lowercase();
    if !text(&about, "/name").is_empty() {
        object = format!("{object}/{}", text(&about, "/name"));
    }
    let source = either("/source", "/deprecatedSource").unwrap_or_default();
    let component = match text(&source, "/component") {
        "" => text_or(event, "/reportingComponent", text(event, "/reportingController")),
        component => component,
    };
    let mut origin = component.to_owned();
    match text_or(&source, "/host", text(event, "/reportingInstance")) {
        "" => {}
        instance => origin = format!("{origin}, {instance}"),
    }
    let count = match at(event, "/series") {
        Some(series) => number(series, "/count"),
        None => either("/count", "/deprecatedCount").and_then(|count| count.as_i64()).filter(|n| *n != 0).unwrap_or(1),
    };
    vec![
        age(last.as_ref(), now).into(),
        text(event, "/type").into(),
        text(event, "/reason").into(),
        object.into(),
        text(&about, "/fieldPath").into(),
        origin.into(),
        text_or(event, "/message", text(event, "/note")).trim().into(),
        age(first.as_ref(), now).into(),
        count.into(),
        meta::name(event).into(),
    ]
}

fn phase(object: &Value) -> &str {
    if meta::is_deleting(object) { "Terminating" } else { text(object, "/status/phase") }
}

fn modes(object: &Value, pointer: &str) -> String {
    let given = list(object, pointer);
    let known =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let shown = known.iter().filter(|(mode, _)| given.iter().any(|item| item == mode)).map(|(_, short)| *short);
    shown.collect::<Vec<_>>().join(",")
}

fn storage_class(object: &Value) -> &str {
    meta::annotation(object, "volume.beta.kubernetes.io/storage-class")
        .unwrap_or_else(|| text(object, "/spec/storageClassName"))
}

fn claim(claim: &Value, age: Value) -> Vec<Value> {
    let volume = text(claim, "/spec/volumeName");
    let bound = !volume.is_empty();
    let capacity = if bound { text_or(claim, "/status/capacity/storage", "0") } else { "" };
    let access = if bound { modes(claim, "/status/accessModes") } else { String::new() };
    vec![
        meta::name(claim).into(),
        phase(claim).into(),
        volume.into(),
        capacity.into(),
        access.into(),
        storage_class(claim).into(),
        shown_or(claim, "/spec/volumeAttributesClassName", UNSET).into(),
        age,
        shown_or(claim, "/spec/volumeMode", UNSET).into(),
    ]
}

fn volume(volume: &Value, age: Value) -> Vec<Value> {
    let claim = match at(volume, "/spec/claimRef") {
        Some(claim) => format!("{}/{}", text(claim, "/namespace"), text(claim, "/name")),
        None => String::new(),
    };
    vec![
        meta::name(volume).into(),
        text_or(volume, "/spec/capacity/storage", "0").into(),
        modes(volume, "/spec/accessModes").into(),
        text(volume, "/spec/persistentVolumeReclaimPolicy").into(),
        phase(volume).into(),
        claim.into(),
        storage_class(volume).into(),
        shown_or(volume, "/spec/volumeAttributesClassName", UNSET).into(),
        text(volume, "/status/reason").into(),
        age,
        shown_or(volume, "/spec/volumeMode", UNSET).into(),
    ]
}

fn quota(quota: &Value, limits: bool) -> String {
    let used = |name: &str| map(quota, "/status/used").and_then(|used| used.get(name)).and_then(Value::as_str);
    let hard = map(quota, "/status/hard").into_iter().flatten();
    let parts = hard
        .filter(|(name, _)| name.starts_with("limits.") == limits)
        .map(|(name, hard)| format!("{name}: {}/{}", used(name).unwrap_or("0"), hard.as_str().unwrap_or_default()));
    parts.collect::<Vec<_>>().join(", ")
}

fn service(service: &Value, age: Value) -> Vec<Value> {
    let external = texts(list(service, "/spec/externalIPs"), ",");
    let external = match text(service, "/spec/type") {
        "ClusterIP" | "NodePort" => or(external, NONE),
        "LoadBalancer" => {
            let mut all = load_balancer(service);
            all.extend((!external.is_empty()).then_some(external));
            or(all.join(","), "<pending>")
        }
        "ExternalName" => text(service, "/spec/externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    };
    let port = |port: &Value| {
        let (number_, protocol) = (number(port, "/port"), text(port, "/protocol"));
        match number(port, "/nodePort") {
            0 => format!("{number_}/{protocol}"),
            node => format!("{number_}:{node}/{protocol}"),
        }
    };
    let ports: Vec<String> = list(service, "/spec/ports").iter().map(port).collect();
    vec![
        meta::name(service).into(),
        text(service, "/spec/type").into(),
        text_or(service, "/spec/clusterIPs/0", NONE).into(),
        external.into(),
        or(ports.join(","), NONE).into(),
        age,
        labels(service, "/spec/selector").into(),
    ]
}

fn component(object: &Value) -> Vec<Value> {
    let healthy = list(object, "/conditions").iter().find(|condition| text(condition, "/type") == "Healthy");
    let status = match healthy.map(|condition| text(condition, "/status")) {
        Some("True") => "Healthy",
        Some(_) => "Unhealthy",
        None => "Unknown",
    };
    let part = |pointer: &str| healthy.map_or("", |condition| text(condition, pointer));
    vec![meta::name(object).into(), status.into(), part("/message").into(), part("/error").into()]
}
