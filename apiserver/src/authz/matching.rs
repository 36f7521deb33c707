//! Whether one RBAC rule, still as JSON, covers a request; whether a subject is this user.

use super::AuthzAttributes;
use crate::user::UserInfo;
use serde_json::Value;

/// Whether a rule of a role allows the request.
pub(super) fn rule_allows(rule: &Value, attributes: &AuthzAttributes<'_>) -> bool {
    if !has(rule, "verbs", |verb| verb == "*" || verb == attributes.verb) {
        return false;
    }
    if !attributes.is_resource {
        return has(rule, "nonResourceURLs", |pattern| path_matches(pattern, attributes.path));
    }
    has(rule, "apiGroups", |group| group == "*" || group == attributes.group)
        && has(rule, "resources", |pattern| resource_matches(pattern, attributes.resource, attributes.subresource))
        && name_matches(rule, attributes.name)
}

/// "*", the exact "resource/subresource", or "*/subresource".
pub(super) fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    match pattern.split_once('/') {
        None => subresource.is_empty() && pattern == resource,
        Some((left, right)) => !subresource.is_empty() && right == subresource && (left == "*" || left == resource),
    }
}

/// "*", exact, or a prefix before a trailing star.
pub(super) fn path_matches(pattern: &str, path: &str) -> bool {
    pattern == "*" || pattern == path || pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

fn name_matches(rule: &Value, name: &str) -> bool {
    match rule["resourceNames"].as_array() {
        Some(names) if !names.is_empty() => !name.is_empty() && names.iter().any(|n| n == name),
        _ => true,
    }
}

fn has(rule: &Value, field: &str, fits: impl Fn(&str) -> bool) -> bool {
    rule[field].as_array().is_some_and(|list| list.iter().filter_map(Value::as_str).any(fits))
}

/// Whether a binding's subject is this user.
pub(super) fn subject_is(subject: &Value, binding_namespace: &str, user: &UserInfo) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str() {
        Some("User") => name == user.name,
        Some("Group") => user.groups.iter().any(|group| group == name),
        Some("ServiceAccount") => {
            let namespace = subject["namespace"].as_str().filter(|ns| !ns.is_empty()).unwrap_or(binding_namespace);
            let account = user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
            !namespace.is_empty() && account == Some((namespace, name))
        }
        _ => false,
    }
}

/// `Group "x"`, `ServiceAccount "name/namespace"`.
pub(super) fn describe(subject: &Value, binding_namespace: &str) -> String {
    let text = |field: &str| subject[field].as_str().unwrap_or_default();
    if text("kind") == "ServiceAccount" {
        let namespace = if text("namespace").is_empty() { binding_namespace } else { text("namespace") };
        return format!("ServiceAccount {:?}", format!("{}/{namespace}", text("name")));
    }
    format!("{} {:?}", text("kind"), text("name"))
}
