//! Claims of devices: made for pods from templates, kept while a pod uses them, given back afterwards; and pods whose
//! devices are not fit for use.

mod evicting;
mod making;
mod releasing;

use k8s_openapi::api::core::v1::Pod;
use mainstay_api::devices::{self, PodClaim};
use mainstay_client::Key;

pub(crate) use evicting::{DeviceEviction, claim_index as pools_of_claim, slice_index as pool_of_slice};
pub(crate) use making::ClaimMaker;
pub(crate) use releasing::ClaimReleaser;

use crate::meta::{is_deleting, namespace};
use crate::pod::{is_finished, node_name};

/// Index values: the claims that a pod uses, as namespace/name.
pub(crate) fn claim_index(pod: &Pod) -> Vec<String> {
    claim_keys(pod).iter().map(Key::to_string).collect()
}

/// The claims that a pod uses, as far as they have names.
fn claim_keys(pod: &Pod) -> Vec<Key> {
    let named = devices::entries(pod).filter_map(|entry| match devices::pod_claim(pod, entry) {
        PodClaim::Named { name, .. } => Some(name),
        PodClaim::NotMade | PodClaim::NotNeeded => None,
    });
    let status = pod.status.as_ref().and_then(|status| status.extended_resource_claim_status.as_ref());
    let extended = status.map(|claim| claim.resource_claim_name.as_str());
    named.chain(extended).map(|name| Key::new(namespace(&pod.metadata), name)).collect()
}

/// Nothing of the pod runs, and nothing ever will.
fn is_done(pod: &Pod) -> bool {
    is_finished(pod) || is_deleting(&pod.metadata) && node_name(pod).is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_are_found_by_the_claims_that_they_use() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n"},
            "spec": {"containers": [], "resourceClaims": [
                {"name": "a", "resourceClaimName": "given"}, {"name": "b", "resourceClaimTemplateName": "t"},
            ]},
            "status": {"extendedResourceClaimStatus": {"resourceClaimName": "more", "requestMappings": []}},
        }))
        .unwrap();
        assert_eq!(claim_index(&pod), ["n/given", "n/more"]);
    }
}
