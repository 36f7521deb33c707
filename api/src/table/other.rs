//! Cells of the remaining groups.

use jiff::Timestamp;
use serde_json::Value;

use super::cell::*;
use super::{age, duration};
use crate::meta;

/// The cells of an object of the remaining groups.
pub(super) fn cells(group: &str, resource: &str, object: &Value, now: Timestamp) -> Option<Vec<Value>> {
    let mut row = vec![Value::from(meta::name(object))];
    let age = Value::from(age(at(object, "/metadata/creationTimestamp"), now));
    let say = |pointer: &str| Value::from(text(object, pointer));
    match (group, resource) {
        ("apiregistration.k8s.io", "apiservices") => row.extend([api_service(object), available(object), age]),
        ("certificates.k8s.io", "certificatesigningrequests") => {
            let seconds = at(object, "/spec/expirationSeconds").and_then(Value::as_i64);
            let asked = seconds.map_or_else(|| NONE.to_owned(), duration);
            let signer = text_or(object, "/spec/signerName", NONE).into();
            row.extend([age, signer, say("/spec/username"), asked.into(), approval(object).into()]);
        }
        ("rbac.authorization.k8s.io", "clusterrolebindings" | "rolebindings") => {
            let role = format!("{}/{}", text(object, "/roleRef/kind"), text(object, "/roleRef/name"));
            row.extend([role.into(), age, subjects(object, "User"), subjects(object, "Group")]);
            row.push(subjects(object, "ServiceAccount"));
        }
        ("storage.k8s.io", _) => row = storage(resource, object, age, row)?,
        ("admissionregistration.k8s.io", _) => row.extend(admission(resource, object, age)?),
        ("scheduling.k8s.io", "priorityclasses") => {
            let value = number(object, "/value").into();
            row.extend([value, flag(object, "/globalDefault", false).into(), age, say("/preemptionPolicy")]);
        }
        ("coordination.k8s.io", "leases") => row.extend([say("/spec/holderIdentity"), age]),
        ("node.k8s.io", "runtimeclasses") => row.extend([say("/handler"), age]),
        ("resource.k8s.io", "deviceclasses" | "resourceclaimtemplates") => row.push(age),
        ("resource.k8s.io", "resourceclaims") => row.extend([claim(object).into(), age]),
        ("resource.k8s.io", "resourceslices") => {
            row.extend([say("/spec/nodeName"), say("/spec/driver"), say("/spec/pool/name"), age]);
        }
        ("flowcontrol.apiserver.k8s.io", "flowschemas") => {
            let dangling = condition(object, "Dangling").map_or("?", |found| text(found, "/status"));
            row.extend([
                say("/spec/priorityLevelConfiguration/name"),
                number(object, "/spec/matchingPrecedence").into(),
                text_or(object, "/spec/distinguisherMethod/type", NONE).into(),
                age,
                dangling.into(),
            ]);
        }
        ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations") => {
            let limited = |field: &str| at(object, &format!("/spec/limited/{field}")).cloned().unwrap_or(NONE.into());
            row.extend([
                say("/spec/type"),
                limited("nominalConcurrencyShares"),
                limited("limitResponse/queuing/queues"),
                limited("limitResponse/queuing/handSize"),
                limited("limitResponse/queuing/queueLengthLimit"),
                age,
            ]);
        }
        _ => return None,
    }
    Some(row)
}

fn api_service(object: &Value) -> Value {
    match at(object, "/spec/service") {
        Some(service) => format!("{}/{}", text(service, "/namespace"), text(service, "/name")).into(),
        None => "Local".into(),
    }
}

fn available(object: &Value) -> Value {
    let Some(found) = condition(object, "Available") else { return "Unknown".into() };
    match (text(found, "/status"), text(found, "/reason")) {
        (status @ "True", _) | (status, "") => status.into(),
        (status, reason) => format!("{status} ({reason})").into(),
    }
}

fn approval(request: &Value) -> String {
    let mut status = match () {
        () if condition(request, "Denied").is_some() => "Denied",
        () if condition(request, "Approved").is_some() => "Approved",
        () => "Pending",
    }
    .to_owned();
    if condition(request, "Failed").is_some() {
        status.push_str(",Failed");
    }
    if !text(request, "/status/certificate").is_empty() {
        status.push_str(",Issued");
    }
    status
}

