//! Devices, and the claims of them that pods have
//! (<https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/>): what those who make claims,
//! those who allocate devices and those who validate both have to agree about.

mod cost;
mod selector;

use k8s_openapi::api::core::v1::{Pod, PodResourceClaim};
use k8s_openapi::api::resource::v1::{
    DeviceRequestAllocationResult, DeviceTaint, DeviceToleration, ResourceClaim, ResourceClaimConsumerReference,
};

pub use cost::cost;
pub use selector::{Outlook, Selector};

/// The finalizer of a claim that has devices.
pub const FINALIZER: &str = "resource.kubernetes.io/delete-protection";
/// The annotation of a claim that was made from a template: the entry of the pod that it was made for.
pub const MADE_FOR: &str = "resource.kubernetes.io/pod-claim-name";

/// What an entry of a pod's `resourceClaims` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodClaim<'a> {
    /// A claim of this name in the pod's namespace.
    Named {
        /// The name.
        name: &'a str,
        /// It was made from a template, so that it has to be the pod's own.
        own: bool,
    },
    /// A claim that has not been made yet.
    NotMade,
    /// No claim at all.
    NotNeeded,
}

/// The entries of a pod's `resourceClaims`.
pub fn entries(pod: &Pod) -> impl Iterator<Item = &PodResourceClaim> {
    pod.spec.iter().flat_map(|spec| spec.resource_claims.iter().flatten())
}

/// What an entry stands for.
#[must_use]
pub fn pod_claim<'a>(pod: &'a Pod, entry: &'a PodResourceClaim) -> PodClaim<'a> {
    if let Some(name) = &entry.resource_claim_name {
        return PodClaim::Named { name, own: false };
    }
    let mut made = pod.status.iter().flat_map(|status| status.resource_claim_statuses.iter().flatten());
    match made.find(|status| status.name == entry.name) {
        None => PodClaim::NotMade,
        Some(status) => match &status.resource_claim_name {
            Some(name) => PodClaim::Named { name, own: true },
            None => PodClaim::NotNeeded,
        },
    }
}

/// Whether a claim was made for a pod: the pod controls it.
#[must_use]
pub fn is_for(claim: &ResourceClaim, pod: &Pod) -> bool {
    let owners = claim.metadata.owner_references.iter().flatten();
    let owned = owners
        .filter(|owner| owner.controller == Some(true))
        .any(|owner| Some(&owner.uid) == pod.metadata.uid.as_ref());
    owned && claim.metadata.namespace == pod.metadata.namespace
}

/// Who may use a claim.
pub fn users(claim: &ResourceClaim) -> impl Iterator<Item = &ResourceClaimConsumerReference> {
    claim.status.iter().flat_map(|status| status.reserved_for.iter().flatten())
}

/// Whether a claim is reserved for the pod of this uid.
#[must_use]
pub fn is_reserved_for(claim: &ResourceClaim, uid: &str) -> bool {
    users(claim).any(|user| user.uid == uid)
}

/// Whether a claim has devices.
#[must_use]
pub fn is_allocated(claim: &ResourceClaim) -> bool {
    claim.status.as_ref().is_some_and(|status| status.allocation.is_some())
}

/// The devices of a claim.
pub fn results(claim: &ResourceClaim) -> impl Iterator<Item = &DeviceRequestAllocationResult> {
    let allocation = claim.status.iter().filter_map(|status| status.allocation.as_ref()?.devices.as_ref());
    allocation.flat_map(|devices| devices.results.iter().flatten())
}

/// Whether a request bears a taint of a device.
#[must_use]
pub fn tolerates(toleration: &DeviceToleration, taint: &DeviceTaint) -> bool {
    let same = |own: &Option<String>, other: &str| own.as_deref().is_none_or(|own| own.is_empty() || own == other);
    if !same(&toleration.effect, &taint.effect) || !same(&toleration.key, &taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default(),
        "Exists" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"containers": [], "resourceClaims": [
                {"name": "a", "resourceClaimName": "given"}, {"name": "b", "resourceClaimTemplateName": "t"},
                {"name": "c", "resourceClaimTemplateName": "t"}, {"name": "d", "resourceClaimTemplateName": "t"},
            ]},
            "status": {"resourceClaimStatuses": [{"name": "b", "resourceClaimName": "p-b-x"}, {"name": "c"}]},
        }))
        .unwrap()
    }

    #[test]
    fn entries_name_claims_or_have_them_made() {
        let pod = pod();
        let found: Vec<PodClaim<'_>> = entries(&pod).map(|entry| pod_claim(&pod, entry)).collect();
        let named = |name, own| PodClaim::Named { name, own };
        assert_eq!(found, [named("given", false), named("p-b-x", true), PodClaim::NotNeeded, PodClaim::NotMade]);
    }

    #[test]
    fn a_claim_belongs_to_the_pod_that_controls_it() {
        let claim = |uid: &str| -> ResourceClaim {
            let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": uid, "controller": true});
            serde_json::from_value(json!({
                "metadata": {"name": "p-b-x", "namespace": "n", "ownerReferences": [owner]}, "spec": {},
                "status": {"reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]},
            }))
            .unwrap()
        };
        assert!(is_for(&claim("u"), &pod()) && !is_for(&claim("v"), &pod()));
        assert!(is_reserved_for(&claim("u"), "u") && !is_reserved_for(&claim("u"), "v"));
        assert!(!is_allocated(&claim("u")) && results(&claim("u")).next().is_none());
    }

    #[test]
    fn taints_are_borne_by_key_value_and_effect() {
        let taint =
            DeviceTaint { key: "k".into(), value: Some("v".into()), effect: "NoSchedule".into(), time_added: None };
        let toleration = |value: serde_json::Value| -> DeviceToleration { serde_json::from_value(value).unwrap() };
        assert!(tolerates(&toleration(json!({"operator": "Exists"})), &taint));
        assert!(tolerates(&toleration(json!({"key": "k", "value": "v"})), &taint));
        assert!(!tolerates(&toleration(json!({"key": "k", "value": "w"})), &taint));
        assert!(!tolerates(&toleration(json!({"operator": "Exists", "effect": "NoExecute"})), &taint));
    }
}
