//! Pods.

mod change;
mod devices;
mod difference;
mod matching;
mod qos;
mod resize;
mod status;

use mainstay_api::field::ErrorList;
use mainstay_api::{meta, time};
use serde_json::{Value, json};

use crate::strategy::validate::{At, Errors, Owner, pod_annotations, pod_spec};
use crate::strategy::{Context, Strategy, base, features, warnings};

pub(crate) use qos::class as qos_class;

/// Pods.
pub(crate) struct Pod;

impl Strategy for Pod {
    fn prepare_create(&self, cx: &Context<'_>, obj: &mut Value) {
        let mut status = json!({"phase": "Pending", "qosClass": qos::class(obj)});
        if !At::spec(obj).get("schedulingGates").is_empty() {
            status["conditions"] = json!([{
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
                "lastProbeTime": null,
                "lastTransitionTime": time::seconds(cx.now),
            }]);
        }
        base::prepare_create(cx, obj);
        base::set(obj, "/status", status);
        merge_label_keys(obj);
        copy_app_armor(obj);
    }

    fn prepare_update(&self, cx: &Context<'_>, new: &mut Value, old: &Value) {
        match cx.subresource {
            "status" => {
                status::prepare(new, old);
                base::prepare_update(cx, new, old);
            }
            "ephemeralcontainers" => {
                let added = new.pointer("/spec/ephemeralContainers").cloned();
                only_spec_of(new, old);
                match added {
                    Some(list) => base::set(new, "/spec/ephemeralContainers", list),
                    None => base::remove(new, ".spec.ephemeralContainers"),
                }
                features::drop_disabled(&cx.resource.group, &cx.resource.resource, new, Some(old));
                base::move_generation(cx.resource, new, old);
            }
            "resize" => {
                resize::prepare(new, old);
                features::drop_disabled(&cx.resource.group, &cx.resource.resource, new, Some(old));
                base::move_generation(cx.resource, new, old);
            }
            _ => base::prepare_update(cx, new, old),
        }
    }

    fn validate_create(&self, _cx: &Context<'_>, obj: &Value) -> ErrorList {
        let mut errors = Errors(base::finalizer_errors(obj));
        let spec = At::spec(obj);
        spec_and_annotations(obj, &mut errors);
        if !spec.get("ephemeralContainers").is_empty() {
            errors.forbidden(&spec.get("ephemeralContainers"), "cannot be set on create");
        }
        if !spec.get("schedulingGates").is_empty() && !spec.get("nodeName").str().is_empty() {
            errors.forbidden(&spec.get("nodeName"), "cannot be set until all schedulingGates have been cleared");
        }
        pod_annotations::agree_with_fields(&annotations(obj), &spec, &mut errors);
        errors.0
    }

    fn validate_update(&self, cx: &Context<'_>, new: &Value, old: &Value) -> ErrorList {
        let mut errors = Errors::default();
        match cx.subresource {
            "status" => {
                errors.extend(base::meta_update_errors(new, old));
                annotation_changes(new, old, &mut errors);
                status::validate(new, old, &mut errors);
            }
            "ephemeralcontainers" => change::ephemeral(new, old, &mut errors),
            "resize" => resize::validate(new, old, &mut errors),
            "" => {
                errors.extend(base::meta_update_errors(new, old));
                errors.extend(base::meta_errors(cx, new, &|name, prefix| self.name_errors(name, prefix)));
                spec_and_annotations(new, &mut errors);
                annotation_changes(new, old, &mut errors);
                change::spec(new, old, &mut errors);
            }
            _ => {}
        }
        errors.0
    }

    fn warnings(&self, cx: &Context<'_>, new: &Value, old: Option<&Value>) -> Vec<String> {
        match (old, cx.subresource) {
            (None, _) => warnings::pod(new),
            (Some(_), "status") => warnings::pod_status(new),
            _ => Vec::new(),
        }
    }

    fn delete_grace(&self, _cx: &Context<'_>, obj: &Value, requested: Option<i64>) -> Option<i64> {
        let spec = At::spec(obj);
        let phase = At::root(obj).get("status").get("phase");
        if spec.get("nodeName").str().is_empty() || matches!(phase.str(), "Failed" | "Succeeded") {
            return Some(0);
        }
        let own = spec.opt("terminationGracePeriodSeconds").map_or(30, |at| at.int());
        let seconds = requested.unwrap_or(own);
        Some(if seconds < 0 { 1 } else { seconds })
    }
}

fn annotations(obj: &Value) -> At<'_> {
    At::root(obj).get("metadata").get("annotations")
}

/// What of the annotations an update may not change; what they say is judged once more.
fn annotation_changes(new: &Value, old: &Value, errors: &mut Errors) {
    pod_annotations::changes(&annotations(new), &annotations(old), errors);
    pod_annotations::annotations(&annotations(new), &At::spec(new), errors);
}

