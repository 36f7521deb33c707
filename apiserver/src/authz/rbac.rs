//! RBAC: bindings lead from a user to roles, roles to rules.

use super::matching::{describe, rule_allows, subject_is};
use super::{AuthzAttributes, Verdict};
use crate::strategy::Reader;
use crate::user::UserInfo;
use mainstay_api::selector::LabelSelector;
use serde_json::Value;
use std::ops::ControlFlow;
use std::sync::Arc;

pub(super) const GROUP: &str = "rbac.authorization.k8s.io";

/// One rule that a user has, and how he came by it.
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
    let reason = match missing.as_slice() {
        [] => String::new(),
        [one] => format!("RBAC: {one}"),
        several => format!("RBAC: [{}]", several.join(", ")),
    };
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

/// The rules of a role, together with those that it aggregates.
pub(super) struct RoleRules {
    roles: Vec<Arc<Value>>,
}

impl RoleRules {
    /// All rules in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Value> {
        self.roles.iter().flat_map(|role| role["rules"].as_array().map(Vec::as_slice).unwrap_or_default())
    }
}

/// The rules that a role reference names.
///
/// # Errors
/// Kubernetes' text about the missing role.
pub(super) fn role_rules(reader: &dyn Reader, role_ref: &Value, namespace: &str) -> Result<RoleRules, String> {
    let name = role_ref["name"].as_str().unwrap_or_default();
    if role_ref["kind"] == "Role" {
        let role = reader.get(GROUP, "roles", namespace, name);
        return role
            .map(|role| RoleRules { roles: vec![role] })
            .ok_or_else(|| format!("role.{GROUP} {name:?} not found"));
    }
    let role =
        reader.get(GROUP, "clusterroles", "", name).ok_or_else(|| format!("clusterrole.{GROUP} {name:?} not found"))?;
    let mut roles = aggregated(reader, &role);
    roles.insert(0, role);
    Ok(RoleRules { roles })
}

/// The roles that an aggregating role gathers. Its own `rules` may not show them yet.
fn aggregated(reader: &dyn Reader, role: &Value) -> Vec<Arc<Value>> {
    let mut found = Vec::new();
    gather(reader, role, &mut found);
    found
}

fn gather(reader: &dyn Reader, role: &Value, found: &mut Vec<Arc<Value>>) {
    let Some(selectors) = role["aggregationRule"]["clusterRoleSelectors"].as_array() else { return };
    let selectors: Vec<_> = selectors.iter().filter_map(|s| LabelSelector::from_object(s).ok()).collect();
    for candidate in reader.list(GROUP, "clusterroles", None) {
        let known = candidate["metadata"]["name"] == role["metadata"]["name"]
            || found.iter().any(|seen| seen["metadata"]["name"] == candidate["metadata"]["name"]);
        if !known && selectors.iter().any(|selector| selector.matches(&candidate["metadata"]["labels"].as_object())) {
            found.push(candidate.clone());
            gather(reader, &candidate, found);
        }
    }
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
