//! What a claim gets.

use std::sync::Arc;

use k8s_openapi::api::resource::v1::{AllocationResult, ResourceClaim};

/// A claim of a pod that is about to be bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The claim as it was known.
    pub claim: Arc<ResourceClaim>,
    /// The devices that it gets, if it has none yet.
    pub allocation: Option<AllocationResult>,
}

impl Assignment {
    /// Names the shares of devices that several claims may have.
    pub(crate) fn name_shares(&mut self, mut name: impl FnMut() -> String) {
        let devices = self.allocation.iter_mut().filter_map(|allocation| allocation.devices.as_mut());
        for result in devices.flat_map(|devices| devices.results.iter_mut().flatten()) {
            if let Some(id) = &mut result.share_id {
                *id = name();
            }
        }
    }
}
