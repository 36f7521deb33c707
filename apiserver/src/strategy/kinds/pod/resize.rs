//! Resizing a running pod: CPU and memory only, and never into another class of service.

use mainstay_api::field::Error;
use serde_json::Value;

use super::qos;
use crate::strategy::base;
use crate::strategy::validate::{At, Errors};

/// Takes nothing of the new object but resources and resize policies.
pub(crate) fn prepare(new: &mut Value, old: &Value) {
    let wanted = new.get("spec").cloned().unwrap_or_default();
    base::keep(new, old, ".status");
    base::keep(new, old, ".metadata");
    let mut spec = old.get("spec").cloned().unwrap_or_default();
    for kind in ["containers", "initContainers"] {
        let Some(list) = spec.get_mut(kind).and_then(Value::as_array_mut) else { continue };
        for container in list {
            let asked = wanted.get(kind).and_then(Value::as_array).into_iter().flatten();
            if let Some(asked) = asked.into_iter().find(|other| other["name"] == container["name"]) {
                take(container, asked);
            }
        }
    }
    if let Some(resources) = wanted.get("resources") {
        spec["resources"] = resources.clone();
    }
    base::set(new, "/spec", spec);
}

fn take(container: &mut Value, asked: &Value) {
    let Some(map) = container.as_object_mut() else { return };
    for field in ["resources", "resizePolicy"] {
        match asked.get(field) {
            Some(value) => drop(map.insert(field.to_owned(), value.clone())),
            None => drop(map.remove(field)),
        }
    }
}

/// The rules of a resize.
pub(crate) fn validate(new: &Value, old: &Value, errors: &mut Errors) {
    let windows = At::spec(old).get("os").get("name").str() == "windows";
    let mirror = mainstay_api::meta::annotation(old, "kubernetes.io/config.mirror").is_some();
    for (is, why) in [(mirror, "static pods cannot be resized"), (windows, "windows pods cannot be resized")] {
        if is {
            errors.0.push(Error::forbidden(&mainstay_api::field::Path::new(""), why));
            return;
        }
    }
    super::spec_and_annotations(new, errors);
    if !errors.0.is_empty() {
        return;
    }
    let (now, was) = (At::spec(new), At::spec(old));
    let class = qos::class(old);
    if qos::class(new) != class {
        errors.0.push(Error::invalid(&now.path, class, "Pod QOS Class may not change as a result of resizing"));
    }
    for kind in ["containers", "initContainers"] {
        for (container, before) in now.get(kind).items().zip(was.get(kind).items()) {
            removed(&container, &before, errors);
        }
    }
    if !only_compute(&now, &was) {
        errors.forbidden(&now, "only cpu and memory resources are mutable");
    }
}

fn removed(container: &At<'_>, before: &At<'_>, errors: &mut Errors) {
    let (now, was) = (container.get("resources"), before.get("resources"));
    for (list, what) in
        [("limits", "resource limits cannot be removed"), ("requests", "resource requests cannot be removed")]
    {
        let (now, was) = (now.get(list), was.get(list));
        if was.map().keys().any(|name| matches!(name.as_str(), "cpu" | "memory") && !now.map().contains_key(name)) {
            errors.forbidden(&now, what);
        }
    }
}

fn only_compute(now: &At<'_>, was: &At<'_>) -> bool {
    let others = |spec: &At<'_>| -> Vec<(String, Value)> {
        let containers = spec.get("containers").items().chain(spec.get("initContainers").items());
        containers
            .flat_map(|container| ["limits", "requests"].map(|list| container.get("resources").get(list)))
            .flat_map(|list| list.entries().map(|(name, at)| (name.to_owned(), at.value.clone())).collect::<Vec<_>>())
            .filter(|(name, _)| !matches!(name.as_str(), "cpu" | "memory"))
            .collect()
    };
    others(now) == others(was)
}
