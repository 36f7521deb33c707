//! Nodes see what their own pods need, and write what is their own.

use super::attributes::required_field;
use super::matching::rule_allows;
use super::{AuthzAttributes, Verdict};
use crate::strategy::Reader;
use crate::user::UserInfo;
use mainstay_api::meta;
use serde_json::Value;

/// Decides over a node's request; says nothing about anybody else's.
pub(super) fn authorize(reader: &dyn Reader, attributes: &AuthzAttributes<'_>) -> Verdict {
    let Some(node) = node_name(attributes.user) else { return Verdict::default() };
    if node.is_empty() {
        return Verdict { allowed: false, reason: format!("unknown node for user {:?}", attributes.user.name) };
    }
    if !attributes.is_resource {
        return Verdict::default();
    }
    let outcome = match (attributes.group, attributes.resource) {
        ("", "secrets") => by_pods(reader, attributes, node, refers_to_secret),
        ("", "configmaps") => by_pods(reader, attributes, node, refers_to_configmap),
        ("", "persistentvolumeclaims") => by_claim(reader, attributes, node),
        ("", "persistentvolumes") => by_volume(reader, attributes, node),
        ("", "serviceaccounts") => by_account(reader, attributes, node),
        ("", "pods") => by_assignment(reader, attributes, node),
        ("", "nodes") => own_node(attributes, node),
        ("coordination.k8s.io", "leases") => own_lease(attributes, node),
        ("storage.k8s.io", "csinodes") => own_csi_node(attributes, node),
        ("storage.k8s.io", "volumeattachments") => attached(reader, attributes, node),
        ("resource.k8s.io", "resourceclaims") => device_claim(reader, attributes, node),
        ("resource.k8s.io", "resourceslices") => own_slice(reader, attributes, node),
        _ if serves_rules(attributes) => Outcome::Allowed,
        _ => Outcome::ByRole,
    };
    match outcome {
        Outcome::Allowed => Verdict { allowed: true, reason: String::new() },
        Outcome::Refused(reason) => Verdict { allowed: false, reason },
        Outcome::ByRole => Verdict { allowed: role_allows(reader, attributes), reason: String::new() },
    }
}

enum Outcome {
    Allowed,
    Refused(String),
    /// Whatever the role `system:node` says.
    ByRole,
}

fn refused(reason: &str) -> Outcome {
    Outcome::Refused(reason.to_owned())
}

/// The name of the node that a user is, if it is one; it may be empty.
pub(super) fn node_name(user: &UserInfo) -> Option<&str> {
    let name = user.name.strip_prefix("system:node:")?;
    user.groups.iter().any(|group| group == "system:nodes").then_some(name)
}

/// An agent is its node's service proxy as well, so it follows services and their endpoints.
fn serves_rules(attributes: &AuthzAttributes<'_>) -> bool {
    matches!(attributes.verb, "get" | "list" | "watch")
        && attributes.subresource.is_empty()
        && matches!(
            (attributes.group, attributes.resource),
            ("" | "discovery.k8s.io", "services" | "endpointslices")
                | ("networking.k8s.io", "networkpolicies" | "ingresses" | "ingressclasses" | "servicecidrs")
                | ("", "namespaces")
        )
}

fn role_allows(reader: &dyn Reader, attributes: &AuthzAttributes<'_>) -> bool {
    let role = reader.get(super::rbac::GROUP, "clusterroles", "", "system:node");
    role.is_some_and(|role| {
        role["rules"].as_array().is_some_and(|rules| rules.iter().any(|rule| rule_allows(rule, attributes)))
    })
}

type Refers = fn(&Value, &str) -> bool;

/// Reading a named object that a pod of this node refers to.
fn by_pods(reader: &dyn Reader, attributes: &AuthzAttributes<'_>, node: &str, refers: Refers) -> Outcome {
    if let Some(refusal) = only_reads_by_name(attributes) {
        return refusal;
    }
    runs(reader, node, attributes.namespace, |spec| refers(spec, attributes.name))
}

/// A claim of one of the node's pods, which its agent may grow.
fn by_claim(reader: &dyn Reader, attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    let refusal = match (attributes.subresource, attributes.verb) {
        ("status", "update" | "patch") => unnamed(attributes),
        ("status", _) => Some(refused("can only get/update/patch this type")),
        _ => only_gets(attributes),
    };
    refusal.unwrap_or_else(|| runs(reader, node, attributes.namespace, |spec| refers_to_claim(spec, attributes.name)))
}

