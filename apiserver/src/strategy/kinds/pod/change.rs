//! What of a pod's spec may change.

use mainstay_api::field::Error;
use serde_json::Value;

use super::difference;
use crate::strategy::internal;
use crate::strategy::validate::{At, Errors, pod_spec};

const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Images, the deadline, further tolerations; of a gated pod also what narrows where it may run.
pub(crate) fn spec(new: &Value, old: &Value, errors: &mut Errors) {
    let (now, was) = (At::spec(new), At::spec(old));
    if counts(&now, &was, errors) {
        return;
    }
    // Images are judged again where they may change.
    for list in ["containers", "initContainers"] {
        for image in now.get(list).items().map(|container| container.get("image")).filter(At::is_empty) {
            errors.required(&image, "");
        }
    }
    deadline(&now, &was, errors);
    gates(&now, &was, errors);
    tolerations(&now, &was, errors);
    let gated = !was.get("schedulingGates").is_empty();
    if gated {
        node_selector(&now, &was, errors);
    }
    let mut comparable = now.value.clone();
    adopt(&mut comparable, &was, gated);
    if comparable != *was.value
        && errors.0.iter().all(|error| {
            error.kind != mainstay_api::field::Kind::Forbidden && !error.field.starts_with("spec.nodeSelector")
        })
    {
        errors.forbidden(&now, format!("{IMMUTABLE}\n{}", difference(&comparable, was.value)));
    }
}

fn counts(now: &At<'_>, was: &At<'_>, errors: &mut Errors) -> bool {
    let mut stop = false;
    for (field, why) in [
        ("containers", "pod updates may not add or remove containers"),
        ("initContainers", "pod updates may not add or remove containers"),
    ] {
        if now.get(field).len() != was.get(field).len() {
            errors.forbidden(&now.get(field), why);
            stop = true;
        }
    }
    stop
}

fn deadline(now: &At<'_>, was: &At<'_>, errors: &mut Errors) {
    let (new, old) = (now.get("activeDeadlineSeconds"), was.get("activeDeadlineSeconds"));
    if old.is_null() {
        return;
    }
    if new.is_null() {
        errors.0.push(Error::invalid(&new.path, Value::Null, "must not update from a positive integer to nil value"));
    } else if new.int() > old.int() {
        errors.invalid(&new, "must be less than or equal to previous value");
    }
}

fn gates(now: &At<'_>, was: &At<'_>, errors: &mut Errors) {
    let before: Vec<&str> = was.get("schedulingGates").items().map(|gate| gate.get("name").str()).collect();
    for gate in now.get("schedulingGates").items() {
        let name = gate.get("name");
        if !before.contains(&name.str()) {
            errors
                .forbidden(&name, format!("only deletion is allowed, but found new scheduling gate '{}'", name.str()));
        }
    }
}

fn tolerations(now: &At<'_>, was: &At<'_>, errors: &mut Errors) {
    let (new, old) = (now.get("tolerations"), was.get("tolerations"));
    for toleration in old.items() {
        let kept = new.items().any(|at| same_toleration(at.value, toleration.value));
        if !kept {
            errors.forbidden(&new, "existing toleration can not be modified except its tolerationSeconds");
            return;
        }
    }
}

fn same_toleration(a: &Value, b: &Value) -> bool {
    ["key", "operator", "value", "effect"].iter().all(|field| a.get(field) == b.get(field))
}

/// A gated pod may be narrowed to fewer nodes, not widened.
fn node_selector(now: &At<'_>, was: &At<'_>, errors: &mut Errors) {
    let (new, old) = (now.get("nodeSelector"), was.get("nodeSelector"));
    let widened = old.entries().any(|(key, at)| new.map().get(key) != Some(at.value));
    if widened {
        errors.invalid(&new, "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
    }
}

/// Takes from the old spec what may change, so that the rest can be compared.
fn adopt(spec: &mut Value, was: &At<'_>, gated: bool) {
    for kind in ["containers", "initContainers"] {
        let olds: Vec<Value> = was.get(kind).items().map(|at| at.get("image").value.clone()).collect();
        if let Some(list) = spec.get_mut(kind).and_then(Value::as_array_mut) {
            list.iter_mut().zip(olds).for_each(|(container, image)| container["image"] = image);
        }
    }
    let mut free = vec!["activeDeadlineSeconds", "tolerations", "schedulingGates"];
    if gated {
        free.extend(["nodeSelector", "affinity"]);
    }
    if was.get("terminationGracePeriodSeconds").int() < 0 && spec["terminationGracePeriodSeconds"] == 1 {
        free.push("terminationGracePeriodSeconds");
    }
    if let Some(map) = spec.as_object_mut() {
        for field in free {
            match was.opt(field) {
                Some(old) => drop(map.insert(field.to_owned(), old.value.clone())),
                None => drop(map.remove(field)),
            }
        }
    }
}

/// The fields that differ, for people.
fn difference(new: &Value, old: &Value) -> String {
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else { return String::new() };
    let names = new.keys().chain(old.keys().filter(|name| !new.contains_key(*name)));
    let changed: Vec<&str> = names.filter(|name| new.get(*name) != old.get(*name)).map(String::as_str).collect();
    format!("changed: {}", changed.join(", "))
}

/// Two ephemeral containers as Kubernetes sees them, with the lines that differ.
fn container_difference(new: &Value, old: &Value) -> String {
    match mainstay_api::types::by_name("io.k8s.api.core.v1.EphemeralContainer") {
        Some(of) => difference::unified(&internal::lines(of, old), &internal::lines(of, new)),
        None => String::new(),
    }
}

/// Ephemeral containers are added, never changed or removed.
pub(crate) fn ephemeral(new: &Value, old: &Value, errors: &mut Errors) {
    let (now, was) = (At::spec(new), At::spec(old));
    pod_spec::pod_spec(&now, errors);
    let list = now.get("ephemeralContainers");
    for before in was.get("ephemeralContainers").items() {
        let name = before.get("name").str();
        match list.items().find(|at| at.get("name").str() == name) {
            None => errors.forbidden(&list, format!("existing ephemeral containers \"{name}\" may not be removed\n")),
            Some(at) if at.value != before.value => {
                let difference = container_difference(at.value, before.value);
                errors.forbidden(
                    &list,
                    format!("existing ephemeral containers \"{name}\" may not be changed\n{difference}"),
                );
            }
            Some(_) => {}
        }
    }
}
