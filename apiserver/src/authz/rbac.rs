//! RBAC: bindings lead from a user to roles, roles to rules.

use std::ops::ControlFlow;
use std::sync::Arc;

use mainstay_api::field::aggregate;
use mainstay_api::selector::LabelSelector;
use serde_json::Value;

use super::matching::{describe, rule_allows, subject_is};
use super::{AuthzAttributes, Verdict};
use crate::strategy::Reader;
use crate::user::UserInfo;

pub(super) const GROUP: &str = "rbac.authorization.k8s.io";

/// One rule that a user has, and where it comes from.
pub(super) struct Grant<'a> {
    /// The rule as JSON.
    pub(super) rule: &'a Value,
    binding: &'a Value,
    subject: &'a Value,
}

/// Decides by the user's rules.
pub(super) fn authorize(reader: &dyn Reader, attributes: &AuthzAttributes<'_>) -> Verdict {
    let mut found = None;
    let missing = visit(reader, attributes.user, attributes.namespace, &mut |grant| {
        if !rule_allows(grant.rule, attributes) {
            return ControlFlow::Continue(());
        }
        found = Some(grant.reason());
        ControlFlow::Break(())
    });
    if let Some(reason) = found {
        return Verdict { allowed: true, reason };
    }
    let reason = if missing.is_empty() { String::new() } else { format!("RBAC: {}", aggregate(&missing)) };
    Verdict { allowed: false, reason }
}

/// Shows each rule that the user has in the namespace (empty: cluster-wide ones only) until told to stop.
/// Returns texts about roles that are bound but missing.
pub(super) fn visit(
    reader: &dyn Reader,
    user: &UserInfo,
    namespace: &str,
    see: &mut dyn FnMut(&Grant<'_>) -> ControlFlow<()>,
) -> Vec<String> {
    let mut missing = Vec::new();
    let cluster_wide = reader.list(GROUP, "clusterrolebindings", None);
    let local = if namespace.is_empty() { Vec::new() } else { reader.list(GROUP, "rolebindings", Some(namespace)) };
    for binding in cluster_wide.iter().chain(&local) {
        let binding_namespace = binding["metadata"]["namespace"].as_str().unwrap_or_default();
        let subjects = binding["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(subject) = subjects.iter().find(|s| subject_is(s, binding_namespace, user)) else { continue };
        match role_rules(reader, &binding["roleRef"], binding_namespace) {
            Err(text) if !missing.contains(&text) => missing.push(text),
            Err(_) => {}
            Ok(rules) => {
                for rule in rules.iter() {
                    if see(&Grant { rule, binding, subject }).is_break() {
                        return missing;
                    }
                }
            }
        }
    }
    missing
}

/// The rules of a role.
pub(super) struct RoleRules {
    roles: Vec<Arc<Value>>,
}

impl RoleRules {
    /// All of them, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Value> {
        self.roles.iter().flat_map(|role| written(role))
    }
}

/// The rules of the role that a reference names.
///
/// # Errors
/// Kubernetes' text about the missing role.
pub(super) fn role_rules(reader: &dyn Reader, role_ref: &Value, namespace: &str) -> Result<RoleRules, String> {
    let name = role_ref["name"].as_str().unwrap_or_default();
    let (resource, place, kind) =
        if role_ref["kind"] == "Role" { ("roles", namespace, "role") } else { ("clusterroles", "", "clusterrole") };
    let role = reader.get(GROUP, resource, place, name);
    let role = role.ok_or_else(|| format!("{kind}.{GROUP} {name:?} not found"))?;
    Ok(RoleRules { roles: with_gathered(reader, role) })
}

fn written(role: &Value) -> &[Value] {
    role["rules"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A role, and what it gathers as long as no controller has written that into it: in a cluster that is new, or while not all
/// masters have a controller for it, nobody loses by that, and nobody binds a role because it looks empty.
fn with_gathered(reader: &dyn Reader, role: Arc<Value>) -> Vec<Arc<Value>> {
    let mut wanted = unwritten(&role);
    if wanted.is_empty() {
        return vec![role];
    }
    let mut others = reader.list(GROUP, "clusterroles", None);
    others.retain(|other| other["metadata"]["name"] != role["metadata"]["name"]);
    let mut found = vec![role];
    while !wanted.is_empty() {
        let selects = |other: &Arc<Value>| {
            let labels = other["metadata"]["labels"].as_object();
            wanted.iter().any(|selector| selector.matches(&labels))
        };
        let (more, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(selects);
        wanted = more.iter().flat_map(|role| unwritten(role)).collect();
        found.extend(more);
        others = rest;
    }
    found
}

/// What a role selects that has no rules yet.
fn unwritten(role: &Value) -> Vec<LabelSelector> {
    let selectors = role["aggregationRule"]["clusterRoleSelectors"].as_array().filter(|_| written(role).is_empty());
    selectors.into_iter().flatten().filter_map(|selector| LabelSelector::from_object(selector).ok()).collect()
}

impl Grant<'_> {
    /// `RBAC: allowed by …`.
    fn reason(&self) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let namespace = text(&self.binding["metadata"]["namespace"]);
        let name = text(&self.binding["metadata"]["name"]);
        let binding = if namespace.is_empty() {
            format!("ClusterRoleBinding {name:?}")
        } else {
            format!("RoleBinding {:?}", format!("{name}/{namespace}"))
        };
        let role = &self.binding["roleRef"];
        let (kind, role) = (text(&role["kind"]), text(&role["name"]));
        format!("RBAC: allowed by {binding} of {kind} {role:?} to {}", describe(self.subject, &namespace))
    }
}
