//! Quantities and the names of resources.

use mainstay_api::field::Error;
use mainstay_api::names;

use super::{At, Errors};

/// What Kubernetes answers for a negative quantity.
pub(crate) const NEGATIVE: &str = "must be greater than or equal to 0";

const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
    "requests.storage",
    "storage",
];
const COUNTED: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Zero or more.
pub(crate) fn non_negative(at: &At<'_>, errors: &mut Errors) {
    let quantity = at.quantity();
    if quantity.is_negative() {
        errors.0.push(Error::invalid(&at.path, quantity.to_string(), NEGATIVE));
    }
}

/// `hugepages-2Mi` and its like.
pub(crate) fn is_hugepages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// `hugepages-2Mi` and its like, also as quotas call them.
fn is_quota_hugepages(name: &str) -> bool {
    is_hugepages(name) || name.starts_with("requests.hugepages-")
}

/// Whether a quota counts it under a name without a domain.
pub(crate) fn is_standard_for_quota(name: &str) -> bool {
    name != "storage" && STANDARD.contains(&name) || is_quota_hugepages(name)
}

/// Without a domain, or in the kubernetes.io domain.
pub(crate) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// A resource that some device plugin counts.
pub(crate) fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && names::is_qualified_name(&format!("requests.{name}")).is_empty()
}

/// A resource of which containers get integral amounts only.
fn is_integral(name: &str) -> bool {
    COUNTED.contains(&name) || is_extended(name)
}

/// Zero or more, and integral where halves make no sense.
pub(crate) fn resource_amount(name: &str, at: &At<'_>, errors: &mut Errors) {
    non_negative(at, errors);
    let quantity = at.quantity();
    if is_integral(name) && !quantity.is_integer() {
        errors.0.push(Error::invalid(&at.path, quantity.to_string(), "must be an integer"));
    }
}

/// The name of any resource.
pub(crate) fn resource_name(name: &str, at: &At<'_>, errors: &mut Errors) {
    let texts = names::is_qualified_name(name);
    if !texts.is_empty() {
        for text in texts {
            errors.0.push(Error::invalid(&at.path, name, text));
        }
        return;
    }
    if !name.contains('/') && !STANDARD.contains(&name) && !is_quota_hugepages(name) {
        errors.0.push(Error::invalid(&at.path, name, "must be a standard resource type or fully qualified"));
    }
}

/// The name of a resource that containers have.
pub(crate) fn container_resource_name(name: &str, at: &At<'_>, errors: &mut Errors) {
    resource_name(name, at, errors);
    let standard = matches!(name, "cpu" | "memory" | "ephemeral-storage") || is_hugepages(name);
    if !name.contains('/') && !standard {
        errors.0.push(Error::invalid(&at.path, name, "must be a standard resource for containers"));
    } else if !is_native(name) && !is_extended(name) {
        errors.0.push(Error::invalid(&at.path, name, "doesn't follow extended resource name standard"));
    }
}

/// The name of a resource that a quota limits.
pub(crate) fn quota_resource_name(name: &str, at: &At<'_>, errors: &mut Errors) {
    let before = errors.0.len();
    if let Some(counted) = name.strip_prefix("count/") {
        let qualified = if counted.contains('.') { counted.split_once('.').is_some() } else { true };
        if qualified && names::is_qualified_name(name).is_empty() {
            return;
        }
    }
    resource_name(name, at, errors);
    if !name.contains('/') && !is_standard_for_quota(name) {
        errors.0.push(Error::invalid(&at.path, name, "must be a standard resource for quota"));
    }
    debug_assert!(errors.0.len() >= before);
}
