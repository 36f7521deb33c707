//! What of a pod's spec may change.

use std::collections::{HashMap, HashSet};

use mainstay_api::field::Error;
use serde_json::Value;

use super::difference;
use crate::strategy::internal;
use crate::strategy::same::same;
use crate::strategy::validate::{At, Errors, containers, gates};

const IMMUTABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Images, the deadline, further tolerations; of a gated pod also what narrows where it may run.
pub(crate) fn spec(new: &Value, old: &Value, errors: &mut Errors) {
    let (now, was) = (At::spec(new), At::spec(old));
    for list in ["containers", "initContainers"] {
        if now.get(list).len() != was.get(list).len() {
            errors.forbidden(&now.get(list), "pod updates may not add or remove containers");
            return;
        }
        // Images are judged again where they may change.
        for container in now.get(list).items() {
            errors.needed(&container.get("image"));
            containers::trimmed_image(&container, errors);
        }
    }
    if !deadline(&now, &was, errors) {
        return;
    }
    tolerations(&now, &was, errors);
    scheduling_gates(&now, &was, errors);
    let gated = !was.get("schedulingGates").is_empty();
    if gated {
        node_selector(&now, &was, errors);
        node_affinity(&now, &was, errors);
    }
    let mut comparable = now.value.clone();
    adopt(&mut comparable, &was, gated);
    let of = mainstay_api::types::by_name("io.k8s.api.core.v1.PodSpec");
    if of.is_none_or(|of| !same(of, &comparable, was.value)) {
        let differences = lines_that_differ("io.k8s.api.core.v1.PodSpec", &comparable, was.value);
        errors.forbidden(&now, format!("{IMMUTABLE}\n{differences}"));
    }
}

/// A deadline may come, and come earlier; false if there is no point in looking further.
fn deadline(now: &At<'_>, was: &At<'_>, errors: &mut Errors) -> bool {
    let (new, old) = (now.get("activeDeadlineSeconds"), was.get("activeDeadlineSeconds"));
    if new.is_null() {
        if !old.is_null() {
            let why = "must not update from a positive integer to nil value";
            errors.0.push(Error::invalid(&new.path, Value::Null, why));
        }
        return true;
    }
    if !(0..=i64::from(i32::MAX)).contains(&new.int()) {
        errors.in_range(&new, 0, i64::from(i32::MAX));
        return false;
    }
    let later = !old.is_null() && new.int() > old.int();
    if later {
        errors.invalid(&new, "must be less than or equal to previous value");
    }
    !later
}

fn scheduling_gates(now: &At<'_>, was: &At<'_>, errors: &mut Errors) {
    let before: HashSet<&str> = was.get("schedulingGates").items().map(|gate| gate.get("name").str()).collect();
    for gate in now.get("schedulingGates").items() {
        let name = gate.get("name");
        if !before.contains(name.str()) {
            errors
                .forbidden(&name, format!("only deletion is allowed, but found new scheduling gate '{}'", name.str()));
        }
    }
}

fn tolerations(now: &At<'_>, was: &At<'_>, errors: &mut Errors) {
    let (new, old) = (now.get("tolerations"), was.get("tolerations"));
    let kept: HashSet<[&str; 4]> = new.items().map(|at| tolerated(&at)).collect();
    if old.items().any(|at| !kept.contains(&tolerated(&at))) {
        errors.forbidden(&new, "existing toleration can not be modified except its tolerationSeconds");
        return;
    }
    gates::tolerations(&new, errors);
}

/// What a toleration is, but for how long it is.
fn tolerated<'a>(at: &At<'a>) -> [&'a str; 4] {
    ["key", "operator", "value", "effect"].map(|field| at.get(field).str())
}

