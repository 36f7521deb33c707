//! What may be written as a pod's status.

use std::collections::HashSet;

use mainstay_api::field::Error;
use mainstay_api::types;
use serde_json::Value;

use super::devices;
use crate::strategy::validate::{At, Errors, ip, pod_annotations};
use crate::strategy::{base, internal};

/// Keeps what a status write may leave out.
pub(crate) fn prepare(new: &mut Value, old: &Value) {
    let at = |obj: &Value, field: &str| obj.pointer(&format!("/status/{field}")).cloned().unwrap_or_default();
    if at(new, "qosClass").as_str().unwrap_or_default().is_empty() && !at(old, "qosClass").is_null() {
        base::set(new, "/status/qosClass", at(old, "qosClass"));
    }
    if at(new, "observedGeneration").as_i64().unwrap_or_default() == 0 && !at(old, "observedGeneration").is_null() {
        base::set(new, "/status/observedGeneration", at(old, "observedGeneration"));
    }
    let mut before = at(old, "conditions").as_array().cloned().unwrap_or_default();
    let conditions = new.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
    for condition in conditions.into_iter().flatten() {
        let Some(index) = before.iter().position(|old| old["type"] == condition["type"]) else { continue };
        let generation = before.remove(index).get("observedGeneration").cloned();
        let unset = condition.get("observedGeneration").and_then(Value::as_i64).unwrap_or_default() == 0;
        if let Some(generation) = generation.filter(|_| unset) {
            condition["observedGeneration"] = generation;
        }
    }
}

/// The rules of a status.
pub(crate) fn validate(new: &Value, old: &Value, errors: &mut Errors) {
    let (status, before) = (At::root(new).get("status"), At::root(old).get("status"));
    pod_annotations::conditions(&status.get("conditions"), errors);
    let nominated = status.get("nominatedNodeName");
    if nominated.str() != before.get("nominatedNodeName").str() {
        errors.name_if_set(&nominated, mainstay_api::names::is_dns1123_subdomain);
        if !At::spec(old).get("nodeName").is_empty() && !nominated.is_empty() {
            errors.forbidden(&nominated, "may not be set on pods that are already bound to a node");
        }
    }
    if status.get("observedGeneration").int() < 0 {
        errors.invalid(&status.get("observedGeneration"), "must be a non-negative integer");
    }
    if before.get("qosClass").str() != status.get("qosClass").str() && !before.get("qosClass").is_empty() {
        errors.invalid(&status.get("qosClass"), "field is immutable");
    }
    regressions(&At::spec(old), &status, &before, errors);
    let spec = At::spec(new);
    devices::claims(&status, &spec, errors);
    devices::extended(&status, &spec, errors);
    addresses(&status.get("podIPs"), &before.get("podIPs"), "io.k8s.api.core.v1.PodIP", errors);
    let (host, hosts) = (status.get("hostIP"), status.get("hostIPs"));
    if let Some(first) = hosts.items().next().map(|at| at.get("ip"))
        && first.str() != host.str()
    {
        errors.invalid(&first, "must be equal to `hostIP`");
    }
    addresses(&hosts, &before.get("hostIPs"), "io.k8s.api.core.v1.HostIP", errors);
    for field in ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] {
        users(&status.get(field), &spec, errors);
    }
    devices::health(&status, &spec, errors);
}

/// Who the processes of containers run as, of which only Linux tells.
fn users(list: &At<'_>, spec: &At<'_>, errors: &mut Errors) {
    let os = spec.opt("os").map_or("linux", |os| os.get("name").str());
    for user in list.items().filter_map(|status| status.get("user").opt("linux")) {
        if os == "windows" {
            errors.forbidden(&user, "cannot be set for a windows pod");
        } else if os == "linux" {
            let (uid, gid) = (user.get("uid"), user.get("gid"));
            for id in [uid, gid].into_iter().chain(user.get("supplementalGroups").items()) {
                let flaws = mainstay_api::names::is_group_id(id.int()).into_iter();
                errors.0.extend(flaws.map(|why| Error::invalid(&id.path, id.int(), why)));
            }
        }
    }
}

