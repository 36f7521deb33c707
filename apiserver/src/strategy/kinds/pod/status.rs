//! What may be written as a pod's status.

use mainstay_api::field::Error;
use serde_json::Value;

use crate::strategy::base;
use crate::strategy::validate::{At, Errors, ip, pod_annotations};

/// Keeps what a status write may leave out.
pub(crate) fn prepare(new: &mut Value, old: &Value) {
    let at = |obj: &Value, field: &str| obj.pointer(&format!("/status/{field}")).cloned().unwrap_or_default();
    if at(new, "qosClass").as_str().unwrap_or_default().is_empty() && !at(old, "qosClass").is_null() {
        base::set(new, "/status/qosClass", at(old, "qosClass"));
    }
    if at(new, "observedGeneration").as_i64().unwrap_or_default() == 0 && !at(old, "observedGeneration").is_null() {
        base::set(new, "/status/observedGeneration", at(old, "observedGeneration"));
    }
}

/// The rules of a status.
pub(crate) fn validate(new: &Value, old: &Value, errors: &mut Errors) {
    let (status, before) = (At::root(new).get("status"), At::root(old).get("status"));
    pod_annotations::conditions(&status.get("conditions"), errors);
    if before.get("qosClass").str() != status.get("qosClass").str() && !before.get("qosClass").is_empty() {
        errors.invalid(&status.get("qosClass"), "field is immutable");
    }
    let nominated = status.get("nominatedNodeName");
    errors.name_if_set(&nominated, mainstay_api::names::is_dns1123_subdomain);
    let bound = !At::spec(old).get("nodeName").is_empty();
    if bound && !nominated.is_empty() && nominated.str() != before.get("nominatedNodeName").str() {
        errors.forbidden(&nominated, "may not be set on pods that are already bound to a node");
    }
    if status.get("observedGeneration").int() < 0 {
        errors.invalid(&status.get("observedGeneration"), "must be a non-negative integer");
    }
    regressions(new, &status, &before, errors);
    addresses(&status.get("podIPs"), errors);
    let (host, hosts) = (status.get("hostIP"), status.get("hostIPs"));
    if let Some(first) = hosts.items().next().map(|at| at.get("ip"))
        && first.str() != host.str()
    {
        errors.invalid(&first, "must be equal to `hostIP`");
    }
    addresses(&hosts, errors);
    if let Some(list) = status.opt("conditions") {
        errors.unique(&list, "type");
    }
}

/// A container that has ended for good stays so.
fn regressions(new: &Value, status: &At<'_>, before: &At<'_>, errors: &mut Errors) {
    let policy = At::spec(new).get("restartPolicy").str().to_owned();
    if policy == "Always" {
        return;
    }
    for (field, lists) in [("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")] {
        let list = status.get(field);
        for old in before.get(field).items() {
            let ended = old.get("state").opt("terminated");
            let Some(ended) = ended else { continue };
            if policy == "OnFailure" && ended.get("exitCode").int() != 0 {
                continue;
            }
            let restartable = At::spec(new).get(lists).items().any(|container| {
                container.get("name").str() == old.get("name").str() && container.opt("restartPolicy").is_some()
            });
            let now = list.items().find(|at| at.get("name").str() == old.get("name").str());
            if let Some(now) = now.filter(|now| now.get("state").opt("terminated").is_none() && !restartable) {
                let detail = "may not be transitioned to non-terminated state";
                errors.0.push(Error::forbidden(&now.get("state").path, detail));
            }
        }
    }
}

fn addresses(list: &At<'_>, errors: &mut Errors) {
    let mut families = Vec::new();
    for at in list.items() {
        let address = at.get("ip");
        match ip::parse(address.str()) {
            Some(parsed) => families.push(parsed.is_ipv4()),
            None => errors.0.push(Error::invalid(&at.path, address.value.clone(), ip::NOT_IP)),
        }
    }
    if families.len() > 2 || (families.len() == 2 && families[0] == families[1]) {
        errors.invalid(list, "may specify no more than one IP for each IP family");
    }
}

/// Adds a condition or replaces the one of its type; the time of transition stays if the status does.
pub fn set_condition(pod: &mut Value, mut condition: Value) {
    let mut list = pod.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    match list.iter_mut().find(|old| old["type"] == condition["type"]) {
        Some(old) => {
            if old["status"] == condition["status"] {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            *old = condition;
        }
        None => list.push(condition),
    }
    base::set(pod, "/status/conditions", Value::Array(list));
}
