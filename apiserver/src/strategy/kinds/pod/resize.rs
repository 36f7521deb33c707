//! Resizing a running pod: CPU and memory only, and never into another class of service.

use mainstay_api::field::{Error, Path};
use serde_json::Value;

use super::qos;
use crate::strategy::base;
use crate::strategy::validate::{At, Errors};

const CONTAINERS: [&str; 2] = ["containers", "initContainers"];

/// Takes nothing of the new object but resources and resize policies.
pub(crate) fn prepare(new: &mut Value, old: &Value) {
    // Containers that come or go are left for the rules to refuse.
    if CONTAINERS.iter().any(|kind| At::spec(new).get(kind).len() != At::spec(old).get(kind).len()) {
        return;
    }
    let wanted = new.get("spec").cloned().unwrap_or_default();
    base::keep(new, old, ".status");
    base::keep(new, old, ".metadata");
    let mut spec = old.get("spec").cloned().unwrap_or_default();
    for kind in CONTAINERS {
        let (Some(list), Some(asked)) =
            (spec.get_mut(kind).and_then(Value::as_array_mut), wanted.get(kind).and_then(Value::as_array))
        else {
            continue;
        };
        if list.iter().zip(asked).any(|(own, asked)| own["name"] != asked["name"]) {
            list.clone_from(asked);
        } else {
            list.iter_mut().zip(asked).for_each(|(own, asked)| take(own, asked, &["resources", "resizePolicy"]));
        }
    }
    take(&mut spec, &wanted, &["resources"]);
    base::set(new, "/spec", spec);
}

fn take(own: &mut Value, asked: &Value, fields: &[&str]) {
    let Some(map) = own.as_object_mut() else { return };
    for field in fields {
        match asked.get(field) {
            Some(value) => drop(map.insert((*field).to_owned(), value.clone())),
            None => drop(map.remove(*field)),
        }
    }
}

/// The rules of a resize.
pub(crate) fn validate(new: &Value, old: &Value, errors: &mut Errors) {
    let windows = At::spec(old).get("os").get("name").str() == "windows";
    let mirror = mainstay_api::meta::annotation(old, "kubernetes.io/config.mirror").is_some();
    for (is, why) in [(mirror, "static pods cannot be resized"), (windows, "windows pods cannot be resized")] {
        if is {
            errors.0.push(Error::forbidden(&Path::new(""), why));
            return;
        }
    }
    super::spec_and_annotations(new, errors);
    let (now, was) = (At::spec(new), At::spec(old));
    let class = qos::class(old);
    if qos::class(new) != class {
        errors.0.push(Error::invalid(&now.path, class, "Pod QOS Class may not change as a result of resizing"));
    }
    if !node_resizes(old) {
        errors.forbidden(&now, "Pod running on node without support for resize");
    }
    whole_pod(&now, &was, errors);
    let before = errors.0.len();
    CONTAINERS.iter().for_each(|kind| same_containers(&now.get(kind), &was.get(kind), kind, errors));
    if errors.0.len() > before {
        return;
    }
    for kind in ["initContainers", "containers"] {
        for (container, before) in now.get(kind).items().zip(was.get(kind).items()) {
            removed(&container.get("resources"), &before.get("resources"), "resource", errors);
        }
    }
    only_compute(&now, &was, errors);
}

/// A node that can resize says what its running containers have.
fn node_resizes(pod: &Value) -> bool {
    let statuses = At::root(pod).get("status").get("containerStatuses");
    let running = statuses.items().find(|at| at.get("state").opt("running").is_some());
    running.is_none_or(|status| status.opt("resources").is_some())
}

fn same_containers(now: &At<'_>, was: &At<'_>, kind: &str, errors: &mut Errors) {
    if now.len() != was.len() {
        errors.forbidden(now, format!("{kind} may not be added or removed on resize"));
        return;
    }
    for (name, before) in now.items().zip(was.items()).map(|(now, was)| (now.get("name"), was.get("name"))) {
        if name.str() != before.str() {
            errors.forbidden(&name, format!("{kind} may not be renamed or reordered on resize"));
        }
    }
}

/// The resources of the pod as a whole.
fn whole_pod(now: &At<'_>, was: &At<'_>, errors: &mut Errors) {
    let (new, old) = (now.get("resources"), was.get("resources"));
    let sized = |at: &At<'_>| at.get("requests").len() + at.get("limits").len() > 0;
    if !sized(&new) && !sized(&old) {
        return;
    }
    if new.is_null() && !old.is_null() {
        errors.forbidden(&new, "pod-level resources cannot be removed");
        return;
    }
    removed(&new, &old, "pod-level resource", errors);
    if others(&new) != others(&old) {
        errors.forbidden(now, "only cpu and memory resources are mutable at pod-level");
    }
}

fn removed(now: &At<'_>, was: &At<'_>, what: &str, errors: &mut Errors) {
    for list in ["requests", "limits"] {
        let (now, was) = (now.get(list), was.get(list));
        if was.map().keys().any(|name| !now.map().contains_key(name)) {
            errors.forbidden(&now, format!("{what} {list} cannot be removed"));
        }
    }
}

/// Of what a container has nothing changes but CPU and memory.
fn only_compute(now: &At<'_>, was: &At<'_>, errors: &mut Errors) {
    let rest = |at: &At<'_>| (others(&at.get("resources")), at.get("resizePolicy").value.clone());
    // Kubernetes compares without the new claims, so that a container that has some differs always.
    let differ = |now: &At<'_>, was: &At<'_>| rest(now) != rest(was) || !was.get("resources").get("claims").is_empty();
    for (container, before) in now.get("containers").items().zip(was.get("containers").items()) {
        if differ(&container, &before) {
            errors.forbidden(now, "only cpu and memory resources are mutable");
        }
    }
    for (container, before) in now.get("initContainers").items().zip(was.get("initContainers").items()) {
        if differ(&container, &before) {
            errors.forbidden(&container, "only cpu and memory resources for init or sidecar containers are mutable");
        }
        if container.value == before.value || container.get("restartPolicy").str() == "Always" {
            continue;
        }
        let policies = container.get("resizePolicy");
        for _ in policies.items().filter(|at| at.get("restartPolicy").str() == "RestartContainer") {
            let why = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized";
            errors.forbidden(&container, why);
        }
    }
}

/// What of requests and limits is neither CPU nor memory.
fn others(resources: &At<'_>) -> Vec<(&'static str, String, Value)> {
    let lists = ["limits", "requests"].into_iter();
    let all = lists.flat_map(|list| resources.get(list).entries().map(move |(name, at)| (list, name, at)));
    all.filter(|(_, name, _)| !matches!(*name, "cpu" | "memory"))
        .map(|(list, name, at)| (list, name.to_owned(), at.value.clone()))
        .collect()
}
