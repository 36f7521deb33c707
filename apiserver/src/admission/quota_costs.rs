//! What objects take of quotas.

use k8s_openapi::api::resource::v1::ResourceClaim;
use mainstay_api::quantity::{Format, Quantity};
use mainstay_api::{devices, meta};
use serde_json::Value;

use super::Attributes;
use super::usage::{self, Amounts};
use crate::strategy::validate::At;

/// Kinds that have been counted under their bare names.
pub(super) const LEGACY: &[&str] = &[
    "configmaps",
    "secrets",
    "replicationcontrollers",
    "resourcequotas",
    "services",
    "persistentvolumeclaims",
    "pods",
];

/// The name that objects of a resource are counted by.
pub(super) fn count_name(request: &Attributes<'_>) -> String {
    match (&*request.resource.group, &*request.resource.resource) {
        ("", resource) => format!("count/{resource}"),
        (group, resource) => format!("count/{resource}.{group}"),
    }
}

fn one() -> Quantity {
    Quantity::new(1, Format::DecimalSi)
}

/// What an object takes of everything that quotas count.
pub(super) fn cost(request: &Attributes<'_>, object: &Value) -> Amounts {
    let (group, resource) = (&*request.resource.group, &*request.resource.resource);
    let mut cost = Amounts::from([(count_name(request), one())]);
    if group.is_empty() && LEGACY.contains(&resource) {
        cost.insert(resource.to_owned(), one());
    }
    match (group, resource) {
        ("", "pods") => pod_cost(object, &mut cost),
        ("", "services") => service_cost(object, &mut cost),
        ("", "persistentvolumeclaims") => claim_cost(object, &mut cost),
        ("resource.k8s.io", "resourceclaims") => device_cost(request, object, &mut cost),
        _ => {}
    }
    cost
}

fn pod_cost(pod: &Value, cost: &mut Amounts) {
    let phase = At::root(pod).get("status").get("phase").str();
    if matches!(phase, "Failed" | "Succeeded") {
        cost.retain(|key, _| key == "count/pods");
        return;
    }
    for (name, quantity) in usage::pod(pod, "requests") {
        if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-") {
            cost.insert(name.clone(), quantity);
        }
        cost.insert(format!("requests.{name}"), quantity);
    }
    let limits = usage::pod(pod, "limits").into_iter();
    // Nobody counts limits of anything else.
    for (name, quantity) in limits.filter(|(name, _)| matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage")) {
        cost.insert(format!("limits.{name}"), quantity);
    }
}

fn service_cost(service: &Value, cost: &mut Amounts) {
    let spec = At::spec(service);
    let ports = i64::try_from(spec.get("ports").len()).unwrap_or(i64::MAX);
    let count = |number| Quantity::new(number, Format::DecimalSi);
    match spec.get("type").str() {
        "NodePort" => drop(cost.insert("services.nodeports".to_owned(), count(ports))),
        "LoadBalancer" => {
            let ports = if spec.opt("allocateLoadBalancerNodePorts").is_some_and(|at| !at.bool()) {
                spec.get("ports")
                    .items()
                    .filter(|port| port.get("nodePort").int() != 0)
                    .count()
                    .try_into()
                    .unwrap_or(i64::MAX)
            } else {
                ports
            };
            cost.insert("services.nodeports".to_owned(), count(ports));
            cost.insert("services.loadbalancers".to_owned(), one());
        }
        _ => {}
    }
}

/// The storage that a claim asks for, or more that it is being given, in whole bytes.
fn storage_of(claim: &Value) -> Quantity {
    let asked = At::spec(claim).get("resources").get("requests").get("storage").quantity();
    let given = At::root(claim).get("status").get("allocatedResources").opt("storage").map(|at| at.quantity());
    let most = given.filter(|given| *given > asked).unwrap_or(asked);
    if most.is_integer() { most } else { Quantity::new(most.value(), most.format()) }
}

fn claim_cost(claim: &Value, cost: &mut Amounts) {
    let storage = storage_of(claim);
    let annotated = meta::annotation(claim, "volume.beta.kubernetes.io/storage-class");
    let class = annotated.unwrap_or_else(|| At::spec(claim).get("storageClassName").str()).to_owned();
    cost.insert("requests.storage".to_owned(), storage);
    if !class.is_empty() {
        cost.insert(format!("{class}.storageclass.storage.k8s.io/persistentvolumeclaims"), one());
        cost.insert(format!("{class}.storageclass.storage.k8s.io/requests.storage"), storage);
    }
}

/// The devices that a claim may get.
fn device_cost(request: &Attributes<'_>, claim: &Value, cost: &mut Amounts) {
    let Ok(claim) = serde_json::from_value::<ResourceClaim>(claim.clone()) else { return };
    let extended = |class: &str| {
        let class = request.reader.get("resource.k8s.io", "deviceclasses", "", class)?;
        class.pointer("/spec/extendedResourceName").and_then(Value::as_str).map(str::to_owned)
    };
    let count = |number| Quantity::new(number, Format::DecimalSi);
    cost.extend(devices::cost(&claim, extended).into_iter().map(|(name, number)| (name, count(number))));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_takes_whole_bytes_of_what_it_is_given() {
        let claim = |asked: &str, given: &str| {
            let spec = json!({"resources": {"requests": {"storage": asked}}});
            storage_of(&json!({"spec": spec, "status": {"allocatedResources": {"storage": given}}})).to_string()
        };
        assert_eq!(claim("1Gi", "0"), "1Gi");
        assert_eq!(claim("1Gi", "2Gi"), "2Gi");
        assert_eq!(claim("1500m", "0"), "2");
    }

    #[test]
    fn only_compute_resources_are_limited() {
        let limits = json!({"cpu": "1", "example.com/gpu": "1"});
        let mut cost = Amounts::new();
        pod_cost(&json!({"spec": {"containers": [{"resources": {"limits": limits}}]}}), &mut cost);
        assert_eq!(cost.into_keys().collect::<Vec<_>>(), ["limits.cpu"]);
    }
}