/// A container that has ended for good stays so.
fn regressions(spec: &At<'_>, status: &At<'_>, before: &At<'_>, errors: &mut Errors) {
    let lists = [("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")];
    let rules = lists
        .iter()
        .flat_map(|(_, list)| spec.get(list).items())
        .flat_map(|container| container.get("restartPolicyRules").items());
    let all_restart = rules.into_iter().any(|rule| rule.get("action").str() == "RestartAllContainers");
    for (field, list) in lists.iter().filter(|_| !all_restart) {
        let list = spec.get(list);
        revived(field, status, before, errors, |name, code| {
            let container = list.items().find(|container| container.get("name").str() == name);
            container.is_some_and(|container| restarts(&container, spec, code))
        });
    }
    revived("ephemeralContainerStatuses", status, before, errors, |_, _| false);
}

/// Tells of containers that had ended, run again, and `may` not.
fn revived(field: &str, status: &At<'_>, before: &At<'_>, errors: &mut Errors, may: impl Fn(&str, i64) -> bool) {
    let list = status.get(field);
    let alive = list.items().filter(|now| now.get("state").opt("terminated").is_none());
    let alive: HashSet<&str> = alive.map(|now| now.get("name").str()).collect();
    for (index, was) in before.get(field).items().enumerate() {
        let Some(ended) = was.get("state").opt("terminated") else { continue };
        let name = was.get("name").str();
        if alive.contains(name) && !may(name, ended.get("exitCode").int()) {
            let path = list.path.index(index).child("state");
            errors.0.push(Error::forbidden(&path, "may not be transitioned to non-terminated state"));
        }
    }
}

/// Whether a container that ended with a code is started again: by its own rules, its own policy, or the pod's.
fn restarts(container: &At<'_>, spec: &At<'_>, code: i64) -> bool {
    let applies = |rule: &At<'_>| {
        let codes = rule.get("exitCodes");
        let listed = codes.get("values").items().any(|at| at.int() == code);
        match codes.get("operator").str() {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        }
    };
    let own = container.get("restartPolicy");
    if !own.is_null() && container.get("restartPolicyRules").items().any(|rule| applies(&rule)) {
        return true;
    }
    let policy = if own.is_null() { spec.get("restartPolicy").str() } else { own.str() };
    policy == "Always" || policy == "OnFailure" && code != 0
}

/// Addresses, one of a family at the most; one that was there already stays as it is.
fn addresses(list: &At<'_>, before: &At<'_>, type_name: &str, errors: &mut Errors) {
    let known: HashSet<&str> = before.items().map(|old| old.get("ip").str()).collect();
    let mut families = Vec::new();
    for at in list.items() {
        let address = at.get("ip");
        families.push(ip::sloppy(address.str()).map(|ip| ip.is_ipv4()));
        if !known.contains(address.str()) {
            ip::address(&At::new(address.value, at.path), errors);
        }
    }
    if families.len() < 2 {
        return;
    }
    let odd = list.items().zip(&families).enumerate().find(|(_, (_, family))| family.is_none());
    if let Some((index, (at, _))) = &odd {
        let why = format!("invalid IP[{index}]: {}", at.get("ip").str());
        errors.0.push(Error::internal(&list.path, format!("failed to check for dual stack with error:{why}")));
    }
    if odd.is_some() || families.len() > 2 || families[0] == families[1] {
        let shown: Vec<String> = types::by_name(type_name)
            .map(|of| list.items().map(|at| internal::line(of, at.value)).collect())
            .unwrap_or_default();
        let why = "may specify no more than one IP for each IP family";
        errors.0.push(Error::invalid_text(&list.path, format!("[{}]", shown.join(",")), why));
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