/// What a pod says, without what it said before.
fn spec_and_annotations(obj: &Value, errors: &mut Errors) {
    let spec = At::spec(obj);
    pod_annotations::annotations(&annotations(obj), &spec, errors);
    pod_spec::pod_spec(&spec, Owner::Pod(meta::name(obj)), errors);
}

/// Everything of the old object but for the metadata that a client may write.
fn only_spec_of(new: &mut Value, old: &Value) {
    base::keep(new, old, ".spec");
    base::keep(new, old, ".status");
    base::keep(new, old, ".metadata");
}

/// `matchLabelKeys` become requirements of the label selectors, with the values that the pod's labels have.
fn merge_label_keys(obj: &mut Value) {
    let labels = meta::labels(obj).cloned().unwrap_or_default();
    let mut terms: Vec<String> = Vec::new();
    for kind in ["podAffinity", "podAntiAffinity"] {
        for (list, inner) in [
            ("requiredDuringSchedulingIgnoredDuringExecution", ""),
            ("preferredDuringSchedulingIgnoredDuringExecution", "/podAffinityTerm"),
        ] {
            let pointer = format!("/spec/affinity/{kind}/{list}");
            let count = obj.pointer(&pointer).and_then(Value::as_array).map_or(0, Vec::len);
            terms.extend((0..count).map(|index| format!("{pointer}/{index}{inner}")));
        }
    }
    let spread = obj.pointer("/spec/topologySpreadConstraints").and_then(Value::as_array).map_or(0, Vec::len);
    terms.extend((0..spread).map(|index| format!("/spec/topologySpreadConstraints/{index}")));
    for pointer in terms {
        if let Some(term) = obj.pointer_mut(&pointer) {
            add_requirements(term, &labels);
        }
    }
}

fn add_requirements(term: &mut Value, labels: &serde_json::Map<String, Value>) {
    let mut added = Vec::new();
    for (field, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        let keys = term.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
        for key in keys.iter().filter_map(Value::as_str) {
            if let Some(value) = labels.get(key) {
                added.push(json!({"key": key, "operator": operator, "values": [value]}));
            }
        }
    }
    let Some(selector) = term.get_mut("labelSelector").and_then(Value::as_object_mut) else { return };
    if added.is_empty() {
        return;
    }
    let slot = selector.entry("matchExpressions").or_insert_with(|| Value::Array(Vec::new()));
    if let Some(list) = slot.as_array_mut() {
        list.extend(added);
    }
}

/// An annotation about a container's AppArmor profile becomes the field that has followed it, unless that says something
/// or the pod as a whole says the same.
fn copy_app_armor(obj: &mut Value) {
    if obj.pointer("/spec/os/name").and_then(Value::as_str) == Some("windows") {
        return;
    }
    let whole = obj.pointer("/spec/securityContext/appArmorProfile").cloned();
    let annotations = meta::annotations(obj).cloned().unwrap_or_default();
    for list in ["initContainers", "containers"] {
        let containers = obj.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let key = format!("{}{}", pod_annotations::APP_ARMOR, At::root(container).get("name").str());
            let said = annotations.get(&key).and_then(Value::as_str);
            let unset = container.pointer("/securityContext/appArmorProfile").is_none_or(Value::is_null);
            let profile =
                said.and_then(pod_annotations::app_armor_profile).filter(|profile| Some(profile) != whole.as_ref());
            if let Some(profile) = profile.filter(|_| unset) {
                base::set(container, "/securityContext/appArmorProfile", profile);
            }
        }
    }
}

/// Binds a pod to a node: what POST of `pods/binding` does to the pod.
///
/// # Errors
/// Why the pod cannot be bound, to be said after `Operation cannot be fulfilled on pods/binding "a":`.
pub fn bind(pod: &mut Value, node: &str, binding: &Value, now: jiff::Timestamp) -> Result<(), String> {
    let name = meta::name(pod).to_owned();
    if meta::is_deleting(pod) {
        return Err(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let spec = At::spec(pod);
    let assigned = spec.get("nodeName").str();
    if !assigned.is_empty() {
        return Err(format!("pod {name} is already assigned to node \"{assigned}\""));
    }
    if !spec.get("schedulingGates").is_empty() {
        return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    base::set(pod, "/spec/nodeName", node.into());
    for (key, value) in meta::annotations(binding).into_iter().flatten() {
        meta::set_annotation(pod, key, value.as_str().unwrap_or_default());
    }
    for (key, value) in meta::labels(binding).into_iter().flatten() {
        meta::set_label(pod, key, value.as_str().unwrap_or_default());
    }
    base::remove(pod, ".status.nominatedNodeName");
    status::set_condition(
        pod,
        json!({
            "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": time::seconds(now),
        }),
    );
    Ok(())
}

pub use status::set_condition;

#[cfg(test)]
mod tests;
