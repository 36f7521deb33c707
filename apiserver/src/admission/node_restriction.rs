//! What the agent of a node may write beyond what its role lets it: its own node, its own pods, and what belongs to them.

mod certificate;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use async_trait::async_trait;
use mainstay_api::meta;
use mainstay_api::status::{ApiResult, Status};
use serde_json::{Map, Value};

use super::{Attributes, Operation, Plugin};
use crate::authz::Authorizer;

const MIRROR: &str = "kubernetes.io/config.mirror";
/// Members of a pod's spec that say which secrets it uses.
pub(super) const SECRETS: &[&str] =
    &["secretKeyRef", "secretRef", "secret", "imagePullSecrets", "nodePublishSecretRef", "azureFile"];
/// Labels below these domains belong to Kubernetes.
const RESERVED: [&str; 2] = ["kubernetes.io", "k8s.io"];
/// Of these an agent may set its own.
const OWN_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];
/// And all below these.
const OWN_DOMAINS: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// NodeRestriction. It changes nothing, but refuses before others change anything.
pub(crate) struct NodeRestriction(pub Arc<Authorizer>);

#[async_trait]
impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    async fn mutate(&self, request: &mut Attributes<'_>) -> ApiResult<()> {
        let in_group = request.user.groups.iter().any(|group| group == "system:nodes");
        let Some(node) = request.user.name.strip_prefix("system:node:").filter(|_| in_group) else { return Ok(()) };
        if node.is_empty() {
            let user = &request.user.name;
            return Err(request.forbidden(format!("could not determine node from user {user:?}")));
        }
        if is_stale(request) {
            return Ok(());
        }
        judge(request, node, &self.0).map_err(|refusal| match refusal {
            Refusal::Forbidden(why) => request.forbidden(why),
            Refusal::Missing(resource, name) => Status::not_found("", resource, &name),
        })
    }
}

/// Whether a change is based on an older object than there is: it will be refused as a conflict, which the agent knows to
/// mend, and what others changed meanwhile is not the agent's doing.
fn is_stale(request: &Attributes<'_>) -> bool {
    let version = |object: &Option<Value>| object.as_ref().map(meta::resource_version).unwrap_or_default().to_owned();
    let based_on = version(&request.object);
    request.old_object.is_some() && !based_on.is_empty() && based_on != version(&request.old_object)
}

/// Why a request of this node's agent is refused.
#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    /// It may not do that.
    Forbidden(String),
    /// What it is about is not there: what Kubernetes' listers call the resource, and the name.
    Missing(&'static str, String),
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::Forbidden(why)
    }
}

type Verdict = Result<(), Refusal>;

fn judge(request: &Attributes<'_>, node: &str, authorizer: &Authorizer) -> Verdict {
    let row = request.resource;
    match (row.group.as_str(), row.resource.as_str(), request.subresource) {
        ("", "pods", "") => pod(request, node),
        ("", "pods", "status") => pod_status(request, node),
        ("", "pods", "eviction") => eviction(request, node),
        ("", "pods", other) => {
            Err(format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed").into())
        }
        ("", "nodes", _) => own_node(request, node),
        ("", "persistentvolumeclaims", "status") => claim_status(request, node),
        ("", "persistentvolumeclaims", _) => Err("may only update PVC status".to_owned().into()),
        ("", "serviceaccounts", "token") => token::judge(request, node, authorizer),
        ("certificates.k8s.io", "certificatesigningrequests", _) => certificate::judge(request, node),
        ("coordination.k8s.io", "leases", _) => lease(request, node),
        ("storage.k8s.io", "csinodes", _) => {
            named(request, node, "can only access CSINode with the same name as the requesting node")
        }
        ("resource.k8s.io", "resourceslices", "") => slice(request, node),
        _ => Ok(()),
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn check(good: bool, why: impl FnOnce() -> String) -> Verdict {
    if good { Ok(()) } else { Err(Refusal::Forbidden(why())) }
}

fn pod(request: &Attributes<'_>, node: &str) -> Verdict {
    match (request.operation, &request.object, &request.old_object) {
        (Operation::Create, Some(pod), _) => mirror(request, pod, node),
        (Operation::Delete, _, Some(pod)) => check(text(pod, "/spec/nodeName") == node, || {
            format!("node {node:?} can only delete pods with spec.nodeName set to itself")
        }),
        (Operation::Delete, ..) => Ok(()),
        (operation, ..) => Err(format!(
            "unexpected operation {:?}, node {node:?} can only create and delete mirror pods",
            words(operation)
        )
        .into()),
    }
}

fn words(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Connect => "CONNECT",
    }
}

/// A pod that only shows what the agent runs by itself.
fn mirror(request: &Attributes<'_>, pod: &Value, node: &str) -> Verdict {
    check(meta::annotation(pod, MIRROR).is_some(), || {
        format!("pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods")
    })?;
    check(text(pod, "/spec/nodeName") == node, || {
        format!("node {node:?} can only create pods with spec.nodeName set to itself")
    })?;
    owner(request, pod, node)?;
    check(text(pod, "/spec/serviceAccountName").is_empty(), || {
        format!("node {node:?} can not create pods that reference a service account")
    })?;
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    for (what, keys) in [
        ("secrets", SECRETS),
        ("configmaps", &["configMapKeyRef", "configMapRef", "configMap"][..]),
        ("persistentvolumeclaims", &["persistentVolumeClaim", "ephemeral"][..]),
        ("serviceaccounts", &["serviceAccountToken"][..]),
        ("resourceclaims", &["resourceClaims"][..]),
    ] {
        check(!mentions(spec, keys), || format!("node {node:?} can not create pods that reference {what}"))?;
    }
    Ok(())
}

/// Whether one of these members occurs anywhere with something in it.
pub(super) fn mentions(value: &Value, keys: &[&str]) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, inner)| {
            let something = !inner.is_null() && inner.as_array().is_none_or(|list| !list.is_empty());
            keys.contains(&key.as_str()) && something || mentions(inner, keys)
        }),
        Value::Array(list) => list.iter().any(|inner| mentions(inner, keys)),
        _ => false,
    }
}