fn subjects(binding: &Value, kind: &str) -> Value {
    let subjects = list(binding, "/subjects").iter().filter(|subject| text(subject, "/kind") == kind);
    let shown = subjects.map(|subject| match kind {
        "ServiceAccount" => format!("{}/{}", text(subject, "/namespace"), text(subject, "/name")),
        _ => text(subject, "/name").to_owned(),
    });
    shown.collect::<Vec<_>>().join(", ").into()
}

fn storage(resource: &str, object: &Value, age: Value, mut row: Vec<Value>) -> Option<Vec<Value>> {
    let is_set = |pointer: &str, default: bool| Value::from(flag(object, pointer, default));
    match resource {
        "storageclasses" => {
            let marks =
                ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
            if marks.iter().any(|mark| meta::annotation(object, mark) == Some("true")) {
                row = vec![format!("{} (default)", meta::name(object)).into()];
            }
            row.extend([
                text(object, "/provisioner").into(),
                text_or(object, "/reclaimPolicy", "Delete").into(),
                text_or(object, "/volumeBindingMode", "Immediate").into(),
                is_set("/allowVolumeExpansion", false),
                age,
            ]);
        }
        "csidrivers" => {
            let tokens = at(object, "/spec/tokenRequests")
                .map(|_| joined(list(object, "/spec/tokenRequests"), "/audience", ","));
            row.extend([
                is_set("/spec/attachRequired", true),
                is_set("/spec/podInfoOnMount", false),
                is_set("/spec/storageCapacity", false),
                tokens.unwrap_or_else(|| UNSET.to_owned()).into(),
                is_set("/spec/requiresRepublish", false),
                or(texts(list(object, "/spec/volumeLifecycleModes"), ","), NONE).into(),
                age,
            ]);
        }
        "csinodes" => row.extend([count(object, "/spec/drivers").into(), age]),
        "volumeattachments" => row.extend([
            text(object, "/spec/attacher").into(),
            text(object, "/spec/source/persistentVolumeName").into(),
            text(object, "/spec/nodeName").into(),
            is_set("/status/attached", false),
            age,
        ]),
        "volumeattributesclasses" => row.extend([text(object, "/driverName").into(), age]),
        _ => return None,
    }
    Some(row)
}

fn admission(resource: &str, object: &Value, age: Value) -> Option<Vec<Value>> {
    let kind = || match at(object, "/spec/paramKind") {
        Some(kind) => format!("{}/{}", text(kind, "/apiVersion"), text(kind, "/kind")),
        None => UNSET.to_owned(),
    };
    Some(match resource {
        "mutatingwebhookconfigurations" | "validatingwebhookconfigurations" => {
            vec![count(object, "/webhooks").into(), age]
        }
        "mutatingadmissionpolicies" => vec![count(object, "/spec/mutations").into(), kind().into(), age],
        "validatingadmissionpolicies" => vec![count(object, "/spec/validations").into(), kind().into(), age],
        "mutatingadmissionpolicybindings" | "validatingadmissionpolicybindings" => {
            let reference = match at(object, "/spec/paramRef") {
                None => UNSET.to_owned(),
                Some(found) if text(found, "/name").is_empty() => {
                    at(found, "/selector").map_or_else(|| UNSET.to_owned(), go_selector)
                }
                Some(found) => format!("{}/{}", text_or(found, "/namespace", "*"), text(found, "/name")),
            };
            vec![text(object, "/spec/policyName").into(), reference.into(), age]
        }
        _ => return None,
    })
}

/// A label selector as Go prints it.
fn go_selector(selector: &Value) -> String {
    let pairs = map(selector, "/matchLabels").into_iter().flatten();
    let labels: String = pairs.map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or_default())).collect();
    let expression = |item: &Value| {
        let values = texts(list(item, "/values"), " ");
        format!(
            "LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},",
            text(item, "/key"),
            text(item, "/operator")
        )
    };
    let expressions: String = list(selector, "/matchExpressions").iter().map(expression).collect();
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )
}

fn claim(claim: &Value) -> String {
    let mut states = Vec::new();
    let deleting = meta::is_deleting(claim);
    if deleting {
        states.push("deleted");
    }
    if at(claim, "/status/allocation").is_none() {
        if !deleting {
            states.push("pending");
        }
    } else {
        states.push("allocated");
        if count(claim, "/status/reservedFor") > 0 {
            states.push("reserved");
        }
    }
    states.join(",")
}