fn by_volume(reader: &dyn Reader, attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    if let Some(refusal) = only_gets(attributes) {
        return refusal;
    }
    let Some(volume) = reader.get("", "persistentvolumes", "", attributes.name) else { return unrelated(node) };
    let claim = &volume["spec"]["claimRef"];
    let (namespace, name) =
        (claim["namespace"].as_str().unwrap_or_default(), claim["name"].as_str().unwrap_or_default());
    runs(reader, node, namespace, |spec| refers_to_claim(spec, name))
}

fn attached(reader: &dyn Reader, attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    if let Some(refusal) = only_gets(attributes) {
        return refusal;
    }
    let attachment = reader.get(attributes.group, attributes.resource, "", attributes.name);
    let own = attachment.is_some_and(|attachment| attachment["spec"]["nodeName"] == node);
    if own { Outcome::Allowed } else { unrelated(node) }
}

/// The accounts of the node's pods, and tokens for them.
fn by_account(reader: &dyn Reader, attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    let refusal = match (attributes.verb, attributes.subresource) {
        ("get", "") => only_reads_by_name(attributes),
        ("create", _) if attributes.name.is_empty() => {
            Some(refused("can only create tokens for individual service accounts"))
        }
        ("create", "token") => None,
        ("create", _) => Some(refused("can only create token subresource of serviceaccount")),
        _ => Some(refused("can only create tokens for individual service accounts")),
    };
    refusal.unwrap_or_else(|| {
        runs(reader, node, attributes.namespace, |spec| {
            spec["serviceAccountName"].as_str().filter(|n| !n.is_empty()).unwrap_or("default") == attributes.name
        })
    })
}

/// Whether a pod of this namespace is on the node whose spec is as wanted.
fn runs(reader: &dyn Reader, node: &str, namespace: &str, wanted: impl Fn(&Value) -> bool) -> Outcome {
    let pods = reader.pods_on(node);
    let related = pods.iter().any(|pod| meta::namespace(pod) == namespace && wanted(&pod["spec"]));
    if related { Outcome::Allowed } else { unrelated(node) }
}

fn by_assignment(reader: &dyn Reader, attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    if !attributes.subresource.is_empty() {
        return Outcome::ByRole;
    }
    let pod = || reader.get("", "pods", attributes.namespace, attributes.name);
    match attributes.verb {
        // That a pod is gone may be told: an agent has to know.
        "get" if pod().is_some_and(|pod| pod["spec"]["nodeName"] != node) => unrelated(node),
        "list" | "watch" if required_field(attributes.field_selector, "spec.nodeName").as_deref() == Some(node) => {
            Outcome::Allowed
        }
        "list" | "watch" if attributes.name.is_empty() => {
            refused("can only list/watch pods with spec.nodeName field selector")
        }
        "list" | "watch" if pod().is_none_or(|pod| pod["spec"]["nodeName"] != node) => unrelated(node),
        _ => Outcome::ByRole,
    }
}