fn owner(request: &Attributes<'_>, pod: &Value, node: &str) -> Verdict {
    let itself = || format!("node {node:?} can only create pods with an owner reference set to itself");
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let [owner] = owners else {
        return Err(Refusal::Forbidden(match owners.len() {
            0 => itself(),
            _ => format!("node {node:?} can only create pods with a single owner reference set to itself"),
        }));
    };
    check(owner["apiVersion"] == "v1" && owner["kind"] == "Node" && owner["name"] == node, itself)?;
    check(owner["controller"] == true, || {
        format!("node {node:?} can only create pods with a controller owner reference set to itself")
    })?;
    check(owner["blockOwnerDeletion"] != true, || {
        format!("node {node:?} must not set blockOwnerDeletion on an owner reference")
    })?;
    let Some(own) = request.reader.get("", "nodes", "", node) else {
        return Err(Refusal::Missing("node", node.to_owned()));
    };
    let (given, own) = (text(owner, "/uid"), meta::uid(&own));
    check(given == own, || format!("node {node} UID mismatch: expected {given} got {own}"))
}

fn pod_status(request: &Attributes<'_>, node: &str) -> Verdict {
    let (Operation::Update, Some(new), Some(old)) = (request.operation, &request.object, &request.old_object) else {
        return Err(format!("unexpected operation {:?}", words(request.operation)).into());
    };
    check(text(old, "/spec/nodeName") == node, || {
        format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself")
    })?;
    let same = |pointer: &str| new.pointer(pointer) == old.pointer(pointer);
    check(meta::labels(new) == meta::labels(old), || format!("node {node:?} cannot update labels through pod status"))?;
    check(same("/status/resourceClaimStatuses"), || format!("node {node:?} cannot update resource claim statues"))?;
    check(same("/status/extendedResourceClaimStatus"), || {
        format!("node {node:?} cannot update extended resource claim status")
    })
}

fn eviction(request: &Attributes<'_>, node: &str) -> Verdict {
    check(request.operation == Operation::Create, || format!("unexpected operation {}", words(request.operation)))?;
    let pod = pod_named(request, request.name)?;
    check(text(&pod, "/spec/nodeName") == node, || {
        format!("node {node} can only evict pods with spec.nodeName set to itself")
    })
}

fn pod_named(request: &Attributes<'_>, name: &str) -> Result<Arc<Value>, Refusal> {
    let pod = request.reader.get("", "pods", request.namespace, name);
    pod.ok_or_else(|| Refusal::Missing("pod", name.to_owned()))
}