/// A gated pod may be narrowed to fewer nodes, not widened.
fn node_selector(now: &At<'_>, was: &At<'_>, errors: &mut Errors) {
    let (new, old) = (now.get("nodeSelector"), was.get("nodeSelector"));
    let widened = old.entries().any(|(key, at)| new.map().get(key) != Some(at.value));
    if widened {
        errors.invalid(&new, "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
    }
}

/// The nodes that a gated pod may run on become fewer, not more.
fn node_affinity(now: &At<'_>, was: &At<'_>, errors: &mut Errors) {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms = |spec: &At<'_>| -> Value {
        spec.get("affinity").get("nodeAffinity").get(REQUIRED).get("nodeSelectorTerms").value.clone()
    };
    let path = now.get("affinity").get("nodeAffinity").get(REQUIRED).get("nodeSelectorTerms").path;
    let (new, old) = (terms(now), terms(was));
    let (new_list, old_list) = (At::new(&new, path.clone()), At::new(&old, path));
    if old_list.is_empty() {
        return;
    }
    let line = |value: &Value| {
        let of = mainstay_api::types::by_name("io.k8s.api.core.v1.NodeSelectorTerm");
        of.map(|of| internal::line(of, value)).unwrap_or_default()
    };
    if new_list.len() != old_list.len() {
        const WHY: &str = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        let shown: Vec<String> = new_list.items().map(|at| line(at.value)).collect();
        let shown = if new_list.is_null() { "null".to_owned() } else { format!("[{}]", shown.join(",")) };
        errors.0.push(Error::invalid_text(&new_list.path, shown, WHY));
        return;
    }
    for (term, before) in new_list.items().zip(old_list.items()) {
        let kept = |field: &str| {
            let now: Vec<&Value> = term.get(field).items().map(|at| at.value).collect();
            let was: Vec<&Value> = before.get(field).items().map(|at| at.value).collect();
            now.starts_with(&was)
        };
        let nothing = before.get("matchExpressions").is_empty() && before.get("matchFields").is_empty();
        let something = !term.get("matchExpressions").is_empty() || !term.get("matchFields").is_empty();
        if !(kept("matchExpressions") && kept("matchFields")) || (nothing && something) {
            const WHY: &str = "only additions are allowed (no mutations or deletions)";
            errors.0.push(Error::invalid_text(&term.path, line(term.value), WHY));
        }
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
        free.push("nodeSelector");
        adopt_node_affinity(spec, was);
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

/// The affinity to other pods stays; with nothing but an affinity to nodes there may have been none.
fn adopt_node_affinity(spec: &mut Value, was: &At<'_>) {
    let old = was.get("affinity").get("nodeAffinity").value.clone();
    let alone = |affinity: &Value| affinity.get("podAffinity").is_none() && affinity.get("podAntiAffinity").is_none();
    let Some(map) = spec.as_object_mut() else { return };
    if was.opt("affinity").is_none() && map.get("affinity").is_some_and(alone) {
        map.remove("affinity");
    } else if let Some(affinity) = map.get_mut("affinity").and_then(Value::as_object_mut) {
        if old.is_null() {
            affinity.remove("nodeAffinity");
        } else {
            affinity.insert("nodeAffinity".to_owned(), old);
        }
    } else if !old.is_null() {
        map.insert("affinity".to_owned(), serde_json::json!({"nodeAffinity": old}));
    }
}

/// How many values something may have whose differences are shown: each of them may be dozens of lines.
const SHOWN: usize = 1 << 13;

/// Two values of a type as Kubernetes sees them, with the lines that differ; nothing if they are very large.
fn lines_that_differ(type_name: &str, new: &Value, old: &Value) -> String {
    match mainstay_api::types::by_name(type_name) {
        Some(of) if values(new).max(values(old)) <= SHOWN => {
            difference::unified(&internal::lines(of, old), &internal::lines(of, new))
        }
        _ => String::new(),
    }
}

/// The values in a value, itself among them.
fn values(value: &Value) -> usize {
    let within: usize = match value {
        Value::Array(list) => list.iter().map(values).sum(),
        Value::Object(map) => map.values().map(values).sum(),
        _ => 0,
    };
    1 + within
}

/// Ephemeral containers are added, never changed or removed.
pub(crate) fn ephemeral(new: &Value, old: &Value, errors: &mut Errors) {
    if mainstay_api::meta::annotation(old, "kubernetes.io/config.mirror").is_some() {
        let nowhere = mainstay_api::field::Path::new("");
        errors.0.push(Error::forbidden(&nowhere, "static pods do not support ephemeral containers"));
        return;
    }
    let (now, was) = (At::spec(new), At::spec(old));
    super::spec_and_annotations(new, errors);
    let list = now.get("ephemeralContainers");
    let named: HashMap<&str, At<'_>> = list.items().map(|at| (at.get("name").str(), at)).collect();
    for before in was.get("ephemeralContainers").items() {
        let name = before.get("name").str();
        match named.get(name) {
            None => errors.forbidden(&list, format!("existing ephemeral containers \"{name}\" may not be removed\n")),
            Some(at) if at.value != before.value => {
                let of = "io.k8s.api.core.v1.EphemeralContainer";
                let differences = lines_that_differ(of, at.value, before.value);
                errors.forbidden(
                    &list,
                    format!("existing ephemeral containers \"{name}\" may not be changed\n{differences}"),
                );
            }
            Some(_) => {}
        }
    }
}