fn own_node(attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    if !matches!((attributes.subresource, attributes.verb), ("", _) | ("status", "update" | "patch")) {
        return refused("");
    }
    // REST gives the name that a field selector asks for; gRPC only the selector.
    let asked = required_field(attributes.field_selector, "metadata.name").unwrap_or_default();
    let name = if attributes.name.is_empty() { asked.as_str() } else { attributes.name };
    match attributes.verb {
        "get" | "list" | "watch" | "update" | "patch" if name == node => Outcome::Allowed,
        "get" | "list" | "watch" if name.is_empty() => {
            Outcome::Refused(format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        "get" | "list" | "watch" => {
            Outcome::Refused(format!("node '{node}' cannot read '{name}', only its own Node object"))
        }
        _ => Outcome::ByRole,
    }
}

fn own_lease(attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    if !writes_own(attributes.verb) {
        return refused("can only get, create, update, patch, or delete a node lease");
    }
    if attributes.namespace != "kube-node-lease" {
        return refused("can only access leases in the \"kube-node-lease\" system namespace");
    }
    own_name(attributes, node, "can only access node lease with the same name as the requesting node")
}

fn own_csi_node(attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    if !writes_own(attributes.verb) {
        return refused("can only get, create, update, patch, or delete a CSINode");
    }
    if !attributes.subresource.is_empty() {
        return refused("cannot authorize CSINode subresources");
    }
    own_name(attributes, node, "can only access CSINode with the same name as the requesting node")
}

fn writes_own(verb: &str) -> bool {
    matches!(verb, "get" | "create" | "update" | "patch" | "delete")
}

/// What is created has no name yet here; admission looks at it.
fn own_name(attributes: &AuthzAttributes<'_>, node: &str, words: &str) -> Outcome {
    if attributes.verb == "create" || attributes.name == node { Outcome::Allowed } else { refused(words) }
}

/// A claim of devices that a pod of this node has: one that its spec names, or one that was made for it.
fn device_claim(reader: &dyn Reader, attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    if let Some(refusal) = only_gets(attributes) {
        return refusal;
    }
    let named = |list: &Value| {
        list.as_array().is_some_and(|list| list.iter().any(|entry| entry["resourceClaimName"] == attributes.name))
    };
    let has = |pod: &Value| {
        named(&pod["spec"]["resourceClaims"])
            || named(&pod["status"]["resourceClaimStatuses"])
            || pod["status"]["extendedResourceClaimStatus"]["resourceClaimName"] == attributes.name
    };
    let pods = reader.pods_on(node);
    let related = pods.iter().any(|pod| meta::namespace(pod) == attributes.namespace && has(pod.as_ref()));
    if related { Outcome::Allowed } else { unrelated(node) }
}

/// What drivers on the node offer goes through its agent.
fn own_slice(reader: &dyn Reader, attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    if !attributes.subresource.is_empty() {
        return refused("cannot authorize ResourceSlice subresources");
    }
    match attributes.verb {
        // Admission looks at which node the slice names.
        "create" => Outcome::Allowed,
        "get" | "update" | "patch" | "delete" => {
            let slice = reader.get(attributes.group, attributes.resource, "", attributes.name);
            let own = slice.is_some_and(|slice| slice["spec"]["nodeName"] == node);
            if own { Outcome::Allowed } else { unrelated(node) }
        }
        "list" | "watch" | "deletecollection" => {
            match required_field(attributes.field_selector, "spec.nodeName").as_deref() == Some(node) {
                true => Outcome::Allowed,
                false => refused("can only list/watch/deletecollection resourceslices with nodeName field selector"),
            }
        }
        _ => refused(
            "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection",
        ),
    }
}

fn only_reads_by_name(attributes: &AuthzAttributes<'_>) -> Option<Outcome> {
    if !matches!(attributes.verb, "get" | "list" | "watch") {
        return Some(refused("can only read resources of this type"));
    }
    if !attributes.subresource.is_empty() {
        return Some(refused("cannot read subresource"));
    }
    if attributes.namespace.is_empty() {
        return Some(refused("can only read namespaced object of this type"));
    }
    unnamed(attributes)
}

fn only_gets(attributes: &AuthzAttributes<'_>) -> Option<Outcome> {
    if attributes.verb != "get" {
        return Some(refused("can only get individual resources of this type"));
    }
    if !attributes.subresource.is_empty() {
        return Some(refused("cannot get subresource"));
    }
    unnamed(attributes)
}

fn unnamed(attributes: &AuthzAttributes<'_>) -> Option<Outcome> {
    attributes.name.is_empty().then(|| refused("No Object name found"))
}

fn unrelated(node: &str) -> Outcome {
    Outcome::Refused(format!("no relationship found between node '{node}' and this object"))
}

fn refers_to_secret(spec: &Value, name: &str) -> bool {
    let pulls = spec["imagePullSecrets"].as_array().is_some_and(|list| list.iter().any(|entry| entry["name"] == name));
    pulls
        || mentions(
            spec,
            name,
            &[("secret", "secretName"), ("secret", "name"), ("secretKeyRef", "name"), ("secretRef", "name")],
        )
}

fn refers_to_configmap(spec: &Value, name: &str) -> bool {
    mentions(spec, name, &[("configMap", "name"), ("configMapKeyRef", "name"), ("configMapRef", "name")])
}

fn refers_to_claim(spec: &Value, name: &str) -> bool {
    mentions(spec, name, &[("persistentVolumeClaim", "claimName")])
}

/// Whether somewhere under `value` a member `outer` has a member `inner` with this text.
fn mentions(value: &Value, name: &str, pairs: &[(&str, &str)]) -> bool {
    match value {
        Value::Array(list) => list.iter().any(|element| mentions(element, name, pairs)),
        Value::Object(members) => members.iter().any(|(key, member)| {
            pairs.iter().any(|(outer, inner)| key == outer && member[*inner] == name) || mentions(member, name, pairs)
        }),
        _ => false,
    }
}