fn own_node(request: &Attributes<'_>, node: &str) -> Verdict {
    let object = request.object.as_ref();
    let name = match request.name {
        "" => object.map(meta::name).unwrap_or_default(),
        name => name,
    };
    check(name == node, || format!("node {node:?} is not allowed to modify node {name:?}"))?;
    match (request.operation, object, &request.old_object) {
        (Operation::Create, Some(new), _) => {
            check(new.pointer("/spec/configSource").is_none(), || {
                format!("node {node:?} is not allowed to create pods with a non-nil configSource")
            })?;
            let wrong = not_own(meta::labels(new), None);
            check(wrong.is_empty(), || {
                format!("node {node:?} is not allowed to set the following labels: {}", wrong.join(", "))
            })
        }
        (Operation::Update, Some(new), Some(old)) => changed_node(new, old, node),
        _ => Ok(()),
    }
}

fn changed_node(new: &Value, old: &Value, node: &str) -> Verdict {
    let changed = |pointer: &str| new.pointer(pointer) != old.pointer(pointer);
    let source = "/spec/configSource";
    check(new.pointer(source).is_none() || !changed(source), || {
        format!("node {node:?} is not allowed to update configSource to a new non-nil configSource")
    })?;
    check(!changed("/spec/taints"), || format!("node {node:?} is not allowed to modify taints"))?;
    let wrong = not_own(meta::labels(new), meta::labels(old));
    check(wrong.is_empty(), || format!("is not allowed to modify labels: {}", wrong.join(", ")))?;
    check(!changed("/metadata/ownerReferences"), || format!("node {node:?} is not allowed to modify ownerReferences"))
}

/// Labels that have changed and are not the agent's to change, sorted.
fn not_own(new: Option<&Map<String, Value>>, old: Option<&Map<String, Value>>) -> Vec<String> {
    let value = |map: Option<&Map<String, Value>>, key: &str| map.and_then(|map| map.get(key)).cloned();
    let keys: std::collections::BTreeSet<&String> =
        new.into_iter().chain(old).flat_map(|labels| labels.keys()).collect();
    let changed = keys.into_iter().filter(|key| value(new, key) != value(old, key));
    changed.filter(|key| !is_own(key)).cloned().collect()
}

fn is_own(label: &str) -> bool {
    let Some((domain, _)) = label.split_once('/') else { return true };
    let below = |of: &str| domain == of || domain.ends_with(&format!(".{of}"));
    if domain == "node-restriction.kubernetes.io" || below("node-restriction.kubernetes.io") {
        return false;
    }
    let reserved = RESERVED.iter().any(|of| below(of));
    !reserved || OWN_LABELS.contains(&label) || OWN_DOMAINS.iter().any(|of| below(of))
}

/// How much of the volume there is, and how it grows, is all that an agent says of a claim.
fn claim_status(request: &Attributes<'_>, node: &str) -> Verdict {
    let (Operation::Update, Some(new), Some(old)) = (request.operation, &request.object, &request.old_object) else {
        return Err(format!("unexpected operation {:?}", words(request.operation)).into());
    };
    let rest = |claim: &Value| {
        let mut claim = claim.clone();
        if let Some(status) = claim.get_mut("status").and_then(Value::as_object_mut) {
            for field in ["capacity", "conditions", "allocatedResources", "allocatedResourceStatuses"] {
                status.remove(field);
            }
        }
        if let Some(metadata) = claim.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in ["managedFields", "resourceVersion"] {
                metadata.remove(field);
            }
        }
        claim
    };
    check(rest(new) == rest(old), || {
        format!("node {node:?} is not allowed to update fields other than status.quantity and status.conditions")
    })
}

fn lease(request: &Attributes<'_>, node: &str) -> Verdict {
    check(request.namespace == "kube-node-lease", || {
        "can only access leases in the \"kube-node-lease\" system namespace".to_owned()
    })?;
    named(request, node, "can only access node lease with the same name as the requesting node")
}

/// The object is called like the node.
fn named(request: &Attributes<'_>, node: &str, why: &str) -> Verdict {
    let name = match request.name {
        "" => request.object.as_ref().map(meta::name).unwrap_or_default(),
        name => name,
    };
    check(name == node, || why.to_owned())
}

/// The devices of a node are announced by its own agent.
fn slice(request: &Attributes<'_>, node: &str) -> Verdict {
    let object = match request.operation {
        Operation::Delete => request.old_object.as_ref(),
        _ => request.object.as_ref(),
    };
    let of = object.map(|slice| text(slice, "/spec/nodeName")).unwrap_or_default();
    let what = words(request.operation).to_lowercase();
    check(object.is_none() || of == node, || {
        format!("can only {what} ResourceSlice with the same NodeName as the requesting node")
    })
}
