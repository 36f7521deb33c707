//! Nodes see what their own pods need, and write what is their own.

use super::attributes::required_field;
use super::matching::rule_allows;
use super::{AuthzAttributes, Verdict};
use crate::strategy::Reader;
use mainstay_api::meta;
use serde_json::Value;

/// Decides over a node's request; says nothing about anybody else's.
pub(super) fn authorize(reader: &dyn Reader, attributes: &AuthzAttributes<'_>) -> Verdict {
    let Some(node) = node_name(attributes) else { return Verdict::default() };
    if !attributes.is_resource {
        return Verdict::default();
    }
    let outcome = match (attributes.group, attributes.resource) {
        ("", "secrets") => by_pods(reader, attributes, node, refers_to_secret),
        ("", "configmaps") => by_pods(reader, attributes, node, refers_to_configmap),
        ("", "persistentvolumeclaims") => by_pods(reader, attributes, node, refers_to_claim),
        ("", "persistentvolumes") => by_volume(reader, attributes, node),
        ("", "serviceaccounts") if attributes.subresource == "token" => by_account(reader, attributes, node),
        ("", "pods") => by_assignment(attributes, node),
        ("", "nodes") => own_node(attributes, node),
        ("coordination.k8s.io", "leases") => own_lease(attributes, node),
        ("storage.k8s.io", "csinodes") => {
            own_name(attributes, node, "can only access CSINode with the same name as the requesting node")
        }
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

fn node_name<'a>(attributes: &AuthzAttributes<'a>) -> Option<&'a str> {
    let name = attributes.user.name.strip_prefix("system:node:")?;
    attributes.user.groups.iter().any(|group| group == "system:nodes").then_some(name)
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

fn by_volume(reader: &dyn Reader, attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    if let Some(refusal) = only_reads_by_name(attributes) {
        return refusal;
    }
    let Some(volume) = reader.get("", "persistentvolumes", "", attributes.name) else { return unrelated(node) };
    let claim = &volume["spec"]["claimRef"];
    let (namespace, name) =
        (claim["namespace"].as_str().unwrap_or_default(), claim["name"].as_str().unwrap_or_default());
    runs(reader, node, namespace, |spec| refers_to_claim(spec, name))
}

fn by_account(reader: &dyn Reader, attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    if attributes.verb != "create" {
        return refused("can only create tokens for individual service accounts");
    }
    runs(reader, node, attributes.namespace, |spec| {
        spec["serviceAccountName"].as_str().filter(|n| !n.is_empty()).unwrap_or("default") == attributes.name
    })
}

/// Whether a pod of this namespace is on the node whose spec is as wanted.
fn runs(reader: &dyn Reader, node: &str, namespace: &str, wanted: impl Fn(&Value) -> bool) -> Outcome {
    let pods = reader.pods_on(node);
    let related = pods.iter().any(|pod| meta::namespace(pod) == namespace && wanted(&pod["spec"]));
    if related { Outcome::Allowed } else { unrelated(node) }
}

fn by_assignment(attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    match attributes.verb {
        "list" | "watch" if required_field(attributes.field_selector, "spec.nodeName").as_deref() != Some(node) => {
            refused("can only list/watch pods with spec.nodeName field selector")
        }
        _ => Outcome::ByRole,
    }
}

fn own_node(attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    // REST gives the name that a field selector asks for; gRPC only the selector.
    let asked = required_field(attributes.field_selector, "metadata.name");
    let named = attributes.name == node || asked.as_deref() == Some(node);
    match attributes.verb {
        "get" | "list" | "watch" | "update" | "patch" if named => Outcome::Allowed,
        "get" | "list" | "watch" => {
            Outcome::Refused(format!("node '{node}' cannot read all nodes, only its own Node object"))
        }
        _ => Outcome::ByRole,
    }
}

fn own_lease(attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    if attributes.namespace != "kube-node-lease" {
        return refused("can only access leases in the \"kube-node-lease\" system namespace");
    }
    match attributes.verb {
        "create" => Outcome::Allowed,
        _ => own_name(attributes, node, "can only access node lease with the same name as the requesting node"),
    }
}

fn own_name(attributes: &AuthzAttributes<'_>, node: &str, words: &str) -> Outcome {
    let allowed_verb = matches!(attributes.verb, "get" | "create" | "update" | "patch" | "delete");
    let own = attributes.name == node || (attributes.verb == "create" && attributes.name.is_empty());
    if allowed_verb && own { Outcome::Allowed } else { refused(words) }
}

/// A claim of devices that a pod of this node has: one that its spec names, or one that was made for it.
fn device_claim(reader: &dyn Reader, attributes: &AuthzAttributes<'_>, node: &str) -> Outcome {
    if attributes.verb != "get" {
        return refused("can only get individual resources of this type");
    }
    if !attributes.subresource.is_empty() {
        return refused("cannot get subresource");
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
