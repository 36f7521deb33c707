//! Rules about amounts of resources.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::{each, object};
use super::pod;
use crate::quantity::Quantity;

type Amounts = BTreeMap<String, Quantity>;

const STATUSES: [&str; 3] = ["containerStatuses[]", "initContainerStatuses[]", "ephemeralContainerStatuses[]"];

/// Rounds amounts up to thousandths where Kubernetes does.
pub(super) fn round(group: &str, kind: &str, value: &mut Value) {
    for place in pod::specs(group, kind) {
        each(value, place, &mut round_spec);
    }
    for place in places(group, kind) {
        each(value, place, &mut round_map);
    }
    if (group, kind) == ("", "Pod") {
        for status in STATUSES {
            each(value, &format!("status.{status}"), &mut round_status);
        }
        each(value, "status", &mut round_status);
    }
}

fn places(group: &str, kind: &str) -> &'static [&'static str] {
    match (group, kind) {
        ("", "PersistentVolumeClaim") => {
            &["spec.resources.limits", "spec.resources.requests", "status.capacity", "status.allocatedResources"]
        }
        ("apps", "StatefulSet") => &[
            "spec.volumeClaimTemplates[].spec.resources.limits",
            "spec.volumeClaimTemplates[].spec.resources.requests",
        ],
        ("", "PersistentVolume") => &["spec.capacity"],
        ("storage.k8s.io", "VolumeAttachment") => &["spec.source.inlineVolumeSpec.capacity"],
        ("", "Node") => &["status.capacity", "status.allocatable"],
        ("", "LimitRange") => &[
            "spec.limits[].max",
            "spec.limits[].min",
            "spec.limits[].default",
            "spec.limits[].defaultRequest",
            "spec.limits[].maxLimitRequestRatio",
        ],
        ("", "ResourceQuota") => &["spec.hard", "status.hard", "status.used"],
        _ => &[],
    }
}

fn round_spec(spec: &mut Value) {
    for container in pod::CONTAINERS {
        each(spec, &format!("{container}.resources.limits"), &mut round_map);
        each(spec, &format!("{container}.resources.requests"), &mut round_map);
    }
    let claims = "volumes[].ephemeral.volumeClaimTemplate.spec.resources";
    for place in ["overhead", "resources.limits", "resources.requests"] {
        each(spec, place, &mut round_map);
    }
    each(spec, &format!("{claims}.limits"), &mut round_map);
    each(spec, &format!("{claims}.requests"), &mut round_map);
}

fn round_status(status: &mut Value) {
    for place in ["allocatedResources", "resources.limits", "resources.requests"] {
        each(status, place, &mut round_map);
    }
}

fn round_map(amounts: &mut Value) {
    for amount in amounts.as_object_mut().into_iter().flat_map(Map::values_mut) {
        // What need not be rounded stays as it is written.
        if let Ok(read) = Quantity::from_json(amount)
            && read != read.round_up_to_milli()
        {
            *amount = read.round_up_to_milli().to_string().into();
        }
    }
}

/// A pod with limits or requests of its own takes the missing ones from its containers.
pub(super) fn pod_level(spec: &mut Value) {
    let Some(resources) = spec.get("resources") else { return };
    let own_limits = amounts(resources.get("limits"));
    let own_requests = amounts(resources.get("requests"));
    if own_limits.is_empty() && own_requests.is_empty() {
        return;
    }
    let limits = aggregate(spec, "limits");
    let requests = aggregate(spec, "requests");
    let resources = &mut spec["resources"];
    for (name, amount) in limits.iter().filter(|(name, _)| name.starts_with("hugepages-")) {
        if !own_limits.contains_key(name) && !own_requests.contains_key(name) {
            object(resources, "limits").insert(name.clone(), amount.to_string().into());
        }
    }
    let limits = amounts(resources.get("limits"));
    for (name, limit) in limits {
        let counted = name == "cpu" || name == "memory" || name.starts_with("hugepages-");
        let asked = requests.get(&name).filter(|_| !name.starts_with("hugepages-")).copied().unwrap_or(limit);
        if counted {
            object(resources, "requests").entry(name).or_insert_with(|| asked.to_string().into());
        }
    }
    fill_requests(resources, &requests);
}

/// With limits given, what the containers ask for is asked for, limited or not.
fn fill_requests(resources: &mut Value, requests: &Amounts) {
    if amounts(resources.get("limits")).is_empty() {
        return;
    }
    for name in ["cpu", "memory"] {
        if let Some(amount) = requests.get(name) {
            object(resources, "requests").entry(name).or_insert_with(|| amount.to_string().into());
        }
    }
}

fn amounts(value: Option<&Value>) -> Amounts {
    let members = value.and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(name, v)| Some((name.clone(), Quantity::from_json(v).ok()?))).collect()
}

fn plus(into: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let sum = into.get(name).copied().unwrap_or_default().add(*amount);
        into.insert(name.clone(), if into.contains_key(name) { sum } else { *amount });
    }
}

fn largest(into: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        if into.get(name).is_none_or(|have| have < amount) {
            into.insert(name.clone(), *amount);
        }
    }
}

/// What the containers of a pod's spec ask for together, sidecars and the peaks of init containers included.
#[must_use]
pub fn container_requests(spec: &Value) -> BTreeMap<String, Quantity> {
    aggregate(spec, "requests")
}

/// What the containers of a pod's spec may use together, counted as [`container_requests`] counts.
#[must_use]
pub fn container_limits(spec: &Value) -> BTreeMap<String, Quantity> {
    aggregate(spec, "limits")
}

/// The larger of all containers together with the sidecars, and each init container with the sidecars before it.
fn aggregate(spec: &Value, which: &str) -> Amounts {
    let of = |container: &Value| amounts(container.pointer(&format!("/resources/{which}")));
    let list = |name: &str| spec.get(name).and_then(Value::as_array).into_iter().flatten();
    let mut sum = Amounts::new();
    list("containers").for_each(|c| plus(&mut sum, &of(c)));
    let (mut sidecars, mut peak) = (Amounts::new(), Amounts::new());
    for container in list("initContainers") {
        let mut own = of(container);
        if container.get("restartPolicy").is_some_and(|p| p == "Always") {
            plus(&mut sum, &own);
            plus(&mut sidecars, &own);
            largest(&mut peak, &sidecars);
        } else {
            plus(&mut own, &sidecars);
            largest(&mut peak, &own);
        }
    }
    largest(&mut sum, &peak);
    sum
}
